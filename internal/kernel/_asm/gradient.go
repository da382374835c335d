package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// eachVector generates a loop over slices of n numbers of 32 bits, in whole vectors. body
// generates the work for one vector; at returns its place in the slice that begins at a base.
func eachVector(lanes int, n reg.Register, body func(at func(base reg.Register) Mem)) {
	i := GP64()
	XORQ(i, i)
	Label("vector")
	body(func(base reg.Register) Mem { return Mem{Base: base, Index: i, Scale: 4} })
	ADDQ(U8(uint8(lanes)), i)
	CMPQ(i, n)
	JL(LabelRef("vector"))
}

// tiny keeps the quotients of a gradient defined.
func tiny() Mem { return constant("tiny", 1e-20) }

// ratios computes the gradients that a row of W passes on.
func (t *tiling) ratios() {
	name := "ratios" + t.suffix
	TEXT(name, NOSPLIT, "func(dst, weighted, mean, sums *float32, n int)")
	Doc(name+" computes dst[i] = (weighted[i]+mean[i]*sums[i])/(sums[i]+1e-20) for i < n, each",
		"operation rounded. n is a positive multiple of the number of lanes of a vector.")
	Pragma("noescape")
	dst, weighted, mean := Load(Param("dst"), GP64()), Load(Param("weighted"), GP64()), Load(Param("mean"), GP64())
	sums, n := Load(Param("sums"), GP64()), Load(Param("n"), GP64())
	v, sum, least := t.register(0), t.register(1), t.register(2)
	VBROADCASTSS(tiny(), least)
	eachVector(t.lanes, n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(sums), v)
		VMULPS(at(mean), v, sum)
		VADDPS(at(weighted), sum, sum)
		VADDPS(least, v, v)
		VDIVPS(v, sum, sum)
		VMOVUPS(sum, at(dst))
	})
	VZEROUPPER()
	RET()
}

// factors computes the factors with which a row of W adds to its gradient.
func (t *tiling) factors() {
	name := "factors" + t.suffix
	TEXT(name, NOSPLIT, "func(sums, weighted, patch *float32, n int)")
	Doc(name+" sets sums[i] to -q*weighted[i] and weighted[i] to q*sums[i], with the old numbers and",
		"q = patch[i]/(sums[i]*sums[i]+1e-20), for i < n, each operation rounded. n is a positive multiple",
		"of the number of lanes of a vector.")
	Pragma("noescape")
	sums, weighted := Load(Param("sums"), GP64()), Load(Param("weighted"), GP64())
	patch, n := Load(Param("patch"), GP64()), Load(Param("n"), GP64())
	v, q, least, minus, square := t.register(0), t.register(1), t.register(2), t.register(3), t.register(4)
	VBROADCASTSS(tiny(), least)
	VBROADCASTSS(constant("minus", -1), minus)
	eachVector(t.lanes, n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(sums), v)
		VMULPS(v, v, square)
		VADDPS(least, square, square)
		VMOVUPS(at(patch), q)
		VDIVPS(square, q, q)
		VMULPS(q, v, v)
		VMULPS(minus, q, q)
		VMULPS(at(weighted), q, q)
		VMOVUPS(q, at(sums))
		VMOVUPS(v, at(weighted))
	})
	VZEROUPPER()
	RET()
}

// quotients computes the quotients of an update of NNMF.
func (t *tiling) quotients() {
	name := "quotients" + t.suffix
	TEXT(name, NOSPLIT, "func(dst, p, r *float32, n int, least float32)")
	Doc(name+" computes dst[i] = p[i]/(r[i]+least) for i < n, each operation rounded. n is a positive",
		"multiple of the number of lanes of a vector.")
	Pragma("noescape")
	dst, p, r := Load(Param("dst"), GP64()), Load(Param("p"), GP64()), Load(Param("r"), GP64())
	n, least := Load(Param("n"), GP64()), t.register(1)
	VBROADCASTSS(NewParamAddr("least", 32), least)
	v := t.register(0)
	quotient := t.register(2)
	eachVector(t.lanes, n, func(at func(reg.Register) Mem) {
		VADDPS(at(r), least, v)
		VMOVUPS(at(p), quotient)
		VDIVPS(v, quotient, quotient)
		VMOVUPS(quotient, at(dst))
	})
	VZEROUPPER()
	RET()
}

// grow computes the updated h of one neuron in NNMF, which is not yet normalized.
func (t *tiling) grow() {
	name := "grow" + t.suffix
	TEXT(name, NOSPLIT, "func(v, h, sums *float32, n int, keep, scale float32)")
	Doc(name+" sets v[i] to keep*h[i] + scale*(h[i]*v[i]) and adds it to sums[i], for i < n, each operation",
		"rounded. n is a positive multiple of the number of lanes of a vector.")
	Pragma("noescape")
	v, h, sums := Load(Param("v"), GP64()), Load(Param("h"), GP64()), Load(Param("sums"), GP64())
	n := Load(Param("n"), GP64())
	keep, scale, x, y := t.register(0), t.register(1), t.register(2), t.register(3)
	VBROADCASTSS(NewParamAddr("keep", 32), keep)
	VBROADCASTSS(NewParamAddr("scale", 36), scale)
	eachVector(t.lanes, n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(h), x)
		VMULPS(at(v), x, y)
		VMULPS(scale, y, y)
		VMULPS(keep, x, x)
		VADDPS(y, x, x)
		VMOVUPS(x, at(v))
		VADDPS(at(sums), x, x)
		VMOVUPS(x, at(sums))
	})
	VZEROUPPER()
	RET()
}

// products multiplies two lists of numbers.
func (t *tiling) products() {
	name := "products" + t.suffix
	TEXT(name, NOSPLIT, "func(dst, a, b *float32, n int)")
	Doc(name+" computes dst[i] = a[i]*b[i] for i < n. n is a positive multiple of the number of lanes of a", "vector.")
	Pragma("noescape")
	dst, a, b := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64())
	n, v := Load(Param("n"), GP64()), t.register(0)
	eachVector(t.lanes, n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(a), v)
		VMULPS(at(b), v, v)
		VMOVUPS(v, at(dst))
	})
	VZEROUPPER()
	RET()
}
