package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newMaxUnpool returns MaxUnpool (opsets 9, 11): images (N, C, ...), float32 or float64,
// with the elements of X at the places I, int64, that MaxPool returned, and 0 elsewhere.
// The optional third input, an int64 vector, is the shape of the output. The places always
// refer to the shape that follows from the attributes.
//
// Attributes: kernel_shape (required), strides (default 1), pads (default 0).
func newMaxUnpool(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("kernel_shape", "pads", "strides"); err != nil {
		return nil, err
	}
	w, err := newWindow(n.Attributes)
	if err == nil {
		err = w.requireKernel()
	}
	return &maxUnpool{convTranspose{window: w, group: 1}}, err
}

type maxUnpool struct{ sizes convTranspose }

// natural returns the shape that follows from the attributes.
func (k *maxUnpool) natural(x []ops.Dim) ([]ops.Dim, error) {
	kernel := make([]ops.Dim, len(x)-2)
	for i := range kernel {
		kernel[i] = unknown
	}
	axes, err := k.sizes.axes(x[2:], kernel)
	shape := slices.Clone(x[:2])
	for _, a := range axes {
		shape = append(shape, ops.Dim{Size: a.in})
	}
	return shape, err
}

func (k *maxUnpool) infer(in []*ops.Input) (ops.Type, error) {
	x, places := in[0].Type, in[1].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return x, err
	}
	if err := places.CheckDType("I", ops.Int64); err != nil {
		return x, err
	}
	if err := checkImages(x); err != nil {
		return x, err
	}
	ok := len(x.Shape) == len(places.Shape)
	for i := 0; ok && i < len(x.Shape); i++ {
		_, ok = mergeDims(x.Shape[i], places.Shape[i])
	}
	if !ok {
		return x, fmt.Errorf("%w: X is %v but I is %v", ops.ErrShape, x, places)
	}
	shape, err := k.natural(x.Shape)
	if err != nil {
		return x, fmt.Errorf("%w: X is %v", err, x)
	}
	if len(in) < 3 || in[2] == nil {
		return ops.Type{DType: x.DType, Shape: shape}, nil
	}
	list, number, err := shapeVector("output_shape", in[2])
	if err != nil {
		return x, err
	}
	if number != len(x.Shape) {
		return x, fmt.Errorf("%w: X is %v but the length of output_shape is %d", ops.ErrShape, x, number)
	}
	for i := range shape {
		smallest := shape[i]
		shape[i] = unknown
		if list == nil {
			continue
		}
		shape[i] = ops.Dim{Size: int(list[i])}
		if smallest.Known() && shape[i].Size < smallest.Size {
			return x, fmt.Errorf("%w: output_shape %v is too small for X, which is %v", ops.ErrShape, list, x)
		}
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

func (k *maxUnpool) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	natural, err := k.natural(ops.TypeOf(in[0]).Shape)
	if err != nil {
		return err
	}
	shape, known := ops.Type{Shape: natural}.Sizes()
	if !known {
		return ops.ErrShape
	}
	zero, err := ops.Zeros(out.DType(), []int{1})
	if err != nil {
		return err
	}
	c := constantOfShape{zero}
	if err := c.run(ctx, nil, out); err != nil {
		return err
	}
	size, strides := numElements(shape), rowMajor(out.Shape())
	var v [1]float64
	for i, place := range in[1].Int64s() {
		if i%chunk == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if place < 0 || place >= int64(size) {
			return fmt.Errorf("%w: index %d in I is out of range for images of shape %v", ops.ErrValue, place, shape)
		}
		at := 0
		for d, c := range coordinatesAt(int(place), shape).at {
			at += c * strides[d]
		}
		load(v[:], in[0], i, 1)
		store(out, at, 1, v[:])
	}
	return nil
}
