package main

// operandRoom is the size of the memory for the copies of a single number.
const operandRoom = 64

// pairVectors are the numbers of vectors that functions of pairs compute at once.
var pairVectors = []int{4, 1}

const (
	rA, rB, rStepA, rStepB = R4, R5, R6, R7
	pairDoc                = "step 0 means that all numbers of an operand are the first one, and otherwise it is 1. n is a multiple of 4."
)

// operand loads the parameters of an operand of pairs. A single number is copied as often as
// one iteration needs it.
func (f *function) operand(name, step string, at, rStep int) {
	f.load(name, at)
	f.load(step, rStep)
	room, label := f.local(operandRoom), f.unique("many")
	f.o("CBNZ R%d, %s", rStep, label)
	f.v("ld1r", 0, at)
	f.o("ADD $%d, RSP, R%d", room, at)
	for i := 0; i < operandRoom; i += 16 {
		f.v("str", 0, at, i)
	}
	f.label(label)
}

// pairsOf generates the loop of a function of two operands.
func (f *function) pairsOf(n int, body func(a, b []int)) {
	f.operand("a", "stepA", rA, rStepA)
	f.operand("b", "stepB", rB, rStepB)
	f.blocks(n, pairVectors, func(vectors int) {
		var both [2][]int
		for i, at := range []int{rA, rB} {
			for v := 0; v < vectors; v += 2 {
				first := f.new()
				if both[i] = append(both[i], first); v+1 == vectors {
					f.v("ldr", first, at, 16*v)
					break
				}
				second := f.new()
				both[i] = append(both[i], second)
				f.v("ldp", first, second, at, 16*v)
			}
			f.o("ADD R%d<<%d, R%d, R%d", at+rStepA-rA, map[int]int{1: 4, 4: 6}[vectors], at, at)
		}
		body(both[0], both[1])
	})
	f.ret()
}

// pairs generates the functions of two operands.
func pairs() {
	for _, p := range []struct {
		name string
		of   func(f *function, a, b int) int
	}{
		{"add", func(f *function, a, b int) int { return f.plus(a, b) }},
		{"sub", func(f *function, a, b int) int { return f.minus(a, b) }},
		{"mul", func(f *function, a, b int) int { return f.times(a, b) }},
		{"div", func(f *function, a, b int) int { return f.over(a, b) }},
		{"max", func(f *function, a, b int) int { return f.either(f.do("fcmgt", a, b), a, b) }},
		{"min", func(f *function, a, b int) int { return f.either(f.do("fcmgt", b, a), a, b) }},
		{"preluOf", func(f *function, a, b int) int { return f.choose(f.do("fcmlt0", a), f.times(a, b), a) }},
	} {
		f := newFunction(p.name+"NEON", "func(dst, a, b *float32, n, stepA, stepB int)", p.name+"NEON computes an operation on n pairs of numbers.", pairDoc)
		const dst, n = R0, R1
		f.load("dst", dst)
		f.load("n", n)
		f.pairsOf(n, func(a, b []int) {
			for v := range a {
				a[v] = p.of(f, a[v], b[v])
			}
			f.stores(a, dst)
		})
	}
	for _, c := range []struct {
		name string
		mask func(f *function, a, b int) int
	}{
		{"isLess", func(f *function, a, b int) int { return f.do("fcmgt", b, a) }},
		{"isLessEqual", func(f *function, a, b int) int { return f.do("fcmge", b, a) }},
		{"isEqual", func(f *function, a, b int) int { return f.do("fcmeq", a, b) }},
	} {
		f := newFunction(c.name+"NEON", "func(dst *bool, a, b *float32, n, stepA, stepB int)", c.name+"NEON compares n pairs of numbers.", pairDoc)
		const dst, n = R0, R1
		f.load("dst", dst)
		f.load("n", n)
		f.pairsOf(n, func(a, b []int) {
			for v := range a {
				a[v] = f.shifted("ushr", c.mask(f, a[v], b[v]), 31)
			}
			f.storeBytes(a, dst)
		})
	}
	selection()
	addRows()
}

