package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// wideMix returns vector i of the constants for mix, in which a word is repeated four
// times: both halves of both factors, and the step of the counter from vector to
// vector.
func wideMix(i int) Mem {
	m := data("sampleWideMix", func() Mem {
		var words []uint64
		for _, w := range []uint64{mix1, mix1 >> 32, mix2, mix2 >> 32, 4 * gamma & (1<<64 - 1)} {
			words = append(words, w, w, w, w)
		}
		return quads("sampleWideMix", words...)
	})
	return m.Offset(32 * i)
}

// searcher holds registers of sampleAVX2.
type searcher struct {
	r, place, index, value reg.VecPhysical
}

// sampleAVX2 draws 8 spikes at a time by binary search. The first five steps search
// the coarse table of 32 thresholds in registers, where it is laid out as a search
// tree, level by level. The following steps gather thresholds from memory until 32
// are left. These are compared all at once, spike by spike.
func sampleAVX2(lowDiscrepancy bool) {
	name, state := "sampleAVX2", "counter(key, i) of its first random number i"
	if lowDiscrepancy {
		name, state = "sampleLowDiscrepancyAVX2", "its first random number"
	}
	TEXT(name, 0, sampleSignature)
	Doc(sampleDoc(name, state, 8, "coarse holds the last threshold of each block, as a search tree.")...)
	Pragma("noescape")
	dst, n := Load(Param("dst"), GP64()), Load(Param("n"), GP64())
	tree, thresholds := Load(Param("coarse"), GP64()), Load(Param("thresholds"), GP64())
	block, scale := Load(Param("block"), GP32()), Load(Param("scale"), GP32())
	states := Load(Param("states"), GP64())
	top, fourth, fifthLow, fifthHigh := reg.Y8, reg.Y9, reg.Y10, reg.Y11
	one, three, counter, factors := reg.Y13, reg.Y14, reg.Y7, reg.Y15
	VPBROADCASTD(at(stepData(), 7, 4), one)
	VPBROADCASTD(at(stepData(), 5, 4), three)
	if lowDiscrepancy {
		VPBROADCASTD(at(goldenLanes(), 8, 4), reg.Y6)
	}
	factor := GP32()
	MOVL(block, factor)
	CMPL(block, U8(1))
	JNE(LabelRef("start"))
	MOVL(scale, factor)
	Label("start")
	VMOVD(factor, factors.AsX())
	VPBROADCASTD(factors.AsX(), factors)
	numbers := AllocLocal(4 * chunk)
	t := GP64()

	Label("position")
	for i, r := range []reg.VecPhysical{top, fourth, fifthLow, fifthHigh} {
		VMOVDQU(Mem{Base: tree, Disp: 32 * i}, r)
	}
	loadState(states, counter, lowDiscrepancy)
	XORQ(t, t)
	Label("numbers")
	s := searcher{reg.Y0, reg.Y1, reg.Y2, reg.Y3}
	if lowDiscrepancy {
		VPSRLD(U8(1), counter, s.r)
		VPADDD(reg.Y6, counter, counter)
	} else {
		s.mix(counter)
		VPADDQ(wideMix(4), counter, counter)
		VPSRLD(U8(1), s.r, s.r)
	}
	VPMAXUD(one, s.r, s.r)
	s.descend(top, fourth, fifthLow, fifthHigh, one, three)
	VPMULLD(factors, s.place, s.place)

	CMPL(block, U8(1))
	JE(LabelRef("found"))
	VMOVDQU(s.r, numbers.Idx(t, 4))
	Comment("Continue the binary search in the block while more than 32 thresholds are left.")
	step := GP32()
	MOVL(block, step)
	Label("halve")
	CMPL(step, U8(32))
	JLE(LabelRef("found"))
	SHRL(U8(1), step)
	steps, all := reg.Y4, reg.Y5
	VMOVD(step, steps.AsX())
	VPBROADCASTD(steps.AsX(), steps)
	VPADDD(steps, s.place, s.index)
	VPCMPEQD(all, all, all)
	VPXOR(s.value, s.value, s.value)
	VPGATHERDD(all, Mem{Base: thresholds, Index: s.index, Scale: 4, Disp: -4}, s.value)
	VPCMPGTD(s.value, s.r, s.value)
	VPAND(steps, s.value, s.value)
	VPADDD(s.value, s.place, s.place)
	JMP(LabelRef("halve"))

	Label("found")
	VMOVDQU(s.place, Mem{Base: dst, Index: t, Scale: 4})
	ADDQ(U8(8), t)
	CMPQ(t, n)
	JL(LabelRef("numbers"))
	CMPL(block, U8(1))
	JE(LabelRef("done"))

	Comment("Count the thresholds below the random number among the next 16 or 32. Those",
		"after the block are never below it.")
	XORQ(t, t)
	CMPL(block, U8(16))
	JG(LabelRef("wide"))
	for _, vectors := range []int{2, 4} {
		label := map[int]string{2: "narrow", 4: "wide"}[vectors]
		Label(label)
		const unrolled = 4
		for i := range unrolled {
			countBelow(dst, thresholds, scale, t, numbers, i, vectors)
		}
		ADDQ(U8(unrolled), t)
		CMPQ(t, n)
		JL(LabelRef(label))
		if vectors == 2 {
			JMP(LabelRef("done"))
		}
	}
	Label("done")
	nextPosition(dst, tree, thresholds, states)
	VZEROUPPER()
	RET()
}

