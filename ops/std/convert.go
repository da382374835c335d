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
	{ops.BFloat16, ops.Float32}: fromHalf,
	{ops.Float32, ops.BFloat16}: toHalf,
	{ops.Float32, ops.Int64}:    truncated(math.MinInt64, math.MaxInt64, kernel.Longs),
	{ops.Float32, ops.Int32}:    truncated[int32](math.MinInt32, math.MaxInt32, nil),
	{ops.Float32, ops.Uint8}:    truncatedBytes(kernel.Uint8s, kernel.Quantum{}),
	{ops.Float32, ops.Int8}:     truncatedBytes(kernel.Int8s, kernel.Quantum{Signed: true}),
	{ops.Float32, ops.Bool}:     isNotZeroSingle,
	{ops.Int64, ops.Bool}:       isNotZeroLong,
	{ops.Int32, ops.Bool}:       isNotZeroInteger,
	{ops.Float32, ops.Float64}:  converted[float32, float64],
	{ops.Float64, ops.Float32}:  converted[float64, float32],
	{ops.Int64, ops.Float32}:    toSingles,
	{ops.Int32, ops.Float32}:    fromInts,
	{ops.Int64, ops.Float64}:    converted[int64, float64],
	{ops.Int32, ops.Float64}:    converted[int32, float64],
	{ops.Int64, ops.Int32}:      converted[int64, int32],
	{ops.Int32, ops.Int64}:      toLongs,
	{ops.Int64, ops.Uint8}:      converted[int64, uint8],
	{ops.Int32, ops.Uint8}:      narrowed(kernel.Uint8s),
	{ops.Int64, ops.Int8}:       converted[int64, int8],
	{ops.Int32, ops.Int8}:       narrowed(kernel.Int8s),
	{ops.Uint8, ops.Float32}:    fromBytes(kernel.Uint8s),
	{ops.Int8, ops.Float32}:     fromBytes(kernel.Int8s),
	{ops.Bool, ops.Float32}:     fromBytes(kernel.Bools),
	{ops.Uint8, ops.Int64}:      bytesTo(kernel.Uint8s, kernel.Longs),
	{ops.Int8, ops.Int64}:       bytesTo(kernel.Int8s, kernel.Longs),
	{ops.Bool, ops.Int64}:       bytesTo(kernel.Bools, kernel.Longs),
	{ops.Uint8, ops.Int32}:      bytesTo[int32](kernel.Uint8s, nil),
	{ops.Int8, ops.Int32}:       bytesTo[int32](kernel.Int8s, nil),
	{ops.Bool, ops.Int32}:       bytesTo[int32](kernel.Bools, nil),
}

// converted converts each element as Go does.
func converted[F, T float32 | float64 | int32 | int64 | uint8 | int8](lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[T](out)
	d, _ := ops.Data[F](x)
	d = d[lo:hi]
	o = o[lo:][:len(d)]
	for i, v := range d {
		o[i] = T(v)
	}
}

// toSingles rounds each element as portmath.Single does.
func toSingles(lo, hi int, out, x *ops.Tensor) {
	d, _ := ops.Data[int64](x)
	storeSingles(out, lo, 1, d[lo:hi])
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
// range. narrow converts integers in the range of the type; nil means that T is int32.
func truncated[T int64 | int32](lowest, highest T, narrow func(out []T, x []int32)) func(lo, hi int, out, x *ops.Tensor) {
	low, high := float32(lowest), float32(highest) // float32 may round them away from 0
	// The fractions of numbers between these bounds vanish. The bounds are in the range of int32.
	least, most := max(low-1, math.MinInt32), min(high+1, math.MaxInt32)
	return func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[T](out)
		d, _ := ops.Data[float32](x)
		o = o[lo:hi]
		var v [castChunk]int32
		for d = d[lo:hi]; len(d) > 0; {
			n := min(castChunk, len(d))
			switch {
			case !(kernel.Smallest(d[:n], most) > least && kernel.Largest(d[:n], least) < most): // or NaN
				clamp(o, d[:n], lowest, highest)
			case narrow == nil:
				kernel.Truncate(any(o[:n]).([]int32), d)
			default:
				kernel.Truncate(v[:n], d)
				narrow(o[:n], v[:n])
			}
			o, d = o[n:], d[n:]
		}
	}
}

// castChunk is the number of elements that are converted at once, by way of float32 or int32.
const castChunk = 1024

func clamp[T int64 | int32](o []T, d []float32, lowest, highest T) {
	low, high := float32(lowest), float32(highest)
	o = o[:len(d)]
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

// truncatedBytes returns a loop that converts float32 elements to an integer type of 8 bits, and clamps
// them to its range.
func truncatedBytes[T uint8 | int8](bytes func([]T) kernel.Bytes, q kernel.Quantum) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[T](out)
		kernel.TruncateBytes(bytes(o[lo:hi]).Data(), x.Float32s()[lo:hi], q)
	}
}

// narrowed returns a loop that converts int32 elements to an integer type of 8 bits, which keeps their
// lowest bits.
func narrowed[T uint8 | int8](bytes func([]T) kernel.Bytes) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[T](out)
		d, _ := ops.Data[int32](x)
		kernel.Narrow(bytes(o[lo:hi]).Data(), d[lo:hi])
	}
}

