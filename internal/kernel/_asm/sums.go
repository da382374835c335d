package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// summands are what is added up: numbers, their magnitudes, or the squares of their distances from
// a center.
var summands = []string{"Numbers", "Magnitudes", "Squares"}

// double returns a constant in all lanes of a vector of four float64.
func double(v float64) Mem {
	b := math.Float64bits(v)
	name := fmt.Sprintf("double%016x", b)
	return data(name, func() Mem {
		low, high := uint32(b), uint32(b>>32)
		return longs(name, low, high, low, high, low, high, low, high)
	})
}

// wide returns numbers as float64; the mask, if there is one, selects the numbers that are loaded.
func (l lanes) wide(at Mem, mask reg.Register) reg.VecVirtual {
	v := l.new()
	switch {
	case mask == nil:
		VCVTPS2PD(at, v)
	case l == 16:
		VCVTPS2PD_Z(at, mask, v)
	default:
		x := XMM()
		VMASKMOVPS(at, mask.(reg.VecVirtual).AsX(), x)
		VCVTPS2PD(x, v)
	}
	return v
}

// summand replaces float64 numbers by what is added up. The lanes that a mask leaves out become 0.
func (l lanes) summand(kind string, v, center reg.VecVirtual, mask reg.Register) {
	switch kind {
	case "Magnitudes":
		if l == 16 {
			VANDPD_BCST(double(math.Float64frombits(1<<63-1)), v, v)
		} else {
			VANDPD(double(math.Float64frombits(1<<63-1)), v, v)
		}
	case "Squares":
		switch {
		case mask == nil:
			VSUBPD(center, v, v)
		case l == 16:
			VSUBPD_Z(center, v, mask, v)
		default:
			VSUBPD(center, v, v)
			all := YMM()
			VPMOVSXDQ(mask.(reg.VecVirtual).AsX(), all)
			VANDPD(all, v, v)
		}
		VMULPD(v, v, v)
	}
}

