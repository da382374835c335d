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
			if vectors >= 4 && vectors%2 == 0 {
				updateKept(vectors, k)
				continue
			}
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
	rQuotients        = R20 // c of the four whose quotients are next
	rStarted          = R23 // whether the sums of four positions wait for their quotients
	rNumber           = R24
)

// updater is the state of one function. The addends of forgetting follow c in memory.
type updater struct {
	*function
	kind   kind
	perRow int // vectors of a row

	c, adds, add int // vectors: c of four positions, their addends, and one of these in all lanes
	free         int // and the next one are free when the quotients are computed
	addPlace     int // distance of the addends from c
}

func (k kind) signature(more string) string {
	if k == fast {
		return "func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32, " + more + ")"
	}
	return "func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32, " + more + ")"
}

// loadEpsilons loads what changes h with each spike, the scales into a register.
func (u *updater) loadEpsilons(scales int) {
	if u.kind == fast {
		u.load("num", rEps)
		return
	}
	u.load("eps", rEps)
	u.load("scales", scales)
	u.useConstants()
}

func newUpdater(name string, k kind, vectors, positions int, more string, doc ...string) *updater {
	u := &updater{function: newFunction(name, k.signature(more), doc...), kind: k, perRow: vectors, free: 4}
	u.load("h", rH)
	u.load("weights", rWeights)
	u.load("offsets", rOffsets)
	u.load("n", rN)
	u.loadEpsilons(rScales)
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
	u.o("MOVD R%d, R%d", rC, rQuotients)
	if u.kind != fast {
		u.o("ADD R%d, R%d, R%d", rT, rEps, rEpsAt)
		u.o("MOVD R%d, R%d", rScales, rScalesAt)
	}
}

