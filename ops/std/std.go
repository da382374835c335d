// Package std implements the standard ONNX operators (domain ai.onnx), except the operators
// with subgraphs (If, Loop, Scan, SequenceMap), which are part of package runtime. It follows the
// definitions of opsets 1 to 27: each operator has the version that the model names. In the source, the constructor of each operator
// (newConv, newSlice, and so on) documents its attributes and inputs.
//
// [Operators] is the list of all operators. Package runtime includes them; a program needs
// this package only to run one of them alone, with [ops.Run], or to build on one. Results
// are bit-identical for any number of workers, and the result for an image does not depend
// on the other images of its batch.
//
// Results are bit-identical on all processors, except that those of Acos, Acosh, Asin, Asinh,
// Atan, Atanh, Cos, Cosh, Erf, Gelu, Sin, Sinh and Tan may differ in the last bits between
// processors of different architectures.
package std

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// operation is an operator with one output and its attributes bound. Both methods may rely
// on the checks of op: the number of inputs is right, required inputs are not nil, and
// every type is one that a tensor can have.
type operation interface {
	infer(in []*ops.Input) (ops.Type, error)

	// run computes every element of the output, which has the inferred type.
	run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error
}

// multiOperation is an operation with several outputs, of which a node may use only the
// first ones. An output whose size depends on more than the types and values that inferAll
// sees is nil in runAll, which then creates it.
type multiOperation interface {
	inferAll(in []*ops.Input) ([]ops.Type, error) // types of the maximum number of outputs
	runAll(ctx *ops.Context, in, out []*ops.Tensor) error
}

// operator returns an operator with one output.
func operator(name string, minInputs, maxInputs int, newOperation func(ops.Node) (operation, error)) ops.Operator {
	return ops.Operator{
		Name:       name,
		Versions:   versions[name],
		MinInputs:  minInputs,
		MaxInputs:  maxInputs,
		MinOutputs: 1,
		MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			if err := checkOpset(name, n.Opset); err != nil {
				return nil, err
			}
			k, err := newOperation(withoutHints(n))
			if err != nil {
				return nil, err
			}
			o := &op{single: k, minInputs: minInputs, maxInputs: maxInputs}
			if _, old := k.(aligned); old {
				return o, nil // the gradients know the broadcasting of today alone
			}
			if g := gradientOf(name); g != nil {
				return &differentiable{o, g}, nil
			}
			return o, nil
		},
	}
}

// multiOperator returns an operator whose outputs a multiOperation computes.
func multiOperator(name string, minInputs, maxInputs, minOutputs, maxOutputs int, newOperation func(ops.Node) (multiOperation, error)) ops.Operator {
	return ops.Operator{
		Name:       name,
		Versions:   versions[name],
		MinInputs:  minInputs,
		MaxInputs:  maxInputs,
		MinOutputs: minOutputs,
		MaxOutputs: maxOutputs,
		New: func(n ops.Node) (ops.Op, error) {
			if err := checkOpset(name, n.Opset); err != nil {
				return nil, err
			}
			n = withoutHints(n)
			n.NumOutputs = max(n.NumOutputs, minOutputs)
			if err := checkNumber("outputs", n.NumOutputs, minOutputs, maxOutputs); err != nil {
				return nil, err
			}
			k, err := newOperation(n)
			if err != nil {
				return nil, err
			}
			return &op{multi: k, minInputs: minInputs, maxInputs: maxInputs, outputs: n.NumOutputs}, nil
		},
	}
}

// containerOperator returns an operator with one output whose inputs and output may be
// sequences and optional values.
func containerOperator(name string, minInputs, maxInputs int, newOperation func(ops.Node) (multiOperation, error)) ops.Operator {
	o := multiOperator(name, minInputs, maxInputs, 1, 1, newOperation)
	newOp := o.New
	o.New = func(n ops.Node) (ops.Op, error) {
		made, err := newOp(n)
		if err != nil {
			return nil, err
		}
		made.(*op).containers = true
		return made, nil
	}
	return o
}

// checkOpset returns an error if the operator does not exist in the opset.
func checkOpset(name string, opset int) error {
	if v := versions[name]; len(v) > 0 && opset < v[0] {
		return fmt.Errorf("opset %d has no operator %s: it exists since opset %d", opset, name, v[0])
	}
	return nil
}

// op implements ops.Op and ops.Folder. Either single or multi is set.
type op struct {
	single               operation
	multi                multiOperation
	minInputs, maxInputs int
	outputs              int  // number of outputs of multi that the node has
	containers           bool // whether inputs and outputs may be sequences and optional values
	wide                 keptConstants
}

func (o *op) Infer(in []*ops.Input) ([]ops.Type, error) {
	if err := o.check(in); err != nil {
		return nil, err
	}
	types, err := o.inferTypes(in)
	if o.containers {
		return types, err
	}
	if half := halfOf(func(i int) ops.DType { return dtypeOfInput(in[i]) }, len(in)); half != 0 && refusesTypes(err) {
		types, _, err = o.inferHalf(in, half)
	}
	if errors.Is(err, errNotYet) {
		return make([]ops.Type, max(o.outputs, 1)), nil
	}
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		if err := t.CheckSizes(); err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
	}
	return types, nil
}

func dtypeOfInput(x *ops.Input) ops.DType {
	if x == nil {
		return 0
	}
	return x.DType
}

