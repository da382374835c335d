package sbs

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

// Dialect is a version of PyTorch-SbS, whose gradients differ.
type Dialect int

// The dialects: of May 2022 and of January 2023.
const (
	Dialect1 Dialect = 1
	Dialect2 Dialect = 2
)

// Rule says which gradient an SbS layer has. The zero value is that of dialect 1
// for a layer with epsilon_xy, and of dialect 2 for one without.
type Rule struct {
	Dialect Dialect

	// Local replaces the gradient of W by that of the squared distance between
	// the input distribution and its reconstruction. Target, (B, N, OH, OW), is
	// what a local output layer has there in place of h: the wanted output.
	Local  bool
	Target *ops.Tensor
}

// WithRule returns an SbS operator that was made by Operator with a rule of its
// own for its gradient; false when op is another operator.
func WithRule(op ops.Op, r Rule) (ops.Differentiable, bool) {
	l, ok := op.(*layer)
	return ruled{l, r}, ok
}

type ruled struct {
	*layer
	rule Rule
}

// Backward implements ops.Differentiable.
func (r ruled) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	return r.backward(ctx, r.rule, in, out, gradOut, gradIn)
}

// Backward implements ops.Differentiable, with the zero Rule. See the package
// documentation for the formulas.
func (l *layer) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	return l.backward(ctx, Rule{}, in, out, gradOut, gradIn)
}

const (
	// tiny keeps the quotients defined, as in the original.
	tiny = 1e-20

	// largestGradient is the bound of dialect 1.
	largestGradient = 1e30

	// gradColumns is the number of output positions, and gradRows of rows of W,
	// that one product of matrices is about: what it needs fits into the second
	// cache. gradPartial is the number of elements of the sums that are waiting
	// to be added up.
	gradColumns = 128
	gradRows    = 128
	gradPartial = 1 << 22
)

// gradient is the state of one Backward, and what can be kept for the next of the
// same layer and the same shapes. The work is cut into groups of images and slabs
// of channels. A group and a slab are computed at once; their parts of the sums
// over all images are added up in a fixed order.
type gradient struct {
	*layer
	geometry
	places    int // of the kernel
	positions int // of an image

	dialect    Dialect
	local      bool
	x, w, h, g []float32
	target     []float32
	epsXY      []float32
	epsPlaces  int

	gradX, gradW, gradEps []float32 // nil when not wanted

	inverse []float32   // 1/P of each image and position, 0 where P is 0
	overlap []float32   // sum over n of h*g, likewise
	mean    []float32   // of g, weighted with h, likewise
	factors []float32   // a/(1+a), (places, positions) or (1, positions)
	groups  []gradGroup // of images
	slab    int         // channels of a slab

	weights, eps   []float32 // the sums over all groups
	partW, partEps []float32 // of each group
	workers        parallel.Spares[*gradWorker]
}

// gradGroup is a part of the batch: chunks of (image, position) pairs that follow
// each other.
type gradGroup struct{ chunks []gradChunk }

type gradChunk struct {
	first, count int       // pairs
	runs         []gradRun // what of them lies beside each other in a row of the output
	neurons      []float32 // (n, 2*count): h, and h*(g-mean) beside it
	total        []float32 // of h over the neurons
}

type gradRun struct{ column, image, y, x, count int }

func (l *layer) backward(ctx *ops.Context, rule Rule, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := ops.CheckGradients(in, out, gradOut, gradIn); err != nil {
		return err
	}
	d := ops.Scratch[gradient](ctx)
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
	x, o := in[0].Shape(), out[0].Shape()
	d.geometry = geometry{
		batch: x[0], channels: x[1], height: x[2], width: x[3],
		k: in[1].Shape()[0], n: o[1], oh: o[2], ow: o[3],
	}
	d.places, d.positions = l.Kernel[0]*l.Kernel[1], o[2]*o[3]
	d.dialect, d.local = rule.Dialect, rule.Local
	d.x, d.w, d.h, d.g = in[0].Float32s(), in[1].Float32s(), out[0].Float32s(), gradOut[0].Float32s()
	d.epsXY, d.epsPlaces, d.target = nil, 0, nil
	if e := optional(in, inputEpsilonXY); e != nil {
		d.epsXY = e.Float32s()
		d.epsPlaces = len(d.epsXY) / d.positions
	}
	switch {
	case d.dialect == 0 && d.epsXY != nil:
		d.dialect = Dialect1
	case d.dialect == 0:
		d.dialect = Dialect2
	case d.dialect != Dialect1 && d.dialect != Dialect2:
		return fmt.Errorf("there is no gradient of dialect %d, only of 1 and 2", d.dialect)
	}
	if rule.Target != nil {
		if err := inferred[0].Check(rule.Target); err != nil {
			return fmt.Errorf("target: %w", err)
		}
		d.target = rule.Target.Float32s()
	}
	wanted := func(i int) []float32 {
		if i < len(gradIn) && gradIn[i] != nil {
			return gradIn[i].Float32s()
		}
		return nil
	}
	d.gradX, d.gradW, d.gradEps = wanted(0), wanted(1), nil
	if d.dialect == Dialect1 { // dialect 2 has one constant, which is not trained
		d.gradEps = wanted(inputEpsilonXY)
	}
	if d.layer == nil {
		d.layer = l
		d.cut()
		d.workers.New = d.newWorker
		d.inverse = make([]float32, d.batch*d.positions)
		d.overlap, d.mean = make([]float32, d.batch*d.positions), make([]float32, d.batch*d.positions)
	}
	d.findFactors()
	clear(d.inverse)
	clear(d.overlap)
	clear(d.mean)
	return nil
}

