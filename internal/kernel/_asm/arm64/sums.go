package main

// partialSums is the number of partial sums of float64.
const partialSums = 32

// summands are what is added up.
var summands = []struct {
	name string
	of   func(f *function, v, center int) // replaces two numbers in v
}{
	{"Numbers", func(*function, int, int) {}},
	{"Magnitudes", func(f *function, v, _ int) { f.v("fabs2d", v, v) }},
	{"Squares", func(f *function, v, center int) {
		if center >= 0 {
			f.v("fsub2d", v, v, center)
		}
		f.v("fmul2d", v, v, v)
	}},
}

// sums generates sums in float64 and comparisons of lists.
func sums() {
	for _, s := range summands {
		total(s.name, s.of)
		accumulate(s.name, s.of)
	}
	multiply()
	extreme("largest", func(f *function, v, best int) int { return f.do("fcmgt", v, best) })
	extreme("smallest", func(f *function, v, best int) int { return f.do("fcmgt", best, v) })
	bounds()
}

func total(name string, of func(f *function, v, center int)) {
	name = "total" + name + "NEON"
	f := newFunction(name, "func(sums *[32]float64, x *float32, n int, center float64)", name+" adds n numbers, a multiple of 32, to as many partial sums.")
	const sums, x, n, center = R0, R1, R2, 31
	f.load("sums", sums)
	f.load("x", x)
	f.load("n", n)
	f.spread("center", center)
	f.span("ldp", "ldr", partialSums/2, 0, sums, 0)
	f.loop(n, partialSums, func() {
		for i := 0; i < partialSums/2; i += 4 {
			f.v("ldppost", 16, 17, x, 32)
			for half := range 2 {
				f.v("fcvtl", 18+2*half, 16+half)
				f.v("fcvtl2", 19+2*half, 16+half)
			}
			for j := range 4 {
				of(f, 18+j, center)
				f.v("fadd2d", i+j, i+j, 18+j)
			}
		}
	})
	f.span("stp", "str", partialSums/2, 0, sums, 0)
	f.ret()
}

// columnVectors are the numbers of vectors of a row that accumulate adds to sums at once.
var columnVectors = []int{4, 1}

// accumulate generates sums of the columns of a matrix. The sums of some columns stay in registers for all rows.
func accumulate(name string, of func(f *function, v, center int)) {
	name = "accumulate" + name + "NEON"
	f := newFunction(name, "func(sums *float64, x *float32, n, rows, stride int)",
		name+" adds the first n numbers, a multiple of 4, of each of some rows to as many sums. stride is the distance of rows in bytes.")
	const sums, x, n, rows, stride, from, left = R0, R1, R2, R3, R4, R5, R6
	for i, p := range []string{"sums", "x", "n", "rows", "stride"} {
		f.load(p, sums+i)
	}
	f.blocks(n, columnVectors, func(vectors int) {
		const v, parts = 8, 12 // the numbers, and twice as many registers for them in float64
		f.span("ldp", "ldr", 2*vectors, 0, sums, 0)
		f.o("MOVD R%d, R%d", x, from)
		f.o("MOVD R%d, R%d", rows, left)
		f.loop(left, 1, func() {
			f.span("ldp", "ldr", vectors, v, from, 0)
			f.o("ADD R%d, R%d, R%d", stride, from, from)
			for i := range vectors {
				f.v("fcvtl", parts+2*i, v+i)
				f.v("fcvtl2", parts+2*i+1, v+i)
			}
			for i := range 2 * vectors {
				of(f, parts+i, -1)
			}
			for i := range 2 * vectors {
				f.v("fadd2d", i, i, parts+i)
			}
		})
		f.span("stp", "str", 2*vectors, 0, sums, 0)
		f.o("ADD $%d, R%d, R%d", 32*vectors, sums, sums)
		f.o("ADD $%d, R%d, R%d", 16*vectors, x, x)
	})
	f.ret()
}

