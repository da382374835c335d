package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dots describes how an instruction set multiplies matrices of 8-bit integers. A word holds
// the integers of some terms of a sum: four of 8 bits, or two that were extended to 16 bits.
type dots struct {
	suffix        string
	lanes         int // words in a vector
	rows, vectors int // size of the largest tile
	vex           bool
	pairs         bool // words of two integers
}

var (
	dotsVNNI512 = dots{suffix: "VNNI512", lanes: 16, rows: 14, vectors: 2}
	dotsVNNI    = dots{suffix: "VNNI", lanes: 8, rows: 6, vectors: 2, vex: true}
	dotsAVX2    = dots{suffix: "AVX2", lanes: 8, rows: 6, vectors: 2, pairs: true}
)

func (d *dots) name(rows, vectors int) string {
	return fmt.Sprintf("dots%dx%d%s", rows, vectors*d.lanes, d.suffix)
}

func (d *dots) register(i int) reg.VecPhysical { return vectorRegister(d.lanes, i) }

// add adds the products of signed and unsigned to sum. free is a register that it may use.
func (d *dots) add(signed, unsigned, sum, free reg.VecPhysical) {
	switch {
	case d.pairs:
		VPMADDWD(signed, unsigned, free)
		VPADDD(free, sum, sum)
	case d.vex:
		vexVPDPBUSD(signed, unsigned, sum)
	default:
		VPDPBUSD(signed, unsigned, sum)
	}
}

// vexVPDPBUSD emits the instruction in the encoding of AVX-VNNI, which the assembler does not
// have.
func vexVPDPBUSD(signed, unsigned, sum reg.VecPhysical) {
	s, u, a := uint32(signed.PhysicalIndex()), uint32(unsigned.PhysicalIndex()), uint32(sum.PhysicalIndex())
	Comment(fmt.Sprintf("VPDPBUSD Y%d, Y%d, Y%d", s, u, a))
	second := (^a>>3&1)<<7 | 1<<6 | (^s>>3&1)<<5 | 2
	third := (^u&15)<<3 | 1<<2 | 1
	Instruction(&ir.Instruction{Opcode: "LONG", Operands: []Op{U32(0xc4 | second<<8 | third<<16 | 0x50<<24)}})
	Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(uint8(3<<6 | a&7<<3 | s&7))}})
}

// words returns how many words a tile multiplies at once, in sums of their own: with few sums,
// the processor would wait for each of them.
func (d *dots) words(rows, vectors int) int {
	for _, n := range []int{4, 2} {
		if rows*vectors*n <= d.rows*d.vectors && rows*vectors*n <= 16 {
			return n
		}
	}
	return 1
}

