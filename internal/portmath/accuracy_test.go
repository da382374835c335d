package portmath

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// precision is the number of bits of the reference, which loses up to 200 of them.
const precision = 500

func newBig(x float64) *big.Float {
	return new(big.Float).SetPrec(precision).SetFloat64(x)
}

func with(op func(z, x, y *big.Float) *big.Float, x, y *big.Float) *big.Float {
	return op(newBig(0), x, y)
}

func add(x, y *big.Float) *big.Float { return with((*big.Float).Add, x, y) }
func mul(x, y *big.Float) *big.Float { return with((*big.Float).Mul, x, y) }
func quo(x, y *big.Float) *big.Float { return with((*big.Float).Quo, x, y) }

// bigExpm1 computes the series of x/2^30, and then 30 times exp(2*t)-1 = m*(m+2).
func bigExpm1(x *big.Float) *big.Float {
	if x.Sign() == 0 {
		return x
	}
	t := newBig(0).SetMantExp(x, -30)
	m, term := t, t
	for i := 2; i < 25; i++ {
		term = quo(mul(term, t), newBig(float64(i)))
		m = add(m, term)
	}
	for range 30 {
		m = mul(m, add(m, newBig(2)))
	}
	return m
}

func bigExp(x *big.Float) *big.Float {
	if x.Sign() < 0 { // the sum below would cancel
		return quo(newBig(1), bigExp(newBig(0).Neg(x)))
	}
	return add(bigExpm1(x), newBig(1))
}

// bigLog computes 2*atanh((m-1)/(m+1)) + e*ln(2) with 0.75 <= m < 1.5.
func bigLog(x *big.Float) *big.Float {
	series := func(m *big.Float) *big.Float {
		s := quo(add(m, newBig(-1)), add(m, newBig(1)))
		sum, power := newBig(0), s
		for i := 1; power.Sign() != 0 && power.MantExp(nil) > -precision; i += 2 {
			sum = add(sum, quo(power, newBig(float64(i))))
			power = mul(power, mul(s, s))
		}
		return mul(sum, newBig(2))
	}
	m := newBig(0)
	e := x.MantExp(m)
	if m.Cmp(newBig(0.75)) < 0 {
		m, e = mul(m, newBig(2)), e-1
	}
	return add(series(m), mul(newBig(float64(e)), series(newBig(2))))
}

// bigCos computes the series of x/2^40, and then 40 times cos(2*t) = 2*cos(t)^2 - 1.
func bigCos(x *big.Float) *big.Float {
	t := newBig(0).SetMantExp(x, -40)
	c, term := newBig(1), newBig(1)
	for i := 1; i < 40; i += 2 {
		term = quo(mul(term, mul(t, t)), newBig(-float64(i)*float64(i+1)))
		c = add(c, term)
	}
	for range 40 {
		c = add(mul(newBig(2), mul(c, c)), newBig(-1))
	}
	return c
}

// unitsOff returns the difference of got and want in units in the last place of want.
func unitsOff(got float64, want *big.Float) float64 {
	w, _ := want.Float64()
	if math.IsInf(w, 0) || math.IsInf(got, 0) {
		if got == w {
			return 0
		}
		return math.Inf(1)
	}
	_, e := math.Frexp(w)
	unit := math.Ldexp(1, max(e-53, -1074))
	d, _ := quo(add(newBig(got), newBig(0).Neg(want)), newBig(unit)).Float64()
	return math.Abs(d)
}

