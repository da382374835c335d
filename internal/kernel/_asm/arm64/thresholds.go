package main

import (
	"fmt"
	"math"
)

const (
	fullShare = 1<<31 - 1
	belowFull = 1<<31 - 1<<7 // the largest float32 below 2^31
)

// drawer generates the functions that turn sums of patches side by side into thresholds, for two
// vectors of 4 patches.
type drawer struct {
	*function
	spans int
	bases [3]int    // general registers
	masks [3][2]int // vectors
	sums  [2]int
	most  int
}

// threshold sets t to the thresholds for sums. most holds belowFull, and full the threshold that stands
// for the total. spare is free.
func (f *function) threshold(t, sums, totals, scale, most, full, spare int) {
	f.v("fmul", spare, sums, scale)
	f.v("fcmgt", t, totals, sums)
	f.v("fmin", spare, spare, most)
	f.v("fcvtzs", spare, spare)
	f.v("bsl", t, spare, full)
}

// thresholdsOfSums generates the function for the sums of one patch.
func thresholdsOfSums() {
	f := newFunction("thresholdsNEON", "func(dst *uint32, sums *float32, n int, total, scale float32)",
		"thresholdsNEON writes the thresholds for n sums, a multiple of 16. The scale is 2^31 divided by the total.")
	const dst, sums, n = R0, R1, R2
	f.load("dst", dst)
	f.load("sums", sums)
	f.load("n", n)
	f.useConstants()
	const total, scale, most, full = 16, 17, 18, 19
	f.spread("total", total)
	f.spread("scale", scale)
	f.constant(most, math.Float32bits(belowFull))
	f.constant(full, fullShare)
	f.loop(n, 16, func() {
		for i := 0; i < 4; i += 2 {
			f.v("ldppost", i, i+1, sums, 32)
		}
		for i := range 4 {
			f.threshold(4+i, i, total, scale, most, full, 8+i)
		}
		for i := 0; i < 4; i += 2 {
			f.v("stppost", 4+i, 5+i, dst, 32)
		}
	})
	f.ret()
}

func (d *drawer) name(of string) string { return fmt.Sprintf("%sRow%dNEON", of, d.spans) }

func (d *drawer) docOfLanes() []string {
	return []string{fmt.Sprintf("Lane i is for the patch at x[starts[j]+i], for the last j < %d for which bit i of lanes[j] is set or j is 0.", d.spans)}
}

const rEntry, rOffsetsOf, rEntries = R10, R11, R12

// locate loads the places of the patches, and sets the sums to 0.
func (d *drawer) locate() {
	const x, starts, lanes, value = R0, R1, R2, R3
	d.load("x", x)
	d.load("starts", starts)
	d.load("lanes", lanes)
	d.load("offsets", rOffsetsOf)
	d.load("k", rEntries)
	d.useConstants()
	for j := range d.spans {
		d.bases[j] = R4 + j
		d.o("MOVD %d(R%d), R%d", 8*j, starts, d.bases[j])
		d.o("ADD R%d<<2, R%d, R%d", d.bases[j], x, d.bases[j])
		if j == 0 {
			continue
		}
		d.o("MOVWU %d(R%d), R%d", 4*j, lanes, value)
		for v := range 2 {
			mask, bit := 22+2*j+v, 1<<(4*v)
			d.v("dupw", mask, value)
			d.v("ldr", 0, constantBase, data(uint32(bit), uint32(2*bit), uint32(4*bit), uint32(8*bit)))
			d.v("and", mask, mask, 0)
			d.v("cmeq", mask, mask, 0)
			d.masks[j][v] = mask
		}
	}
	d.sums, d.most = [2]int{16, 17}, 18
	d.v("zero", d.sums[0])
	d.v("zero", d.sums[1])
}

// add adds the next entry of the patches to the sums.
func (d *drawer) add() {
	const at = R13
	d.o("MOVW.P 4(R%d), R%d", rOffsetsOf, rEntry)
	const x, y = 28, 30 // and the next ones
	for j := range d.spans {
		v := x
		if j > 0 {
			v = y
		}
		d.o("ADD R%d<<2, R%d, R%d", rEntry, d.bases[j], at)
		d.v("ldp", v, v+1, at, 0)
		if j > 0 {
			d.v("bit", x, y, d.masks[j][0])
			d.v("bit", x+1, y+1, d.masks[j][1])
		}
	}
	d.v("fadd", d.sums[0], d.sums[0], x)
	d.v("fadd", d.sums[1], d.sums[1], x+1)
}

// totalsRow generates the function for the totals.
func (d *drawer) totalsRow() {
	name := d.name("totals")
	d.function = newFunction(name, "func(totals, x *float32, starts *[3]int, lanes *[3]uint32, offsets *int32, k int)",
		append([]string{name + " writes the sums of the k entries of 8 patches."}, d.docOfLanes()...)...)
	d.locate()
	d.loop(rEntries, 1, d.add)
	d.load("totals", R0)
	d.v("stp", d.sums[0], d.sums[1], R0, 0)
	d.ret()
}

// thresholdsRow generates the function for the thresholds. It transposes blocks of four.
func (d *drawer) thresholdsRow() {
	name := d.name("thresholds")
	d.function = newFunction(name, "func(dst *uint32, room, n int, totals, x *float32, starts *[3]int, lanes *[3]uint32, offsets *int32, k int)",
		append([]string{name + " writes the thresholds of the first n of 8 patches: the k thresholds of a patch, a multiple of 4, follow",
			"each other, and room is the distance from patch to patch."}, d.docOfLanes()...)...)
	d.locate()
	const dst, room, n, place = R0, R1, R2, R3
	d.load("totals", R0)
	totals, scales := [2]int{19, 20}, [2]int{21, 22}
	d.v("ldp", totals[0], totals[1], R0, 0)
	for v := range 2 {
		d.constant(scales[v], math.Float32bits(1<<31))
		d.v("fdiv", scales[v], scales[v], totals[v])
	}
	const full = 23
	d.constant(d.most, math.Float32bits(belowFull))
	d.constant(full, fullShare)
	d.load("dst", dst)
	d.load("room", room)
	d.load("n", n)
	d.o("LSL $2, R%d, R%d", room, room)
	d.loop(rEntries, 4, func() {
		for j := range 4 {
			d.add()
			for v := range 2 {
				d.threshold(4*v+j, d.sums[v], totals[v], scales[v], d.most, full, 8+v)
			}
		}
		d.o("MOVD R%d, R%d", dst, place)
		done := d.unique("done")
		for v := range 2 {
			d.transpose4(4*v, next4(12), 8)
			for c := range 4 {
				d.v("str", 12+c, place, 0)
				if i := 4*v + c; i < 7 {
					d.o("CMP $%d, R%d", i+1, n)
					d.o("BEQ %s", done)
					d.o("ADD R%d, R%d, R%d", room, place, place)
				}
			}
		}
		d.label(done)
		d.o("ADD $16, R%d, R%d", dst, dst)
	})
	d.ret()
}
