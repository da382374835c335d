package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
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