// mix computes 8 random numbers, in 4 words, as the Go function mix does. It computes
// 64-bit products from 32-bit products.
func (s searcher) mix(counter reg.VecPhysical) {
	z, shifted, high, cross := s.r, s.place, s.index, s.value
	xorShift := func(from reg.VecPhysical, bits uint8) {
		VPSRLQ(U8(bits), from, shifted)
		VPXOR(shifted, from, z)
	}
	from := counter
	for i, bits := range []uint8{30, 27} {
		xorShift(from, bits)
		from = z
		VPSRLQ(U8(32), z, high)
		VPMULUDQ(wideMix(2*i+1), z, cross)
		VPMULUDQ(wideMix(2*i), high, high)
		VPMULUDQ(wideMix(2*i), z, z)
		VPADDQ(cross, high, high)
		VPSLLQ(U8(32), high, high)
		VPADDQ(high, z, z)
	}
	xorShift(z, 31)
}

// descend finds the blocks for 8 random numbers in the search tree.
func (s searcher) descend(top, fourth, fifthLow, fifthHigh, one, three reg.VecPhysical) {
	right := func() { // value < r: go right
		VPCMPGTD(s.value, s.r, s.value)
		VPADDD(s.place, s.place, s.place)
		VPSUBD(s.value, s.place, s.place)
	}
	VPXOR(s.place, s.place, s.place)
	VPBROADCASTD(top.AsX(), s.value)
	right()
	VPADDD(one, s.place, s.index)
	VPERMD(top, s.index, s.value)
	right()
	VPADDD(three, s.place, s.index)
	VPERMD(top, s.index, s.value)
	right()
	VPERMD(fourth, s.place, s.value)
	right()
	VPERMD(fifthLow, s.place, s.value)
	VPERMD(fifthHigh, s.place, s.index)
	high := reg.Y4
	VPSLLD(U8(28), s.place, high)
	VBLENDVPS(high, s.index, s.value, s.value)
	right()
}

// countBelow completes the search for spike t+i: it compares the random number with
// the next two or four vectors of thresholds.
func countBelow(dst, thresholds, scale, t reg.Register, numbers Mem, i, vectors int) {
	place := Mem{Base: dst, Index: t, Scale: 4, Disp: 4 * i}
	position, count, r := GP32(), GP32(), reg.Y0
	below := []reg.VecPhysical{reg.Y1, reg.Y2, reg.Y3, reg.Y4}
	MOVL(place, position)
	VPBROADCASTD(numbers.Idx(t, 4).Offset(4*i), r)
	for v := range vectors {
		VPCMPGTD(Mem{Base: thresholds, Index: position, Scale: 4, Disp: 32 * v}, r, below[v])
	}
	// The order does not matter because only the number of bits counts.
	VPACKSSDW(below[1], below[0], below[0])
	if vectors == 4 {
		VPACKSSDW(below[3], below[2], below[2])
		VPACKSSWB(below[2], below[0], below[0])
	}
	VPMOVMSKB(below[0], count)
	POPCNTL(count, count)
	if vectors == 2 { // two bits per threshold
		SHRL(U8(1), count)
	}
	ADDL(position, count)
	IMULL(scale, count)
	MOVL(count, place)
}
