package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// belowFull is the largest float32 below 2^31, and units is 2^31.
func belowFull() Mem { return constant("belowFull", 1<<31-1<<7) }
func units() Mem     { return constant("units", 1<<31) }

// fullShare is the threshold that stands for the total.
func fullShare() Mem { return data("fullShare", func() Mem { return longs("fullShare", 1<<31-1) }) }

// laneBits holds a bit for each of 8 lanes.
func laneBits() Mem {
	return data("laneBits", func() Mem { return longs("laneBits", 1, 2, 4, 8, 16, 32, 64, 128) })
}

// drawer generates the functions that turn sums of patches into thresholds, for vectors of
// 16 or 8 lanes.
type drawer struct {
	suffix string
	lanes  int

	total, scale, most, full reg.VecPhysical // full is for 16 lanes only
	free                     [2]reg.VecPhysical

	// For patches side by side:
	spans int // 0 for three spans that are read within their lanes only
	base  [3]reg.GPVirtual
	masks [3]reg.OpmaskVirtual // 16 lanes
	bits  [3]Mem               // 8 lanes: vectors in memory
}

func newDrawer(lanes int) *drawer {
	if lanes == 16 {
		return &drawer{suffix: "AVX512", lanes: 16, total: reg.Z16, scale: reg.Z17, most: reg.Z18, full: reg.Z19, free: [2]reg.VecPhysical{reg.Z20, reg.Z21}}
	}
	return &drawer{suffix: "AVX2", lanes: 8, total: reg.Y8, scale: reg.Y9, most: reg.Y10, free: [2]reg.VecPhysical{reg.Y11, reg.Y12}}
}

func (d *drawer) register(i int) reg.VecPhysical { return vectorRegister(d.lanes, i) }

// constants loads the constants of threshold.
func (d *drawer) constants() {
	VBROADCASTSS(belowFull(), d.most)
	if d.lanes == 16 {
		VPBROADCASTD(fullShare(), d.full)
	}
}

// threshold sets t to the thresholds for sums, given the totals.
func (d *drawer) threshold(sums, totals, t reg.VecPhysical) {
	const notLess = 5
	if d.lanes == 16 {
		whole := K()
		VCMPPS(U8(notLess), totals, sums, whole)
		VMULPS(d.scale, sums, t)
		VMINPS(d.most, t, t)
		VCVTTPS2DQ(t, t)
		VMOVDQA32(d.full, whole, t)
		return
	}
	whole := d.free[1]
	VCMPPS(U8(notLess), totals, sums, whole)
	VPSRLD(U8(1), whole, whole)
	VMULPS(d.scale, sums, t)
	VMINPS(d.most, t, t)
	VCVTTPS2DQ(t, t)
	VPOR(whole, t, t)
}

// thresholds generates the function for the sums of one patch.
func (d *drawer) thresholds() {
	name := "thresholds" + d.suffix
	TEXT(name, NOSPLIT, "func(dst *uint32, sums *float32, n int, total, scale float32)")
	Doc(name+" writes the thresholds for n sums, a multiple of 16. The scale is 2^31 divided by the",
		"total.")
	Pragma("noescape")
	dst, sums, n := Load(Param("dst"), GP64()), Load(Param("sums"), GP64()), Load(Param("n"), GP64())
	d.constants()
	totals, t := d.register(0), d.register(1)
	VBROADCASTSS(address("total"), totals)
	VBROADCASTSS(address("scale"), d.scale)
	eachVector(d.lanes, n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(sums), d.total)
		d.threshold(d.total, totals, t)
		VMOVUPS(t, at(dst))
	})
	VZEROUPPER()
	RET()
}

// look generates the function that fills the coarse table of one position.
func (d *drawer) look() {
	name := "look" + d.suffix
	TEXT(name, NOSPLIT, "func(coarse, thresholds *uint32, block uint32)")
	Doc(name + " writes the last of every block of thresholds to the coarse table.")
	Pragma("noescape")
	coarse, thresholds := Load(Param("coarse"), GP64()), Load(Param("thresholds"), GP64())
	block := Load(Param("block"), GP32())
	blocks, index, t, all := d.register(0), d.register(1), d.register(2), K()
	VMOVD(block, blocks.AsX())
	VPBROADCASTD(blocks.AsX(), blocks)
	for v := range 32 / d.lanes {
		// The last entry of block i is entry (i+1)*block - 1.
		VPMULLD(d.order().Offset(4*d.lanes*v), blocks, index)
		last := Mem{Base: thresholds, Index: index, Scale: 4, Disp: -4}
		if d.lanes == 16 {
			KXNORW(all, all, all)
			VPXORD(t, t, t)
			VPGATHERDD(last, all, t)
		} else {
			lanes := d.register(3)
			VPCMPEQD(lanes, lanes, lanes)
			VPXOR(t, t, t)
			VPGATHERDD(lanes, last, t)
		}
		VMOVUPS(t, Mem{Base: coarse, Disp: 4 * d.lanes * v})
	}
	VZEROUPPER()
	RET()
}

