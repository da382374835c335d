package main

import (
	"fmt"
	"math"
)

// Numbers of package kernel on which the order of the operations depends.
const (
	chunk      = 160 // consecutive spikes of one position in memory
	fewNeurons = 48  // up to this number products are rounded before they are added
	group      = 16  // positions of a group with at most 96 neurons
	minOverlap = 1e-10
)

// kind is a variant of the update.
type kind int

const (
	fast       kind = iota // one epsilon for all positions, q is not checked
	general                // one epsilon per position, q is checked
	forgetting             // general with forgetting
)

func (k kind) String() string { return [...]string{"Fast", "General", "Forgetting"}[k] }

// sizes are the numbers of vectors of 4 neurons for which there are functions.
var sizes = []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24}

func updates() {
	for _, vectors := range sizes {
		for _, k := range []kind{fast, general, forgetting} {
			update(vectors, k)
		}
	}
	for _, k := range []kind{fast, general, forgetting} {
		updateWide(k)
	}
}

// General registers of the updates.
const (
	rH, rWeights, rOffsets, rEps, rN, rScales = R0, R1, R2, R3, R4, R5

	rT, rBefore, rLeft = R6, R7, R8 // the spike and the one before it, 4 times their numbers; positions that are left

	rPlace, rC        = R9, R10  // h, and c, of the next position or of the next four
	rLastAt, rNextAt  = R11, R12 // the offset of its last and of its next spike
	rLast, rNext      = R13, R14 // their rows
	rEpsAt, rScalesAt = R15, R19
	rNumber           = R20
)

// updater is the state of one function. The addends of forgetting follow c in memory.
type updater struct {
	*function
	kind   kind
	perRow int // vectors of a row

	c, adds, add int // vectors: c of four positions, their addends, and one of these in all lanes
	addPlace     int // distance of the addends from c
}

func (k kind) signature(more string) string {
	if k == fast {
		return "func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32, " + more + ")"
	}
	return "func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32, " + more + ")"
}

func newUpdater(name string, k kind, vectors, positions int, more string, doc ...string) *updater {
	u := &updater{function: newFunction(name, k.signature(more), doc...), kind: k, perRow: vectors}
	u.load("h", rH)
	u.load("weights", rWeights)
	u.load("offsets", rOffsets)
	u.load("n", rN)
	if k == fast {
		u.load("num", rEps)
	} else {
		u.load("eps", rEps)
		u.load("scales", rScales)
		u.useConstants()
	}
	u.o("LSL $2, R%d, R%d", rN, rN)
	place := u.local(4 * positions)
	if k == forgetting {
		u.addPlace = u.local(4*positions) - place
	}
	u.o("ADD $%d, RSP, R%d", place, rC)
	u.v("zero", 0)
	for i := range positions / 4 {
		u.v("str", 0, rC, 16*i)
		if k == forgetting {
			u.v("str", 0, rC, u.addPlace+16*i)
		}
	}
	u.o("MOVD ZR, R%d", rT)
	u.o("MOVD ZR, R%d", rBefore) // c is 0 before the first spike, so any spike does
	return u
}

// begin sets the places to those of the first position.
func (u *updater) begin() {
	u.o("MOVD R%d, R%d", rH, rPlace)
	u.o("ADD $16, RSP, R%d", rC)
	u.o("ADD R%d, R%d, R%d", rBefore, rOffsets, rLastAt)
	u.o("ADD R%d, R%d, R%d", rT, rOffsets, rNextAt)
	if u.kind != fast {
		u.o("ADD R%d, R%d, R%d", rT, rEps, rEpsAt)
		u.o("MOVD R%d, R%d", rScales, rScalesAt)
	}
}

// update generates the function for a number of vectors. One pass over h applies a spike and forms
// the sum q for the next one.
func update(vectors int, k kind) {
	name := fmt.Sprintf("update%s%dNEON", k, 4*vectors)
	doc := fmt.Sprintf("%s applies n spikes to each of 4*fours positions, at most %d, of %d neurons", name, group, 4*vectors)
	if k == fast {
		doc += ", and\n// multiplies h by a factor"
	}
	u := newUpdater(name, k, vectors, group, "fours int", doc+".")
	u.c, u.adds, u.add = 28, 29, 30
	u.label("spike")
	u.begin()
	u.load("fours", rLeft)
	u.label("four")
	u.v("ldr", u.c, rC, 0)
	if k == forgetting {
		u.v("ldr", u.adds, rC, u.addPlace)
	}
	var sums [4][2]int
	for i := range 4 {
		sums[i] = [2]int{20 + 2*i, 21 + 2*i}
		u.position(i, sums[i])
	}
	u.quotients(sums)
	u.o("ADD $16, R%d, R%d", rC, rC)
	u.o("ADD $%d, R%d, R%d", 4*4*chunk, rLastAt, rLastAt)
	u.o("ADD $%d, R%d, R%d", 4*4*chunk, rNextAt, rNextAt)
	if k != fast {
		u.o("ADD $%d, R%d, R%d", 4*4*chunk, rEpsAt, rEpsAt)
		u.o("ADD $16, R%d, R%d", rScalesAt, rScalesAt)
	}
	u.o("SUBS $1, R%d, R%d", rLeft, rLeft)
	u.o("BNE four")
	u.o("MOVD R%d, R%d", rT, rBefore)
	u.o("ADD $4, R%d, R%d", rT, rT)
	u.o("CMP R%d, R%d", rN, rT)
	u.o("BLT spike")
	u.end()
	u.ret()
}

// row loads a row of weights of position i: the offset is at the given place.
func (u *updater) row(at, i, register int) {
	u.o("MOVWU %d(R%d), R%d", 4*chunk*i, at, register)
	u.o("ADD R%d, R%d, R%d", rWeights, register, register)
}

