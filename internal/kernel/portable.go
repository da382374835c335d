package kernel

import (
	"unsafe"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// groupPortable is the number of positions of a group.
const groupPortable = 4

// portable returns the updater of the portable tier.
func portable() updater {
	return updater{
		positions: groupPortable, step: 1, vector: lanes, rows: true, layout: layoutPortable,
		draw: drawPortable, sample: samplePortable, fast: updatePortable, general: updatePortable, transpose: transpose,
	}
}

// layoutPortable has no padding, and two to four entries of the coarse table for
// each threshold, up to a limit.
func layoutPortable(k, _ int) layout {
	return layout{room: k, coarse: coarseEntries(k)}
}

// drawPortable computes the thresholds and the coarse table of position g.
func drawPortable(l *Layer, s *Scratch, g int, sums []float32) {
	s.lookup(g).prepare(sums[:l.k])
}

// lookup returns the tables of position g.
func (s *Scratch) lookup(g int) lookup {
	n := s.l.layout.coarse
	return lookup{thresholds: s.thresholds[g*s.l.k:][:s.l.k], starts: s.coarse[g*n:][:n]}
}

// samplePortable draws the same spikes as Sample or SampleLowDiscrepancy.
func samplePortable(l *Layer, s *Scratch, g, n, first int, scale uint32) {
	for end := g + n; g < end; g++ {
		dst := s.offsets[g*chunk:][:min(chunk, l.spikes-first)]
		numbers(dst, s.keys[g], first, l.lowDiscrepancy)
		s.lookup(g).find(dst)
		for i, k := range dst {
			dst[i] = k * scale
		}
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

// The order of the additions for q depends on the number of neurons; see the package
// documentation.
const (
	lanes      = 16 // the number of partial sums, for up to narrow neurons; for more it is twice as many
	fewNeurons = 48 // up to this number products are rounded before they are added
	narrow     = 96
)

// block holds some neurons of one position, one per partial sum. Its length is constant so
// that the compiler does not check the bounds of each access.
type block = [2][lanes / 2]float32

func blocks(v []float32) []block {
	return unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(v))), len(v)/lanes)
}

// updatePortable applies spikes to the positions of a group in turn. The processor
// computes some positions while others wait for their sums and divisions.
func updatePortable(l *Layer, s *Scratch, r steps) {
	n, at, weights, h := l.width/lanes, r.first%chunk, blocks(l.weights), blocks(s.h)
	rounded, wide := l.n <= fewNeurons, l.n > narrow
	growth, share := 1+l.forgetting, l.forgetting/float32(l.n)
	var last [groupPortable][]block // rows of the last spikes
	var c, add [groupPortable]float32
	for g := range last {
		last[g] = weights[:n] // c is 0 before the first spike, so any row does
	}
	for t := at; t < at+r.n; t++ {
		for g := range s.live {
			next := weights[int(s.offsets[g*chunk+t])*n:][:n]
			q := grow(h[g*n:][:n], last[g], next, c[g], add[g], rounded, wide)
			last[g] = next
			if l.fast {
				c[g] = r.num[t-at] / q
				continue
			}
			scale := s.scales[g]
			if !(q > minOverlap*scale) { // also if q is NaN
				c[g], add[g] = 0, 0
				continue
			}
			e := s.eps[g*chunk+t]
			c[g], add[g] = e*scale/q, e*scale*share
			s.scales[g] = scale * (1 + float32(e*growth))
		}
	}
	for g := range s.live {
		grow(h[g*n:][:n], last[g], last[g], c[g], add[g], rounded, wide)
	}
	if l.fast {
		multiply(s.h[:s.live*l.width], r.inverse)
	}
}

// grow applies the last spike of a position: it sets h to h + c*(h*w) + add, where w is
// the row of weights of the spike and add the effect of forgetting. It returns the sum q
// of h*w for the next spike. It goes through the halves of the blocks in turn, because
// eight sums fit into registers.
func grow(h, last, next []block, c, add float32, rounded, wide bool) (q float32) {
	last, next = last[:len(h)], next[:len(h)]
	step := 1
	if wide { // blocks with an even and with an odd index have partial sums of their own
		step = 2
	}
	var sums block
	for j := range sums {
		sum := &sums[j]
		for first := range step {
			var s0, s1, s2, s3, s4, s5, s6, s7 float32
			for i := first; i < len(h); i += step {
				v, w, x := &h[i][j], &last[i][j], &next[i][j]
				v0 := portmath.FMA(c, v[0]*w[0], v[0])
				v1 := portmath.FMA(c, v[1]*w[1], v[1])
				v2 := portmath.FMA(c, v[2]*w[2], v[2])
				v3 := portmath.FMA(c, v[3]*w[3], v[3])
				v4 := portmath.FMA(c, v[4]*w[4], v[4])
				v5 := portmath.FMA(c, v[5]*w[5], v[5])
				v6 := portmath.FMA(c, v[6]*w[6], v[6])
				v7 := portmath.FMA(c, v[7]*w[7], v[7])
				if add != 0 {
					v0 += add
					v1 += add
					v2 += add
					v3 += add
					v4 += add
					v5 += add
					v6 += add
					v7 += add
				}
				v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7] = v0, v1, v2, v3, v4, v5, v6, v7
				if rounded {
					s0 += float32(v0 * x[0])
					s1 += float32(v1 * x[1])
					s2 += float32(v2 * x[2])
					s3 += float32(v3 * x[3])
					s4 += float32(v4 * x[4])
					s5 += float32(v5 * x[5])
					s6 += float32(v6 * x[6])
					s7 += float32(v7 * x[7])
					continue
				}
				s0 = portmath.FMA(v0, x[0], s0)
				s1 = portmath.FMA(v1, x[1], s1)
				s2 = portmath.FMA(v2, x[2], s2)
				s3 = portmath.FMA(v3, x[3], s3)
				s4 = portmath.FMA(v4, x[4], s4)
				s5 = portmath.FMA(v5, x[5], s5)
				s6 = portmath.FMA(v6, x[6], s6)
				s7 = portmath.FMA(v7, x[7], s7)
			}
			for l, v := range [...]float32{s0, s1, s2, s3, s4, s5, s6, s7} {
				sum[l] += v
			}
		}
	}
	// The order of the additions is the one of the assembly.
	a := &sums[0]
	for l, v := range &sums[1] {
		a[l] += v
	}
	return ((a[0] + a[2]) + (a[1] + a[3])) + ((a[4] + a[6]) + (a[5] + a[7]))
}

func multiply(h []float32, f float32) {
	for i := range h {
		h[i] *= f
	}
}
