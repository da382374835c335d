//go:build !(arm64 || loong64 || ppc64 || ppc64le || riscv64 || s390x)

package portmath

import "math"

// FMA returns x*y + z, rounded once. The values of x and y must not both be known to the
// compiler: on some architectures, it would round their product.
//
// This architecture has no instruction for FMA that the compiler uses. The product of two
// float32 is exact in float64, so the sum s is rounded once. Rounding s to float32 is a
// second rounding. It is wrong only if the first one produced a tie: then the sum is moved
// by one unit toward its exact value. See S. Boldo and G. Melquiond, Emulation of a FMA and
// Correctly Rounded Sums: Proved Algorithms Using Rounding to Odd, IEEE Transactions on
// Computers 57 (2008).
//
// The function is short enough for the compiler to inline it, as the loops of package kernel
// need.
func FMA(x, y, z float32) float32 {
	p, w := float64(x)*float64(y), float64(z)
	s := float64(p) + w
	// A tie ends with at least 28 zeros. So do numbers that float32 represents exactly, and
	// moving them by one unit changes nothing.
	if math.Float64bits(s)<<36 == 0 {
		t := s - p
		// Knuth's TwoSum: the error of s.
		switch e := (p - (s - t) + (w - t)) * s; {
		case e > 0:
			s *= 1 + 0x1p-52
		case e < 0:
			s *= 1 - 0x1p-53
		}
	}
	return float32(s)
}
