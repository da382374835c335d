package kernel

import "math/bits"

// groupPortable is the number of positions of a group.
const groupPortable = 4

// portable returns how layers are updated in Go.
func portable(forgetting bool) updater {
	grow := grow
	if forgetting {
		grow = growAndAdd
	}
	update := func(l *Layer, s *Scratch, r steps) { updatePortable(l, s, r, grow) }
	return updater{
		positions: groupPortable, partial: true, vector: 1, rows: true, layout: layoutPortable,
		draw: drawPortable, sample: samplePortable, fast: update, general: update,
	}
}

// layoutPortable has no more thresholds than a patch has entries, and about two
// places to start from for each.
func layoutPortable(k int) layout {
	const most = 1 << 16
	return layout{room: k, coarse: min(1<<bits.Len(uint(2*k-1)), most)}
}

// drawPortable computes the thresholds of position g and where to start looking
// among them: entry b of its part of s.coarse is the spike for the smallest
// random number whose upper bits are b.
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

// starts returns where position g starts to look for its spikes, by the upper
// bits of the random number, and how many lower bits there are.
func (s *Scratch) starts(g int) (starts []uint32, shift uint) {
	n := s.l.layout.coarse
	return s.coarse[g*n:][:n], uint(33 - bits.Len(uint(n)))
}

// samplePortable draws the spikes of Sample and SampleLowDiscrepancy.
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

// numbers writes consecutive random numbers of a key, or of its low-discrepancy
// sequence, from an even one on.
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

// updatePortable applies spikes to the positions of a group. What one spike does
// to h, times 1 + c*w, is done together with the sum for the next. A position
// waits for its sum and its division, while the processor goes ahead with the
// others.
func updatePortable(l *Layer, s *Scratch, r steps, grow func(h, last, next []float32, c, add float32) float32) {
	var lasts [groupPortable][]float32 // rows of the spikes before
	var c, add [groupPortable]float32  // what these do
	n, at, weights := l.n, r.first%chunk, l.weights
	share := l.forgetting / float32(n)
	for g := range s.live {
		lasts[g] = weights[:n] // c is 0 yet: any row will do
	}
	for t := at; t < at+r.n; t++ {
		for g, last := range lasts[:s.live] {
			next := weights[int(s.offsets[g*chunk+t])*n:][:n]
			q := grow(s.h[g*n:][:n], last, next, c[g], add[g])
			lasts[g] = next
			if l.fast {
				c[g] = r.num[t-at] / q
				continue
			}
			scale := s.scales[g]
			if !(q > MinOverlap*scale) { // also when q is not a number
				c[g], add[g] = 0, 0
				continue
			}
			e := s.eps[g*chunk+t]
			c[g], add[g] = e*scale/q, e*scale*share
			s.scales[g] = scale * (1 + e*(1+l.forgetting))
		}
	}
	for g, last := range lasts[:s.live] {
		h := s.h[g*n:][:n]
		grow(h, last, last, c[g], add[g])
		if l.fast {
			multiply(h, r.inverse)
		}
	}
}

// grow does what a spike does to h, with the row last, and returns the sum of
// h*next for the spike after it. Without forgetting there is nothing to add.
func grow(h, last, next []float32, c, _ float32) float32 {
	var s0, s1, s2, s3 float32
	for len(h) >= 8 && len(last) >= 8 && len(next) >= 8 {
		v, w, x := (*[8]float32)(h), (*[8]float32)(last), (*[8]float32)(next)
		v0, v1, v2, v3 := v[0]*(1+c*w[0]), v[1]*(1+c*w[1]), v[2]*(1+c*w[2]), v[3]*(1+c*w[3])
		s0 += v0 * x[0]
		s1 += v1 * x[1]
		s2 += v2 * x[2]
		s3 += v3 * x[3]
		v[0], v[1], v[2], v[3] = v0, v1, v2, v3
		v0, v1, v2, v3 = v[4]*(1+c*w[4]), v[5]*(1+c*w[5]), v[6]*(1+c*w[6]), v[7]*(1+c*w[7])
		s0 += v0 * x[4]
		s1 += v1 * x[5]
		s2 += v2 * x[6]
		s3 += v3 * x[7]
		v[4], v[5], v[6], v[7] = v0, v1, v2, v3
		h, last, next = h[8:], last[8:], next[8:]
	}
	last, next = last[:len(h)], next[:len(h)]
	for i, v := range h {
		v *= 1 + c*last[i]
		s0 += v * next[i]
		h[i] = v
	}
	return (s0 + s1) + (s2 + s3)
}

// growAndAdd is grow with what forgetting adds to each neuron.
func growAndAdd(h, last, next []float32, c, add float32) float32 {
	var s0, s1, s2, s3 float32
	for len(h) >= 4 && len(last) >= 4 && len(next) >= 4 {
		v, w, x := (*[4]float32)(h), (*[4]float32)(last), (*[4]float32)(next)
		v0, v1, v2, v3 := v[0]*(1+c*w[0])+add, v[1]*(1+c*w[1])+add, v[2]*(1+c*w[2])+add, v[3]*(1+c*w[3])+add
		s0 += v0 * x[0]
		s1 += v1 * x[1]
		s2 += v2 * x[2]
		s3 += v3 * x[3]
		v[0], v[1], v[2], v[3] = v0, v1, v2, v3
		h, last, next = h[4:], last[4:], next[4:]
	}
	last, next = last[:len(h)], next[:len(h)]
	for i, v := range h {
		v = v*(1+c*last[i]) + add
		s0 += v * next[i]
		h[i] = v
	}
	return (s0 + s1) + (s2 + s3)
}
