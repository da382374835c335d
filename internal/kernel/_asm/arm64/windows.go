package main

import "fmt"

// The largest tile of windows.
const (
	windowPixels  = 3 // windows in half of it
	windowVectors = 4 // vectors of 4 filters
)

// windowTile generates the function that computes windows with the filters in the lanes.
func windowTile(pixels, vectors int) {
	name := fmt.Sprintf("windows%dx%dNEON", pixels, 4*vectors)
	f := newFunction(name, "func(k int, taps *int, x *float32, step, second int, w, start, out *float32, next int)",
		fmt.Sprintf("%s computes %d windows with %d filters: pixel t of window i of half h is", name, 2*pixels, 4*vectors),
		"x[taps[t]+i*step+h*second]. The second half of the results begins at out[next].")
	const k, taps, x, step, second, w, start, out, next, tap = R0, R1, R2, R3, R4, R5, R6, R7, R8, R9
	for i, p := range []string{"k", "taps", "x", "step", "second", "w", "start", "out", "next"} {
		f.load(p, k+i)
	}
	sum := func(i, v int) int { return 8 + i*vectors + v }
	window := func(i int) int { return []int{R10, R11, R12, R13, R14, R15}[i] }
	f.o("MOVD R%d, R%d", x, window(0))
	f.o("ADD R%d<<2, R%d, R%d", second, x, window(pixels))
	for h := range 2 {
		for i := 1; i < pixels; i++ {
			f.o("ADD R%d<<2, R%d, R%d", step, window(h*pixels+i-1), window(h*pixels+i))
		}
	}
	f.span("ldp", "ldr", vectors, sum(0, 0), start, 0)
	for i := 1; i < 2*pixels; i++ {
		for v := range vectors {
			f.v("mov", sum(i, v), sum(0, v))
		}
	}
	f.loop(k, 1, func() {
		f.o("MOVD.P 8(R%d), R%d", taps, tap)
		f.span("ldp", "ldr", vectors, 0, w, 0)
		f.o("ADD $%d, R%d, R%d", 16*vectors, w, w)
		for i := range 2 * pixels {
			pixel := 4 + i%4
			f.v("ldrsindex", pixel, window(i), tap)
			for v := range vectors {
				f.v("fmlalane", sum(i, v), v, pixel, 0)
			}
		}
	})
	for h := range 2 {
		for i := range pixels {
			f.span("stp", "str", vectors, sum(h*pixels+i, 0), out, 16*vectors*i)
		}
		if h == 0 {
			f.o("ADD R%d<<2, R%d, R%d", next, out, out)
		}
	}
	f.ret()
}

// alongTaps generates a function for neighboring windows of one channel: blocks of 8 vectors, then
// single vectors. body adds the numbers at a tap, in count registers beginning with from, to the
// results; the weight is in register 30.
func alongTaps(name, signature, doc string, body func(f *function, sums, from, count int), weighted bool) {
	f := newFunction(name, signature, doc)
	const k, taps, weights, x, out, n, start, t, w, left, at = R0, R1, R2, R3, R4, R5, 31, R6, R7, R8, R9
	f.load("k", k)
	f.load("taps", taps)
	if weighted {
		f.load("weights", weights)
	}
	f.load("x", x)
	f.load("out", out)
	f.load("n", n)
	f.spread("start", start)
	block := func(label, done string, vectors int) {
		f.label(label)
		f.o("CMP $%d, R%d", 4*vectors, n)
		f.o("BLT %s", done)
		f.o("MOVD R%d, R%d", taps, t)
		f.o("MOVD R%d, R%d", k, left)
		if weighted {
			f.o("MOVD R%d, R%d", weights, w)
		}
		for v := range vectors {
			f.v("mov", v, start)
		}
		f.loop(left, 1, func() {
			f.o("MOVD.P 8(R%d), R%d", t, at)
			f.o("ADD R%d<<2, R%d, R%d", at, x, at)
			if weighted {
				f.v("ldrspost", 30, w, 4)
			}
			f.span("ldp", "ldr", vectors, 8, at, 0)
			body(f, 0, 8, vectors)
		})
		f.span("stp", "str", vectors, 0, out, 0)
		f.o("ADD $%d, R%d, R%d", 16*vectors, out, out)
		f.o("ADD $%d, R%d, R%d", 16*vectors, x, x)
		f.o("SUB $%d, R%d, R%d", 4*vectors, n, n)
		f.o("B %s", label)
	}
	block("blocks", "single", 8)
	block("single", "done", 1)
	f.label("done")
	f.ret()
}

