package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// perAxis is a scale and a zero point for the whole tensor, or for each entry along an
// axis.
type perAxis struct {
	axis   int64
	scales []float64
	zeros  []float64 // empty if there is no zero point
	block  int       // number of consecutive elements with the same scale
}

// newQuantization reads the attribute axis (default 1; since opset 13).
func newQuantization(n ops.Node) (perAxis, error) {
	var known []string
	if n.Opset >= 13 {
		known = []string{"axis"}
	}
	if err := n.Attributes.Only(known...); err != nil {
		return perAxis{}, err
	}
	axis, err := ops.Attr(n.Attributes, "axis", int64(1))
	return perAxis{axis: axis}, err
}

// check checks the scale and the optional zero point, inputs 1 and 2.
func (k perAxis) check(in []*ops.Input, zeroTypes ...ops.DType) error {
	x := in[0].Type
	if err := checkDType("scale", in[1].Type, ops.Float32); err != nil {
		return err
	}
	if len(in) > 2 && in[2] != nil {
		if err := checkDType("zero_point", in[2].Type, zeroTypes...); err != nil {
			return err
		}
	}
	for i, t := range in[1:] {
		if t == nil {
			continue
		}
		ok := len(t.Shape) == 0
		if len(t.Shape) == 1 {
			if ok = t.Shape[0].Size == 1; !ok {
				axis, err := axisOf(k.axis, len(x.Shape))
				if err == nil {
					_, ok = mergeDims(t.Shape[0], x.Shape[axis])
				}
			}
		}
		if !ok {
			return fmt.Errorf("%w: x is %v but input %d is %v (axis %d)", ops.ErrShape, x, i+1, t.Type, k.axis)
		}
	}
	if len(in) > 2 && in[2] != nil && len(in[1].Shape) != len(in[2].Shape) {
		return fmt.Errorf("%w: scale is %v but zero_point is %v", ops.ErrShape, in[1].Type, in[2].Type)
	}
	return nil
}

// with returns k with the values of the inputs.
func (k perAxis) with(ctx *ops.Context, in []*ops.Tensor) (perAxis, error) {
	t := temporary{ctx: ctx}
	k.scales, k.block = elementsOf[float64](&t, in[1]), max(1, in[0].Len())
	if len(in) > 2 && in[2] != nil {
		k.zeros = elementsOf[float64](&t, in[2])
		if t.err == nil && len(k.zeros) != len(k.scales) {
			return k, fmt.Errorf("%w: the number of scales is %d but the number of zero points is %d", ops.ErrShape, len(k.scales), len(k.zeros))
		}
	}
	if t.err != nil {
		return k, t.err
	}
	if len(k.scales) != 1 {
		axis, err := axisOf(k.axis, len(in[0].Shape()))
		if err != nil {
			return k, err
		}
		k.block = max(1, numElements(in[0].Shape()[axis+1:]))
	}
	return k, nil
}

// at returns the scale and the zero point of an element.
func (k *perAxis) at(i int) (scale, zero float64) {
	c := i / k.block % len(k.scales)
	if len(k.zeros) > 0 {
		zero = k.zeros[c]
	}
	return k.scales[c], zero
}

// quantize returns x/scale, rounded half to even, plus the zero point. Storing the result
// saturates it.
func quantize(x, scale, zero float64) float64 { return math.RoundToEven(x/scale) + zero }

// newQuantizeLinear returns QuantizeLinear (opsets 10, 13): x/y_scale, rounded, plus
// y_zero_point. The output has the type of the zero point, int8 or uint8, or uint8 without
// one. x is float32 or int32. The scale and the zero point are scalars, or vectors along an
// axis.
//
// Attributes: axis (default 1; since opset 13).
func newQuantizeLinear(n ops.Node) (operation, error) {
	k, err := newQuantization(n)
	return quantizeLinear{k}, err
}

type quantizeLinear struct{ perAxis }

