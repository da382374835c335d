package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
	"github.com/spike-by-spike/sbs/internal/kernel/_asm/coefficients"
)

// wides generates code for vectors of some float64.
type wides int

func (w wides) new() reg.VecVirtual {
	if w == 8 {
		return ZMM()
	}
	return YMM()
}

// apply generates an instruction of two operands, of which b may be a constant, a float64.
func (w wides) apply(full, broadcast instruction, a Op, b any) reg.VecVirtual {
	v := w.new()
	c, constant := b.(float64)
	switch {
	case constant && w == 8:
		broadcast(double(c), a, v)
	case constant:
		full(double(c), a, v)
	default:
		full(b.(Op), a, v)
	}
	return v
}

func (w wides) times(a Op, b any) reg.VecVirtual { return w.apply(VMULPD, VMULPD_BCST, a, b) }
func (w wides) plus(a Op, b any) reg.VecVirtual  { return w.apply(VADDPD, VADDPD_BCST, a, b) }
func (w wides) minus(a Op, b any) reg.VecVirtual { return w.apply(VSUBPD, VSUBPD_BCST, a, b) }

// timesPlus returns a*b + c, rounded after the multiplication and after the addition.
func (w wides) timesPlus(a Op, b, c any) reg.VecVirtual { return w.plus(w.times(a, b), c) }

func (w wides) constant(c float64) reg.VecVirtual {
	v := w.new()
	VBROADCASTSD(double(c), v)
	return v
}

// pow generates portmath.PowSingle for half of the lanes of x, a vector of 8, or for all of them. The
// order of the operations is the same.
func (w wides) pow(m, k, y reg.Register) reg.VecVirtual {
	f, exponent, power := w.new(), w.new(), w.new()
	VCVTPS2PD(m, f)
	VCVTDQ2PD(k, exponent)
	VCVTPS2PD(y, power)
	f = w.minus(f, 1.0)
	s := w.new()
	VDIVPD(w.plus(f, 2.0), f, s)
	z := w.times(s, s)
	p := w.timesPlus(z, 2./13, 2./11)
	for _, c := range []float64{2. / 9, 2. / 7, 2. / 5, 2. / 3} {
		p = w.timesPlus(p, z, c)
	}
	log := w.timesPlus(w.times(p, z), s, w.plus(s, s))
	log = w.plus(log, w.times(exponent, math.Ln2))
	x := w.times(power, log)
	low, high := w.constant(-110), w.constant(100) // float32 does not hold the powers beyond
	VMAXPD(x, low, x)
	VMINPD(x, high, x)
	const shift = 0x1.8p52
	t := w.timesPlus(x, 1/math.Ln2, shift)
	n := w.minus(t, shift)
	first := w.minus(x, w.times(n, 0x1.62e42fefa38p-1))
	rest := w.times(n, 0x1.ef35793c7673p-45)
	r := w.minus(first, rest)
	z = w.times(r, r)
	q01 := w.timesPlus(r, 0x1.5555555555561p-3, 0x1.000000000000bp-1)
	q23 := w.timesPlus(r, 0x1.111111110d61ap-7, 0x1.5555555550030p-5)
	q45 := w.timesPlus(r, 0x1.a01a01baed115p-13, 0x1.6c16c185a74f1p-10)
	q67 := w.timesPlus(r, 0x1.71dddfb4ea1afp-19, 0x1.a0199693a6f33p-16)
	q89 := w.timesPlus(r, 0x1.af85a9a38f246p-26, 0x1.28b0493ee36abp-22)
	z2 := w.times(z, z)
	q := w.timesPlus(z2, w.timesPlus(z2, q89, w.timesPlus(z, q67, q45)), w.timesPlus(z, q23, q01))
	e := w.plus(w.plus(first, w.minus(w.times(z, q), rest)), 1.0)
	VPSLLQ(U8(52), t, t)
	if w == 8 {
		VPADDQ_BCST(double(1), t, t)
	} else {
		VPADDQ(double(1), t, t)
	}
	return w.times(e, t)
}

// powers generates the power of numbers.
func (l lanes) powers() {
	name := "pow" + l.suffix()
	TEXT(name, NOSPLIT, "func(dst, x, y *float32, n, stepX, stepY int) int")
	Doc(name+" computes dst[i] = x[i] to the power of y[i] for i < n, up to the first 8 numbers among which",
		"are an x that is not positive, not normal or not finite, or a y that is not finite, and returns the",
		"number of powers. A step of 0 means that all numbers are the first one. n is a positive multiple of 8.")
	Pragma("noescape")
	const eight = lanes(8)
	dst, n := Load(Param("dst"), GP64()), Load(Param("n"), GP64())
	x, y := eight.operand("x", "stepX"), eight.operand("y", "stepY")
	done, all := GP64(), GP32()
	XORQ(done, done)
	Label("vector")
	v, power := eight.load(Mem{Base: x.at}, nil), eight.load(Mem{Base: y.at}, nil)
	usual := YMM()
	least, most := eight.constant(number(0x1p-126)), eight.constant(number(math.MaxFloat32))
	VCMPPS(U8(lessEqual), v, least, usual)
	for _, a := range []reg.VecVirtual{v, eight.and(power, magnBits)} {
		mask := YMM()
		VCMPPS(U8(lessEqual), most, a, mask)
		VANDPS(mask, usual, usual)
	}
	VMOVMSKPS(usual, all)
	CMPL(all, Imm(255))
	JNE(LabelRef("end"))
	k, m := YMM(), YMM()
	VPSUBD(eight.memory(bits(coefficients.RootHalf+1)), v, k)
	VPSRAD(U8(23), k, k)
	VPSLLD(U8(23), k, m)
	VPSUBD(m, v, m)
	if l == 16 {
		VCVTPD2PS(wides(8).pow(m, k, power), m)
		VMOVUPS(m, Mem{Base: dst})
	} else {
		for half := range 2 {
			parts := []reg.VecVirtual{m, k, power}
			for i, p := range parts {
				parts[i] = XMM()
				VEXTRACTF128(U8(half), p, parts[i])
			}
			result := XMM()
			VCVTPD2PSY(wides(4).pow(parts[0], parts[1], parts[2]), result)
			VMOVUPS(result, Mem{Base: dst, Disp: 16 * half})
		}
	}
	ADDQ(Imm(32), dst)
	ADDQ(x.step, x.at)
	ADDQ(y.step, y.at)
	ADDQ(Imm(8), done)
	CMPQ(done, n)
	JL(LabelRef("vector"))
	Label("end")
	Store(done, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
