package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Constants of the random numbers of package kernel.
const (
	gamma = 0x9e3779b97f4a7c15
	mix1  = 0xbf58476d1ce4e5b9
	mix2  = 0x94d049bb133111eb
)

// quads returns read-only data of 64-bit values.
func quads(name string, values ...uint64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i, v := range values {
		DATA(8*i, U64(v))
	}
	return m
}

// longs returns read-only data of 32-bit values.
func longs(name string, values ...uint32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i, v := range values {
		DATA(4*i, U32(v))
	}
	return m
}

func at(m Mem, i, size int) Mem { return m.Offset(i * size) }

// laneData holds the differences between the counters of the words of one vector
// and the counter of the first.
func laneData() Mem {
	return data("sampleLanes", func() Mem {
		lanes := make([]uint64, 8)
		for i := range lanes {
			lanes[i] = uint64(i) * gamma
		}
		return quads("sampleLanes", lanes...)
	})
}

// mixData holds the factors of mix and the step of the counter from vector to
// vector.
func mixData() Mem {
	return data("sampleMix", func() Mem { return quads("sampleMix", mix1, mix2, 8*gamma&(1<<64-1)) })
}

// goldenLanes holds 0 to 16 times the step of the low-discrepancy sequence: one entry
// per lane, and the step from vector to vector.
func goldenLanes() Mem {
	return data("sampleGolden", func() Mem {
		lanes := make([]uint32, 17)
		for i := range lanes {
			lanes[i] = uint32(i) * (gamma >> 32)
		}
		return longs("sampleGolden", lanes...)
	})
}

// stepData holds, for each step of the binary search in the coarse table, its length
// and the distance to the entry to compare with.
func stepData() Mem {
	return data("sampleSteps", func() Mem { return longs("sampleSteps", 16, 15, 8, 7, 4, 3, 2, 1) })
}

var made = map[string]Mem{}

// data returns read-only data, which it creates at the first call.
func data(name string, make func() Mem) Mem {
	if _, ok := made[name]; !ok {
		made[name] = make()
	}
	return made[name]
}

// sampleSignature is the type of the functions that draw spikes.
const sampleSignature = "func(dst *uint32, n, positions int, coarse *[32]uint32, thresholds *uint32, room int, block uint32, states *uint64, scale uint32)"

func sampleDoc(name, state string, lanes int, table string) []string {
	return []string{
		name + " writes scale times the spikes for n consecutive random numbers of each",
		fmt.Sprintf("position. n is a multiple of %d and not more than a chunk, which is the distance from", lanes),
		"position to position in dst. The state of a position is " + state + ".",
		"There are 32*block thresholds, where block is a power of 2; room is the distance to those",
		"of the next position. " + table,
		"The last threshold must be followed by 32 entries of the largest one.",
	}
}

