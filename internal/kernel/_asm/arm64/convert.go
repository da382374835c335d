package main

// convert generates conversions of elements of 4 bytes.
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
}
