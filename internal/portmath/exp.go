package portmath

import "math"

// ln 2 in two parts. The product of ln2High and an integer of up to 11 bits is exact.
const (
	ln2High = 0x1.62e42fefa38p-1
	ln2Low  = 0x1.ef35793c7673p-45
)

// shift is 1.5 * 2^52. Adding it to a number of up to 51 bits rounds the number to an
// integer, which is in the low bits of the sum.
const shift = 0x1.8p52

// Exp returns e**x, with the special cases of math.Exp. Its error is less than 0.9 units
// in the last place.
func Exp(x float64) float64 {
	switch {
	case x > 710:
		return math.Inf(1)
	case x < -746:
		return 0
	}
	k, p := expReduced(x, 0)
	return scale(1+p, k)
}

// Expm1 returns e**x - 1, accurate also near 0, with the special cases of math.Expm1. Its
// error is less than 1.7 units in the last place.
func Expm1(x float64) float64 {
	switch {
	case x > 710:
		return math.Inf(1)
	case x < -40: // rounds to -1
		return -1
	case x == 0:
		return x // keeps the sign
	}
	k, p := expReduced(x, 0)
	if k > 60 { // 1 does not change the result
		return scale(1+p, k)
	}
	two := powerOf2(k)
	return float64(two*p) + (two - 1)
}

// expReduced returns k and p with exp(x+tail) = 2^k * (1 + p) and |p| < 0.42, for |x| < 1000
// and a tail that is small compared with x.
//
// It computes x + tail = k*ln(2) + r with |r| <= ln(2)/2, and p = r + r*r*q(r). The
// polynomial q is the minimax approximation of (exp(r)-1-r)/(r*r), by the algorithm of
// Remez, for the error r*r*q, which is below 2^-58.
func expReduced(x, tail float64) (k int, p float64) {
	t := mulAdd(x, 1/math.Ln2, shift)
	k = int(int32(math.Float64bits(t)))
	n := t - shift
	high := x - float64(n*ln2High)
	low := float64(n*ln2Low) - tail
	r := high - low
	z := float64(r * r)
	q01 := mulAdd(r, 0x1.5555555555561p-3, 0x1.000000000000bp-1)
	q23 := mulAdd(r, 0x1.111111110d61ap-7, 0x1.5555555550030p-5)
	q45 := mulAdd(r, 0x1.a01a01baed115p-13, 0x1.6c16c185a74f1p-10)
	q67 := mulAdd(r, 0x1.71dddfb4ea1afp-19, 0x1.a0199693a6f33p-16)
	q89 := mulAdd(r, 0x1.af85a9a38f246p-26, 0x1.28b0493ee36abp-22)
	z2 := float64(z * z)
	q := mulAdd(z2, mulAdd(z2, q89, mulAdd(z, q67, q45)), mulAdd(z, q23, q01))
	return k, high + (float64(z*q) - low)
}

// powerOf2 returns 2^k for -1022 <= k <= 1023.
func powerOf2(k int) float64 {
	return math.Float64frombits(uint64(1023+k) << 52)
}

// scale returns y * 2^k, rounded once, for 0.5 <= y < 2 and |k| < 1100.
func scale(y float64, k int) float64 {
	switch {
	case k > 1023:
		return float64(y*powerOf2(k-1)) * 2
	case k < -1022:
		return float64(y*powerOf2(k+128)) * 0x1p-128
	}
	return y * powerOf2(k)
}

// mulAdd returns x*y + z, rounded after the multiplication and after the addition.
func mulAdd(x, y, z float64) float64 {
	return float64(x*y) + z
}
