package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A row is processed in blocks of 16 numbers, which are one or two vectors.
const rowBlock = 16

func (l lanes) parts() int { return rowBlock / int(l) }

// eachBlock generates a loop over the n numbers of a row: whole blocks without masks, then the rest
// with a mask for each vector. at returns the place of a vector in the row that begins at a base.
func (l lanes) eachBlock(name string, n reg.Register, body func(part int, mask reg.Register, at func(base reg.Register) Mem)) {
	i, left := GP64(), GP64()
	XORQ(i, i)
	MOVQ(n, left)
	block := func(masks []reg.Register) {
		for part := range l.parts() {
			body(part, masks[part], func(base reg.Register) Mem { return Mem{Base: base, Index: i, Scale: 4, Disp: 32 * part} })
		}
	}
	Label(name + "block")
	SUBQ(Imm(rowBlock), left)
	JL(LabelRef(name + "rest"))
	block(make([]reg.Register, 2))
	ADDQ(Imm(rowBlock), i)
	JMP(LabelRef(name + "block"))
	Label(name + "rest")
	ADDQ(Imm(rowBlock), left)
	JZ(LabelRef(name + "end"))
	var masks []reg.Register
	for part := range l.parts() {
		if part > 0 {
			SUBQ(Imm(uint64(l)), left)
		}
		masks = append(masks, l.tailMask(left))
	}
	block(masks)
	Label(name + "end")
}

// gather reduces the lanes of the vectors of a block to one, and returns it in all lanes. Lane i
// goes with lane i+8, then with i+4, i+2 and i+1.
func (l lanes) gather(v []reg.VecVirtual, reduce func(b, a, dst Op)) reg.VecVirtual {
	half := YMM()
	if l == 16 {
		VEXTRACTF64X4(U8(1), v[0], half)
		reduce(half, v[0].AsY(), half)
	} else {
		reduce(v[1], v[0], half)
	}
	low, high := half.AsX(), XMM()
	VEXTRACTF128(U8(1), half, high)
	reduce(high, low, low)
	VPERMILPS(U8(0x4e), low, high)
	reduce(high, low, low)
	VPERMILPS(U8(0xb1), low, high)
	reduce(high, low, low)
	all := l.new()
	VBROADCASTSS(low, all)
	return all
}

func (l lanes) sums() []reg.VecVirtual {
	v := make([]reg.VecVirtual, l.parts())
	for i := range v {
		v[i] = l.new()
		VXORPS(v[i], v[i], v[i])
	}
	return v
}

// exponentials generates the loop that computes exp(x - top) and their sum; dst may be nil.
func (l lanes) exponentials(name string, dst, x, n reg.Register, top reg.VecVirtual) reg.VecVirtual {
	sums := l.sums()
	l.eachBlock(name, n, func(part int, mask reg.Register, at func(base reg.Register) Mem) {
		e := l.exp(l.limited(l.minus(l.load(at(x), mask), top), -104, math.Inf(1)))
		if dst != nil {
			l.store(e, at(dst), mask)
		}
		if mask != nil {
			e = l.keep(mask, e)
		}
		VADDPS(e, sums[part], sums[part])
	})
	return l.gather(sums, func(b, a, dst Op) { VADDPS(b, a, dst) })
}