// findFactors forms a/(1+a), with a = epsilon_xy*epsilon_0, by which dialect 1
// multiplies the gradient of the input.
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

// cut forms groups of whole images, so that a group alone adds to the gradient
// of its images, and chunks of similar size. The sizes depend on nothing but the
// geometry.
func (d *gradient) cut() {
	d.slab = max(1, gradRows/d.places)
	images := max(1, gradColumns/d.positions)
	for b := 0; b < d.batch; b += images {
		first, end := b*d.positions, min(b+images, d.batch)*d.positions
		chunks := (end - first + gradColumns - 1) / gradColumns
		var g gradGroup
		for i := range chunks {
			lo, hi := first+(end-first)*i/chunks, first+(end-first)*(i+1)/chunks
			g.chunks = append(g.chunks, gradChunk{first: lo, count: hi - lo})
		}
		d.groups = append(d.groups, g)
	}
}

// prepareChunk forms what all slabs need of a chunk.
func (d *gradient) prepareChunk(c *gradChunk) {
	if c.neurons == nil {
		c.neurons, c.total = make([]float32, 2*d.n*c.count), make([]float32, c.count)
	}
	clear(c.total)
	c.runs = c.runs[:0]
	for at := c.first; at < c.first+c.count; {
		pos := at % d.positions
		r := gradRun{column: at - c.first, image: at / d.positions, y: pos / d.ow, x: pos % d.ow}
		r.count = min(d.ow-r.x, c.first+c.count-at)
		c.runs = append(c.runs, r)
		at += r.count
	}
	total := c.total
	overlap, mean := d.overlap[c.first:][:c.count], d.mean[c.first:][:c.count]
	d.eachNeuron(c, func(h, g []float32, at, _ int) {
		for i, v := range h {
			total[at+i] += v
			overlap[at+i] += v * g[i]
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

// eachNeuron calls f for every neuron with h and g at positions of a chunk that
// lie beside each other, the first of which is number at of the chunk.
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

// patchSums finds 1/P for the positions of an image: the sum over the channels
// first, then over the kernel.
func (d *gradient) patchSums(b int) {
	plane := d.height * d.width
	sums := make([]float64, plane)
	for c := range d.channels {
		for i, v := range d.x[(b*d.channels+c)*plane:][:plane] {
			sums[i] += float64(v)
		}
	}
	inverse := d.inverse[b*d.positions:][:d.positions]
	for pos := range inverse {
		var total float64
		for place := range d.places {
			y := pos/d.ow*d.Strides[0] - d.Pads[0] + place/d.Kernel[1]*d.Dilations[0]
			x := pos%d.ow*d.Strides[1] - d.Pads[1] + place%d.Kernel[1]*d.Dilations[1]
			if uint(y) < uint(d.height) && uint(x) < uint(d.width) {
				total += sums[y*d.width+x]
			}
		}
		if total > 0 {
			inverse[pos] = float32(1 / total)
		}
	}
}

// clip is what dialect 1 does to every gradient.
func clip(g []float32) {
	for i, v := range g {
		if v != v { // NaN
			v = largestGradient
		}
		g[i] = min(max(v, -largestGradient), largestGradient)
	}
}

// sumUp computes groups and slabs and adds up the parts, a number of groups at a
// time.
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
				d.compute(w, &d.groups[first+g], s*d.slab, min((s+1)*d.slab, d.channels))
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

// zeros returns n zeros, in the slice if it has the room.
func zeros(v *[]float32, n int) []float32 {
	if cap(*v) < n {
		*v = make([]float32, n)
	}
	*v = (*v)[:n]
	clear(*v)
	return *v
}

// addParts adds parts of the size of sum to it, in their order.
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

// finishEps multiplies the sums of epsilon_xy's gradient by what does not depend
// on the image: epsilon_0/(1+a)^2.
func (d *gradient) finishEps(eps []float32) {
	for i := range eps {
		a := 1 + float64(d.epsXY[i])*float64(d.Epsilon0)
		eps[i] = float32(float64(eps[i]) * float64(d.Epsilon0) / (a * a))
	}
}

// gradWorker is what one worker needs at a time.
type gradWorker struct {
	both    []float32 // (rows of a slab, 2*count): R and W*(h*(g-mean)), then the factors of the neurons
	patch   []float32 // what a row of W sees of the input
	ratio   []float32 // and what goes back to it
	sources []gradSource
	weights []float32 // the parts of a group: (k, n)
	eps     []float32 // as epsilon_xy
}

func (d *gradient) newWorker() *gradWorker {
	return &gradWorker{
		both: make([]float32, d.slab*d.places*2*gradColumns), patch: make([]float32, gradColumns), ratio: make([]float32, gradColumns),
	}
}

// compute does the channels lo to hi of a group. With R = W*h and G = W*(h*g),
// both rows of W by positions, everything is in products of matrices:
//
//	grad_W = (p~*R/(R^2+tiny)) * (h*g)' - (p~*G/(R^2+tiny)) * h'
//
// A constant added to g does not change grad_W. In place of g stands its deviation
// from its mean over h, which leaves little to cancel out.
func (d *gradient) compute(w *gradWorker, g *gradGroup, lo, hi int) {
	first, rows := lo*d.places, (hi-lo)*d.places
	for i := range g.chunks {
		c := &g.chunks[i]
		width := 2 * c.count
		both := w.both[:rows*width]
		kernel.Gemm(false, false, rows, width, d.n, d.w[first*d.n:], d.n, c.neurons, width, both, width, false)
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
		kernel.Gemm(false, true, rows, d.n, inner, both, width, right, stride, w.weights[first*d.n:], d.n, i > 0)
	}
}
