package main

import "math"

// word is a constant of 32 bits that all lanes share.
type word uint32

func number(v float64) word { return word(math.Float32bits(float32(v))) }

// Constants of the functions. See functions.go of package kernel, which defines the functions.
const (
	signBit  = word(0x80000000)
	shiftBit = word(0x4b400000) // 0x1.8p23
)

// in returns a virtual register with a value: a constant, or a register, which it returns as it is.
func (f *function) in(v any) int {
	switch v := v.(type) {
	case word:
		r := f.new()
		f.constant(r, uint32(v))
		return r
	case int:
		return v
	}
	panic("neither a constant nor a register")
}

// do returns a virtual register with the result of an instruction of one or two operands.
func (f *function) do(name string, operands ...any) int {
	var all []int
	for _, o := range operands {
		all = append(all, f.in(o))
	}
	r := f.new()
	f.v(name, append([]int{r}, all...)...)
	return r
}

// shifted returns v shifted by some bits.
func (f *function) shifted(name string, v, bits int) int {
	r := f.new()
	f.v(name, r, v, bits)
	return r
}

func (f *function) plus(a, b any) int  { return f.do("fadd", a, b) }
func (f *function) minus(a, b any) int { return f.do("fsub", a, b) }
func (f *function) times(a, b any) int { return f.do("fmul", a, b) }
func (f *function) over(a, b any) int  { return f.do("fdiv", a, b) }

// fresh returns a register with a copy of a value.
func (f *function) fresh(v any) int {
	if register, ok := v.(int); ok {
		return f.do("mov", register)
	}
	return f.in(v)
}

// plusProduct returns sum + a*b, and minusProduct sum - a*b, rounded once.
func (f *function) plusProduct(sum, a, b any) int  { return f.accumulate("fmla", sum, a, b) }
func (f *function) minusProduct(sum, a, b any) int { return f.accumulate("fmls", sum, a, b) }

func (f *function) accumulate(name string, sum, a, b any) int {
	x, y := f.in(a), f.in(b)
	r := f.fresh(sum)
	f.v(name, r, x, y)
	return r
}

// choose returns yes where a mask is set, and no elsewhere. It overwrites the mask.
func (f *function) choose(mask int, yes, no any) int {
	y, n := f.in(yes), f.in(no)
	r := f.do("mov", mask)
	f.v("bsl", r, y, n)
	return r
}

// negative returns a mask of the lanes whose sign bit is set.
func (f *function) negative(v int) int { return f.do("cmlt0", v) }

// notBelow and notAbove return v, but at least or at most a limit. NaN stays NaN, and -0 stays -0.
func (f *function) notBelow(v int, limit any) int {
	l := f.in(limit)
	return f.choose(f.do("fcmgt", l, v), l, v)
}

func (f *function) notAbove(v int, limit any) int {
	l := f.in(limit)
	return f.choose(f.do("fcmgt", v, l), l, v)
}

// within returns v, but at least low and at most high, which are not 0.
func (f *function) within(v int, low, high float64) int {
	if !math.IsInf(low, -1) {
		v = f.do("fmax", v, number(low))
	}
	if !math.IsInf(high, 1) {
		v = f.do("fmin", v, number(high))
	}
	return v
}

// withSign returns v with the sign of another number.
func (f *function) withSign(v, sign int) int { return f.choose(f.in(signBit), sign, v) }

// polynomial returns the polynomial of x with the given coefficients, the constant one first.
func (f *function) polynomial(x int, coefficients []float64) int {
	last := len(coefficients) - 1
	v := f.in(number(coefficients[last]))
	for i := last - 1; i >= 0; i-- {
		v = f.plusProduct(number(coefficients[i]), v, x)
	}
	return v
}
