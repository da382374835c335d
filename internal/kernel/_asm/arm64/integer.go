package main

import "fmt"

// The largest tiles of products of integers of 8 bits.
const (
	dotRows     = 6 // with the instruction for four products
	pairRows    = 4 // with the instruction for one product of 16 bits
	dotsVectors = 4 // vectors of 4 columns
)

// integers generates the functions for integers of 8 bits.
func integers() {
	for _, vectors := range []int{2, dotsVectors} {
		for rows := 1; rows <= dotRows; rows++ {
			dots(rows, vectors)
		}
		for rows := 1; rows <= pairRows; rows++ {
			pairDots(rows, vectors)
		}
	}
	interleave(4)
	interleave(2)
	depthwise()
	widen()
	byteLists()
	quantize()
	requantize()
	dequantize()
	convert()
}

// General registers of the tiles.
const (
	rWords, rLeft0, rStride, rRight, rOffsetList = R0, R1, R2, R3, R4
	rOut, rOutStride, rStart, rMore              = R5, R6, R7, R8
	rAddress, rOutRow                            = R9, R10
	rRows                                        = R11 // the rows of A: R11 to R15 and R19
)

func rowOfA(i int) int { return [...]int{R11, R12, R13, R14, R15, R19}[i] }

// integerTile generates the parts of a tile that all kinds of products share. body adds the products
// to the sums: register 8+i*vectors+v is for row i and vector v.
func integerTile(name string, rows, vectors int, doc string, body func(f *function, sum func(i, v int) int)) {
	f := newFunction(name, "func(words int, a *uint32, stride int, b *uint32, offsets *int, c *int32, ldc int, start, more *int32)",
		fmt.Sprintf("%s computes a tile of %d rows and %d columns of C. %s", name, rows, 4*vectors, doc),
		"Unless start is nil, the sums begin with the start of their row plus, unless more is nil, the number of their column",
		"in more, and otherwise with the old entries.")
	for i, p := range []string{"words", "a", "stride", "b", "offsets", "c", "ldc", "start", "more"} {
		f.load(p, rWords+i)
	}
	f.o("LSL $2, R%d, R%d", rStride, rStride)
	f.o("LSL $2, R%d, R%d", rOutStride, rOutStride)
	for i := range rows {
		if i == 0 {
			f.o("MOVD R%d, R%d", rLeft0, rowOfA(0))
		} else {
			f.o("ADD R%d, R%d, R%d", rStride, rowOfA(i-1), rowOfA(i))
		}
	}
	sum := func(i, v int) int { return 8 + i*vectors + v }
	f.o("CBZ R%d, old", rStart)
	for i := range rows {
		f.v("ld1rpost", sum(i, 0), rStart)
		for v := 1; v < vectors; v++ {
			f.v("mov", sum(i, v), sum(i, 0))
		}
	}
	f.o("CBZ R%d, products", rMore)
	f.span("ldp", "ldr", vectors, 0, rMore, 0)
	for i := range rows {
		for v := range vectors {
			f.v("add", sum(i, v), sum(i, v), v)
		}
	}
	f.o("B products")
	f.label("old")
	f.o("MOVD R%d, R%d", rOut, rOutRow)
	for i := range rows {
		f.span("ldp", "ldr", vectors, sum(i, 0), rOutRow, 0)
		f.o("ADD R%d, R%d, R%d", rOutStride, rOutRow, rOutRow)
	}
	f.label("products")
	body(f, sum)
	for i := range rows {
		f.span("stp", "str", vectors, sum(i, 0), rOut, 0)
		if i < rows-1 {
			f.o("ADD R%d, R%d, R%d", rOutStride, rOut, rOut)
		}
	}
	f.ret()
}

// nextWords sets rAddress to the words of the next tap.
func (f *function) nextWords() {
	f.o("MOVD.P 8(R%d), R%d", rOffsetList, rAddress)
	f.o("ADD R%d<<2, R%d, R%d", rAddress, rRight, rAddress)
}

// dots generates a tile for words of four integers, with the instruction that adds four products. The
// words of A are loaded four at a time.
func dots(rows, vectors int) {
	integerTile(fmt.Sprintf("dots%dx%dDOT", rows, 4*vectors), rows, vectors, "A word holds four signed integers of 8 bits.", func(f *function, sum func(i, v int) int) {
		const right, blocks = 6, R20
		entry := func(i int) int { return i }
		tap := func(lane int) {
			f.nextWords()
			for v := 0; v < vectors; v += 2 {
				f.v("ldp", right, right+1, rAddress, 16*v)
				for h := range 2 {
					for i := range rows {
						f.v("sdotlane", sum(i, v+h), right+h, entry(i), lane)
					}
				}
			}
		}
		f.o("LSR $2, R%d, R%d", rWords, blocks)
		f.o("AND $3, R%d, R%d", rWords, rWords)
		f.o("CBZ R%d, rest", blocks)
		f.loop(blocks, 1, func() {
			for i := range rows {
				f.v("ldrpost", entry(i), rowOfA(i), 16)
			}
			for lane := range 4 {
				tap(lane)
			}
		})
		f.label("rest")
		f.o("CBZ R%d, store", rWords)
		f.loop(rWords, 1, func() {
			for i := range rows {
				f.v("ldrspost", entry(i), rowOfA(i), 4)
			}
			tap(0)
		})
		f.label("store")
	})
}

