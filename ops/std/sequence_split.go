package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newSplitToSequence returns SplitToSequence (opsets 11, 24): a sequence of consecutive parts
// of the data, of any type, along an axis. The second input, int32 or int64, is the size of
// the parts, of which the last one may be smaller, or a vector of their sizes. Without it all
// sizes are 1.
//
// Attributes: axis (default 0); keepdims (default 1; with 0, parts without the second input
// lack the axis).
func newSplitToSequence(n ops.Node) (multiOperation, error) {
	axis, err := axisAttr(n, 0, "keepdims")
	if err != nil {
		return nil, err
	}
	keep, err := ops.Attr(n.Attributes, "keepdims", int64(1))
	return &splitToSequence{axis, keep != 0}, err
}

type splitToSequence struct {
	axis int64
	keep bool
}

func (k *splitToSequence) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	if x.DType.IsContainer() {
		return nil, fmt.Errorf("%w: the input is %v, want a tensor", ops.ErrDType, x)
	}
	if _, err := axisOf(k.axis, len(x.Shape)); err != nil {
		return nil, fmt.Errorf("%w: the input is %v", err, x)
	}
	if len(in) > 1 && in[1] != nil {
		if err := in[1].Type.CheckDType("split", indexTypes...); err != nil {
			return nil, err
		}
		if len(in[1].Shape) > 1 {
			return nil, fmt.Errorf("%w: split is %v, want a scalar or a vector", ops.ErrShape, in[1].Type)
		}
	}
	return []ops.Type{{DType: ops.Sequence, Elem: &ops.Type{DType: x.DType}}}, nil
}

func (k *splitToSequence) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	x := in[0]
	axis, err := axisOf(k.axis, len(x.Shape()))
	if err != nil {
		return err
	}
	var split *ops.Tensor
	if len(in) > 1 {
		split = in[1]
	}
	sizes, err := partSizes(ctx, split, x.Shape()[axis])
	if err != nil {
		return err
	}
	items := make([]*ops.Tensor, len(sizes))
	from, stride := 0, rowMajor(x.Shape())[axis]
	for i, size := range sizes {
		shape := slices.Clone(x.Shape())
		shape[axis] = size
		if items[i], err = part(ctx, x, shape, from); err != nil {
			return err
		}
		if split == nil && !k.keep {
			if items[i], err = items[i].Reshaped(slices.Delete(shape, axis, axis+1)); err != nil {
				return err
			}
		}
		from += size * stride
	}
	out[0], err = sequenceOf(ctx, ops.Type{DType: x.DType()}, items)
	return err
}

// partSizes returns the sizes of the parts of an axis of the given size.
func partSizes(ctx *ops.Context, split *ops.Tensor, size int) ([]int, error) {
	if split != nil && len(split.Shape()) == 1 {
		given := make([]int64, split.Len())
		if err := loadAll(ctx, given, split, 0, 1); err != nil {
			return nil, err
		}
		sizes, rest := make([]int, len(given)), int64(size)
		for i, n := range given {
			if n < 0 || n > rest {
				return nil, fmt.Errorf("%w: part %d has the size %d, but %d of the %d entries of the axis are left", ops.ErrValue, i, n, rest, size)
			}
			sizes[i], rest = int(n), rest-n
		}
		if rest > 0 {
			return nil, fmt.Errorf("%w: the sizes of the parts, %v, sum to %d, but the axis has %d entries", ops.ErrValue, given, int64(size)-rest, size)
		}
		return sizes, nil
	}
	each := int64(1)
	if split != nil {
		each = firstElement[int64](split)
	}
	if each < 1 {
		return nil, fmt.Errorf("%w: the size of the parts is %d, want at least 1", ops.ErrValue, each)
	}
	each = min(each, int64(max(size, 1)))
	sizes, err := ops.Temporary[int](ctx, int((int64(size)+each-1)/each))
	if err != nil {
		return nil, err
	}
	for i := range sizes {
		sizes[i] = min(int(each), size-i*int(each))
	}
	return sizes, nil
}

