package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
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
	if err := checkZero("x", in, 0, 2, perTensor); err != nil {
		return ops.Type{}, err
	}
	if err := checkZero("w", in, 1, 3, perFilter); err != nil {
		return ops.Type{}, err
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
	t := temporary{ctx: ctx}
	zeroX, zerosW := int32sOf(&t, optionalInput(in, 2)), int32sOf(&t, optionalInput(in, 3))
	if t.err != nil || out.Len() == 0 {
		return t.err
	}
	inputs := integerInputs{x: in[0], w: in[1], zeroX: zeroX[0], zerosW: zerosW, constant: ctx.Constant(1)}
	j, err := k.prepareIntegers(ctx, &inputs)
	if err != nil {
		return err
	}
	if j.grid == nil {
		return k.runWide(ctx, &inputs, func(number int, plane []int64) error { return storeAll(ctx, out, number*len(plane), 1, plane) })
	}
	to, _ := ops.Data[int32](out)
	plane := numElements(out.Shape()[2:])
	return j.run(ctx, &inputs, func(_ *integerTile, filter, first int, sums []int32) {
		scatter(j.grid, to[filter*plane:], first, sums)
	})
}

// runWide calls done with every plane of the output and its index. It is for images with so much
// padding that no grid holds them.
func (k convInteger) runWide(ctx *ops.Context, in *integerInputs, done func(number int, plane []int64) error) error {
	axes, err := k.axes(ops.Dims(in.x.Shape()...), ops.Dims(in.w.Shape()...))
	if err != nil {
		return err
	}
	t := temporary{ctx: ctx}
	x, w := copyOf[int64](&t, in.x), copyOf[int64](&t, in.w)
	if t.err != nil {
		return t.err
	}
	f := &filtering[int64]{
		x: x, w: w, axes: axes,
		images: in.x.Shape()[0], group: k.group, channels: in.w.Shape()[1], filters: in.w.Shape()[0] / k.group,
	}
	err = inPieces(ctx, len(x), func(lo, hi int) {
		for i := range x[lo:hi] {
			x[lo+i] -= int64(in.zeroX)
		}
	})
	if err != nil {
		return err
	}
	taps := len(w) / (f.group * f.filters)
	err = inPieces(ctx, len(w), func(lo, hi int) {
		for i := range w[lo:hi] {
			w[lo+i] -= int64(in.zerosW[(lo+i)/taps%len(in.zerosW)])
		}
	})
	if err != nil {
		return err
	}
	for _, b := range in.bias {
		f.bias = append(f.bias, int64(b))
	}
	return f.run(ctx, done)
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
	if err := checkQuantized(in); err != nil {
		return ops.Type{}, err
	}
	var bias *ops.Input
	if len(in) > 8 && in[8] != nil {
		bias = in[8]
		if err := bias.Type.CheckDType("B", ops.Int32); err != nil {
			return ops.Type{}, err
		}
	}
	return convType(k.conv, in[0].Type, in[3].Type, bias, in[7].DType)
}

// checkQuantized checks the inputs of QLinearConv apart from the bias.
func checkQuantized(in []*ops.Input) error {
	for i, name := range []string{"x", "w"} {
		check, x := []func(x, z ops.Type) bool{perTensor, perFilter}[i], 3*i
		if err := checkZero(name, in, x, x+2, check); err != nil {
			return err
		}
		scale, zero := in[x+1].Type, in[x+2].Type
		if err := scale.CheckDType(name+"_scale", ops.Float32); err != nil {
			return err
		}
		if err := checkGranularity("scale", name, in[x].Type, scale, check); err != nil {
			return err
		}
		ok := len(scale.Shape) == len(zero.Shape)
		for j := 0; ok && j < len(scale.Shape); j++ {
			_, ok = mergeDims(scale.Shape[j], zero.Shape[j])
		}
		if !ok {
			return fmt.Errorf("%w: %s_scale is %v but %s_zero_point is %v", ops.ErrShape, name, scale, name, zero)
		}
	}
	if err := checkScalar("y_scale", in[6].Type, ops.Float32); err != nil {
		return err
	}
	return checkScalar("y_zero_point", in[7].Type, quantizedTypes...)
}

func (k qLinearConv) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	t := temporary{ctx: ctx}
	inputs := integerInputs{x: in[0], w: in[3], zeroX: int32(firstElement[int64](in[2])), zerosW: int32sOf(&t, in[5]), constant: ctx.Constant(3)}
	if bias := optionalInput(in, 8); bias != nil {
		inputs.bias = int32sOf(&t, bias)
	}
	scaleX, scalesW, scaleY := float32(firstElement[float64](in[1])), float32sOf(&t, in[4]), float32(firstElement[float64](in[6]))
	if t.err != nil || out.Len() == 0 {
		return t.err
	}
	// As in other runtimes, the factors are rounded to float32 one after the other.
	factors := bufferOf[float32](&t, len(scalesW))
	for i, s := range scalesW {
		factors[i] = float32(scaleX*s) / scaleY
	}
	j, err := k.prepareIntegers(ctx, &inputs)
	if err != nil {
		return err
	}
	quantum, to, plane := quantumOf(in[7]), quantizedData(out), numElements(out.Shape()[2:])
	factor := func(filter int) []float32 { return factors[filter%len(factors):][:1] }
	if j.grid == nil {
		filters := in[3].Shape()[0]
		return k.runWide(ctx, &inputs, func(number int, sums []int64) error {
			var v [chunk]int32
			watching := cancelCheck{ctx: ctx}
			for first := 0; first < len(sums); first += chunk {
				part := v[:min(chunk, len(sums)-first)]
				for i := range part {
					part[i] = int32(sums[first+i])
				}
				kernel.Requantize(to[number*plane+first:][:len(part)], part, factor(number%filters), quantum)
				if err := watching.after(chunk); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return j.run(ctx, &inputs, func(t *integerTile, filter, first int, sums []int32) {
		if len(j.grid.runs) == 1 {
			kernel.Requantize(to[filter*plane+first:][:len(sums)], sums, factor(filter), quantum)
			return
		}
		sums = sums[:roundUp(len(sums), room)] // whole vectors are faster
		if cap(t.bytes) < len(sums) {
			t.bytes = make([]uint8, len(sums))
		}
		b := t.bytes[:len(sums)]
		kernel.Requantize(b, sums, factor(filter), quantum)
		scatter(j.grid, to[filter*plane:], first, b)
	})
}
