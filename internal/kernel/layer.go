package kernel

import (
	"context"
	"fmt"
	"slices"
	"unsafe"
)

// minOverlap is the bound of q = sum_n h[n]*W[k,n] up to which a spike is skipped:
// a quotient with a smaller q would be meaningless.
const minOverlap = 1e-10

// maxUpdates bounds the product of neurons and spikes that are applied to a position at once,
// so that a layer with many neurons can be canceled.
const maxUpdates = 1 << 24

// maxScale bounds the common factor that h carries while spikes are applied.
const maxScale = 1e10

// chunk is the number of spikes that are drawn for one position before they are
// applied. The chunks of all positions of a group fit into the first-level cache.
// The assembly depends on this number.
const chunk = 160

// Layer holds the data that all positions of one layer share: the weights, in the
// memory layout of a tier, and the schedule of epsilon. It is immutable and safe
// for concurrent use.
type Layer struct {
	k, n       int
	spikes     int
	places     int     // entries of epsilon_xy for each position, 0 without epsilon_xy
	place      []int32 // index of the entry of epsilon_xy for each row of weights
	forgetting float32
	eps        []float32 // epsilon_0*epsilon_t for each spike

	lowDiscrepancy bool

	initial []float32 // h of a group before the first spike
	width   int       // length of a row of weights: n rounded up to whole vectors
	weights []float32 // (rows, width), zeros from column n
	up      updater
	partial bool    // positions may have fewer spikes
	fast    bool    // no spike is skipped, and all positions have the same epsilons
	runs    []steps // the schedule, divided
	layout  layout
}

// layout describes the tables in which the spikes of one position are searched: the
// thresholds of its patch and a coarse table, where the search begins.
type layout struct {
	room   int    // number of thresholds, with padding
	coarse int    // number of entries of the coarse table
	block  int    // thresholds per entry of the coarse table, a power of 2; assembly only
	fill   uint32 // value of the padding
}

// updater is the implementation of a tier. It processes groups of positions.
type updater struct {
	positions int  // number of positions in a group
	step      int  // a group may have fewer positions, a multiple of step
	vector    int  // the length of h and of a row of weights is a multiple of this number
	rows      bool // offsets are indices of rows of weights instead of byte offsets
	layout    func(k, spikes int) layout

	// draw computes the tables for position g of a group from the running sums of
	// its patch. sample draws a chunk of the spikes of positions g to g+n-1, beginning
	// with spike first, and writes scale times each spike to the offsets.
	draw   func(l *Layer, s *Scratch, g int, sums []float32)
	sample func(l *Layer, s *Scratch, g, n, first int, scale uint32)

	// fast and general apply spikes to a group. fast also divides h by the common
	// factor.
	fast    func(l *Layer, s *Scratch, r steps)
	general func(l *Layer, s *Scratch, r steps)

	row       rowDrawer // nil if the tier has none
	transpose func(dst []float32, dstStride int, src []float32, srcStride, rows, cols int)
}

// steps are consecutive spikes of one chunk. After them h is divided by its common
// factor.
type steps struct {
	first, n int
	num      []float32 // epsilon times the common factor for each spike, for fast layers
	inverse  float32   // 1 divided by the common factor after the last spike
}

// Schedule describes the spikes of a layer and their effect.
type Schedule struct {
	Eps        []float32 // epsilon_0*epsilon_t for each spike; its length is the number of spikes
	Places     int       // entries of epsilon_xy for each position, 0 without epsilon_xy
	MaxEpsXY   float32   // the largest entry of epsilon_xy of all positions
	Forgetting float32

	// LowDiscrepancy draws evenly distributed spikes instead of independent ones.
	LowDiscrepancy bool

	// Partial allows that a position is given fewer spikes than the schedule has: the first
	// len(spikes) entries of Eps are then used.
	Partial bool
}

// rows returns the number of rows of weights for a patch of k entries: the last one of a
// partial layer is zero, so that it does not change h. It takes the place of spikes that a
// position does not have.
func rows(k int, partial bool) int {
	if partial {
		return k + 1
	}
	return k
}

