package main

// quarter is the register with the number 0.25 in meanPoolNEON.
const quarter = 31

// pools generates the maxima and the means of windows of 2 x 2 pixels.
func pools() {
	for _, p := range []struct {
		name, doc string
		of        func(f *function, top, bottom int) int // of two columns
		join      string
	}{
		{"maxPoolNEON", "maxima", func(f *function, top, bottom int) int { return f.do("fmax", top, bottom) }, "fmax"},
		{"meanPoolNEON", "means", func(f *function, top, bottom int) int {
			return f.plus(f.times(top, quarter), f.times(bottom, quarter))
		}, "fadd"},
	} {
		f := newFunction(p.name, "func(dst, x *float32, rows, n, width int)",
			p.name+" computes rows rows of n pixels, at least 4, the "+p.doc+" of windows of 2 x 2 pixels in 2*rows rows",
			"of width pixels.")
		const dst, x, rows, n, width, top, bottom, left, back = R0, R1, R2, R3, R4, R5, R6, R7, R8
		for i, name := range []string{"dst", "x", "rows", "n", "width"} {
			f.load(name, dst+i)
		}
		if p.name == "meanPoolNEON" {
			f.useConstants()
			f.constant(quarter, uint32(number(0.25)))
		}
		f.o("LSL $2, R%d, R%d", width, width)
		pixels := func() {
			f.v("ld2", 0, 1, top)
			f.v("ld2", 2, 3, bottom)
			f.o("ADD $32, R%d, R%d", top, top)
			f.o("ADD $32, R%d, R%d", bottom, bottom)
			f.v("strpost", f.do(p.join, p.of(f, 0, 2), p.of(f, 1, 3)), dst, 16)
		}
		f.loop(rows, 1, func() {
			f.o("MOVD R%d, R%d", x, top)
			f.o("ADD R%d, R%d, R%d", width, x, bottom)
			f.o("ADD R%d<<1, R%d, R%d", width, x, x)
			f.o("MOVD R%d, R%d", n, left)
			f.label("vector")
			pixels()
			f.o("SUBS $4, R%d, R%d", left, left)
			f.o("BEQ row")
			f.o("CMP $4, R%d", left)
			f.o("BGE vector")
			f.comment("The last vector overlaps the one before.")
			f.o("SUB $4, R%d, R%d", left, back) // negative
			f.o("ADD R%d<<2, R%d, R%d", back, dst, dst)
			f.o("ADD R%d<<3, R%d, R%d", back, top, top)
			f.o("ADD R%d<<3, R%d, R%d", back, bottom, bottom)
			pixels()
			f.label("row")
		})
		f.ret()
	}
}

// transposition generates the transpose of whole blocks of 4 x 4, two at a time where there are 8 rows.
func transposition() {
	f := newFunction("transposeNEON", "func(dst *float32, dstStride int, src *float32, srcStride, rows, cols int)",
		"transposeNEON copies element (i, j) of src to element (j, i) of dst, for i < rows and j < cols, which are multiples of 4.",
		"The strides are distances in bytes.")
	const dst, dstStride, src, srcStride, rows, cols, left, from, to, at = R0, R1, R2, R3, R4, R5, R6, R7, R8, R9
	for i, name := range []string{"dst", "dstStride", "src", "srcStride", "rows", "cols"} {
		f.load(name, dst+i)
	}
	f.loop(cols, 4, func() {
		f.o("MOVD R%d, R%d", rows, left)
		f.o("MOVD R%d, R%d", src, from)
		f.o("MOVD R%d, R%d", dst, to)
		f.blocks(left, []int{2, 1}, func(fours int) {
			const loaded, done, free = 0, 8, 16
			for i := range 4 * fours {
				f.v("ldr", loaded+i, from, 0)
				f.o("ADD R%d, R%d, R%d", srcStride, from, from)
			}
			f.o("MOVD R%d, R%d", to, at)
			// Column j of the first four rows is in done+2*j, and of the other four in the next register.
			for four := range fours {
				f.transpose4(loaded+4*four, [4]int{done + four, done + 2 + four, done + 4 + four, done + 6 + four}, free)
			}
			for j := range 4 {
				f.span("stp", "str", fours, done+2*j, at, 0)
				f.o("ADD R%d, R%d, R%d", dstStride, at, at)
			}
			f.o("ADD $%d, R%d, R%d", 16*fours, to, to)
		})
		f.o("ADD $16, R%d, R%d", src, src)
		f.o("ADD R%d<<2, R%d, R%d", dstStride, dst, dst)
	})
	f.ret()
}
