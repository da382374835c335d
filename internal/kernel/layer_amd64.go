//go:build amd64 && !purego

package kernel

import "math"

// updaterFor returns the updater of a tier for layers with (k, n) weights.
func updaterFor(t Tier, k, n int) updater {
	u := updater{vector: 8, draw: drawAVX2, sample: sampler(sampleAVX2, sampleLowDiscrepancyAVX2), row: rowAVX2}
	table, wide := avx2, wideAVX2
	if t == AVX512 {
		u = updater{vector: 16, draw: drawAVX512, sample: sampler(sampleAVX512, sampleLowDiscrepancyAVX512), row: rowAVX512}
		table, wide = avx512, wideAVX512
	}
	u.transpose, u.layout = transposeAVXAll, layoutAssembly
	v := roundUp(n, u.vector) / u.vector
	width := u.vector * v
	if v >= len(table) {
		width = roundUp(n, u.vector*wideVectors)
	}
	if t == Portable || k > maxRows || uint64(k)*uint64(4*width) > math.MaxUint32 {
		return portable()
	}
	if v >= len(table) {
		return u.wide(wide)
	}
	f := table[v]
	u.positions, u.step = f.positions, f.positions
	u.fast = func(l *Layer, s *Scratch, r steps) {
		f.fast(&s.h[0], &l.weights[0], &s.offsets[r.first%chunk], &r.num[0], r.n, r.inverse)
	}
	u.general = func(l *Layer, s *Scratch, r steps) {
		at := r.first % chunk
		if l.forgetting > 0 {
			f.forgetting(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1+l.forgetting, l.forgetting/float32(l.n))
		} else {
			f.general(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1, 0)
		}
	}
	return u
}

// wide returns u changed for layers with more neurons than the tables have functions
// for.
func (u updater) wide(f wideUpdate) updater {
	u.positions, u.step = wideGroup, 1
	u.vector *= wideVectors
	u.fast = func(l *Layer, s *Scratch, r steps) {
		f.fast(&s.h[0], &l.weights[0], &s.offsets[r.first%chunk], &r.num[0], r.n, r.inverse, 4*l.width, s.live)
	}
	u.general = func(l *Layer, s *Scratch, r steps) {
		at := r.first % chunk
		if l.forgetting > 0 {
			f.forgetting(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1+l.forgetting, l.forgetting/float32(l.n), 4*l.width, s.live)
		} else {
			f.general(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1, 0, 4*l.width, s.live)
		}
	}
	return u
}

// wideUpdate holds the assembly functions for any number of neurons.
type wideUpdate struct {
	fast                func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32, rowBytes, positions int)
	general, forgetting func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32, rowBytes, positions int)
}

var (
	wideAVX2   = wideUpdate{updateFastWideAVX2, updateGeneralWideAVX2, updateForgettingWideAVX2}
	wideAVX512 = wideUpdate{updateFastWideAVX512, updateGeneralWideAVX512, updateForgettingWideAVX512}
)

// maxRows bounds the rows of weights in the assembly tiers: the index of a row plus
// the padding must be a signed 32-bit integer. A patch with more entries would not
// fit into memory together with its weights.
const maxRows = 1 << 30

// coarse is the number of entries of the coarse table in the assembly tiers.
const coarse = 32

// layoutAssembly adds padding because a search reads up to 32 thresholds after the
// last one.
func layoutAssembly(k, _ int) layout {
	l := layout{coarse: coarse, block: 1, fill: fullShare}
	for coarse*l.block < k {
		l.block *= 2
	}
	l.room = coarse*l.block + 32
	return l
}

type generalFunc func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32)

type update struct {
	positions           int
	fast                func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32)
	general, forgetting generalFunc
}

type sampleFunc func(dst *uint32, n, positions int, coarse *[coarse]uint32, thresholds *uint32, room int, block uint32, states *uint64, scale uint32)

// sampler returns the sample function of an updater. It rounds the number of spikes
// up to whole vectors.
func sampler(random, lowDiscrepancy sampleFunc) func(l *Layer, s *Scratch, g, n, first int, scale uint32) {
	return func(l *Layer, s *Scratch, g, n, first int, scale uint32) {
		f := random
		if l.lowDiscrepancy {
			f = lowDiscrepancy
		}
		for i, key := range s.keys[g:][:n] {
			if l.lowDiscrepancy {
				s.states[i] = uint64(evenNumber(key, first))
			} else {
				s.states[i] = counter(key, first)
			}
		}
		f(&s.offsets[g*chunk], roundUp(min(chunk, l.spikes-first), 16), n, (*[coarse]uint32)(s.coarse[g*coarse:]),
			&s.thresholds[g*l.layout.room], l.layout.room, uint32(l.layout.block), &s.states[0], scale)
	}
}

// drawAVX512 computes the tables from running sums.
func drawAVX512(l *Layer, s *Scratch, g int, sums []float32) {
	drawThresholds(l, s, g, sums, thresholdsAVX512)
	coarseAVX512(l, s, g)
}

// drawAVX2 is drawAVX512 for AVX2.
func drawAVX2(l *Layer, s *Scratch, g int, sums []float32) {
	drawThresholds(l, s, g, sums, thresholdsAVX2)
	coarseAVX2(l, s, g)
}

// drawThresholds computes whole vectors of thresholds and then restores the padding.
func drawThresholds(l *Layer, s *Scratch, g int, sums []float32, thresholds func(dst *uint32, sums *float32, n int, total, scale float32)) {
	t, total := s.thresholds[g*l.layout.room:][:l.layout.room], sums[l.k-1]
	if total < leastTotal {
		Thresholds(t[:l.k], sums[:l.k])
		return
	}
	thresholds(&t[0], &sums[0], len(sums), total, (1<<31)/total)
	for i := l.k; i < len(sums); i++ {
		t[i] = l.layout.fill
	}
}

// coarseAVX512 fills the coarse table of position g with the last threshold of each block.
func coarseAVX512(l *Layer, s *Scratch, g int) {
	if l.layout.block > 2 { // sampleAVX512 searches up to 64 thresholds directly
		lookAVX512(&s.coarse[g*coarse], &s.thresholds[g*l.layout.room], uint32(l.layout.block))
	}
}

// coarseAVX2 is coarseAVX512 for the order of the table for AVX2: a binary search tree.
func coarseAVX2(l *Layer, s *Scratch, g int) {
	lookAVX2(&s.coarse[g*coarse], &s.thresholds[g*l.layout.room], uint32(l.layout.block))
}
