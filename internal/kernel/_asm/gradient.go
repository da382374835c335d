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
