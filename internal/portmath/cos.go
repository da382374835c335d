package portmath

import "math"

// pi/2 in four parts. The product of each of the first three and an integer of up to 20
// bits is exact.
const (
	halfPi1 = 0x1.921fb544p0
	halfPi2 = 0x1.0b4611a6p-34
	halfPi3 = 0x1.3198a2ep-69
	halfPi4 = 0x1.b839a252049c1p-104
)

// Cos returns the cosine of x, in radians, with the special cases of math.Cos. Its error is
// less than 0.9 units in the last place for |x| < 2^20. Above this, it reduces x modulo
// the float64 next to 2*pi, and the error increases in proportion to x.
func Cos(x float64) float64 {
	if !(math.Abs(x) < 1<<20) {
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return math.NaN()
		}
		x = math.Mod(x, 2*math.Pi)
	}
	// x = n*pi/2 + r + tail, with |r| <= pi/4
	t := mulAdd(x, 2/math.Pi, shift)
	n := t - shift
	r := x - float64(n*halfPi1)
	r, e2 := subtract(r, float64(n*halfPi2))
	r, e3 := subtract(r, float64(n*halfPi3))
	tail := (e2 + e3) - float64(n*halfPi4)
	switch math.Float64bits(t) & 3 {
	case 0:
		return cosReduced(r, tail)
	case 1:
		return -sinReduced(r, tail)
	case 2:
		return -cosReduced(r, tail)
	}
	return sinReduced(r, tail)
}

// subtract returns d = x - y, rounded, and the error of d (Knuth's TwoSum).
func subtract(x, y float64) (d, e float64) {
	d = x - y
	v := d - x
	return d, (x - (d - v)) - (y + v)
}

// cosReduced returns the cosine of r+tail for |r| <= pi/4. The polynomial is the minimax
// approximation of (cos(r)-1+r*r/2)/r^4, by the algorithm of Remez, with an error below
// 2^-64.
func cosReduced(r, tail float64) float64 {
	z := float64(r * r)
	p := mulAdd(z, mulAdd(z, mulAdd(z, mulAdd(z, mulAdd(z, -0x1.8faeb606d7df0p-37, 0x1.1ee9ec1907cf2p-29),
		-0x1.27e4f80a34ad5p-22), 0x1.a01a019cb2186p-16), -0x1.6c16c16c15181p-10), 0x1.555555555554cp-5)
	half := float64(z / 2)
	w := 1 - half
	return w + (((1 - w) - half) + (float64(float64(z*z)*p) - float64(r*tail)))
}

// sinReduced returns the sine of r+tail for |r| <= pi/4. The polynomial is the minimax
// approximation of (sin(r)/r-1)/(r*r), by the algorithm of Remez, with an error below
// 2^-58.
func sinReduced(r, tail float64) float64 {
	z := float64(r * r)
	p := mulAdd(z, mulAdd(z, mulAdd(z, mulAdd(z, mulAdd(z, 0x1.5d9315d03ed87p-33, -0x1.ae5e668094ad0p-26),
		0x1.71de35780e420p-19), -0x1.a01a019c11fe0p-13), 0x1.111111110f87ep-7), -0x1.5555555555549p-3)
	return r + mulAdd(float64(r*z), p, float64(tail*(1-float64(z/2))))
}
