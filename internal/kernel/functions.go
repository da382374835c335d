package kernel

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// Function is a function of single numbers, for Map. The error of a function is the largest one
// that the tests have found, in units in the last place of the exact result (ulp). A second error is
// absolute, and applies where the result for a large negative number is near 0.
type Function int

// The functions, with their parameters p.
const (
	Exp             Function = iota // exp(x); 1 ulp, also for subnormal results
	Sigmoid                         // 1/(1 + exp(-x)); 2 ulp
	Tanh                            // the hyperbolic tangent; 2.5 ulp
	Erf                             // the error function; 2.6 ulp
	Log                             // the natural logarithm; 0.8 ulp
	Softplus                        // log(1 + exp(x)); 1.6 ulp
	Softsign                        // x/(1 + |x|); 1.5 ulp
	Mish                            // x*tanh(log(1 + exp(x))); 4 ulp
	Gelu                            // x*(1 + erf(x/sqrt(2)))/2; 10 ulp or 1e-8
	GeluTanh                        // x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x^3)))/2; 5 ulp or 3e-8
	Swish                           // x*sigmoid(p[0]*x); 10 ulp or 1e-9
	Elu                             // p[0]*(exp(p[1]*x) - 1) where x is negative, and p[2]*x elsewhere; p[1] >= 0
	LeakyRelu                       // p[0]*x where x is negative, and x elsewhere
	ThresholdedRelu                 // x where it is greater than p[0], and 0 elsewhere
	HardSigmoid                     // p[0]*x + p[1], but at least 0 and at most 1
	HardSwish                       // x times this
	Clip                            // x, but at least p[0] and at most p[1], which are not NaN
	Normalize                       // ((x - p[0]) - p[1])*p[2] + p[3], where the product is not rounded
	Abs                             // the magnitude of x
	Neg                             // -x
	Sign                            // -1 or 1, or x where it is 0 or NaN
	Reciprocal                      // 1/x
	Sqrt                            // the square root
	Floor                           // x rounded down
	Ceil                            // x rounded up
	Sin                             // the sine of x in radians for |x| <= MostRadians; 2 ulp or 1e-8
	Cos                             // the cosine; the same
	Round                           // x rounded half to even
	functionCount
)

// MostRadians is the largest number of which Sin and Cos are precise.
const MostRadians = 1 << 15

// Map computes out[i] = f(x[i]) in float32. It gives the special cases of package math, and NaN
// for NaN. out and x have the same length and may be the same slice.
func Map(f Function, out, x, p []float32) {
	x = x[:len(out)]
	if len(out) == 0 || mapVectors(f, out, x, p) {
		return
	}
	mapPortable(f, out, x, p)
}

// mapPortable specifies the functions. An expression that is a product and a sum rounds once only
// where it uses portmath.FMA.
func mapPortable(f Function, out, x, p []float32) {
	var of func(float32) float32
	switch f {
	case Exp:
		of = exp
	case Sigmoid:
		of = sigmoid
	case Tanh:
		of = tanh
	case Erf:
		of = erf
	case Log:
		of = log
	case Softplus:
		of = softplus
	case Softsign:
		of = func(v float32) float32 { return v / (magnitude(v) + 1) }
	case Mish:
		of = mish
	case Gelu:
		of = gelu
	case GeluTanh:
		of = geluTanh
	case Swish:
		of = func(v float32) float32 { return v * sigmoid(v*p[0]) }
	case Elu:
		of = func(v float32) float32 {
			if math.Signbit(float64(v)) {
				return expMinus(notAbove(v, 0)*p[1]) * p[0]
			}
			return v * p[2]
		}
	case LeakyRelu:
		of = func(v float32) float32 {
			if math.Signbit(float64(v)) {
				return v * p[0]
			}
			return v
		}
	case ThresholdedRelu:
		of = func(v float32) float32 {
			if p[0] < v {
				return v
			}
			return 0
		}
	case HardSigmoid:
		of = func(v float32) float32 { return hardSigmoid(v, p) }
	case HardSwish:
		of = func(v float32) float32 { return v * hardSigmoid(v, p) }
	case Clip:
		of = func(v float32) float32 { return notAbove(notBelow(v, p[0]), p[1]) }
	case Normalize:
		of = func(v float32) float32 { return portmath.FMA((v-p[0])-p[1], p[2], p[3]) }
	case Abs:
		of = magnitude
	case Neg:
		of = func(v float32) float32 { return -v }
	case Sign:
		of = sign
	case Reciprocal:
		of = func(v float32) float32 { return 1 / v }
	case Sqrt:
		of = func(v float32) float32 { return float32(math.Sqrt(float64(v))) }
	case Floor:
		of = func(v float32) float32 { return float32(math.Floor(float64(v))) }
	case Ceil:
		of = func(v float32) float32 { return float32(math.Ceil(float64(v))) }
	case Sin:
		of = func(v float32) float32 { return sine(v, 0) }
	case Cos:
		of = func(v float32) float32 { return sine(v, 1) }
	case Round:
		of = func(v float32) float32 { return float32(math.RoundToEven(float64(v))) }
	}
	for i, v := range x {
		out[i] = of(v)
	}
}

