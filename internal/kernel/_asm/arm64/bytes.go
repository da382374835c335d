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

// roundBytes stores one or four vectors of numbers whose magnitudes are below 2^22, rounded half to even, plus zero,
// as bytes, and moves the pointer.
func (f *function) roundBytes(all []int, zero, dst int) {
	shift := f.in(shiftBit)
	for i := range all {
		all[i] = f.plus(all[i], shift) // the lowest bits are the integer
	}
	f.packBytes(all, dst, func(bytes int) int { return f.do("addb", bytes, zero) })
}

// quantize generates the conversion of numbers to integers of 8 bits. Before it is rounded, x*reciprocal + x*rest is off
// by less than 2^-46 of its value, since rest and x*rest have been rounded. So it can be rounded differently from x/scale
// only next to the middle between two float32, which changes the integer only if one of them is k + 1/2. Such x and
// scale are so few that TestQuantize_RoundsTheHardestQuotients has all of them, apart from powers of 2.
func quantize() {
	f := newFunction("quantizeNEON", "func(dst *uint8, x *float32, n int, reciprocal, rest, low, high, missing float32, zero int32)",
		"quantizeNEON computes dst[i] = round(v/scale) plus zero for i < n, a multiple of 4, where v is x[i], limited to low and high.",
		"reciprocal is 1/scale, and rest what it lacks. For NaN, the quotient is missing. All quotients are below 1024.")
	const dst, x, n, value = R0, R1, R2, R3
	const reciprocal, rest, low, high, missing, zero = 26, 27, 28, 29, 30, 31
	f.load("dst", dst)
	f.load("x", x)
	f.load("n", n)
	for i, p := range []string{"reciprocal", "rest", "low", "high", "missing"} {
		f.spread(p, reciprocal+i)
	}
	f.load("zero", value)
	f.v("dupb", zero, value)
	f.useConstants()
	f.blocks(n, []int{4, 1}, func(vectors int) {
		all := f.loads(vectors, x)
		f.sideBySide(vectors, func(i int) {
			v := f.do("fmin", f.do("fmax", all[i], low), high)
			q := f.times(v, rest)
			f.v("fmla", q, v, reciprocal)
			usual := f.do("fcmeq", q, q)
			f.v("bsl", usual, q, missing)
			all[i] = usual
		})
		f.roundBytes(all, zero, dst)
	})
	f.ret()
}

// requantize generates the conversion of sums of products to integers of 8 bits.
func requantize() {
	f := newFunction("requantizeNEON", "func(dst *uint8, x *int32, n int, scales *float32, step int, low, high float32, zero int32)",
		"requantizeNEON computes dst[i] = round(x[i]*scales[i]), limited, plus zero for i < n, a multiple of 4.",
		"step is 16, or 0 if the first 16 scales are used again and again.")
	const dst, x, n, scales, step, value = R0, R1, R2, R3, R4, R5
	const low, high, zero = 29, 30, 31
	for i, p := range []string{"dst", "x", "n", "scales", "step"} {
		f.load(p, dst+i)
	}
	f.spread("low", low)
	f.spread("high", high)
	f.load("zero", value)
	f.v("dupb", zero, value)
	f.useConstants()
	f.blocks(n, []int{4, 1}, func(vectors int) {
		all := f.loads(vectors, x)
		f.sideBySide(vectors, func(i int) {
			s := f.new()
			f.v("ldr", s, scales, 16*i)
			all[i] = f.do("fmin", f.do("fmaxnm", f.times(f.do("scvtf", all[i]), s), low), high)
		})
		f.o("ADD R%d<<%d, R%d, R%d", step, map[int]int{1: 0, 4: 2}[vectors], scales, scales)
		f.roundBytes(all, zero, dst)
	})
	f.ret()
}

// dequantize generates the conversion of integers of 8 bits to numbers. The upper 16 bits of 2^23 before 16 bits give 2^23
// plus the integer.
func dequantize() {
	f := newFunction("dequantizeNEON", "func(dst *float32, x *uint8, n int, flip uint32, zero, scale float32)",
		"dequantizeNEON computes dst[i] = (x[i]-zero)*scale for i < n, a multiple of 16, with the bits of flip inverted in x[i]. zero is",
		"greater by 2^23.")
	const dst, x, n, flip, value = R0, R1, R2, R3, R4
	const upper, bits, zero, scale = 28, 29, 30, 31
	for i, p := range []string{"dst", "x", "n", "flip"} {
		f.load(p, dst+i)
	}
	f.v("dupb", bits, flip)
	f.o("MOVD $%d, R%d", 0x4b004b00, value)
	f.v("dupw", upper, value)
	f.spread("zero", zero)
	f.spread("scale", scale)
	f.loop(n, 16, func() {
		bytes := f.new()
		f.v("ldr", bytes, x, 0)
		f.o("ADD $16, R%d, R%d", x, x)
		bytes = f.do("eor", bytes, bits)
		var all []int
		for _, widen := range []string{"uxtlb", "uxtl2b"} {
			words := f.do(widen, bytes)
			for _, join := range []string{"zip1h", "zip2h"} {
				all = append(all, f.times(f.minus(f.do(join, words, upper), zero), scale))
			}
		}
		f.stores(all, dst)
	})
	f.ret()
}