// newConcatFromSequence returns ConcatFromSequence (opset 11): the items of a sequence joined
// along an axis as by Concat, or stacked along a new one.
//
// Attributes: axis (required); new_axis (default 0; with 1, the items are stacked).
func newConcatFromSequence(n ops.Node) (multiOperation, error) {
	axis, err := axisAttr(n, 0, "new_axis")
	if err != nil {
		return nil, err
	}
	if _, ok := n.Attributes["axis"]; !ok {
		return nil, fmt.Errorf("%w: axis is missing", ops.ErrAttribute)
	}
	stack, err := ops.Attr(n.Attributes, "new_axis", int64(0))
	if err == nil && stack != 0 && stack != 1 {
		err = fmt.Errorf("%w: new_axis is %d, want 0 or 1", ops.ErrAttribute, stack)
	}
	return &concatFromSequence{axis, stack != 0}, err
}

type concatFromSequence struct {
	axis  int64
	stack bool
}

func (k *concatFromSequence) inferAll(in []*ops.Input) ([]ops.Type, error) {
	elem, err := checkSequence(in[0])
	if err != nil {
		return nil, err
	}
	if elem.DType.IsContainer() {
		return nil, fmt.Errorf("%w: input 0 is %v, want a sequence of tensors", ops.ErrDType, in[0].Type)
	}
	if in[0].Const == nil {
		return []ops.Type{{}}, nil
	}
	shape, _, err := k.shape(in[0].Const.Items())
	if err != nil {
		return nil, err
	}
	t := ops.Type{DType: elem.DType, Shape: ops.Dims(shape...)}
	return []ops.Type{t}, t.CheckSizes()
}

// shape returns the shape of the output, and the axis.
func (k *concatFromSequence) shape(items []*ops.Tensor) (shape []int, axis int, err error) {
	if len(items) == 0 {
		return nil, 0, fmt.Errorf("%w: the sequence is empty", ops.ErrValue)
	}
	shape = slices.Clone(items[0].Shape())
	rank := len(shape)
	if k.stack {
		rank++
	}
	if axis, err = axisOf(k.axis, rank); err != nil {
		return nil, 0, fmt.Errorf("%w: item 0 is %v", err, ops.TypeOf(items[0]))
	}
	if k.stack {
		shape = slices.Insert(shape, axis, 0)
	}
	shape[axis] = 0
	for i, x := range items {
		s := x.Shape()
		if len(s) == len(items[0].Shape()) {
			if k.stack {
				s = slices.Insert(slices.Clone(s), axis, 1)
			}
			shape[axis] += s[axis]
		}
		if len(s) != rank || !slices.Equal(s[:axis], shape[:axis]) || !slices.Equal(s[axis+1:], shape[axis+1:]) {
			return nil, 0, fmt.Errorf("%w: item %d is %v but item 0 is %v (axis %d)", ops.ErrShape, i, ops.TypeOf(x), ops.TypeOf(items[0]), axis)
		}
	}
	return shape, axis, nil
}

func (k *concatFromSequence) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	items := in[0].Items()
	shape, axis, err := k.shape(items)
	if err != nil {
		return err
	}
	if out[0] == nil {
		if out[0], err = temporaryTensor(ctx, ops.TypeOf(in[0]).Elem.DType, shape); err != nil {
			return err
		}
	}
	strides := rowMajor(shape)
	to := 0
	for _, x := range items {
		s := x.Shape()
		if k.stack {
			s = slices.Insert(slices.Clone(s), axis, 1)
		}
		c := copying{nest: newNest(s, strides, rowMajor(s)), to: to}
		if err := c.run(ctx, out[0], x); err != nil {
			return err
		}
		to += s[axis] * strides[axis]
	}
	return nil
}
