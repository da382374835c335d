package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// newConvInteger returns ConvInteger (opset 10): the convolution of x with w, int8 or
// uint8, as int32. See newConv. The optional zero points, inputs 2 and 3, are subtracted
// first. They are scalars; the zero point of w may also be a vector with one entry per
// filter.
//
// Attributes: as for newConv.
func newConvInteger(n ops.Node) (operation, error) {
	c, err := newConv(n)
	if err != nil {
		return nil, err
	}
	return convInteger{c.(*conv)}, nil
}

type convInteger struct{ *conv }

func (k convInteger) infer(in []*ops.Input) (ops.Type, error) {
	if err := checkZeroPoint("x", in, 0, 2, 0); err != nil {
		return ops.Type{}, err
	}
	if err := checkZeroPoint("w", in, 1, 3, 0); err != nil {
		return ops.Type{}, err
	}
	if len(in) > 2 && in[2] != nil {
		if err := checkScalar("x_zero_point", in[2].Type, quantizedTypes...); err != nil {
			return ops.Type{}, err
		}
	}
	return convType(k.conv, in[0].Type, in[1].Type, nil, ops.Int32)
}

// convType infers the type of a conv as if x and w were float32, and returns it with the
// given element type.
func convType(c *conv, x, w ops.Type, bias *ops.Input, result ops.DType) (ops.Type, error) {
	x.DType, w.DType = ops.Float32, ops.Float32
	in := []*ops.Input{{Type: x}, {Type: w}}
	if bias != nil {
		in = append(in, &ops.Input{Type: ops.Type{DType: ops.Float32, Shape: bias.Shape}})
	}
	t, err := c.infer(in)
	t.DType = result
	return t, err
}

func (k convInteger) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	f, err := k.filtering(ctx, in[0], in[1], optionalInput(in, 2), optionalInput(in, 3))
	if err != nil || out.Len() == 0 {
		return err
	}
	return f.run(ctx, func(number int, plane []int64) error { return storeAll(ctx, out, number*len(plane), 1, plane) })
}

func (k convInteger) filtering(ctx *ops.Context, x, w, zeroX, zeroW *ops.Tensor) (*filtering[int64], error) {
	axes, err := k.axes(ops.Dims(x.Shape()...), ops.Dims(w.Shape()...))
	if err != nil {
		return nil, err
	}
	t := temporary{ctx: ctx}
	return &filtering[int64]{
		x: subtractZeroPoint(&t, x, zeroX, 0), w: subtractZeroPoint(&t, w, zeroW, 0), axes: axes,
		images: x.Shape()[0], group: k.group, channels: w.Shape()[1], filters: w.Shape()[0] / k.group,
	}, t.err
}

// newQLinearConv returns QLinearConv (opset 10): the convolution of quantized x with w, as
// quantized numbers. The inputs are x, x_scale, x_zero_point, w, w_scale, w_zero_point,
// y_scale, y_zero_point and an optional int32 bias in units of x_scale*w_scale. x, w and y
// are int8 or uint8. Scales (float32) and zero points are scalars; for w they may also be
// vectors with one entry per filter.
//
// Attributes: as for newConv.
func newQLinearConv(n ops.Node) (operation, error) {
	k, err := newConvInteger(n)
	if err != nil {
		return nil, err
	}
	return qLinearConv{k.(convInteger)}, nil
}

type qLinearConv struct{ convInteger }

func (k qLinearConv) infer(in []*ops.Input) (ops.Type, error) {
	if err := checkQuantized(in, 3, 0); err != nil {
		return ops.Type{}, err
	}
	var bias *ops.Input
	if len(in) > 8 && in[8] != nil {
		bias = in[8]
		if err := checkDType("B", bias.Type, ops.Int32); err != nil {
			return ops.Type{}, err
		}
	}
	return convType(k.conv, in[0].Type, in[3].Type, bias, in[7].DType)
}

// checkQuantized checks the inputs of QLinearConv and QLinearMatMul. The second operand may
// have a scale and a zero point for each entry along an axis.
func checkQuantized(in []*ops.Input, second, axis int) error {
	if err := checkZeroPoint("x", in, 0, 2, 0); err != nil {
		return err
	}
	if err := checkZeroPoint("w", in, second, second+2, axis); err != nil {
		return err
	}
	if err := checkScalar("y_zero_point", in[7].Type, quantizedTypes...); err != nil {
		return err
	}
	for _, i := range []int{1, 6} {
		if err := checkScalar(fmt.Sprintf("input %d", i), in[i].Type, ops.Float32); err != nil {
			return err
		}
	}
	if err := checkScalar("x_zero_point", in[2].Type, quantizedTypes...); err != nil {
		return err
	}
	scale, zero := in[second+1].Type, in[second+2].Type
	if err := checkDType("w_scale", scale, ops.Float32); err != nil {
		return err
	}
	ok := len(scale.Shape) == len(zero.Shape)
	for i := 0; ok && i < len(scale.Shape); i++ {
		_, ok = mergeDims(scale.Shape[i], zero.Shape[i])
	}
	if !ok {
		return fmt.Errorf("%w: w_scale is %v but w_zero_point is %v", ops.ErrShape, scale, zero)
	}
	return nil
}

func (k qLinearConv) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	f, err := k.filtering(ctx, in[0], in[3], in[2], in[5])
	if err != nil || out.Len() == 0 {
		return err
	}
	t := temporary{ctx: ctx}
	if bias := optionalInput(in, 8); bias != nil {
		f.bias = elementsOf[int64](&t, bias)
	}
	scales := elementsOf[float64](&t, in[4])
	if t.err != nil {
		return t.err
	}
	factor, zero := firstElement[float64](in[1])/firstElement[float64](in[6]), firstElement[float64](in[7])
	return f.run(ctx, func(number int, plane []int64) error {
		scale := factor * scales[number%(f.group*f.filters)%len(scales)]
		return inPieces(ctx, len(plane), func(lo, hi int) {
			storeQuantized(out, number*len(plane)+lo, plane[lo:hi], scale, zero)
		})
	})
}

// storeQuantized stores sums times a scale as quantized numbers.
func storeQuantized(out *ops.Tensor, at int, sums []int64, scale, zero float64) {
	for i, s := range sums {
		store(out, at+i, 1, []float64{math.RoundToEven(float64(s)*scale) + zero})
	}
}
