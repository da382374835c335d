package main

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel/_asm/coefficients"
)

// expReduced returns the integer n and p with exp(x) = 2^n * (1 + p).
func (f *function) expReduced(x int) (n, p int) {
	t := f.plusProduct(shiftBit, x, number(math.Log2E))
	k := f.minus(t, shiftBit)
	r := f.minusProduct(f.minusProduct(x, k, number(coefficients.Ln2High)), k, number(coefficients.Ln2Low))
	q := f.polynomial(r, coefficients.Exp)
	return f.do("sub", t, shiftBit), f.plusProduct(r, f.times(r, r), q)
}

// powerOf2 returns 2^n.
func (f *function) powerOf2(n int) int { return f.shifted("shl", f.do("add", n, word(127)), 23) }

// expWithin returns exp(x) for x from -104 to 89, or NaN.
func (f *function) expWithin(x int) int {
	n, p := f.expReduced(x)
	half := f.shifted("sshr", n, 1)
	y := f.times(f.plus(p, number(1)), f.powerOf2(half))
	return f.times(y, f.powerOf2(f.do("sub", n, half)))
}

func (f *function) exp(x int) int { return f.expWithin(f.within(x, -104, 89)) }

// expNegative returns exp(x) for x <= 0.
func (f *function) expNegative(x int) int { return f.expWithin(f.within(x, -104, math.Inf(1))) }

// expMinus returns exp(x) - 1 for x <= 0.
func (f *function) expMinus(x int) int {
	n, p := f.expReduced(f.within(x, -40, math.Inf(1)))
	s := f.powerOf2(n)
	return f.plusProduct(f.minus(s, number(1)), s, p)
}

func (f *function) sigmoid(x int) int {
	e := f.expNegative(f.do("orr", x, signBit))
	return f.over(f.choose(f.negative(x), e, number(1)), f.plus(e, number(1)))
}

func (f *function) tanh(x int) int {
	m := f.expMinus(f.times(f.do("orr", x, signBit), number(2)))
	return f.withSign(f.over(m, f.plus(m, number(2))), x)
}

func (f *function) erf(x int) int {
	t := f.within(f.do("fabs", x), math.Inf(-1), 4)
	u := f.times(t, f.polynomial(t, coefficients.Erf))
	return f.withSign(f.expMinus(f.do("fneg", u)), x)
}

func (f *function) gelu(x int) int {
	c := f.within(x, -14.5, 14.5)
	t := f.times(f.do("fabs", c), number(1/math.Sqrt2))
	u := f.times(t, f.polynomial(t, coefficients.Gelu))
	w := f.times(f.times(c, number(0.5)), f.expNegative(f.do("fneg", u)))
	return f.choose(f.negative(x), w, f.minus(x, w))
}

func (f *function) geluTanh(x int) int {
	c := f.within(x, -20, math.Inf(1))
	u := f.plusProduct(number(coefficients.GeluTanhFactor), f.times(c, c), number(coefficients.GeluTanhFactor*0.044715))
	return f.times(c, f.sigmoid(f.times(c, u)))
}

// logOf returns log(1+v) + k*ln(2). k may be nil for 0.
func (f *function) logOf(v int, k any) int {
	z := f.times(v, v)
	y := f.times(f.times(z, v), f.polynomial(v, coefficients.Log))
	if k != nil {
		y = f.plusProduct(y, k, number(coefficients.Ln2Low))
	}
	y = f.plus(v, f.minusProduct(y, z, number(0.5)))
	if k != nil {
		y = f.plusProduct(y, k, number(coefficients.Ln2High))
	}
	return y
}

func (f *function) log(x int) int {
	small := f.do("fcmgt", number(0x1p-126), x)
	v := f.choose(small, f.times(x, number(0x1p25)), x)
	i := f.do("sub", v, word(coefficients.RootHalf))
	m := f.do("add", f.do("and", i, word(0x7fffff)), word(coefficients.RootHalf))
	k := f.do("scvtf", f.shifted("sshr", i, 23))
	k = f.minus(k, f.do("and", small, number(25)))
	y := f.logOf(f.minus(m, number(1)), k)
	y = f.choose(f.do("fcmge", number(math.MaxFloat32), x), y, x)
	y = f.choose(f.do("fcmlt0", x), word(0x7fc00000), y)
	return f.choose(f.do("fcmeq0", x), number(math.Inf(-1)), y)
}

func (f *function) softplus(x int) int {
	e := f.expNegative(f.do("orr", x, signBit))
	large := f.do("fcmgt", e, number(coefficients.RootMinus))
	v := f.choose(large, f.times(f.minus(e, number(1)), number(0.5)), e)
	y := f.plus(f.logOf(v, nil), f.do("and", large, number(coefficients.Ln2High)))
	return f.plus(y, f.notBelow(x, number(0)))
}

func (f *function) mish(x int) int {
	e := f.expWithin(f.within(x, -104, 20))
	n := f.times(e, f.plus(e, number(2)))
	return f.times(x, f.over(n, f.plus(n, number(2))))
}

