package kernel

import (
	"slices"
	"unsafe"
)

// chunk is the number of spikes that are drawn for one position before they are
// applied: few enough to stay in the first cache with those of the other
// positions of a group. Assembly depends on it.
const chunk = 160

// Layer is what the positions of one layer have in common: the weights, laid out
// for the active tier, and the schedule of epsilon. It is immutable.
type Layer struct {
	k, n       int
	spikes     int
	places     int     // entries of epsilon_xy of one position, 0 for none
	place      []int32 // of each row of weights in epsilon_xy, when there is one
	forgetting float32
	eps        []float32 // epsilon_0*epsilon_t

	lowDiscrepancy bool

	initial []float32 // h of a group before the first spike
	width   int       // of a row of weights: n rounded up to whole vectors
	weights []float32 // (k, width), zeros behind n
	up      updater
	fast    bool    // every q counts and every position has the same epsilons
	runs    []steps // of the schedule
	block   int     // thresholds for each coarse threshold, a power of 2
}

// updater is how a tier works on a group of positions.
type updater struct {
	positions int           // of a group; 1 means portable
	vector    int           // float32 numbers in a vector
	order     [coarse]uint8 // which of the coarse thresholds is where
	inOrder   bool          // order is by size
	flip      uint32        // bits of thresholds that are inverted
	sample    func(l *Layer, s *Scratch, g, first int, scale uint32)
	threshold func(t []uint32, sums []float32, k int) // as Thresholds; both have room for whole vectors
	fast      func(l *Layer, s *Scratch, r steps)     // takes the common factor out itself
	general   func(l *Layer, s *Scratch, r steps)
	row       rowDrawer // nil when there is none
	transpose func(dst []float32, dstStride int, src []float32, srcStride, rows, cols int)
}

// steps are consecutive spikes of one chunk after which the common factor of h is
// taken out.
type steps struct {
	first, n int
	num      []float32 // epsilon*factor of each, when the layer is fast
	inverse  float32   // 1/factor behind the last
}

// Schedule says which spikes a layer gets and what they do.
type Schedule struct {
	Eps        []float32 // epsilon_0*epsilon_t, one for each spike
	Places     int       // entries of epsilon_xy that each position has, 0 for none
	MaxEpsXY   float32   // the largest of them all
	Forgetting float32

	// LowDiscrepancy draws evenly spread spikes in place of independent ones.
	LowDiscrepancy bool
}

// maxRows bounds the rows of weights of the assembly tiers, so that byte offsets
// of rows stay in 32 bits and the room for thresholds stays small. Patches are
// far smaller.
const maxRows = 1 << 16

// NewLayer returns a layer with the (k, n) matrix of weights.
func NewLayer(weights []float32, n int, s Schedule) *Layer {
	l := &Layer{
		k: len(weights) / n, n: n, spikes: len(s.Eps), places: s.Places, forgetting: s.Forgetting, eps: s.Eps,
		lowDiscrepancy: s.LowDiscrepancy, width: n, weights: weights, up: updater{positions: 1, transpose: transpose},
	}
	up, ok := assembly(active, n)
	ok = ok && l.k <= maxRows
	if ok {
		l.up = up
		l.width = roundUp(n, up.vector)
	}
	l.initial = make([]float32, l.up.positions*l.width)
	for i := range l.initial {
		if i%l.width < n {
			l.initial[i] = 1 / float32(n)
		}
	}
	if !ok {
		return l
	}
	l.weights = aligned(l.k * l.width)
	for k := range l.k {
		copy(l.weights[k*l.width:], weights[k*n:(k+1)*n])
	}
	l.fast = s.Places == 0 && s.Forgetting == 0 && slices.Min(weights) > MinOverlap
	for l.block = 1; coarse*l.block < l.k; l.block *= 2 {
	}
	if s.Places == 0 {
		l.plan(1)
		return l
	}
	l.place = make([]int32, l.k)
	for k := range l.place {
		l.place[k] = int32(k % s.Places)
	}
	l.plan(s.MaxEpsXY)
	return l
}

// plan cuts the schedule where the common factor would grow too large, and at
// the ends of chunks.
func (l *Layer) plan(maxEpsXY float32) {
	for first := 0; first < l.spikes; {
		r := steps{first: first}
		scale := float32(1)
		for t := first; t < l.spikes; t++ {
			if t > first && (t%chunk == 0 || scale > maxScale) {
				break
			}
			e := l.eps[t] * maxEpsXY
			if l.fast {
				r.num = append(r.num, e*scale)
			}
			scale *= 1 + e*(1+l.forgetting)
			r.n++
		}
		r.inverse = 1 / scale
		l.runs = append(l.runs, r)
		first += r.n
	}
}

// roundUp returns the smallest multiple of to that is at least n.
func roundUp(n, to int) int { return (n + to - 1) / to * to }

// aligned returns n zeros that start at a multiple of 64 bytes.
func aligned(n int) []float32 {
	const line = 16
	v := make([]float32, n+line)
	skip := (64 - uintptr(unsafe.Pointer(unsafe.SliceData(v)))%64) % 64 / 4
	return v[skip:][:n:n]
}

// Positions returns the number of positions of a group.
func (l *Layer) Positions() int { return l.up.positions }

// coarse is the number of thresholds that a first look goes through.
const coarse = 32

// thresholds returns the room for those of one position. A search may look up to
// 32 places behind the last.
func (l *Layer) thresholds() int { return coarse*l.block + 32 }

