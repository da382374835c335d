package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tiling is the shape of the tiles of C that a tier keeps in registers.
type tiling struct {
	suffix        string
	lanes         int // numbers in a vector
	rows, vectors int // of the largest tile
	left          int // lanes of a packed row panel
}

// The tiles leave registers for a row of B, and with AVX2 for an entry of A: an
// AVX-512 multiplication takes that from memory.
var (
	tilingAVX512 = tiling{suffix: "AVX512", lanes: 16, rows: 14, vectors: 2, left: 16}
	tilingAVX2   = tiling{suffix: "AVX2", lanes: 8, rows: 6, vectors: 2, left: 8}
)

func (t *tiling) register(i int) reg.VecPhysical {
	if t.lanes == 8 {
		return allZ[i].AsY().(reg.VecPhysical)
	}
	return allZ[i]
}

func (t *tiling) name(rows, vectors int) string {
	return fmt.Sprintf("gemm%dx%d%s", rows, vectors*t.lanes, t.suffix)
}

// tile multiplies a panel of rows of A by a panel of columns of B. Each entry of
// C is one chain of fused multiply-adds, whatever the tile.
func (t *tiling) tile(rows, vectors int) {
	name := t.name(rows, vectors)
	TEXT(name, NOSPLIT, "func(k int, a, b, c *float32, ldc int, bias *float32)")
	Doc(fmt.Sprintf("%s adds k products to each entry of a tile of C or, unless bias is nil, to the bias of its row.", name))
	Pragma("noescape")
	k := Load(Param("k"), GP64())
	a, b, c := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("c"), GP64())
	ldc, bias := Load(Param("ldc"), GP64()), Load(Param("bias"), GP64())
	size := 4 * t.lanes
	sum := func(r, v int) reg.VecPhysical { return t.register(r*vectors + v) }
	row := func(v int) reg.VecPhysical { return t.register(rows*vectors + v) }
	entry := t.register(rows*vectors + vectors)
	// each does something for all of the tile's vectors in C.
	each := func(do func(at Mem, sum reg.VecPhysical)) {
		at := GP64()
		MOVQ(c, at)
		for r := range rows {
			for v := range vectors {
				do(Mem{Base: at, Disp: size * v}, sum(r, v))
			}
			if r+1 < rows {
				ADDQ(ldc, at)
			}
		}
	}
	SHLQ(U8(2), ldc)
	TESTQ(bias, bias)
	JZ(LabelRef("more"))
	for r := range rows {
		VBROADCASTSS(Mem{Base: bias, Disp: 4 * r}, sum(r, 0))
		if vectors == 2 {
			VMOVAPS(sum(r, 0), sum(r, 1))
		}
	}
	JMP(LabelRef("product"))
	Label("more")
	each(func(at Mem, sum reg.VecPhysical) { VMOVUPS(at, sum) })
	Label("product")
	for v := range vectors {
		VMOVUPS(Mem{Base: b, Disp: size * v}, row(v))
	}
	for r := range rows {
		at := Mem{Base: a, Disp: 4 * r}
		if t.lanes == 16 {
			for v := range vectors {
				VFMADD231PS_BCST(at, row(v), sum(r, v))
			}
			continue
		}
		VBROADCASTSS(at, entry)
		for v := range vectors {
			VFMADD231PS(entry, row(v), sum(r, v))
		}
	}
	ADDQ(I32(4*t.left), a)
	ADDQ(I32(size*t.vectors), b)
	DECQ(k)
	JNZ(LabelRef("product"))
	each(func(at Mem, sum reg.VecPhysical) { VMOVUPS(sum, at) })
	VZEROUPPER()
	RET()
}

