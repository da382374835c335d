//go:build amd64 && !purego

package kernel

// assembly returns how a tier updates layers of n neurons, false when that is
// the portable way.
func assembly(t Tier, n int) (updater, bool) {
	const lanes = 16
	v := (n + lanes - 1) / lanes
	if t != AVX512 || v >= len(avx512) {
		return updater{}, false
	}
	f := avx512[v]
	return updater{
		positions: f.positions,
		vector:    lanes,
		sample:    sampleGroupAVX512,
		threshold: thresholdsGroupAVX512,
		fast: func(l *Layer, s *Scratch, r steps) {
			f.fast(&s.h[0], &l.weights[0], &s.offsets[r.first%chunk], &r.num[0], r.n, r.inverse)
		},
		general: func(l *Layer, s *Scratch, r steps) {
			at := r.first % chunk
			if l.forgetting > 0 {
				f.forgetting(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1+l.forgetting, l.forgetting/float32(l.n))
			} else {
				f.general(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1, 0)
			}
		},
	}, true
}

type generalFunc func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32)

// avx512 holds the functions for 16 neurons, 32 and so on.
var avx512 = []struct {
	positions           int
	fast                func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32)
	general, forgetting generalFunc
}{
	1: {24, updateFast16AVX512, updateGeneral16AVX512, updateForgetting16AVX512},
	2: {12, updateFast32AVX512, updateGeneral32AVX512, updateForgetting32AVX512},
	3: {6, updateFast48AVX512, updateGeneral48AVX512, updateForgetting48AVX512},
	4: {6, updateFast64AVX512, updateGeneral64AVX512, updateForgetting64AVX512},
	5: {4, updateFast80AVX512, updateGeneral80AVX512, updateForgetting80AVX512},
	6: {4, updateFast96AVX512, updateGeneral96AVX512, updateForgetting96AVX512},
}

// sampleGroupAVX512 draws position g's spikes of a chunk, rounded up to whole
// vectors, and multiplies them by scale.
func sampleGroupAVX512(l *Layer, s *Scratch, g, first int, scale uint32) {
	const lanes = 16
	n := (min(chunk, l.spikes-first) + lanes - 1) / lanes * lanes
	dst, look := &s.offsets[g*chunk], (*[coarse]uint32)(s.coarse[g*coarse:])
	thresholds, key := &s.thresholds[g*l.thresholds()], s.jobs[g].key
	if l.lowDiscrepancy {
		state := Random(key, 0) + uint32(first)*goldenStep
		sampleLowDiscrepancyAVX512(dst, n, look, thresholds, uint32(l.block), uint64(state), scale)
	} else {
		sampleAVX512(dst, n, look, thresholds, uint32(l.block), key+uint64(first/2+1)*gamma, scale)
	}
}

// thresholdsGroupAVX512 computes whole vectors of thresholds and makes those
// behind the last what they were.
func thresholdsGroupAVX512(t []uint32, sums []float32, k int) {
	thresholdsAVX512(&t[0], &sums[0], len(sums), (1<<32)/float64(sums[k-1]))
	for i := k - 1; i < len(sums); i++ {
		t[i] = 1<<32 - 1
	}
}
