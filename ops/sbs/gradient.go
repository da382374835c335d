package sbs

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

const (
	// largestGradient bounds the gradients of dialect 1.
	largestGradient = 1e30

	// gradColumns and gradRows are about the numbers of output positions and of
	// rows of W in one product of matrices. Its operands then fit into the level 2
	// cache.
	gradColumns = 128
	gradRows    = 128

	// gradPartial is about the number of elements of the partial sums that are
	// kept at one time.
	gradPartial = 1 << 22
)

// gradient is the state of one Backward. As the Scratch of the node it keeps its memory
// for the next one, which has the same shapes.
//
// The work is cut into groups of images and into slabs of channels. One unit of
// parallel work computes one slab of one group. The units produce partial sums over
// their images, which are added in a fixed order, so that the result does not depend on
// the number of workers.
type gradient struct {
	geometry
	*layer

	dialect     Dialect
	local       bool
	x, w, epsXY []float32 // the inputs; epsXY is nil if absent
	epsPlaces   int       // entries of epsXY per output position: 0, 1 or KH*KW
	h, g        []float32 // the output and its gradient
	target      []float32 // nil without Rule.Target

	gradX, gradW, gradEps []float32 // nil if not needed

	// One entry per image and output position:
	inverse []float32 // 1/P, or 0 where P is 0
	overlap []float32 // sum over n of h*g
	mean    []float32 // mean of g with the weights h

	factors []float32   // a/(1+a) of dialect 1: (places, positions), or (1, positions)
	groups  []gradGroup // the batch
	slab    int         // number of channels in a slab

	weights, eps   []float32 // sums of grad_W and grad_epsilon_xy over all groups
	partW, partEps []float32 // the same of some groups, one group after the other
	workers        parallel.Spares[*gradWorker]
}

// gradGroup is a part of the batch: consecutive (image, output position) pairs, in
// chunks. A pair has the number image*OH*OW + pos.
type gradGroup struct{ chunks []gradChunk }

// gradChunk is the part of a group that is computed in one product of matrices. Its
// pairs are the columns of the matrices.
type gradChunk struct {
	first, count int
	runs         []columnRun    // the pairs, cut where a row of the output ends
	sources      []columnSource // of channel 0: an entry per place of the kernel and run
	neurons      []float32      // (n, 2*count): h, and beside it h*(g-mean)
	total        []float32      // sum of h over the neurons, of each pair
}

