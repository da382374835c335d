package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pairFunction is an operation on two numbers.
type pairFunction struct {
	name string
	of   func(l lanes, a, b reg.VecVirtual) reg.VecVirtual
}

// pairFunctions has the order of the constants of package kernel.
var pairFunctions = []pairFunction{
	{"add", func(l lanes, a, b reg.VecVirtual) reg.VecVirtual { return l.plus(a, b) }},
	{"sub", func(l lanes, a, b reg.VecVirtual) reg.VecVirtual { return l.minus(a, b) }},
	{"mul", func(l lanes, a, b reg.VecVirtual) reg.VecVirtual { return l.times(a, b) }},
	{"div", func(l lanes, a, b reg.VecVirtual) reg.VecVirtual { return l.over(a, b) }},
	{"max", largestOf},
	{"min", smallestOf},
	{"preluOf", func(l lanes, a, b reg.VecVirtual) reg.VecVirtual {
		return l.choose(l.compare(less, a, number(0)), l.times(a, b), a)
	}},
}

// largestOf returns a where it is larger or NaN, and otherwise b.
func largestOf(l lanes, a, b reg.VecVirtual) reg.VecVirtual {
	return l.choose(l.compare(unordered, a, a), a, l.largest(a, b))
}

// smallestOf returns a where it is smaller or NaN, and otherwise b.
func smallestOf(l lanes, a, b reg.VecVirtual) reg.VecVirtual {
	return l.choose(l.compare(unordered, a, a), a, l.smallest(a, b))
}

// operand is one operand of a function, of which every number is another, or which has one number.
type operand struct{ at, step reg.Register }

// operand loads the parameters of an operand. A single number is copied to all lanes of a vector.
func (l lanes) operand(name, step string) operand {
	o := operand{Load(Param(name), GP64()), Load(Param(step), GP64())}
	label := "many" + name
	room := AllocLocal(4 * int(l))
	TESTQ(o.step, o.step)
	JNZ(LabelRef(label))
	v := l.new()
	VBROADCASTSS(Mem{Base: o.at}, v)
	VMOVUPS(v, room)
	LEAQ(room, o.at)
	Label(label)
	IMUL3Q(Imm(uint64(4*l)), o.step, o.step)
	return o
}

// whole generates a loop over n numbers, which fill whole vectors.
func (l lanes) whole(n reg.Register, body func(), operands ...operand) {
	Label("vector")
	body()
	for _, o := range operands {
		ADDQ(o.step, o.at)
	}
	SUBQ(Imm(uint64(l)), n)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

const pairDoc = "step 0 means that all numbers of an operand are the first one. n is a positive multiple of the number of lanes of a vector."

// pair generates an operation on two operands.
func (l lanes) pair(p pairFunction) {
	name := p.name + l.suffix()
	TEXT(name, NOSPLIT, "func(dst, a, b *float32, n, stepA, stepB int)")
	Doc(name+" computes an operation on n pairs of numbers.", pairDoc)
	Pragma("noescape")
	dst, n := Load(Param("dst"), GP64()), Load(Param("n"), GP64())
	a, b := l.operand("a", "stepA"), l.operand("b", "stepB")
	l.whole(n, func() {
		l.store(p.of(l, l.load(Mem{Base: a.at}, nil), l.load(Mem{Base: b.at}, nil)), Mem{Base: dst}, nil)
		ADDQ(Imm(uint64(4*l)), dst)
	}, a, b)
}

// comparison generates a comparison, whose results are bytes.
func (l lanes) comparison(of string, predicate uint8) {
	name := of + l.suffix()
	TEXT(name, NOSPLIT, "func(dst *bool, a, b *float32, n, stepA, stepB int)")
	Doc(name+" compares n pairs of numbers.", pairDoc)
	Pragma("noescape")
	dst, n := Load(Param("dst"), GP64()), Load(Param("n"), GP64())
	a, b := l.operand("a", "stepA"), l.operand("b", "stepB")
	one := l.constant(1)
	l.whole(n, func() {
		mask := l.compare(predicate, l.load(Mem{Base: a.at}, nil), l.load(Mem{Base: b.at}, nil))
		v := l.keep(mask, one)
		if l == 16 {
			VPMOVDB(v, Mem{Base: dst})
		} else {
			high := XMM()
			VEXTRACTI128(U8(1), v, high)
			VPACKSSDW(high, v.AsX(), high)
			VPACKSSWB(high, high, high)
			VMOVQ(high, Mem{Base: dst})
		}
		ADDQ(Imm(uint64(l)), dst)
	}, a, b)
}

// selection generates the choice between two operands.
func (l lanes) selection() {
	name := "selection" + l.suffix()
	TEXT(name, NOSPLIT, "func(dst *float32, c *bool, a, b *float32, n, stepA, stepB int)")
	Doc(name+" sets each of n numbers to that of a if c is set, and otherwise to that of b.", pairDoc)
	Pragma("noescape")
	dst, c, n := Load(Param("dst"), GP64()), Load(Param("c"), GP64()), Load(Param("n"), GP64())
	a, b := l.operand("a", "stepA"), l.operand("b", "stepB")
	zero := l.constant(0)
	l.whole(n, func() {
		v := l.new()
		VPMOVZXBD(Mem{Base: c}, v)
		var unset reg.Register
		if l == 16 {
			unset = K()
			VPTESTNMD(v, v, unset)
		} else {
			VPCMPEQD(zero, v, v)
			unset = v
		}
		l.store(l.choose(unset, l.load(Mem{Base: b.at}, nil), l.load(Mem{Base: a.at}, nil)), Mem{Base: dst}, nil)
		ADDQ(Imm(uint64(4*l)), dst)
		ADDQ(Imm(uint64(l)), c)
	}, a, b)
}

// addRows generates sums of the rows of two matrices.
func (l lanes) addRows() {
	name := "addRows" + l.suffix()
	TEXT(name, NOSPLIT, "func(sums *float32, sumStride int, x *float32, stride, rows, n int)")
	Doc(name+" adds n numbers of each of some rows of x to those of sums. n and rows are positive. The", "strides are in bytes.")
	Pragma("noescape")
	sums, sumStride := Load(Param("sums"), GP64()), Load(Param("sumStride"), GP64())
	x, stride := Load(Param("x"), GP64()), Load(Param("stride"), GP64())
	rows, n := Load(Param("rows"), GP64()), Load(Param("n"), GP64())
	Label("row")
	to, from, left := GP64(), GP64(), GP64()
	MOVQ(sums, to)
	MOVQ(x, from)
	MOVQ(n, left)
	l.each("", left, func(mask reg.Register) {
		l.store(l.plus(l.load(Mem{Base: to}, mask), l.load(Mem{Base: from}, mask)), Mem{Base: to}, mask)
	}, func() {
		ADDQ(Imm(uint64(4*l)), to)
		ADDQ(Imm(uint64(4*l)), from)
	})
	ADDQ(sumStride, sums)
	ADDQ(stride, x)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}
