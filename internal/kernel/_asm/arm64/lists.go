package main

import (
	"fmt"
	"strings"
)

// loop generates a loop while register n is not 0, in which it decreases by step.
func (f *function) loop(n, step int, body func()) {
	label := f.unique("loop")
	f.label(label)
	f.inner(body)
	f.o("SUBS $%d, R%d, R%d", step, n, n)
	f.o("BNE %s", label)
}

// inner generates the body of a loop, and notes its place if there is no other loop in it.
func (f *function) inner(generate func()) {
	first, bodies := len(f.lines), len(f.bodies)
	generate()
	if len(f.bodies) == bodies {
		f.bodies = append(f.bodies, body{first, len(f.lines) - 1})
	}
}

// blocks generates a loop for each of the sizes, which compute that many vectors while n numbers are
// left. The last size is 1, and fewer than 4 numbers are left in the end.
func (f *function) blocks(n int, sizes []int, body func(vectors int)) {
	for _, vectors := range sizes {
		label, done := f.unique("vectors"), f.unique("done")
		f.o("SUBS $%d, R%d, R%d", 4*vectors, n, n)
		f.o("BLT %s", done)
		f.label(label)
		f.inner(func() { body(vectors) })
		f.o("SUBS $%d, R%d, R%d", 4*vectors, n, n)
		f.o("BGE %s", label)
		f.label(done)
		f.o("ADD $%d, R%d, R%d", 4*vectors, n, n)
	}
}

// sideBySide generates code for some vectors in turn, one instruction after the other, so that
// processors that look ahead little compute them at the same time.
func (f *function) sideBySide(vectors int, each func(v int)) {
	before := f.lines
	parts, longest := make([][]line, vectors), 0
	for v := range parts {
		f.lines = nil
		each(v)
		parts[v] = f.lines
		longest = max(longest, len(f.lines))
	}
	f.lines = before
	for _, p := range parts[1:] {
		shareConstants(parts[0], p)
	}
	for i := range longest {
		for _, p := range parts {
			if i < len(p) && p[i].keeps == nil {
				f.lines = append(f.lines, p[i])
			}
		}
	}
}

// shareConstants replaces loads of constants in a part of the code by those of the first part. The parts are equal apart
// from their registers.
func shareConstants(first, part []line) {
	for i := range min(len(first), len(part)) {
		a, b := &first[i], &part[i]
		if !a.loadsConstant(first) || !b.loadsConstant(part) || a.operands[2] != b.operands[2] {
			continue
		}
		old := b.operands[0]
		*b = line{keeps: []int{}}
		for j := i + 1; j < len(part); j++ {
			part[j].rename(old, a.operands[0])
		}
	}
}

// loads loads vectors to virtual registers and moves the pointer behind them. Loads of single registers have fewer
// micro-operations than those of pairs, and stores of pairs fewer than those of single registers.
func (f *function) loads(count, base int) []int {
	var all []int
	for v := range count {
		all = append(all, f.new())
		if count > 1 {
			f.v("ldr", all[v], base, 16*v)
		} else {
			f.v("ldrpost", all[v], base, 16)
		}
	}
	if count > 1 {
		f.o("ADD $%d, R%d, R%d", 16*count, base, base)
	}
	return all
}

// stores stores vectors and moves the pointer behind them.
func (f *function) stores(all []int, base int) {
	if len(all) == 1 {
		f.v("strpost", all[0], base, 16)
		return
	}
	for v := 0; v < len(all); v += 2 {
		f.v("stp", all[v], all[v+1], base, 16*v)
	}
	f.o("ADD $%d, R%d, R%d", 16*len(all), base, base)
}

// list is a function of numbers at the same place of several lists.
type list struct {
	name, doc string
	out, in   []string // lists; a name may be in both
	numbers   []string // numbers that all places share
	of        func(f *function, in, numbers []int) (out []int)
}