// pack writes one vector of columns of B for each tap. They lie within as many
// numbers as a vector has, so that one load gets them and one permutation orders
// them.
func (t *tiling) pack() {
	name := "pack" + t.suffix
	mask := "load, lanes uint16"
	if t.lanes == 8 {
		mask = "load, lanes *[8]uint32"
	}
	TEXT(name, NOSPLIT, fmt.Sprintf("func(dst *float32, stride int, x *float32, taps *int, n int, index *[%d]uint32, %s)", t.lanes, mask))
	Doc(name+" copies x[taps[i]+index[l]] to dst[i*stride+l] for i below n and every lane l in lanes.",
		"It reads what is in load of the vector at x[taps[i]].")
	Pragma("noescape")
	dst, stride := Load(Param("dst"), GP64()), Load(Param("stride"), GP64())
	x, taps, n := Load(Param("x"), GP64()), Load(Param("taps"), GP64()), Load(Param("n"), GP64())
	in := Load(Param("index"), GP64())
	index, v, old := t.register(0), t.register(1), t.register(2)
	VMOVDQU32 := func() {
		if t.lanes == 8 {
			VMOVDQU(Mem{Base: in}, index)
		} else {
			VMOVUPS(Mem{Base: in}, index)
		}
	}
	VMOVDQU32()
	tap := GP64()
	SHLQ(U8(2), stride)
	if t.lanes == 16 {
		load, lanes := K(), K()
		KMOVW(address("load"), load)
		KMOVW(address("lanes"), lanes)
		Label("tap")
		MOVQ(Mem{Base: taps}, tap)
		VMOVUPS_Z(Mem{Base: x, Index: tap, Scale: 4}, load, v)
		VMOVUPS(Mem{Base: dst}, old)
		VPERMPS(v, index, lanes, old)
		VMOVUPS(old, Mem{Base: dst})
	} else {
		load, lanes := t.register(3), t.register(4)
		at := GP64()
		MOVQ(address("load"), at)
		VMOVUPS(Mem{Base: at}, load)
		MOVQ(address("lanes"), at)
		VMOVUPS(Mem{Base: at}, lanes)
		Label("tap")
		MOVQ(Mem{Base: taps}, tap)
		VMASKMOVPS(Mem{Base: x, Index: tap, Scale: 4}, load, v)
		VMOVUPS(Mem{Base: dst}, old)
		VPERMPS(v, index, v)
		VBLENDVPS(lanes, v, old, old)
		VMOVUPS(old, Mem{Base: dst})
	}
	ADDQ(Imm(8), taps)
	ADDQ(stride, dst)
	DECQ(n)
	JNZ(LabelRef("tap"))
	VZEROUPPER()
	RET()
}

// transposeAVX2 packs eight columns of B that lie along the taps.
func transposeAVX2() {
	TEXT("transposeAVX2", NOSPLIT, "func(dst *float32, stride int, x *float32, columns *[8]int, n int)")
	Doc("transposeAVX2 copies x[columns[l]+i] to dst[i*stride+l] for i below n, a multiple of 8, and l below 8.")
	Pragma("noescape")
	dst, stride := Load(Param("dst"), GP64()), Load(Param("stride"), GP64())
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	columns := Load(Param("columns"), GP64())
	SHLQ(U8(2), stride)
	Label("block")
	at := GP64()
	y := func(i int) reg.VecPhysical { return tilingAVX2.register(i) }
	for l := range 8 {
		MOVQ(Mem{Base: columns, Disp: 8 * l}, at)
		VMOVUPS(Mem{Base: x, Index: at, Scale: 4}, y(l))
	}
	for i := 0; i < 8; i += 2 { // pairs of columns
		VUNPCKLPS(y(i+1), y(i), y(8+i))
		VUNPCKHPS(y(i+1), y(i), y(9+i))
	}
	for i := 0; i < 8; i += 4 { // fours; tap j of each half is in y(i+j)
		for j := range 2 {
			VSHUFPS(U8(0x44), y(8+i+2+j), y(8+i+j), y(i+2*j))
			VSHUFPS(U8(0xee), y(8+i+2+j), y(8+i+j), y(i+2*j+1))
		}
	}
	for half := range 2 {
		for j := range 4 {
			VPERM2F128(U8(0x20+0x11*half), y(4+j), y(j), y(8))
			VMOVUPS(y(8), Mem{Base: dst})
			ADDQ(stride, dst)
		}
	}
	ADDQ(Imm(32), x)
	SUBQ(Imm(8), n)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}
