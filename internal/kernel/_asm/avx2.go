package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// maxVectorsAVX2 is the largest number of vectors of 8 neurons.
const maxVectorsAVX2 = 12

// groupAVX2 returns the number of positions that are updated in turns: h is in
// memory, and should stay in the first cache.
func groupAVX2(vectors int) int {
	switch {
	case vectors <= 2:
		return 24
	case vectors <= 4:
		return 16
	}
	return 12
}

// updateAVX2 applies spikes to a group of positions. What one spike does to h,
// times 1 + c*w, is done together with the sum for the next.
func updateAVX2(vectors int, k kind) {
	positions := groupAVX2(vectors)
	name := fmt.Sprintf("update%s%dAVX2", k, 8*vectors)
	signature := "func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32)"
	if k != fast {
		signature = "func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32)"
	}
	TEXT(name, NOSPLIT, signature)
	doc := fmt.Sprintf("%s applies n spikes to each of %d positions of %d neurons", name, positions, 8*vectors)
	if k == fast {
		doc += " and multiplies h by a factor"
	}
	Doc(doc + ".")
	Pragma("noescape")
	h, weights := Load(Param("h"), GP64()), Load(Param("weights"), GP64())
	offsets, n := Load(Param("offsets"), GP64()), Load(Param("n"), GP64())
	var eps, scales reg.Register
	if k == fast {
		eps = Load(Param("num"), GP64())
	} else {
		eps, scales = Load(Param("eps"), GP64()), Load(Param("scales"), GP64())
	}
	c, add := AllocLocal(4*positions), Mem{}
	if k == forgetting {
		add = AllocLocal(4 * positions)
	}
	one := reg.Y15
	VBROADCASTSS(ones(), one)
	VXORPS(reg.Y0, reg.Y0, reg.Y0)
	for i := 0; i < positions; i += 4 {
		VMOVUPS(reg.X0, c.Offset(4*i))
		if k == forgetting {
			VMOVUPS(reg.X0, add.Offset(4*i))
		}
	}
	last, next := GP64(), GP64()
	t, before := GP64(), GP64()
	done := GP64() // bytes of c of the positions that are through
	offset := func(i int, t reg.Register) Mem {
		return Mem{Base: offsets, Index: t, Scale: 4, Disp: 4 * chunk * i}
	}
	// grow multiplies vector v of a position's h by 1 + c*w of its last spike.
	grow := func(i, v int, result reg.VecPhysical) Mem {
		at := Mem{Base: h, Disp: 32 * (i*vectors + v)}
		VMOVUPS(Mem{Base: weights, Index: last, Scale: 1, Disp: 32 * v}, result)
		VFMADD213PS(one, reg.Y14, result)
		if k == forgetting {
			VMOVUPS(at, reg.Y12)
			VFMADD213PS(reg.Y13, reg.Y12, result)
		} else {
			VMULPS(at, result, result)
		}
		return at
	}
	// spikeBefore loads what grow needs of position i.
	spikeBefore := func(i int) {
		MOVL(offset(i, before), last.As32())
		VBROADCASTSS(c.Idx(done, 1).Offset(4*i), reg.Y14)
		if k == forgetting {
			VBROADCASTSS(add.Idx(done, 1).Offset(4*i), reg.Y13)
		}
	}
	// advance goes on by count positions, and back to the first after the last.
	advance := func(count int, label string) {
		ADDQ(I32(32*vectors*count), h)
		ADDQ(I32(4*chunk*count), offsets)
		if k != fast {
			ADDQ(I32(4*chunk*count), eps)
		}
		ADDQ(I8(4*count), done)
		CMPQ(done, I32(4*positions))
		JL(LabelRef(label))
		SUBQ(I32(32*vectors*positions), h)
		SUBQ(I32(4*chunk*positions), offsets)
		if k != fast {
			SUBQ(I32(4*chunk*positions), eps)
		}
	}

	XORQ(t, t)
	XORQ(before, before) // the spike before; at first c is 0 and any will do
	Label("spike")
	XORQ(done, done)
	Label("four")
	for i, sum := range []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3} {
		spikeBefore(i)
		MOVL(offset(i, t), next.As32())
		for v := range vectors {
			result := []reg.VecPhysical{reg.Y8, reg.Y9, reg.Y10, reg.Y11}[v%4]
			VMOVUPS(result, grow(i, v, result))
			w := Mem{Base: weights, Index: next, Scale: 1, Disp: 32 * v}
			if v == 0 {
				VMULPS(w, result, sum)
			} else {
				VFMADD231PS(w, result, sum)
			}
		}
	}
	VHADDPS(reg.Y1, reg.Y0, reg.Y0)
	VHADDPS(reg.Y3, reg.Y2, reg.Y2)
	VHADDPS(reg.Y2, reg.Y0, reg.Y0)
	VEXTRACTF128(U8(1), reg.Y0, reg.X1)
	VADDPS(reg.X1, reg.X0, reg.X0)
	if k == fast {
		VBROADCASTSS(Mem{Base: eps, Index: t, Scale: 4}, reg.X1)
		VDIVPS(reg.X0, reg.X1, reg.X0)
	} else {
		numeratorsAVX2(t, done, eps, scales, k, add)
	}
	VMOVUPS(reg.X0, c.Idx(done, 1))
	advance(4, "four")
	MOVQ(t, before)
	INCQ(t)
	CMPQ(t, n)
	JL(LabelRef("spike"))

	Comment("What the last spikes do.")
	if k == fast {
		VBROADCASTSS(address("factor"), reg.Y0)
	}
	XORQ(done, done)
	Label("last")
	spikeBefore(0)
	for v := range vectors {
		at := grow(0, v, reg.Y8)
		if k == fast {
			VMULPS(reg.Y0, reg.Y8, reg.Y8)
		}
		VMOVUPS(reg.Y8, at)
	}
	advance(1, "last")
	VZEROUPPER()
	RET()
}

// numeratorsAVX2 turns q of four positions, in X0, into their c, 0 where a spike
// is skipped, and brings their scales up to date.
func numeratorsAVX2(t, done, eps, scales reg.Register, k kind, add Mem) {
	q, e, s, num, counts := reg.X0, reg.X1, reg.X2, reg.X3, reg.X4
	at := func(i int) Mem { return Mem{Base: eps, Index: t, Scale: 4, Disp: 4 * chunk * i} }
	VMOVSS(at(0), e)
	for i := 1; i < 4; i++ {
		VINSERTPS(U8(uint8(i<<4)), at(i), e, e)
	}
	VMOVUPS(Mem{Base: scales, Index: done, Scale: 1}, s)
	VBROADCASTSS(minOverlap(), num)
	VMULPS(s, num, num)
	VCMPPS(U8(0x1e), num, q, counts) // q > num
	VMULPS(e, s, num)
	VDIVPS(q, num, q)
	VANDPS(counts, q, q)
	if k == forgetting {
		VBROADCASTSS(address("share"), reg.X5)
		VMULPS(reg.X5, num, num)
		VANDPS(counts, num, num)
		VMOVUPS(num, add.Idx(done, 1))
	}
	VBROADCASTSS(address("growth"), reg.X5)
	VFMADD213PS(reg.X15, reg.X5, e)
	VMULPS(e, s, e)
	VBLENDVPS(counts, e, s, s)
	VMOVUPS(s, Mem{Base: scales, Index: done, Scale: 1})
}
