package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
	"github.com/spike-by-spike/sbs/internal/kernel/_asm/coefficients"
)

// reduced holds x = n*ln(2) + r and p = exp(r) - 1; n is in the low bits of t.
type reduced struct{ t, n, p reg.VecVirtual }

// reduce is expReduced of package kernel.
func (l lanes) reduce(x Op) reduced {
	t := l.constant(shiftBit)
	l.addProduct(t, x, number(math.Log2E))
	n := l.minus(t, shiftBit)
	r := l.copy(x)
	l.subtractProduct(r, n, number(coefficients.Ln2High))
	l.subtractProduct(r, n, number(coefficients.Ln2Low))
	q := l.polynomial(r, coefficients.Exp...)
	z := l.times(r, r)
	l.addProduct(r, z, q)
	return reduced{t, n, r}
}

// exp returns exp(x), for x from -104 to 89.
func (l lanes) exp(x Op) reg.VecVirtual {
	e := l.reduce(x)
	y := l.plus(e.p, number(1))
	if l == 16 {
		VSCALEFPS(e.n, y, y)
		return y
	}
	k, half := YMM(), YMM()
	VPSUBD(l.memory(shiftBit), e.t, k)
	VPSRAD(U8(1), k, half)
	VPSUBD(half, k, k)
	for _, v := range []reg.VecVirtual{half, k} {
		VPADDD(l.memory(127), v, v)
		VPSLLD(U8(23), v, v)
		VMULPS(v, y, y)
	}
	return y
}

// limited returns x, but at least low and at most high, or NaN if x is NaN.
func (l lanes) limited(x Op, low, high float64) reg.VecVirtual {
	v := l.constant(number(low))
	VMAXPS(x, v, v)
	if !math.IsInf(high, 1) {
		top := l.constant(number(high))
		VMINPS(v, top, v)
	}
	return v
}

// expOf returns exp(x) for every x.
func (l lanes) expOf(x Op) reg.VecVirtual { return l.exp(l.limited(x, -104, 89)) }

// expMinus returns exp(x) - 1 for x <= 0.
func (l lanes) expMinus(x Op) reg.VecVirtual {
	e := l.reduce(l.limited(x, -40, math.Inf(1)))
	s := l.new()
	if l == 16 {
		VPSLLD(U8(23), e.t, s)
		VPADDD_BCST(l.memory(number(1)), s, s)
	} else {
		VPSLLD(U8(23), e.t, s)
		VPADDD(l.memory(number(1)), s, s)
	}
	m := l.minus(s, number(1))
	l.addProduct(m, s, e.p)
	return m
}

func (l lanes) sigmoid(x reg.VecVirtual) reg.VecVirtual {
	e := l.exp(l.limited(l.or(x, signBit), -104, math.Inf(1)))
	one := l.constant(number(1))
	return l.over(l.choose(l.negative(x), e, one), l.plus(e, one))
}

func (l lanes) withSign(magnitude, x reg.VecVirtual) reg.VecVirtual {
	return l.or(l.and(magnitude, magnBits), l.and(x, signBit))
}

func (l lanes) tanh(x reg.VecVirtual) reg.VecVirtual {
	m := l.expMinus(l.times(l.or(x, signBit), number(2)))
	return l.withSign(l.over(m, l.plus(m, number(2))), x)
}

func (l lanes) erf(x reg.VecVirtual) reg.VecVirtual {
	t := l.limitedMagnitude(x, 4)
	u := l.times(t, l.polynomial(t, coefficients.Erf...))
	return l.withSign(l.expMinus(l.xor(u, signBit)), x)
}

// limitedMagnitude returns the magnitude of x, at most high, or NaN.
func (l lanes) limitedMagnitude(x Op, high float64) reg.VecVirtual {
	t, top := l.and(x, magnBits), l.constant(number(high))
	VMINPS(t, top, t)
	return t
}

func (l lanes) gelu(x reg.VecVirtual) reg.VecVirtual {
	c := l.limited(x, -14.5, 14.5)
	t := l.times(l.and(c, magnBits), number(1/math.Sqrt2))
	u := l.times(t, l.polynomial(t, coefficients.Gelu...))
	w := l.times(l.times(c, number(0.5)), l.exp(l.limited(l.xor(u, signBit), -104, math.Inf(1))))
	return l.choose(l.negative(x), w, l.minus(x, w))
}

func (l lanes) geluTanh(x reg.VecVirtual) reg.VecVirtual {
	c := l.limited(x, -20, math.Inf(1))
	u := l.constant(number(coefficients.GeluTanhFactor))
	l.addProduct(u, l.times(c, c), number(coefficients.GeluTanhFactor*0.044715))
	return l.times(c, l.sigmoid(l.times(c, u)))
}