// tile multiplies some rows of A by some vectors of columns of B.
func (d *dots) tile(rows, vectors int) {
	name := d.name(rows, vectors)
	TEXT(name, NOSPLIT, "func(words int, a *uint32, stride int, b *uint32, offsets *int, c *int32, ldc int, start, more *int32)")
	Doc(name+" adds the products of a tile to each entry of C, or to the start of its row and, if more",
		"is not nil, the number of its column in more. If start is nil, it adds to the old entries of C.",
		"Word i of a row of A is a[i], and that of the next row is a stride further. Word i of the",
		"columns of B is at b[offsets[i]].")
	Pragma("noescape")
	size, each := 4*d.lanes, d.words(rows, vectors)
	sum := func(w, r, v int) reg.VecPhysical { return d.register((w*rows+r)*vectors + v) }
	column := func(v int) reg.VecPhysical { return d.register(each*rows*vectors + v) }
	entry := d.register(each*rows*vectors + vectors)
	free := entry
	if d.pairs {
		free = d.register(each*rows*vectors + vectors + 1)
	}
	tile := func(do func(at Mem, sum reg.VecPhysical)) {
		at, ldc := Load(Param("c"), GP64()), Load(Param("ldc"), GP64())
		SHLQ(U8(2), ldc)
		for r := range rows {
			for v := range vectors {
				do(Mem{Base: at, Disp: size * v}, sum(0, r, v))
			}
			if r+1 < rows {
				ADDQ(ldc, at)
			}
		}
	}
	start := Load(Param("start"), GP64())
	TESTQ(start, start)
	JZ(LabelRef("old"))
	for r := range rows {
		for v := range vectors {
			VPBROADCASTD(Mem{Base: start, Disp: 4 * r}, sum(0, r, v))
		}
	}
	more := Load(Param("more"), GP64())
	TESTQ(more, more)
	JZ(LabelRef("begin"))
	for v := range vectors {
		VMOVUPS(Mem{Base: more, Disp: size * v}, column(v))
		for r := range rows {
			VPADDD(column(v), sum(0, r, v), sum(0, r, v))
		}
	}
	JMP(LabelRef("begin"))
	Label("old")
	tile(func(at Mem, sum reg.VecPhysical) { VMOVUPS(at, sum) })
	Label("begin")
	for w := 1; w < each; w++ {
		for r := range rows {
			for v := range vectors {
				VXORPS(sum(w, r, v).AsX(), sum(w, r, v).AsX(), sum(w, r, v).AsX())
			}
		}
	}
	left, stride := Load(Param("words"), GP64()), Load(Param("stride"), GP64())
	b, offsets, at := Load(Param("b"), GP64()), Load(Param("offsets"), GP64()), GP64()
	SHLQ(U8(2), stride)
	var bases []reg.Register // of rows 0, 3, 6 and so on
	for r := 0; r < rows; r += 3 {
		p := GP64()
		if r == 0 {
			Load(Param("a"), p)
		} else {
			LEAQ(Mem{Base: bases[r/3-1], Index: stride, Scale: 2}, p)
			ADDQ(stride, p)
		}
		bases = append(bases, p)
	}
	word := func(w int) {
		MOVQ(Mem{Base: offsets, Disp: 8 * w}, at)
		for v := range vectors {
			VMOVUPS(Mem{Base: b, Index: at, Scale: 4, Disp: size * v}, column(v))
		}
		for r := range rows {
			m := Mem{Base: bases[r/3], Disp: 4 * w}
			if r%3 > 0 {
				m.Index, m.Scale = stride, uint8(r%3)
			}
			VPBROADCASTD(m, entry)
			for v := range vectors {
				d.add(entry, column(v), sum(w, r, v), free)
			}
		}
	}
	next := func(words int) {
		for _, p := range bases {
			ADDQ(Imm(uint64(4*words)), p)
		}
		ADDQ(Imm(uint64(8*words)), offsets)
	}
	if each > 1 {
		SUBQ(Imm(uint64(each)), left)
		JL(LabelRef("rest"))
		Label("words")
		for w := range each {
			word(w)
		}
		next(each)
		SUBQ(Imm(uint64(each)), left)
		JGE(LabelRef("words"))
		Label("rest")
		ADDQ(Imm(uint64(each)), left)
		JZ(LabelRef("end"))
	}
	Label("word")
	word(0)
	next(1)
	DECQ(left)
	JNZ(LabelRef("word"))
	Label("end")
	for w := 1; w < each; w++ {
		for r := range rows {
			for v := range vectors {
				VPADDD(sum(w, r, v), sum(0, r, v), sum(0, r, v))
			}
		}
	}
	tile(func(at Mem, sum reg.VecPhysical) { VMOVUPS(sum, at) })
	VZEROUPPER()
	RET()
}