// total generates a sum of the numbers of a row, in float64.
func (l lanes) total(kind string) {
	name := "total" + kind + l.suffix()
	TEXT(name, NOSPLIT, "func(x *float32, n int, center float64) float64")
	Doc(name+" returns the sum of n numbers, of their magnitudes, or of the squares of their distances from", "a center.")
	Pragma("noescape")
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	center := l.new()
	if kind == "Squares" {
		VBROADCASTSD(address("center"), center)
	}
	const block = 32
	doubles := int(l) / 2
	sums := make([]reg.VecVirtual, block/doubles)
	for i := range sums {
		sums[i] = l.new()
		VXORPD(sums[i], sums[i], sums[i])
	}
	Label("block")
	SUBQ(Imm(block), n)
	JL(LabelRef("rest"))
	for i, s := range sums {
		v := l.wide(Mem{Base: x, Disp: 4 * doubles * i}, nil)
		l.summand(kind, v, center, nil)
		VADDPD(v, s, s)
	}
	ADDQ(Imm(4*block), x)
	JMP(LabelRef("block"))
	Label("rest")
	ADDQ(Imm(block), n)
	JZ(LabelRef("end"))
	for i, s := range sums {
		if i > 0 {
			SUBQ(Imm(uint64(doubles)), n)
			JLE(LabelRef("end"))
		}
		mask := l.doubleMask(n)
		v := l.wide(Mem{Base: x, Disp: 4 * doubles * i}, mask)
		l.summand(kind, v, center, mask)
		VADDPD(v, s, s)
	}
	Label("end")
	for half := len(sums) / 2; half > 0; half /= 2 {
		for i := range half {
			VADDPD(sums[i+half], sums[i], sums[i])
		}
	}
	sum := sums[0]
	if l == 16 {
		high := YMM()
		VEXTRACTF64X4(U8(1), sum, high)
		VADDPD(high, sum.AsY(), sum.AsY())
	}
	high := XMM()
	VEXTRACTF128(U8(1), sum.AsY(), high)
	VADDPD(high, sum.AsX(), high)
	low := XMM()
	VPERMILPD(U8(1), high, low)
	VADDSD(low, high, high)
	Store(high, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// doubleMask returns a mask of the first n lanes, for as many float32 as float64 fit into a vector.
func (l lanes) doubleMask(n reg.Register) reg.Register { return l.mask(YMM(), n) }

// multiply generates a product of the numbers of a row, in float64.
func (l lanes) multiply() {
	name := "multiply" + l.suffix()
	TEXT(name, NOSPLIT, "func(partial *float64, x *float32, n int)")
	Doc(name + " multiplies partial products of 32 lanes by n numbers. n is a positive multiple of 32.")
	Pragma("noescape")
	partial, x, n := Load(Param("partial"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	const block = 32
	doubles := int(l) / 2
	products := make([]reg.VecVirtual, block/doubles)
	for i := range products {
		products[i] = l.new()
		VMOVUPD(Mem{Base: partial, Disp: 8 * doubles * i}, products[i])
	}
	Label("block")
	for i, p := range products {
		VMULPD(l.wide(Mem{Base: x, Disp: 4 * doubles * i}, nil), p, p)
	}
	ADDQ(Imm(4*block), x)
	SUBQ(Imm(block), n)
	JNZ(LabelRef("block"))
	for i, p := range products {
		VMOVUPD(p, Mem{Base: partial, Disp: 8 * doubles * i})
	}
	VZEROUPPER()
	RET()
}

// accumulate generates sums of columns.
func (l lanes) accumulate(kind string) {
	name := "accumulate" + kind + l.suffix()
	TEXT(name, NOSPLIT, "func(sums *float64, x *float32, n, rows, stride int)")
	Doc(name+" adds the n numbers in each of some rows, their magnitudes or their squares to sums. n is a",
		"positive multiple of the number of lanes of a vector, and rows is positive. The stride is in bytes.")
	Pragma("noescape")
	sums, x, n := Load(Param("sums"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	rows, stride := Load(Param("rows"), GP64()), Load(Param("stride"), GP64())
	center := l.new()
	VXORPD(center, center, center)
	Label("vector")
	var totals [2]reg.VecVirtual
	for i := range totals {
		totals[i] = l.new()
		VMOVUPD(Mem{Base: sums, Disp: 4 * int(l) * i}, totals[i])
	}
	from, left := GP64(), GP64()
	MOVQ(x, from)
	MOVQ(rows, left)
	Label("row")
	for i, total := range totals {
		v := l.wide(Mem{Base: from, Disp: 2 * int(l) * i}, nil)
		if kind == "Squares" {
			VMULPD(v, v, v)
		} else {
			l.summand(kind, v, center, nil)
		}
		VADDPD(v, total, total)
	}
	ADDQ(stride, from)
	DECQ(left)
	JNZ(LabelRef("row"))
	for i, total := range totals {
		VMOVUPD(total, Mem{Base: sums, Disp: 4 * int(l) * i})
	}
	ADDQ(Imm(uint64(4*l)), x)
	ADDQ(Imm(uint64(8*l)), sums)
	SUBQ(Imm(uint64(l)), n)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// extreme generates the largest or the smallest number of a row.
func (l lanes) extreme(largest bool) {
	name, what, pair := "smallest"+l.suffix(), "smallest", smallestOf
	if largest {
		name, what, pair = "largest"+l.suffix(), "largest", largestOf
	}
	TEXT(name, NOSPLIT, "func(x *float32, n int, start float32) float32")
	Doc(name + " returns the " + what + " of n numbers and of start, or NaN if one of them is NaN.")
	Pragma("noescape")
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	start := l.new()
	VBROADCASTSS(address("start"), start)
	best, nans := make([]reg.VecVirtual, l.parts()), make([]reg.Register, l.parts())
	for i := range best {
		best[i], nans[i] = l.copy(start), l.compare(unordered, start, start)
	}
	l.eachBlock("", n, func(part int, mask reg.Register, at func(base reg.Register) Mem) {
		v := l.load(at(x), mask)
		if mask != nil {
			v = l.choose(mask, v, start)
		}
		nan := l.compare(unordered, v, v)
		if l == 16 {
			KORW(nan, nans[part], nans[part])
		} else {
			VORPS(nan, nans[part], nans[part])
		}
		if largest {
			VMAXPS(best[part], v, best[part])
		} else {
			VMINPS(best[part], v, best[part])
		}
	})
	for i := range best {
		best[i] = l.choose(nans[i], bits(0x7fc00000), best[i])
	}
	// The vectors that are left are those of AVX2.
	low, high, half := best[0], YMM(), lanes(8)
	if l == 16 {
		VEXTRACTF64X4(U8(1), low, high)
		low = YMM()
		VMOVAPS(best[0].AsY(), low)
	} else {
		VMOVAPS(best[1], high)
	}
	low = pair(half, low, high)
	VEXTRACTF128(U8(1), low, high.AsX())
	low = pair(half, low, high)
	VPERMILPS(U8(0x4e), low, high)
	low = pair(half, low, high)
	VPERMILPS(U8(0xb1), low, high)
	low = pair(half, low, high)
	Store(low.AsX(), ReturnIndex(0))
	VZEROUPPER()
	RET()
}