// logOf returns log(1+f) + k*ln(2), where k may be nil for 0.
func (l lanes) logOf(f, k reg.VecVirtual) reg.VecVirtual {
	z := l.times(f, f)
	y := l.times(l.times(z, f), l.polynomial(f, coefficients.Log...))
	if k != nil {
		l.addProduct(y, k, number(coefficients.Ln2Low))
	}
	l.subtractProduct(y, z, number(0.5))
	y = l.plus(f, y)
	if k != nil {
		l.addProduct(y, k, number(math.Ln2))
	}
	return y
}

func (l lanes) log(x reg.VecVirtual) reg.VecVirtual {
	small := l.compare(less, x, number(0x1p-126))
	v := l.choose(small, l.times(x, number(0x1p25)), x)
	i, m := l.new(), l.new()
	if l == 16 {
		VPSUBD_BCST(l.memory(bits(coefficients.RootHalf)), v, i)
		VPANDD_BCST(l.memory(0x7fffff), i, m)
		VPADDD_BCST(l.memory(bits(coefficients.RootHalf)), m, m)
	} else {
		VPSUBD(l.memory(bits(coefficients.RootHalf)), v, i)
		VPAND(l.memory(0x7fffff), i, m)
		VPADDD(l.memory(bits(coefficients.RootHalf)), m, m)
	}
	VPSRAD(U8(23), i, i)
	VCVTDQ2PS(i, i)
	k := l.choose(small, l.minus(i, number(25)), i)
	y := l.logOf(l.minus(m, number(1)), k)
	infinite := l.compare(unorderedOrInfinite, x, number(math.MaxFloat32))
	y = l.choose(infinite, x, y)
	y = l.choose(l.compare(less, x, number(0)), bits(0x7fc00000), y)
	return l.choose(l.compare(equal, x, number(0)), number(math.Inf(-1)), y)
}

// unorderedOrInfinite is the predicate of x that is not at most the largest number.
const unorderedOrInfinite = 6

func (l lanes) softplus(x reg.VecVirtual) reg.VecVirtual {
	e := l.exp(l.limited(l.or(x, signBit), -104, math.Inf(1)))
	large := l.compare(less, l.constant(number(coefficients.RootMinus)), e)
	f := l.choose(large, l.times(l.minus(e, number(1)), number(0.5)), e)
	y := l.logOf(f, nil)
	y = l.plus(y, l.keep(large, l.constant(number(math.Ln2))))
	zero := l.new()
	VXORPS(zero, zero, zero)
	return l.plus(y, l.largest(zero, x))
}

func (l lanes) mish(x reg.VecVirtual) reg.VecVirtual {
	e := l.exp(l.limited(x, -104, 20))
	n := l.times(e, l.plus(e, number(2)))
	return l.times(x, l.over(n, l.plus(n, number(2))))
}

// sine returns sin(x + quarters*pi/2).
func (l lanes) sine(x reg.VecVirtual, quarters bits) reg.VecVirtual {
	t := l.constant(shiftBit)
	l.addProduct(t, x, number(2/math.Pi))
	n := l.minus(t, shiftBit)
	r := l.copy(x)
	for _, part := range coefficients.HalfPi {
		l.subtractProduct(r, n, number(part))
	}
	z := l.times(r, r)
	sin := l.times(r, l.polynomial(z, coefficients.Sin...))
	cos := l.constant(number(1))
	l.subtractProduct(cos, z, number(0.5))
	l.addProduct(cos, l.times(z, z), l.polynomial(z, coefficients.Cos...))
	odd, sign := l.new(), l.new()
	if l == 16 {
		VPADDD_BCST(l.memory(quarters), t, t)
	} else {
		VPADDD(l.memory(quarters), t, t)
	}
	VPSLLD(U8(31), t, odd)
	VPSLLD(U8(30), t, sign)
	return l.xor(l.choose(l.negative(odd), cos, sin), l.and(sign, signBit))
}

func (l lanes) sign(x reg.VecVirtual) reg.VecVirtual {
	one := l.or(l.and(x, signBit), number(1))
	return l.choose(l.compare(less, l.constant(0), l.and(x, magnBits)), one, x)
}

func (l lanes) round(mode uint8, x reg.VecVirtual) reg.VecVirtual {
	v := l.new()
	if l == 16 {
		VRNDSCALEPS(U8(mode), x, v)
	} else {
		VROUNDPS(U8(mode), x, v)
	}
	return v
}