// interleave makes words of the integers of several rows.
func (t *tiling) interleave(rows int) {
	name := fmt.Sprintf("interleave%d%s", rows, t.suffix)
	TEXT(name, NOSPLIT, "func(dst *uint32, x *uint8, starts *[4]int, n int, flip uint32)")
	bits := 32 / rows
	Doc(name+fmt.Sprintf(" makes n words of %d integers each, one of each row: row r begins at x[starts[r]].", rows),
		"The bits of flip are inverted. n is a positive multiple of the number of lanes of a vector.")
	Pragma("noescape")
	dst, x, starts := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("starts"), GP64())
	var from []reg.Register
	for r := range rows {
		p := GP64()
		MOVQ(Mem{Base: starts, Disp: 8 * r}, p)
		ADDQ(x, p)
		from = append(from, p)
	}
	n, flip, i := Load(Param("n"), GP64()), t.register(rows), GP64()
	VBROADCASTSS(address("flip"), flip)
	XORQ(i, i)
	Label("vector")
	for r, p := range from {
		v := t.register(r)
		VPMOVZXBD(Mem{Base: p, Index: i, Scale: 1}, v)
		if r > 0 {
			VPSLLD(U8(uint8(bits*r)), v, v)
			t.xor(v, t.register(0), t.register(0)) // the bits do not overlap
		}
	}
	t.xor(flip, t.register(0), t.register(0))
	VMOVUPS(t.register(0), Mem{Base: dst, Index: i, Scale: 4})
	ADDQ(Imm(uint64(t.lanes)), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

func (t *tiling) xor(a, b, c reg.VecPhysical) {
	if t.lanes == 16 {
		VPXORD(a, b, c)
		return
	}
	VPXOR(a, b, c)
}

func flipAVX2() {
	flip("flipAVX2", "uint8")
	flip("flipWordsAVX2", "uint32")
}

func flip(name, result string) {
	TEXT(name, NOSPLIT, "func(dst *"+result+", x *uint8, n int)")
	Doc(name + " inverts the highest bit of each of n bytes. n is a positive multiple of 32.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	i := GP64()
	VPBROADCASTD(longsOnce("highBits", 0x80808080), reg.Y0)
	XORQ(i, i)
	Label("vector")
	VPXOR(Mem{Base: x, Index: i, Scale: 1}, reg.Y0, reg.Y1)
	VMOVUPS(reg.Y1, Mem{Base: dst, Index: i, Scale: 1})
	ADDQ(Imm(32), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

func widenAVX2() {
	TEXT("widenAVX2", NOSPLIT, "func(dst *uint32, x *uint8, n int, flip uint32)")
	Doc("widenAVX2 extends n signed bytes to 16 bits, after inverting the bits of flip in each four of",
		"them. n is a positive multiple of 16.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	i := GP64()
	VBROADCASTSS(address("flip"), reg.X0)
	XORQ(i, i)
	Label("vector")
	VPXOR(Mem{Base: x, Index: i, Scale: 1}, reg.X0, reg.X1)
	VPMOVSXBW(reg.X1, reg.Y1)
	VMOVUPS(reg.Y1, Mem{Base: dst, Index: i, Scale: 2})
	ADDQ(Imm(16), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

func sumBytesAVX2() {
	TEXT("sumBytesAVX2", NOSPLIT, "func(x *uint8, n int, flip uint32) int")
	Doc("sumBytesAVX2 returns the sum of n bytes, after inverting the bits of flip in each four of them.",
		"n is a positive multiple of 32.")
	Pragma("noescape")
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	i := GP64()
	VPXOR(reg.Y0, reg.Y0, reg.Y0)
	VPXOR(reg.Y1, reg.Y1, reg.Y1)
	VBROADCASTSS(address("flip"), reg.Y3)
	XORQ(i, i)
	Label("vector")
	VPXOR(Mem{Base: x, Index: i, Scale: 1}, reg.Y3, reg.Y2)
	VPSADBW(reg.Y2, reg.Y0, reg.Y2)
	VPADDQ(reg.Y2, reg.Y1, reg.Y1)
	ADDQ(Imm(32), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
	VEXTRACTI128(U8(1), reg.Y1, reg.X2)
	VPADDQ(reg.X2, reg.X1, reg.X1)
	VPSHUFD(U8(0x4e), reg.X1, reg.X2)
	VPADDQ(reg.X2, reg.X1, reg.X1)
	sum := GP64()
	VMOVQ(reg.X1, sum)
	Store(sum, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// depthwise computes rows of a convolution with one channel.
func (t *tiling) depthwise() {
	name := "depthwise" + t.suffix
	if t.lanes == 16 {
		name = "depthwiseVNNI512"
	}
	TEXT(name, NOSPLIT, "func(dst *int32, x *uint8, offsets *int, weights *int32, taps, n int, start int32)")
	Doc(name+" computes start + the sum of weights[t]*x[offsets[t]+i] for i < n. n is a positive",
		"multiple of the number of lanes of a vector, and the weights fit into 16 bits.")
	Pragma("noescape")
	dst, x := Load(Param("dst"), GP64()), Load(Param("x"), GP64())
	n, taps := Load(Param("n"), GP64()), Load(Param("taps"), GP64())
	start, w := t.register(12), t.register(13)
	VBROADCASTSS(address("start"), start)
	const most = 4
	block := func(vectors int, label string) {
		offsets, weights := Load(Param("offsets"), GP64()), Load(Param("weights"), GP64())
		left, at := GP64(), GP64()
		MOVQ(taps, left)
		for v := range vectors {
			VMOVAPS(start, t.register(v))
		}
		Label(label + "tap")
		MOVQ(Mem{Base: offsets}, at)
		VPBROADCASTD(Mem{Base: weights}, w)
		for v := range vectors {
			pixels := t.register(most + v)
			VPMOVZXBD(Mem{Base: x, Index: at, Scale: 1, Disp: t.lanes * v}, pixels)
			if t.lanes == 16 {
				VPDPWSSD(w, pixels, t.register(v))
				continue
			}
			VPMADDWD(w, pixels, pixels)
			VPADDD(pixels, t.register(v), t.register(v))
		}
		ADDQ(Imm(8), offsets)
		ADDQ(Imm(4), weights)
		DECQ(left)
		JNZ(LabelRef(label + "tap"))
		for v := range vectors {
			VMOVUPS(t.register(v), Mem{Base: dst, Disp: 4 * t.lanes * v})
		}
		ADDQ(I32(4*t.lanes*vectors), dst)
		ADDQ(I32(t.lanes*vectors), x)
		SUBQ(I32(t.lanes*vectors), n)
	}
	Label("many")
	CMPQ(n, I32(most*t.lanes))
	JL(LabelRef("few"))
	block(most, "many")
	JMP(LabelRef("many"))
	Label("few")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("one")
	block(1, "one")
	JNZ(LabelRef("one"))
	Label("done")
	VZEROUPPER()
	RET()
}

// splitAVX2 separates neighboring bytes.
func splitAVX2() {
	TEXT("splitAVX2", NOSPLIT, "func(even, odd, x *uint8, n int)")
	Doc("splitAVX2 sets even[i] = x[2*i] and odd[i] = x[2*i+1] for i < n. n is a positive multiple of 32.")
	Pragma("noescape")
	even, odd := Load(Param("even"), GP64()), Load(Param("odd"), GP64())
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	i := GP64()
	mask := reg.Y0
	VPCMPEQW(mask, mask, mask)
	VPSRLW(U8(8), mask, mask)
	XORQ(i, i)
	Label("vector")
	for half := range 2 {
		v, low := vectorRegister(8, 1+half), vectorRegister(8, 3+half)
		VMOVUPS(Mem{Base: x, Index: i, Scale: 2, Disp: 32 * half}, v)
		VPAND(mask, v, low)
		VPSRLW(U8(8), v, v)
	}
	VPACKUSWB(reg.Y4, reg.Y3, reg.Y3)
	VPACKUSWB(reg.Y2, reg.Y1, reg.Y1)
	VPERMQ(U8(0xd8), reg.Y3, reg.Y3)
	VPERMQ(U8(0xd8), reg.Y1, reg.Y1)
	VMOVUPS(reg.Y3, Mem{Base: even, Index: i, Scale: 1})
	VMOVUPS(reg.Y1, Mem{Base: odd, Index: i, Scale: 1})
	ADDQ(Imm(32), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// longsOnce returns read-only data, which it creates at the first call.
func longsOnce(name string, values ...uint32) Mem {
	return data(name, func() Mem { return longs(name, values...) })
}
