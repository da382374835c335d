package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// wideVectors is the number of vectors per iteration of the inner loop of updateWide.
// The number of vectors of a row is a multiple of it.
const wideVectors = 4

// groupWide is the number of positions of a group. It is small because their h are
// large.
const groupWide = 4

// updateWide is updateFused for any number of neurons. A group may have fewer
// positions, which saves their time.
func updateWide(tier string, size int, k kind) {
	name := fmt.Sprintf("update%sWide%s", k, tier)
	s := signatures[k]
	TEXT(name, NOSPLIT, s[:len(s)-1]+", rowBytes, positions int)")
	doc := fmt.Sprintf("%s applies n spikes to each of at most %d positions", name, groupWide)
	if k == fast {
		doc += ", and multiplies h by a factor"
	}
	Doc(doc+".", fmt.Sprintf("The length of a row is a multiple of %d neurons.", wideVectors*size/4))
	Pragma("noescape")
	f := newFused(k, wideVectors, groupWide, size)
	f.vectorRegisters()
	w := wide{f, address("rowBytes"), Load(Param("positions"), GP64()), GP64(), GP64()}
	Label("spike")
	w.positions("next", true)
	f.quotients(0, 0)
	MOVQ(f.t, f.before)
	INCQ(f.t)
	CMPQ(f.t, f.n)
	JL(LabelRef("spike"))
	Comment("Apply the last spikes.")
	w.positions("end", false)
	if k == fast {
		w.multiply()
	}
	VZEROUPPER()
	RET()
}

type wide struct {
	*fused
	rowBytes Mem
	live     reg.Register
	place, v reg.GPVirtual // address of h of the position, and the bytes of its row that are done
}

// positions applies the last spike of each position and, if next is set, forms the
// sums for the next ones.
func (w wide) positions(name string, next bool) {
	MOVQ(w.h, w.place)
	for i := range groupWide {
		w.lastSpike(i)
		ADDQ(w.weights, w.last)
		// A sum has 32 lanes.
		sums := []int{i, 4, 5, 6}[:128/w.size]
		sum := func(j int) reg.VecPhysical { return w.vector(sums[j%len(sums)]) }
		if next {
			w.nextRow(i)
			ADDQ(w.weights, w.next)
			for _, j := range sums {
				VXORPS(allY[j].AsX(), allY[j].AsX(), allY[j].AsX()) // also clears the higher lanes
			}
		}
		XORQ(w.v, w.v)
		label := fmt.Sprintf("%s%d", name, i)
		Label(label)
		for v := range wideVectors {
			at := func(base reg.Register) Mem { return Mem{Base: base, Index: w.v, Scale: 1, Disp: w.size * v} }
			result := w.results[v]
			w.growAt(at(w.place), at(w.last), result)
			VMOVUPS(result, at(w.place))
			if next {
				VFMADD231PS(at(w.next), result, sum(v))
			}
		}
		ADDQ(I32(w.size*wideVectors), w.v)
		CMPQ(w.v, w.rowBytes)
		JL(LabelRef(label))
		ADDQ(w.v, w.place)
		for n := len(sums); next && n > 1; n /= 2 {
			for j := range n / 2 {
				VADDPS(sum(j+n/2), sum(j), sum(j))
			}
		}
		if i < groupWide-1 {
			CMPQ(w.live, U8(uint8(i+1)))
			JE(LabelRef(name + "Done"))
		}
	}
	Label(name + "Done")
}

// multiply multiplies h by the factor.
func (w wide) multiply() {
	VBROADCASTSS(address("factor"), w.vector(0))
	Label("multiply") // place is the end of h
	for v := range wideVectors {
		at, result := Mem{Base: w.h, Disp: w.size * v}, w.results[v]
		VMULPS(at, w.vector(0), result)
		VMOVUPS(result, at)
	}
	ADDQ(I32(w.size*wideVectors), w.h)
	CMPQ(w.h, w.place)
	JL(LabelRef("multiply"))
}
