//go:build !(arm64 || loong64 || ppc64 || ppc64le || riscv64 || s390x || amd64.v3)

package portmath

import "math"

// FMA returns x*y + z, rounded once. The values of x and y must not both be known to the
// compiler: on some architectures, it would round their product.
//
// This architecture has no instruction for FMA that the compiler uses. The product of two
// float32 is exact in float64, so the sum s is rounded once. Rounding s to float32 is a
// second rounding. It is wrong only if the first one produced a tie, that is, if the 29
// bits that float32 lacks are 1 followed by zeros, or if the result is subnormal and
// lacks more bits.
func FMA(x, y, z float32) float32 {
	p := float64(x) * float64(y)
	s := float64(p) + float64(z)
	if b := math.Float64bits(s); uint32(b<<3) == 1<<31 || b<<1-1 < subnormal {
		return roundOnce(p, float64(z), s)
	}
	return float32(s)
}

// subnormal is a bound for the bits of a float64 without its sign, minus 1: they are less
// if the number is not 0 and its magnitude is less than 2^-126. For 0, the subtraction
// wraps around.
const subnormal = (1023-126)<<53 - 1

// roundOnce returns p + z, rounded once, where s is the sum rounded to float64. It rounds
// the sum to odd first: of the two float64 next to an inexact sum, it takes the one whose
// last bit is 1. Such a number is never a tie, so that the second rounding is right. See
// S. Boldo and G. Melquiond, Emulation of a FMA and Correctly Rounded Sums: Proved
// Algorithms Using Rounding to Odd, IEEE Transactions on Computers 57 (2008).
//
//go:noinline
func roundOnce(p, z, s float64) float32 {
	// Knuth's TwoSum: e is the error of s.
	v := s - p
	e := (p - (s - v)) + (z - v)
	b := math.Float64bits(s)
	if b&1 == 0 && (e < 0 || e > 0) {
		if (e > 0) == (s > 0) {
			b++
		} else {
			b--
		}
	}
	return float32(math.Float64frombits(b))
}
