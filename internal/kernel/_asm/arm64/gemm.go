package main

import "fmt"

// The largest tile of a matrix C.
const (
	tileRows    = 6
	tileVectors = 4 // vectors of 4 columns
	leftRoom    = 8 // distance from tap to tap in a panel of rows
	maxPanels   = 4 // panels that one call multiplies by a row
)

// products generates the functions for products of matrices and convolutions.
func products() {
	for rows := 1; rows <= tileRows; rows++ {
		for vectors := 1; vectors <= tileVectors; vectors++ {
			tile(rows, vectors)
		}
	}
	for panels := 1; panels <= maxPanels; panels++ {
		rowProducts(panels)
	}
	inPlace()
	packVectors(4)
	packVectors(1)
	packScattered()
	packAlong()
	for pixels := 1; pixels <= windowPixels; pixels++ {
		for vectors := 1; vectors <= windowVectors; vectors++ {
			windowTile(pixels, vectors)
		}
	}
}

// span loads or stores vectors in consecutive registers, in pairs where possible.
func (f *function) span(two, one string, count, register, base, at int) {
	for v := 0; v < count; v += 2 {
		if v+1 < count {
			f.v(two, register+v, register+v+1, base, at+16*v)
		} else {
			f.v(one, register+v, base, at+16*v)
		}
	}
}

// each is span with instructions for single registers.
func (f *function) each(one string, count, register, base, at int) {
	for v := range count {
		f.v(one, register+v, base, at+16*v)
	}
}

// tile generates the function for a tile of some rows and vectors of columns.
func tile(rows, vectors int) {
	name := fmt.Sprintf("gemm%dx%dNEON", rows, 4*vectors)
	f := newFunction(name, "func(k int, a, b, c *float32, ldc int, bias *float32)",
		fmt.Sprintf("%s adds k products to each entry of a tile of %d rows and %d columns of C, or, unless bias is nil, to the bias", name, rows, 4*vectors),
		fmt.Sprintf("of its row. Tap t of row i is a[%d*t+i], that of column j is b[%d*t+j].", leftRoom, 4*tileVectors))
	const k, a, b, c, ldc, bias, row = R0, R1, R2, R3, R4, R5, R6
	for i, p := range []string{"k", "a", "b", "c", "ldc", "bias"} {
		f.load(p, k+i)
	}
	f.o("LSL $2, R%d, R%d", ldc, ldc)
	sum := func(i, v int) int { return 8 + i*vectors + v }
	f.o("CBZ R%d, old", bias)
	for i := range rows {
		f.v("ld1rpost", sum(i, 0), bias)
		for v := 1; v < vectors; v++ {
			f.v("mov", sum(i, v), sum(i, 0))
		}
	}
	f.o("B tap")
	f.label("old")
	f.o("MOVD R%d, R%d", c, row)
	for i := range rows {
		f.span("ldp", "ldr", vectors, sum(i, 0), row, 0)
		f.o("ADD R%d, R%d, R%d", ldc, row, row)
	}
	f.label("tap")
	f.span("ldp", "ldr", vectors, 0, b, 0)
	f.span("ldp", "ldr", (rows+3)/4, 4, a, 0)
	f.o("ADD $%d, R%d, R%d", 16*tileVectors, b, b)
	f.o("ADD $%d, R%d, R%d", 4*leftRoom, a, a)
	f.o("SUBS $1, R%d, R%d", k, k)
	for i := range rows {
		for v := range vectors {
			f.v("fmlalane", sum(i, v), v, 4+i/4, i%4)
		}
	}
	f.o("BNE tap")
	for i := range rows {
		f.span("stp", "str", vectors, sum(i, 0), c, 0)
		if i < rows-1 {
			f.o("ADD R%d, R%d, R%d", ldc, c, c)
		}
	}
	f.ret()
}

// rowProducts generates the function for a row of A and some panels of B.
func rowProducts(panels int) {
	name := fmt.Sprintf("row%dxNEON", panels)
	f := newFunction(name, "func(k int, a, b *float32, step, panel int, c *float32)",
		fmt.Sprintf("%s adds k products to each of %d entries of C: a[t] times b[t*step+j] for entry j of the first panel of %d;", name, 4*tileVectors*panels, 4*tileVectors),
		"panel is the distance to the next panel.")
	const k, a, b, step, panel, c = R0, R1, R2, R3, R4, R5
	for i, p := range []string{"k", "a", "b", "step", "panel", "c"} {
		f.load(p, k+i)
	}
	f.o("LSL $2, R%d, R%d", step, step)
	starts := []int{b, R6, R7, R8}[:panels]
	for i := 1; i < panels; i++ {
		f.o("ADD R%d<<2, R%d, R%d", panel, starts[i-1], starts[i])
	}
	const sums, entry = 8, 0
	f.span("ldp", "ldr", tileVectors*panels, sums, c, 0)
	f.loop(k, 1, func() {
		f.v("ldrspost", entry, a, 4)
		for i, start := range starts {
			at := []int{24, 28}[i%2]
			f.span("ldp", "ldr", tileVectors, at, start, 0)
			f.o("ADD R%d, R%d, R%d", step, start, start)
			for v := range tileVectors {
				f.v("fmlalane", sums+tileVectors*i+v, at+v, entry, 0)
			}
		}
	})
	f.span("stp", "str", tileVectors*panels, sums, c, 0)
	f.ret()
}

