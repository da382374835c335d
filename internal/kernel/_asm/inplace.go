package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// direct describes the tiles of products of matrices that stay where they are.
type direct struct {
	lanes
	rows, vectors int // size of the largest tile
}

// The tiles leave registers for a row of B, an entry of A and, with AVX2, a mask.
var directs = []direct{{16, 6, 4}, {8, 6, 2}}

func (d *direct) register(i int) reg.VecPhysical { return vectorRegister(int(d.lanes), i) }

func (d *direct) name(rows, vectors int) string {
	return fmt.Sprintf("direct%dx%d%s", rows, vectors*int(d.lanes), d.suffix())
}

// tile multiplies rows of A by columns of B that fill some vectors, the last of them maybe not whole.
func (d *direct) tile(rows, vectors int) {
	name := d.name(rows, vectors)
	TEXT(name, NOSPLIT, "func(k int, a *float32, row, tap int, b *float32, ldb int, c *float32, ldc int, last int, more bool)")
	Doc(name+" sets each entry of a tile of C to a sum of k products. If more is set, it adds them to",
		"the entry. Entry (i, t) of A is a[i*row+t*tap]. The last vector of a row of B, and of C, has",
		"last numbers.")
	Pragma("noescape")
	k, a, b, c := Load(Param("k"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("c"), GP64())
	row, tap := Load(Param("row"), GP64()), Load(Param("tap"), GP64())
	ldb, ldc := Load(Param("ldb"), GP64()), Load(Param("ldc"), GP64())
	last, more := Load(Param("last"), GP64()), Load(Param("more"), GP8())
	for _, r := range []reg.Register{row, tap, ldb, ldc} {
		SHLQ(U8(2), r)
	}
	sum := func(r, v int) reg.VecPhysical { return d.register(r*vectors + v) }
	right := func(v int) reg.VecPhysical { return d.register(rows*vectors + v) }
	entry := d.register(rows*vectors + vectors)
	var mask reg.Register
	count := d.register(rows*vectors + vectors + 1)
	VMOVD(last.(reg.GPVirtual).As32(), count.AsX())
	VPBROADCASTD(count.AsX(), count)
	if d.lanes == 16 {
		mask = K()
		VPCMPGTD(numbers(), count, mask)
	} else {
		mask = count
		VPCMPGTD(numbers(), count, count)
	}
	load := func(at Mem, to reg.VecPhysical, v int) {
		switch {
		case v < vectors-1:
			VMOVUPS(at, to)
		case d.lanes == 16:
			VMOVUPS_Z(at, mask, to)
		default:
			VMASKMOVPS(at, mask, to)
		}
	}
	// each calls do for all vectors of the tile in C.
	each := func(do func(at Mem, sum reg.VecPhysical, v int)) {
		at := GP64()
		MOVQ(c, at)
		for r := range rows {
			for v := range vectors {
				do(Mem{Base: at, Disp: 4 * int(d.lanes) * v}, sum(r, v), v)
			}
			if r+1 < rows {
				ADDQ(ldc, at)
			}
		}
	}
	for i := range rows * vectors {
		VXORPS(d.register(i), d.register(i), d.register(i))
	}
	TESTB(more, more)
	JZ(LabelRef("start"))
	each(load)
	Label("start")
	places := []Mem{{Base: a}, {Base: a, Index: row, Scale: 1}, {Base: a, Index: row, Scale: 2}}
	if rows > 3 {
		third := GP64()
		LEAQ(Mem{Base: row, Index: row, Scale: 2}, third)
		places = append(places, Mem{Base: a, Index: third, Scale: 1}, Mem{Base: a, Index: row, Scale: 4})
	}
	if rows > 5 {
		fifth := GP64()
		LEAQ(Mem{Base: row, Index: row, Scale: 4}, fifth)
		places = append(places, Mem{Base: a, Index: fifth, Scale: 1})
	}
	Label("product")
	for v := range vectors {
		load(Mem{Base: b, Disp: 4 * int(d.lanes) * v}, right(v), v)
	}
	for r := range rows {
		VBROADCASTSS(places[r], entry)
		for v := range vectors {
			VFMADD231PS(right(v), entry, sum(r, v))
		}
	}
	ADDQ(tap, a)
	ADDQ(ldb, b)
	DECQ(k)
	JNZ(LabelRef("product"))
	each(func(at Mem, sum reg.VecPhysical, v int) {
		switch {
		case v < vectors-1:
			VMOVUPS(sum, at)
		case d.lanes == 16:
			VMOVUPS(sum, mask, at)
		default:
			VMASKMOVPS(sum, mask, at)
		}
	})
	VZEROUPPER()
	RET()
}

// maxRowGroups is the largest number of groups of eight rows of one call of rowSums.
const maxRowGroups = 4

func rowSumsName(groups int) string { return fmt.Sprintf("rowSums%dAVX2", groups) }

// rowSums multiplies rows of a matrix by a vector. The sums of eight rows are in one register. To
// this end, four numbers of each of the rows are transposed in registers. Vectors of 16 would not be
// faster, because the processors permute them in one unit instead of two. If apart is set, there are
// eight rows, which may be anywhere in memory.
func rowSums(groups int, apart bool) {
	name, args := rowSumsName(groups), "stride int"
	doc := []string{fmt.Sprintf("%s adds k products to each of %d numbers of c: of the numbers of a row of w, whose", name, 8*groups),
		"distance is stride, with those of x, whose distance is step."}
	if apart {
		name, args = "rowSumsApartAVX2", "starts *[8]int"
		doc = []string{name + " adds k products to each of 8 numbers of c: of the numbers of a row of w, which begins",
			"at w[starts[i]], with those of x, whose distance is step."}
	}
	TEXT(name, NOSPLIT, "func(k int, w *float32, "+args+", x *float32, step int, c *float32)")
	Doc(doc...)
	Pragma("noescape")
	k, w, x, step := Load(Param("k"), GP64()), Load(Param("w"), GP64()), Load(Param("x"), GP64()), Load(Param("step"), GP64())
	SHLQ(U8(2), step)
	var pointers []reg.Register // that move along the rows
	var rows []Mem
	if apart {
		starts := Load(Param("starts"), GP64())
		for i := range 8 {
			p := GP64()
			MOVQ(Mem{Base: starts, Disp: 8 * i}, p)
			LEAQ(Mem{Base: w, Index: p, Scale: 4}, p)
			pointers, rows = append(pointers, p), append(rows, Mem{Base: p})
		}
	} else {
		stride, third := Load(Param("stride"), GP64()), GP64()
		SHLQ(U8(2), stride)
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, third)
		for i := range 2 * groups { // a pointer for four rows
			if i > 0 {
				p := GP64()
				LEAQ(Mem{Base: w, Index: stride, Scale: 4}, p)
				w = p
			}
			pointers = append(pointers, w)
			rows = append(rows, Mem{Base: w}, Mem{Base: w, Index: stride, Scale: 1}, Mem{Base: w, Index: stride, Scale: 2}, Mem{Base: w, Index: third, Scale: 1})
		}
	}
	y := func(i int) reg.VecPhysical { return vectorRegister(8, i) }
	sum := func(g int) reg.VecPhysical { return y(g) }
	tap := func(i int) reg.VecPhysical { return y(4 + i) } // the numbers of x
	for g := range groups {
		c := Load(Param("c"), GP64())
		VMOVUPS(Mem{Base: c, Disp: 32 * g}, sum(g))
	}
	advance := func(taps int) {
		for _, p := range pointers {
			ADDQ(Imm(uint64(4*taps)), p)
		}
	}
	Label("four")
	SUBQ(Imm(4), k)
	JL(LabelRef("rest"))
	for i := range 4 {
		VBROADCASTSS(Mem{Base: x}, tap(i))
		ADDQ(step, x)
	}
	for g := range groups {
		for i := range 4 { // four numbers of rows i and i+4
			VMOVUPS(rows[8*g+i], y(8+i).AsX())
			VINSERTF128(Imm(1), rows[8*g+i+4], y(8+i), y(8+i))
		}
		VUNPCKLPS(y(9), y(8), y(12))
		VUNPCKHPS(y(9), y(8), y(13))
		VUNPCKLPS(y(11), y(10), y(14))
		VUNPCKHPS(y(11), y(10), y(15))
		VUNPCKLPD(y(14), y(12), y(8))
		VUNPCKHPD(y(14), y(12), y(9))
		VUNPCKLPD(y(15), y(13), y(10))
		VUNPCKHPD(y(15), y(13), y(11))
		for i := range 4 {
			VFMADD231PS(y(8+i), tap(i), sum(g))
		}
	}
	advance(4)
	JMP(LabelRef("four"))
	Label("rest")
	ADDQ(Imm(4), k)
	JZ(LabelRef("done"))
	Label("one")
	VBROADCASTSS(Mem{Base: x}, tap(0))
	ADDQ(step, x)
	for g := range groups {
		for half := range 2 {
			v := y(8 + half).AsX()
			VMOVSS(rows[8*g+4*half], v)
			for i := 1; i < 4; i++ {
				VINSERTPS(Imm(uint64(i<<4)), rows[8*g+4*half+i], v, v)
			}
		}
		VINSERTF128(Imm(1), y(9).AsX(), y(8), y(8))
		VFMADD231PS(y(8), tap(0), sum(g))
	}
	advance(1)
	DECQ(k)
	JNZ(LabelRef("one"))
	Label("done")
	for g := range groups {
		c := Load(Param("c"), GP64())
		VMOVUPS(sum(g), Mem{Base: c, Disp: 32 * g})
	}
	VZEROUPPER()
	RET()
}