func (l *layer) backward(ctx *ops.Context, rule Rule, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := ops.CheckGradients(in, out, gradOut, gradIn); err != nil {
		return err
	}
	d := ops.Scratch[gradient](ctx)
	defer d.release()
	if err := d.prepare(l, rule, in, out, gradOut, gradIn); err != nil || d.batch == 0 {
		return err
	}
	if err := ctx.For(len(d.groups), 1, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			for j := range d.groups[i].chunks {
				d.prepareChunk(&d.groups[i].chunks[j])
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := ctx.For(d.batch, 1, func(lo, hi int) error {
		for b := lo; b < hi; b++ {
			d.patchSums(b)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := d.sumUp(ctx); err != nil {
		return err
	}
	if d.dialect == Dialect1 && d.gradX != nil {
		clip(d.gradX)
	}
	return nil
}

// release drops the references to tensors of the caller of Backward.
func (d *gradient) release() {
	d.x, d.w, d.epsXY, d.h, d.g, d.target = nil, nil, nil, nil, nil, nil
	d.gradX, d.gradW, d.gradEps = nil, nil, nil
}

// prepare checks the arguments of Backward and sets up d for them.
func (d *gradient) prepare(l *layer, rule Rule, in, out, gradOut, gradIn []*ops.Tensor) error {
	types := make([]*ops.Input, len(in))
	for i, t := range in {
		if t != nil {
			types[i] = &ops.Input{Type: ops.TypeOf(t)}
		}
	}
	inferred, err := l.Infer(types)
	if err != nil {
		return err
	}
	if err := inferred[0].Check(out[0]); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	d.layer, d.geometry = l, l.window().geometryOf(in[0].Shape(), out[0].Shape())
	d.x, d.w, d.h, d.g = in[0].Float32s(), in[1].Float32s(), out[0].Float32s(), gradOut[0].Float32s()
	d.epsXY = optional(in, inputEpsilonXY).Float32s()
	d.epsPlaces = len(d.epsXY) / d.positions
	if err := d.follow(rule, inferred[0]); err != nil {
		return err
	}
	d.gradX, d.gradW = gradIn[0].Float32s(), gradIn[1].Float32s()
	if d.dialect == Dialect1 { // dialect 2 does not train epsilon_xy
		d.gradEps = optional(gradIn, inputEpsilonXY).Float32s()
	}
	if d.workers.New == nil {
		d.workers.New = d.newWorker
		d.cut()
		pairs := d.batch * d.positions
		d.inverse, d.overlap, d.mean = make([]float32, pairs), make([]float32, pairs), make([]float32, pairs)
	}
	d.findFactors()
	clear(d.inverse)
	clear(d.overlap)
	clear(d.mean)
	return nil
}

// follow sets up d for a rule and an output of the given type.
func (d *gradient) follow(rule Rule, out ops.Type) error {
	d.dialect, d.local = rule.Dialect, rule.Local
	switch {
	case d.dialect == 0 && d.epsXY != nil:
		d.dialect = Dialect1
	case d.dialect == 0:
		d.dialect = Dialect2
	case d.dialect != Dialect1 && d.dialect != Dialect2:
		return fmt.Errorf("there is no gradient of dialect %d, only of 1 and 2", d.dialect)
	}
	if rule.Target != nil {
		if err := out.Check(rule.Target); err != nil {
			return fmt.Errorf("target: %w", err)
		}
	}
	d.target = rule.Target.Float32s()
	return nil
}

// findFactors computes a/(1+a), with a = epsilon_xy*epsilon_0, by which dialect 1
// multiplies grad_X.
func (d *gradient) findFactors() {
	if d.dialect != Dialect1 {
		d.factors = nil
		return
	}
	rows := max(d.epsPlaces, 1)
	if n := rows * d.positions; len(d.factors) != n {
		d.factors = make([]float32, n)
	}
	for i := range d.factors {
		place, pos := i/d.positions, i%d.positions
		a := d.Epsilon0
		if d.epsXY != nil {
			a *= d.epsXY[pos*d.epsPlaces+place]
		}
		d.factors[i] = a / (1 + a)
	}
}

// cut cuts the batch into groups of whole images, because only one unit of work may add
// to the gradient of an image at a time, and the groups into chunks of similar size. The
// sizes depend on the geometry alone.
func (d *gradient) cut() {
	d.slab = max(1, gradRows/d.places)
	images := max(1, gradColumns/d.positions)
	for b := 0; b < d.batch; b += images {
		first, end := b*d.positions, min(b+images, d.batch)*d.positions
		chunks := (end - first + gradColumns - 1) / gradColumns
		var g gradGroup
		for i := range chunks {
			lo, hi := first+(end-first)*i/chunks, first+(end-first)*(i+1)/chunks
			g.chunks = append(g.chunks, d.chunk(lo, hi-lo))
		}
		d.groups = append(d.groups, g)
	}
}

// chunk returns the chunk of count pairs from first on, without the parts that depend on the
// arrays.
func (d *gradient) chunk(first, count int) gradChunk {
	c := gradChunk{first: first, count: count}
	c.runs, c.sources = d.cutRuns(nil, nil, first, count)
	return c
}

// prepareChunk computes those parts of a chunk that do not depend on the slab.
func (d *gradient) prepareChunk(c *gradChunk) {
	if c.neurons == nil {
		c.neurons, c.total = make([]float32, 2*d.n*c.count), make([]float32, c.count)
	}
	clear(c.total)
	total := c.total
	overlap, mean := d.overlap[c.first:][:c.count], d.mean[c.first:][:c.count]
	d.eachNeuron(c, func(h, g []float32, at, _ int) {
		for i, v := range h {
			total[at+i] += v
			overlap[at+i] += float32(v * g[i])
		}
	})
	for i, v := range total {
		if v > 0 {
			mean[i] = overlap[i] / v
		}
	}
	d.eachNeuron(c, func(h, g []float32, at, n int) {
		both := c.neurons[2*n*c.count+at:]
		deviations := both[c.count:]
		copy(both, h)
		for i, v := range h {
			deviations[i] = v * (g[i] - mean[at+i])
		}
	})
}

// eachNeuron calls f for every neuron n with the slices of h and g that lie in a chunk.
// The chunk can lie in several images; f then gets several slices per neuron. at is the
// column of the first element.
func (d *gradient) eachNeuron(c *gradChunk, f func(h, g []float32, at, n int)) {
	for at := 0; at < c.count; {
		image, pos := (c.first+at)/d.positions, (c.first+at)%d.positions
		count := min(d.positions-pos, c.count-at)
		for n := range d.n {
			from := (image*d.n+n)*d.positions + pos
			f(d.h[from:][:count], d.g[from:][:count], at, n)
		}
		at += count
	}
}

// patchSums sets 1/P for the output positions of an image. It adds up the channels
// first, then the places of the kernel.
func (d *gradient) patchSums(b int) {
	plane := d.height * d.width
	sums := make([]float64, plane)
	for c := range d.channels {
		for i, v := range d.x[(b*d.channels+c)*plane:][:plane] {
			sums[i] += float64(v)
		}
	}
	totals := make([]float64, d.positions)
	for place := range d.places {
		for y := range d.oh {
			s := d.source(columnRun{y: y, count: d.ow}, place)
			for i := s.lo; i < s.hi; i++ {
				totals[y*d.ow+i] += sums[s.at+i*s.step]
			}
		}
	}
	inverse := d.inverse[b*d.positions:][:d.positions]
	for pos, total := range totals {
		if total > 0 {
			inverse[pos] = float32(1 / total)
		}
	}
}

// clip bounds a gradient as dialect 1 does.
func clip(g []float32) {
	for i, v := range g {
		if v != v { // NaN
			v = largestGradient
		}
		g[i] = min(max(v, -largestGradient), largestGradient)
	}
}

// sumUp computes all slabs of all groups and adds up the partial sums. It does so for
// some groups at a time, to bound the memory of the partial sums.
func (d *gradient) sumUp(ctx *ops.Context) error {
	slabs := (d.channels + d.slab - 1) / d.slab
	weights, eps := zeros(&d.weights, len(d.gradW)), zeros(&d.eps, len(d.gradEps))
	size := len(weights) + slabs*len(eps)
	wave := min(max(1, gradPartial/max(1, size)), len(d.groups))
	partW, partEps := zeros(&d.partW, wave*len(weights)), zeros(&d.partEps, wave*slabs*len(eps))
	for first := 0; first < len(d.groups); first += wave {
		count := min(wave, len(d.groups)-first)
		clear(partEps)
		err := ctx.For(count*slabs, 1, func(lo, hi int) error {
			w := d.workers.Get()
			defer d.workers.Put(w)
			for i := lo; i < hi; i++ {
				g, s := i/slabs, i%slabs
				w.weights, w.eps = partW[g*len(weights):][:len(weights)], partEps[i*len(eps):][:len(eps)]
				if err := d.compute(ctx, w, &d.groups[first+g], s*d.slab, min((s+1)*d.slab, d.channels)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := addParts(ctx, weights, partW[:count*len(weights)]); err != nil {
			return err
		}
		if err := addParts(ctx, eps, partEps[:count*slabs*len(eps)]); err != nil {
			return err
		}
	}
	if d.dialect == Dialect1 {
		d.finishEps(eps)
		clip(weights)
		clip(eps)
	}
	for i, v := range weights {
		d.gradW[i] += v
	}
	for i, v := range eps {
		d.gradEps[i] += v
	}
	return nil
}

// zeros returns n zeros. It uses the memory of *v if that is large enough, and keeps the
// memory there.
func zeros(v *[]float32, n int) []float32 {
	if cap(*v) < n {
		*v = make([]float32, n)
	}
	*v = (*v)[:n]
	clear(*v)
	return *v
}

// addParts adds consecutive parts, each of the length of sum, to sum in their order.
func addParts(ctx *ops.Context, sum, parts []float32) error {
	return ctx.For(len(sum), 1<<13, func(lo, hi int) error {
		for at := 0; at < len(parts); at += len(sum) {
			for i, v := range parts[at+lo : at+hi] {
				sum[lo+i] += v
			}
		}
		return nil
	})
}

// finishEps multiplies grad_epsilon_xy by the factor that does not depend on the image,
// epsilon_0/(1+a)^2.
func (d *gradient) finishEps(eps []float32) {
	for i := range eps {
		a := 1 + float64(float64(d.epsXY[i])*float64(d.Epsilon0))
		eps[i] = float32(float64(eps[i]) * float64(d.Epsilon0) / (a * a))
	}
}

// gradWorker is the temporary memory of one worker.
type gradWorker struct {
	both    []float32 // (rows of a slab, 2*count): W*h and W*(h*(g-mean)), later the factors of h and h*(g-mean)
	patch   []float32 // p~ of one row of W: an entry per pair of the chunk
	ratio   []float32 // G/(R+Tiny) of one row of W, likewise
	weights []float32 // partial sum of grad_W of the group, (K, N)
	eps     []float32 // partial sum of grad_epsilon_xy of the group and slab
}

func (d *gradient) newWorker() *gradWorker {
	return &gradWorker{
		both: make([]float32, d.slab*d.places*2*gradColumns), patch: make([]float32, gradColumns), ratio: make([]float32, gradColumns),
	}
}

// compute adds the contribution of the channels lo to hi-1 of a group to the partial
// sums and to grad_X. With the matrices R = W*h and G = W*(h*g), which have a row per row
// of W and a column per pair, grad_W is a sum of two products of matrices:
//
//	grad_W = (p~*R/(R^2+Tiny)) * (h*g)' - (p~*G/(R^2+Tiny)) * h'
//
// A constant added to g does not change grad_W. Instead of g this code uses g - mean,
// so that the two products do not cancel each other out.
func (d *gradient) compute(ctx *ops.Context, w *gradWorker, g *gradGroup, lo, hi int) error {
	first, rows := lo*d.places, (hi-lo)*d.places
	for i := range g.chunks {
		c := &g.chunks[i]
		width := 2 * c.count
		both := w.both[:rows*width]
		if err := kernel.Gemm(ctx, false, false, rows, width, d.n, d.w[first*d.n:], d.n, c.neurons, width, both, width, false); err != nil {
			return err
		}
		for row := range rows {
			d.row(w, c, first+row, both[row*width:][:width])
		}
		if d.gradW == nil {
			continue
		}
		right, stride, inner := c.neurons, width, width
		if d.local {
			inner = c.count // h alone
			if d.target != nil {
				right, stride = d.targets(c), c.count
			}
		}
		if err := kernel.Gemm(ctx, false, true, rows, d.n, inner, both, width, right, stride, w.weights[first*d.n:], d.n, i > 0); err != nil {
			return err
		}
	}
	return nil
}