// multiply generates the products of the numbers of a row, in float64.
func multiply() {
	f := newFunction("multiplyNEON", "func(partial *[32]float64, x *float32, n int)",
		"multiplyNEON multiplies as many partial products by n numbers, a multiple of 32.")
	const partial, x, n = R0, R1, R2
	for i, p := range []string{"partial", "x", "n"} {
		f.load(p, partial+i)
	}
	f.span("ldp", "ldr", partialSums/2, 0, partial, 0)
	f.loop(n, partialSums, func() {
		for i := 0; i < partialSums/2; i += 4 {
			f.v("ldppost", 16, 17, x, 32)
			for half := range 2 {
				f.v("fcvtl", 18+2*half, 16+half)
				f.v("fcvtl2", 19+2*half, 16+half)
			}
			for j := range 4 {
				f.v("fmul2d", i+j, i+j, 18+j)
			}
		}
	})
	f.span("stp", "str", partialSums/2, 0, partial, 0)
	f.ret()
}

// extreme generates the comparison of lists with 16 numbers.
func extreme(name string, better func(f *function, v, best int) int) {
	name += "NEON"
	f := newFunction(name, "func(best *[16]float32, x *float32, n int)",
		name+" compares n numbers, a multiple of 16, with those of best: number i with best[i%16].")
	const best, x, n = R0, R1, R2
	f.load("best", best)
	f.load("x", x)
	f.load("n", n)
	f.span("ldp", "ldr", 4, 0, best, 0)
	f.loop(n, 16, func() {
		for i, v := range f.loads(4, x) {
			take := f.do("orn", better(f, v, i), f.do("fcmeq", v, v))
			f.v("bit", i, v, take)
		}
	})
	f.span("stp", "str", 4, 0, best, 0)
	f.ret()
}

func bounds() {
	f := newFunction("boundsNEON", "func(lows, highs *[16]float32, x *float32, n int)",
		"boundsNEON replaces lows[i%16] and highs[i%16] by number i of n, a multiple of 16, if it is less or greater.")
	const lows, highs, x, n = R0, R1, R2, R3
	for i, p := range []string{"lows", "highs", "x", "n"} {
		f.load(p, lows+i)
	}
	f.span("ldp", "ldr", 4, 0, lows, 0)
	f.span("ldp", "ldr", 4, 4, highs, 0)
	f.loop(n, 16, func() {
		for i, v := range f.loads(4, x) {
			f.v("bit", i, v, f.do("fcmgt", i, v))
			f.v("bit", 4+i, v, f.do("fcmgt", v, 4+i))
		}
	})
	f.span("stp", "str", 4, 0, lows, 0)
	f.span("stp", "str", 4, 4, highs, 0)
	f.ret()
}

// softmax generates the sums of exponentials.
func softmax() {
	for _, c := range []struct{ name, signature, doc string }{
		{"expSumNEON", "func(out, x *float32, n int, top float32, sums *[16]float32)", "computes out[i] = exp(x[i]-top) for i < n, a multiple of 16, and adds it to sums[i%16]."},
		{"expTotalNEON", "func(x *float32, n int, top float32, sums *[16]float32)", "adds exp(x[i]-top) to sums[i%16] for i < n, a multiple of 16."},
	} {
		f := newFunction(c.name, c.signature, c.name+" "+c.doc)
		const out, x, n, sums, top = R0, R1, R2, R3, 31
		stored := c.name == "expSumNEON"
		if stored {
			f.load("out", out)
		}
		f.load("x", x)
		f.load("n", n)
		f.load("sums", sums)
		f.spread("top", top)
		f.useConstants()
		f.span("ldp", "ldr", 4, 0, sums, 0)
		f.loop(n, 16, func() {
			all := f.loads(4, x)
			f.sideBySide(len(all), func(i int) {
				all[i] = f.expNegative(f.minus(all[i], top))
				f.v("fadd", i, i, all[i])
			})
			if stored {
				f.stores(all, out)
			}
		})
		f.span("stp", "str", 4, 0, sums, 0)
		f.ret()
	}
}
