// Package std holds the standard operators (domain ai.onnx) that networks with
// Spike-By-Spike layers use, with the meaning that they have in the opsets 7 to
// 17. What an operator's attributes and inputs may be is said where it is made:
// newConv, newSlice, and so on.
//
// Every result is the same for any number of workers, bit for bit, and the
// result for one image does not depend on the others in its batch.
package std

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
)

// Operators returns the operators of this package.
func Operators() []ops.Operator {
	return []ops.Operator{
		operator("Add", 2, 2, newAdd),
		operator("AveragePool", 1, 1, newAveragePool),
		operator("Concat", 1, ops.Variadic, newConcat),
		operator("Conv", 2, 3, newConv),
		operator("Div", 2, 2, newDiv),
		operator("Flatten", 1, 1, newFlatten),
		operator("Identity", 1, 1, newIdentity),
		operator("MaxPool", 1, 1, newMaxPool),
		operator("Mul", 2, 2, newMul),
		operator("Neg", 1, 1, newNeg),
		operator("ReduceSum", 1, 2, newReduceSum),
		operator("Relu", 1, 1, newRelu),
		operator("Reshape", 2, 2, newReshape),
		operator("Slice", 3, 5, newSlice),
		operator("Softmax", 1, 1, newSoftmax),
		operator("Sub", 2, 2, newSub),
	}
}

// oldestOpset is the first whose arithmetic broadcasts as numpy does.
const oldestOpset = 7

// kernel is what is particular to an operator. Both methods may rely on what
// op checks: the number of inputs, required inputs not nil, types that a tensor
// can have.
type kernel interface {
	infer(in []*ops.Input) (ops.Type, error)

	// run computes every element of the output, which is of the inferred type.
	run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error
}

func operator(name string, minInputs, maxInputs int, newKernel func(ops.Node) (kernel, error)) ops.Operator {
	return ops.Operator{
		Name:       name,
		MinInputs:  minInputs,
		MaxInputs:  maxInputs,
		NumOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			if n.Opset < oldestOpset {
				return nil, fmt.Errorf("opset %d is not supported, the oldest is %d", n.Opset, oldestOpset)
			}
			k, err := newKernel(n)
			if err != nil {
				return nil, err
			}
			o := &op{kernel: k, minInputs: minInputs, maxInputs: maxInputs}
			if g := gradientOf(name); g != nil {
				return &differentiable{o, g}, nil
			}
			return o, nil
		},
	}
}

// op makes an ops.Op of a kernel.
type op struct {
	kernel               kernel
	minInputs, maxInputs int
}

func (o *op) Infer(in []*ops.Input) ([]ops.Type, error) {
	if err := o.check(in); err != nil {
		return nil, err
	}
	t, err := o.kernel.infer(in)
	if err != nil {
		return nil, err
	}
	if err := checkSizes(t); err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	return []ops.Type{t}, nil
}

func (o *op) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	return o.kernel.run(ctx, in, out[0])
}

func inputs(in []*ops.Tensor) []*ops.Input {
	known := make([]*ops.Input, len(in))
	for i, x := range in {
		if x != nil {
			known[i] = &ops.Input{Type: ops.TypeOf(x), Const: x}
		}
	}
	return known
}

func (o *op) check(in []*ops.Input) error {
	if n := len(in); n < o.minInputs || o.maxInputs != ops.Variadic && n > o.maxInputs {
		return fmt.Errorf("%d inputs are not allowed", n)
	}
	for i, x := range in {
		if x == nil {
			if i < o.minInputs || o.maxInputs == ops.Variadic {
				return fmt.Errorf("input %d is missing", i)
			}
			continue
		}
		if err := checkSizes(x.Type); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		if x.Const != nil {
			if err := x.Check(x.Const); err != nil {
				return fmt.Errorf("input %d: the constant: %w", i, err)
			}
		}
	}
	return nil
}

// checkSizes bounds what is known of a type, so that sizes can be multiplied
// and added without a thought of overflow.
func checkSizes(t ops.Type) error {
	if t.DType.Size() == 0 {
		return fmt.Errorf("%w: %v", ops.ErrDType, t.DType)
	}
	known := make([]int, 0, len(t.Shape))
	for _, d := range t.Shape {
		if d.Known() {
			known = append(known, d.Size)
		}
	}
	if _, err := ops.Len(known); err != nil {
		return fmt.Errorf("%v: %w", t, err)
	}
	return nil
}

// checkDType returns an error unless the input's element type is one of those
// that are supported.
func checkDType(name string, t ops.Type, supported ...ops.DType) error {
	if slices.Contains(supported, t.DType) {
		return nil
	}
	names := make([]string, len(supported))
	for i, d := range supported {
		names[i] = d.String()
	}
	return fmt.Errorf("%w: %s is %v, want %s", ops.ErrDType, name, t, strings.Join(names, " or "))
}

// number is the set of element types that arithmetic is done in.
type number interface {
	float32 | float64 | int32 | int64
}

// grain is the number of simple steps that are worth a call from a parallel
// loop.
const grain = 1 << 14
