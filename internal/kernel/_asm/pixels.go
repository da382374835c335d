package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// relu computes max(x, 0) for whole vectors.
func (t *tiling) relu() {
	name := "relu" + t.suffix
	TEXT(name, NOSPLIT, "func(dst, x *float32, n int)")
	Doc(name+" computes dst[i] = max(x[i], 0) for i < n. n is a positive multiple of the number of",
		"lanes of a vector.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	zero, v := t.register(0), t.register(1)
	VXORPS(reg.X0, reg.X0, reg.X0)
	Label("vector")
	// If one operand is NaN or both are zeros, the maximum is the second operand of the
	// instruction, which is x here: NaN remains NaN. Adding 0 turns -0 into 0.
	VMAXPS(Mem{Base: x}, zero, v)
	VADDPS(v, zero, v)
	VMOVUPS(v, Mem{Base: dst})
	ADDQ(I32(4*t.lanes), x)
	ADDQ(I32(4*t.lanes), dst)
	SUBQ(I32(t.lanes), n)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// numbers holds 0 to 31, for masks, followed by the even and the odd numbers, for
// permutations of two vectors, and by 1 to 32.
func numbers() Mem {
	return data("numbers", func() Mem {
		v := make([]uint32, 4*32)
		for i := range 32 {
			v[i] = uint32(i)
			v[32+i], v[64+i], v[96+i] = uint32(2*i), uint32(2*i+1), uint32(i+1)
		}
		return longs("numbers", v...)
	})
}

// pool computes the maxima or the means of windows of 2 x 2 pixels.
func (t *tiling) pool(mean bool) {
	name, what := "maxPool"+t.suffix, "maxima"
	if mean {
		name, what = "meanPool"+t.suffix, "means"
	}
	TEXT(name, NOSPLIT, "func(dst, x *float32, rows, n, width int)")
	Doc(name+" computes rows rows of n pixels, the "+what+" of windows of 2 x 2 pixels in 2*rows rows",
		"of width pixels. A window with NaN gives NaN.")
	Pragma("noescape")
	dst, x, rows := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("rows"), GP64())
	n, width := Load(Param("n"), GP64()), Load(Param("width"), GP64())
	SHLQ(U8(2), width)
	left, top, bottom := GP64(), GP64(), GP64()
	size := 4 * t.lanes
	m := [2]reg.VecPhysical{t.register(0), t.register(1)}
	v, last := t.register(2), t.register(3)
	even, odd := t.register(4), t.register(5)
	masks := [3]reg.VecPhysical{t.register(6), t.register(7), t.register(8)}
	count := t.register(9)
	bits := [3]reg.Register{K(), K(), K()}
	unordered := K()
	if t.lanes == 16 {
		VMOVUPS(numbers().Offset(128), even)
		VMOVUPS(numbers().Offset(256), odd)
	}
	quarter := t.register(10)
	if mean {
		VBROADCASTSS(constant("quarter", 0.25), quarter)
	}
	// reduce sets a to the sum, or to the larger, of a and b. NaN counts as larger than all
	// numbers.
	reduce := func(b, a reg.VecPhysical) {
		if mean {
			VADDPS(b, a, a)
			return
		}
		if t.lanes == 16 {
			VCMPPS(U8(3), b, b, unordered)
			VMAXPS(a, b, a)
			VMOVAPS(b, unordered, a)
			return
		}
		VCMPPS(U8(3), b, b, last)
		VMAXPS(a, b, a)
		VBLENDVPS(last, b, a, a)
	}
	load := func(from reg.Register, i int, v reg.VecPhysical, masked bool) {
		at := Mem{Base: from, Disp: size * i}
		switch {
		case !masked:
			VMOVUPS(at, v)
		case t.lanes == 16:
			VMOVUPS_Z(at, bits[1+i], v)
		default:
			VMASKMOVPS(at, masks[1+i], v)
		}
		if mean { // before the sum, which could overflow
			VMULPS(quarter, v, v)
		}
	}
	vector := func(masked bool) {
		for i := range 2 {
			load(top, i, m[i], masked)
			load(bottom, i, v, masked)
			reduce(v, m[i])
		}
		if t.lanes == 16 {
			VMOVAPS(m[0], v)
			VPERMT2PS(m[1], even, v)
			VPERMT2PS(m[1], odd, m[0])
		} else {
			VSHUFPS(U8(0x88), m[1], m[0], v)
			VSHUFPS(U8(0xdd), m[1], m[0], m[0])
			VPERMPD(U8(0xd8), v, v)
			VPERMPD(U8(0xd8), m[0], m[0])
		}
		reduce(m[0], v)
		switch {
		case !masked:
			VMOVUPS(v, Mem{Base: dst})
		case t.lanes == 16:
			VMOVUPS(v, bits[0], Mem{Base: dst})
		default:
			VMASKMOVPS(v, masks[0], Mem{Base: dst})
		}
	}

	// The masks select as many lanes as pixels are left at the end of a row, and twice as
	// many of the input.
	MOVQ(n, left)
	ANDQ(Imm(uint64(t.lanes-1)), left)
	VMOVD(left.As32(), count.AsX())
	VPBROADCASTD(count.AsX(), count)
	for i := range 3 {
		if i == 1 {
			VPADDD(count, count, count)
		}
		lane := numbers().Offset(size * max(0, i-1))
		if t.lanes == 16 {
			VPCMPGTD(lane, count, bits[i])
		} else {
			VPCMPGTD(lane, count, masks[i])
		}
	}

	Label("row")
	MOVQ(x, top)
	LEAQ(Mem{Base: x, Index: width, Scale: 1}, bottom)
	LEAQ(Mem{Base: x, Index: width, Scale: 2}, x)
	MOVQ(n, left)
	Label("vector")
	CMPQ(left, Imm(uint64(t.lanes)))
	JL(LabelRef("tail"))
	vector(false)
	ADDQ(I32(2*size), top)
	ADDQ(I32(2*size), bottom)
	ADDQ(I32(size), dst)
	SUBQ(I32(t.lanes), left)
	JMP(LabelRef("vector"))
	Label("tail")
	TESTQ(left, left)
	JZ(LabelRef("done"))
	vector(true)
	LEAQ(Mem{Base: dst, Index: left, Scale: 4}, dst)
	Label("done")
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}
