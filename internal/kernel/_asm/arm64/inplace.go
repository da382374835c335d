package main

import "fmt"

// inPlace generates the functions for matrices that are not copied into panels.
func inPlace() {
	for rows := 1; rows <= tileRows; rows++ {
		for vectors := 0; vectors <= tileVectors; vectors++ {
			directTile(rows, vectors)
		}
	}
	for groups := 1; groups <= maxRowGroups; groups++ {
		rowSums(groups, false)
	}
	rowSums(1, true)
}

// directTile generates the function for a tile of some rows and vectors of columns of C. The last
// vector overlaps the one before if the columns do not fill it: its numbers are computed twice.
// Without vectors, the tile has fewer columns than a vector.
func directTile(rows, vectors int) {
	name, columns := fmt.Sprintf("direct%dx%dNEON", rows, 4*vectors), fmt.Sprintf("%d to %d columns", max(4*vectors-3, 4), 4*vectors)
	if vectors == 0 {
		name, columns = fmt.Sprintf("direct%dNarrowNEON", rows), "1 to 3 columns"
	}
	f := newFunction(name, "func(k int, a *float32, row, tap int, b *float32, ldb int, c *float32, ldc, columns int, more bool)",
		fmt.Sprintf("%s sets each entry of a tile of %d rows and %s of C to a sum of k products. If more is set, it", name, rows, columns),
		"adds them to the entry. Entry (i, t) of A is a[i*row+t*tap].")
	const k, a, row, tap, b, ldb, c, ldc, width, more, last = R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10
	for i, p := range []string{"k", "a", "row", "tap", "b", "ldb", "c", "ldc", "columns", "more"} {
		f.load(p, k+i)
	}
	for _, r := range []int{row, tap, ldb, ldc} {
		f.o("LSL $2, R%d, R%d", r, r)
	}
	// load and store move one row of the tile, between memory and consecutive registers.
	load := func(from, register int) {
		f.span("ldp", "ldr", vectors-1, register, from, 0)
		f.v("ldrx", register+vectors-1, from, last)
	}
	store := func(register, to int) {
		f.span("stp", "str", vectors-1, register, to, 0)
		f.v("strx", register+vectors-1, to, last)
	}
	if vectors > 0 {
		f.o("SUB $4, R%d, R%d", width, last)
		f.o("LSL $2, R%d, R%d", last, last)
	} else {
		vectors = 1
		load, store = f.loadNarrow(width, last), f.storeNarrow(width, last)
	}
	sum := func(i int) int { return 8 + i*vectors }
	at := R11
	for i := range rows * vectors {
		f.v("zero", sum(0)+i)
	}
	f.o("CBZ R%d, start", more)
	f.o("MOVD R%d, R%d", c, at)
	for i := range rows {
		load(at, sum(i))
		f.o("ADD R%d, R%d, R%d", ldc, at, at)
	}
	f.label("start")
	// The rows of A begin at a, a + place(1) and so on.
	place := func(i int) int { return [...]int{0, row, R12, R13, R14, R15}[i] }
	for i := 2; i < rows; i++ {
		f.o("ADD R%d, R%d, R%d", row, place(i-1), place(i))
	}
	f.loop(k, 1, func() {
		load(b, 0)
		for i := range rows {
			entry := 4 + i%4
			if i == 0 {
				f.v("ldrs", entry, a, 0)
			} else {
				f.v("ldrsx", entry, a, place(i))
			}
			for v := range vectors {
				f.v("fmlalane", sum(i)+v, v, entry, 0)
			}
		}
		f.o("ADD R%d, R%d, R%d", tap, a, a)
		f.o("ADD R%d, R%d, R%d", ldb, b, b)
	})
	for i := range rows {
		store(sum(i), c)
		f.o("ADD R%d, R%d, R%d", ldc, c, c)
	}
	f.ret()
}

// loadNarrow returns a function that loads 1 to 3 numbers, and sets the others of a register to 0.
func (f *function) loadNarrow(width, free int) func(from, register int) {
	return func(from, register int) {
		one, done := f.unique("one"), f.unique("loaded")
		f.o("TBZ $1, R%d, %s", width, one)
		f.o("FMOVD (R%d), F%d", from, register)
		f.o("TBZ $0, R%d, %s", width, done)
		f.o("ADD $8, R%d, R%d", from, free)
		f.v("ld1lane2", register, free)
		f.o("B %s", done)
		f.label(one)
		f.o("FMOVS (R%d), F%d", from, register)
		f.label(done)
	}
}

