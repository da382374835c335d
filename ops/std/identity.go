package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newIdentity returns Identity (opsets 1 to 25): the input, of any type and shape. There
// are no attributes. See identityOp for sequences and optional values.
func newIdentity(n ops.Node) (operation, error) {
	return identity{}, n.Attributes.Only()
}

type identity struct{}

func (identity) infer(in []*ops.Input) (ops.Type, error) { return in[0].Type, nil }

func (identity) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return copyAll(ctx, out, in[0])
}

// newFlatten returns Flatten (opsets 1 to 13): the input, of any type and shape, with two
// dimensions. The first one is the product of the dimensions before the axis, the second
// one the product of the others.
//
// Attributes: axis (default 1), from -rank to rank. Negative values are allowed since opset
// 11.
func newFlatten(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("axis"); err != nil {
		return nil, err
	}
	axis, err := ops.Attr(n.Attributes, "axis", int64(1))
	if err != nil {
		return nil, err
	}
	if axis < 0 && n.Opset < 11 {
		return nil, fmt.Errorf("%w: axis %d: negative axes are not supported before opset 11", ops.ErrAttribute, axis)
	}
	return flatten{axis}, nil
}

type flatten struct{ axis int64 }

func (k flatten) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	axis := len(x.Shape) // valid here, unlike for other operators
	if k.axis != int64(axis) {
		var err error
		if axis, err = axisOf(k.axis, len(x.Shape)); err != nil {
			return ops.Type{}, fmt.Errorf("%w: input is %v", err, x)
		}
	}
	return ops.Type{DType: x.DType, Shape: []ops.Dim{dimProduct(x.Shape[:axis]), dimProduct(x.Shape[axis:])}}, nil
}

func (k flatten) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return copyAll(ctx, out, in[0])
}

// identityOperator returns Identity, whose input may also be a sequence (since opset 14) or an
// optional value (since opset 16).
func identityOperator() ops.Operator {
	o := operator("Identity", 1, 1, newIdentity)
	newOp := o.New
	o.New = func(n ops.Node) (ops.Op, error) {
		made, err := newOp(n)
		if err != nil {
			return nil, err
		}
		return identityOp{made.(*differentiable), n.Opset}, nil
	}
	return o
}

// identityOp is Identity for values of all types.
type identityOp struct {
	*differentiable
	opset int
}

func (o identityOp) Infer(in []*ops.Input) ([]ops.Type, error) {
	if len(in) != 1 || in[0] == nil || !in[0].DType.IsContainer() {
		return o.differentiable.Infer(in)
	}
	if o.opset < 14 || in[0].DType == ops.Optional && o.opset < 16 {
		return nil, fmt.Errorf("%w: input 0 is %v, which Identity of opset %d does not take", ops.ErrDType, in[0].Type, o.opset)
	}
	return []ops.Type{in[0].Type}, nil
}

func (o identityOp) Run(ctx *ops.Context, in, out []*ops.Tensor) (err error) {
	if !in[0].DType().IsContainer() {
		return o.differentiable.Run(ctx, in, out)
	}
	out[0], err = copied(ctx, in[0])
	return err
}
