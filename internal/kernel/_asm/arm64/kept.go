package main

import "fmt"

// keeper is an updater for four positions at a time, which applies all spikes of a chunk to them before the next four.
// A part of their h stays in registers: loads and stores limit the speed otherwise. The quotients of two positions are
// computed in the middle of the next position, so that the processor need not wait for them.
type keeper struct {
	*updater
	kept             [4]map[int]int // registers of pairs of vectors of h, by position and the number of the first vector
	quotient, addend [2]int         // c and the addends of two positions each
	sums             [4]int         // the results of fold
}

// updateKept generates the function of update for an even number of vectors, at least 4.
func updateKept(vectors int, k kind) {
	name := fmt.Sprintf("update%s%dNEON", k, 4*vectors)
	doc := fmt.Sprintf("%s applies n spikes to each of 4*fours positions of %d neurons", name, 4*vectors)
	if k == fast {
		doc += ", and multiplies h by a factor"
	}
	u := &keeper{
		updater:  &updater{function: newFunction(name, k.signature("fours int"), doc+"."), kind: k, perRow: vectors, free: 8},
		quotient: [2]int{11, 12}, sums: [4]int{8, 9, 10, 8},
	}
	next, pairs := 13, 9
	if k == forgetting {
		u.addend, u.add = [2]int{13, 14}, 15
		next, pairs = 16, 8
	}
	for i := range u.kept {
		count := min((pairs+3-i)/4, vectors/2)
		u.kept[i] = map[int]int{}
		for j := range count {
			u.kept[i][j*vectors/2/count*2] = next
			next += 2
		}
	}
	u.load("h", rH)
	u.load("weights", rWeights)
	u.load("offsets", rOffsets)
	u.loadEpsilons(rScalesAt)
	u.load("fours", rLeft)
	u.label("four")
	u.load("n", rN)
	u.loadKept()
	u.o("MOVD R%d, R%d", rOffsets, rNextAt)
	u.o("MOVD R%d, R%d", rOffsets, rLastAt) // c is 0 before the first spike, so any spike does
	if k == fast {
		u.o("SUB $4, R%d, R%d", rEps, rEpsAt)
	} else {
		u.o("MOVD R%d, R%d", rEps, rEpsAt)
	}
	for pair := range 2 {
		u.v("zero", u.quotient[pair])
		if k == forgetting {
			u.v("zero", u.addend[pair])
		}
	}
	u.o("MOVD ZR, R%d", rStarted)
	u.label("spike")
	u.o("MOVD R%d, R%d", rH, rPlace)
	u.position(0, func() {
		u.o("CBZ R%d, first", rStarted)
		u.quotients(1)
		u.label("first")
	})
	u.position(1, nil)
	u.position(2, func() { u.quotients(0) })
	u.position(3, nil)
	u.o("MOVD $1, R%d", rStarted)
	u.o("MOVD R%d, R%d", rNextAt, rLastAt)
	u.o("ADD $4, R%d, R%d", rNextAt, rNextAt)
	u.o("ADD $4, R%d, R%d", rEpsAt, rEpsAt)
	u.o("SUBS $1, R%d, R%d", rN, rN)
	u.o("BNE spike")
	u.quotients(1)
	u.end()
	u.o("ADD $%d, R%d, R%d", 4*4*chunk, rOffsets, rOffsets)
	if k != fast {
		u.o("ADD $%d, R%d, R%d", 4*4*chunk, rEps, rEps)
		u.o("ADD $16, R%d, R%d", rScalesAt, rScalesAt)
	}
	u.o("SUBS $1, R%d, R%d", rLeft, rLeft)
	u.o("BNE four")
	u.ret()
}

// loadKept loads h that is kept.
func (u *keeper) loadKept() {
	u.o("MOVD R%d, R%d", rH, rPlace)
	for _, kept := range u.kept {
		for v := 0; v < u.perRow; v += 2 {
			if h, ok := kept[v]; ok {
				u.v("ldp", h, h+1, rPlace, 16*v)
			}
		}
		u.o("ADD $%d, R%d, R%d", 16*u.perRow, rPlace, rPlace)
	}
}

