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
	layout  layout
}

// layout is what lies in memory for the spikes of one position.
type layout struct {
	room   int    // thresholds
	coarse int    // entries of what a search starts from
	block  int    // thresholds for each of them, a power of 2, for assembly
	fill   uint32 // what stands behind the thresholds of the patch
}

// updater is how a tier works on a group of positions.
type updater struct {
	positions int  // of a group
	partial   bool // a group may have fewer
	vector    int  // float32 numbers that h and rows of weights have a multiple of
	rows      bool // offsets are numbers of rows of weights, not bytes
	layout    func(k int) layout
	draw      func(l *Layer, s *Scratch, g int, sums []float32) // thresholds of position g
	sample    func(l *Layer, s *Scratch, g, first int, scale uint32)
	fast      func(l *Layer, s *Scratch, r steps) // takes the common factor out itself
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

// NewLayer returns a layer with the (k, n) matrix of weights.
func NewLayer(weights []float32, n int, s Schedule) *Layer {
	k := len(weights) / n
	l := &Layer{
		k: k, n: n, spikes: len(s.Eps), places: s.Places, forgetting: s.Forgetting, eps: s.Eps,
		lowDiscrepancy: s.LowDiscrepancy, up: updaterFor(active(), k, n, s.Forgetting > 0),
	}
	l.layout = l.up.layout(k)
	l.width = roundUp(n, l.up.vector)
	l.initial = make([]float32, l.up.positions*l.width)
	for i := range l.initial {
		if i%l.width < n {
			l.initial[i] = 1 / float32(n)
		}
	}
	l.weights = aligned(k * l.width)
	for i := range k {
		copy(l.weights[i*l.width:], weights[i*n:(i+1)*n])
	}
	l.fast = s.Places == 0 && s.Forgetting == 0 && slices.Min(weights) > MinOverlap
	if s.Places == 0 {
		l.plan(1)
		return l
	}
	l.place = make([]int32, k)
	for i := range l.place {
		l.place[i] = int32(i % s.Places)
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

// Scratch is the state of one group of positions of a layer. It may be used again
// and again, for one group at a time.
type Scratch struct {
	l    *Layer
	jobs []job

	live    int       // positions of this run
	h       []float32 // (positions, width)
	offsets []uint32  // (positions, chunk): rows of weights, or where they start in bytes
	eps     []float32 // (positions, chunk), when the layer is not fast
	scales  []float32 // of the positions

	thresholds []uint32 // (positions rounded up to fours, layout.room)
	coarse     []uint32 // (positions, layout.coarse)

	row       []float32 // (k and a few more, RowLen): running sums, then thresholds
	spans     [MaxSpans]Span
	rowScales [RowLen]float64 // what makes thresholds of the sums
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
	s := &Scratch{
		l: l, jobs: make([]job, p), h: make([]float32, p*l.width), offsets: make([]uint32, p*chunk),
		scales: make([]float32, p), thresholds: make([]uint32, roundUp(p, 4)*l.layout.room),
		coarse: make([]uint32, p*l.layout.coarse),
	}
	for i := range s.thresholds { // what lies behind those of a patch stays so
		s.thresholds[i] = l.layout.fill
	}
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
	s.l.up.draw(s.l, s, g, sums)
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
	s.live = n
	if !l.up.partial {
		s.live = len(s.jobs)
		s.complete(n)
	}
	for _, r := range l.runs {
		if r.first%chunk == 0 {
			s.fill(r.first)
		}
		s.apply(r)
	}
}

// apply applies spikes that fill has prepared.
func (s *Scratch) apply(r steps) {
	l := s.l
	for g := range s.scales {
		s.scales[g] = 1
	}
	if l.fast {
		l.up.fast(l, s, r)
		return
	}
	l.up.general(l, s, r)
	for g, scale := range s.scales[:s.live] {
		multiply(s.h[g*l.width:][:l.width], 1/scale)
	}
}

// complete makes the positions from n on do what the first does, where a group
// is always whole.
func (s *Scratch) complete(n int) {
	for g := n; g < len(s.jobs); g++ {
		s.jobs[g] = s.jobs[0]
		if s.jobs[0].given == nil {
			lay := s.l.layout
			copy(s.coarse[g*lay.coarse:][:lay.coarse], s.coarse)
			copy(s.thresholds[g*lay.room:][:lay.room], s.thresholds)
		}
	}
}

// fill prepares the spikes of the chunk that starts at spike first, and their
// epsilons.
func (s *Scratch) fill(first int) {
	l := s.l
	n := min(chunk, l.spikes-first)
	row := uint32(4 * l.width)
	if l.up.rows {
		row = 1
	}
	for g, j := range s.jobs[:s.live] {
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
