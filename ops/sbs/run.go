package sbs

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

// A part of the parallel loop has so many groups of (image, output position) pairs that the
// positions, one of each group, have about partSpikes spikes together: a part takes much longer
// than a worker needs to get it, and a canceled run stops soon. A large loop has at least
// leastParts parts, so that all workers stay busy to the end.
const (
	partSpikes = 3200
	leastParts = 32
	imageParts = 8 // of an image in a full layer, at most
)

// blockGroups returns the number of groups in a part of a loop over all groups.
func (r *run) blockGroups(groups int) int {
	if r.full {
		// Each part goes through all spikes of its images.
		return max(1, groups/leastParts, groups/max(r.batch, 1)/imageParts)
	}
	return max(1, min(partSpikes/len(r.eps), groups/leastParts))
}

// Run implements ops.Op.
func (l *layer) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	r := ops.Scratch[run](ctx)
	defer r.release()
	if err := l.prepare(r, ctx, in, out[0].Shape()); err != nil {
		return err
	}
	r.h = out[0].Float32s()
	r.number = l.runs.Add(1)
	if err := r.usePlan(in[1]); err != nil {
		return err
	}
	if r.full {
		if err := r.drawImages(); err != nil {
			return err
		}
	}
	size := r.kernel.Positions()
	groups := (r.batch*r.positions + size - 1) / size
	if err := ctx.Do(groups, r.blockGroups(groups), r); err != nil || l.AlphaIterations == 0 {
		return err
	}
	if r.alpha.run == nil {
		r.alpha.run, r.alpha.spaces.New = r, r.newAlphaSpace
	}
	return ctx.Do(r.batch, 1, &r.alpha)
}

// release drops the references to tensors of the caller of Run.
func (r *run) release() {
	r.ctx, r.check.x = nil, nil
	r.x, r.w, r.epsXY, r.h, r.injected = nil, nil, nil, nil, injected{}
}

// plan holds what a layer prepares for its weights. The layer keeps it for later runs
// with the same weights.
type plan struct {
	bytes      int64     // of memory
	weights    []float32 // a copy, to find out whether the weights have changed
	neurons    int
	maxEpsXY   float32
	epsPlaces  int
	kernel     *kernel.Layer
	workspaces *parallel.Spares[*workspace]
}

// planFor returns the plan for the given weights. In most models the weights are
// constants, so that every run uses the plan of the first one.
func (l *layer) planFor(ctx *ops.Context, weights *ops.Tensor, maxEpsXY float32, epsPlaces int) (*plan, error) {
	w, n := weights.Float32s(), weights.Shape()[1]
	if p := l.last.Load(); p != nil && p.neurons == n && p.maxEpsXY == maxEpsXY && p.epsPlaces == epsPlaces {
		if same, err := sameBits(ctx, p.weights, w); err != nil {
			return nil, err
		} else if same {
			return p, ctx.Reserve(p.bytes)
		}
	}
	bytes := 4*int64(len(w)) + kernel.LayerBytes(len(w)/n, n, len(l.eps), l.full)
	if err := ctx.Reserve(bytes); err != nil {
		return nil, err
	}
	if err := checkWeights(ctx, weights); err != nil {
		return nil, err
	}
	w = slices.Clone(w)
	k, err := kernel.NewLayer(ctx, w, n, kernel.Schedule{
		Eps: l.eps, Places: epsPlaces, MaxEpsXY: maxEpsXY, Forgetting: max(l.Forgetting, 0),
		LowDiscrepancy: l.Sampler == LowDiscrepancy, Partial: l.full,
	})
	if err != nil {
		return nil, err
	}
	p := &plan{bytes: bytes, weights: w, neurons: n, maxEpsXY: maxEpsXY, epsPlaces: epsPlaces, kernel: k}
	p.workspaces = &parallel.Spares[*workspace]{New: func() *workspace {
		w := &workspace{scratch: k.NewScratch(), dead: make([]bool, k.Positions())}
		for i := range w.sums {
			w.sums[i] = make([]float32, k.SumsLen())
		}
		return w
	}}
	l.last.Store(p)
	return p, nil
}

