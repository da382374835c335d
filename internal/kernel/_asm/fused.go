package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// maxVectorsAVX2 is the largest number of vectors of 8 neurons for which there are
// AVX2 functions of a fixed size.
const maxVectorsAVX2 = 12

// groupFused is the number of positions of a group if h is in memory. The h of a
// group should stay in the first-level cache.
const groupFused = 12

var allY = []reg.VecPhysical{
	reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
	reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
}

// fused is the state of one function of updateFused.
type fused struct {
	kind               kind
	vectors, positions int
	size               int // of a vector, in bytes

	results       []reg.VecPhysical // for h or products, used in turn
	factor, share reg.VecPhysical   // c, and the addend of forgetting
	x             int               // index of a free register
	temps         [5]int            // indices of registers that are free while c is computed

	h, weights, offsets, n, eps, scales, t, before reg.Register
	last, next                                     reg.GPVirtual
	c                                              Mem // c of each position
	add                                            Mem // addend of forgetting for each position
}

var signatures = [...]string{
	fast:       "func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32)",
	general:    "func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32)",
	forgetting: "func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32)",
}

func updateDoc(name string, positions, neurons int, k kind) []string {
	doc := fmt.Sprintf("%s applies n spikes to each of %d positions of %d neurons", name, positions, neurons)
	if k == fast {
		doc += " and multiplies h by a factor"
	}
	return []string{doc + "."}
}

// newFused loads the parameters and sets c to 0.
func newFused(k kind, vectors, positions, size int) *fused {
	f := &fused{kind: k, vectors: vectors, positions: positions, size: size}
	f.h, f.weights, f.offsets = Load(Param("h"), GP64()), Load(Param("weights"), GP64()), Load(Param("offsets"), GP64())
	f.n = Load(Param("n"), GP64())
	if k == fast {
		f.eps = Load(Param("num"), GP64())
	} else {
		f.eps, f.scales = Load(Param("eps"), GP64()), Load(Param("scales"), GP64())
	}
	f.c = AllocLocal(4 * positions)
	if k == forgetting {
		f.add = AllocLocal(4 * positions)
	}
	VXORPS(reg.X0, reg.X0, reg.X0)
	for i := 0; i < positions; i += 4 {
		VMOVUPS(reg.X0, f.c.Offset(4*i))
		if k == forgetting {
			VMOVUPS(reg.X0, f.add.Offset(4*i))
		}
	}
	f.t, f.before = GP64(), GP64()
	f.last, f.next = GP64(), GP64()
	XORQ(f.t, f.t)
	return f
}

// vectorRegisters assigns the registers for functions with h in memory.
func (f *fused) vectorRegisters() {
	for i := range 4 {
		f.results = append(f.results, f.vector(8+i))
	}
	f.share, f.factor = f.vector(13), f.vector(14)
	f.x, f.temps = 12, [...]int{8, 9, 10, 11, 13}
	XORQ(f.before, f.before) // the last spike: c is 0 before the first, so any spike does
}

// vector returns vector register i.
func (f *fused) vector(i int) reg.VecPhysical { return vectorRegister(f.size/4, i) }

// updateFused applies spikes to a group of positions. One loop over h applies a
// spike and forms the sum q for the next one. The lanes of the sums of four positions
// are added up while the sums of the next four positions are formed.
func updateFused(tier string, size, vectors int, k kind) {
	name := fmt.Sprintf("update%s%d%s", k, size/4*vectors, tier)
	TEXT(name, NOSPLIT, signatures[k])
	Doc(updateDoc(name, groupFused, size/4*vectors, k)...)
	Pragma("noescape")
	f := newFused(k, vectors, groupFused, size)
	f.vectorRegisters()
	const fours = groupFused / 4
	Label("spike")
	for four := range fours {
		for i := range 4 {
			f.position(4*four+i, f.vector(four%2*4+i))
			if i == 1 && four > 0 {
				f.quotients(four-1, (four-1)%2*4)
			}
		}
	}
	f.quotients(fours-1, (fours-1)%2*4)
	MOVQ(f.t, f.before)
	INCQ(f.t)
	CMPQ(f.t, f.n)
	JL(LabelRef("spike"))
	f.end()
	VZEROUPPER()
	RET()
}

