package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newConcat returns Concat (opsets 1, 4, 11, 13): the inputs joined along an axis. They have
// the same type, which may be any, and the same shape except along the axis.
//
// Attributes: axis (required; 1 by default before opset 4), from -rank to rank-1. Negative values are allowed since
// opset 11.
func newConcat(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("axis"); err != nil {
		return nil, err
	}
	if _, ok := n.Attributes["axis"]; !ok && n.Opset >= 4 {
		return nil, fmt.Errorf("%w: axis is missing", ops.ErrAttribute)
	}
	axis, err := ops.Attr(n.Attributes, "axis", int64(1))
	if err != nil {
		return nil, err
	}
	if axis < 0 && n.Opset < 11 {
		return nil, fmt.Errorf("%w: axis %d: negative axes are not supported before opset 11", ops.ErrAttribute, axis)
	}
	return concat{axis}, nil
}

type concat struct{ axis int64 }

func (k concat) infer(in []*ops.Input) (ops.Type, error) {
	first := in[0].Type
	axis, err := axisOf(k.axis, len(first.Shape))
	if err != nil {
		return ops.Type{}, fmt.Errorf("%w: input 0 is %v", err, first)
	}
	shape := append([]ops.Dim{}, first.Shape...)
	for i, x := range in[1:] {
		if x.DType != first.DType {
			return ops.Type{}, fmt.Errorf("%w: input 0 is %v but input %d is %v", ops.ErrDType, first, i+1, x.Type)
		}
		ok := len(x.Shape) == len(shape)
		for d := 0; ok && d < len(shape); d++ {
			if d != axis {
				shape[d], ok = mergeDims(shape[d], x.Shape[d])
			}
		}
		if !ok {
			return ops.Type{}, fmt.Errorf("%w: input %d is %v but the inputs before it are %v (axis %d)",
				ops.ErrShape, i+1, x.Type, ops.Type{DType: first.DType, Shape: shape}, axis)
		}
		switch y := x.Shape[axis]; {
		case y.Size == 0:
		case shape[axis].Size == 0:
			shape[axis] = y
		case shape[axis].Known() && y.Known():
			shape[axis] = ops.Dim{Size: shape[axis].Size + y.Size}
		default:
			shape[axis] = unknown
		}
	}
	return ops.Type{DType: first.DType, Shape: shape}, nil
}

func (k concat) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	parts := ops.Scratch[[]copying](ctx)
	if *parts == nil {
		axis, err := axisOf(k.axis, len(out.Shape()))
		if err != nil {
			return err
		}
		strides := rowMajor(out.Shape())
		to := 0
		for _, x := range in {
			*parts = append(*parts, copying{nest: newNest(x.Shape(), strides, rowMajor(x.Shape())), to: to})
			to += x.Shape()[axis] * strides[axis]
		}
	}
	for i, x := range in {
		if err := (*parts)[i].run(ctx, out, x); err != nil {
			return err
		}
	}
	return nil
}
