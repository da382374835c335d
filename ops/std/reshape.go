package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newReshape returns Reshape (opsets 1, 5, 13, 14, 19, 21, 23 to 25): the same elements in another shape, which
// is an int64 vector. A 0 in the shape stands for the dimension of the data at the same
// position, and one -1 for the size that remains. The data has any type and shape.
//
// Attributes: allowzero (default 0; since opset 14; 1 makes a 0 in the shape a size), shape
// (before opset 5, instead of the input).
func newReshape(n ops.Node) (operation, error) {
	var known []string
	if n.Opset < 5 {
		known = []string{"shape"}
	}
	if n.Opset >= 14 {
		known = []string{"allowzero"}
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	allowZero, err := ops.Attr(n.Attributes, "allowzero", int64(0))
	if err != nil {
		return nil, err
	}
	if n.Opset >= 5 && n.NumInputs != 2 || n.Opset < 5 && n.NumInputs != 1 {
		return nil, fmt.Errorf("the number of inputs is %d: the shape is an attribute before opset 5, and the second input since then", n.NumInputs)
	}
	k := reshape{allowZero: allowZero != 0}
	if n.Opset < 5 {
		k.shape, err = ops.Attr(n.Attributes, "shape", []int64{})
	}
	return k, err
}

type reshape struct {
	allowZero bool
	shape     []int64 // from the attribute
}

func (k reshape) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	if k.shape != nil {
		return k.reshapedType(data, k.shape)
	}
	if optional(in, 1) == nil {
		return ops.Type{}, fmt.Errorf("%w: shape is missing", ops.ErrShape)
	}
	rank, err := checkVector("shape", in[1], ops.Int64)
	if err != nil {
		return ops.Type{}, err
	}
	if err := checkRank(rank.Size); err != nil {
		return ops.Type{}, fmt.Errorf("shape: %w", err)
	}
	if in[1].Const != nil || rank.Size == 0 { // an empty shape is known without its value
		want := []int64{}
		if in[1].Const != nil {
			want = in[1].Const.Int64s()
		}
		return k.reshapedType(data, want)
	}
	if !rank.Known() {
		return ops.Type{}, fmt.Errorf("%w: shape is %v: the rank of the output must be known", ops.ErrShape, in[1].Type)
	}
	return ops.Type{DType: data.DType, Shape: slices.Repeat([]ops.Dim{unknown}, rank.Size)}, nil
}

func (k reshape) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return copyAll(ctx, out, in[0])
}

func (k reshape) reshapedType(data ops.Type, want []int64) (ops.Type, error) {
	shape, err := k.reshaped(data.Shape, want)
	if err == nil {
		err = checkRank(len(shape))
	}
	if err != nil {
		return ops.Type{}, fmt.Errorf("%w: %v cannot be reshaped to %v", err, data, want)
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

// reshaped returns the shape of the output for a given shape input.
func (k reshape) reshaped(data []ops.Dim, want []int64) ([]ops.Dim, error) {
	shape := make([]ops.Dim, len(want))
	free := -1 // index of -1 in want
	// Dimensions that are copied cancel out, so they need not be known.
	var given []int
	rest := slices.Clone(data)
	for i, w := range want {
		switch {
		case w == 0 && !k.allowZero:
			if i >= len(data) {
				return nil, fmt.Errorf("%w: the 0 at index %d has no dimension to copy", ops.ErrShape, i)
			}
			shape[i] = data[i]
			rest[i] = ops.Dim{Size: 1}
		case w == -1 && free < 0:
			free = i
		case w < 0 || w > ops.MaxElements:
			return nil, fmt.Errorf("%w: %d is not a valid size", ops.ErrShape, w)
		default:
			shape[i] = ops.Dim{Size: int(w)}
			given = append(given, int(w))
		}
	}
	need, err := ops.Len(given)
	if err != nil {
		return nil, err
	}
	have := dimProduct(rest)
	if free < 0 {
		before, after := dimProduct(data), dimProduct(shape)
		if !before.Known() || !after.Known() {
			before, after = have, ops.Dim{Size: need}
		}
		if before.Known() && before.Size != after.Size {
			return nil, ops.ErrShape
		}
		return shape, nil
	}
	switch {
	case need == 0:
		return nil, fmt.Errorf("%w: the size for -1 is ambiguous", ops.ErrShape)
	case need == 1:
		shape[free] = have
	case !have.Known():
		shape[free] = divided(rest, need)
	case have.Size%need != 0:
		return nil, ops.ErrShape
	default:
		shape[free] = ops.Dim{Size: have.Size / need}
	}
	return shape, nil
}

// divided returns the product of dimensions divided by a number, if it is known without the
// dimensions that are unknown.
func divided(dims []ops.Dim, by int) ops.Dim {
	left := slices.Clone(dims)
	known := 1
	for i, d := range left {
		if d.Known() {
			known *= d.Size
			left[i] = ops.Dim{Size: 1}
		}
	}
	if known != by {
		return unknown
	}
	return dimProduct(left)
}
