package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newCenterCropPad returns CenterCropPad (opset 18): the input, of any type, with the sizes of
// shape, an int32 or int64 vector. Of a larger dimension the middle is taken, and a smaller one
// is padded equally on both sides, with zeros. An odd entry is taken away, or added, at the
// end.
//
// Attributes: axes (default: all), the dimensions that shape is about.
func newCenterCropPad(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("axes"); err != nil {
		return nil, err
	}
	axes, err := ops.Attr[[]int64](n.Attributes, "axes", nil)
	return centerCropPad{axes}, err
}

type centerCropPad struct{ axes []int64 }

func (k centerCropPad) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	length, err := checkVector("shape", in[1], indexTypes...)
	if err != nil {
		return x, err
	}
	axes, err := k.axesOf(len(x.Shape))
	if err != nil {
		return x, err
	}
	if length.Known() && length.Size != len(axes) {
		return x, fmt.Errorf("%w: input is %v but the length of shape is %d, want %d", ops.ErrShape, x, length.Size, len(axes))
	}
	shape := slices.Clone(x.Shape)
	for _, axis := range axes {
		shape[axis] = unknown
	}
	if in[1].Const == nil {
		return ops.Type{DType: x.DType, Shape: shape}, nil
	}
	for i, v := range integers(in[1].Const) {
		if v < 0 || v > ops.MaxElements {
			return x, fmt.Errorf("%w: size %d in shape is out of range", ops.ErrShape, v)
		}
		shape[axes[i]] = ops.Dim{Size: int(v)}
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

// axesOf returns the dimensions that shape is about.
func (k centerCropPad) axesOf(rank int) ([]int, error) {
	if k.axes != nil {
		return axesOf(k.axes, rank)
	}
	axes := make([]int, rank)
	for i := range axes {
		axes[i] = i
	}
	return axes, nil
}

func (k centerCropPad) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	from, to, strides := in[0].Shape(), out.Shape(), rowMajor(in[0].Shape())
	offsets := make([]int, len(from)) // from an index of the output to one of the input
	for d := range from {
		if offsets[d] = (from[d] - to[d]) / 2; to[d] > from[d] {
			offsets[d] = -((to[d] - from[d]) / 2)
		}
	}
	return take(ctx, out, in[0], nil, 1, func(first int, places []int) error {
		c := coordinatesAt(first, to)
		for i := range places {
			places[i] = 0
			for d, at := range c.at {
				if at += offsets[d]; at < 0 || at >= from[d] {
					places[i] = nowhere
					break
				}
				places[i] += at * strides[d]
			}
			c.next()
		}
		return nil
	})
}
