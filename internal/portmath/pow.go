package portmath

import "math"

// Pow returns x**y, with the special cases of math.Pow. Its error is less than 1.2 units in
// the last place. A result that a float64 can hold is exact.
func Pow(x, y float64) float64 {
	switch {
	case y == 0 || x == 1:
		return 1
	case math.IsNaN(x) || math.IsNaN(y):
		return math.NaN()
	case x == 0 || math.IsInf(x, 0):
		// An infinite x is the inverse of 0.
		r := math.Inf(1)
		if (x == 0) == (y > 0) {
			r = 0
		}
		if math.Signbit(x) && isOdd(y) {
			return -r
		}
		return r
	case math.IsInf(y, 0):
		switch {
		case x == -1:
			return 1
		case (math.Abs(x) > 1) == (y > 0):
			return math.Inf(1)
		}
		return 0
	case x > 0:
		return powPositive(x, y)
	case isOdd(y):
		return -powPositive(-x, y)
	case y == math.Trunc(y):
		return powPositive(-x, y)
	}
	return math.NaN()
}

// isOdd reports whether y is an odd integer.
func isOdd(y float64) bool {
	return math.Abs(math.Mod(y, 2)) == 1
}

// powPositive returns x**y for a finite x > 0 and a finite y.
func powPositive(x, y float64) float64 {
	high, low := logDouble(x)
	switch e := y * high; {
	case e > 710:
		return math.Inf(1)
	case e < -746:
		return 0
	}
	e, tail := product(y, high)
	k, p := expReduced(e, mulAdd(y, low, tail))
	return scale(1+p, k)
}

// logDouble returns the logarithm of a finite x > 0 as the sum of two numbers, with a
// relative error of less than 2^-64. With x = 2^k * (1+f) and s = f/(2+f), the logarithm of
// 1+f is
//
//	2*s + 2*s*(s^2/3 + s^4*q(s^2)),  q(z) = 1/5 + z/7 + ...
//
// s, its square and the sums are pairs of numbers. The polynomial q is a minimax
// approximation, by the algorithm of Remez, with an error below 2^-66, relative to the
// logarithm.
func logDouble(x float64) (high, low float64) {
	f, k := logReduced(x)

	// s = f/d with d = 2+f, and the remainder of the division gives the second number.
	d, dLow := sum(2, f)
	s := f / d
	p, pLow := product(s, d)
	sLow := (((f - p) - pLow) - float64(s*dLow)) / d

	z, zLow := product(s, s)
	zLow = mulAdd(2*s, sLow, zLow)
	z2 := float64(z * z)
	odd := mulAdd(z2, mulAdd(z2, 0x1.0f7fe23c2825ep-4, 0x1.745ce9e1c73ccp-4), 0x1.2492492457d2dp-3)
	even := mulAdd(z2, mulAdd(z2, mulAdd(z2, 0x1.0e42f459b4094p-4, 0x1.3b1eec57c75d6p-4), 0x1.c71c722d6ac34p-4), 0x1.9999999999b30p-3)
	q := mulAdd(z, odd, even)

	const third, thirdLow = 0x1.5555555555555p-2, 0x1.5555555555555p-56
	a, aLow := product(z, third)
	aLow = mulAdd(z2, q, mulAdd(z, thirdLow, mulAdd(zLow, third, aLow)))
	a, aLow = sum(a, aLow)

	s, sLow = 2*s, 2*sLow
	b, bLow := product(s, a)
	bLow = mulAdd(s, aLow, mulAdd(sLow, a, bLow))

	// The parts of the sum, in order of their magnitude unless k is 0.
	high, e1 := sum(float64(k*ln2High), s)
	high, e2 := sum(high, b)
	low = e1 + (e2 + mulAdd(k, ln2Low, sLow+bLow))
	return sum(high, low)
}

// sum returns the sum of x and y, rounded, and its error, if x is 0 or its magnitude is not
// less than that of y (Dekker's Fast2Sum).
func sum(x, y float64) (s, e float64) {
	s = x + y
	return s, y - (s - x)
}

// product returns the product of x and y, rounded, and its error. It is Dekker's product,
// except that it takes the upper halves from the bits: T. J. Dekker, A Floating-Point
// Technique for Extending the Available Precision, Numerische Mathematik 18 (1971). The
// error itself has a relative error of about 2^-53.
func product(x, y float64) (p, e float64) {
	const upper = math.MaxUint64 &^ (1<<27 - 1)
	x1 := math.Float64frombits(math.Float64bits(x) & upper)
	y1 := math.Float64frombits(math.Float64bits(y) & upper)
	x2, y2 := x-x1, y-y1
	p = float64(x * y)
	return p, mulAdd(x2, y2, mulAdd(x2, y1, mulAdd(x1, y2, float64(x1*y1)-p)))
}