// sampleAVX512 draws 16 spikes at a time by binary search. The first five steps
// search the coarse table of 32 thresholds in two registers. The following steps
// gather thresholds from memory until 32 are left. These are compared all at once,
// spike by spike. Up to 64 thresholds need no coarse table: they are searched in two or
// four registers.
func sampleAVX512(lowDiscrepancy bool) {
	name, state := "sampleAVX512", "counter(key, i) of its first random number i"
	if lowDiscrepancy {
		name, state = "sampleLowDiscrepancyAVX512", "its first random number"
	}
	TEXT(name, 0, sampleSignature)
	Doc(sampleDoc(name, state, 16, "coarse holds the last threshold of each block, if block is above 2.")...)
	Pragma("noescape")
	dst, n := Load(Param("dst"), GP64()), Load(Param("n"), GP64())
	coarse, thresholds := Load(Param("coarse"), GP64()), Load(Param("thresholds"), GP64())
	block, scale := Load(Param("block"), GP32()), Load(Param("scale"), GP32())
	states := Load(Param("states"), GP64())

	lo, hi, third, fourth, middle := ZMM(), ZMM(), ZMM(), ZMM(), ZMM()
	counter, advance := ZMM(), ZMM()
	var m1, m2 reg.VecVirtual
	if lowDiscrepancy {
		VPBROADCASTD(at(goldenLanes(), 16, 4), advance)
	} else {
		m1, m2 = ZMM(), ZMM()
		VPBROADCASTQ(at(mixData(), 0, 8), m1)
		VPBROADCASTQ(at(mixData(), 1, 8), m2)
		VPBROADCASTQ(at(mixData(), 2, 8), advance)
	}
	blocks, scales := ZMM(), ZMM()
	VPBROADCASTD(block, blocks)
	VPBROADCASTD(scale, scales)
	var steps, probes [4]reg.VecVirtual
	for i := range steps {
		steps[i], probes[i] = ZMM(), ZMM()
		VPBROADCASTD(at(stepData(), 2*i, 4), steps[i])
		VPBROADCASTD(at(stepData(), 2*i+1, 4), probes[i])
	}
	one := ZMM()
	VPBROADCASTD(at(stepData(), 7, 4), one)
	numbers := AllocLocal(4 * chunk)
	t := GP64()

	Label("position")
	CMPL(block, U8(2))
	JLE(LabelRef("direct"))
	VMOVDQU32(Mem{Base: coarse}, lo)
	VMOVDQU32(Mem{Base: coarse, Disp: 64}, hi)
	JMP(LabelRef("start"))
	Label("direct")
	VMOVDQU32(Mem{Base: thresholds}, lo)
	VMOVDQU32(Mem{Base: thresholds, Disp: 64}, hi)
	JL(LabelRef("start"))
	VMOVDQU32(Mem{Base: thresholds, Disp: 128}, third)
	VMOVDQU32(Mem{Base: thresholds, Disp: 192}, fourth)
	VPBROADCASTD(Mem{Base: thresholds, Disp: 4 * 31}, middle)
	Label("start")
	loadState(states, counter, lowDiscrepancy)
	XORQ(t, t)
	Label("numbers")
	r, shifted := ZMM(), ZMM()
	if lowDiscrepancy {
		VPSRLD(U8(1), counter, r)
		VPADDD(advance, counter, counter)
	} else {
		VMOVDQA64(counter, r)
		VPADDQ(advance, counter, counter)
		for _, m := range []struct {
			shift uint64
			by    reg.VecVirtual
		}{{30, m1}, {27, m2}} {
			VPSRLQ(U8(m.shift), r, shifted)
			VPXORQ(shifted, r, r)
			VPMULLQ(m.by, r, r)
		}
		VPSRLQ(U8(31), r, shifted)
		VPXORQ(shifted, r, r)
		VPSRLD(U8(1), r, r)
	}
	VPMAXUD(one, r, r)
	position, probe := ZMM(), ZMM()
	below := K()
	VPXORD(position, position, position)
	CMPL(block, U8(2))
	JE(LabelRef("halves"))

	Comment("Find the block by binary search in the coarse table.")
	for i := range steps {
		VPADDD(probes[i], position, probe)
		VPERMI2D(hi, lo, probe)
		VPCMPUD(U8(1), r, probe, below) // probe < r
		VPADDD(steps[i], position, below, position)
	}
	VMOVDQA32(position, probe)
	VPERMI2D(hi, lo, probe)
	VPCMPUD(U8(1), r, probe, below)
	VPADDD(one, position, below, position)
	VPMULLD(blocks, position, position)

	CMPL(block, U8(1))
	JE(LabelRef("found"))
	Comment("Continue the binary search in the block while more than 32 thresholds are left.")
	step := GP32()
	MOVL(block, step)
	Label("halve")
	CMPL(step, U8(32))
	JLE(LabelRef("compare"))
	SHRL(U8(1), step)
	stepLanes := ZMM()
	VPBROADCASTD(step, stepLanes)
	index := ZMM()
	VPADDD(stepLanes, position, index)
	all := K()
	KXNORW(all, all, all)
	gathered := ZMM()
	VPXORD(gathered, gathered, gathered)
	VPGATHERDD(Mem{Base: thresholds, Index: index, Scale: 4, Disp: -4}, all, gathered)
	VPCMPUD(U8(1), r, gathered, below)
	VPADDD(stepLanes, position, below, position)
	JMP(LabelRef("halve"))

	Label("compare")
	VMOVDQU32(position, Mem{Base: dst, Index: t, Scale: 4})
	VMOVDQU32(r, numbers.Idx(t, 4))
	JMP(LabelRef("next"))

	Comment("Find the threshold by binary search in one half of the four registers.")
	Label("halves")
	upper, other := K(), ZMM()
	VPCMPUD(U8(1), r, middle, upper) // middle < r
	search := func() {
		VMOVDQA32(probe, other)
		VPERMI2D(hi, lo, probe)
		VPERMI2D(fourth, third, other)
		VMOVDQA32(other, upper, probe)
		VPCMPUD(U8(1), r, probe, below)
	}
	for i := range steps {
		VPADDD(probes[i], position, probe)
		search()
		VPADDD(steps[i], position, below, position)
	}
	VMOVDQA32(position, probe)
	search()
	VPADDD(one, position, below, position)
	for range 2 { // 32 in the upper half
		VPADDD(steps[0], position, upper, position)
	}

	Label("found")
	VPMULLD(scales, position, position)
	VMOVDQU32(position, Mem{Base: dst, Index: t, Scale: 4})
	Label("next")
	ADDQ(U8(16), t)
	CMPQ(t, n)
	JL(LabelRef("numbers"))
	CMPL(block, U8(2))
	JLE(LabelRef("done"))

	Comment("Count the thresholds below the random number among the next 16 or 32. Those",
		"after the block are never below it.")
	XORQ(t, t)
	CMPL(block, U8(16))
	JG(LabelRef("wide"))
	for vectors, name := range []string{"narrow", "wide"} {
		Label(name)
		const unrolled = 4
		for i := range unrolled {
			compareOne(dst, thresholds, scale, t, numbers, i, vectors+1)
		}
		ADDQ(U8(unrolled), t)
		CMPQ(t, n)
		JL(LabelRef(name))
		if name == "narrow" {
			JMP(LabelRef("done"))
		}
	}
	Label("done")
	nextPosition(dst, coarse, thresholds, states)
	VZEROUPPER()
	RET()
}