func (k quantizeLinear) infer(in []*ops.Input) (ops.Type, error) {
	t := in[0].Type
	if err := checkDType("x", t, ops.Float32, ops.Int32); err != nil {
		return t, err
	}
	if err := k.check(in, ops.Int8, ops.Uint8); err != nil {
		return t, err
	}
	t.DType = ops.Uint8
	if len(in) > 2 && in[2] != nil {
		t.DType = in[2].DType
	}
	return t, nil
}

func (k quantizeLinear) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return k.perAxis.run(ctx, in, out, func(x, scale, zero float64) float64 {
		// Other runtimes divide in float32, which decides how ties are rounded.
		return math.RoundToEven(float64(float32(x)/float32(scale))) + zero
	})
}

func (k perAxis) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor, f func(x, scale, zero float64) float64) error {
	k, err := k.with(ctx, in)
	if err != nil {
		return err
	}
	return ctx.For(out.Len(), grain, func(lo, hi int) error {
		var v [chunk]float64
		for ; lo < hi; lo += chunk {
			part := v[:min(chunk, hi-lo)]
			load(part, in[0], lo, 1)
			for i, x := range part {
				scale, zero := k.at(lo + i)
				part[i] = f(x, scale, zero)
			}
			store(out, lo, 1, part)
		}
		return nil
	})
}

// newDequantizeLinear returns DequantizeLinear (opsets 10, 13): (x - x_zero_point) *
// x_scale, as float32. x is int8, uint8 or int32, and the zero point has the same type. See
// newQuantizeLinear.
//
// Attributes: axis (default 1; since opset 13).
func newDequantizeLinear(n ops.Node) (operation, error) {
	k, err := newQuantization(n)
	return dequantizeLinear{k}, err
}

type dequantizeLinear struct{ perAxis }

func (k dequantizeLinear) infer(in []*ops.Input) (ops.Type, error) {
	t := in[0].Type
	if err := checkDType("x", t, ops.Int8, ops.Uint8, ops.Int32); err != nil {
		return t, err
	}
	err := k.check(in, t.DType)
	t.DType = ops.Float32
	return t, err
}

func (k dequantizeLinear) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return k.perAxis.run(ctx, in, out, func(x, scale, zero float64) float64 { return (x - zero) * scale })
}

// newDynamicQuantizeLinear returns DynamicQuantizeLinear (opset 11): x, float32, as uint8,
// with the smallest scale for which the values of x and 0 fit, and its zero point. There
// are no attributes.
func newDynamicQuantizeLinear(n ops.Node) (multiOperation, error) {
	return dynamicQuantizeLinear{}, n.Attributes.Only()
}

type dynamicQuantizeLinear struct{}

func (dynamicQuantizeLinear) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	return []ops.Type{{DType: ops.Uint8, Shape: x.Shape}, {DType: ops.Float32}, {DType: ops.Uint8}}, checkDType("x", x, ops.Float32)
}

func (dynamicQuantizeLinear) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	var low, high float32
	x := in[0].Float32s()
	err := inPieces(ctx, len(x), func(lo, hi int) {
		for _, v := range x[lo:hi] {
			low, high = min(low, v), max(high, v)
		}
	})
	if err != nil {
		return err
	}
	scale := (high - low) / 255
	zero := 0.0
	if scale != 0 {
		zero = math.RoundToEven(float64(min(max(-low/scale, 0), 255)))
	}
	if len(out) > 1 {
		store(out[1], 0, 1, []float64{float64(scale)})
	}
	if len(out) > 2 {
		store(out[2], 0, 1, []float64{zero})
	}
	compute := eachWide(func(x float64) float64 {
		if scale == 0 {
			return zero
		}
		return quantize(float64(float32(x)/scale), 1, zero)
	})
	return ctx.Do(out[0].Len(), grain, &unaryLoop{out: out[0], x: in[0], compute: compute})
}
