package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// cumulateRowAVX512 uses one lane per position.
func cumulateRowAVX512() {
	TEXT("cumulateRowAVX512", NOSPLIT, "func(sums, x *float32, starts *[3]int, lanes *[3]uint32, offsets *int32, k int)")
	Doc("cumulateRowAVX512 writes the running sums of up to 16 patches: 16 numbers per offset.",
		"Lane i holds the sums of the patch at x[starts[j]+i] if bit i of lanes[j] is set, and",
		"0 if it is not set for any j.")
	Pragma("noescape")
	sums, x := Load(Param("sums"), GP64()), Load(Param("x"), GP64())
	starts, masks := Load(Param("starts"), GP64()), Load(Param("lanes"), GP64())
	offsets, k := Load(Param("offsets"), GP64()), Load(Param("k"), GP64())
	var base [3]reg.GPVirtual
	var lanes [3]reg.OpmaskVirtual
	for j := range base {
		base[j], lanes[j] = GP64(), K()
		MOVQ(Mem{Base: starts, Disp: 8 * j}, base[j])
		LEAQ(Mem{Base: x, Index: base[j], Scale: 4}, base[j])
		KMOVW(Mem{Base: masks, Disp: 4 * j}, lanes[j])
	}
	total, values := ZMM(), ZMM()
	VPXORD(total, total, total)
	i, o := GP64(), GP64()
	XORQ(i, i)
	Label("entries")
	MOVLQSX(Mem{Base: offsets, Index: i, Scale: 4}, o)
	VMOVUPS_Z(Mem{Base: base[0], Index: o, Scale: 4}, lanes[0], values)
	for j := 1; j < len(base); j++ {
		VMOVUPS(Mem{Base: base[j], Index: o, Scale: 4}, lanes[j], values)
	}
	VADDPS(values, total, total)
	VMOVUPS(total, Mem{Base: sums})
	ADDQ(U8(64), sums)
	INCQ(i)
	CMPQ(i, k)
	JL(LabelRef("entries"))
	VZEROUPPER()
	RET()
}

// thresholdRowAVX512 is thresholdsAVX512 for the sums of cumulateRowAVX512.
func thresholdRowAVX512() {
	TEXT("thresholdRowAVX512", NOSPLIT, "func(sums *float32, k int, scales *[16]float64, wide bool)")
	Doc("thresholdRowAVX512 replaces k rows of 16 sums by the sums times scales, rounded",
		"down to integers. Unless wide is set, it replaces only the first 8 sums of a row.")
	Pragma("noescape")
	sums, k, scales := Load(Param("sums"), GP64()), Load(Param("k"), GP64()), Load(Param("scales"), GP64())
	lo, hi := ZMM(), ZMM()
	VMOVUPD(Mem{Base: scales}, lo)
	VMOVUPD(Mem{Base: scales, Disp: 64}, hi)
	isWide := Load(Param("wide"), GP8())
	TESTB(isWide, isWide)
	JZ(LabelRef("narrow"))
	for _, loop := range []struct {
		name   string
		scales []Op
	}{{"wide", []Op{lo, hi}}, {"narrow", []Op{lo}}} {
		Label(loop.name)
		for i, scale := range loop.scales {
			wide, narrow := ZMM(), YMM()
			VCVTPS2PD(Mem{Base: sums, Disp: 32 * i}, wide)
			VMULPD(scale, wide, wide)
			VCVTTPD2UDQ(wide, narrow)
			VMOVDQU32(narrow, Mem{Base: sums, Disp: 32 * i})
		}
		ADDQ(U8(64), sums)
		DECQ(k)
		JNE(LabelRef(loop.name))
		if loop.name == "wide" {
			JMP(LabelRef("end"))
		}
	}
	Label("end")
	VZEROUPPER()
	RET()
}
