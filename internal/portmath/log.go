package portmath

import "math"

// Log returns the natural logarithm of x, with the special cases of math.Log. Its error is
// less than 0.9 units in the last place.
//
// With x = 2^k * (1+f) and s = f/(2+f), the logarithm of 1+f is
//
//	2*atanh(s) = 2*s + s*R = f - s*(f-R) = f - (f*f/2 - s*(f*f/2+R)),  R = 2/3*s^2 + 2/5*s^4 + ...
//
// as in K. C. Ng's log of FreeBSD's msun. R is a minimax polynomial in s*s, by the
// algorithm of Remez. Its error is below 2^-59, relative to the logarithm.
func Log(x float64) float64 {
	if !(x > 0 && x <= math.MaxFloat64) {
		switch {
		case x == 0:
			return math.Inf(-1)
		case x < 0:
			return math.NaN()
		}
		return x // infinite or NaN
	}
	f, k := logReduced(x)
	s := f / (2 + f)
	z := float64(s * s)
	z2 := float64(z * z)
	odd := mulAdd(z2, mulAdd(z2, mulAdd(z2, 0x1.2f063502597d9p-3, 0x1.74663f9f5e20ap-3), 0x1.24924941f4d2ep-2), 0x1.5555555555592p-1)
	even := mulAdd(z2, mulAdd(z2, 0x1.39a1a712f1209p-3, 0x1.c71c52061ea12p-3), 0x1.999999997fd7bp-2)
	r := mulAdd(z2, even, float64(z*odd))
	square := float64(float64(f*f) / 2)
	return float64(k*ln2High) - ((square - mulAdd(s, square+r, float64(k*ln2Low))) - f)
}

// Log1p returns the natural logarithm of 1+x, accurate also near 0, with the special cases
// of math.Log1p. Its error is less than 2.5 units in the last place.
//
// The quotient corrects the logarithm for the error of 1+x, as in D. Goldberg, What Every
// Computer Scientist Should Know About Floating-Point Arithmetic, ACM Computing Surveys 23
// (1991), theorem 4.
func Log1p(x float64) float64 {
	u := 1 + x
	switch {
	case u == 1:
		return x
	case x > 0x1p60: // possibly infinite
		return Log(x)
	}
	return Log(u) * (x / (u - 1))
}

// logReduced returns f and k with x = 2^k * (1+f) and 1+f between sqrt(1/2) and sqrt(2),
// for a finite x > 0.
func logReduced(x float64) (f, k float64) {
	n := 0
	if x < 0x1p-1022 {
		x *= 0x1p54
		n = -54
	}
	b := math.Float64bits(x)
	e := int64(b-0x3fe6a09e667f3bcd) >> 52 // the bits of sqrt(1/2)
	return math.Float64frombits(b-uint64(e)<<52) - 1, float64(n + int(e))
}
