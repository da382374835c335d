package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// truncate turns numbers into integers.
func (t *tiling) truncate() {
	t.convert("truncate", "func(dst *int32, x *float32, n int)", "the integer part of x[i]", VCVTTPS2DQ, 4)
}

// singles turns integers into numbers.
func (t *tiling) singles() {
	t.convert("singles", "func(dst *float32, x *int32, n int)", "float32(x[i])", VCVTDQ2PS, 4)
}

// longs turns integers into integers of 64 bits.
func (t *tiling) longs() {
	t.convert("longs", "func(dst *int64, x *int32, n int)", "int64(x[i])", VPMOVSXDQ, 8)
}

// convert applies an instruction to elements of 4 bytes, whose results have a size in bytes.
func (t *tiling) convert(name, signature, result string, instruction func(...Op), size int) {
	name += t.suffix
	TEXT(name, NOSPLIT, signature)
	Doc(name+" computes dst[i] = "+result+" for i < n. n is a positive multiple of the number of lanes", "of a vector.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	v := t.register(0)
	i := GP64()
	XORQ(i, i)
	Label("vector")
	instruction(Mem{Base: x, Index: i, Scale: 4}, v)
	VMOVUPS(v, Mem{Base: dst, Index: i, Scale: uint8(size)})
	ADDQ(Imm(uint64(t.lanes*4/size)), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// toBytes turns integers, or numbers if it truncates, into integers of 8 bits.
func (t *tiling) toBytes(truncates bool) {
	name, signature := "narrow"+t.suffix, "func(dst *uint8, x *int32, n int)"
	doc := name + " computes dst[i] = uint8(x[i]) for i < n."
	if truncates {
		name, signature = "truncateBytes"+t.suffix, "func(dst *uint8, x *float32, n int, low, high float32)"
		doc = name + " computes dst[i] = the integer part of x[i], limited to low and high, for i < n. NaN gives 0."
	}
	TEXT(name, NOSPLIT, signature)
	Doc(doc, "n is a positive multiple of the number of lanes of a vector.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	v, low, high := t.register(0), t.register(1), t.register(2)
	if truncates {
		VBROADCASTSS(address("low"), low)
		VBROADCASTSS(address("high"), high)
	}
	if t.lanes == 8 {
		VMOVUPS(lowBytes(), reg.Y6)
		VMOVUPS(lowBytes().Offset(32), reg.Y7)
	}
	ordered, mask := K(), reg.Y8
	i := GP64()
	XORQ(i, i)
	Label("vector")
	VMOVUPS(Mem{Base: x, Index: i, Scale: 4}, v)
	switch {
	case truncates && t.lanes == 16:
		VCMPPS(U8(7), v, v, ordered)
		VMAXPS(v, low, v)
		VMINPS(v, high, v)
		VCVTTPS2DQ_Z(v, ordered, v)
	case truncates:
		VCMPPS(U8(7), v, v, mask)
		VMAXPS(v, low, v)
		VMINPS(v, high, v)
		VCVTTPS2DQ(v, v)
		VPAND(mask, v, v)
	}
	if t.lanes == 16 {
		VPMOVDB(v, Mem{Base: dst, Index: i, Scale: 1})
	} else {
		VPSHUFB(reg.Y6, v, v)
		VPERMD(v, reg.Y7, v)
		VMOVQ(v.AsX(), Mem{Base: dst, Index: i, Scale: 1})
	}
	ADDQ(Imm(uint64(t.lanes)), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
	VZEROUPPER()
	RET()
}
