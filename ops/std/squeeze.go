package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newSqueeze returns Squeeze (opsets 1, 11, 13): the data, of any type, without the given
// dimensions of size 1, or without all dimensions of size 1. The axes are an attribute or,
// since opset 13, the optional second input, an int64 vector.
//
// Attributes: axes (before opset 13), which may be negative since opset 11.
func newSqueeze(n ops.Node) (operation, error) {
	axes, err := axesAttr(n)
	return squeeze{axes}, err
}

// axesAttr reads the attribute axes, which is an input since opset 13.
func axesAttr(n ops.Node) ([]int64, error) {
	var known []string
	if n.Opset < 13 {
		known = []string{"axes"}
		if n.NumInputs > 1 {
			return nil, fmt.Errorf("opset %d: the axes must be an attribute, not an input", n.Opset)
		}
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	axes, err := ops.Attr[[]int64](n.Attributes, "axes", nil)
	for _, a := range axes {
		if a < 0 && n.Opset < 11 {
			return nil, fmt.Errorf("%w: axes %v: negative axes are not supported before opset 11", ops.ErrAttribute, axes)
		}
	}
	return axes, err
}

// axesInput returns the axes from the attribute or the second input, and their number. If
// only the number is known, axes is nil.
func axesInput(attribute []int64, in []*ops.Input) (axes []int64, number ops.Dim, err error) {
	if len(in) < 2 || in[1] == nil {
		return attribute, ops.Dim{Size: len(attribute)}, nil
	}
	number, err = checkVector("axes", in[1], ops.Int64)
	if err != nil || in[1].Const == nil {
		return nil, number, err
	}
	axes = in[1].Const.Int64s()
	return axes, ops.Dim{Size: len(axes)}, nil
}

type squeeze struct{ axes []int64 }

func (k squeeze) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	axes, number, err := axesInput(k.axes, in)
	if err != nil {
		return data, err
	}
	given := k.axes != nil || len(in) > 1 && in[1] != nil
	if given && axes == nil && number.Size != 0 {
		if !number.Known() {
			return data, errNotYet
		}
		if number.Size > len(data.Shape) {
			return data, fmt.Errorf("%w: data is %v, but axes is %v", ops.ErrShape, data, in[1].Type)
		}
		return ops.Type{DType: data.DType, Shape: slices.Repeat([]ops.Dim{unknown}, len(data.Shape)-number.Size)}, nil
	}
	removed, err := axisSet(axes, len(data.Shape))
	if err != nil {
		return data, fmt.Errorf("%w: data is %v", err, data)
	}
	shape := []ops.Dim{}
	for i, d := range data.Shape {
		if !given {
			if !d.Known() {
				return data, errNotYet
			}
			removed[i] = d.Size == 1
		}
		if !removed[i] {
			shape = append(shape, d)
		} else if d.Known() && d.Size != 1 {
			return data, fmt.Errorf("%w: dimension %d of %v does not have size 1", ops.ErrShape, i, data)
		}
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

func (k squeeze) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	return copyAll(ctx, out, in[0])
}

// newUnsqueeze returns Unsqueeze (opsets 1, 11, 13): the data, of any type, with additional
// dimensions of size 1. The axes, which count in the output, are an attribute or, since
// opset 13, the second input, an int64 vector.
//
// Attributes: axes (before opset 13, required), which may be negative since opset 11.
func newUnsqueeze(n ops.Node) (operation, error) {
	axes, err := axesAttr(n)
	if err == nil && n.Opset < 13 && axes == nil {
		err = fmt.Errorf("%w: axes is missing", ops.ErrAttribute)
	}
	return unsqueeze{axes, n.Opset >= 13}, err
}

type unsqueeze struct {
	axes  []int64
	input bool // the axes are an input
}

func (k unsqueeze) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	if k.input && len(in) < 2 {
		return data, fmt.Errorf("%w: axes is missing", ops.ErrShape)
	}
	axes, number, err := axesInput(k.axes, in)
	if err != nil {
		return data, err
	}
	if !number.Known() {
		return data, errNotYet
	}
	if number.Size > ops.MaxRank {
		return data, fmt.Errorf("%w: data is %v with %v new axes, want at most %d", ops.ErrShape, data, number, ops.MaxRank)
	}
	rank := len(data.Shape) + number.Size
	if axes == nil && number.Size > 0 {
		return ops.Type{DType: data.DType, Shape: slices.Repeat([]ops.Dim{unknown}, rank)}, nil
	}
	added, err := axisSet(axes, rank)
	if err != nil {
		return data, fmt.Errorf("%w: data is %v", err, data)
	}
	shape := make([]ops.Dim, 0, rank)
	rest := data.Shape
	for i := range rank {
		if added[i] {
			shape = append(shape, ops.Dim{Size: 1})
		} else {
			shape, rest = append(shape, rest[0]), rest[1:]
		}
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

func (k unsqueeze) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return copyAll(ctx, out, in[0])
}
