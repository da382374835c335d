package portmath

import "math"

// PowSingle returns x**y in float32, with an error of less than 0.6 units in the last place and the
// special cases of math.Pow. It takes a small part of the time of Pow.
//
// It computes exp(y*log(x)) in float64. With x = 2^k * (1+f) and s = f/(2+f), the logarithm of 1+f is
// 2*atanh(s), of which it adds up the first seven terms of the power series. The first omitted term,
// 2/15*s^15, is below 2^-40 times the sum.
func PowSingle(x, y float32) float32 {
	if !(x >= 0x1p-126 && x <= math.MaxFloat32 && y-y == 0) {
		return float32(Pow(float64(x), float64(y)))
	}
	f, k := logReduced(float64(x))
	s := f / (2 + f)
	z := float64(s * s)
	p := mulAdd(z, 2./13, 2./11)
	p = mulAdd(p, z, 2./9)
	p = mulAdd(p, z, 2./7)
	p = mulAdd(p, z, 2./5)
	p = mulAdd(p, z, 2./3)
	log := mulAdd(k, math.Ln2, mulAdd(float64(p*z), s, 2*s))
	return float32(Exp(float64(y) * log))
}
