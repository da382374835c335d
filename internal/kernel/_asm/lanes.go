package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bits is a constant of 32 bits that all lanes share.
type bits uint32

func number(v float64) bits { return bits(math.Float32bits(float32(v))) }

// Constants of the functions. See functions.go of package kernel, which defines the functions.
const (
	signBit  = bits(0x80000000)
	magnBits = bits(0x7fffffff)
	shiftBit = bits(0x4b400000) // 0x1.8p23
)

// lanes generates code for vectors of a number of lanes. A method that returns a register computes
// a new vector; the others change their first argument.
type lanes int

func (l lanes) new() reg.VecVirtual {
	if l == 16 {
		return ZMM()
	}
	return YMM()
}

// memory returns a constant in all lanes of a vector of 8; vectors of 16 broadcast one of them.
func (l lanes) memory(c bits) Mem {
	return data(fmt.Sprintf("lanes%08x", uint32(c)), func() Mem {
		v := uint32(c)
		return longs(fmt.Sprintf("lanes%08x", v), v, v, v, v, v, v, v, v)
	})
}

type instruction = func(...Op)

// binary generates an instruction of two operands, of which b may be a constant.
func (l lanes) binary(full, broadcast instruction, b any, a Op, dst reg.VecVirtual) {
	switch b := b.(type) {
	case bits:
		if l == 16 {
			broadcast(l.memory(b), a, dst)
		} else {
			full(l.memory(b), a, dst)
		}
	case Op:
		full(b, a, dst)
	}
}

func (l lanes) result(full, broadcast instruction, a Op, b any) reg.VecVirtual {
	v := l.new()
	l.binary(full, broadcast, b, a, v)
	return v
}

func (l lanes) plus(a Op, b any) reg.VecVirtual  { return l.result(VADDPS, VADDPS_BCST, a, b) }
func (l lanes) minus(a Op, b any) reg.VecVirtual { return l.result(VSUBPS, VSUBPS_BCST, a, b) }
func (l lanes) times(a Op, b any) reg.VecVirtual { return l.result(VMULPS, VMULPS_BCST, a, b) }
func (l lanes) over(a Op, b any) reg.VecVirtual  { return l.result(VDIVPS, VDIVPS_BCST, a, b) }
func (l lanes) and(a Op, b any) reg.VecVirtual   { return l.result(VANDPS, VANDPS_BCST, a, b) }
func (l lanes) or(a Op, b any) reg.VecVirtual    { return l.result(VORPS, VORPS_BCST, a, b) }
func (l lanes) xor(a Op, b any) reg.VecVirtual   { return l.result(VXORPS, VXORPS_BCST, a, b) }

// largest and smallest return b if one of the operands is NaN or both are zeros.
func (l lanes) largest(a Op, b Op) reg.VecVirtual {
	v := l.new()
	VMAXPS(b, a, v)
	return v
}

func (l lanes) smallest(a Op, b Op) reg.VecVirtual {
	v := l.new()
	VMINPS(b, a, v)
	return v
}

// constant returns a register with a constant.
func (l lanes) constant(c bits) reg.VecVirtual {
	v := l.new()
	VBROADCASTSS(l.memory(c), v)
	return v
}

func (l lanes) copy(a Op) reg.VecVirtual {
	v := l.new()
	VMOVAPS(a, v)
	return v
}

// addProduct sets sum to a*b + sum, and subtractProduct to sum - a*b.
func (l lanes) addProduct(sum reg.VecVirtual, a Op, b any) {
	l.binary(VFMADD231PS, VFMADD231PS_BCST, b, a, sum)
}

func (l lanes) subtractProduct(sum reg.VecVirtual, a Op, b any) {
	l.binary(VFNMADD231PS, VFNMADD231PS_BCST, b, a, sum)
}

// timesPlus sets v to v*a + c.
func (l lanes) timesPlus(v reg.VecVirtual, a Op, c any) {
	l.binary(VFMADD213PS, VFMADD213PS_BCST, c, a, v)
}