// Scratch is the state of one group of positions of a layer. It may be used again
// and again, for one group at a time.
type Scratch struct {
	l    *Layer
	jobs []job

	h       []float32 // (positions, width)
	offsets []uint32  // (positions, chunk): byte offsets of rows of weights
	eps     []float32 // (positions, chunk), when the layer is not fast
	scales  []float32 // of the positions

	thresholds []uint32  // (positions, l.thresholds())
	coarse     []uint32  // (positions, coarse), in the order of up.order
	row        []float32 // (k and a few more, RowLen): running sums, then thresholds
	spans      [MaxSpans]Span
	rowScales  [RowLen]float64 // what makes thresholds of the sums
	spikes     []int32
	random     []uint32 // a chunk, for up.sample
}

// job is one position.
type job struct {
	key   uint64
	given []int32
	epsXY []float32
}

// NewScratch returns a Scratch for a layer.
func (l *Layer) NewScratch() *Scratch {
	p := l.up.positions
	s := &Scratch{l: l, jobs: make([]job, p), h: make([]float32, p*l.width)}
	if p == 1 {
		s.thresholds = make([]uint32, l.k)
		s.spikes = make([]int32, l.spikes)
		return s
	}
	s.offsets = make([]uint32, p*chunk)
	s.scales = make([]float32, p)
	s.thresholds = make([]uint32, roundUp(p, 4)*l.thresholds()) // rows come in fours
	s.random = make([]uint32, chunk)
	for i := range s.thresholds { // what lies behind those of a patch stays so
		s.thresholds[i] = (1<<32 - 1) ^ l.up.flip
	}
	s.coarse = make([]uint32, p*coarse)
	if !l.fast {
		s.eps = make([]float32, p*chunk)
	}
	return s
}

// SumsLen returns the room that the running sums of a patch must have: whole
// vectors.
func (l *Layer) SumsLen() int { return roundUp(l.k, 16) }

// Draw makes position g of the group draw its spikes, from the running sums of
// its patch, in room of SumsLen, and the key of its random numbers. epsXY is its
// part of epsilon_xy.
func (s *Scratch) Draw(g int, sums []float32, key uint64, epsXY []float32) {
	s.jobs[g] = job{key: key, epsXY: epsXY}
	l := s.l
	if l.up.positions == 1 {
		Thresholds(s.thresholds, sums[:l.k])
		return
	}
	t := s.thresholds[g*l.thresholds():][:l.thresholds()]
	l.up.threshold(t, sums, l.k)
	s.look(g)
}

// look copies the coarse thresholds of a position.
func (s *Scratch) look(g int) {
	l := s.l
	t := s.thresholds[g*l.thresholds():][:l.thresholds()]
	look := s.coarse[g*coarse:][:coarse]
	if l.up.inOrder && l.block == 1 {
		copy(look, t)
		return
	}
	for i, at := range l.up.order {
		look[i] = t[(int(at)+1)*l.block-1]
	}
}

// Give gives position g of the group its spikes.
func (s *Scratch) Give(g int, spikes []int32, epsXY []float32) {
	s.jobs[g] = job{given: spikes, epsXY: epsXY}
}

// Store copies neuron n of the positions first to first+count-1 to
// dst[n*stride:][:count].
func (s *Scratch) Store(dst []float32, stride, first, count int) {
	l := s.l
	l.up.transpose(dst, stride, s.h[first*l.width:], l.width, count, l.n)
}

// Reset makes the neurons of position g 1/N again.
func (s *Scratch) Reset(g int) {
	width := s.l.width
	copy(s.h[g*width:][:width], s.l.initial)
}

// Run starts the first n positions of the group at 1/N and applies their spikes.
func (s *Scratch) Run(n int) {
	l := s.l
	defer clear(s.jobs) // what they refer to is the caller's
	copy(s.h, l.initial)
	for g := n; g < len(s.jobs); g++ { // a group is always whole; the rest does what the first does
		s.jobs[g] = s.jobs[0]
		if s.jobs[0].given == nil {
			copy(s.coarse[g*coarse:][:coarse], s.coarse)
			size := l.thresholds()
			copy(s.thresholds[g*size:][:size], s.thresholds)
		}
	}
	if l.up.positions == 1 {
		j := s.jobs[0]
		spikes := j.given
		if spikes == nil {
			spikes = s.spikes
			if l.lowDiscrepancy {
				SampleLowDiscrepancy(spikes, s.thresholds, j.key)
			} else {
				Sample(spikes, s.thresholds, j.key)
			}
		}
		Update(s.h, l.weights, spikes, l.eps, j.epsXY, l.forgetting)
		return
	}
	for _, r := range l.runs {
		if r.first%chunk == 0 {
			s.fill(r.first)
		}
		if l.fast {
			l.up.fast(l, s, r)
			continue
		}
		for g := range s.scales {
			s.scales[g] = 1
		}
		l.up.general(l, s, r)
		for g, scale := range s.scales {
			multiply(s.h[g*l.width:][:l.width], 1/scale)
		}
	}
}

// fill prepares the spikes of the chunk that starts at spike first, and their
// epsilons.
func (s *Scratch) fill(first int) {
	l := s.l
	n := min(chunk, l.spikes-first)
	row := uint32(4 * l.width)
	for g, j := range s.jobs {
		offsets := s.offsets[g*chunk:][:chunk]
		switch {
		case j.given != nil:
			for t, k := range j.given[first:][:n] {
				offsets[t] = uint32(k)
			}
		case l.places == 0:
			l.up.sample(l, s, g, first, row)
		default:
			l.up.sample(l, s, g, first, 1)
		}
		if !l.fast {
			copy(s.eps[g*chunk:][:n], l.eps[first:])
		}
		if j.given == nil && l.places == 0 {
			continue
		}
		// The offsets are row numbers yet.
		for t, k := range offsets[:n] {
			if l.places > 0 {
				s.eps[g*chunk+t] *= j.epsXY[l.place[k]]
			}
			offsets[t] = k * row
		}
	}
}
