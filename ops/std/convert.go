package std

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/minifloat"
	"github.com/spike-by-spike/sbs/ops"
)

// conversion is a pair of element types.
type conversion struct{ from, to ops.DType }

// conversions holds loops for common conversions. Their results are those of load and store.
var conversions = map[conversion]func(lo, hi int, out, x *ops.Tensor){
	{ops.Float16, ops.Float32}:  fromHalf,
	{ops.Float32, ops.Float16}:  toHalf,
	{ops.BFloat16, ops.Float32}: converted(func(v ops.BF16) float32 { return math.Float32frombits(uint32(v) << 16) }),
	{ops.Float32, ops.BFloat16}: converted(toBFloat16),
	{ops.Float32, ops.Int64}:    converted(truncated[int64](math.MinInt64, math.MaxInt64)),
	{ops.Float32, ops.Int32}:    converted(truncated[int32](math.MinInt32, math.MaxInt32)),
	{ops.Float32, ops.Uint8}:    converted(truncated[uint8](0, math.MaxUint8)),
	{ops.Float32, ops.Int8}:     converted(truncated[int8](math.MinInt8, math.MaxInt8)),
	{ops.Float32, ops.Bool}:     converted(func(v float32) bool { return v != 0 }),
	{ops.Float32, ops.Float64}:  converted(func(v float32) float64 { return float64(v) }),
	{ops.Float64, ops.Float32}:  converted(func(v float64) float32 { return float32(v) }),
	{ops.Int64, ops.Float32}:    converted(func(v int64) float32 { return float32(v) }),
	{ops.Int32, ops.Float32}:    converted(func(v int32) float32 { return float32(v) }),
	{ops.Uint8, ops.Float32}:    converted(func(v uint8) float32 { return float32(v) }),
	{ops.Int8, ops.Float32}:     converted(func(v int8) float32 { return float32(v) }),
	{ops.Bool, ops.Float32}:     converted(number[float32]),
	{ops.Bool, ops.Int64}:       converted(number[int64]),
	{ops.Bool, ops.Int32}:       converted(number[int32]),
	{ops.Int64, ops.Bool}:       converted(func(v int64) bool { return v != 0 }),
	{ops.Int64, ops.Int32}:      converted(func(v int64) int32 { return int32(v) }),
	{ops.Int32, ops.Int64}:      converted(func(v int32) int64 { return int64(v) }),
}

// converted returns a loop that converts each element.
func converted[F, T ops.Element](f func(F) T) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[T](out)
		d, _ := ops.Data[F](x)
		o = o[lo:hi]
		for i, v := range d[lo:hi] {
			o[i] = f(v)
		}
	}
}

// truncated returns the conversion to an integer type, which clamps numbers to the range of the type.
func truncated[T int64 | int32 | uint8 | int8](lowest, highest T) func(float32) T {
	low, high := float32(lowest), float32(highest) // float32 may round them away from 0
	return func(v float32) T {
		switch {
		case v > low && v < high:
			return T(v)
		case v >= high:
			return highest
		case v <= low:
			return lowest
		}
		return 0 // NaN
	}
}

func number[T float32 | int64 | int32](v bool) T {
	if v {
		return 1
	}
	return 0
}

// toBFloat16 rounds half to even.
func toBFloat16(v float32) ops.BF16 {
	b := math.Float32bits(v)
	if b&0x7fffffff > 0x7f800000 { // NaN
		return ops.BF16(b>>16 | 0x40)
	}
	return ops.BF16((b + 0x7fff + b>>16&1) >> 16)
}

func fromHalf(lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[float32](out)
	d, _ := ops.Data[ops.F16](x)
	o, d = o[lo:hi], d[lo:hi]
	done := kernel.FromHalf(o, d)
	for i, v := range d[done:] {
		o[done+i] = float32(minifloat.DecodeFloat16(uint16(v)))
	}
}

func toHalf(lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[ops.F16](out)
	d, _ := ops.Data[float32](x)
	o, d = o[lo:hi], d[lo:hi]
	done := kernel.ToHalf(o, d)
	for i, v := range d[done:] {
		o[done+i] = ops.F16(minifloat.Float16.Encode(float64(v), false))
	}
}
