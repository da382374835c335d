package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// fromHalf generates the conversion of float16. The instruction for it is not among those that the
// tier AVX2 requires.
func (l lanes) fromHalf() {
	name := "fromHalf" + l.suffix()
	TEXT(name, NOSPLIT, "func(dst *float32, x *uint16, n int)")
	Doc(name + " converts n float16. n is a positive multiple of the number of lanes of a vector.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	Label("vector")
	v := l.new()
	if l == 16 {
		VCVTPH2PS(Mem{Base: x}, v)
	} else {
		// The exponent of a float32 is 112 larger, and infinities and NaN have the largest one.
		h, sign, special := YMM(), YMM(), YMM()
		VPMOVZXWD(Mem{Base: x}, h)
		VPAND(l.memory(0x8000), h, sign)
		VPSLLD(U8(16), sign, sign)
		VPAND(l.memory(0x7fff), h, h)
		VPCMPGTD(l.memory(0x7bff), h, special)
		VPSLLD(U8(13), h, h)
		VMULPS(l.memory(number(0x1p112)), h, v)
		VPAND(l.memory(0x7f800000), special, special)
		VPOR(special, v, v)
		VPOR(sign, v, v)
	}
	l.store(v, Mem{Base: dst}, nil)
	ADDQ(Imm(uint64(4*l)), dst)
	ADDQ(Imm(uint64(2*l)), x)
	SUBQ(Imm(uint64(l)), n)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// toHalf generates the conversion to float16, rounded half to even.
func (l lanes) toHalf() {
	name := "toHalf" + l.suffix()
	TEXT(name, NOSPLIT, "func(dst *uint16, x *float32, n int)")
	Doc(name + " converts n numbers to float16. n is a positive multiple of the number of lanes of a vector.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	Label("vector")
	v := l.load(Mem{Base: x}, nil)
	if l == 16 {
		VCVTPS2PH(U8(0), v, Mem{Base: dst})
	} else {
		sign, a := YMM(), YMM()
		VPAND(l.memory(signBit), v, sign)
		VPAND(l.memory(magnBits), v, a)
		// Adding 0.5 leaves the bits of a subnormal float16 at the end of the sum.
		small := l.plus(a, number(0.5))
		VPSUBD(l.memory(number(0.5)), small, small)
		normal, odd := YMM(), YMM()
		VPSRLD(U8(13), a, odd)
		VPAND(l.memory(1), odd, odd)
		VPADDD(odd, a, normal)
		VPADDD(l.memory(0xc8000fff), normal, normal)
		VPSRLD(U8(13), normal, normal)
		is := func(above bits) reg.VecVirtual {
			mask := YMM()
			VPCMPGTD(l.memory(above), a, mask)
			return mask
		}
		v = l.choose(is(0x387fffff), normal, small)
		v = l.choose(is(0x477fefff), bits(0x7c00), v)
		v = l.choose(is(0x7f800000), bits(0x7e00), v)
		VPSRLD(U8(16), sign, sign)
		VPOR(sign, v, v)
		high := XMM()
		VEXTRACTI128(U8(1), v, high)
		VPACKUSDW(high, v.AsX(), high)
		VMOVUPS(high, Mem{Base: dst})
	}
	ADDQ(Imm(uint64(2*l)), dst)
	ADDQ(Imm(uint64(4*l)), x)
	SUBQ(Imm(uint64(l)), n)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}
