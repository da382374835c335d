package sbs

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

// blockGroups is the number of groups of (image, output position) pairs of one
// unit of parallel work: few enough to keep all workers busy to the end and to
// stop soon when asked to.
const blockGroups = 2

// Run implements ops.Op.
func (l *layer) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	r := ops.Scratch[run](ctx)
	if err := l.prepare(r, ctx, in, out[0]); err != nil {
		return err
	}
	size := r.kernel.Positions()
	err := ctx.Do((r.batch*r.oh*r.ow+size-1)/size, blockGroups, r)
	if err == nil && l.AlphaIterations > 0 {
		if r.weighting.run == nil {
			r.weighting.run, r.weighting.spaces.New = r, r.newAlphaSpace
		}
		err = ctx.Do(r.batch, 1, &r.weighting)
	}
	return err
}

// plan is what can be kept from run to run while the weights stay the same.
type plan struct {
	weights         []float32 // a copy, to know them again
	maxEpsXY        float32
	places, neurons int
	kernel          *kernel.Layer
	workspaces      *parallel.Spares[*workspace]
}

// planFor returns the plan for the given weights: in most models they are
// constants, and the one of the run before serves.
func (l *layer) planFor(weights *ops.Tensor, maxEpsXY float32, places int) (*plan, error) {
	w, n := weights.Float32s(), weights.Shape()[1]
	if p := l.last.Load(); p != nil && p.neurons == n && p.maxEpsXY == maxEpsXY && p.places == places && slices.Equal(p.weights, w) {
		return p, nil
	}
	if err := checkWeights(weights); err != nil {
		return nil, err
	}
	w = slices.Clone(w)
	k := kernel.NewLayer(w, n, kernel.Schedule{
		Eps: l.eps, Places: places, MaxEpsXY: maxEpsXY, Forgetting: max(l.Forgetting, 0),
		LowDiscrepancy: l.Sampler == LowDiscrepancy,
	})
	p := &plan{weights: w, neurons: n, maxEpsXY: maxEpsXY, places: places, kernel: k}
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

// run is the state of one Run, and what can be kept for the next.
type run struct {
	*layer
	geometry

	*plan
	x, w, epsXY []float32 // w as in the file
	epsPlaces   int       // entries of epsXY for each position: 0, 1 or KH*KW
	h           []float32

	// Entry k of the patch of an output position is entry start+offsets[k] of its
	// image, with padding around if there is any.
	padded      bool
	rows        bool // positions side by side have patches one element apart, and may draw from them together
	offsets     []int32
	rowLength   int // of an image
	imageLength int

	ctx       *ops.Context
	check     checkLoop
	weighting alphaLoop

	given    []int64   // spikes handed in
	uniforms []float32 // uniforms handed in
}

// geometry holds the sizes of a run.
type geometry struct {
	batch, channels, height, width int
	k, n, oh, ow                   int
}

func (l *layer) prepare(r *run, ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	x, h := in[0].Shape(), out.Shape()
	r.layer, r.ctx = l, ctx
	r.geometry = geometry{
		batch: x[0], channels: x[1], height: x[2], width: x[3],
		k: in[1].Shape()[0], n: h[1], oh: h[2], ow: h[3],
	}
	r.x, r.w, r.h = in[0].Float32s(), in[1].Float32s(), out.Float32s()
	r.epsXY, r.epsPlaces = nil, 0
	if e := optional(in, inputEpsilonXY); e != nil {
		r.epsXY = e.Float32s()
		r.epsPlaces = len(r.epsXY) / (r.oh * r.ow)
	}
	maxEpsXY, err := checkEpsilons(optional(in, inputEpsilonXY))
	if err != nil {
		return err
	}
	if err := r.inject(given(ctx, in)); err != nil {
		return err
	}
	r.check = checkLoop{x: in[0]}
	if err := ctx.Do(len(r.x), checkGrain, &r.check); err != nil {
		return err
	}
	if r.plan, err = l.planFor(in[1], maxEpsXY, r.epsPlaces); err != nil {
		return err
	}
	r.rows = r.kernel.DrawsRows() && r.ow >= minRow && r.Strides[1] == 1 && r.given == nil && r.uniforms == nil
	if r.offsets == nil {
		return r.lay()
	}
	return nil
}

// checkLoop looks for entries of X that no layer can take.
type checkLoop struct{ x *ops.Tensor }

const checkGrain = 1 << 16

// Part implements parallel.Loop.
func (c *checkLoop) Part(lo, hi int) error {
	const most = 0x7f7fffff // the bits of the largest number
	for i, v := range c.x.Float32s()[lo:hi] {
		// The bits of all that is not in 0..MaxFloat32 are above, those of -0 too.
		if math.Float32bits(v) > most && v != 0 {
			return fmt.Errorf("X holds %v at %v: an SbS layer takes finite values of at least 0", v, index(lo+i, c.x.Shape()))
		}
	}
	return nil
}

// given returns the spikes or uniforms to use in place of random ones: those of
// the run, or else the node's input.
func given(ctx *ops.Context, in []*ops.Tensor) (spikes, uniforms *ops.Tensor) {
	if ctx.Spikes != nil || ctx.Uniforms != nil {
		return ctx.Spikes, ctx.Uniforms
	}
	g := optional(in, inputGiven)
	if g != nil && g.DType() == ops.Float32 {
		return nil, g
	}
	return g, nil
}

// inject takes given spikes or uniforms; spikes come before uniforms.
func (r *run) inject(spikes, uniforms *ops.Tensor) error {
	r.given, r.uniforms = nil, nil
	if spikes == nil && uniforms == nil {
		return nil
	}
	want := ops.Type{Shape: ops.Dims(r.batch, r.Spikes, r.oh, r.ow)}
	if spikes != nil {
		want.DType = ops.Int64
		if err := want.Check(spikes); err != nil {
			return fmt.Errorf("given spikes: %w", err)
		}
		r.given = spikes.Int64s()
		for i, k := range r.given {
			if k < 0 || k >= int64(r.k) {
				return fmt.Errorf("given spikes: %d at %v, want 0 to %d", k, index(i, spikes.Shape()), r.k-1)
			}
		}
	}
	if uniforms != nil {
		want.DType = ops.Float32
		if err := want.Check(uniforms); err != nil {
			return fmt.Errorf("given uniforms: %w", err)
		}
		r.uniforms = uniforms.Float32s()
		for i, u := range r.uniforms {
			if !(u >= 0 && u < 1) {
				return fmt.Errorf("given uniforms: %v at %v, want numbers in [0, 1)", u, index(i, uniforms.Shape()))
			}
		}
	}
	return nil
}

// index returns the coordinates of element i of a tensor.
func index(i int, shape []int) []int {
	at := make([]int, len(shape))
	for d := len(shape) - 1; d >= 0; d-- {
		at[d] = i % shape[d]
		i /= shape[d]
	}
	return at
}

// workspace is what one worker needs at a time.
type workspace struct {
	sums    [4][]float32 // of the patches of some positions
	padded  []float32    // image number of the run, with padding
	number  int
	scratch *kernel.Scratch
	dead    []bool // positions of the group whose patch is all zero
}

// Part implements parallel.Loop: it computes h at the (image, output position)
// pairs of groups lo..hi-1.
func (r *run) Part(lo, hi int) error {
	w := r.workspaces.Get()
	defer r.workspaces.Put(w)
	w.number = -1 // what it holds is of another run
	size, total := r.kernel.Positions(), r.batch*r.oh*r.ow
	for first := lo * size; first < min(hi*size, total); first += size {
		n := min(size, total-first)
		for g := 0; g < n; {
			count, err := r.prepareSpikes(w, first, g, n-g)
			if err != nil {
				return err
			}
			g += count
		}
		w.scratch.Run(n)
		r.store(w, first, n)
	}
	return nil
}

// minRow is the width of the output from which on RowLen positions, wherever they
// start, are in few spans.
const minRow = 6

// prepareSpikes gives some of the positions g to g+n-1 of the group that starts at
// pair first their spikes, or what to draw them from, and returns how many.
func (r *run) prepareSpikes(w *workspace, first, g, n int) (int, error) {
	if r.rows {
		return r.prepareRow(w, first+g, g, n)
	}
	n = min(n, len(w.sums))
	return n, r.preparePatches(w, first, g, n)
}

// prepareRow prepares up to n positions, the first of which is pair at, in spans
// side by side.
func (r *run) prepareRow(w *workspace, at, g, n int) (int, error) {
	positions := r.oh * r.ow
	n = min(n, kernel.RowLen)
	if r.padded { // a worker has one padded image at a time
		n = min(n, positions-at%positions)
	}
	var spans [kernel.MaxSpans]kernel.Span
	var keys [kernel.RowLen]uint64
	var epsXY [kernel.RowLen][]float32
	x, count, used := r.x, 0, 0
	for ; count < n && used < len(spans); used++ {
		b, pos := (at+count)/positions, (at+count)%positions
		p := kernel.Span{Start: r.start(pos), N: min(n-count, r.ow-pos%r.ow)}
		if r.padded {
			x = r.image(w, b)
		} else {
			p.Start += b * r.imageLength
		}
		for i := range p.N {
			keys[count+i] = r.key(b, pos+i)
			epsXY[count+i] = r.epsXY[(pos+i)*r.epsPlaces:][:r.epsPlaces]
		}
		spans[used] = p
		count += p.N
	}
	totals := w.scratch.CumulateRow(x, spans[:used], r.offsets)
	for i, total := range totals[:count] {
		if !(total <= math.MaxFloat32) {
			return 0, r.tooLarge((at+i)/positions, (at+i)%positions)
		}
		w.dead[g+i] = total == 0
	}
	w.scratch.DrawRow(g, &totals, keys[:count], &epsXY)
	return count, nil
}

func (r *run) tooLarge(b, pos int) error {
	return fmt.Errorf("X: the sum over the patch of image %d, output position (%d, %d) is too large for float32", b, pos/r.ow, pos%r.ow)
}

// preparePatches prepares positions g to g+n-1 of the group, wherever they are.
func (r *run) preparePatches(w *workspace, first, g, n int) error {
	positions := r.oh * r.ow
	var patches [len(w.sums)][]float32
	var totals [len(w.sums)]float32
	together := n == len(patches) && !r.padded // a worker has one padded image at a time
	for i := range n {
		at := first + g + i
		patches[i] = r.image(w, at/positions)[r.start(at%positions):]
		if !together {
			totals[i] = kernel.CumulateAt(w.sums[i], patches[i], r.offsets)
		}
	}
	if together {
		totals = kernel.CumulateAt4(w.sums, patches, r.offsets)
	}
	for i, total := range totals[:n] {
		b, pos := (first+g+i)/positions, (first+g+i)%positions
		if !(total <= math.MaxFloat32) {
			return r.tooLarge(b, pos)
		}
		if w.dead[g+i] = total == 0; w.dead[g+i] {
			w.sums[i][r.k-1] = 1 // any spikes will do, they are not used
		}
		r.draw(w.scratch, g+i, w.sums[i], b, pos)
	}
	return nil
}

// store copies the neurons of a group to their places in the output.
func (r *run) store(w *workspace, first, n int) {
	positions := r.oh * r.ow
	for g := range n {
		if w.dead[g] {
			w.scratch.Reset(g)
		}
	}
	// Positions of one image lie beside each other.
	for g := 0; g < n; {
		b, pos := (first+g)/positions, (first+g)%positions
		count := min(n-g, positions-pos)
		w.scratch.Store(r.h[b*r.n*positions+pos:], positions, g, count)
		g += count
	}
}

// draw prepares the spikes of one output position as number g of a group.
func (r *run) draw(s *kernel.Scratch, g int, sums []float32, b, pos int) {
	positions := r.oh * r.ow
	epsXY := r.epsXY[pos*r.epsPlaces:][:r.epsPlaces]
	first := b*r.Spikes*positions + pos // of the given spikes or uniforms
	switch {
	case r.given != nil:
		spikes := make([]int32, r.Spikes)
		for t := range spikes {
			spikes[t] = int32(r.given[first+t*positions])
		}
		s.Give(g, spikes, epsXY)
	case r.uniforms != nil:
		spikes := make([]int32, r.Spikes)
		for t := range spikes {
			spikes[t] = kernel.Invert(sums[:r.k], r.uniforms[first+t*positions])
		}
		s.Give(g, spikes, epsXY)
	default:
		s.Draw(g, sums, r.key(b, pos), epsXY)
	}
}

// key returns the key of the random numbers of an output position of entry b of the
// batch.
func (r *run) key(b, pos int) uint64 {
	return kernel.Key(r.ctx.ImageSeed(b), uint64(r.Seed), r.ctx.Image(b), uint64(pos))
}

// maxPadded bounds an image with padding, of which every worker has one.
const maxPadded = 1 << 24

// lay finds where the patches are.
func (r *run) lay() error {
	height, width := r.height+r.Pads[0]+r.Pads[2], r.width+r.Pads[1]+r.Pads[3]
	r.padded = r.Pads != [4]int{}
	r.rowLength, r.imageLength = width, r.channels*height*width
	if n, err := ops.Len([]int{r.channels, height, width}); r.padded && (err != nil || n > maxPadded) {
		return fmt.Errorf("an image of X with its pads, %dx%dx%d, has more than %d elements", r.channels, height, width, maxPadded)
	}
	r.offsets = make([]int32, 0, r.k)
	for c := range r.channels {
		for i := range r.Kernel[0] {
			for j := range r.Kernel[1] {
				r.offsets = append(r.offsets, int32((c*height+i*r.Dilations[0])*width+j*r.Dilations[1]))
			}
		}
	}
	return nil
}

// image returns an image of X, with padding around if there is any. It is good
// until the worker asks for another.
func (r *run) image(w *workspace, b int) []float32 {
	size := r.channels * r.height * r.width
	x := r.x[b*size:][:size]
	if !r.padded {
		return x
	}
	if w.number == b {
		return w.padded
	}
	w.number = b
	if len(w.padded) != r.imageLength {
		w.padded = make([]float32, r.imageLength)
	}
	clear(w.padded)
	height := r.height + r.Pads[0] + r.Pads[2]
	for row := range r.channels * r.height {
		channel, y := row/r.height, row%r.height
		copy(w.padded[(channel*height+y+r.Pads[0])*r.rowLength+r.Pads[1]:], x[row*r.width:(row+1)*r.width])
	}
	return w.padded
}

// start returns where the patch of an output position starts in its image.
func (r *run) start(pos int) int {
	return pos/r.ow*r.Strides[0]*r.rowLength + pos%r.ow*r.Strides[1]
}