// function is a function of one number and of parameters that all numbers share.
type function struct {
	name       string
	parameters int
	of         func(l lanes, x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual
}

func simple(f func(l lanes, x reg.VecVirtual) reg.VecVirtual) func(lanes, reg.VecVirtual, []reg.VecVirtual) reg.VecVirtual {
	return func(l lanes, x reg.VecVirtual, _ []reg.VecVirtual) reg.VecVirtual { return f(l, x) }
}

// functions has the order of the constants of package kernel.
var functions = []function{
	{"exp", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual { return l.expOf(x) })},
	{"sigmoid", 0, simple(lanes.sigmoid)},
	{"tanh", 0, simple(lanes.tanh)},
	{"erf", 0, simple(lanes.erf)},
	{"log", 0, simple(lanes.log)},
	{"softplus", 0, simple(lanes.softplus)},
	{"softsign", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual {
		return l.over(x, l.plus(l.and(x, magnBits), number(1)))
	})},
	{"mish", 0, simple(lanes.mish)},
	{"gelu", 0, simple(lanes.gelu)},
	{"geluTanh", 0, simple(lanes.geluTanh)},
	{"swish", 1, func(l lanes, x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual {
		return l.times(x, l.sigmoid(l.times(x, p[0])))
	}},
	{"elu", 3, func(l lanes, x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual {
		zero := l.new()
		VXORPS(zero, zero, zero)
		m := l.expMinus(l.times(l.smallest(zero, x), p[1]))
		return l.choose(l.negative(x), l.times(m, p[0]), l.times(x, p[2]))
	}},
	{"leakyRelu", 1, func(l lanes, x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual {
		return l.choose(l.negative(x), l.times(x, p[0]), x)
	}},
	{"thresholdedRelu", 1, func(l lanes, x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual {
		return l.keep(l.compare(less, p[0], x), x)
	}},
	{"hardSigmoid", 2, func(l lanes, x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual {
		return l.hardSigmoid(x, p)
	}},
	{"hardSwish", 2, func(l lanes, x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual {
		return l.times(x, l.hardSigmoid(x, p))
	}},
	{"clip", 2, func(l lanes, x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual {
		return l.smallest(p[1], l.largest(p[0], x))
	}},
	{"normalize", 4, func(l lanes, x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual {
		v := l.minus(l.minus(x, p[0]), p[1])
		l.timesPlus(v, p[2], p[3])
		return v
	}},
	{"abs", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual { return l.and(x, magnBits) })},
	{"neg", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual { return l.xor(x, signBit) })},
	{"sign", 0, simple(lanes.sign)},
	{"reciprocal", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual { return l.over(l.constant(number(1)), x) })},
	{"sqrt", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual {
		v := l.new()
		VSQRTPS(x, v)
		return v
	})},
	{"floor", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual { return l.round(9, x) })},
	{"ceil", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual { return l.round(10, x) })},
	{"sin", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual { return l.sine(x, 0) })},
	{"cos", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual { return l.sine(x, 1) })},
	{"round", 0, simple(func(l lanes, x reg.VecVirtual) reg.VecVirtual { return l.round(8, x) })},
}

func (l lanes) hardSigmoid(x reg.VecVirtual, p []reg.VecVirtual) reg.VecVirtual {
	v := l.plus(l.times(x, p[0]), p[1])
	return l.limited(v, 0, 1)
}

// function generates a function of single numbers.
func (l lanes) function(f function) {
	name := f.name + l.suffix()
	TEXT(name, NOSPLIT, "func(dst, x *float32, n int, p *float32)")
	Doc(fmt.Sprintf("%s applies a function with %d parameters p to n numbers.", name, f.parameters))
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64()).(reg.GPVirtual)
	from := Load(Param("p"), GP64())
	var p []reg.VecVirtual
	for i := range f.parameters {
		v := l.new()
		VBROADCASTSS(Mem{Base: from, Disp: 4 * i}, v)
		p = append(p, v)
	}
	l.each("", n, func(mask reg.Register) {
		v := l.load(Mem{Base: x}, mask)
		l.store(f.of(l, v, p), Mem{Base: dst}, mask)
	}, func() {
		ADDQ(Imm(uint64(4*l)), x)
		ADDQ(Imm(uint64(4*l)), dst)
	})
	VZEROUPPER()
	RET()
}

// generate generates all functions of lists of numbers.
func (l lanes) generate() {
	for _, f := range functions {
		l.function(f)
	}
	l.softmax(false)
	l.softmax(true)
	l.expSum(false)
	l.expSum(true)
	l.expColumns()
	l.normalizeRow()
	for _, p := range pairFunctions {
		l.pair(p)
	}
	l.comparison("isLess", less)
	l.comparison("isLessEqual", lessEqual)
	l.comparison("isEqual", equal)
	l.selection()
	for _, kind := range summands {
		l.total(kind)
		l.accumulate(kind)
	}
	l.multiply()
	l.extreme(true)
	l.extreme(false)
	l.fromHalf()
	l.toHalf()
	l.powers()
}