// softmax generates the softmax of short rows, or its logarithm.
func (l lanes) softmax(logarithm bool) {
	name, what := "softmax", "the softmax"
	if logarithm {
		name, what = "logSoftmax", "the logarithm of the softmax"
	}
	name += l.suffix()
	TEXT(name, NOSPLIT, "func(dst, x *float32, rows, n int)")
	Doc(name + " computes " + what + " of rows of n numbers.")
	Pragma("noescape")
	dst, x := Load(Param("dst"), GP64()), Load(Param("x"), GP64())
	rows, n := Load(Param("rows"), GP64()), Load(Param("n"), GP64())
	lowest := l.constant(number(math.Inf(-1)))
	Label("row")
	tops := make([]reg.VecVirtual, l.parts())
	for i := range tops {
		tops[i] = l.copy(lowest)
	}
	l.eachBlock("top", n, func(part int, mask reg.Register, at func(base reg.Register) Mem) {
		v := l.load(at(x), mask)
		if mask != nil {
			v = l.choose(mask, v, lowest)
		}
		VMAXPS(tops[part], v, tops[part]) // ignores NaN
	})
	top := l.gather(tops, func(b, a, dst Op) { VMAXPS(b, a, dst) })
	to := dst
	if logarithm {
		to = nil
	}
	total := l.exponentials("exp", to, x, n, top)
	if logarithm {
		total = l.log(total)
	} else {
		total = l.over(l.constant(number(1)), total)
	}
	l.eachBlock("last", n, func(part int, mask reg.Register, at func(base reg.Register) Mem) {
		if logarithm {
			l.store(l.minus(l.minus(l.load(at(x), mask), top), total), at(dst), mask)
		} else {
			l.store(l.times(l.load(at(dst), mask), total), at(dst), mask)
		}
	})
	LEAQ(Mem{Base: x, Index: n, Scale: 4}, x)
	LEAQ(Mem{Base: dst, Index: n, Scale: 4}, dst)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// expSum generates the exponentials of a row and their sum, or the sum only.
func (l lanes) expSum(only bool) {
	name, signature := "expSum"+l.suffix(), "func(dst, x *float32, n int, top float32) float32"
	doc := " computes dst[i] = exp(x[i] - top) for i < n, and returns their sum."
	if only {
		name, signature = "expTotal"+l.suffix(), "func(x *float32, n int, top float32) float32"
		doc = " returns the sum of exp(x[i] - top) for i < n."
	}
	TEXT(name, NOSPLIT, signature)
	Doc(name + doc)
	Pragma("noescape")
	var dst reg.Register
	if !only {
		dst = Load(Param("dst"), GP64())
	}
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	top := l.new()
	VBROADCASTSS(address("top"), top)
	total := l.exponentials("", dst, x, n, top)
	Store(total.AsX(), ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// expColumns generates the exponentials of numbers with a largest number and a sum each.
func (l lanes) expColumns() {
	name := "expColumns" + l.suffix()
	TEXT(name, NOSPLIT, "func(dst, x, tops, sums *float32, n int)")
	Doc(name + " computes dst[i] = exp(x[i] - tops[i]) for i < n, and adds it to sums[i].")
	Pragma("noescape")
	dst, x := Load(Param("dst"), GP64()), Load(Param("x"), GP64())
	tops, sums := Load(Param("tops"), GP64()), Load(Param("sums"), GP64())
	n := Load(Param("n"), GP64()).(reg.GPVirtual)
	l.each("", n, func(mask reg.Register) {
		v := l.minus(l.load(Mem{Base: x}, mask), l.load(Mem{Base: tops}, mask))
		e := l.exp(l.limited(v, -104, math.Inf(1)))
		l.store(e, Mem{Base: dst}, mask)
		l.store(l.plus(e, l.load(Mem{Base: sums}, mask)), Mem{Base: sums}, mask)
	}, func() {
		for _, p := range []reg.Register{dst, x, tops, sums} {
			ADDQ(Imm(uint64(4*l)), p)
		}
	})
	VZEROUPPER()
	RET()
}

// normalizeRow generates the last step of a normalization with a scale and a bias for each number.
func (l lanes) normalizeRow() {
	name := "normalizeRow" + l.suffix()
	TEXT(name, NOSPLIT, "func(dst, x, scale, bias *float32, n int, p *float32)")
	Doc(name+" computes dst[i] = ((x[i]-p[0])-p[1])*p[2]*scale[i] + bias[i] for i < n, where the last", "product and the sum round once.")
	Pragma("noescape")
	dst, x := Load(Param("dst"), GP64()), Load(Param("x"), GP64())
	scale, bias := Load(Param("scale"), GP64()), Load(Param("bias"), GP64())
	n, from := Load(Param("n"), GP64()).(reg.GPVirtual), Load(Param("p"), GP64())
	var p [3]reg.VecVirtual
	for i := range p {
		p[i] = l.new()
		VBROADCASTSS(Mem{Base: from, Disp: 4 * i}, p[i])
	}
	l.each("", n, func(mask reg.Register) {
		v := l.times(l.minus(l.minus(l.load(Mem{Base: x}, mask), p[0]), p[1]), p[2])
		l.timesPlus(v, l.load(Mem{Base: scale}, mask), l.load(Mem{Base: bias}, mask))
		l.store(v, Mem{Base: dst}, mask)
	}, func() {
		for _, p := range []reg.Register{dst, x, scale, bias} {
			ADDQ(Imm(uint64(4*l)), p)
		}
	})
	VZEROUPPER()
	RET()
}
