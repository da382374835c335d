package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// shapeVector is sizeVector for a shape: it also bounds the number of dimensions.
func shapeVector(name string, in *ops.Input) (list []int64, number int, err error) {
	if len(in.Shape) == 1 {
		if err := checkRank(in.Shape[0].Size); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", name, err)
		}
	}
	return sizeVector(name, in)
}

// sizeVector returns the elements of an int64 vector of sizes, which must be at least 0,
// and their number. If only the number is known, list is nil. If not even the number is
// known, it returns an error.
func sizeVector(name string, in *ops.Input) (list []int64, number int, err error) {
	length, err := checkVector(name, in, ops.Int64)
	if err != nil {
		return nil, 0, err
	}
	if in.Const == nil {
		if !length.Known() {
			return nil, 0, fmt.Errorf("%w: %s is %v: the number of sizes must be known", ops.ErrShape, name, in.Type)
		}
		return nil, length.Size, nil
	}
	list = in.Const.Int64s()
	for _, v := range list {
		if v < 0 || v > ops.MaxElements {
			return nil, 0, fmt.Errorf("%w: %s %v: %d is not a valid size", ops.ErrShape, name, list, v)
		}
	}
	return list, len(list), nil
}

// newExpand returns Expand (opsets 8, 13): the data, of any type, broadcast to the shape,
// an int64 vector. There are no attributes.
func newExpand(n ops.Node) (operation, error) { return expand{}, n.Attributes.Only() }

type expand struct{}

func (expand) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	list, number, err := shapeVector("shape", in[1])
	if err != nil {
		return data, err
	}
	want := slices.Repeat([]ops.Dim{unknown}, number)
	for i, v := range list {
		want[i] = ops.Dim{Size: int(v)}
	}
	shape, err := broadcast(data.Shape, want)
	if err != nil {
		return data, fmt.Errorf("%w: data is %v, the shape is %v", err, data, list)
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

func (k expand) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	c := ops.Scratch[copying](ctx)
	if c.mover == nil {
		shape := out.Shape()
		c.nest = newNest(shape, rowMajor(shape), broadcastStrides(in[0].Shape(), len(shape)))
	}
	return c.run(ctx, out, in[0])
}

// newTile returns Tile (opsets 1, 6, 13): the data, of any type, repeated along each dimension
// as often as repeats, an int64 vector, says. Before opset 6, the second input is a scalar, and
// the data is repeated along the axis that the third input holds. There are no attributes.
func newTile(n ops.Node) (operation, error) {
	want := 2
	if n.Opset < 6 {
		want = 3
	}
	if n.NumInputs != want {
		return nil, fmt.Errorf("the number of inputs is %d, want %d in opset %d", n.NumInputs, want, n.Opset)
	}
	return tiling{along: n.Opset < 6}, n.Attributes.Only()
}

type tiling struct{ along bool } // along one axis

// repeats returns how often the data is repeated along each dimension, or nil if that is not
// known, and the number of dimensions.
func (k tiling) repeats(in []*ops.Input) ([]int64, int, error) {
	if !k.along {
		return shapeVector("repeats", in[1])
	}
	if optional(in, 2) == nil {
		return nil, 0, fmt.Errorf("%w: axis is missing", ops.ErrShape)
	}
	rank := len(in[0].Shape)
	for i, name := range []string{"tiles", "axis"} {
		if err := checkScalar(name, in[i+1].Type, numericTypes...); err != nil {
			return nil, 0, err
		}
	}
	if in[1].Const == nil || in[2].Const == nil {
		return nil, rank, nil
	}
	axis, err := axisOf(firstElement[int64](in[2].Const), rank)
	if err != nil {
		return nil, 0, err
	}
	times := firstElement[int64](in[1].Const)
	if times < 0 || times > ops.MaxElements {
		return nil, 0, fmt.Errorf("%w: tiles is %d, which is not a valid number of repetitions", ops.ErrShape, times)
	}
	list := slices.Repeat([]int64{1}, rank)
	list[axis] = times
	return list, rank, nil
}

func (k tiling) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	list, number, err := k.repeats(in)
	if err != nil {
		return data, err
	}
	if number != len(data.Shape) {
		return data, fmt.Errorf("%w: the length of repeats is %d, but data is %v", ops.ErrShape, number, data)
	}
	shape := slices.Clone(data.Shape)
	for i, d := range shape {
		switch {
		case list != nil && list[i] == 1:
		case list == nil || !d.Known():
			shape[i] = unknown
		case list[i] > 0 && d.Size > ops.MaxElements/int(list[i]):
			return data, fmt.Errorf("%w: %v repeated %v times has too many elements", ops.ErrShape, data, list)
		default:
			shape[i] = ops.Dim{Size: d.Size * int(list[i])}
		}
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

func (k tiling) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if k.along {
		if err := checkValues(k, in, out); err != nil {
			return err
		}
	}
	c := ops.Scratch[copying](ctx)
	if c.mover == nil {
		// Each dimension becomes two: the repetitions, and the dimension of the data.
		var sizes, from []int
		strides := rowMajor(in[0].Shape())
		for i, size := range in[0].Shape() {
			times := 0
			if size > 0 {
				times = out.Shape()[i] / size
			}
			sizes = append(sizes, times, size)
			from = append(from, 0, strides[i])
		}
		c.nest = newNest(sizes, rowMajor(sizes), from)
	}
	return c.run(ctx, out, in[0])
}