// polynomial returns the polynomial of x with the given coefficients, the constant one first.
func (l lanes) polynomial(x Op, coefficients ...float64) reg.VecVirtual {
	last := len(coefficients) - 1
	v := l.constant(number(coefficients[last]))
	for i := last - 1; i >= 0; i-- {
		l.timesPlus(v, x, number(coefficients[i]))
	}
	return v
}

// Predicates of compare.
const (
	equal     = 0
	less      = 1
	lessEqual = 2
	unordered = 3
	notEqual  = 4
)

// compare returns a mask of the lanes in which a compares with b.
func (l lanes) compare(predicate uint8, a Op, b any) reg.Register {
	if l == 16 {
		k := K()
		if c, ok := b.(bits); ok {
			VCMPPS_BCST(U8(predicate), l.memory(c), a, k)
		} else {
			VCMPPS(U8(predicate), b.(Op), a, k)
		}
		return k
	}
	v := YMM()
	if c, ok := b.(bits); ok {
		b = l.memory(c)
	}
	VCMPPS(U8(predicate), b.(Op), a, v)
	return v
}

// negative returns a mask of the lanes whose sign bit is set.
func (l lanes) negative(x reg.VecVirtual) reg.Register {
	if l == 16 {
		k := K()
		VPMOVD2M(x, k)
		return k
	}
	return x
}

// choose returns yes in the lanes of a mask, and no in the others.
func (l lanes) choose(mask reg.Register, yes any, no Op) reg.VecVirtual {
	v := l.new()
	c, constant := yes.(bits)
	switch {
	case l == 16 && constant:
		VBLENDMPS_BCST(l.memory(c), no, mask, v)
	case l == 16:
		VBLENDMPS(yes.(Op), no, mask, v)
	case constant:
		VBLENDVPS(mask, l.memory(c), no, v)
	default:
		VBLENDVPS(mask, yes.(Op), no, v)
	}
	return v
}

// keep returns a in the lanes of a mask, and 0 in the others.
func (l lanes) keep(mask reg.Register, a reg.VecVirtual) reg.VecVirtual {
	v := l.new()
	if l == 16 {
		VMOVAPS_Z(a, mask, v)
	} else {
		VANDPS(mask, a, v)
	}
	return v
}

func (l lanes) suffix() string {
	if l == 16 {
		return "AVX512"
	}
	return "AVX2"
}

// tailMask returns a mask of the first n lanes, for masked loads and stores.
func (l lanes) tailMask(n reg.Register) reg.Register { return l.mask(l.new(), n) }

// mask returns a mask of the first n lanes of vectors as long as count, which it overwrites.
func (l lanes) mask(count reg.VecVirtual, n reg.Register) reg.Register {
	VMOVD(n.(reg.GPVirtual).As32(), count.AsX())
	VPBROADCASTD(count.AsX(), count)
	if l == 16 {
		k := K()
		VPCMPGTD(numbers(), count, k)
		return k
	}
	VPCMPGTD(numbers(), count, count)
	return count
}

func (l lanes) load(at Mem, mask reg.Register) reg.VecVirtual {
	v := l.new()
	switch {
	case mask == nil:
		VMOVUPS(at, v)
	case l == 16:
		VMOVUPS_Z(at, mask, v)
	default:
		VMASKMOVPS(at, mask, v)
	}
	return v
}

func (l lanes) store(v reg.VecVirtual, at Mem, mask reg.Register) {
	switch {
	case mask == nil:
		VMOVUPS(v, at)
	case l == 16:
		VMOVUPS(v, mask, at)
	default:
		VMASKMOVPS(v, mask, at)
	}
}

// each generates a loop over n numbers: whole vectors without a mask, then the rest with one.
// advance moves the pointers behind a vector.
func (l lanes) each(name string, n reg.GPVirtual, body func(mask reg.Register), advance func()) {
	Label(name + "vector")
	CMPQ(n, Imm(uint64(l)))
	JL(LabelRef(name + "tail"))
	body(nil)
	advance()
	SUBQ(Imm(uint64(l)), n)
	JMP(LabelRef(name + "vector"))
	Label(name + "tail")
	TESTQ(n, n)
	JZ(LabelRef(name + "done"))
	body(l.tailMask(n))
	Label(name + "done")
}
