package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newConv returns Conv (opsets 1, 11) for images X (N, C, H, W), weights W (M, C/group, kH,
// kW) and an optional bias B (M). All inputs are float32, or all are float64. The output is
// (N, M, H', W'). There may be any number of spatial axes; float32 images with one or two
// spatial axes take a fast path.
//
// Attributes: kernel_shape (default: the spatial shape of W), strides (default 1),
// dilations (default 1), pads (default 0), auto_pad (default NOTSET; or VALID, SAME_UPPER,
// SAME_LOWER), group (default 1).
func newConv(n ops.Node) (operation, error) {
	w, err := newWindow(n.Attributes, "group")
	if err != nil {
		return nil, err
	}
	group, err := groupAttr(n.Attributes)
	return &conv{window: w, group: group}, err
}

type conv struct {
	window  window
	group   int
	weights keptWeights
}

func (c *conv) infer(in []*ops.Input) (ops.Type, error) {
	x, w := in[0].Type, in[1].Type
	for i, name := range []string{"X", "W", "B"}[:len(in)] {
		if in[i] == nil {
			continue
		}
		if err := in[i].Type.CheckDType(name, floatTypes...); err != nil {
			return ops.Type{}, err
		}
		if in[i].DType != x.DType {
			return ops.Type{}, fmt.Errorf("%w: X is %v but %s is %v", ops.ErrDType, x, name, in[i].Type)
		}
	}
	if err := checkImages(x); err != nil {
		return ops.Type{}, err
	}
	if len(w.Shape) != len(x.Shape) {
		return ops.Type{}, fmt.Errorf("%w: X is %v but W is %v", ops.ErrShape, x, w)
	}
	if c1, c2 := x.Shape[1], w.Shape[1]; c1.Known() && c2.Known() && c1.Size != c2.Size*c.group {
		return ops.Type{}, fmt.Errorf("%w: X is %v with channels %d, but W is %v with channels %d per group and group %d",
			ops.ErrShape, x, c1.Size, w, c2.Size, c.group)
	}
	channels := w.Shape[0]
	if channels.Known() && channels.Size%c.group != 0 {
		return ops.Type{}, fmt.Errorf("%w: W is %v: the number of filters, %d, is not a multiple of group, %d", ops.ErrShape, w, channels.Size, c.group)
	}
	if len(in) == 3 && in[2] != nil {
		b := in[2].Type
		ok := len(b.Shape) == 1
		if ok {
			channels, ok = mergeDims(channels, b.Shape[0])
		}
		if !ok {
			return ops.Type{}, fmt.Errorf("%w: W is %v but B is %v", ops.ErrShape, w, b)
		}
	}
	axes, err := c.axes(x.Shape, w.Shape)
	if err != nil {
		return ops.Type{}, fmt.Errorf("%w: X is %v, W is %v", err, x, w)
	}
	shape := []ops.Dim{x.Shape[0], channels}
	for _, a := range axes {
		shape = append(shape, ops.Dim{Size: a.out})
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

// axes returns the spatial axes for X and W of the given shapes.
func (c *conv) axes(x, w []ops.Dim) ([]spatialAxis, error) {
	kernel, err := c.window.kernelOf(w[2:])
	if err != nil {
		return nil, err
	}
	return c.window.axes(x[2:], kernel)
}

func (c *conv) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.Len() == 0 {
		return nil
	}
	if len(out.Shape()) > 4 || in[0].DType() != ops.Float32 {
		return c.runGeneral(ctx, in, out)
	}
	j, err := c.convolution(ctx, in)
	if err != nil {
		return err
	}
	return j.compute(ctx, in, out)
}

// convolution returns the convolution of inputs, with everything that is the same for all inputs of
// their shapes.
func (c *conv) convolution(ctx *ops.Context, in []*ops.Tensor) (*convolution, error) {
	x, w := in[0], in[1]
	j := ops.Scratch[convolution](ctx)
	if j.of == c && slices.Equal(j.image, x.Shape()) && slices.Equal(j.window, w.Shape()) {
		return j, ctx.Reserve(j.memory)
	}
	axes, err := c.axes(ops.Dims(x.Shape()...), ops.Dims(w.Shape()...))
	if err != nil {
		return nil, err
	}
	*j = convolution{
		of: c, image: slices.Clone(x.Shape()), window: slices.Clone(w.Shape()),
		images: x.Shape()[0], channels: w.Shape()[1], filters: w.Shape()[0] / c.group, group: c.group,
	}
	j.rows, j.cols = rowsAndColumns(axes)
	if err := j.prepare(ctx); err != nil {
		j.of = nil // incomplete
		return nil, err
	}
	return j, nil
}