// NewLayer returns a layer of n neurons per position with the (k, n) matrix of
// weights. The layer uses the tier that is active at the time of the call.
//
// NewLayer returns the error of ctx soon after ctx is done.
func NewLayer(ctx context.Context, weights []float32, n int, s Schedule) (*Layer, error) {
	k := len(weights) / n
	l := &Layer{
		k: k, n: n, spikes: len(s.Eps), places: s.Places, forgetting: s.Forgetting, eps: s.Eps,
		lowDiscrepancy: s.LowDiscrepancy, partial: s.Partial,
	}
	all := rows(k, s.Partial)
	l.up = updaterFor(active(), all, n)
	l.layout = l.up.layout(k, l.spikes)
	l.width = roundUp(n, l.up.vector)
	l.initial = make([]float32, l.up.positions*l.width)
	for i := range l.initial {
		if i%l.width < n {
			l.initial[i] = 1 / float32(n)
		}
	}
	l.weights = aligned(all * l.width)
	lowest := weights[0]
	atOnce := max(1, copiedAtOnce/n)
	for i := range k {
		if i%atOnce == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		row := weights[i*n : (i+1)*n]
		copy(l.weights[i*l.width:], row)
		lowest = min(lowest, slices.Min(row))
	}
	l.fast = s.Places == 0 && s.Forgetting == 0 && lowest > minOverlap && !s.Partial
	if s.Places == 0 {
		l.plan(1)
		return l, nil
	}
	l.place = make([]int32, all)
	for i := range l.place {
		l.place[i] = int32(i % s.Places)
	}
	l.plan(s.MaxEpsXY)
	return l, nil
}

// copiedAtOnce is the number of weights that are copied between two checks of the context.
const copiedAtOnce = 1 << 20

// plan divides the schedule at the ends of chunks and where the common factor
// would become too large, and where many neurons make many updates.
func (l *Layer) plan(maxEpsXY float32) {
	most := max(1, maxUpdates/l.n)
	for first := 0; first < l.spikes; {
		r := steps{first: first}
		scale := float32(1)
		for t := first; t < l.spikes; t++ {
			if t > first && (t%chunk == 0 || scale > maxScale || r.n >= most) {
				break
			}
			e := l.eps[t] * maxEpsXY
			if l.fast {
				r.num = append(r.num, e*scale)
			}
			scale *= 1 + float32(e*(1+l.forgetting))
			r.n++
		}
		r.inverse = 1 / scale
		l.runs = append(l.runs, r)
		first += r.n
	}
}

// roundUp returns the smallest multiple of to that is at least n.
func roundUp(n, to int) int { return (n + to - 1) / to * to }

// aligned returns n zeros whose address is a multiple of 64 bytes.
func aligned(n int) []float32 {
	const line = 16
	v := make([]float32, n+line)
	skip := (64 - uintptr(unsafe.Pointer(unsafe.SliceData(v)))%64) % 64 / 4
	return v[skip:][:n:n]
}

// Positions returns the largest number of positions that a Scratch computes at a
// time, a group.
func (l *Layer) Positions() int { return l.up.positions }

// Scratch computes groups of positions of a layer, one group at a time. For each
// group call Draw, DrawRow or Give for every position, then Run, then Store. A
// Scratch may be used for any number of groups. It is not safe for concurrent use.
type Scratch struct {
	l    *Layer
	jobs []job    // given spikes and epsilon_xy of each position; empty between two runs
	used bool     // whether some jobs are not empty
	keys []uint64 // of the random numbers, for each position

	live    int       // number of positions to compute
	h       []float32 // (positions, width)
	offsets []uint32  // (positions, chunk): rows of weights, as indices or byte offsets
	eps     []float32 // (positions, chunk), if the layer is not fast
	scales  []float32 // common factor of h for each position

	thresholds []uint32 // (positions, layout.room)
	coarse     []uint32 // (positions, layout.coarse)
	states     []uint64 // initial states of the sampler, for each position
	row        row
}

// job describes one position. Unless its spikes are given, they are drawn.
type job struct {
	given []int32
	epsXY []float32
}

// LayerBytes returns roughly the memory of a Layer with k rows of n weights each and the
// given number of spikes. partial is that of its Schedule.
func LayerBytes(k, n, spikes int, partial bool) int64 {
	all := rows(k, partial)
	up := updaterFor(active(), all, n)
	return 4*int64(all)*int64(roundUp(n, up.vector)+1) + 8*int64(spikes)
}

// ScratchBytes returns roughly the memory of a Scratch of the layer.
func (l *Layer) ScratchBytes() int64 {
	return 4 * int64(l.up.positions) * int64(l.width+2*chunk+l.layout.room+l.layout.coarse)
}

// NewScratch returns a Scratch for the layer.
func (l *Layer) NewScratch() *Scratch {
	p := l.up.positions
	s := &Scratch{
		l:          l,
		jobs:       make([]job, p),
		keys:       make([]uint64, p),
		h:          make([]float32, p*l.width),
		offsets:    make([]uint32, p*chunk),
		scales:     make([]float32, p),
		thresholds: make([]uint32, p*l.layout.room),
		coarse:     make([]uint32, p*l.layout.coarse),
		states:     make([]uint64, p),
	}
	for i := range s.thresholds { // the padding keeps this value
		s.thresholds[i] = l.layout.fill
	}
	if !l.fast {
		s.eps = make([]float32, p*chunk)
	}
	return s
}

// SumsLen returns the length of the slice of running sums for Draw: the number of
// entries of a patch, rounded up.
func (l *Layer) SumsLen() int { return roundUp(l.k, 16) }