// sameBits reports whether two lists of weights are equal, bit for bit.
func sameBits(ctx context.Context, a, b []float32) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	for lo := 0; lo < len(a); lo += weightsAtOnce {
		if lo > 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		hi := min(lo+weightsAtOnce, len(a))
		if !kernel.SameBits(a[lo:hi], b[lo:hi]) {
			return false, nil
		}
	}
	return true, nil
}

// weightsAtOnce is the number of weights that are read between two checks of the context.
const weightsAtOnce = 1 << 20

// run is the state of one Run. As the Scratch of the node it keeps its memory for the
// next Run.
type run struct {
	geometry
	*layer
	*plan
	injected

	x, w, epsXY []float32 // the inputs; epsXY is nil if absent
	epsPlaces   int       // entries of epsXY per output position: 0, 1 or KH*KW
	maxEpsXY    float32   // the largest entry of epsXY
	h           []float32 // the output

	// Entry k of the patch of an output position is entry start(pos)+offsets[k] of
	// the image, with its padding if there is any. Zeros follow the offsets, up to their
	// capacity, a multiple of kernel.RowLen.
	padded      bool
	offsets     []int32
	rowLength   int // of an image, with its padding
	imageLength int

	// rows says that neighboring positions have patches one element apart, and that
	// the kernel can draw their spikes together.
	rows bool

	number uint64 // of this run among the runs of the layer

	// A parallel.Loop gets no context as an argument: the loops use this one.
	ctx   *ops.Context
	check checkLoop
	alpha alphaLoop

	// Only full layers have the following.
	draw  drawLoop
	drawn []int32 // the spikes of each image
	sight sight
}

// prepare checks the inputs of a run and sets up r for them, apart from the weights. h
// is the shape of the output.
func (l *layer) prepare(r *run, ctx *ops.Context, in []*ops.Tensor, h []int) error {
	r.layer, r.geometry = l, l.window().geometryOf(in[0].Shape(), h)
	r.ctx = ctx
	r.x, r.w = in[0].Float32s(), in[1].Float32s()
	epsXY := optional(in, inputEpsilonXY)
	r.epsXY = epsXY.Float32s()
	r.epsPlaces = len(r.epsXY) / r.positions
	var err error
	if r.maxEpsXY, err = checkEpsilons(epsXY); err != nil {
		return err
	}
	if r.injected, err = inject(ctx, optional(in, inputGiven), func() numbers {
		return l.numbers(ops.TypeOf(in[0]), ops.TypeOf(in[1]), ops.Type{Shape: ops.Dims(h...)})
	}); err != nil {
		return err
	}
	r.check = checkLoop{x: in[0], what: "an SbS layer"}
	if err := ctx.Do(len(r.x), checkGrain, &r.check); err != nil {
		return err
	}
	switch {
	case r.full:
		return r.findSight()
	case r.offsets == nil:
		return r.locatePatches()
	}
	return nil
}

// usePlan sets up r for the weights.
func (r *run) usePlan(weights *ops.Tensor) error {
	var err error
	if r.plan, err = r.planFor(r.ctx, weights, r.maxEpsXY, r.epsPlaces); err != nil {
		return err
	}
	r.rows = r.kernel.RowPositions() > 0 && r.ow >= minRow && r.Strides[1] == 1 && !r.injected.any() && !r.full
	return nil
}

// checkLoop is a parallel.Loop that refuses entries of X, the input of what, that are negative
// or not finite.
type checkLoop struct {
	x    *ops.Tensor
	what string
}

const checkGrain = 1 << 16

