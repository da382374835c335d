package main

// convert generates conversions of elements of 4 bytes, also to bytes.
func convert() {
	for _, c := range []struct{ name, signature, result string }{
		{"truncateNEON", "func(dst *int32, x *float32, n int)", "the integer part of x[i]"},
		{"singlesNEON", "func(dst *float32, x *int32, n int)", "float32(x[i])"},
		{"longsNEON", "func(dst *int64, x *int32, n int)", "int64(x[i])"},
	} {
		f := newFunction(c.name, c.signature, c.name+" computes dst[i] = "+c.result+" for i < n, a multiple of 4.")
		const dst, x, n = R0, R1, R2
		for i, p := range []string{"dst", "x", "n"} {
			f.load(p, dst+i)
		}
		f.blocks(n, []int{4, 1}, func(vectors int) {
			var out []int
			for _, v := range f.loads(vectors, x) {
				switch c.name {
				case "truncateNEON":
					out = append(out, f.do("fcvtzs", v))
				case "singlesNEON":
					out = append(out, f.do("scvtf", v))
				default:
					out = append(out, f.do("sxtl", v), f.do("sxtl2", v))
				}
			}
			f.stores(out, dst)
		})
		f.ret()
	}
	for _, c := range []struct{ name, signature, doc string }{
		{"narrowNEON", "func(dst *uint8, x *int32, n int)", "computes dst[i] = uint8(x[i]) for i < n, a multiple of 4."},
		{"truncateBytesNEON", "func(dst *uint8, x *float32, n int, low, high float32)",
			"computes dst[i] = the integer part of x[i], limited to low and high, for i < n, a multiple of 4. NaN gives 0."},
	} {
		f := newFunction(c.name, c.signature, c.name+" "+c.doc)
		const dst, x, n, low, high = R0, R1, R2, 30, 31
		for i, p := range []string{"dst", "x", "n"} {
			f.load(p, dst+i)
		}
		truncates := c.name == "truncateBytesNEON"
		if truncates {
			f.spread("low", low)
			f.spread("high", high)
		}
		f.blocks(n, []int{4, 1}, func(vectors int) {
			all := f.loads(vectors, x)
			f.sideBySide(vectors, func(i int) {
				if truncates {
					all[i] = f.do("fcvtzs", f.do("fmin", f.do("fmax", all[i], low), high))
				}
			})
			f.storeBytes(all, dst)
		})
		f.ret()
	}
}
