package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/minifloat"
	"github.com/spike-by-spike/sbs/ops"
)

// levelTypes lists the types of quantized numbers of QuantizeLinear and DequantizeLinear.
var levelTypes = slices.Concat([]ops.DType{
	ops.Int8, ops.Uint8, ops.Int16, ops.Uint16, ops.Int4, ops.Uint4, ops.Int2, ops.Uint2, ops.Float4E2M1,
}, float8Types)

// newQuantizeLinear returns QuantizeLinear (opsets 10, 13, 19, 21, 23, 24, 25): x/y_scale,
// rounded, plus y_zero_point. The result is an integer of 16, 8, 4 or 2 bits or a
// floating-point number of 8 or 4 bits; what is out of range becomes the nearest number in
// range. x is float32, float16, bfloat16 or int32, and the scale may have any of these types
// and float8e8m0.
//
// The scale and the zero point are scalars, or vectors along an axis, or have the dimensions
// of x but one for each block along the axis.
//
// Attributes: axis (default 1; since opset 13); block_size (default 0: no blocks; since opset
// 21); saturate (default 1; since opset 19): whether 8-bit floating-point numbers take the
// largest number for those out of range, and not infinity or NaN; output_dtype (default: the
// type of the zero point, or uint8 without one; since opset 21); precision (default: the type
// of the scale; since opset 23), the type to which the quotient is rounded.
func newQuantizeLinear(n ops.Node) (operation, error) {
	var more []string
	for _, a := range []struct {
		name  string
		since int
	}{{"saturate", 19}, {"output_dtype", 21}, {"precision", 23}} {
		if n.Opset >= a.since {
			more = append(more, a.name)
		}
	}
	g, err := newGranularity(n, more...)
	if err != nil {
		return nil, err
	}
	k := &quantizeLinear{granularity: g}
	saturate, err := ops.Attr(n.Attributes, "saturate", int64(1))
	if err != nil {
		return nil, err
	}
	k.saturate = saturate != 0
	if k.output, err = typeChoice(n.Attributes, "output_dtype", levelTypes...); err != nil {
		return nil, err
	}
	k.precision, err = typeChoice(n.Attributes, "precision", ops.Float32, ops.Float64, ops.Float16, ops.BFloat16)
	return k, err
}

// typeChoice returns an attribute that is one of some data types, or 0 (the default).
func typeChoice(a ops.Attributes, name string, of ...ops.DType) (ops.DType, error) {
	v, err := ops.Attr(a, name, int64(0))
	if err != nil || v == 0 {
		return 0, err
	}
	if d := ops.DType(v); int64(d) == v && slices.Contains(of, d) {
		return d, nil
	}
	return 0, fmt.Errorf("%w: %s: %w: data type %d", ops.ErrAttribute, name, ops.ErrDType, v)
}

type quantizeLinear struct {
	granularity
	saturate          bool
	output, precision ops.DType // 0 means the default
}

func (k *quantizeLinear) infer(in []*ops.Input) (ops.Type, error) {
	t, scale := in[0].Type, in[1].Type
	if err := t.CheckDType("x", ops.Float32, ops.Float16, ops.BFloat16, ops.Int32); err != nil {
		return t, err
	}
	if err := scale.CheckDType("y_scale", ops.Float32, ops.Float16, ops.BFloat16, ops.Int32, ops.Float8E8M0); err != nil {
		return t, err
	}
	if t.DType = k.output; t.DType == 0 {
		t.DType = ops.Uint8
	}
	if zero := optionalInput(in, 2); zero != nil {
		if err := zero.Type.CheckDType("y_zero_point", levelTypes...); err != nil {
			return t, err
		}
		if k.output != 0 && k.output != zero.DType {
			return t, fmt.Errorf("%w: y_zero_point is %v but output_dtype is %v", ops.ErrDType, zero.Type, k.output)
		}
		t.DType = zero.DType
	}
	return t, k.check(in)
}