const (
	signBits  = 1 << 31
	shift     = 0x1.8p23   // adding it to a number of up to 22 bits rounds the number to an integer
	shiftBits = 0x4b400000 // of shift

	// ln(2) in two parts; the first is the nearest float32.
	ln2High = 0x1.62e43p-1
	ln2Low  = -0x1.05c61p-29

	leastExp  = -104 // exp(x) is 0 for a smaller x
	mostExp   = 89   // exp(x) is infinite for a larger x
	rootHalf  = 0x3f3504f3
	rootMinus = 0x1.a8279ap-2 // sqrt(2) - 1

	geluTanhFactor = 0x1.988454p+0 // 2*sqrt(2/pi)
	geluTanhCube   = float32(geluTanhFactor * 0.044715)
	rootOfHalf     = 1 / math.Sqrt2
)

// Minimax polynomials, by the algorithm of Remez, with the constant coefficient first.
var (
	// expCoefficients approximates (exp(r)-1-r)/(r*r) for |r| <= ln(2)/2. The error of exp(r) is below
	// 2^-28.
	expCoefficients = []float32{0x1p-1, 0x1.55548ep-3, 0x1.55545ep-5, 0x1.123bdep-7, 0x1.6db4e8p-10}

	// logCoefficients approximates (log(1+f)-f+f*f/2)/f^3 for 1+f from sqrt(1/2) to sqrt(2). The error
	// is below 2^-27, relative to the logarithm.
	logCoefficients = []float32{
		0x1.555554p-2, -0x1.00022ap-2, 0x1.99a016p-3, -0x1.547128p-3, 0x1.22d7fcp-3, -0x1.0d8eaep-3, 0x1.05702p-3, -0x1.38b636p-4,
	}

	// sinCoefficients approximates sin(r)/r for z = r*r and |r| <= pi/4, and cosCoefficients
	// (cos(r)-1+z/2)/(z*z). The errors are below 2^-28.
	sinCoefficients = []float32{1, -0x1.555546p-3, 0x1.110756p-7, -0x1.994b38p-13}
	cosCoefficients = []float32{0x1.55554ap-5, -0x1.6c0c28p-10, 0x1.99e86ap-16}

	// erfCoefficients approximates -log(1-erf(t))/t for t from 0 to 4, with an error of erf(t) below
	// 2^-27, relative to the result.
	erfCoefficients = []float32{
		0x1.20dd76p+0, 0x1.45f2fap-1, 0x1.a4fa5ep-4, -0x1.39cdbep-6, -0x1.5066bap-13, 0x1.b500f2p-10, -0x1.4bca4ap-11, 0x1.ed6c48p-14, -0x1.3695bap-17,
	}

	// geluCoefficients approximates the same function for t from 0 to 6. The error of 1-erf(t) is
	// below 2^-24 times the larger of 1 and -log(1-erf(t)), relative to the result. Above 6, the
	// polynomial is too large, but increases.
	geluCoefficients = []float32{
		0x1.20dd82p+0, 0x1.45f14ap-1, 0x1.a53ceep-4, -0x1.3bea5ep-6, -0x1.beff74p-15, 0x1.b60d0ap-10, -0x1.71d62ap-11, 0x1.68f2e8p-13, -0x1.cb1376p-16,
		0x1.76aad2p-19, -0x1.64e242p-23, 0x1.2dbb0cp-28,
	}
)

// polynomial returns the value of a polynomial at x, by a chain of FMAs (Horner).
func polynomial(x float32, coefficients []float32) float32 {
	last := len(coefficients) - 1
	v := coefficients[last]
	for i := last - 1; i >= 0; i-- {
		v = portmath.FMA(v, x, coefficients[i])
	}
	return v
}

// notBelow and notAbove return v, but at least or at most a limit. NaN stays NaN, and -0 stays -0.
func notBelow(v, limit float32) float32 {
	if limit > v {
		return limit
	}
	return v
}

func notAbove(v, limit float32) float32 {
	if limit < v {
		return limit
	}
	return v
}

func magnitude(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ signBits) }

// negated returns -|v|.
func negated(v float32) float32 { return math.Float32frombits(math.Float32bits(v) | signBits) }

func withSign(v, sign float32) float32 {
	return math.Float32frombits(math.Float32bits(v)&^signBits | math.Float32bits(sign)&signBits)
}

func sign(v float32) float32 {
	if 0 < magnitude(v) {
		return withSign(1, v)
	}
	return v
}

