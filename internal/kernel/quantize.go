package kernel

import "math"

// Quantum describes integers of 8 bits that stand for numbers.
type Quantum struct {
	Zero   int32 // the integer that stands for 0
	Signed bool
}

// bounds returns the least and the largest integer, minus Zero.
func (q Quantum) bounds() (low, high float32) {
	low, high = 0, 255
	if q.Signed {
		low, high = -128, 127
	}
	return low - float32(q.Zero), high - float32(q.Zero)
}

// Requantize computes out[i] = round(x[i]*s) + q.Zero, limited to the integers of the kind of q. s
// is scales[i] or, if there is one scale, this. The product is rounded to float32 and then half to
// even. NaN counts as less than all numbers. out holds int8 if q is signed.
func Requantize(out []uint8, x []int32, scales []float32, q Quantum) {
	x = x[:len(out)]
	low, high := q.bounds()
	done := requantizeVectors(out, x, scales, low, high, q.Zero)
	for i := done; i < len(out); i++ {
		s := scales[0]
		if len(scales) > 1 {
			s = scales[i]
		}
		out[i] = uint8(rounded(float32(x[i])*s, low, high) + q.Zero)
	}
}

// rounded returns v, limited and rounded.
func rounded(v, low, high float32) int32 {
	if !(v > low) {
		v = low
	}
	return int32(math.RoundToEven(float64(min(v, high))))
}

// Quantize computes out[i] = round(x[i]/scale) + q.Zero, limited to the integers of the kind of q.
// The quotient is rounded to float32 and then half to even. NaN gives 0. out holds int8 if q is
// signed.
func Quantize(out []uint8, x []float32, scale float32, q Quantum) {
	x = x[:len(out)]
	low, high := q.bounds()
	done := quantizeVectors(out, x, scale, low, high, q.Zero)
	for i, v := range x[done:] {
		v /= scale
		if v != v {
			out[done+i] = 0
			continue
		}
		out[done+i] = uint8(rounded(v, low, high) + q.Zero)
	}
}

// Dequantize computes out[i] = (x[i]-zero)*scale.
func Dequantize(out []float32, x Bytes, scale float32, zero int32) {
	v := x.data[:len(out)]
	flip := flipOf(x.signed)
	if x.signed {
		zero += 128
	}
	done := dequantizeVectors(out, v, scale, zero, flip)
	for i, b := range v[done:] {
		out[done+i] = float32(int32(b^flip)-zero) * scale
	}
}

// Bounds returns the least and the largest of the numbers and of low and high. It ignores NaN.
func Bounds(x []float32, low, high float32) (least, largest float32) {
	done, low, high := boundsVectors(x, low, high)
	for _, v := range x[done:] {
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
	}
	return low, high
}

// Truncate computes out[i] = int32(x[i]), which is x[i] without its fraction. All numbers must be in the
// range of int32.
func Truncate(out []int32, x []float32) {
	x = x[:len(out)]
	done := truncateVectors(out, x)
	for i, v := range x[done:] {
		out[done+i] = int32(v)
	}
}

// Singles computes out[i] = float32(x[i]), rounded half to even.
func Singles(out []float32, x []int32) {
	x = x[:len(out)]
	done := singlesVectors(out, x)
	for i, v := range x[done:] {
		out[done+i] = float32(v)
	}
}

// Longs computes out[i] = int64(x[i]).
func Longs(out []int64, x []int32) {
	x = x[:len(out)]
	done := longsVectors(out, x)
	for i, v := range x[done:] {
		out[done+i] = int64(v)
	}
}

// Narrow computes out[i] = uint8(x[i]), the lowest 8 bits of x[i].
func Narrow(out []uint8, x []int32) {
	x = x[:len(out)]
	done := narrowVectors(out, x)
	for i, v := range x[done:] {
		out[done+i] = uint8(v)
	}
}

// TruncateBytes computes out[i] = x[i] without its fraction, limited to the integers of the kind of q,
// whose Zero must be 0. NaN gives 0. out holds int8 if q is signed.
func TruncateBytes(out []uint8, x []float32, q Quantum) {
	x = x[:len(out)]
	low, high := q.bounds()
	done := truncateBytesVectors(out, x, low, high)
	for i, v := range x[done:] {
		if v != v {
			v = 0
		}
		out[done+i] = uint8(int32(min(max(v, low), high)))
	}
}
