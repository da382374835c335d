package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tiling describes the tiles of C that a tier keeps in registers.
type tiling struct {
	suffix        string
	lanes         int // numbers in a vector
	rows, vectors int // size of the largest tile
	left          int // numbers per tap in a panel of rows
}

// maxGroups is the largest number of groups of columns that one call packs.
const maxGroups = 3

// The tiles leave registers for a row of B. With AVX2 they also leave one for an
// entry of A, which AVX-512 instructions read from memory.
var (
	tilingAVX512 = tiling{suffix: "AVX512", lanes: 16, rows: 14, vectors: 2, left: 16}
	tilingAVX2   = tiling{suffix: "AVX2", lanes: 8, rows: 6, vectors: 2, left: 8}
)

func (t *tiling) register(i int) reg.VecPhysical { return vectorRegister(t.lanes, i) }

func (t *tiling) name(rows, vectors int) string {
	return fmt.Sprintf("gemm%dx%d%s", rows, vectors*t.lanes, t.suffix)
}

// tile multiplies a panel of rows of A by a panel of columns of B. Each entry of C is
// one chain of fused multiply-adds in every tile.
func (t *tiling) tile(rows, vectors int) {
	name := t.name(rows, vectors)
	TEXT(name, NOSPLIT, "func(k int, a, b, c *float32, ldc int, bias *float32)")
	Doc(name+" adds k products to each entry of a tile of C. If bias is not nil, it sets each",
		"entry to the bias of its row first.")
	Pragma("noescape")
	k := Load(Param("k"), GP64())
	a, b, c := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("c"), GP64())
	ldc, bias := Load(Param("ldc"), GP64()), Load(Param("bias"), GP64())
	size := 4 * t.lanes
	sum := func(r, v int) reg.VecPhysical { return t.register(r*vectors + v) }
	row := func(v int) reg.VecPhysical { return t.register(rows*vectors + v) }
	entry := t.register(rows*vectors + vectors)
	// each calls do for all vectors of the tile in C.
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

// maxPanels is the largest number of panels of columns that one call of rowProducts multiplies.
const maxPanels = 4

func (t *tiling) rowName(panels int) string { return fmt.Sprintf("row%dx%s", panels, t.suffix) }

