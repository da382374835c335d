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
	w := &wideUpdater{updater: u, quotient: [2]int{12, 13}, addend: [2]int{14, 15}, sums: [4]int{24, 25, 26, 27}}
	u.add, u.free = 28, 29
	for pair := range 2 {
		u.v("zero", w.quotient[pair])
		u.v("zero", w.addend[pair])
	}
	const bytes, live = R21, R22
	u.load("rowBytes", bytes)
	u.load("positions", live)
	u.label("spike")
	u.begin()
	w.position(0, bytes)
	u.o("CBZ R%d, first", rT)
	u.o("CMP $2, R%d", live)
	u.o("BLE first")
	w.quotients(1, rBefore)
	u.label("first")
	u.o("CMP $1, R%d", live)
	u.o("BEQ few")
	w.position(1, bytes)
	u.o("CMP $2, R%d", live)
	u.o("BEQ few")
	w.position(2, bytes)
	w.quotients(0, rT)
	u.o("CMP $3, R%d", live)
	u.o("BEQ next")
	w.position(3, bytes)
	u.o("B next")
	u.label("few")
	w.quotients(0, rT)
	u.label("next")
	u.o("MOVD R%d, R%d", rT, rBefore)
	u.o("ADD $4, R%d, R%d", rT, rT)
	u.o("CMP R%d, R%d", rN, rT)
	u.o("BLT spike")
	u.o("CMP $2, R%d", live)
	u.o("BLE end")
	w.quotients(1, rBefore)
	u.label("end")
	u.begin()
	for pair := range 2 {
		u.v("strd", w.quotient[pair], rC, 8*pair)
		if k == forgetting {
			u.v("strd", w.addend[pair], rC, u.addPlace+8*pair)
		}
	}
	u.wideEnd(bytes, live)
	u.ret()
}

// wideUpdater computes the quotients of two positions at a time, those of the second two after the next spike has begun,
// so that the processor need not wait for them.
type wideUpdater struct {
	*updater
	quotient, addend [2]int // c and the addends of two positions each
	sums             [4]int // the results of fold
}

// quotients computes c of two positions. time is the register with 4 times the number of the spike.
func (w *wideUpdater) quotients(pair, time int) {
	const q, x = 0, 1
	w.v("faddp", q, w.sums[2*pair], w.sums[2*pair+1])
	w.v("faddp", q, q, q)
	w.o("ADD R%d, R%d, R%d", time, rEps, rEpsAt)
	if w.kind == fast {
		w.v("ld1r", x, rEpsAt)
		w.v("fdiv2s", w.quotient[pair], x, q)
		return
	}
	w.numerators(q, 2, 2*pair, 0)
	w.v("mov", w.quotient[pair], q)
	if w.kind == forgetting {
		w.v("mov", w.addend[pair], addends)
	}
}

// position is that of updater with a loop over h.
func (w *wideUpdater) position(i, bytes int) {
	u := w.updater
	u.c = w.quotient[i/2]
	u.row(rLastAt, i, rLast)
	u.row(rNextAt, i, rNext)
	if u.kind == forgetting {
		u.v("dup", u.add, w.addend[i/2], i%2)
	}
	for j := range 8 {
		u.v("zero", 16+j)
	}
	label := fmt.Sprintf("position%d", i)
	u.o("MOVD R%d, R%d", bytes, rLeft)
	u.label(label)
	for v := 0; v < wideVectors; v += 4 {
		const h, row, x = 0, 4, 8
		u.grow(i%2, rPlace, rLast, 16*v, 4, h, row)
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
	u.fold(w.sums[i], 16, 17, 18)
}

// wideEnd applies the last spikes.
func (u *updater) wideEnd(bytes, live int) {
	u.c = 12
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
