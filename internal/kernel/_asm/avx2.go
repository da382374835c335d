package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// maxVectorsAVX2 is the largest number of vectors of 8 neurons.
const maxVectorsAVX2 = 12

// groupAVX2 is the number of positions that are updated in turns: h is in memory,
// and should stay in the first cache.
const groupAVX2 = 12

// fused is the state of one function of updateAVX2.
type fused struct {
	vectors                                     int
	kind                                        kind
	h, weights, offsets, eps, scales, t, before reg.Register
	last, next                                  reg.GPVirtual
	c                                           Mem // of the positions
	add                                         Mem // what forgetting adds to each
	one, factor, share, old                     reg.VecPhysical
	results                                     [4]reg.VecPhysical
}

// updateAVX2 applies spikes to a group of positions. What one spike does to h,
// times 1 + c*w, is done together with the sum for the next. The sums of four
// positions are brought together while those of the next four are formed.
func updateAVX2(vectors int, k kind) {
	name := fmt.Sprintf("update%s%dAVX2", k, 8*vectors)
	signature := "func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32)"
	if k != fast {
		signature = "func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32)"
	}
	TEXT(name, NOSPLIT, signature)
	doc := fmt.Sprintf("%s applies n spikes to each of %d positions of %d neurons", name, groupAVX2, 8*vectors)
	if k == fast {
		doc += " and multiplies h by a factor"
	}
	Doc(doc + ".")
	Pragma("noescape")
	f := &fused{
		vectors: vectors, kind: k, one: reg.Y15, factor: reg.Y14, share: reg.Y13, old: reg.Y12,
		results: [4]reg.VecPhysical{reg.Y8, reg.Y9, reg.Y10, reg.Y11},
	}
	f.h, f.weights, f.offsets = Load(Param("h"), GP64()), Load(Param("weights"), GP64()), Load(Param("offsets"), GP64())
	n := Load(Param("n"), GP64())
	if k == fast {
		f.eps = Load(Param("num"), GP64())
	} else {
		f.eps, f.scales = Load(Param("eps"), GP64()), Load(Param("scales"), GP64())
	}
	f.c = AllocLocal(4 * groupAVX2)
	if k == forgetting {
		f.add = AllocLocal(4 * groupAVX2)
	}
	VBROADCASTSS(ones(), f.one)
	VXORPS(reg.X0, reg.X0, reg.X0)
	for i := 0; i < groupAVX2; i += 4 {
		VMOVUPS(reg.X0, f.c.Offset(4*i))
		if k == forgetting {
			VMOVUPS(reg.X0, f.add.Offset(4*i))
		}
	}
	f.t, f.before = GP64(), GP64()
	f.last, f.next = GP64(), GP64()
	XORQ(f.t, f.t)
	XORQ(f.before, f.before) // the spike before; at first c is 0 and any will do
	sums := [2][4]reg.VecPhysical{{reg.Y0, reg.Y1, reg.Y2, reg.Y3}, {reg.Y4, reg.Y5, reg.Y6, reg.Y7}}
	const fours = groupAVX2 / 4
	Label("spike")
	for four := range fours {
		for i, sum := range sums[four%2] {
			f.position(4*four+i, sum)
			if i == 1 && four > 0 {
				f.quotients(4*(four-1), sums[(four-1)%2])
			}
		}
	}
	f.quotients(4*(fours-1), sums[(fours-1)%2])
	MOVQ(f.t, f.before)
	INCQ(f.t)
	CMPQ(f.t, n)
	JL(LabelRef("spike"))
	f.end()
	VZEROUPPER()
	RET()
}

// position does what the last spike of position i does and forms the sum for its
// next.
func (f *fused) position(i int, sum reg.VecPhysical) {
	MOVL(Mem{Base: f.offsets, Index: f.before, Scale: 4, Disp: 4 * chunk * i}, f.last.As32())
	VBROADCASTSS(f.c.Offset(4*i), f.factor)
	if f.kind == forgetting {
		VBROADCASTSS(f.add.Offset(4*i), f.share)
	}
	MOVL(Mem{Base: f.offsets, Index: f.t, Scale: 4, Disp: 4 * chunk * i}, f.next.As32())
	for v := range f.vectors {
		result := f.results[v%len(f.results)]
		VMOVUPS(result, f.grow(i, v, result))
		w := Mem{Base: f.weights, Index: f.next, Scale: 1, Disp: 32 * v}
		if v == 0 {
			VMULPS(w, result, sum)
		} else {
			VFMADD231PS(w, result, sum)
		}
	}
}