// grow applies the last spike to up to four vectors of h, and leaves the results in registers beginning
// with h. It uses as many beginning with w. c is lane i of its register.
func (u *updater) grow(i, place, last, at, count, h, w int) {
	u.span("ldp", "ldr", count, h, place, at)
	u.span("ldp", "ldr", count, w, last, at)
	for j := range count {
		u.v("fmul", w+j, h+j, w+j)
	}
	for j := range count {
		u.v("fmlalane", h+j, w+j, u.c, i)
	}
	if u.kind == forgetting {
		for j := range count {
			u.v("fadd", h+j, h+j, u.add)
		}
	}
}

// position applies the last spike of position i of four and forms the sum for its next one: the
// partial sums 0 to 3 and 4 to 7 of 8.
func (u *updater) position(i int, sums [2]int) {
	u.row(rLastAt, i, rLast)
	u.row(rNextAt, i, rNext)
	if u.kind == forgetting {
		u.v("dup", u.add, u.adds, i)
	}
	partial := [4]int{sums[0], sums[1], 18, 19}
	for v := 0; v < u.perRow; v += 4 {
		count, h := min(4, u.perRow-v), v%8
		w := 8 + h
		u.grow(i, rPlace, rLast, 16*v, count, h, w)
		u.span("ldp", "ldr", count, w, rNext, 16*v)
		u.span("stp", "str", count, h, rPlace, 16*v)
		for j := range count {
			switch {
			case v == 0:
				u.v("fmul", partial[j], w+j, h+j)
			case 4*u.perRow <= fewNeurons:
				u.v("fmul", w+j, w+j, h+j)
			default:
				u.v("fmla", partial[j], w+j, h+j)
			}
		}
		for j := range count {
			if v > 0 && 4*u.perRow <= fewNeurons {
				u.v("fadd", partial[j], partial[j], w+j)
			}
		}
	}
	for j := range 2 {
		if u.perRow > j+2 {
			u.v("fadd", sums[j], sums[j], partial[j+2])
		}
	}
	u.o("ADD $%d, R%d, R%d", 16*u.perRow, rPlace, rPlace)
}

// quotients computes c of four positions from their partial sums.
func (u *updater) quotients(sums [4][2]int) {
	const q, x, y, z = 0, 1, 2, 3
	halves := 2
	if u.perRow == 1 {
		halves = 1 // the other one is 0
	}
	for half := range halves {
		to := [2]int{q, x}[half]
		a, b, c, d := sums[0][half], sums[1][half], sums[2][half], sums[3][half]
		u.v("zip1d", y, a, b)
		u.v("zip2d", z, a, b)
		u.v("fadd", y, y, z)
		u.v("zip1d", z, c, d)
		u.v("zip2d", 4, c, d)
		u.v("fadd", z, z, 4)
		u.v("faddp", to, y, z)
	}
	if halves == 2 {
		u.v("fadd", q, q, x)
	}
	if u.kind == fast {
		u.o("ADD R%d, R%d, R%d", rT, rEps, rNumber)
		u.v("ld1r", x, rNumber)
		u.v("fdiv", q, x, q)
	} else {
		u.numerators(q)
	}
	u.v("str", q, rC, 0)
}

// numerators computes c of four positions from q, with 0 for a spike that is skipped, and updates
// their common factors.
func (u *updater) numerators(q int) {
	const e, s, num, counts, x = 1, 2, 3, 4, 5
	u.v("ldrs", e, rEpsAt, 0)
	for i := 1; i < 4; i++ {
		u.v("ldrs", x, rEpsAt, 4*chunk*i)
		u.v("ins", e, i, x, 0)
	}
	u.v("ldr", s, rScalesAt, 0)
	u.constant(num, math.Float32bits(minOverlap))
	u.v("fmul", num, num, s)
	u.v("fcmgt", counts, q, num)
	u.v("fmul", num, e, s)
	u.v("fdiv", q, num, q)
	u.v("and", q, q, counts)
	if u.kind == forgetting {
		u.spread("share", x)
		u.v("fmul", num, num, x)
		u.v("and", num, num, counts)
		u.v("str", num, rC, u.addPlace)
	}
	u.spread("growth", x)
	u.v("fmul", e, e, x)
	u.constant(x, math.Float32bits(1))
	u.v("fadd", e, e, x)
	u.v("fmul", e, e, s)
	u.v("bit", s, e, counts)
	u.v("str", s, rScalesAt, 0)
}

// end applies the last spikes.
func (u *updater) end() {
	u.begin()
	u.load("fours", rLeft)
	u.o("LSL $2, R%d, R%d", rLeft, rLeft)
	const factor = 31
	if u.kind == fast {
		u.spread("factor", factor)
	}
	u.label("last")
	u.row(rLastAt, 0, rLast)
	u.v("ldrs", u.c, rC, 0)
	if u.kind == forgetting {
		u.v("ldrs", u.add, rC, u.addPlace)
		u.v("dup", u.add, u.add, 0)
	}
	for v := 0; v < u.perRow; v += 4 {
		count, h := min(4, u.perRow-v), v%8
		u.grow(0, rPlace, rLast, 16*v, count, h, 8+h)
		if u.kind == fast {
			for j := range count {
				u.v("fmul", h+j, h+j, factor)
			}
		}
		u.span("stp", "str", count, h, rPlace, 16*v)
	}
	u.o("ADD $%d, R%d, R%d", 16*u.perRow, rPlace, rPlace)
	u.o("ADD $4, R%d, R%d", rC, rC)
	u.o("ADD $%d, R%d, R%d", 4*chunk, rLastAt, rLastAt)
	u.o("SUBS $1, R%d, R%d", rLeft, rLeft)
	u.o("BNE last")
}