// packVectors generates the function that packs vectors of adjacent columns.
func packVectors(vectors int) {
	name := fmt.Sprintf("pack%dNEON", 4*vectors)
	f := newFunction(name, "func(dst *float32, stride int, x *float32, taps *int, n int)",
		fmt.Sprintf("%s copies x[taps[i]+l] to dst[i*stride+l] for i < n and l < %d.", name, 4*vectors))
	const dst, stride, x, taps, n, at = R0, R1, R2, R3, R4, R5
	for i, p := range []string{"dst", "stride", "x", "taps", "n"} {
		f.load(p, dst+i)
	}
	f.o("LSL $2, R%d, R%d", stride, stride)
	f.loop(n, 1, func() {
		f.o("MOVD.P 8(R%d), R%d", taps, at)
		f.o("ADD R%d<<2, R%d, R%d", at, x, at)
		f.span("ldp", "ldr", vectors, 0, at, 0)
		f.span("stp", "str", vectors, 0, dst, 0)
		f.o("ADD R%d, R%d, R%d", stride, dst, dst)
	})
	f.ret()
}

// packScattered generates the function that packs one vector of columns.
func packScattered() {
	f := newFunction("packScatteredNEON", "func(dst *float32, stride int, x *float32, taps *int, n int, columns *[4]int)",
		"packScatteredNEON copies x[taps[i]+columns[l]] to dst[i*stride+l] for i < n and l < 4.")
	const dst, stride, x, taps, n, columns, at, value = R0, R1, R2, R3, R4, R5, R10, R11
	for i, p := range []string{"dst", "stride", "x", "taps", "n", "columns"} {
		f.load(p, dst+i)
	}
	f.o("LSL $2, R%d, R%d", stride, stride)
	for l := range 4 {
		f.o("MOVD %d(R%d), R%d", 8*l, columns, R6+l)
	}
	f.loop(n, 1, func() {
		f.o("MOVD.P 8(R%d), R%d", taps, at)
		f.o("ADD R%d<<2, R%d, R%d", at, x, at)
		for l := range 4 {
			f.o("MOVWU (R%d)(R%d<<2), R%d", at, R6+l, value+l)
		}
		for l := 0; l < 4; l += 2 {
			f.o("STPW (R%d, R%d), %d(R%d)", value+l, value+l+1, 4*l, dst)
		}
		f.o("ADD R%d, R%d, R%d", stride, dst, dst)
	})
	f.ret()
}

// transpose4 transposes the 4 x 4 matrix whose rows are in registers rows to rows+3 to the given registers. It uses four
// registers from free.
func (f *function) transpose4(rows int, columns [4]int, free int) {
	f.v("trn1", free, rows, rows+1) // rows 0 and 1: columns 0, 0, 2, 2
	f.v("trn2", free+1, rows, rows+1)
	f.v("trn1", free+2, rows+2, rows+3)
	f.v("trn2", free+3, rows+2, rows+3)
	f.v("trn1d", columns[0], free, free+2)
	f.v("trn1d", columns[1], free+1, free+3)
	f.v("trn2d", columns[2], free, free+2)
	f.v("trn2d", columns[3], free+1, free+3)
}

// next4 returns a register and the three after it.
func next4(first int) [4]int { return [4]int{first, first + 1, first + 2, first + 3} }

// packAlong generates the function that packs one vector of columns for consecutive taps.
func packAlong() {
	f := newFunction("packAlongNEON", "func(dst *float32, stride int, x *float32, columns *[4]int, n int)",
		"packAlongNEON copies x[columns[l]+i] to dst[i*stride+l] for i < n and l < 4. n is a multiple of 4.")
	const dst, stride, x, columns, n = R0, R1, R2, R3, R4
	for i, p := range []string{"dst", "stride", "x", "columns", "n"} {
		f.load(p, dst+i)
	}
	f.o("LSL $2, R%d, R%d", stride, stride)
	for l := range 4 {
		f.o("MOVD %d(R%d), R%d", 8*l, columns, R6+l)
		f.o("ADD R%d<<2, R%d, R%d", R6+l, x, R6+l)
	}
	f.loop(n, 4, func() {
		for l := range 4 {
			f.v("ldrpost", l, R6+l, 16)
		}
		f.transpose4(0, next4(8), 4)
		for t := range 4 {
			f.v("str", 8+t, dst, 0)
			f.o("ADD R%d, R%d, R%d", stride, dst, dst)
		}
	})
	f.ret()
}
