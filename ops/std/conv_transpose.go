package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newConvTranspose returns ConvTranspose (opsets 1, 11): the transpose of a convolution of
// X (N, C, ...) with W (C, M/group, ...) and an optional bias B (M), with any number of
// spatial axes. All inputs are float32, or all are float64.
//
// Attributes: as for newConv, where pads are removed from the output; output_padding
// (default 0), the number of entries added at the end of each axis; output_shape, the
// spatial sizes of the output, which determine the pads.
func newConvTranspose(n ops.Node) (operation, error) {
	k := convTranspose{}
	var err error
	if k.window, err = newWindow(n.Attributes, "group", "output_padding", "output_shape"); err != nil {
		return nil, err
	}
	if k.group, err = groupAttr(n.Attributes); err != nil {
		return nil, err
	}
	if k.padding, err = sizesAttr(n.Attributes, "output_padding", 0); err != nil {
		return nil, err
	}
	k.shape, err = sizesAttr(n.Attributes, "output_shape", 0)
	return &k, err
}

type convTranspose struct {
	window         window
	group          int
	padding, shape []int // output_padding and output_shape, nil if not given
}

func (k *convTranspose) infer(in []*ops.Input) (ops.Type, error) {
	x, w := in[0].Type, in[1].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return x, err
	}
	for _, other := range in[1:] {
		if other != nil && other.DType != x.DType {
			return x, fmt.Errorf("%w: X is %v but another input is %v", ops.ErrDType, x, other.Type)
		}
	}
	ok := len(x.Shape) >= 3 && len(w.Shape) == len(x.Shape)
	var channels ops.Dim
	if ok {
		channels, ok = mergeDims(x.Shape[1], w.Shape[0])
	}
	if !ok || channels.Known() && channels.Size%k.group != 0 {
		return x, fmt.Errorf("%w: X is %v, W is %v, group %d", ops.ErrShape, x, w, k.group)
	}
	filters := unknown
	if d := w.Shape[1]; d.Known() {
		if d.Size > 0 && k.group > ops.MaxElements/d.Size {
			return x, fmt.Errorf("%w: W is %v, group %d", ops.ErrShape, w, k.group)
		}
		filters = ops.Dim{Size: d.Size * k.group}
	}
	if len(in) == 3 && in[2] != nil {
		if b := in[2].Type; len(b.Shape) == 1 {
			filters, ok = mergeDims(filters, b.Shape[0])
		} else {
			ok = false
		}
		if !ok {
			return x, fmt.Errorf("%w: W is %v, group %d, but B is %v", ops.ErrShape, w, k.group, in[2].Type)
		}
	}
	axes, err := k.axes(x.Shape[2:], w.Shape[2:])
	if err != nil {
		return x, fmt.Errorf("%w: X is %v, W is %v", err, x, w)
	}
	shape := []ops.Dim{x.Shape[0], filters}
	for _, a := range axes {
		shape = append(shape, ops.Dim{Size: a.in})
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

// axes returns the axes of the convolution that this operation is the transpose of.
// Therefore a.out is a size of X, and a.in is a size of the output.
func (k *convTranspose) axes(x, w []ops.Dim) ([]spatialAxis, error) {
	n := len(x)
	axes, err := k.window.settings(n)
	if err != nil {
		return nil, err
	}
	if err := checkNumbers("output_padding", k.padding, n, n); err != nil {
		return nil, err
	}
	wanted, err := k.outputSizes(n)
	if err != nil {
		return nil, err
	}
	kernel, err := k.window.kernelOf(w)
	if err != nil {
		return nil, err
	}
	for i := range axes {
		a := &axes[i]
		a.in, a.out, a.kernel = numberAt(wanted, i, -1), x[i].Size, kernel[i]
		if a.out < 0 || a.kernel < 0 {
			continue
		}
		if err := a.resolveTransposed(k.window.autoPad, numberAt(k.padding, i, 0)); err != nil {
			return nil, fmt.Errorf("%w on spatial axis %d", err, i)
		}
	}
	return axes, nil
}

// outputSizes returns the spatial sizes in output_shape, or nil if it is not given. Some
// exporters write the whole shape.
func (k *convTranspose) outputSizes(axes int) ([]int, error) {
	switch len(k.shape) {
	case axes:
		return k.shape, nil
	case axes + 2:
		return k.shape[2:], nil
	}
	if k.shape == nil {
		return nil, nil
	}
	return nil, fmt.Errorf("%w: the length of output_shape %v is %d, want %d or %d (spatial axes: %d)", ops.ErrAttribute, k.shape, len(k.shape), axes, axes+2, axes)
}

// resolveTransposed computes the size of the output from the padding or, if the size is
// given, the padding from the size. more is the output_padding.
func (a *spatialAxis) resolveTransposed(autoPad string, more int) error {
	if a.out == 0 {
		return fmt.Errorf("%w: X has no pixels", ops.ErrShape)
	}
	if a.in < 0 && (autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER") {
		a.in = a.out * a.stride
	}
	full := (a.out-1)*a.stride + (a.kernel-1)*a.dilation + 1 + more
	if a.in < 0 {
		a.in = full - a.before - a.after
	} else {
		total := max(0, full-a.in)
		a.before, a.after = total-total/2, total/2
		if autoPad == "SAME_UPPER" {
			a.before, a.after = a.after, a.before
		}
	}
	if a.in < 0 || a.in > ops.MaxElements {
		return fmt.Errorf("%w: the output would have size %d", ops.ErrShape, a.in)
	}
	return nil
}

func (k *convTranspose) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	x, w := in[0], in[1]
	axes, err := k.axes(ops.Dims(x.Shape()[2:]...), ops.Dims(w.Shape()[2:]...))
	if err != nil || out.Len() == 0 {
		return err
	}
	if x.DType() == ops.Float32 {
		return k.runSingle(ctx, axes, in, out)
	}
	t := temporary{ctx: ctx}
	f := filtering[float64]{
		x: elementsOf[float64](&t, x), w: elementsOf[float64](&t, w), axes: axes, transposed: true,
		images: x.Shape()[0], group: k.group, channels: x.Shape()[1] / k.group, filters: w.Shape()[1],
	}
	if len(in) == 3 && in[2] != nil {
		f.bias = elementsOf[float64](&t, in[2])
	}
	if t.err != nil {
		return t.err
	}
	return f.run(ctx, func(number int, plane []float64) error { return storeAll(ctx, out, number*len(plane), 1, plane) })
}