// inferTypes returns the types of the outputs of the node.
func (o *op) inferTypes(in []*ops.Input) ([]ops.Type, error) {
	if o.multi != nil {
		all, err := o.multi.inferAll(in)
		if err != nil {
			return nil, err
		}
		return all[:o.outputs], nil
	}
	t, err := o.single.infer(in)
	if err != nil {
		return nil, err
	}
	return []ops.Type{t}, nil
}

func (o *op) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if half := halfOf(func(i int) ops.DType { return in[i].DType() }, len(in)); half != 0 && !o.containers {
		if _, err := o.inferTypes(inputs(in)); refusesTypes(err) {
			return o.runHalf(ctx, in, out, half)
		}
	}
	return o.runTypes(ctx, in, out)
}

// runTypes is Run for inputs of types that the operator takes.
func (o *op) runTypes(ctx *ops.Context, in, out []*ops.Tensor) error {
	if o.multi != nil {
		return o.multi.runAll(ctx, in, out)
	}
	return o.single.run(ctx, in, out[0])
}

// runOnly marks an operation that is never computed while a model is loaded: its result
// depends on the seed of the run, or small inputs can mean a lot of work.
type runOnly interface{ onlyInRuns() }

// Pure implements ops.Pure.
func (o *op) Pure() bool {
	_, single := o.single.(runOnly)
	_, multi := o.multi.(runOnly)
	return !single && !multi
}

// typeFolder is an operation whose output may be known from the types of its inputs alone.
type typeFolder interface {
	// fold returns the output, or nil if the types do not determine it.
	fold(in []*ops.Input) *ops.Tensor
}

// maxFolded is the maximum number of elements of a tensor that is computed while a model is
// loaded. The tensors that shapes are computed from are small.
const maxFolded = 1 << 12

// Fold implements ops.Folder.
func (o *op) Fold(ctx *ops.Context, in []*ops.Input) ([]*ops.Tensor, error) {
	var k any = o.single
	if o.multi != nil {
		k = o.multi
	}
	if t, ok := k.(typeFolder); ok {
		if x := t.fold(in); x != nil {
			return []*ops.Tensor{x}, nil
		}
	}
	if _, ok := k.(runOnly); ok {
		return nil, nil
	}
	values := make([]*ops.Tensor, len(in))
	for i, x := range in {
		if x == nil {
			continue
		}
		if x.Const == nil || x.Const.Len() > maxFolded || x.DType.IsContainer() {
			return nil, nil
		}
		values[i] = x.Const
	}
	types, err := o.Infer(in)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		shape, ok := t.Sizes()
		if !ok || t.DType == 0 {
			return nil, nil
		}
		if n, err := ops.Len(shape); err != nil || n > maxFolded {
			return nil, err
		}
	}
	return ops.Run(o, ctx, values)
}

// checkValues checks the output's type again with the values of the inputs. Operations need
// it whose output type can be inferred without values that turn out not to fit.
func checkValues(k operation, in []*ops.Tensor, out *ops.Tensor) error {
	t, err := k.infer(inputs(in))
	if err != nil {
		return err
	}
	return t.Check(out)
}

// inputs returns the types of tensors together with their values.
func inputs(in []*ops.Tensor) []*ops.Input {
	known := make([]*ops.Input, len(in))
	for i, x := range in {
		if x != nil {
			known[i] = &ops.Input{Type: ops.TypeOf(x), Const: x}
		}
	}
	return known
}

// check checks the number and the types of the inputs.
func (o *op) check(in []*ops.Input) error {
	if err := checkNumber("inputs", len(in), o.minInputs, o.maxInputs); err != nil {
		return err
	}
	for i, x := range in {
		if x == nil {
			if i < o.minInputs || o.maxInputs == ops.Variadic {
				return fmt.Errorf("input %d is missing", i)
			}
			continue
		}
		if !o.containers || !x.DType.IsContainer() {
			if err := x.Type.CheckSizes(); err != nil {
				return fmt.Errorf("input %d: %w", i, err)
			}
		}
		if x.Const != nil {
			if err := x.Check(x.Const); err != nil {
				return fmt.Errorf("input %d: its constant value: %w", i, err)
			}
		}
	}
	return nil
}

// checkNumber returns an error unless the number of inputs or outputs is in a range.
func checkNumber(what string, n, least, most int) error {
	switch {
	case n >= least && (n <= most || most == ops.Variadic):
		return nil
	case most == ops.Variadic:
		return fmt.Errorf("the number of %s is %d, want at least %d", what, n, least)
	case least == most:
		return fmt.Errorf("the number of %s is %d, want %d", what, n, least)
	}
	return fmt.Errorf("the number of %s is %d, want %d to %d", what, n, least, most)
}

// checkRank returns an error if there are too many dimensions. It is needed where
// dimensions are created before Type.CheckSizes sees them.
func checkRank(rank int) error {
	if rank > ops.MaxRank {
		return fmt.Errorf("%w: the rank is %d, want at most %d", ops.ErrShape, rank, ops.MaxRank)
	}
	return nil
}

// flagAttr returns an attribute that is a boolean in the form of an integer. The default is
// false.
func flagAttr(a ops.Attributes, name string) (bool, error) {
	v, err := ops.Attr(a, name, int64(0))
	return v != 0, err
}

// nativeNumber is the set of element types that operators compute in without conversion. The
// other types are converted; see wide.
type nativeNumber interface {
	float32 | float64 | int32 | int64
}

// grain is the number of simple steps that make one call from a parallel loop worthwhile.
const grain = 1 << 14
