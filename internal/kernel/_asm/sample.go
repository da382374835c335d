package main

import (
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

// sampleAVX512 draws 16 spikes at a time by binary search. The first five steps
// search the coarse table of 32 thresholds in two registers. The following steps
// gather thresholds from memory until 32 are left. These are compared all at once,
// spike by spike.
func sampleAVX512(lowDiscrepancy bool) {
	name, state := "sampleAVX512", "counter(key, i) of the first random number i"
	if lowDiscrepancy {
		name, state = "sampleLowDiscrepancyAVX512", "the first random number"
	}
	TEXT(name, 0, "func(dst *uint32, n int, coarse *[32]uint32, thresholds *uint32, block uint32, state uint64, scale uint32)")
	Doc(name+" writes scale times the spikes for n consecutive random numbers.",
		"n is a multiple of 16 and not more than a chunk. The state is",
		state+". There are 32*block thresholds, where",
		"block is a power of 2. coarse holds the last threshold of each block. The last",
		"threshold must be followed by 32 entries of the largest integer.")
	Pragma("noescape")
	dst, n := Load(Param("dst"), GP64()), Load(Param("n"), GP64())
	coarse, thresholds := Load(Param("coarse"), GP64()), Load(Param("thresholds"), GP64())
	block := Load(Param("block"), GP32())
	start := Load(Param("state"), GP64())
	scale := Load(Param("scale"), GP32())

	lo, hi := ZMM(), ZMM()
	VMOVDQU32(Mem{Base: coarse}, lo)
	VMOVDQU32(Mem{Base: coarse, Disp: 64}, hi)
	counter, advance := ZMM(), ZMM()
	var m1, m2 reg.VecVirtual
	if lowDiscrepancy {
		VPBROADCASTD(start.(reg.GP).As32(), counter)
		VPADDD(goldenLanes(), counter, counter)
		VPBROADCASTD(at(goldenLanes(), 16, 4), advance)
	} else {
		m1, m2 = ZMM(), ZMM()
		VPBROADCASTQ(start, counter)
		VPADDQ(laneData(), counter, counter)
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
	XORQ(t, t)
	Label("numbers")
	r, shifted := ZMM(), ZMM()
	VMOVDQA64(counter, r)
	if lowDiscrepancy {
		VPADDD(advance, counter, counter)
	} else {
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
	}

	Comment("Find the block by binary search in the coarse table.")
	position, probe := ZMM(), ZMM()
	below := K()
	VPXORD(position, position, position)
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

	Label("found")
	VPMULLD(scales, position, position)
	VMOVDQU32(position, Mem{Base: dst, Index: t, Scale: 4})
	Label("next")
	ADDQ(U8(16), t)
	CMPQ(t, n)
	JL(LabelRef("numbers"))
	VZEROUPPER()
	CMPL(block, U8(1))
	JE(LabelRef("end"))

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
			JMP(LabelRef("end"))
		}
	}
	Label("end")
	VZEROUPPER()
	RET()
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

// thresholdsAVX512 multiplies in float64 and converts to unsigned integers. The
// instruction returns the largest integer for numbers that are too large.
func thresholdsAVX512() {
	TEXT("thresholdsAVX512", NOSPLIT, "func(dst *uint32, sums *float32, n int, scale float64)")
	Doc("thresholdsAVX512 writes scale times each of n sums, rounded down to integers. n is a",
		"multiple of 16.")
	Pragma("noescape")
	dst, sums, n := Load(Param("dst"), GP64()), Load(Param("sums"), GP64()), Load(Param("n"), GP64())
	scale := ZMM()
	VBROADCASTSD(address("scale"), scale)
	t := GP64()
	XORQ(t, t)
	Label("sums")
	for i := range 2 {
		wide, narrow := ZMM(), YMM()
		VCVTPS2PD(Mem{Base: sums, Index: t, Scale: 4, Disp: 32 * i}, wide)
		VMULPD(scale, wide, wide)
		VCVTTPD2UDQ(wide, narrow)
		VMOVDQU32(narrow, Mem{Base: dst, Index: t, Scale: 4, Disp: 32 * i})
	}
	ADDQ(U8(16), t)
	CMPQ(t, n)
	JL(LabelRef("sums"))
	VZEROUPPER()
	RET()
}
