package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/minifloat"
	"github.com/spike-by-spike/sbs/ops"
)

// newQLinearMatMul returns QLinearMatMul (opsets 10, 21): the product of quantized matrices, as
// quantized numbers. See newMatMul. The inputs are a, a_scale, a_zero_point, b, b_scale,
// b_zero_point, y_scale and y_zero_point. a, b and y are int8, uint8 or float8. Scales
// (float32, or float16 or bfloat16 since opset 21) and zero points are scalars; those of a may
// also be vectors with one entry per row, and those of b vectors with one entry per column, and
// all may have the dimensions of the matrices, or 1. There are no attributes.
func newQLinearMatMul(n ops.Node) (operation, error) { return qLinearMatMul{}, n.Attributes.Only() }

type qLinearMatMul struct{}

func (qLinearMatMul) infer(in []*ops.Input) (ops.Type, error) {
	types := slices.Concat(quantizedTypes, float8Types)
	for _, m := range []struct {
		name     string
		at, axis int
	}{{"a", 0, -2}, {"b", 3, -1}} {
		x, scale, zero := in[m.at].Type, in[m.at+1].Type, in[m.at+2].Type
		if err := x.CheckDType(m.name, types...); err != nil {
			return x, err
		}
		if err := scale.CheckDType(m.name+"_scale", ops.Float32); err != nil {
			return x, err
		}
		if err := zero.CheckDType(m.name+"_zero_point", x.DType); err != nil {
			return x, err
		}
		if !fitsAlong(x.Shape, scale.Shape, m.axis) || !fitsAlong(x.Shape, zero.Shape, m.axis) {
			return x, fmt.Errorf("%w: %s is %v, its scale is %v, its zero point is %v", ops.ErrShape, m.name, x, scale, zero)
		}
	}
	if err := checkScalar("y_scale", in[6].Type, ops.Float32); err != nil {
		return ops.Type{}, err
	}
	if err := checkScalar("y_zero_point", in[7].Type, types...); err != nil {
		return ops.Type{}, err
	}
	return matMulType(in[7].DType, in[0].Type, in[3].Type)
}

func (k qLinearMatMul) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	whole := !isFloat(in[0].DType()) && !isFloat(in[3].DType()) && !isFloat(out.DType())
	if whole && isPerRow(in[0], in[1]) && isPerRow(in[0], in[2]) && isPerColumn(in[3], in[4]) && isPerColumn(in[3], in[5]) {
		return k.runQuantized(ctx, in, out)
	}
	return k.runScaled(ctx, in, out)
}

// runScaled multiplies the elements before the product by their scales.
func (qLinearMatMul) runScaled(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	t := temporary{ctx: ctx}
	scaled := func(x, scale, zero *ops.Tensor, axis int) []float64 {
		v := copyOf[float64](&t, x)
		combineAlong(&t, v, x.Shape(), elementsOf[float64](&t, zero), zero.Shape(), axis, func(v, zero float64) float64 { return v - zero })
		combineAlong(&t, v, x.Shape(), elementsOf[float64](&t, scale), scale.Shape(), axis, times[float64])
		return v
	}
	a, b := scaled(in[0], in[1], in[2], -2), scaled(in[3], in[4], in[5], -1)
	if t.err != nil {
		return t.err
	}
	scale, zero, integer := firstElement[float64](in[6]), firstElement[float64](in[7]), !isFloat(out.DType())
	return matrixProducts(ctx, in[0].Shape(), in[3].Shape(), a, b, func(at int, c []float64) {
		for i, v := range c {
			q := v / scale
			if integer {
				q = math.RoundToEven(q)
			}
			c[i] = q + zero
		}
		if integer {
			store(out, at, 1, c)
		} else {
			storeSmall(out, at, 1, c, true, minifloat.Up)
		}
	})
}
