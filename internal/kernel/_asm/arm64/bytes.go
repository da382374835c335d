package main

// byteLists generates operations on lists of bytes.
func byteLists() {
	const a, b, n, flip = R0, R1, R2, R3
	f := newFunction("flipNEON", "func(dst, x *uint8, n int, flip uint32)", "flipNEON inverts the bits of flip in n bytes, a multiple of 16.")
	for i, p := range []string{"dst", "x", "n", "flip"} {
		f.load(p, a+i)
	}
	f.v("dupb", 31, flip)
	f.loop(n, 16, func() {
		f.v("ldrpost", 0, b, 16)
		f.v("eor", 0, 0, 31)
		f.v("strpost", 0, a, 16)
	})
	f.ret()

	f = newFunction("sumBytesNEON", "func(x *uint8, n int, flip uint32) (sum int)",
		"sumBytesNEON returns the sum of n bytes, a multiple of 16 and at most 1<<24, after it has inverted the bits of flip.")
	f.load("x", a)
	f.load("n", n)
	f.load("flip", flip)
	f.v("dupb", 31, flip)
	f.v("zero", 0)
	f.loop(n, 16, func() {
		f.v("ldrpost", 1, a, 16)
		f.v("eor", 1, 1, 31)
		f.v("uaddlp", 1, 1)
		f.v("uadalp", 0, 1)
	})
	f.v("uaddlv", 0, 0)
	f.o("FMOVD F0, R%d", a)
	f.o("MOVD R%d, sum+%d(FP)", a, f.parameters["sum"].offset)
	f.ret()

	f = newFunction("splitNEON", "func(even, odd, x *uint8, n int)", "splitNEON sets even[i] = x[2*i] and odd[i] = x[2*i+1] for i < n, a multiple of 16.")
	const even, odd, x, count = R0, R1, R2, R3
	for i, p := range []string{"even", "odd", "x", "n"} {
		f.load(p, even+i)
	}
	f.loop(count, 16, func() {
		f.v("ld2b", 0, 1, x)
		f.v("strpost", 0, even, 16)
		f.v("strpost", 1, odd, 16)
	})
	f.ret()
}

// quantized returns v, rounded half to even and limited, plus zero.
func (f *function) quantized(v, low, high, zero int) int {
	v = f.do("fmin", f.choose(f.do("fcmgt", v, low), v, low), high)
	return f.do("add", f.do("fcvtns", v), zero)
}

// quantize generates the conversion of numbers, or of sums of products, to integers of 8 bits.
func quantize(sums bool) {
	name, signature, doc := "quantizeNEON", "func(dst *uint8, x *float32, n int, scale, low, high float32, zero int32)",
		"quantizeNEON computes dst[i] = round(x[i]/scale), limited, plus zero for i < n, a multiple of 4."
	if sums {
		name, signature = "requantizeNEON", "func(dst *uint8, x *int32, n int, scales *float32, step int, low, high float32, zero int32)"
		doc = "requantizeNEON computes dst[i] = round(x[i]*scales[i]), limited, plus zero for i < n, a multiple of 4.\n" +
			"// step is 16, or 0 if the first 16 scales are used again and again."
	}
	f := newFunction(name, signature, doc)
	const dst, x, n, scales, step, value = R0, R1, R2, R3, R4, R5
	const scale, low, high, zero = 28, 29, 30, 31
	f.load("dst", dst)
	f.load("x", x)
	f.load("n", n)
	if sums {
		f.load("scales", scales)
		f.load("step", step)
	} else {
		f.spread("scale", scale)
	}
	f.spread("low", low)
	f.spread("high", high)
	f.load("zero", value)
	f.v("dupw", zero, value)
	f.blocks(n, []int{4, 1}, func(vectors int) {
		all := f.loads(vectors, x)
		f.sideBySide(vectors, func(i int) {
			if !sums {
				q := f.over(all[i], scale)
				all[i] = f.do("and", f.quantized(q, low, high, zero), f.do("fcmeq", q, q))
				return
			}
			s := f.new()
			f.v("ldr", s, scales, 16*i)
			all[i] = f.quantized(f.times(f.do("scvtf", all[i]), s), low, high, zero)
		})
		if sums {
			f.o("ADD R%d<<%d, R%d, R%d", step, map[int]int{1: 0, 4: 2}[vectors], scales, scales)
		}
		f.storeBytes(all, dst)
	})
	f.ret()
}

// dequantize generates the conversion of integers of 8 bits to numbers.
func dequantize() {
	f := newFunction("dequantizeNEON", "func(dst *float32, x *uint8, n int, flip uint32, zero int32, scale float32)",
		"dequantizeNEON computes dst[i] = (x[i]-zero)*scale for i < n, a multiple of 16, with the bits of flip inverted in x[i].")
	const dst, x, n, flip, zero = R0, R1, R2, R3, R4
	for i, p := range []string{"dst", "x", "n", "flip", "zero"} {
		f.load(p, dst+i)
	}
	f.v("dupb", 29, flip)
	f.v("dupw", 30, zero)
	f.spread("scale", 31)
	f.loop(n, 16, func() {
		f.v("ldrpost", 0, x, 16)
		f.v("eor", 0, 0, 29)
		f.v("uxtlb", 1, 0)
		f.v("uxtl2b", 2, 0)
		for half := range 2 {
			f.v("uxtl", 4+2*half, 1+half)
			f.v("uxtl2", 5+2*half, 1+half)
		}
		for v := range 4 {
			f.v("sub", 4+v, 4+v, 30)
			f.v("scvtf", 4+v, 4+v)
			f.v("fmul", 4+v, 4+v, 31)
		}
		f.v("stppost", 4, 5, dst, 32)
		f.v("stppost", 6, 7, dst, 32)
	})
	f.ret()
}