// Part implements parallel.Loop.
func (c *checkLoop) Part(lo, hi int) error {
	const most = 0x7f7fffff // the bits of the largest finite number
	x := c.x.Float32s()[lo:hi]
	// The bits of infinity, of NaN and of all negative numbers are larger, so that the
	// difference is negative. Without branches the loop takes half the time.
	var below uint64
	for _, v := range x {
		below |= most - uint64(math.Float32bits(v))
	}
	if below>>63 == 0 {
		return nil
	}
	for i, v := range x {
		if math.Float32bits(v) > most && v != 0 { // -0 is allowed
			return fmt.Errorf("%w: X holds %v at %v: %s takes finite values of at least 0", ops.ErrValue, v, ops.Coordinates(lo+i, c.x.Shape()), c.what)
		}
	}
	return nil
}

// workspace is the temporary memory of one worker.
type workspace struct {
	sums    [4][]float32 // cumulative sums of the patches of some positions
	padded  []float32    // an image with its padding
	number  int          // the index in the batch of that image, -1 for none
	run     uint64       // the number of the run of that image
	scratch *kernel.Scratch
	dead    []bool // positions of the group whose patch is all zero
	epsXY   [kernel.RowLen][]float32
	spikes  positionSpikes // of some positions of a full layer
}

// Part implements parallel.Loop: it computes h at the (image, output position) pairs of
// groups lo to hi-1. A pair has the number b*OH*OW + pos.
func (r *run) Part(lo, hi int) error {
	bytes := r.workspaceBytes()
	if err := r.ctx.Reserve(bytes); err != nil {
		return err
	}
	defer r.ctx.Release(bytes)
	w := r.workspaces.Get()
	defer func() {
		clear(w.epsXY[:])
		r.ctx.Release(w.spikes.bytes)
		w.spikes.bytes = 0
		r.workspaces.Put(w)
	}()
	if w.run != r.number { // the padded image is one of another run
		w.run, w.number = r.number, -1
	}
	size, total := r.kernel.Positions(), r.batch*r.positions
	end := min(hi*size, total)
	for first := lo * size; first < end; first += size {
		if r.full && (first == lo*size || first == w.spikes.end) {
			if err := r.assignSpikes(&w.spikes, first, end); err != nil {
				return err
			}
		}
		n := min(size, total-first)
		for g := 0; g < n; {
			count, err := r.prepareSpikes(w, first, g, n-g)
			if err != nil {
				return err
			}
			g += count
		}
		if err := w.scratch.Run(r.ctx, n); err != nil {
			return err
		}
		r.store(w, first, n)
	}
	return nil
}

// workspaceBytes returns the memory of one worker.
func (r *run) workspaceBytes() int64 {
	bytes := r.kernel.ScratchBytes() + 4*4*int64(r.kernel.SumsLen())
	if r.padded {
		bytes += 4 * int64(r.imageLength)
	}
	if r.injected.any() && !r.full {
		bytes += 4 * int64(r.kernel.Positions()) * int64(len(r.eps))
	}
	return bytes
}

// minRow is the smallest width of the output with which DrawRow gets enough positions at a
// time to be faster.
const minRow = 6

// prepareSpikes prepares the spikes of some of the positions g to g+n-1 of the group
// that starts at pair first. It returns how many it has prepared.
func (r *run) prepareSpikes(w *workspace, first, g, n int) (int, error) {
	switch {
	case r.full:
		r.giveAssigned(w, first+g, g, n)
		return n, nil
	case r.rows:
		return r.prepareRow(w, first+g, g, n)
	}
	n = min(n, len(w.sums))
	return n, r.preparePatches(w, first+g, g, n)
}