// grow applies the last spike to two vectors of position i, the first of which is number v, and returns the first of
// their registers and whether they are kept.
func (u *keeper) grow(i, v int) (h int, kept bool) {
	const w = 2
	if h, kept = u.kept[i][v]; !kept {
		u.v("ldp", h, h+1, rPlace, 16*v)
	}
	u.each("ldr", 2, w, rLast, 16*v)
	for j := range 2 {
		u.v("fmul", w+j, h+j, w+j)
	}
	for j := range 2 {
		u.v("fmlalane", h+j, w+j, u.quotient[i/2], i%2)
	}
	if u.kind == forgetting {
		for j := range 2 {
			u.v("fadd", h+j, h+j, u.add)
		}
	}
	return h, kept
}

// begin loads the places of the row of position i that is applied.
func (u *keeper) begin(i int) {
	u.row(rLastAt, i, rLast)
	if u.kind == forgetting {
		u.v("dup", u.add, u.addend[i/2], i%2)
	}
}

// position applies the last spike of position i and forms the sum for its next one. It calls between, if that is not
// nil, in the middle.
func (u *keeper) position(i int, between func()) {
	const w, partial = 2, 4
	u.begin(i)
	u.row(rNextAt, i, rNext)
	for v := 0; v < u.perRow; v += 2 {
		h, kept := u.grow(i, v)
		u.each("ldr", 2, w, rNext, 16*v)
		if !kept {
			u.v("stp", h, h+1, rPlace, 16*v)
		}
		rounded := 4*u.perRow <= fewNeurons
		for j := range 2 {
			switch {
			case v < 4:
				u.v("fmul", partial+v+j, w+j, h+j)
			case rounded:
				u.v("fmul", w+j, w+j, h+j)
			default:
				u.v("fmla", partial+(v+j)%4, w+j, h+j)
			}
		}
		for j := range 2 {
			if rounded && v >= 4 {
				u.v("fadd", partial+(v+j)%4, partial+(v+j)%4, w+j)
			}
		}
		if v == u.perRow/4*2 && between != nil {
			between()
		}
	}
	u.v("fadd", partial, partial, partial+2)
	u.v("fadd", partial+1, partial+1, partial+3)
	u.fold(u.sums[i], partial, partial+1, partial+2)
	u.o("ADD $%d, R%d, R%d", 16*u.perRow, rPlace, rPlace)
}

// quotients computes c of two positions from the results of fold. For the second two, this is after the next spike has
// begun.
func (u *keeper) quotients(pair int) {
	const q, x = 0, 1
	u.v("faddp", q, u.sums[2*pair], u.sums[2*pair+1])
	u.v("faddp", q, q, q)
	if u.kind == fast {
		u.v("ldrs", x, rEpsAt, 4*(1-pair))
		u.v("dup", x, x, 0)
		u.v("fdiv2s", u.quotient[pair], x, q)
		return
	}
	u.numerators(q, 2, 2*pair, -4*pair)
	u.v("mov", u.quotient[pair], q)
	if u.kind == forgetting {
		u.v("mov", u.addend[pair], addends)
	}
}

// end applies the last spikes.
func (u *keeper) end() {
	const factor = 8
	if u.kind == fast {
		u.spread("factor", factor)
	}
	u.o("MOVD R%d, R%d", rH, rPlace)
	for i := range 4 {
		u.begin(i)
		for v := 0; v < u.perRow; v += 2 {
			h, _ := u.grow(i, v)
			if u.kind == fast {
				u.v("fmul", h, h, factor)
				u.v("fmul", h+1, h+1, factor)
			}
			u.v("stp", h, h+1, rPlace, 16*v)
		}
		u.o("ADD $%d, R%d, R%d", 16*u.perRow, rPlace, rPlace)
	}
	u.o("MOVD R%d, R%d", rPlace, rH)
}
