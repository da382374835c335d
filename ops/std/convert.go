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
	{ops.BFloat16, ops.Float32}: fromBFloat16,
	{ops.Float32, ops.BFloat16}: toBFloat16,
	{ops.Float32, ops.Int64}:    truncated[int64](math.MinInt64, math.MaxInt64),
	{ops.Float32, ops.Int32}:    truncated[int32](math.MinInt32, math.MaxInt32),
	{ops.Float32, ops.Uint8}:    truncated[uint8](0, math.MaxUint8),
	{ops.Float32, ops.Int8}:     truncated[int8](math.MinInt8, math.MaxInt8),
	{ops.Float32, ops.Bool}:     isNotZero[float32],
	{ops.Int64, ops.Bool}:       isNotZero[int64],
	{ops.Int32, ops.Bool}:       isNotZero[int32],
	{ops.Float32, ops.Float64}:  converted[float32, float64],
	{ops.Float64, ops.Float32}:  converted[float64, float32],
	{ops.Int64, ops.Float32}:    converted[int64, float32],
	{ops.Int32, ops.Float32}:    converted[int32, float32],
	{ops.Int64, ops.Int32}:      converted[int64, int32],
	{ops.Int32, ops.Int64}:      converted[int32, int64],
	{ops.Uint8, ops.Float32}:    fromBytes(kernel.Uint8s),
	{ops.Int8, ops.Float32}:     fromBytes(kernel.Int8s),
	{ops.Bool, ops.Float32}:     fromBytes(kernel.Bools),
}

// converted converts each element as Go does.
func converted[F, T float32 | float64 | int32 | int64](lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[T](out)
	d, _ := ops.Data[F](x)
	d = d[lo:hi]
	o = o[lo:][:len(d)]
	for i, v := range d {
		o[i] = T(v)
	}
}

func isNotZero[T float32 | int32 | int64](lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[bool](out)
	d, _ := ops.Data[T](x)
	d = d[lo:hi]
	o = o[lo:][:len(d)]
	for i, v := range d {
		o[i] = v != 0
	}
}

// fromBytes returns a loop that converts elements of 8 bits to float32.
func fromBytes[T uint8 | int8 | bool](bytes func([]T) kernel.Bytes) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[float32](out)
		d, _ := ops.Data[T](x)
		kernel.Dequantize(o[lo:hi], bytes(d[lo:hi]), 1, 0)
	}
}

// truncated returns a loop that converts float32 elements to an integer type, and clamps them to its
// range.
func truncated[T int64 | int32 | uint8 | int8](lowest, highest T) func(lo, hi int, out, x *ops.Tensor) {
	low, high := float32(lowest), float32(highest) // float32 may round them away from 0
	return func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[T](out)
		d, _ := ops.Data[float32](x)
		d = d[lo:hi]
		o = o[lo:][:len(d)]
		for i, v := range d {
			switch {
			case v > low && v < high:
				o[i] = T(v)
			case v >= high:
				o[i] = highest
			case v <= low:
				o[i] = lowest
			default: // NaN
				o[i] = 0
			}
		}
	}
}

func fromBFloat16(lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[float32](out)
	d, _ := ops.Data[ops.BF16](x)
	d = d[lo:hi]
	o = o[lo:][:len(d)]
	for i, v := range d {
		o[i] = math.Float32frombits(uint32(v) << 16)
	}
}

// toBFloat16 rounds half to even.
func toBFloat16(lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[ops.BF16](out)
	d, _ := ops.Data[float32](x)
	d = d[lo:hi]
	o = o[lo:][:len(d)]
	for i, v := range d {
		b := math.Float32bits(v)
		if b&0x7fffffff > 0x7f800000 { // NaN
			o[i] = ops.BF16(b>>16 | 0x40)
			continue
		}
		o[i] = ops.BF16((b + 0x7fff + b>>16&1) >> 16)
	}
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