// position applies the last spike of position i and forms the sum for its next one. A
// sum has 16 lanes, which AVX2 keeps in two registers.
func (f *fused) position(i int, sum reg.VecPhysical) {
	f.lastSpike(i)
	f.nextRow(i)
	sums := []reg.VecPhysical{sum}
	if f.size == 32 && f.vectors > 1 {
		sums = append(sums, f.vector(15))
	}
	for v := range f.vectors {
		result, s := f.results[v%len(f.results)], sums[v%len(sums)]
		VMOVUPS(result, f.grow(i, v, result))
		w := Mem{Base: f.weights, Index: f.next, Scale: 1, Disp: f.size * v}
		switch {
		case v < len(sums):
			VMULPS(w, result, s)
		case f.vectors*f.size/4 <= fewNeurons:
			VMULPS(w, result, result)
			VADDPS(result, s, s)
		default:
			VFMADD231PS(w, result, s)
		}
	}
	if len(sums) > 1 {
		VADDPS(sums[1], sum, sum)
	}
}

// lastSpike loads the offset of the row of the last spike of position i, and its c and
// addend.
func (f *fused) lastSpike(i int) {
	MOVL(Mem{Base: f.offsets, Index: f.before, Scale: 4, Disp: 4 * chunk * i}, f.last.As32())
	VBROADCASTSS(f.c.Offset(4*i), f.factor)
	if f.kind == forgetting {
		VBROADCASTSS(f.add.Offset(4*i), f.share)
	}
}

// nextRow loads the offset of the row of the next spike of position i.
func (f *fused) nextRow(i int) {
	MOVL(Mem{Base: f.offsets, Index: f.t, Scale: 4, Disp: 4 * chunk * i}, f.next.As32())
}

// grow applies the last spike of position i to vector v of its h and leaves the
// result in a register. It returns the memory operand of the vector.
func (f *fused) grow(i, v int, result reg.VecPhysical) Mem {
	at := Mem{Base: f.h, Disp: f.size * (i*f.vectors + v)}
	f.growAt(at, Mem{Base: f.weights, Index: f.last, Scale: 1, Disp: f.size * v}, result)
	return at
}

// growAt sets result to h + c*(h*w), plus the addend of forgetting.
func (f *fused) growAt(h, w Mem, result reg.VecPhysical) {
	product := f.vector(f.x)
	VMOVUPS(h, result)
	VMULPS(w, result, product)
	VFMADD231PS(f.factor, product, result)
	if f.kind == forgetting {
		VADDPS(f.share, result, result)
	}
}

// quotients computes c of four positions from their sums, which are in four registers
// beginning with register sums.
func (f *fused) quotients(four, sums int) {
	first, s, x := 4*four, allY[sums:][:4], allY[f.x]
	if f.size == 64 {
		for i, half := range s {
			VEXTRACTF64X4(U8(1), f.vector(sums+i), x)
			VADDPS(x, half, half)
		}
	}
	for i := 0; i < 4; i += 2 { // vectors a and b give a0+a2 a1+a3 b2+b0 b3+b1
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

// numerators computes c of four positions from q, with 0 for a spike that is skipped,
// and updates their common factors.
func (f *fused) numerators(first int, q reg.Register) {
	temp := func(i int) reg.Register { return allY[f.temps[i]].AsX() }
	e, s, num, counts, x := temp(0), temp(1), temp(2), temp(3), temp(4)
	scales := Mem{Base: f.scales, Disp: 4 * first}
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
	VMULPS(x, e, e)
	VBROADCASTSS(ones(), x)
	VADDPS(x, e, e)
	VMULPS(e, s, e)
	VBLENDVPS(counts, e, s, s)
	VMOVUPS(s, scales)
}

// end applies the last spikes.
func (f *fused) end() {
	if f.kind == fast {
		VBROADCASTSS(address("factor"), f.vector(0))
	}
	done := GP64() // 4 times the number of positions that are done
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
			VMULPS(f.vector(0), result, result)
		}
		VMOVUPS(result, at)
	}
	ADDQ(I32(f.size*f.vectors), f.h)
	ADDQ(I32(4*chunk), f.offsets)
	ADDQ(I8(4), done)
	CMPQ(done, I32(4*groupFused))
	JL(LabelRef("last"))
}