// expReduced returns n and p with exp(x) = 2^n * (1 + p) and |p| < 0.42.
func expReduced(x float32) (n int32, p float32) {
	t := portmath.FMA(x, math.Log2E, shift)
	k := t - shift
	r := portmath.FMA(-k, ln2Low, portmath.FMA(-k, ln2High, x))
	q := polynomial(r, expCoefficients)
	return int32(math.Float32bits(t) - shiftBits), portmath.FMA(float32(r*r), q, r)
}

func powerOf2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// expWithin returns exp(x) for x from leastExp to mostExp, or NaN.
func expWithin(x float32) float32 {
	n, p := expReduced(x)
	half := n >> 1 // 2^n may be too large or too small for a float32
	return float32((1+p)*powerOf2(half)) * powerOf2(n-half)
}

func exp(x float32) float32 { return expWithin(notAbove(notBelow(x, leastExp), mostExp)) }

// expNegative returns exp(x) for x <= 0.
func expNegative(x float32) float32 { return expWithin(notBelow(x, leastExp)) }

// expMinus returns exp(x) - 1 for x <= 0.
func expMinus(x float32) float32 {
	n, p := expReduced(notBelow(x, -40))
	s := powerOf2(n)
	return portmath.FMA(s, p, s-1)
}

func sigmoid(x float32) float32 {
	e := expNegative(negated(x))
	if math.Signbit(float64(x)) {
		return e / (e + 1)
	}
	return 1 / (e + 1)
}

// tanh uses tanh(|x|) = -m/(m+2) with m = exp(-2*|x|) - 1.
func tanh(x float32) float32 {
	m := expMinus(negated(x) * 2)
	return withSign(m/(m+2), x)
}

func erf(x float32) float32 {
	t := notAbove(magnitude(x), 4)
	return withSign(expMinus(-(t * polynomial(t, erfCoefficients))), x)
}

// gelu uses w = x*(1 - erf(|x|/sqrt(2)))/2, which is exact for large |x|, too.
func gelu(x float32) float32 {
	c := notAbove(notBelow(x, -14.5), 14.5)
	t := magnitude(c) * rootOfHalf
	w := float32(float32(c*0.5) * expNegative(-(t * polynomial(t, geluCoefficients))))
	if math.Signbit(float64(x)) {
		return w
	}
	return x - w
}

// geluTanh uses (1 + tanh(u))/2 = sigmoid(2*u).
func geluTanh(x float32) float32 {
	c := notBelow(x, -20)
	return c * sigmoid(c*portmath.FMA(float32(c*c), geluTanhCube, geluTanhFactor))
}

// logOf returns log(1+f) + k*ln(2).
func logOf(f, k float32) float32 {
	z := float32(f * f)
	y := portmath.FMA(k, ln2Low, float32(float32(z*f)*polynomial(f, logCoefficients)))
	return portmath.FMA(k, ln2High, f+portmath.FMA(-z, 0.5, y))
}

func log(x float32) float32 {
	switch {
	case x == 0:
		return float32(math.Inf(-1))
	case x < 0:
		return float32(math.NaN())
	case !(x <= math.MaxFloat32):
		return x
	}
	least := float32(0)
	if x < 0x1p-126 {
		x *= 0x1p25
		least = 25
	}
	i := int32(math.Float32bits(x) - rootHalf)
	m := math.Float32frombits(uint32(i)&0x7fffff + rootHalf)
	return logOf(m-1, float32(i>>23)-least)
}

func softplus(x float32) float32 {
	e := expNegative(negated(x))
	f, more := e, float32(0)
	if rootMinus < e {
		f, more = float32((e-1)*0.5), ln2High
	}
	return (logOf(f, 0) + more) + notBelow(x, 0)
}

func mish(x float32) float32 {
	e := expWithin(notAbove(notBelow(x, leastExp), 20))
	n := float32(e * (e + 2)) // (1+e)^2 - 1
	return x * (n / (n + 2))
}

func hardSigmoid(v float32, p []float32) float32 {
	return notAbove(notBelow(float32(v*p[0])+p[1], 0), 1)
}

// pi/2 in three positive parts, so that 0 keeps its sign.
const (
	halfPi1 = 0x1.921fb4p+0
	halfPi2 = 0x1.4442dp-24
	halfPi3 = 0x1.846988p-48
)

// sine returns sin(x + quarters*pi/2). It computes x = n*pi/2 + r with |r| <= pi/4.
func sine(x float32, quarters uint32) float32 {
	t := portmath.FMA(x, 2/math.Pi, shift)
	n := t - shift
	r := portmath.FMA(-n, halfPi3, portmath.FMA(-n, halfPi2, portmath.FMA(-n, halfPi1, x)))
	z := float32(r * r)
	i := math.Float32bits(t) + quarters
	v := float32(r * polynomial(z, sinCoefficients))
	if i&1 != 0 {
		v = portmath.FMA(float32(z*z), polynomial(z, cosCoefficients), portmath.FMA(-z, 0.5, 1))
	}
	return math.Float32frombits(math.Float32bits(v) ^ i<<30&signBits)
}