// rowProducts multiplies one row of A by panels of columns of B. A tile of one row would wait for
// the latency of its few sums; with more panels, the processor adds to several sums at a time. The
// chain of each entry is that of a tile.
func (t *tiling) rowProducts(panels int) {
	name := t.rowName(panels)
	TEXT(name, NOSPLIT, "func(k int, a, b *float32, step, panel int, c *float32)")
	Doc(name+" adds k products to each of the entries of a row of C. The numbers of a row of A are",
		"adjacent. Panel i of B begins at b[i*panel], and has the columns of a tile; from tap to tap,",
		"the distance is step.")
	Pragma("noescape")
	k, a, b := Load(Param("k"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64())
	step, panel, c := Load(Param("step"), GP64()), Load(Param("panel"), GP64()), Load(Param("c"), GP64())
	size := 4 * t.lanes
	SHLQ(U8(2), step)
	SHLQ(U8(2), panel)
	starts := []Mem{{Base: b}, {Base: b, Index: panel, Scale: 1}, {Base: b, Index: panel, Scale: 2}}
	if panels == maxPanels {
		third := GP64()
		LEAQ(Mem{Base: panel, Index: panel, Scale: 2}, third)
		starts = append(starts, Mem{Base: b, Index: third, Scale: 1})
	}
	entry := t.register(panels * t.vectors)
	each := func(do func(column, sum int)) {
		for i := range panels * t.vectors {
			do(i, i)
		}
	}
	each(func(i, sum int) { VMOVUPS(Mem{Base: c, Disp: size * i}, t.register(sum)) })
	Label("tap")
	VBROADCASTSS(Mem{Base: a}, entry)
	each(func(i, sum int) {
		at := starts[i/t.vectors]
		at.Disp = size * (i % t.vectors)
		VFMADD231PS(at, entry, t.register(sum))
	})
	ADDQ(Imm(4), a)
	ADDQ(step, b)
	DECQ(k)
	JNZ(LabelRef("tap"))
	each(func(i, sum int) { VMOVUPS(t.register(sum), Mem{Base: c, Disp: size * i}) })
	VZEROUPPER()
	RET()
}

// pack writes one vector of columns of B per tap. The columns of a group lie within
// one vector in memory, so that one load and one permutation bring them into their
// lanes. Up to maxGroups groups are packed together. If more is set, one group is
// added to lanes that were packed before.
func (t *tiling) pack(groups int, more bool) {
	name := fmt.Sprintf("pack%d%s", groups, t.suffix)
	doc := []string{
		name + " copies x[taps[i]+base+index[l]] to dst[i*stride+l] for i < n and the lanes l of",
		"each group. Other lanes are set to 0.",
	}
	if more {
		name = "packMore" + t.suffix
		doc = []string{
			name + " copies x[taps[i]+base+index[l]] to dst[i*stride+l] for i < n and the lanes l of",
			"one group. Other lanes do not change.",
		}
	}
	TEXT(name, NOSPLIT, "func(dst *float32, stride int, x *float32, taps *int, n int, groups *uint32, bases *int)")
	Doc(doc...)
	Pragma("noescape")
	dst, stride := Load(Param("dst"), GP64()), Load(Param("stride"), GP64())
	x, taps, n := Load(Param("x"), GP64()), Load(Param("taps"), GP64()), Load(Param("n"), GP64())
	in := Load(Param("groups"), GP64())
	SHLQ(U8(2), stride)
	v, out := t.register(14), t.register(15)
	var pixels []reg.GPVirtual
	var index, load, lanes []reg.Register
	for g := range groups {
		field := func(i int) Mem { return Mem{Base: in, Disp: 4 * (3*16*g + 16*i)} }
		r := t.register(3 * g)
		VMOVUPS(field(0), r)
		index = append(index, r)
		l, w := reg.Register(t.register(3*g+1)), reg.Register(t.register(3*g+2))
		if t.lanes == 16 { // a mask register holds one bit per number
			l, w = K(), K()
			VMOVUPS(field(1), v)
			VPMOVD2M(v, l)
			VMOVUPS(field(2), v)
			VPMOVD2M(v, w)
		} else {
			VMOVUPS(field(1), l)
			VMOVUPS(field(2), w)
		}
		load, lanes = append(load, l), append(lanes, w)
		pixels = append(pixels, GP64())
	}
	bases := Load(Param("bases"), GP64())
	for g, p := range pixels {
		MOVQ(Mem{Base: bases, Disp: 8 * g}, p)
		LEAQ(Mem{Base: x, Index: p, Scale: 4}, p)
	}
	tap := GP64()
	Label("tap")
	MOVQ(Mem{Base: taps}, tap)
	if more {
		VMOVUPS(Mem{Base: dst}, out)
	}
	for g, p := range pixels {
		at := Mem{Base: p, Index: tap, Scale: 4}
		if t.lanes == 16 {
			VMOVUPS_Z(at, load[g], v)
			if g == 0 && !more {
				VPERMPS_Z(v, index[g], lanes[g], out)
			} else {
				VPERMPS(v, index[g], lanes[g], out)
			}
			continue
		}
		VMASKMOVPS(at, load[g], v)
		VPERMPS(v, index[g], v)
		if g == 0 && !more {
			VANDPS(lanes[g], v, out)
		} else {
			VBLENDVPS(lanes[g], v, out, out)
		}
	}
	VMOVUPS(out, Mem{Base: dst})
	ADDQ(Imm(8), taps)
	ADDQ(stride, dst)
	DECQ(n)
	JNZ(LabelRef("tap"))
	VZEROUPPER()
	RET()
}

// packAlongAVX2 packs eight columns of B for consecutive taps.
func packAlongAVX2() {
	TEXT("packAlongAVX2", NOSPLIT, "func(dst *float32, stride int, x *float32, columns *[8]int, n int)")
	Doc("packAlongAVX2 copies x[columns[l]+i] to dst[i*stride+l] for i < n and l < 8. n is a",
		"multiple of 8.")
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
	for i := 0; i < 8; i += 2 { // interleave pairs of columns
		VUNPCKLPS(y(i+1), y(i), y(8+i))
		VUNPCKHPS(y(i+1), y(i), y(9+i))
	}
	for i := 0; i < 8; i += 4 { // interleave fours; tap j of each half is in y(i+j)
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