var lists = []list{
	{"relu", "computes dst[i] = max(x[i], 0)", []string{"dst"}, []string{"x"}, nil, func(f *function, in, _ []int) []int {
		return []int{f.do("fmax", in[0], number(0))}
	}},
	{"ratios", "computes dst[i] = (weighted[i] + mean[i]*sums[i]) / (sums[i] + 1e-20)", []string{"dst"}, []string{"weighted", "mean", "sums"}, nil,
		func(f *function, in, _ []int) []int {
			return []int{f.over(f.plus(in[0], f.times(in[1], in[2])), f.plus(in[2], number(1e-20)))}
		}},
	{"factors", "sets sums[i] to -q*weighted[i] and weighted[i] to q*sums[i] with q = patch[i] / (sums[i]^2 + 1e-20)",
		[]string{"sums", "weighted"}, []string{"sums", "weighted", "patch"}, nil,
		func(f *function, in, _ []int) []int {
			q := f.over(in[2], f.plus(f.times(in[0], in[0]), number(1e-20)))
			return []int{f.times(f.do("fneg", q), in[1]), f.times(q, in[0])}
		}},
	{"quotients", "computes dst[i] = p[i] / (r[i] + least)", []string{"dst"}, []string{"p", "r"}, []string{"least"},
		func(f *function, in, numbers []int) []int { return []int{f.over(in[0], f.plus(in[1], numbers[0]))} }},
	{"grow", "sets v[i] to keep*h[i] + scale*(h[i]*v[i]) and adds it to sums[i]", []string{"v", "sums"}, []string{"v", "h", "sums"}, []string{"keep", "scale"},
		func(f *function, in, numbers []int) []int {
			v := f.plus(f.times(numbers[0], in[1]), f.times(numbers[1], f.times(in[1], in[0])))
			return []int{v, f.plus(in[2], v)}
		}},
	{"products", "computes dst[i] = a[i]*b[i]", []string{"dst"}, []string{"a", "b"}, nil,
		func(f *function, in, _ []int) []int { return []int{f.times(in[0], in[1])} }},
	{"scale", "computes dst[i] = x[i]*factor", []string{"dst"}, []string{"x"}, []string{"factor"},
		func(f *function, in, numbers []int) []int { return []int{f.times(in[0], numbers[0])} }},
	{"shift", "computes dst[i] = (x[i]-first) - second", []string{"dst"}, []string{"x"}, []string{"first", "second"},
		func(f *function, in, numbers []int) []int {
			return []int{f.minus(f.minus(in[0], numbers[0]), numbers[1])}
		}},
	{"expColumns", "computes dst[i] = exp(x[i] - tops[i]) and adds it to sums[i]", []string{"dst", "sums"}, []string{"x", "tops", "sums"}, nil,
		func(f *function, in, _ []int) []int {
			e := f.expNegative(f.minus(in[0], in[1]))
			return []int{e, f.plus(in[2], e)}
		}},
	{"normalizeRow", "computes dst[i] = ((x[i]-first)-second)*factor*scale[i] + bias[i]", []string{"dst"}, []string{"x", "scale", "bias"}, []string{"first", "second", "factor"},
		func(f *function, in, numbers []int) []int {
			v := f.times(f.minus(f.minus(in[0], numbers[0]), numbers[1]), numbers[2])
			return []int{f.plusProduct(in[2], v, in[1])}
		}},
}

// generate generates the function of lists. A list that is read and written has two pointers.
func (l list) generate() {
	var names []string
	registers := map[string]int{}
	for _, n := range append(append([]string{}, l.out...), l.in...) {
		if _, ok := registers[n]; !ok {
			registers[n] = len(names)
			names = append(names, n)
		}
	}
	signature := "func(" + strings.Join(names, ", ") + " *float32, n int"
	if len(l.numbers) > 0 {
		signature += ", " + strings.Join(l.numbers, ", ") + " float32"
	}
	f := newFunction(l.name+"NEON", signature+")", l.name+"NEON "+l.doc+" for i < n, a multiple of 4.")
	for n, r := range registers {
		registers[n] = R0 + r
	}
	for _, n := range names {
		f.load(n, registers[n])
	}
	const n = R8
	f.load("n", n)
	f.useConstants()
	var numbers []int
	for i, name := range l.numbers {
		numbers = append(numbers, 31-i)
		f.spread(name, 31-i)
	}
	written := map[string]int{}
	for i, o := range l.out {
		written[o] = registers[o]
		for _, in := range l.in {
			if in == o { // the pointer of the loads moves first
				written[o] = R9 + i
				f.o("MOVD R%d, R%d", registers[o], R9+i)
			}
		}
	}
	sizes := []int{4, 1}
	if len(l.in) > 2 {
		sizes[0] = 2 // more have not enough registers
	}
	f.blocks(n, sizes, func(vectors int) {
		var in [][]int
		for _, name := range l.in {
			in = append(in, f.loads(vectors, registers[name]))
		}
		out := make([][]int, len(l.out))
		f.sideBySide(vectors, func(v int) {
			var operands []int
			for _, i := range in {
				operands = append(operands, i[v])
			}
			for o, r := range l.of(f, operands, numbers) {
				out[o] = append(out[o], r)
			}
		})
		for o, name := range l.out {
			f.stores(out[o], written[name])
		}
	})
	f.ret()
}

// halves generates the conversions of float16.
func halves() {
	for _, c := range []struct{ name, signature, doc string }{
		{"fromHalfNEON", "func(out *float32, x *uint16, n int)", "converts n float16, a multiple of 8, to float32."},
		{"toHalfNEON", "func(out *uint16, x *float32, n int)", "converts n numbers, a multiple of 8, to float16."},
	} {
		f := newFunction(c.name, c.signature, fmt.Sprintf("%s %s", c.name, c.doc))
		const out, x, n = R0, R1, R2
		for i, p := range []string{"out", "x", "n"} {
			f.load(p, out+i)
		}
		f.loop(n, 8, func() {
			if c.name == "fromHalfNEON" {
				f.v("ldrpost", 0, x, 16)
				f.v("fcvtlh", 1, 0)
				f.v("fcvtl2h", 2, 0)
				f.v("stppost", 1, 2, out, 32)
			} else {
				f.v("ldppost", 0, 1, x, 32)
				f.v("fcvtnh", 2, 0)
				f.v("fcvtn2h", 2, 1)
				f.v("strpost", 2, out, 16)
			}
		})
		f.ret()
	}
}