// loadState sets counter to the state of a position, for the first vector of numbers.
func loadState(states reg.Register, counter Op, lowDiscrepancy bool) {
	if lowDiscrepancy {
		VPBROADCASTD(Mem{Base: states}, counter)
		VPADDD(goldenLanes(), counter, counter)
	} else {
		VPBROADCASTQ(Mem{Base: states}, counter)
		VPADDQ(laneData(), counter, counter)
	}
}

// nextPosition moves to the next position, if there is one, and jumps to the label
// position.
func nextPosition(dst, coarse, thresholds, states reg.Register) {
	room := GP64()
	Load(Param("room"), room)
	LEAQ(Mem{Base: thresholds, Index: room, Scale: 4}, thresholds)
	ADDQ(I32(4*chunk), dst)
	ADDQ(I32(4*32), coarse)
	ADDQ(U8(8), states)
	DECQ(address("positions"))
	JNZ(LabelRef("position"))
}

// compareOne completes the search for spike t+i: it compares the random number with
// the next 16 or 32 thresholds.
func compareOne(dst, thresholds, scale, t reg.Register, numbers Mem, i, vectors int) {
	place := Mem{Base: dst, Index: t, Scale: 4, Disp: 4 * i}
	position, count, r := GP32(), GP32(), ZMM()
	MOVL(place, position)
	VPBROADCASTD(numbers.Idx(t, 4).Offset(4*i), r)
	below := K()
	VPCMPUD(U8(6), Mem{Base: thresholds, Index: position, Scale: 4}, r, below) // r > threshold
	KMOVW(below, count)
	POPCNTL(count, count)
	if vectors == 2 {
		VPCMPUD(U8(6), Mem{Base: thresholds, Index: position, Scale: 4, Disp: 64}, r, below)
		more := GP32()
		KMOVW(below, more)
		POPCNTL(more, more)
		ADDL(more, count)
	}
	ADDL(position, count)
	IMULL(scale, count)
	MOVL(count, place)
}
