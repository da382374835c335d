package kernel

import (
	"math/bits"
	"unsafe"
)

// groupPortable is the number of positions of a group. It must be even.
const groupPortable = 4

// portable returns the updater of the portable tier.
func portable(forgetting bool) updater {
	grow := growFunc(grow)
	if forgetting {
		grow = growAndAdd
	}
	update := func(l *Layer, s *Scratch, r steps) { updatePortable(l, s, r, grow) }
	return updater{
		positions: groupPortable, partial: true, vector: len(block{}), rows: true, layout: layoutPortable,
		draw: drawPortable, sample: samplePortable, fast: update, general: update, transpose: transpose,
	}
}

// layoutPortable has no padding, and two to four entries of the coarse table for
// each threshold, up to a limit.
func layoutPortable(k int) layout {
	const most = 1 << 16
	return layout{room: k, coarse: min(1<<bits.Len(uint(2*k-1)), most)}
}

// drawPortable computes the thresholds and the coarse table of position g: entry b
// of the table is the spike for the smallest random number whose upper bits are b.
func drawPortable(l *Layer, s *Scratch, g int, sums []float32) {
	t := s.thresholds[g*l.k:][:l.k]
	Thresholds(t, sums[:l.k])
	starts, shift := s.starts(g)
	var next uint32
	for k, v := range t {
		for ; next < uint32(len(starts)) && next<<shift <= v; next++ {
			starts[next] = uint32(k)
		}
	}
}

// starts returns the coarse table of position g and the number of bits by which a
// random number is shifted to the right to get an index into it.
func (s *Scratch) starts(g int) (starts []uint32, shift uint) {
	n := s.l.layout.coarse
	return s.coarse[g*n:][:n], uint(33 - bits.Len(uint(n)))
}

// samplePortable draws the same spikes as Sample or SampleLowDiscrepancy.
func samplePortable(l *Layer, s *Scratch, g, first int, scale uint32) {
	dst := s.offsets[g*chunk:][:min(chunk, l.spikes-first)]
	numbers(dst, s.jobs[g].key, first, l.lowDiscrepancy)
	t := s.thresholds[g*l.k:][:l.k]
	starts, shift := s.starts(g)
	for i, r := range dst {
		k := starts[r>>shift]
		for t[k] < r {
			k++
		}
		dst[i] = k * scale
	}
}

// numbers writes consecutive random numbers of a key, or numbers of its
// low-discrepancy sequence. The index of the first one must be even.
func numbers(dst []uint32, key uint64, first int, lowDiscrepancy bool) {
	if lowDiscrepancy {
		r := evenNumber(key, first)
		for i := range dst {
			dst[i] = r
			r += goldenStep
		}
		return
	}
	state := counter(key, first)
	for len(dst) >= 2 {
		w := mix(state)
		dst[0], dst[1] = uint32(w), uint32(w>>32)
		state += gamma
		dst = dst[2:]
	}
	if len(dst) > 0 {
		dst[0] = uint32(mix(state))
	}
}

// block holds some neurons of one position. Its length is constant so that the
// compiler does not check the bounds of each access.
type block = [8]float32

func blocks(v []float32) []block {
	return unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(v))), len(v)/len(block{}))
}

// growFunc applies one spike to each of two positions, 0 and 1: it sets every h to
// h*(1 + c*last) + add, where last is the row of weights of the spike and add the
// effect of forgetting. It returns the sums q of h*next for the spikes that follow,
// with the rows next.
type growFunc func(h0, h1, last0, last1, next0, next1 []block, c0, c1, add0, add1 float32) (q0, q1 float32)

// updatePortable applies spikes to the positions of a group, two at a time. One loop
// over h applies a spike, a multiplication by 1 + c*w, and forms the sum q for the
// next spike. The processor computes two positions while the other two wait for
// their sums and divisions.
func updatePortable(l *Layer, s *Scratch, r steps, grow growFunc) {
	var lasts [groupPortable][]block  // rows of the last spikes
	var c, add [groupPortable]float32 // arguments of grow for the last spikes
	n, at, weights, h := l.width/len(block{}), r.first%chunk, blocks(l.weights), blocks(s.h)
	row := func(g, t int) []block { return weights[int(s.offsets[g*chunk+t])*n:][:n] }
	share := l.forgetting / float32(l.n)
	for g := range lasts {
		lasts[g] = weights[:n] // c is 0 before the first spike, so any row does
	}
	for t := at; t < at+r.n; t++ {
		for a := 0; a < s.live; a += 2 {
			b := a + 1 // may be a position that is not used
			nexts, qs := [2][]block{row(a, t), row(b, t)}, [2]float32{}
			qs[0], qs[1] = grow(h[a*n:][:n], h[b*n:][:n], lasts[a], lasts[b], nexts[0], nexts[1], c[a], c[b], add[a], add[b])
			lasts[a], lasts[b] = nexts[0], nexts[1]
			if l.fast {
				c[a], c[b] = r.num[t-at]/qs[0], r.num[t-at]/qs[1]
				continue
			}
			for i, q := range qs {
				g := a + i
				scale := s.scales[g]
				if !(q > minOverlap*scale) { // also if q is NaN
					c[g], add[g] = 0, 0
					continue
				}
				e := s.eps[g*chunk+t]
				c[g], add[g] = e*scale/q, e*scale*share
				s.scales[g] = scale * (1 + e*(1+l.forgetting))
			}
		}
	}
	for a := 0; a < s.live; a += 2 {
		b := a + 1
		grow(h[a*n:][:n], h[b*n:][:n], lasts[a], lasts[b], lasts[a], lasts[b], c[a], c[b], add[a], add[b])
		if l.fast {
			multiply(s.h[a*l.width:][:2*l.width], r.inverse)
		}
	}
}