// Draw prepares position g of the group to draw its spikes from the running sums of its
// patch with the random numbers of key. The length of sums is SumsLen; the entries
// after the patch may have any value. epsXY is epsilon_xy of the position, nil if the
// layer has none.
func (s *Scratch) Draw(g int, sums []float32, key uint64, epsXY []float32) {
	s.prepare(g, key, epsXY)
	s.l.up.draw(s.l, s, g, sums)
}

// Give prepares position g of the group to use the given spikes: as many as the schedule has
// or, if the schedule is partial, fewer. It panics if their number is another one.
func (s *Scratch) Give(g int, spikes []int32, epsXY []float32) {
	if n := len(spikes); n > s.l.spikes || n < s.l.spikes && !s.l.partial {
		panic(fmt.Sprintf("kernel: %d spikes are given to a layer with %d", n, s.l.spikes))
	}
	if spikes == nil {
		spikes = []int32{} // nil means that the position draws its spikes
	}
	s.jobs[g], s.used = job{given: spikes, epsXY: epsXY}, true
}

// prepare stores the key and epsilon_xy of position g.
func (s *Scratch) prepare(g int, key uint64, epsXY []float32) {
	s.keys[g] = key
	if s.l.places > 0 || s.used {
		s.jobs[g], s.used = job{epsXY: epsXY}, true
	}
}

// Store copies h of positions first to first+count-1 of the group to dst, neuron by
// neuron: neuron n goes to dst[n*stride:][:count].
func (s *Scratch) Store(dst []float32, stride, first, count int) {
	l := s.l
	l.up.transpose(dst, stride, s.h[first*l.width:], l.width, count, l.n)
}

// Reset sets every neuron of position g of the group to its initial value 1/N.
func (s *Scratch) Reset(g int) {
	width := s.l.width
	copy(s.h[g*width:][:width], s.l.initial)
}

// Run computes h of the first n positions of the group. It returns the error of ctx soon
// after ctx is done.
func (s *Scratch) Run(ctx context.Context, n int) error {
	l := s.l
	defer func() {
		if s.used {
			clear(s.jobs) // do not keep the slices of the caller in use
			s.used = false
		}
	}()
	copy(s.h, l.initial)
	s.live = roundUp(n, l.up.step)
	most := s.longest(n)
	for i, r := range l.runs {
		if r.first >= most {
			break
		}
		if i > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		r.n = min(r.n, most-r.first)
		if r.first%chunk == 0 {
			s.fill(r.first, most, n)
			s.complete(n)
		}
		s.apply(r)
	}
	return nil
}

// longest returns the largest number of spikes of the first n positions.
func (s *Scratch) longest(n int) int {
	if !s.l.partial {
		return s.l.spikes
	}
	most := 0
	for _, j := range s.jobs[:n] {
		if j.given == nil {
			return s.l.spikes
		}
		most = max(most, len(j.given))
	}
	return most
}

// apply applies spikes that fill has prepared, and divides h by the common factor.
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

// complete copies the spikes of the first position to the positions from n, for tiers
// that compute several positions at once.
func (s *Scratch) complete(n int) {
	for g := n; g < s.live; g++ {
		copy(s.offsets[g*chunk:][:chunk], s.offsets)
		if !s.l.fast {
			copy(s.eps[g*chunk:][:chunk], s.eps)
		}
	}
}

// fill prepares the spikes of the chunk that starts at spike first, up to spike end-1, and their
// epsilons, for the first n positions.
func (s *Scratch) fill(first, end, n int) {
	l := s.l
	row := uint32(4 * l.width)
	if l.up.rows {
		row = 1
	}
	scale := row
	if l.places > 0 {
		scale = 1 // the rows are needed to find epsilon_xy
	}
	for g := 0; g < n; {
		next := g
		for next < n && s.jobs[next].given == nil {
			next++
		}
		if next > g {
			l.up.sample(l, s, g, next-g, first, scale)
		}
		g = next + 1
	}
	spikes := min(chunk, end-first)
	if l.fast && !s.used {
		return
	}
	for g, j := range s.jobs[:n] {
		offsets := s.offsets[g*chunk:][:spikes]
		if !l.fast {
			copy(s.eps[g*chunk:][:spikes], l.eps[first:])
		}
		if j.given != nil {
			given := j.given[min(first, len(j.given)):]
			given = given[:min(spikes, len(given))]
			for t, k := range given {
				offsets[t] = uint32(k)
			}
			for t := len(given); t < spikes; t++ {
				offsets[t] = uint32(l.k) // the row of zeros of a partial layer
			}
		} else if l.places == 0 {
			continue
		}
		// Until here the offsets are indices of rows.
		for t, k := range offsets {
			if l.places > 0 {
				s.eps[g*chunk+t] *= j.epsXY[l.place[k]]
			}
			offsets[t] = k * row
		}
	}
}
