package main

import "fmt"

const (
	wideGroup   = 4 // positions of a group with more than 96 neurons
	wideVectors = 8 // vectors per iteration of the loop over h
)

// updateWide is update for any number of neurons. A group may have fewer positions than four, which
// saves their time.
func updateWide(k kind) {
	name := fmt.Sprintf("update%sWideNEON", k)
	doc := fmt.Sprintf("%s applies n spikes to each of at most %d positions", name, wideGroup)
	if k == fast {
		doc += ", and multiplies h by a factor"
	}
	u := newUpdater(name, k, wideVectors, wideGroup, "rowBytes, positions int",
		doc+".", fmt.Sprintf("The length of a row is a multiple of %d neurons.", 4*wideVectors))
	u.c, u.adds, u.add = 12, 13, 14
	const bytes, live = R21, R22
	u.load("rowBytes", bytes)
	u.load("positions", live)
	u.label("spike")
	u.begin()
	u.v("ldr", u.c, rC, 0)
	if k == forgetting {
		u.v("ldr", u.adds, rC, u.addPlace)
	}
	sums := [4]int{24, 25, 26, 27}
	for i := range wideGroup {
		u.widePosition(i, sums[i], bytes)
		if i < wideGroup-1 {
			u.o("CMP $%d, R%d", i+1, live)
			u.o("BEQ quotients")
		}
	}
	u.label("quotients")
	pairs := [2]int{sums[0], sums[2]}
	u.pair(pairs, sums)
	u.quotients(pairs)
	u.o("MOVD R%d, R%d", rT, rBefore)
	u.o("ADD $4, R%d, R%d", rT, rT)
	u.o("CMP R%d, R%d", rN, rT)
	u.o("BLT spike")
	u.wideEnd(bytes, live)
	u.ret()
}

// widePosition is position with a loop over h.
func (u *updater) widePosition(i, sum, bytes int) {
	u.row(rLastAt, i, rLast)
	u.row(rNextAt, i, rNext)
	if u.kind == forgetting {
		u.v("dup", u.add, u.adds, i)
	}
	for j := range 8 {
		u.v("zero", 16+j)
	}
	label := fmt.Sprintf("position%d", i)
	u.o("MOVD R%d, R%d", bytes, rLeft)
	u.label(label)
	for v := 0; v < wideVectors; v += 4 {
		const h, w, x = 0, 4, 8
		u.grow(i, rPlace, rLast, 16*v, 4, h, w)
		u.each("ldr", 4, x, rNext, 16*v)
		u.span("stp", "str", 4, h, rPlace, 16*v)
		for j := range 4 {
			u.v("fmla", 16+v+j, x+j, h+j)
		}
	}
	for _, r := range []int{rPlace, rLast, rNext} {
		u.o("ADD $%d, R%d, R%d", 16*wideVectors, r, r)
	}
	u.o("SUBS $%d, R%d, R%d", 16*wideVectors, rLeft, rLeft)
	u.o("BNE %s", label)
	for j := range 4 {
		u.v("fadd", 16+j, 16+j, 20+j)
	}
	u.v("fadd", 16, 16, 18)
	u.v("fadd", 17, 17, 19)
	u.fold(sum, 16, 17, 18)
}

// wideEnd applies the last spikes.
func (u *updater) wideEnd(bytes, live int) {
	u.begin()
	const factor = 31
	u.beginLast(factor)
	u.o("MOVD R%d, R%d", bytes, rLeft)
	u.label("lastVectors")
	for v := 0; v < wideVectors; v += 4 {
		const h, w = 0, 4
		u.grow(0, rPlace, rLast, 16*v, 4, h, w)
		if u.kind == fast {
			for j := range 4 {
				u.v("fmul", h+j, h+j, factor)
			}
		}
		u.span("stp", "str", 4, h, rPlace, 16*v)
	}
	for _, r := range []int{rPlace, rLast} {
		u.o("ADD $%d, R%d, R%d", 16*wideVectors, r, r)
	}
	u.o("SUBS $%d, R%d, R%d", 16*wideVectors, rLeft, rLeft)
	u.o("BNE lastVectors")
	u.o("ADD $4, R%d, R%d", rC, rC)
	u.o("ADD $%d, R%d, R%d", 4*chunk, rLastAt, rLastAt)
	u.o("SUBS $1, R%d, R%d", live, live)
	u.o("BNE last")
}