// sine returns sin(x + quarters*pi/2).
func (f *function) sine(x int, quarters word) int {
	t := f.plusProduct(shiftBit, x, number(2/math.Pi))
	n := f.minus(t, shiftBit)
	r := x
	for _, part := range coefficients.HalfPi {
		r = f.minusProduct(r, n, number(part))
	}
	z := f.times(r, r)
	sin := f.times(r, f.polynomial(z, coefficients.Sin))
	cos := f.minusProduct(number(1), z, number(0.5))
	cos = f.plusProduct(cos, f.times(z, z), f.polynomial(z, coefficients.Cos))
	i := t
	if quarters != 0 {
		i = f.do("add", t, quarters)
	}
	odd := f.negative(f.shifted("shl", i, 31))
	return f.do("eor", f.choose(odd, cos, sin), f.do("and", f.shifted("shl", i, 30), signBit))
}

func (f *function) sign(x int) int {
	one := f.do("orr", f.do("and", x, signBit), number(1))
	return f.choose(f.do("fcmgt0", f.do("fabs", x)), one, x)
}

func (f *function) hardSigmoid(x int, p []int) int {
	v := f.plus(f.times(x, p[0]), p[1])
	return f.notAbove(f.notBelow(v, number(0)), number(1))
}

// single is a function of one number and of parameters that all numbers share.
type single struct {
	name       string
	parameters int
	of         func(f *function, x int, p []int) int
}

func simple(of func(f *function, x int) int) func(*function, int, []int) int {
	return func(f *function, x int, _ []int) int { return of(f, x) }
}

// direct returns a function that is one instruction.
func direct(name string) func(*function, int, []int) int {
	return simple(func(f *function, x int) int { return f.do(name, x) })
}

var singles = []single{
	{"exp", 0, simple((*function).exp)},
	{"sigmoid", 0, simple((*function).sigmoid)},
	{"tanh", 0, simple((*function).tanh)},
	{"erf", 0, simple((*function).erf)},
	{"log", 0, simple((*function).log)},
	{"softplus", 0, simple((*function).softplus)},
	{"softsign", 0, simple(func(f *function, x int) int { return f.over(x, f.plus(f.do("fabs", x), number(1))) })},
	{"mish", 0, simple((*function).mish)},
	{"gelu", 0, simple((*function).gelu)},
	{"geluTanh", 0, simple((*function).geluTanh)},
	{"swish", 1, func(f *function, x int, p []int) int { return f.times(x, f.sigmoid(f.times(x, p[0]))) }},
	{"elu", 3, func(f *function, x int, p []int) int {
		m := f.expMinus(f.times(f.notAbove(x, number(0)), p[1]))
		return f.choose(f.negative(x), f.times(m, p[0]), f.times(x, p[2]))
	}},
	{"leakyRelu", 1, func(f *function, x int, p []int) int { return f.choose(f.negative(x), f.times(x, p[0]), x) }},
	{"thresholdedRelu", 1, func(f *function, x int, p []int) int { return f.do("and", x, f.do("fcmgt", x, p[0])) }},
	{"hardSigmoid", 2, (*function).hardSigmoid},
	{"hardSwish", 2, func(f *function, x int, p []int) int { return f.times(x, f.hardSigmoid(x, p)) }},
	{"clip", 2, func(f *function, x int, p []int) int { return f.notAbove(f.notBelow(x, p[0]), p[1]) }},
	{"normalize", 4, func(f *function, x int, p []int) int {
		return f.plusProduct(p[3], f.minus(f.minus(x, p[0]), p[1]), p[2])
	}},
	{"abs", 0, direct("fabs")},
	{"neg", 0, direct("fneg")},
	{"sign", 0, simple((*function).sign)},
	{"reciprocal", 0, simple(func(f *function, x int) int { return f.over(number(1), x) })},
	{"sqrt", 0, direct("fsqrt")},
	{"floor", 0, direct("frintm")},
	{"ceil", 0, direct("frintp")},
	{"sin", 0, simple(func(f *function, x int) int { return f.sine(x, 0) })},
	{"cos", 0, simple(func(f *function, x int) int { return f.sine(x, 1) })},
	{"round", 0, direct("frintn")},
}

// maps generates the functions of single numbers.
func maps() {
	for _, s := range singles {
		f := newFunction(s.name+"NEON", "func(dst, x *float32, n int, p *float32)",
			fmt.Sprintf("%sNEON applies a function with %d parameters p to n numbers, a multiple of 4.", s.name, s.parameters))
		const dst, x, n, from = R0, R1, R2, R3
		for i, p := range []string{"dst", "x", "n", "p"} {
			f.load(p, dst+i)
		}
		f.useConstants()
		var p []int
		for i := range s.parameters {
			p = append(p, 31-i)
			f.v("ld1rpost", p[i], from)
		}
		f.blocks(n, []int{4, 1}, func(vectors int) {
			in := f.loads(vectors, x)
			f.sideBySide(vectors, func(v int) { in[v] = s.of(f, in[v], p) })
			f.stores(in, dst)
		})
		f.ret()
	}
}
