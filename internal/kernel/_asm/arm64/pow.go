package main

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel/_asm/coefficients"
)

// double returns a register with a float64 in both lanes.
func (f *function) double(v float64) int {
	bits := math.Float64bits(v)
	r := f.new()
	f.v("ldr", r, constantBase, data(uint32(bits), uint32(bits>>32), uint32(bits), uint32(bits>>32)))
	return r
}

// scaledPlus returns a*b + c, rounded after the multiplication and after the addition.
func (f *function) scaledPlus(a, b, c int) int { return f.do("fadd2d", f.do("fmul2d", a, b), c) }

// logPower returns the logarithms of the powers of two numbers m * 2^exponent. The order of the operations in
// logPower and expDouble is that of portmath.PowSingle.
func (f *function) logPower(m, exponent, power int) int {
	v := f.do("fsub2d", m, f.double(1))
	s := f.do("fdiv2d", v, f.do("fadd2d", v, f.double(2)))
	z := f.do("fmul2d", s, s)
	p := f.scaledPlus(z, f.double(2./13), f.double(2./11))
	for _, c := range []float64{2. / 9, 2. / 7, 2. / 5, 2. / 3} {
		p = f.scaledPlus(p, z, f.double(c))
	}
	log := f.scaledPlus(f.do("fmul2d", p, z), s, f.do("fadd2d", s, s))
	log = f.do("fadd2d", f.do("fmul2d", exponent, f.double(math.Ln2)), log)
	return f.do("fmul2d", power, log)
}

// expDouble returns the exponentials of two numbers. It may return other ones where float32 does not hold them.
func (f *function) expDouble(x int) int {
	x = f.do("fmin2d", f.do("fmax2d", x, f.double(-110)), f.double(100))
	const shift = 0x1.8p52
	t := f.scaledPlus(x, f.double(1/math.Ln2), f.double(shift))
	n := f.do("fsub2d", t, f.double(shift))
	first := f.do("fsub2d", x, f.do("fmul2d", n, f.double(0x1.62e42fefa38p-1)))
	rest := f.do("fmul2d", n, f.double(0x1.ef35793c7673p-45))
	r := f.do("fsub2d", first, rest)
	z := f.do("fmul2d", r, r)
	pair := func(a, b float64) int { return f.scaledPlus(r, f.double(a), f.double(b)) }
	z2 := f.do("fmul2d", z, z)
	q89 := pair(0x1.af85a9a38f246p-26, 0x1.28b0493ee36abp-22)
	q67 := pair(0x1.71dddfb4ea1afp-19, 0x1.a0199693a6f33p-16)
	high := f.scaledPlus(z2, q89, f.scaledPlus(z, q67, pair(0x1.a01a01baed115p-13, 0x1.6c16c185a74f1p-10)))
	low := f.scaledPlus(z, pair(0x1.111111110d61ap-7, 0x1.5555555550030p-5), pair(0x1.5555555555561p-3, 0x1.000000000000bp-1))
	q := f.scaledPlus(z2, high, low)
	e := f.do("fadd2d", f.do("fadd2d", first, f.do("fsub2d", f.do("fmul2d", z, q), rest)), f.double(1))
	return f.do("fmul2d", e, f.do("add2d", f.shifted("shl2d", t, 52), f.double(1)))
}

// powers generates the power of numbers.
func powers() {
	f := newFunction("powNEON", "func(dst, a, b *float32, n, stepA, stepB int) (done int)",
		"powNEON computes dst[i] = a[i] to the power of b[i] for i < n, up to the first 4 numbers among which are an a that is not",
		"positive, not normal or not finite, or a b that is not finite, and returns the number of powers.", pairDoc)
	const dst, n, done = R0, R1, R2
	f.load("dst", dst)
	f.load("n", n)
	f.useConstants()
	f.operand("a", "stepA", rA, rStepA)
	f.operand("b", "stepB", rB, rStepB)
	f.o("MOVD ZR, R%d", done)
	// Numbers that are special are found again by the loop of 4 numbers, which ends there.
	for _, vectors := range []int{2, 1} {
		label, less := f.unique("vectors"), f.unique("less")
		leave := map[int]string{2: less, 1: "end"}[vectors]
		f.o("SUBS $%d, R%d, R%d", 4*vectors, n, n)
		f.o("BLT %s", less)
		f.label(label)
		f.inner(func() { f.powersOf(vectors, dst, done, leave) })
		f.o("SUBS $%d, R%d, R%d", 4*vectors, n, n)
		f.o("BGE %s", label)
		f.label(less)
		f.o("ADD $%d, R%d, R%d", 4*vectors, n, n)
	}
	f.label("end")
	f.o("MOVD R%d, done+%d(FP)", done, f.parameters["done"].offset)
	f.ret()
}

// powersOf generates the powers of some vectors, or a jump if there are special numbers.
func (f *function) powersOf(vectors, dst, done int, special string) {
	const found = R3
	var all, powers []int
	usual := -1
	largest := f.in(number(math.MaxFloat32))
	for i := range vectors {
		v, power := f.new(), f.new()
		f.v("ldr", v, rA, 16*i)
		f.v("ldr", power, rB, 16*i)
		all, powers = append(all, v), append(powers, power)
		for _, mask := range []int{f.do("fcmge", v, number(0x1p-126)), f.do("fcmge", largest, v), f.do("fcmge", largest, f.do("fabs", power))} {
			if usual >= 0 {
				mask = f.do("and", usual, mask)
			}
			usual = mask
		}
	}
	f.v("umaxv", 0, f.do("not", usual))
	f.o("FMOVS F0, R%d", found)
	f.o("CBNZW R%d, %s", found, special)
	exponents := make([]int, vectors)
	for i, v := range all {
		k := f.shifted("sshr", f.do("sub", v, word(coefficients.RootHalf+1)), 23)
		all[i] = f.do("sub", v, f.shifted("shl", k, 23))
		exponents[i] = f.do("scvtf", k)
	}
	halves := make([]int, 2*vectors)
	f.sideBySide(2*vectors, func(h int) {
		widen := []string{"fcvtl", "fcvtl2"}[h%2]
		halves[h] = f.logPower(f.do(widen, all[h/2]), f.do(widen, exponents[h/2]), f.do(widen, powers[h/2]))
	})
	for i := range vectors { // the registers are enough for two
		f.sideBySide(2, func(h int) { halves[2*i+h] = f.expDouble(halves[2*i+h]) })
	}
	for i := range vectors {
		all[i] = f.do("fcvtn", halves[2*i])
		f.v("fcvtn2", all[i], halves[2*i+1])
	}
	f.stores(all, dst)
	for i, at := range []int{rA, rB} {
		f.o("ADD R%d<<%d, R%d, R%d", rStepA+i, 3+vectors, at, at)
	}
	f.o("ADD $%d, R%d, R%d", 4*vectors, done, done)
}