// storeNarrow is the opposite of loadNarrow.
func (f *function) storeNarrow(width, free int) func(register, to int) {
	return func(register, to int) {
		one, done := f.unique("one"), f.unique("stored")
		f.o("TBZ $1, R%d, %s", width, one)
		f.o("FMOVD F%d, (R%d)", register, to)
		f.o("TBZ $0, R%d, %s", width, done)
		f.o("ADD $8, R%d, R%d", to, free)
		f.v("st1lane2", register, free)
		f.o("B %s", done)
		f.label(one)
		f.o("FMOVS F%d, (R%d)", register, to)
		f.label(done)
	}
}

// maxRowGroups is the largest number of groups of four rows of one call of rowSums.
const maxRowGroups = 4

// rowSums multiplies rows of a matrix by a vector. The sums of four rows are in one register. To this
// end, four numbers of each of the rows are transposed in registers. If apart is set, there are four
// rows, which may be anywhere in memory.
func rowSums(groups int, apart bool) {
	name, rowsAt := fmt.Sprintf("rowSums%dNEON", 4*groups), "stride int"
	doc := []string{fmt.Sprintf("%s adds k products to each of %d numbers of c: of the numbers of a row of w, whose", name, 4*groups),
		"distance is stride, with those of x, whose distance is step."}
	if apart {
		name, rowsAt = "rowSumsApartNEON", "starts *[4]int"
		doc = []string{name + " adds k products to each of 4 numbers of c: of the numbers of a row of w, which begins at",
			"w[starts[i]], with those of x, whose distance is step."}
	}
	f := newFunction(name, "func(k int, w *float32, "+rowsAt+", x *float32, step int, c *float32)", doc...)
	const k, w, stride, x, step, c = R0, R1, R2, R3, R4, R5
	for i, p := range []string{"k", "w", rowsAt[:len("stride")], "x", "step", "c"} {
		f.load(p, k+i)
	}
	f.o("LSL $2, R%d, R%d", step, step)
	var pointers []int                      // that move along the rows
	var load func(name string, to, row int) // loads a vector, or a number, of a row
	if apart {
		pointers = []int{R6, R7, R8, R9}
		for i, p := range pointers {
			f.o("MOVD %d(R%d), R%d", 8*i, stride, p)
			f.o("ADD R%d<<2, R%d, R%d", p, w, p)
		}
		load = func(name string, to, row int) { f.v(name, to, pointers[row], 0) }
	} else {
		const second, third = R10, R11
		f.o("LSL $2, R%d, R%d", stride, stride)
		f.o("ADD R%d, R%d, R%d", stride, stride, second)
		f.o("ADD R%d, R%d, R%d", stride, second, third)
		pointers = []int{w, R6, R7, R8}[:groups] // for four rows each
		for g := 1; g < groups; g++ {
			f.o("ADD R%d<<2, R%d, R%d", stride, pointers[g-1], pointers[g])
		}
		load = func(name string, to, row int) {
			if p := pointers[row/4]; row%4 == 0 {
				f.v(name, to, p, 0)
			} else {
				f.v(name+"x", to, p, [...]int{stride, second, third}[row%4-1])
			}
		}
	}
	const number, from, columns, free = 4, 8, 12, 16
	numbers := func(count int) {
		for i := range count {
			f.v("ldrs", number+i, x, 0)
			f.o("ADD R%d, R%d, R%d", step, x, x)
		}
	}
	advance := func(count int) {
		for _, p := range pointers {
			f.o("ADD $%d, R%d, R%d", 4*count, p, p)
		}
	}
	f.span("ldp", "ldr", groups, 0, c, 0)
	f.o("SUBS $4, R%d, R%d", k, k)
	f.o("BLT rest")
	f.label("four")
	numbers(4)
	for g := range groups {
		for i := range 4 {
			load("ldr", from+i, 4*g+i)
		}
		f.transpose4(from, next4(columns), free)
		for i := range 4 {
			f.v("fmlalane", g, columns+i, number+i, 0)
		}
	}
	advance(4)
	f.o("SUBS $4, R%d, R%d", k, k)
	f.o("BGE four")
	f.label("rest")
	f.o("ADDS $4, R%d, R%d", k, k)
	f.o("BEQ done")
	f.loop(k, 1, func() {
		numbers(1)
		for g := range groups {
			for i := range 4 {
				load("ldrs", from+i, 4*g+i)
			}
			for i := 1; i < 4; i++ {
				f.v("ins", from, i, from+i, 0)
			}
			f.v("fmlalane", g, from, number, 0)
		}
		advance(1)
	})
	f.label("done")
	f.span("stp", "str", groups, 0, c, 0)
	f.ret()
}
