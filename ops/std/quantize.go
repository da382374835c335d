package std

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newDynamicQuantizeLinear returns DynamicQuantizeLinear (opset 11): x, float32, as uint8,
// with the smallest scale for which the values of x and 0 fit, and its zero point. There
// are no attributes.
func newDynamicQuantizeLinear(n ops.Node) (multiOperation, error) {
	return dynamicQuantizeLinear{}, n.Attributes.Only()
}

type dynamicQuantizeLinear struct{}

func (dynamicQuantizeLinear) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	return []ops.Type{{DType: ops.Uint8, Shape: x.Shape}, {DType: ops.Float32}, {DType: ops.Uint8}}, x.CheckDType("x", ops.Float32)
}

func (dynamicQuantizeLinear) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	x := in[0].Float32s()
	low, high, err := boundsOf(ctx, x)
	if err != nil {
		return err
	}
	scale := (high - low) / 255
	if high == low { // all are 0
		scale = 1
	}
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
	to, _ := ops.Data[uint8](out[0])
	return ctx.For(len(x), quantizeGrain, func(lo, hi int) error {
		if scale == 0 {
			fill(to[lo:hi], uint8(zero))
		} else {
			kernel.Quantize(to[lo:hi], x[lo:hi], scale, kernel.Quantum{Zero: int32(zero)})
		}
		return nil
	})
}

// boundsOf returns the least and the largest of some numbers and 0. It ignores NaN.
func boundsOf(ctx *ops.Context, x []float32) (low, high float32, err error) {
	bounds := make([][2]float32, (len(x)+quantizeGrain-1)/quantizeGrain)
	err = ctx.For(len(bounds), 1, func(lo, hi int) error {
		for ; lo < hi; lo++ {
			least, largest := kernel.Bounds(x[lo*quantizeGrain:min((lo+1)*quantizeGrain, len(x))], 0, 0)
			bounds[lo] = [2]float32{least, largest}
		}
		return nil
	})
	for _, b := range bounds {
		low, high = min(low, b[0]), max(high, b[1])
	}
	return low, high, err
}

// quantizeGrain is the number of elements that make one call from a parallel loop worthwhile.
const quantizeGrain = 1 << 16

// isQuantized reports whether a tensor has integers of 8 bits.
func isQuantized(x *ops.Tensor) bool { return x.DType() == ops.Int8 || x.DType() == ops.Uint8 }

// isUniform reports whether so many neighboring elements have the same scale that they are worth a
// call of a kernel.
func (l *levels) isUniform() bool { return l.perInner == 0 && l.inner >= 64 }

// each calls f for neighboring elements of the same scale.
func (l *levels) each(ctx *ops.Context, n int, f func(lo, hi int, scale float32, zero int32)) error {
	return ctx.For(n, quantizeGrain, func(lo, hi int) error {
		for lo < hi {
			row := lo / l.inner
			end := min((row+1)*l.inner, hi)
			at := row/l.size*l.perOuter + row%l.size/l.block*l.perBlock
			zero := 0.0
			if len(l.zeros) > 0 {
				zero = l.zeros[at]
			}
			f(lo, end, float32(l.scales[at]), int32(zero))
			lo = end
		}
		return nil
	})
}

// quantize is run for QuantizeLinear of float32 to integers of 8 bits.
func (l *levels) quantize(ctx *ops.Context, x, out *ops.Tensor) error {
	v, to, signed := x.Float32s(), quantizedData(out), isSigned(out)
	return l.each(ctx, len(v), func(lo, hi int, scale float32, zero int32) {
		kernel.Quantize(to[lo:hi], v[lo:hi], scale, kernel.Quantum{Zero: zero, Signed: signed})
	})
}

// dequantize is run for DequantizeLinear of integers of 8 bits to float32.
func (l *levels) dequantize(ctx *ops.Context, x, out *ops.Tensor) error {
	v, to := bytesOf(x), out.Float32s()
	return l.each(ctx, len(to), func(lo, hi int, scale float32, zero int32) {
		kernel.Dequantize(to[lo:hi], v.Slice(lo, hi), scale, zero)
	})
}