func TestFunctions_AreAccurate(t *testing.T) {
	type reference = func(x *big.Float) *big.Float
	one := newBig(1)
	log1p := func(x *big.Float) *big.Float { return bigLog(add(x, one)) }
	tanh := func(x *big.Float) *big.Float {
		m := bigExpm1(mul(x, newBig(2)))
		return quo(m, add(m, newBig(2)))
	}
	uniform := func(low, high float64) func(u float64) float64 {
		return func(u float64) float64 { return low + (high-low)*u }
	}
	powers := func(low, high float64) func(u float64) float64 {
		return func(u float64) float64 { return math.Exp2(low + (high-low)*u) }
	}
	minus := func(f func(u float64) float64) func(u float64) float64 {
		return func(u float64) float64 { return -f(u) }
	}
	n := 500
	if testing.Short() {
		n = 50
	}
	for _, c := range []struct {
		subject   string
		f         func(float64) float64
		reference reference
		argument  func(u float64) float64
		bound     float64
	}{
		{"Exp near 0", Exp, bigExp, uniform(-1, 1), 0.9},
		{"Exp", Exp, bigExp, uniform(-708, 709.7), 0.9},
		{"Exp of tiny numbers", Exp, bigExp, powers(-60, -3), 0.9},
		{"subnormal Exp", Exp, bigExp, uniform(-745, -708), 0.9},
		{"Expm1 near 0", Expm1, bigExpm1, uniform(-2, 2), 1.7},
		{"Expm1", Expm1, bigExpm1, uniform(-50, 100), 1.7},
		{"Expm1 of tiny numbers", Expm1, bigExpm1, powers(-1070, -3), 1.7},
		{"Expm1 of tiny negative numbers", Expm1, bigExpm1, minus(powers(-60, -3)), 1.7},
		{"Log near 1", Log, bigLog, uniform(0.5, 2), 0.9},
		{"Log very near 1", Log, bigLog, uniform(0.99, 1.01), 0.9},
		{"Log", Log, bigLog, powers(-1074, 1024), 0.9},
		{"Log of small integers", Log, bigLog, func(u float64) float64 { return math.Floor(1000*u) + 2 }, 0.9},
		{"Log1p", Log1p, log1p, powers(-200, 1), 2.5},
		{"Log1p of large numbers", Log1p, log1p, powers(-2, 200), 2.5},
		{"Log1p of negative numbers", Log1p, log1p, uniform(-1, 0), 2.5},
		{"Tanh near 0", Tanh, tanh, uniform(-0.625, 0.625), 1.2},
		{"Tanh", Tanh, tanh, uniform(0.6, 3), 1.2},
		{"Tanh of large numbers", Tanh, tanh, uniform(-25, 25), 1.2},
		{"Tanh of tiny numbers", Tanh, tanh, powers(-1000, 0), 1.2},
		{"Cos", Cos, bigCos, uniform(-4, 4), 0.9},
		{"Cos of tiny numbers", Cos, bigCos, powers(-60, 0), 0.9},
		{"Cos of large numbers", Cos, bigCos, uniform(-1<<20, 1<<20), 0.9},
		{"Cos near its zeros", Cos, bigCos, func(u float64) float64 { return (math.Floor(300000*u) + 0.5) * math.Pi }, 0.9},
	} {
		t.Run(c.subject, func(t *testing.T) {
			random := rand.New(rand.NewPCG(9, 10))
			worst, at := 0.0, 0.0
			for range n {
				x := c.argument(random.Float64())
				if d := unitsOff(c.f(x), c.reference(newBig(x))); d > worst || math.IsNaN(d) {
					worst, at = d, x
				}
			}
			t.Logf("%.3f units in the last place at %x", worst, at)
			require.Less(t, worst, c.bound)
		})
	}
}

func TestPow_IsAccurate(t *testing.T) {
	n := 500
	if testing.Short() {
		n = 50
	}
	for _, c := range []struct {
		subject string
		log     float64 // of the largest and the inverse of the smallest x, to base 2
		result  float64 // the same of the results
	}{
		{"x near 1", 0.5, 1000},
		{"x very near 1", 1e-6, 1000},
		{"ordinary x", 10, 20},
		{"any x", 1020, 1022},
		{"subnormal results", 500, 1074},
	} {
		t.Run(c.subject, func(t *testing.T) {
			random := rand.New(rand.NewPCG(11, 12))
			worst, atX, atY := 0.0, 0.0, 0.0
			for range n {
				x := math.Exp2(c.log * (2*random.Float64() - 1))
				y := c.result * (2*random.Float64() - 1) / math.Log2(x)
				if x == 1 {
					continue
				}
				want := bigExp(mul(newBig(y), bigLog(newBig(x))))
				if d := unitsOff(Pow(x, y), want); d > worst || math.IsNaN(d) {
					worst, atX, atY = d, x, y
				}
			}
			t.Logf("%.3f units in the last place at %x, %x", worst, atX, atY)
			require.Less(t, worst, 1.2)
		})
	}
}