// addRows generates sums of the rows of two matrices.
func addRows() {
	f := newFunction("addRowsNEON", "func(sums *float32, sumStride int, x *float32, stride, rows, n int)",
		"addRowsNEON adds n numbers of each of some rows of x to those of sums. n and rows are positive. The strides are in bytes.")
	const sums, sumStride, x, stride, rows, n, to, from, left = R0, R1, R2, R3, R4, R5, R6, R7, R8
	for i, name := range []string{"sums", "sumStride", "x", "stride", "rows", "n"} {
		f.load(name, sums+i)
	}
	f.loop(rows, 1, func() {
		f.o("MOVD R%d, R%d", sums, to)
		f.o("MOVD R%d, R%d", x, from)
		f.o("MOVD R%d, R%d", n, left)
		f.blocks(left, pairVectors, func(vectors int) {
			all := f.loads(vectors, from)
			for v := 0; v < vectors; v += 2 {
				if v+1 == vectors {
					old := f.new()
					f.v("ldr", old, to, 16*v)
					all[v] = f.plus(old, all[v])
					break
				}
				first, second := f.new(), f.new()
				f.v("ldp", first, second, to, 16*v)
				all[v], all[v+1] = f.plus(first, all[v]), f.plus(second, all[v+1])
			}
			f.stores(all, to)
		})
		row, number := f.unique("row"), f.unique("number")
		f.o("CBZ R%d, %s", left, row)
		f.label(number)
		old, more := f.new(), f.new()
		f.v("ldrs", old, to, 0)
		f.v("ldrspost", more, from, 4)
		f.v("strspost", f.plus(old, more), to, 4)
		f.o("SUBS $1, R%d, R%d", left, left)
		f.o("BNE %s", number)
		f.label(row)
		f.o("ADD R%d, R%d, R%d", sumStride, sums, sums)
		f.o("ADD R%d, R%d, R%d", stride, x, x)
	})
	f.ret()
}

// either returns a where a mask is set or a is NaN, and otherwise b.
func (f *function) either(better, a, b int) int {
	return f.choose(f.do("orn", better, f.do("fcmeq", a, a)), a, b)
}

// storeBytes stores one or four vectors of numbers from 0 to 255 as bytes, and moves the pointer.
func (f *function) storeBytes(all []int, dst int) {
	f.packBytes(all, dst, func(bytes int) int { return bytes })
}

// packBytes stores the lowest bytes of one or four vectors, after an operation on all bytes, and moves the pointer.
func (f *function) packBytes(all []int, dst int, of func(bytes int) int) {
	var words []int
	for v := 0; v < len(all); v += 2 {
		words = append(words, f.do("uzp1h", all[v], all[min(v+1, len(all)-1)]))
	}
	bytes := of(f.do("uzp1b", words[0], words[len(words)-1]))
	if len(all) == 1 {
		f.v("strspost", bytes, dst, 4)
		return
	}
	f.v("str", bytes, dst, 0)
	f.o("ADD $16, R%d, R%d", dst, dst)
}

// selection generates the choice between two operands.
func selection() {
	f := newFunction("selectionNEON", "func(dst *float32, c *bool, a, b *float32, n, stepA, stepB int)",
		"selectionNEON sets each of n numbers to that of a if c is set, and otherwise to that of b.", pairDoc)
	const dst, c, n = R0, R1, R2
	f.load("dst", dst)
	f.load("c", c)
	f.load("n", n)
	f.pairsOf(n, func(a, b []int) {
		bytes, half := f.new(), f.new()
		masks := []int{f.new()}
		if len(a) == 1 {
			f.v("ldrspost", bytes, c, 4)
			f.v("uxtlb", half, bytes)
			f.v("uxtl", masks[0], half)
		} else {
			masks = append(masks, f.new(), f.new(), f.new())
			upper := f.new()
			f.v("ldrpost", bytes, c, 16)
			f.v("uxtlb", half, bytes)
			f.v("uxtl2b", upper, bytes)
			for i, from := range []int{half, upper} {
				f.v("uxtl", masks[2*i], from)
				f.v("uxtl2", masks[2*i+1], from)
			}
		}
		for v := range a {
			set := f.new()
			f.v("cmeq", set, masks[v], f.do("zero"))
			a[v] = f.choose(set, b[v], a[v])
		}
		f.stores(a, dst)
	})
}