// prepareRow prepares up to n positions from pair first on, as positions g and up of
// the group. The patches of neighbors in one row of the output form a span.
func (r *run) prepareRow(w *workspace, first, g, n int) (int, error) {
	n = min(n, r.kernel.RowPositions())
	if r.padded { // a worker has one padded image at a time
		n = min(n, r.positions-first%r.positions)
	}
	var spans [kernel.MaxSpans]kernel.Span
	var keys [kernel.RowLen]uint64
	var epsXY *[kernel.RowLen][]float32
	if r.epsPlaces > 0 {
		epsXY = &w.epsXY
	}
	x, count, used := r.x, 0, 0
	for ; count < n && used < len(spans); used++ {
		b, pos := r.pair(first + count)
		p := kernel.Span{Start: r.start(pos), N: min(n-count, r.ow-pos%r.ow)}
		if r.padded {
			x = r.image(w, b)
		} else {
			p.Start += b * r.imageLength
		}
		image := r.imageKey(b)
		for i := range p.N {
			keys[count+i] = kernel.PositionKey(image, uint64(pos+i))
			if epsXY != nil {
				epsXY[count+i] = r.epsXY[(pos+i)*r.epsPlaces:][:r.epsPlaces]
			}
		}
		spans[used] = p
		count += p.N
	}
	totals := w.scratch.DrawRow(g, x, spans[:used], r.offsets[:cap(r.offsets)], keys[:count], epsXY)
	for i, total := range totals[:count] {
		if !(total <= math.MaxFloat32) {
			return 0, r.tooLarge(r.pair(first + i))
		}
		w.dead[g+i] = total == 0
	}
	return count, nil
}

// pair returns the index in the batch and the output position of a pair.
func (r *run) pair(i int) (b, pos int) { return i / r.positions, i % r.positions }

// preparePatches prepares n positions from pair first on, as positions g and up of the
// group. Each has its own cumulative sums.
func (r *run) preparePatches(w *workspace, first, g, n int) error {
	var patches [len(w.sums)][]float32
	var totals [len(w.sums)]float32
	together := n == len(patches) && !r.padded // a worker has one padded image at a time
	for i := range n {
		b, pos := r.pair(first + i)
		patches[i] = r.image(w, b)[r.start(pos):]
		if !together {
			totals[i] = kernel.CumulateAt(w.sums[i], patches[i], r.offsets)
		}
	}
	if together {
		totals = kernel.CumulateAt4(w.sums, patches, r.offsets)
	}
	for i, total := range totals[:n] {
		b, pos := r.pair(first + i)
		if !(total <= math.MaxFloat32) {
			return r.tooLarge(b, pos)
		}
		dead := total == 0
		w.dead[g+i] = dead
		if dead { // any spikes will do: store ignores their result
			w.sums[i][r.k-1] = 1
		}
		if err := r.prepareOne(w.scratch, g+i, w.sums[i], b, pos, dead); err != nil {
			return err
		}
	}
	return nil
}

// prepareOne prepares the spikes of one output position as position g of the group.
// sums are the cumulative sums of its patch, which is all zero if it is dead.
func (r *run) prepareOne(s *kernel.Scratch, g int, sums []float32, b, pos int, dead bool) error {
	epsXY := r.epsXY[pos*r.epsPlaces:][:r.epsPlaces]
	if !r.injected.any() {
		s.Draw(g, sums, r.key(b, pos), epsXY)
		return nil
	}
	spikes := make([]int32, len(r.eps))
	if !dead {
		if err := r.injected.spikes(r.ctx, spikes, sums[:r.k], b, 0, pos); err != nil {
			return err
		}
	}
	s.Give(g, spikes, epsXY)
	return nil
}

// store copies the neurons of a group to the output.
func (r *run) store(w *workspace, first, n int) {
	for g := range n {
		if w.dead[g] {
			w.scratch.Reset(g)
		}
	}
	// In the output, the positions of one image follow each other.
	for g := 0; g < n; {
		b, pos := r.pair(first + g)
		count := min(n-g, r.positions-pos)
		w.scratch.Store(r.hOf(b)[pos:], r.positions, g, count)
		g += count
	}
}

// key returns the key of the random numbers of an output position of entry b of the
// batch.
func (r *run) key(b, pos int) uint64 {
	return kernel.PositionKey(r.imageKey(b), uint64(pos))
}

// imageKey returns what the keys of entry b of the batch have in common.
func (r *run) imageKey(b int) uint64 {
	return kernel.ImageKey(r.ctx.ImageSeed(b), uint64(r.Seed), r.ctx.Image(b))
}