// grow multiplies vector v of a position's h by 1 + c*w of its last spike.
func (f *fused) grow(i, v int, result reg.VecPhysical) Mem {
	at := Mem{Base: f.h, Disp: 32 * (i*f.vectors + v)}
	VMOVUPS(Mem{Base: f.weights, Index: f.last, Scale: 1, Disp: 32 * v}, result)
	VFMADD213PS(f.one, f.factor, result)
	if f.kind == forgetting {
		VMOVUPS(at, f.old)
		VFMADD213PS(f.share, f.old, result)
	} else {
		VMULPS(at, result, result)
	}
	return at
}

// quotients turns the sums of four positions into their c.
func (f *fused) quotients(first int, s [4]reg.VecPhysical) {
	x := f.old
	for i := 0; i < 4; i += 2 { // a0+a2 a1+a3 b2+b0 b3+b1 of a and b
		VBLENDPS(U8(0xcc), s[i+1], s[i], x)
		VSHUFPS(U8(0x4e), s[i+1], s[i], s[i])
		VADDPS(x, s[i], s[i])
	}
	VSHUFPS(U8(0x88), s[2], s[0], x)
	VSHUFPS(U8(0xdd), s[2], s[0], s[0])
	VADDPS(x, s[0], s[0])
	q := s[0].AsX()
	VEXTRACTF128(U8(1), s[0], x.AsX())
	VADDPS(x.AsX(), q, q)
	if f.kind == fast {
		VBROADCASTSS(Mem{Base: f.eps, Index: f.t, Scale: 4}, x.AsX())
		VDIVPS(q, x.AsX(), q)
	} else {
		f.numerators(first, q)
	}
	VMOVUPS(q, f.c.Offset(4*first))
}

// numerators turns q of four positions into their c, 0 where a spike is skipped,
// and brings their scales up to date.
func (f *fused) numerators(first int, q reg.Register) {
	e, s, num, counts := f.results[0].AsX(), f.results[1].AsX(), f.results[2].AsX(), f.results[3].AsX()
	x, scales := f.share.AsX(), Mem{Base: f.scales, Disp: 4 * first}
	at := func(i int) Mem { return Mem{Base: f.eps, Index: f.t, Scale: 4, Disp: 4 * chunk * (first + i)} }
	VMOVSS(at(0), e)
	for i := 1; i < 4; i++ {
		VINSERTPS(U8(uint8(i<<4)), at(i), e, e)
	}
	VMOVUPS(scales, s)
	VBROADCASTSS(minOverlap(), num)
	VMULPS(s, num, num)
	VCMPPS(U8(0x1e), num, q, counts) // q > num
	VMULPS(e, s, num)
	VDIVPS(q, num, q)
	VANDPS(counts, q, q)
	if f.kind == forgetting {
		VBROADCASTSS(address("share"), x)
		VMULPS(x, num, num)
		VANDPS(counts, num, num)
		VMOVUPS(num, f.add.Offset(4*first))
	}
	VBROADCASTSS(address("growth"), x)
	VFMADD213PS(f.one.AsX(), x, e)
	VMULPS(e, s, e)
	VBLENDVPS(counts, e, s, s)
	VMOVUPS(s, scales)
}

// end does what the last spikes do.
func (f *fused) end() {
	if f.kind == fast {
		VBROADCASTSS(address("factor"), reg.Y0)
	}
	done := GP64() // bytes of c of the positions that are through
	XORQ(done, done)
	Label("last")
	MOVL(Mem{Base: f.offsets, Index: f.before, Scale: 4}, f.last.As32())
	VBROADCASTSS(f.c.Idx(done, 1), f.factor)
	if f.kind == forgetting {
		VBROADCASTSS(f.add.Idx(done, 1), f.share)
	}
	for v := range f.vectors {
		result := f.results[v%len(f.results)]
		at := f.grow(0, v, result)
		if f.kind == fast {
			VMULPS(reg.Y0, result, result)
		}
		VMOVUPS(result, at)
	}
	ADDQ(I32(32*f.vectors), f.h)
	ADDQ(I32(4*chunk), f.offsets)
	ADDQ(I8(4), done)
	CMPQ(done, I32(4*groupAVX2))
	JL(LabelRef("last"))
}
