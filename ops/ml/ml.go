// Package ml implements the operators of ONNX for classical machine learning (domain
// ai.onnx.ml, versions 1 to 5): what exporters write for the models of scikit-learn, XGBoost
// or LightGBM. Each operator has the version that the model names. In the source, the
// constructor of each operator (newScaler, newLinearClassifier, and so on) documents its
// attributes and inputs.
//
// [Operators] is the list of all operators. Package runtime includes them. Results are
// bit-identical for any number of workers, and the result for a row does not depend on the
// other rows.
//
// Numbers of type float32, int32 and int64 are computed in float32, and those of type float64
// in float64. Where the specification leaves a result open, it is the one of onnxruntime,
// which the exporters are tested with.
package ml

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
)

// Domain is the domain of the operators.
const Domain = "ai.onnx.ml"

// Newest is the newest version of the domain that this package implements.
const Newest = 5

// operation is an operator with its attributes bound. Both methods may rely on the checks of
// op: the number of inputs is right, none is missing, and tensors have a bounded size.
type operation interface {
	infer(in []*ops.Input) ([]ops.Type, error)

	// run computes the outputs. Those whose size infer does not know are nil in out.
	run(ctx *ops.Context, in, out []*ops.Tensor) error
}

// operator returns an operator with the given number of outputs. versions are those of the
// domain in which it was added or changed.
func operator(name string, versions []int, minInputs, maxInputs, outputs int, newOperation func(n ops.Node, a *attributes) operation) ops.Operator {
	return ops.Operator{
		Domain: Domain, Name: name, MinInputs: minInputs, MaxInputs: maxInputs, MinOutputs: 1, MaxOutputs: outputs, Versions: versions,
		New: func(n ops.Node) (ops.Op, error) {
			if since := versions[0]; n.Opset < since {
				return nil, fmt.Errorf("version %d of the operators of %s has no %s: it exists since version %d", n.Opset, Domain, name, since)
			}
			a := &attributes{values: n.Attributes}
			k := newOperation(n, a)
			if err := a.done(); err != nil {
				return nil, err
			}
			return &op{operation: k, minInputs: minInputs, maxInputs: maxInputs, outputs: min(max(n.NumOutputs, 1), outputs)}, nil
		},
	}
}

// op implements ops.Op.
type op struct {
	operation
	minInputs, maxInputs, outputs int
}

func (o *op) Infer(in []*ops.Input) ([]ops.Type, error) {
	if len(in) < o.minInputs || o.maxInputs != ops.Variadic && len(in) > o.maxInputs {
		return nil, fmt.Errorf("the number of inputs is %d, want %d", len(in), o.minInputs)
	}
	for i, x := range in {
		if x == nil {
			return nil, fmt.Errorf("input %d is missing", i)
		}
		if err := checkSizes(x.Type); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	types, err := o.infer(in)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		if err := checkSizes(t); err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
	}
	return types[:o.outputs], nil
}

func (o *op) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return o.run(ctx, in, out)
}

// checkSizes bounds the sizes of a tensor; other values have none.
func checkSizes(t ops.Type) error {
	if t.DType.IsContainer() {
		return nil
	}
	return t.CheckSizes()
}

// numeric are the types that most operators take.
var numeric = []ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Int64}

// attributes reads the attributes of a node. It remembers the names, and the first error.
type attributes struct {
	values ops.Attributes
	known  []string
	err    error
}

// attr returns the value of an attribute, or def if it is absent.
func attr[T int64 | float32 | string | []int64 | []float32 | []string | *ops.Tensor](a *attributes, name string, def T) T {
	a.known = append(a.known, name)
	v, err := ops.Attr(a.values, name, def)
	a.fail(err)
	return v
}

func (a *attributes) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// failf fails with an error that wraps ops.ErrAttribute.
func (a *attributes) failf(format string, args ...any) {
	a.fail(fmt.Errorf("%w: "+format, append([]any{ops.ErrAttribute}, args...)...))
}

// length fails unless a list has the wanted length.
func (a *attributes) length(name string, length, want int) {
	if length != want {
		a.failf("%s has %d entries, want %d", name, length, want)
	}
}

// lengthOrNone is length for a list that may be empty.
func (a *attributes) lengthOrNone(name string, length, want int) {
	if length > 0 {
		a.length(name, length, want)
	}
}

// done returns the first error, or an error if there are attributes that were not read.
func (a *attributes) done() error {
	if err := a.values.Only(a.known...); err != nil {
		return err
	}
	return a.err
}

// choice returns the value of an attribute that is one of the given words.
func choice(a *attributes, name string, words ...string) string {
	v := attr(a, name, words[0])
	if !slices.Contains(words, v) {
		a.failf("%s is %q, want %s", name, v, strings.Join(words, " or "))
	}
	return v
}
