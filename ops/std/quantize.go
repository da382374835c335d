package std

import (
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// quantize returns x/scale, rounded half to even, plus the zero point. Storing the result
// saturates it.
func quantize(x, scale, zero float64) float64 { return math.RoundToEven(x/scale) + zero }

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
