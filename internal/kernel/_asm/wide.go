package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// grow is one spike of one position with any number of neurons.
func grow(suffix string, size int, vector func() reg.VecVirtual) {
	TEXT("grow"+suffix, NOSPLIT, "func(h, last, next []float32, c, add float32) float32")
	Doc("grow"+suffix+" multiplies h by 1 + c*last, adds add, and returns the sum of h*next.",
		"The lengths are equal, and whole vectors.")
	Pragma("noescape")
	h, last, next := Load(Param("h").Base(), GP64()), Load(Param("last").Base(), GP64()), Load(Param("next").Base(), GP64())
	n := Load(Param("h").Len(), GP64())
	SHLQ(U8(2), n)
	c, add, one := vector(), vector(), vector()
	VBROADCASTSS(address("c"), c)
	VBROADCASTSS(address("add"), add)
	VBROADCASTSS(ones(), one)
	const unrolled = 4
	var sums, factors [unrolled]reg.VecVirtual
	for i := range unrolled {
		sums[i], factors[i] = vector(), vector()
	}
	for _, s := range sums {
		VXORPS(s.AsX(), s.AsX(), s.AsX()) // and all of it above
	}
	at, end := GP64(), GP64()
	XORQ(at, at)
	for _, part := range []struct {
		name    string
		vectors int
	}{{"four", unrolled}, {"one", 1}} {
		bytes := size * part.vectors
		Label(part.name)
		LEAQ(Mem{Base: at, Disp: bytes}, end)
		CMPQ(end, n)
		JG(LabelRef(part.name + "Done"))
		for i := range part.vectors {
			place := func(base reg.Register) Mem { return Mem{Base: base, Index: at, Scale: 1, Disp: size * i} }
			v := vector()
			VMOVUPS(place(last), factors[i])
			VFMADD213PS(one, c, factors[i])
			VMOVUPS(place(h), v)
			VFMADD213PS(add, factors[i], v)
			VMOVUPS(v, place(h))
			VFMADD231PS(place(next), v, sums[i])
		}
		MOVQ(end, at)
		JMP(LabelRef(part.name))
		Label(part.name + "Done")
	}
	VADDPS(sums[1], sums[0], sums[0])
	VADDPS(sums[3], sums[2], sums[2])
	VADDPS(sums[2], sums[0], sums[0])
	sum, half := sums[0], sums[1]
	if size == 64 {
		VEXTRACTF64X4(U8(1), sum, half.AsY())
		VADDPS(half.AsY(), sum.AsY(), sum.AsY())
	}
	VEXTRACTF128(U8(1), sum.AsY(), half.AsX())
	VADDPS(half.AsX(), sum.AsX(), sum.AsX())
	VPERMILPS(U8(0x4e), sum.AsX(), half.AsX())
	VADDPS(half.AsX(), sum.AsX(), sum.AsX())
	VMOVSHDUP(sum.AsX(), half.AsX())
	VADDSS(half.AsX(), sum.AsX(), sum.AsX())
	b, err := ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	VMOVSS(sum.AsX(), b.Addr)
	VZEROUPPER()
	RET()
}
