package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lowBytes holds, for VPSHUFB, the places of the lowest bytes of four lanes, and for VPERMD the
// lanes that these bytes are in.
func lowBytes() Mem {
	return longsOnce("lowBytes", 0x0c080400, 0, 0, 0, 0x0c080400, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)
}

// quantize rounds numbers to integers of 8 bits.
func (t *tiling) quantize(integers bool) {
	name, signature := "quantize"+t.suffix, "func(dst *uint8, x *float32, n int, scale, low, high float32, zero int32)"
	doc := []string{
		name + " computes dst[i] = round(x[i]/scale) + zero for i < n, where the quotient is limited to low",
		"and high. NaN gives 0. n is a positive multiple of the number of lanes of a vector.",
	}
	if integers {
		name, signature = "requantize"+t.suffix, "func(dst *uint8, x *int32, n int, scales *float32, step int, low, high float32, zero int32)"
		doc = []string{
			name + " computes dst[i] = round(x[i]*s) + zero for i < n, where the product is limited to low and",
			"high. s is in a vector of scales; the next one is a step further, in bytes. n is a positive",
			"multiple of the number of lanes of a vector.",
		}
	}
	TEXT(name, NOSPLIT, signature)
	Doc(doc...)
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	v, scale, low, high, zero := t.register(0), t.register(1), t.register(2), t.register(3), t.register(4)
	var scales, step reg.Register
	if integers {
		scales, step = Load(Param("scales"), GP64()), Load(Param("step"), GP64())
	} else {
		VBROADCASTSS(address("scale"), scale)
	}
	VBROADCASTSS(address("low"), low)
	VBROADCASTSS(address("high"), high)
	VBROADCASTSS(address("zero"), zero)
	if t.lanes == 8 {
		VMOVUPS(lowBytes(), reg.Y6)
		VMOVUPS(lowBytes().Offset(32), reg.Y7)
	}
	ordered, mask := K(), reg.Y8
	i := GP64()
	XORQ(i, i)
	Label("vector")
	from := Mem{Base: x, Index: i, Scale: 4}
	if integers {
		VCVTDQ2PS(from, v)
		VMULPS(Mem{Base: scales}, v, v)
		ADDQ(step, scales)
	} else {
		VMOVUPS(from, v)
		VDIVPS(scale, v, v)
		if t.lanes == 16 {
			VCMPPS(U8(7), v, v, ordered)
		} else {
			VCMPPS(U8(7), v, v, mask)
		}
	}
	VMAXPS(v, low, v)
	VMINPS(v, high, v)
	VCVTPS2DQ(v, v)
	switch {
	case t.lanes == 16 && !integers:
		VPADDD_Z(zero, v, ordered, v)
	default:
		VPADDD(zero, v, v)
	}
	if t.lanes == 16 {
		VPMOVDB(v, Mem{Base: dst, Index: i, Scale: 1})
	} else {
		if !integers {
			VPAND(mask, v, v)
		}
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

// dequantize turns integers of 8 bits into numbers.
func (t *tiling) dequantize() {
	name := "dequantize" + t.suffix
	TEXT(name, NOSPLIT, "func(dst *float32, x *uint8, n int, flip uint32, zero int32, scale float32)")
	Doc(name+" computes dst[i] = ((x[i]^flip)-zero)*scale for i < n. n is a positive multiple of the",
		"number of lanes of a vector.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	v, flip, zero, scale := t.register(0), t.register(1), t.register(2), t.register(3)
	VBROADCASTSS(address("flip"), flip)
	VBROADCASTSS(address("zero"), zero)
	VBROADCASTSS(address("scale"), scale)
	i := GP64()
	XORQ(i, i)
	Label("vector")
	VPMOVZXBD(Mem{Base: x, Index: i, Scale: 1}, v)
	t.xor(flip, v, v)
	VPSUBD(zero, v, v)
	VCVTDQ2PS(v, v)
	VMULPS(scale, v, v)
	VMOVUPS(v, Mem{Base: dst, Index: i, Scale: 4})
	ADDQ(Imm(uint64(t.lanes)), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// bounds finds the least and the largest of some numbers.
func (t *tiling) bounds() {
	name := "bounds" + t.suffix
	TEXT(name, NOSPLIT, "func(lows, highs, x *float32, n int)")
	Doc(name+" replaces each number of a vector of lows by the least of itself and the numbers of x in",
		"its lane, and those of highs by the largest. It ignores NaN. n is a positive multiple of the",
		"number of lanes of a vector.")
	Pragma("noescape")
	lows, highs := Load(Param("lows"), GP64()), Load(Param("highs"), GP64())
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	low, high, v := t.register(0), t.register(1), t.register(2)
	VMOVUPS(Mem{Base: lows}, low)
	VMOVUPS(Mem{Base: highs}, high)
	i := GP64()
	XORQ(i, i)
	Label("vector")
	VMOVUPS(Mem{Base: x, Index: i, Scale: 4}, v)
	VMINPS(low, v, low) // if v is NaN, the result is low
	VMAXPS(high, v, high)
	ADDQ(Imm(uint64(t.lanes)), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
	VMOVUPS(low, Mem{Base: lows})
	VMOVUPS(high, Mem{Base: highs})
	VZEROUPPER()
	RET()
}