// lookRow generates the function that fills the coarse tables of positions side by side.
func (d *drawer) lookRow() {
	name := "lookRow" + d.suffix
	TEXT(name, NOSPLIT, "func(coarse, lasts *uint32, step, n int)")
	Doc(name+" fills the coarse tables of n positions. Row i of lasts holds the last threshold of",
		"vector i for all positions, and step is the number of vectors in a block.")
	Pragma("noescape")
	coarse, lasts := Load(Param("coarse"), GP64()), Load(Param("lasts"), GP64())
	step, n := Load(Param("step"), GP64()), Load(Param("n"), GP64())
	IMUL3Q(Imm(uint64(4*d.lanes)), step, step)
	row, place := GP64(), GP64()
	for v := range 32 / d.lanes {
		for i := range d.lanes {
			IMUL3Q(Imm(uint64(d.block(d.lanes*v+i))), step, row)
			VMOVUPS(Mem{Base: lasts, Index: row, Scale: 1, Disp: -4 * d.lanes}, d.register(i))
		}
		LEAQ(Mem{Base: coarse, Disp: 4 * d.lanes * v}, place)
		done := fmt.Sprintf("done%d", v)
		d.storeColumns(place, n, done, func() { ADDQ(I32(4*32), place) })
		Label(done)
	}
	VZEROUPPER()
	RET()
}

// order returns the numbers of the blocks, from 1, in the order of the coarse table.
func (d *drawer) order() Mem {
	if d.lanes == 16 {
		return numbers().Offset(4 * 96)
	}
	return levels()
}

// block returns an entry of order.
func (d *drawer) block(i int) uint32 {
	if d.lanes == 16 {
		return uint32(i + 1)
	}
	return tree[i]
}

// tree is the order of the coarse table for AVX2: a binary search tree, level by level. The
// first three levels take the first 8 entries.
var tree = []uint32{
	16, 8, 24, 4, 12, 20, 28, 32,
	2, 6, 10, 14, 18, 22, 26, 30,
	1, 3, 5, 7, 9, 11, 13, 15,
	17, 19, 21, 23, 25, 27, 29, 31,
}

func levels() Mem { return data("levels", func() Mem { return longs("levels", tree...) }) }

// kindOfRow names the functions for a number of spans.
func (d *drawer) kindOfRow() string {
	if d.spans == 0 {
		return "Masked"
	}
	return fmt.Sprint(d.spans)
}

func (d *drawer) rowDoc() []string {
	if d.spans == 0 {
		return []string{"Lane i of a vector is for the patch at x[starts[j]+i] if bit i of lanes[j] is set. The", "function reads x only in these patches."}
	}
	return []string{fmt.Sprintf("Lane i of a vector is for the patch at x[starts[j]+i], for the last j < %d for which bit i", d.spans), "of lanes[j] is set or j is 0."}
}

// locate loads the places of the patches.
func (d *drawer) locate() {
	x, starts, lanes := Load(Param("x"), GP64()), Load(Param("starts"), GP64()), Load(Param("lanes"), GP64())
	for j := range d.count() {
		d.base[j] = GP64()
		MOVQ(Mem{Base: starts, Disp: 8 * j}, d.base[j])
		LEAQ(Mem{Base: x, Index: d.base[j], Scale: 4}, d.base[j])
		switch at := (Mem{Base: lanes, Disp: 4 * j}); {
		case d.lanes == 16:
			d.masks[j] = K()
			KMOVW(at, d.masks[j])
		case d.spans != 1:
			d.bits[j] = AllocLocal(32)
			VPBROADCASTD(at, reg.Y0)
			VMOVDQU(laneBits(), reg.Y1)
			VPAND(reg.Y1, reg.Y0, reg.Y0)
			VPCMPEQD(reg.Y1, reg.Y0, reg.Y0)
			VMOVDQU(reg.Y0, d.bits[j])
		}
	}
}

func (d *drawer) count() int {
	if d.spans == 0 {
		return 3
	}
	return d.spans
}