// update generates the function for a number of vectors of at most fewNeurons neurons. One pass over h applies a spike and forms
// the sum q for the next one. The quotients of four positions are computed in the middle of the next four,
// so that the processor need not wait for them.
func update(vectors int, k kind) {
	name := fmt.Sprintf("update%s%dNEON", k, 4*vectors)
	doc := fmt.Sprintf("%s applies n spikes to each of 4*fours positions, at most %d, of %d neurons", name, group, 4*vectors)
	if k == fast {
		doc += ", and\n// multiplies h by a factor"
	}
	u := newUpdater(name, k, vectors, group, "fours int", doc+".")
	u.c, u.adds, u.add = 28, 29, 30
	sums, before := [4]int{20, 21, 22, 23}, [2]int{24, 25}
	u.label("spike")
	u.begin()
	u.load("fours", rLeft)
	u.o("MOVD ZR, R%d", rStarted)
	u.label("four")
	u.v("ldr", u.c, rC, 0)
	if k == forgetting {
		u.v("ldr", u.adds, rC, u.addPlace)
	}
	for i := range 4 {
		u.position(i, sums[i])
		if i == 1 {
			u.o("CBZ R%d, first", rStarted)
			u.quotients(before)
			u.label("first")
		}
	}
	u.pair(before, sums)
	u.o("MOVD $1, R%d", rStarted)
	u.o("ADD $16, R%d, R%d", rC, rC)
	u.o("ADD $%d, R%d, R%d", 4*4*chunk, rLastAt, rLastAt)
	u.o("ADD $%d, R%d, R%d", 4*4*chunk, rNextAt, rNextAt)
	u.o("SUBS $1, R%d, R%d", rLeft, rLeft)
	u.o("BNE four")
	u.quotients(before)
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
	u.each("ldr", count, w, last, at)
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

// position applies the last spike of position i of four and forms the sum for its next one.
func (u *updater) position(i, sum int) {
	u.row(rLastAt, i, rLast)
	u.row(rNextAt, i, rNext)
	if u.kind == forgetting {
		u.v("dup", u.add, u.adds, i)
	}
	partial := [4]int{sum, 17, 18, 19}
	for v := 0; v < u.perRow; v += 4 {
		count, h := min(4, u.perRow-v), v%8
		w := 8 + h
		u.grow(i, rPlace, rLast, 16*v, count, h, w)
		u.each("ldr", count, w, rNext, 16*v)
		u.span("stp", "str", count, h, rPlace, 16*v)
		for j := range count {
			product := w + j
			if v == 0 {
				product = partial[j]
			}
			u.v("fmul", product, w+j, h+j)
		}
		for j := range count {
			if v > 0 {
				u.v("fadd", partial[j], partial[j], w+j)
			}
		}
	}
	for j := range 2 {
		if u.perRow > j+2 {
			u.v("fadd", partial[j], partial[j], partial[j+2])
		}
	}
	if u.perRow == 1 {
		u.v("zero", partial[1])
	}
	u.fold(sum, sum, partial[1], 18)
	u.o("ADD $%d, R%d, R%d", 16*u.perRow, rPlace, rPlace)
}

// fold sets sum to a0+a2, a1+a3, a4+a6 and a5+a7, given a0 to a3 and a4 to a7. It uses two registers from
// free.
func (u *updater) fold(sum, low, high, free int) {
	u.v("trn1d", free, low, high)
	u.v("trn2d", free+1, low, high)
	u.v("fadd", sum, free, free+1)
}

// pair adds the pairs of the results of fold for four positions.
func (u *updater) pair(pairs [2]int, sums [4]int) {
	u.v("faddp", pairs[0], sums[0], sums[1])
	u.v("faddp", pairs[1], sums[2], sums[3])
}

// quotients computes c of the next four positions from the results of pair.
func (u *updater) quotients(pairs [2]int) {
	const q, x = 0, 1
	u.v("faddp", q, pairs[0], pairs[1])
	if u.kind == fast {
		u.o("ADD R%d, R%d, R%d", rT, rEps, rNumber)
		u.v("ld1r", x, rNumber)
		u.v("fdiv", q, x, q)
	} else {
		u.numerators(q, 4, 0, 0)
		if u.kind == forgetting {
			u.v("str", addends, rQuotients, u.addPlace)
		}
		u.o("ADD $%d, R%d, R%d", 4*4*chunk, rEpsAt, rEpsAt)
		u.o("ADD $16, R%d, R%d", rScalesAt, rScalesAt)
	}
	u.v("str", q, rQuotients, 0)
	u.o("ADD $16, R%d, R%d", rQuotients, rQuotients)
}

// addends is the register of the addends that numerators returns.
const addends = 3

// numerators computes c of four or two positions from q, with 0 for a spike that is skipped, and updates
// their common factors. first is the first of the positions, and at the distance of the spike from rEpsAt.
func (u *updater) numerators(q, count, first, at int) {
	const e, s, num = 1, 2, addends
	counts, x := u.free, u.free+1
	u.v("ldrs", e, rEpsAt, at+4*chunk*first)
	for i := 1; i < count; i++ {
		u.v("ldrs", x, rEpsAt, at+4*chunk*(first+i))
		u.v("ins", e, i, x, 0)
	}
	load, store, divide := "ldr", "str", "fdiv"
	if count == 2 {
		load, store, divide = "ldrd", "strd", "fdiv2s"
	}
	u.v(load, s, rScalesAt, 4*first)
	u.constant(num, math.Float32bits(minOverlap))
	u.v("fmul", num, num, s)
	u.v("fcmgt", counts, q, num)
	u.v("fmul", num, e, s)
	u.v(divide, q, num, q)
	u.v("and", q, q, counts)
	if u.kind == forgetting {
		u.spread("share", x)
		u.v("fmul", num, num, x)
		u.v("and", num, num, counts)
	}
	u.spread("growth", x)
	u.v("fmul", e, e, x)
	u.constant(x, math.Float32bits(1))
	u.v("fadd", e, e, x)
	u.v("fmul", e, e, s)
	u.v("bit", s, e, counts)
	u.v(store, s, rScalesAt, 4*first)
}

// beginLast begins the loop that applies the last spike of each position.
func (u *updater) beginLast(factor int) {
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
}

// end applies the last spikes.
func (u *updater) end() {
	u.begin()
	u.load("fours", rLeft)
	u.o("LSL $2, R%d, R%d", rLeft, rLeft)
	const factor = 31
	u.beginLast(factor)
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
