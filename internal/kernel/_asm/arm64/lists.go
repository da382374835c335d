package main

// loop generates a loop while register n is not 0, in which it decreases by step.
func (f *function) loop(n, step int, body func()) {
	label := f.unique("loop")
	f.label(label)
	body()
	f.o("SUBS $%d, R%d, R%d", step, n, n)
	f.o("BNE %s", label)
}

// halves generates the conversions of float16.
func halves() {
	f := newFunction("fromHalfNEON", "func(out *float32, x *uint16, n int)", "fromHalfNEON converts n float16, a multiple of 8, to float32.")
	const out, x, n = R0, R1, R2
	for i, name := range []string{"out", "x", "n"} {
		f.load(name, out+i)
	}
	f.loop(n, 8, func() {
		f.v("ldrpost", 0, x, 16)
		f.v("fcvtlh", 1, 0)
		f.v("fcvtl2h", 2, 0)
		f.v("stppost", 1, 2, out, 32)
	})
	f.ret()

	f = newFunction("toHalfNEON", "func(out *uint16, x *float32, n int)", "toHalfNEON converts n numbers, a multiple of 8, to float16.")
	for i, name := range []string{"out", "x", "n"} {
		f.load(name, out+i)
	}
	f.loop(n, 8, func() {
		f.v("ldppost", 0, 1, x, 32)
		f.v("fcvtnh", 2, 0)
		f.v("fcvtn2h", 2, 1)
		f.v("strpost", 2, out, 16)
	})
	f.ret()
}