// add adds the entries of the patches at an offset to the sums.
func (d *drawer) add(offset reg.Register) {
	at := func(j int) Mem { return Mem{Base: d.base[j], Index: offset, Scale: 4} }
	v, w := d.free[0], d.free[1]
	switch {
	case d.spans == 1:
		VADDPS(at(0), d.total, d.total)
		return
	case d.lanes == 16 && d.spans == 0:
		VMOVUPS_Z(at(0), d.masks[0], v)
		for j := 1; j < 3; j++ {
			VMOVUPS(at(j), d.masks[j], v)
		}
	case d.lanes == 16:
		// A load and a masked move, because some processors are slow in masked loads.
		VMOVUPS(at(0), v)
		for j := 1; j < d.spans; j++ {
			VMOVUPS(at(j), w)
			VMOVAPS(w, d.masks[j], v)
		}
	default:
		for j := range d.count() {
			to := w
			if j == 0 {
				to = v
			}
			VMOVUPS(d.bits[j], to)
			VMASKMOVPS(at(j), to, to)
			if j > 0 {
				VORPS(to, v, v)
			}
		}
	}
	VADDPS(v, d.total, d.total)
}

// totalsRow generates the function for the totals of patches side by side.
func (d *drawer) totalsRow() {
	name := "totalsRow" + d.kindOfRow() + d.suffix
	TEXT(name, 0, "func(totals, x *float32, starts *[3]int, lanes *[3]uint32, offsets *int32, k int)")
	Doc(append([]string{fmt.Sprintf("%s writes the sums of the k entries of %d patches.", name, d.lanes)}, d.rowDoc()...)...)
	Pragma("noescape")
	d.locate()
	offsets, k := Load(Param("offsets"), GP64()), Load(Param("k"), GP64())
	VXORPS(allY[0].AsX(), allY[0].AsX(), allY[0].AsX())
	VMOVAPS(d.register(0), d.total)
	i, o := GP64(), GP64()
	XORQ(i, i)
	Label("entries")
	MOVLQSX(Mem{Base: offsets, Index: i, Scale: 4}, o)
	d.add(o)
	INCQ(i)
	CMPQ(i, k)
	JL(LabelRef("entries"))
	totals := Load(Param("totals"), GP64())
	VMOVUPS(d.total, Mem{Base: totals})
	VZEROUPPER()
	RET()
}

