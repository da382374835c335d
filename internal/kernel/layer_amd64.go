//go:build amd64 && !purego

package kernel

import (
	"cmp"
	"math"
	"slices"
	"unsafe"
)

// assembly returns how a tier updates layers of n neurons, false when that is
// the portable way.
func assembly(t Tier, n int) (updater, bool) {
	u := updater{vector: 8, order: levels, flip: 1 << 31, sample: sampleGroupAVX2, threshold: thresholdsGroupAVX2}
	table := avx2
	if t == AVX512 {
		u = updater{vector: 16, order: inOrder, inOrder: true, sample: sampleGroupAVX512, threshold: thresholdsGroupAVX512, row: rowAVX512{}}
		table = avx512
	}
	v := roundUp(n, u.vector) / u.vector
	if t == Portable || v >= len(table) {
		return updater{}, false
	}
	f := table[v]
	u.positions = f.positions
	u.transpose = transposeAVXAll
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
	return u, true
}

// inOrder and levels are orders of the coarse thresholds: by size, and level by
// level of the tree that a search goes down, the first three levels in 8 places.
var (
	inOrder = func() (o [coarse]uint8) {
		for i := range o {
			o[i] = uint8(i)
		}
		return o
	}()
	levels = [coarse]uint8{
		15, 7, 23, 3, 11, 19, 27, 31,
		1, 5, 9, 13, 17, 21, 25, 29,
		0, 2, 4, 6, 8, 10, 12, 14,
		16, 18, 20, 22, 24, 26, 28, 30,
	}
)

// transposeAVXAll leaves to portable code what is beyond whole blocks.
func transposeAVXAll(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	r, c := rows&^3, cols&^3
	if r > 0 && c > 0 {
		_, _ = dst[(c-1)*dstStride+r-1], src[(r-1)*srcStride+c-1]
		transposeAVX(&dst[0], 4*dstStride, &src[0], 4*srcStride, r, c)
	}
	if c < cols {
		transpose(dst[c*dstStride:], dstStride, src[c:], srcStride, r, cols-c)
	}
	if r < rows {
		transpose(dst[r:], dstStride, src[r*srcStride:], srcStride, rows-r, cols)
	}
}

type generalFunc func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32)

type update struct {
	positions           int
	fast                func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32)
	general, forgetting generalFunc
}

// sampleGroupAVX512 draws position g's spikes of a chunk, rounded up to whole
// vectors, and multiplies them by scale.
func sampleGroupAVX512(l *Layer, s *Scratch, g, first int, scale uint32) {
	n := roundUp(min(chunk, l.spikes-first), l.up.vector)
	dst, look := &s.offsets[g*chunk], (*[coarse]uint32)(s.coarse[g*coarse:])
	thresholds, key := &s.thresholds[g*l.thresholds()], s.jobs[g].key
	if l.lowDiscrepancy {
		sampleLowDiscrepancyAVX512(dst, n, look, thresholds, uint32(l.block), uint64(evenNumber(key, first)), scale)
	} else {
		sampleAVX512(dst, n, look, thresholds, uint32(l.block), counter(key, first), scale)
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

// rowAVX512 is the rowDrawer.
type rowAVX512 struct{}

func (rowAVX512) cumulate(s *Scratch, x []float32, offsets []int32) {
	var starts [MaxSpans]int
	var lanes [MaxSpans]uint32
	first := 0
	for i, p := range s.spans {
		starts[i] = p.Start - first
		lanes[i] = (1<<p.N - 1) << first
		first += p.N
	}
	cumulateRowAVX512(&s.row[0], &x[0], &starts, &lanes, &offsets[0], len(offsets))
}

func (rowAVX512) thresholds(s *Scratch, g, n int) {
	l := s.l
	thresholdRowAVX512(&s.row[0], l.k, &s.rowScales, n > RowLen/2)
	last := s.row[(l.k-1)*RowLen:][:RowLen]
	for i := range last {
		last[i] = math.Float32frombits(1<<32 - 1)
	}
	t := s.thresholds[g*l.thresholds():]
	floats := unsafe.Slice((*float32)(unsafe.Pointer(&t[0])), len(t)) // only bits are moved
	transposeAVXAll(floats, l.thresholds(), s.row, RowLen, len(s.row)/RowLen, min(roundUp(n, 4), roundUp(l.up.positions, 4)-g))
}

// sampleGroupAVX2 draws position g's spikes of a chunk and multiplies them by
// scale. The random numbers themselves come from scalar code, which is as fast.
func sampleGroupAVX2(l *Layer, s *Scratch, g, first int, scale uint32) {
	n := roundUp(min(chunk, l.spikes-first), l.up.vector)
	key, random := s.jobs[g].key, s.random[:n]
	if l.lowDiscrepancy {
		r := evenNumber(key, first)
		for i := range random {
			random[i] = r
			r += goldenStep
		}
	} else {
		state := counter(key, first)
		for i := 0; i+1 < len(random); i += 2 {
			w := mix(state)
			random[i], random[i+1] = uint32(w), uint32(w>>32)
			state += gamma
		}
	}
	dst, thresholds := s.offsets[g*chunk:][:n], s.thresholds[g*l.thresholds():][:l.thresholds()]
	if l.block <= 32 {
		searchAVX2(&dst[0], &random[0], n, (*[coarse]uint32)(s.coarse[g*coarse:]), &thresholds[0], uint32(l.block), scale)
		return
	}
	for i, r := range random {
		k, _ := slices.BinarySearchFunc(thresholds, r^l.up.flip, func(t, r uint32) int { return cmp.Compare(int32(t), int32(r)) })
		dst[i] = uint32(k) * scale
	}
}

// thresholdsGroupAVX2 computes thresholds in the form that signed comparison
// takes.
func thresholdsGroupAVX2(t []uint32, sums []float32, k int) {
	Thresholds(t[:k], sums[:k])
	for i := range t[:k] {
		t[i] ^= 1 << 31
	}
}