// bytesTo returns a loop that converts elements of 8 bits to an integer type. widen converts integers of
// 32 bits; nil means that T is int32.
func bytesTo[T int64 | int32, F uint8 | int8 | bool](bytes func([]F) kernel.Bytes, widen func(out []T, x []int32)) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[T](out)
		d, _ := ops.Data[F](x)
		o = o[lo:hi]
		var numbers [castChunk]float32
		var v [castChunk]int32
		for d = d[lo:hi]; len(d) > 0; {
			n := min(castChunk, len(d))
			kernel.Dequantize(numbers[:n], bytes(d[:n]), 1, 0)
			if widen == nil {
				kernel.Truncate(any(o[:n]).([]int32), numbers[:n])
			} else {
				kernel.Truncate(v[:n], numbers[:n])
				widen(o[:n], v[:n])
			}
			o, d = o[n:], d[n:]
		}
	}
}

func fromInts(lo, hi int, out, x *ops.Tensor) {
	d, _ := ops.Data[int32](x)
	kernel.Singles(out.Float32s()[lo:hi], d[lo:hi])
}

func toLongs(lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[int64](out)
	d, _ := ops.Data[int32](x)
	kernel.Longs(o[lo:hi], d[lo:hi])
}

func isNotZeroLong(lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[bool](out)
	d, _ := ops.Data[int64](x)
	d = d[lo:hi]
	o = o[lo:][:len(d)]
	for i, v := range d {
		o[i] = v != 0
	}
}

func isNotZeroSingle(lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[bool](out)
	notZero(o[lo:hi], x.Float32s()[lo:hi])
}

// isNotZeroInteger converts int32 by way of float32, which is 0 for 0 only.
func isNotZeroInteger(lo, hi int, out, x *ops.Tensor) {
	o, _ := ops.Data[bool](out)
	d, _ := ops.Data[int32](x)
	var v [castChunk]float32
	for ; lo < hi; lo += castChunk {
		part := v[:min(castChunk, hi-lo)]
		kernel.Singles(part, d[lo:])
		notZero(o[lo:][:len(part)], part)
	}
}

// notZero computes out[i] = x[i] != 0, which is true for NaN.
func notZero(out []bool, x []float32) {
	kernel.Compare(kernel.Equal, out, x, zero, 1, 0)
	kernel.Not(out, out)
}

var zero = []float32{0}

func fromHalf(lo, hi int, out, x *ops.Tensor) { loadHalf(out.Float32s()[lo:hi], x, lo) }

func toHalf(lo, hi int, out, x *ops.Tensor) { storeHalf(out, lo, x.Float32s()[lo:hi]) }

// loadHalf converts consecutive elements of src, float16 or bfloat16, starting at from.
func loadHalf(dst []float32, src *ops.Tensor, from int) {
	if s, ok := ops.Data[ops.F16](src); ok {
		s = s[from:][:len(dst)]
		done := kernel.FromHalf(dst, s)
		for i, v := range s[done:] {
			dst[done+i] = float32(minifloat.DecodeFloat16(uint16(v)))
		}
		return
	}
	s, _ := ops.Data[ops.BF16](src)
	s = s[from:][:len(dst)]
	for i, v := range s {
		dst[i] = math.Float32frombits(uint32(v) << 16)
	}
}

// storeHalf is the inverse of loadHalf. It rounds half to even.
func storeHalf(dst *ops.Tensor, to int, src []float32) {
	if d, ok := ops.Data[ops.F16](dst); ok {
		d = d[to:][:len(src)]
		done := kernel.ToHalf(d, src)
		for i, v := range src[done:] {
			d[done+i] = ops.F16(minifloat.Float16.Encode(float64(v), false))
		}
		return
	}
	d, _ := ops.Data[ops.BF16](dst)
	d = d[to:][:len(src)]
	for i, v := range src {
		b := math.Float32bits(v)
		if b&0x7fffffff > 0x7f800000 { // NaN
			d[i] = ops.BF16(b>>16 | 0x40)
			continue
		}
		d[i] = ops.BF16((b + 0x7fff + b>>16&1) >> 16)
	}
}

// halfChunk is the number of float16 or bfloat16 elements that are computed in float32 at once.
const halfChunk = 1024

// eachHalf applies f to float16 or bfloat16 elements, in float32.
func eachHalf(f func(out, x []float32)) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		var v [halfChunk]float32
		for ; lo < hi; lo += halfChunk {
			part := v[:min(halfChunk, hi-lo)]
			loadHalf(part, x, lo)
			f(part, part)
			storeHalf(out, lo, part)
		}
	}
}

// halfRows returns a rowFunc of float16 or bfloat16 elements, which are computed in float32.
func halfRows(op kernel.Pair) rowFunc {
	return func(n *nest, lo, hi int, out, a, b *ops.Tensor) error {
		var x, y [halfChunk]float32
		step := n.inner()
		// operand loads a part of an operand, and returns the step between its elements.
		operand := func(v []float32, t *ops.Tensor, at, step int) int {
			switch step {
			case 0:
				loadHalf(v[:1], t, at)
				return 0
			case 1:
				loadHalf(v, t, at)
			default:
				for i := range v {
					loadHalf(v[i:i+1], t, at+i*step)
				}
			}
			return 1
		}
		return n.walk(lo, hi, func(at [maxOperands]int, count int) error {
			for i := 0; i < count; i += halfChunk {
				m := min(halfChunk, count-i)
				stepA := operand(x[:m], a, at[1]+i*step[1], step[1])
				stepB := operand(y[:m], b, at[2]+i*step[2], step[2])
				result := x[:m]
				if stepA == 0 {
					result = y[:m]
				}
				if stepA == 0 && stepB == 0 {
					repeat(result, y[0])
					stepB = 1
				}
				kernel.Combine(op, result, x[:m], y[:m], stepA, stepB)
				storeHalf(out, at[0]+i, result)
			}
			return nil
		})
	}
}
