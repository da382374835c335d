package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// maxVectors is the largest number of vectors of 16 neurons for which there are
// AVX-512 functions of a fixed size.
const maxVectors = 6

// chunk is the number of consecutive spikes of one position in memory.
const chunk = 160

// fewNeurons is the number of neurons up to which q is a sum of rounded products. AVX-512
// updates that keep h in registers need these products anyway. For more neurons, q is a sum
// of fused multiply-adds.
const fewNeurons = 48

// kind is a variant of the update.
type kind int

const (
	fast       kind = iota // one epsilon for all positions, q is not checked
	general                // one epsilon per position, q is checked
	forgetting             // general with forgetting
)

func (k kind) String() string { return [...]string{"Fast", "General", "Forgetting"}[k] }

// groups holds the number of positions of a group by the number of vectors per
// position, for updates that keep h in registers. 24 registers are used for h.
var groups = [maxVectors + 1]int{1: 24, 2: 12, 3: 8}

var allZ = []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10,
	reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21,
	reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// vectorRegister returns vector register i, for vectors with a number of lanes.
func vectorRegister(lanes, i int) reg.VecPhysical {
	if lanes == 16 {
		return allZ[i]
	}
	return allY[i]
}

// address returns the memory operand of a parameter.
func address(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// constant returns a read-only float32.
func constant(name string, v float32) Mem {
	return data(name, func() Mem { return longs(name, math.Float32bits(v)) })
}

func minOverlap() Mem { return constant("minOverlap", 1e-10) }
func ones() Mem       { return constant("one", 1) }