// thresholdsRow generates the function for the thresholds of patches side by side. It
// transposes blocks of as many thresholds as a vector has lanes.
func (d *drawer) thresholdsRow() {
	name := "thresholdsRow" + d.kindOfRow() + d.suffix
	TEXT(name, 0, "func(dst, lasts *uint32, room, n int, totals, x *float32, starts *[3]int, lanes *[3]uint32, offsets *int32, k int)")
	Doc(append([]string{fmt.Sprintf("%s writes the thresholds of the first n of %d patches: the k thresholds of", name, d.lanes),
		"a patch, rounded up to whole vectors, follow each other, and room is the distance from",
		"patch to patch. The k offsets must be followed by zeros up to a multiple of the lanes.",
		"lasts receives the last of each vector of thresholds, a row for all patches."}, d.rowDoc()...)...)
	Pragma("noescape")
	d.locate()
	offsets, k := Load(Param("offsets"), GP64()), Load(Param("k"), GP64())
	dst, room, n := Load(Param("dst"), GP64()), Load(Param("room"), GP64()), Load(Param("n"), GP64())
	SHLQ(U8(2), room)
	totals := reg.VecPhysical(reg.Z22)
	if d.lanes == 8 {
		totals = reg.Y13
	}
	address := Load(Param("totals"), GP64())
	VMOVUPS(Mem{Base: address}, totals)
	VBROADCASTSS(units(), d.scale)
	VDIVPS(totals, d.scale, d.scale)
	d.constants()
	VXORPS(allY[0].AsX(), allY[0].AsX(), allY[0].AsX())
	VMOVAPS(d.register(0), d.total)
	o, place, lasts := GP64(), GP64(), GP64()
	Load(Param("lasts"), lasts)
	Label("block")
	for j := range d.lanes {
		MOVLQSX(Mem{Base: offsets, Disp: 4 * j}, o)
		d.add(o)
		d.threshold(d.total, totals, d.register(j))
	}
	VMOVUPS(d.register(d.lanes-1), Mem{Base: lasts})
	ADDQ(U8(uint8(4*d.lanes)), lasts)
	MOVQ(dst, place)
	d.storeColumns(place, n, "next", func() { ADDQ(room, place) })
	Label("next")
	ADDQ(U8(uint8(4*d.lanes)), dst)
	ADDQ(U8(uint8(4*d.lanes)), offsets)
	SUBQ(U8(uint8(d.lanes)), k)
	JG(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// storeColumns transposes the square matrix whose rows are in registers 0 to lanes-1, and
// stores its first n columns. advance moves place from column to column.
func (d *drawer) storeColumns(place, n reg.Register, done string, advance func()) {
	columns := transpose8
	if d.lanes == 16 {
		columns = transpose16
	}
	for c, column := range columns() {
		VMOVUPS(column, Mem{Base: place})
		if c < d.lanes-1 {
			CMPQ(n, U8(uint8(c+1)))
			JE(LabelRef(done))
			advance()
		}
	}
}

// pairs sets two registers to the results of two instructions that combine them. spare is
// free, and holds one of the results afterwards.
func pairs(a, b, spare reg.VecPhysical, lo, hi func(a, b, dst reg.VecPhysical)) (first, second, free reg.VecPhysical) {
	lo(a, b, spare)
	hi(a, b, b)
	return spare, b, a
}

// transpose16 transposes registers 0 to 15, of 16 lanes. It uses register 23. It returns the
// registers that hold the columns.
func transpose16() []reg.VecPhysical {
	r, spare := append([]reg.VecPhysical{}, allZ[:16]...), reg.VecPhysical(reg.Z23)
	step := func(i, j int, lo, hi func(a, b, dst reg.VecPhysical)) {
		r[i], r[j], spare = pairs(r[i], r[j], spare, lo, hi)
	}
	unpack := func(i, j int) {
		step(i, j, func(a, b, dst reg.VecPhysical) { VUNPCKLPS(b, a, dst) }, func(a, b, dst reg.VecPhysical) { VUNPCKHPS(b, a, dst) })
	}
	unpackPairs := func(i, j int) {
		step(i, j, func(a, b, dst reg.VecPhysical) { VUNPCKLPD(b, a, dst) }, func(a, b, dst reg.VecPhysical) { VUNPCKHPD(b, a, dst) })
	}
	shuffle := func(i, j int) {
		step(i, j, func(a, b, dst reg.VecPhysical) { VSHUFF32X4(U8(0x88), b, a, dst) }, func(a, b, dst reg.VecPhysical) { VSHUFF32X4(U8(0xdd), b, a, dst) })
	}
	for g := 0; g < 16; g += 4 {
		unpack(g, g+1)
		unpack(g+2, g+3)
		// Register g holds the low halves of rows 0 and 1, and g+1 the high halves.
		unpackPairs(g, g+2)
		unpackPairs(g+1, g+3)
		// Column 4L+c of the four rows is in lane L of 128 bits of register g+c, where
		// columns 1 and 2 are exchanged.
		r[g+1], r[g+2] = r[g+2], r[g+1]
	}
	columns := make([]reg.VecPhysical, 16)
	for c := range 4 {
		shuffle(c, 4+c)    // lanes 0 and 2 of rows 0 to 7, and lanes 1 and 3
		shuffle(8+c, 12+c) // the same of rows 8 to 15
		shuffle(c, 8+c)
		shuffle(4+c, 12+c)
		columns[c], columns[8+c], columns[4+c], columns[12+c] = r[c], r[8+c], r[4+c], r[12+c]
	}
	return columns
}

// transpose8 is transpose16 for registers 0 to 7, of 8 lanes. It uses register 14.
func transpose8() []reg.VecPhysical {
	r, spare := append([]reg.VecPhysical{}, allY[:8]...), reg.VecPhysical(reg.Y14)
	step := func(i, j int, lo, hi func(a, b, dst reg.VecPhysical)) {
		r[i], r[j], spare = pairs(r[i], r[j], spare, lo, hi)
	}
	for g := 0; g < 8; g += 4 {
		for _, p := range [][2]int{{g, g + 1}, {g + 2, g + 3}} {
			step(p[0], p[1], func(a, b, dst reg.VecPhysical) { VUNPCKLPS(b, a, dst) }, func(a, b, dst reg.VecPhysical) { VUNPCKHPS(b, a, dst) })
		}
		for _, p := range [][2]int{{g, g + 2}, {g + 1, g + 3}} {
			step(p[0], p[1], func(a, b, dst reg.VecPhysical) { VUNPCKLPD(b, a, dst) }, func(a, b, dst reg.VecPhysical) { VUNPCKHPD(b, a, dst) })
		}
		r[g+1], r[g+2] = r[g+2], r[g+1]
	}
	columns := make([]reg.VecPhysical, 8)
	for c := range 4 {
		step(c, 4+c, func(a, b, dst reg.VecPhysical) { VPERM2F128(U8(0x20), b, a, dst) }, func(a, b, dst reg.VecPhysical) { VPERM2F128(U8(0x31), b, a, dst) })
		columns[c], columns[4+c] = r[c], r[4+c]
	}
	return columns
}