// windowLists generates the functions for neighboring windows of one channel.
func windowLists() {
	alongTaps("weightTapsNEON", "func(k int, taps *int, weights, x, out *float32, n int, start float32)",
		"weightTapsNEON sets out[i] to start plus the sum of weights[t]*x[taps[t]+i] for i < n, a multiple of 4.",
		func(f *function, sums, from, count int) {
			for v := range count {
				f.v("fmlalane", sums+v, from+v, 30, 0)
			}
		}, true)
	alongTaps("maxTapsNEON", "func(k int, taps *int, x, out *float32, n int, start float32)",
		"maxTapsNEON sets out[i] to the maximum of start and of x[taps[t]+i] for i < n, a multiple of 4.",
		func(f *function, sums, from, count int) {
			const larger, number = 20, 21
			for v := range count {
				f.v("fcmgt", larger, from+v, sums+v)
				f.v("fcmeq", number, from+v, from+v)
				f.v("orn", larger, larger, number)
				f.v("bit", sums+v, from+v, larger)
			}
		}, false)
	meanTaps()
	deal()
	standardize()
}

// meanTaps generates the means of neighboring windows, in float64.
func meanTaps() {
	f := newFunction("meanTapsNEON", "func(k int, taps *int, x, out *float32, counts *float64, n int)",
		"meanTapsNEON sets out[i] to the sum of x[taps[t]+i] divided by counts[i], for i < n, a multiple of 4.")
	const k, taps, x, out, counts, n, t, left, at = R0, R1, R2, R3, R4, R5, R6, R7, R8
	for i, p := range []string{"k", "taps", "x", "out", "counts", "n"} {
		f.load(p, k+i)
	}
	f.loop(n, 4, func() {
		f.o("MOVD R%d, R%d", taps, t)
		f.o("MOVD R%d, R%d", k, left)
		f.v("zero", 0)
		f.v("zero", 1)
		f.loop(left, 1, func() {
			f.o("MOVD.P 8(R%d), R%d", t, at)
			f.o("ADD R%d<<2, R%d, R%d", at, x, at)
			f.v("ldr", 2, at, 0)
			f.v("fcvtl", 3, 2)
			f.v("fcvtl2", 4, 2)
			f.v("fadd2d", 0, 0, 3)
			f.v("fadd2d", 1, 1, 4)
		})
		f.v("ldppost", 2, 3, counts, 32)
		f.v("fdiv2d", 0, 0, 2)
		f.v("fdiv2d", 1, 1, 3)
		f.v("fcvtn", 0, 0)
		f.v("fcvtn2", 0, 1)
		f.v("strpost", 0, out, 16)
		f.o("ADD $16, R%d, R%d", x, x)
	})
	f.ret()
}

// deal generates the function that separates numbers with even and odd indices.
func deal() {
	f := newFunction("dealNEON", "func(even, odd, x *float32, n int)", "dealNEON copies x[2*i] to even[i] and x[2*i+1] to odd[i] for i < n, a multiple of 4.")
	const even, odd, x, n = R0, R1, R2, R3
	for i, p := range []string{"even", "odd", "x", "n"} {
		f.load(p, even+i)
	}
	f.loop(n, 4, func() {
		f.v("ld2post", 0, 1, x)
		f.v("strpost", 0, even, 16)
		f.v("strpost", 1, odd, 16)
	})
	f.ret()
}

func standardize() {
	f := newFunction("standardizeNEON", "func(v *float32, n int, mean, factor, bias float64)",
		"standardizeNEON replaces v[i] by (v[i]-mean)*factor + bias for i < n, a multiple of 4, computed in float64.")
	const v, n = R0, R1
	f.load("v", v)
	f.load("n", n)
	const mean, factor, bias = 16, 17, 18
	f.spread("mean", mean)
	f.spread("factor", factor)
	f.spread("bias", bias)
	f.loop(n, 4, func() {
		f.v("ldr", 0, v, 0)
		f.v("fcvtl", 1, 0)
		f.v("fcvtl2", 2, 0)
		for _, step := range []struct {
			name string
			by   int
		}{{"fsub2d", mean}, {"fmul2d", factor}, {"fadd2d", bias}} {
			f.v(step.name, 1, 1, step.by)
			f.v(step.name, 2, 2, step.by)
		}
		f.v("fcvtn", 0, 1)
		f.v("fcvtn2", 0, 2)
		f.v("strpost", 0, v, 16)
	})
	f.ret()
}
