package portmath

import "math"

// Tanh returns the hyperbolic tangent of x, with the special cases of math.Tanh. Its error
// is less than 1.2 units in the last place.
//
// Near 0, it computes x + x^3*p(x*x). The polynomial p is the minimax approximation of
// (tanh(x)/x-1)/(x*x), by the algorithm of Remez. Its error is below 2^-61, relative to
// the result.
func Tanh(x float64) float64 {
	y := math.Abs(x)
	if !(y <= 0.625) {
		return math.Copysign(1-2/(Exp(2*y)+1), x)
	}
	z := float64(y * y)
	z2 := float64(z * z)
	even := mulAdd(z2, mulAdd(z2, mulAdd(z2,
		mulAdd(z2, mulAdd(z2, -0x1.faf964a09daa7p-16, -0x1.f116977607643p-13), -0x1.7d9c3a0f76a95p-10), -0x1.226e32d11c475p-7), -0x1.ba1ba1b9d10edp-5), -0x1.5555555555552p-2)
	odd := mulAdd(z2, mulAdd(z2, mulAdd(z2,
		mulAdd(z2, mulAdd(z2, 0x1.966361d50eb13p-18, 0x1.8027da504abb6p-14), 0x1.350bcc5c4ff1dp-11), 0x1.d6d35aa3e3fc7p-9), 0x1.664f4870bff25p-6), 0x1.1111111110c38p-3)
	return math.Copysign(mulAdd(float64(y*z), mulAdd(z, odd, even), y), x)
}