// grow is the growFunc without forgetting.
func grow(h0, h1, last0, last1, next0, next1 []block, c0, c1, _, _ float32) (q0, q1 float32) {
	h1, last0, last1, next0, next1 = h1[:len(h0)], last0[:len(h0)], last1[:len(h0)], next0[:len(h0)], next1[:len(h0)]
	var s0, s1, t0, t1 float32
	for i := range h0 {
		v, w, x := &h0[i], &last0[i], &next0[i]
		v[0] = v[0] * (1 + c0*w[0])
		s0 += v[0] * x[0]
		v[1] = v[1] * (1 + c0*w[1])
		s1 += v[1] * x[1]
		v[2] = v[2] * (1 + c0*w[2])
		s0 += v[2] * x[2]
		v[3] = v[3] * (1 + c0*w[3])
		s1 += v[3] * x[3]
		v[4] = v[4] * (1 + c0*w[4])
		s0 += v[4] * x[4]
		v[5] = v[5] * (1 + c0*w[5])
		s1 += v[5] * x[5]
		v[6] = v[6] * (1 + c0*w[6])
		s0 += v[6] * x[6]
		v[7] = v[7] * (1 + c0*w[7])
		s1 += v[7] * x[7]
		v, w, x = &h1[i], &last1[i], &next1[i]
		v[0] = v[0] * (1 + c1*w[0])
		t0 += v[0] * x[0]
		v[1] = v[1] * (1 + c1*w[1])
		t1 += v[1] * x[1]
		v[2] = v[2] * (1 + c1*w[2])
		t0 += v[2] * x[2]
		v[3] = v[3] * (1 + c1*w[3])
		t1 += v[3] * x[3]
		v[4] = v[4] * (1 + c1*w[4])
		t0 += v[4] * x[4]
		v[5] = v[5] * (1 + c1*w[5])
		t1 += v[5] * x[5]
		v[6] = v[6] * (1 + c1*w[6])
		t0 += v[6] * x[6]
		v[7] = v[7] * (1 + c1*w[7])
		t1 += v[7] * x[7]
	}
	return s0 + s1, t0 + t1
}

// growAndAdd is the growFunc with forgetting.
func growAndAdd(h0, h1, last0, last1, next0, next1 []block, c0, c1, a0, a1 float32) (q0, q1 float32) {
	h1, last0, last1, next0, next1 = h1[:len(h0)], last0[:len(h0)], last1[:len(h0)], next0[:len(h0)], next1[:len(h0)]
	var s0, s1, t0, t1 float32
	for i := range h0 {
		v, w, x := &h0[i], &last0[i], &next0[i]
		v[0] = v[0]*(1+c0*w[0]) + a0
		s0 += v[0] * x[0]
		v[1] = v[1]*(1+c0*w[1]) + a0
		s1 += v[1] * x[1]
		v[2] = v[2]*(1+c0*w[2]) + a0
		s0 += v[2] * x[2]
		v[3] = v[3]*(1+c0*w[3]) + a0
		s1 += v[3] * x[3]
		v[4] = v[4]*(1+c0*w[4]) + a0
		s0 += v[4] * x[4]
		v[5] = v[5]*(1+c0*w[5]) + a0
		s1 += v[5] * x[5]
		v[6] = v[6]*(1+c0*w[6]) + a0
		s0 += v[6] * x[6]
		v[7] = v[7]*(1+c0*w[7]) + a0
		s1 += v[7] * x[7]
		v, w, x = &h1[i], &last1[i], &next1[i]
		v[0] = v[0]*(1+c1*w[0]) + a1
		t0 += v[0] * x[0]
		v[1] = v[1]*(1+c1*w[1]) + a1
		t1 += v[1] * x[1]
		v[2] = v[2]*(1+c1*w[2]) + a1
		t0 += v[2] * x[2]
		v[3] = v[3]*(1+c1*w[3]) + a1
		t1 += v[3] * x[3]
		v[4] = v[4]*(1+c1*w[4]) + a1
		t0 += v[4] * x[4]
		v[5] = v[5]*(1+c1*w[5]) + a1
		t1 += v[5] * x[5]
		v[6] = v[6]*(1+c1*w[6]) + a1
		t0 += v[6] * x[6]
		v[7] = v[7]*(1+c1*w[7]) + a1
		t1 += v[7] * x[7]
	}
	return s0 + s1, t0 + t1
}

func multiply(h []float32, f float32) {
	for i := range h {
		h[i] *= f
	}
}