// pairDots generates a tile for words of two integers of 16 bits.
func pairDots(rows, vectors int) {
	integerTile(fmt.Sprintf("dots%dx%dNEON", rows, 4*vectors), rows, vectors, "A word holds two signed integers of 16 bits.", func(f *function, sum func(i, v int) int) {
		f.loop(rWords, 1, func() {
			f.nextWords()
			for i := range rows {
				f.v("ldrspost", 4+i, rowOfA(i), 4)
			}
			for v := 0; v < vectors; v += 2 {
				const even, odd = 2, 3
				f.v("ldp", 0, 1, rAddress, 16*v)
				f.v("uzp1h", even, 0, 1)
				f.v("uzp2h", odd, 0, 1)
				for half, integers := range []int{even, odd} {
					for i := range rows {
						f.v("smlalh", sum(i, v), integers, 4+i, half)
						f.v("smlal2h", sum(i, v+1), integers, 4+i, half)
					}
				}
			}
		})
	})
}

// interleave generates the function that makes words of the integers of some rows.
func interleave(rows int) {
	name := fmt.Sprintf("interleave%dNEON", rows)
	f := newFunction(name, "func(dst *uint32, x *uint8, starts *[4]int, n int, flip uint32)",
		fmt.Sprintf("%s makes n words, a multiple of 16, of an integer of each of %d rows: row r begins at x[starts[r]].", name, rows),
		"The bits of flip are inverted in each integer.")
	const dst, x, starts, n, flip = R0, R1, R2, R3, R4
	f.load("dst", dst)
	f.load("x", x)
	f.load("starts", starts)
	f.load("n", n)
	f.load("flip", flip)
	const mask = 31
	f.v("dupb", mask, flip)
	for r := range rows {
		f.o("MOVD %d(R%d), R%d", 8*r, starts, R5+r)
		f.o("ADD R%d, R%d, R%d", x, R5+r, R5+r)
	}
	f.loop(n, 16, func() {
		for r := range rows {
			f.v("ldrpost", r, R5+r, 16)
			f.v("eor", r, r, mask)
		}
		if rows == 2 { // integers of 16 bits
			f.v("uxtlb", 8, 0)
			f.v("uxtl2b", 9, 0)
			f.v("uxtlb", 10, 1)
			f.v("uxtl2b", 11, 1)
			for half := range 2 {
				f.v("zip1h", 4+2*half, 8+half, 10+half)
				f.v("zip2h", 5+2*half, 8+half, 10+half)
			}
		} else {
			for half, zip := range []string{"zip1b", "zip2b"} {
				f.v(zip, 8, 0, 2) // integers of rows 0 and 2, and of rows 1 and 3
				f.v(zip, 9, 1, 3)
				f.v("zip1b", 4+2*half, 8, 9)
				f.v("zip2b", 5+2*half, 8, 9)
			}
		}
		f.v("stppost", 4, 5, dst, 32)
		f.v("stppost", 6, 7, dst, 32)
	})
	f.ret()
}

// depthwise generates the function for neighboring windows of one channel.
func depthwise() {
	f := newFunction("depthwiseNEON", "func(dst *int32, x *uint8, offsets *int, weights *int32, taps, n int, start int32)",
		"depthwiseNEON sets dst[i] to start plus the sum of weights[t]*x[offsets[t]+i] for i < n, a multiple of 32. The weights",
		"fit into 16 bits.")
	const dst, x, offsets, weights, taps, n, start, at, list, w, left = R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10
	for i, p := range []string{"dst", "x", "offsets", "weights", "taps", "n", "start"} {
		f.load(p, dst+i)
	}
	f.loop(n, 32, func() {
		for v := range 8 {
			f.v("dupw", 16+v, start)
		}
		f.o("MOVD R%d, R%d", offsets, list)
		f.o("MOVD R%d, R%d", weights, w)
		f.o("MOVD R%d, R%d", taps, left)
		f.loop(left, 1, func() {
			f.o("MOVD.P 8(R%d), R%d", list, at)
			f.o("ADD R%d, R%d, R%d", x, at, at)
			f.v("ldrspost", 0, w, 4)
			f.v("ldp", 1, 2, at, 0)
			for half := range 2 {
				f.v("uxtlb", 3, 1+half)
				f.v("uxtl2b", 4, 1+half)
				for quarter := range 2 {
					f.v("smlalh", 16+4*half+2*quarter, 3+quarter, 0, 0)
					f.v("smlal2h", 17+4*half+2*quarter, 3+quarter, 0, 0)
				}
			}
		})
		f.span("stp", "str", 8, 16, dst, 0)
		f.o("ADD $128, R%d, R%d", dst, dst)
		f.o("ADD $32, R%d, R%d", x, x)
	})
	f.ret()
}

// widen generates the function that stores a row of A as integers of 16 bits.
func widen() {
	f := newFunction("widenNEON", "func(dst *uint32, x *uint8, n int, flip uint32)",
		"widenNEON extends n signed integers, a multiple of 16, to 16 bits, after it has inverted the bits of flip.")
	const dst, x, n, flip = R0, R1, R2, R3
	for i, p := range []string{"dst", "x", "n", "flip"} {
		f.load(p, dst+i)
	}
	f.v("dupb", 31, flip)
	f.loop(n, 16, func() {
		f.v("ldrpost", 0, x, 16)
		f.v("eor", 0, 0, 31)
		f.v("sxtlb", 1, 0)
		f.v("sxtl2b", 2, 0)
		f.v("stppost", 1, 2, dst, 32)
	})
	f.ret()
}