func (k *quantizeLinear) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	l, err := k.levelsOf(ctx, in)
	if err != nil {
		return err
	}
	// The precision of the division decides how ties are rounded.
	precision := k.precision
	if precision == 0 {
		precision = in[1].DType()
	}
	if precision == ops.Float32 && in[0].DType() == ops.Float32 && l.isUniform() && isQuantized(out) {
		return l.quantize(ctx, in[0], out)
	}
	round, integer := roundingTo(precision), !isFloat(out.DType())
	return l.run(ctx, in[0], out, func(v, scales, zeros []float64) {
		for i, x := range v {
			q := x / scales[i]
			if precision == ops.Float32 {
				q = float64(float32(q))
			} else {
				q = round(q)
			}
			if integer {
				q = math.RoundToEven(q)
			}
			v[i] = q + zeros[i]
		}
	}, func(at int, v []float64) {
		if isFloat8(out.DType()) {
			storeSmall(out, at, 1, v, k.saturate, minifloat.Up)
		} else {
			store(out, at, 1, v)
		}
	})
}

// roundingTo returns a function that rounds numbers to a type. float64 and types without
// fractions count as float32 does, except that nothing is rounded to float64.
func roundingTo(d ops.DType) func(float64) float64 {
	switch d {
	case ops.Float64:
		return func(v float64) float64 { return v }
	case ops.Float16:
		return func(v float64) float64 { return ops.ToF16(v).Float64() }
	case ops.BFloat16:
		return func(v float64) float64 { return ops.ToBF16(v).Float64() }
	}
	return func(v float64) float64 { return float64(float32(v)) }
}

// newDequantizeLinear returns DequantizeLinear (opsets 10, 13, 19, 21, 23, 24, 25): (x -
// x_zero_point) * x_scale. x is int32 or has one of the types of results of newQuantizeLinear,
// and the zero point has the same type. The scale is float32, float16, bfloat16 or
// float8e8m0. See newQuantizeLinear for the shapes.
//
// Attributes: axis (default 1; since opset 13), block_size (default 0: no blocks; since opset
// 21), output_dtype (default: the type of the scale; since opset 23): float32, float16 or
// bfloat16.
func newDequantizeLinear(n ops.Node) (operation, error) {
	var more []string
	if n.Opset >= 23 {
		more = []string{"output_dtype"}
	}
	g, err := newGranularity(n, more...)
	if err != nil {
		return nil, err
	}
	output, err := typeChoice(n.Attributes, "output_dtype", ops.Float32, ops.Float16, ops.BFloat16)
	return &dequantizeLinear{g, output}, err
}

type dequantizeLinear struct {
	granularity
	output ops.DType // 0 means the type of the scale
}

func (k *dequantizeLinear) infer(in []*ops.Input) (ops.Type, error) {
	t, scale := in[0].Type, in[1].Type
	if err := t.CheckDType("x", append(slices.Clone(levelTypes), ops.Int32)...); err != nil {
		return t, err
	}
	if err := scale.CheckDType("x_scale", ops.Float32, ops.Float16, ops.BFloat16, ops.Float8E8M0); err != nil {
		return t, err
	}
	if zero := optionalInput(in, 2); zero != nil {
		if err := zero.Type.CheckDType("x_zero_point", t.DType); err != nil {
			return t, err
		}
	}
	if t.DType = k.output; t.DType == 0 {
		t.DType = scale.DType
	}
	if t.DType == ops.Float8E8M0 {
		return t, fmt.Errorf("%w: x_scale is %v: output_dtype must say which type the output has", ops.ErrAttribute, scale)
	}
	return t, k.check(in)
}

func (k *dequantizeLinear) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	l, err := k.levelsOf(ctx, in)
	if err != nil {
		return err
	}
	if out.DType() == ops.Float32 && in[1].DType() == ops.Float32 && l.isUniform() && isQuantized(in[0]) {
		return l.dequantize(ctx, in[0], out)
	}
	return l.run(ctx, in[0], out, func(v, scales, zeros []float64) {
		for i, x := range v {
			// The difference is float32 in other runtimes, which matters for int32.
			v[i] = float64(float64(float32(x-zeros[i])) * scales[i])
		}
	}, func(at int, v []float64) { store(out, at, 1, v) })
}
