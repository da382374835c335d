package sbs

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

// nnmfGradient is the state of one Backward of the NNMF operator. As the Scratch of the node it
// keeps its memory for the next one.
//
// The work is cut into groups of whole images, because only one unit of work may add to the
// gradient of an image at a time. The groups produce partial sums of grad_W, which are added in
// their order, so that the result does not depend on the number of workers.
type nnmfGradient struct {
	geometry
	*nnmf
	*nnmfFactors
	ctx                  *ops.Context
	x, h, g              []float32 // the input, the output and its gradient
	gradX, gradW         []float32 // nil if not needed
	columns              int       // the largest number of pairs that are computed at the same time
	images               int       // in a group
	weights, partWeights []float32
	spaces               parallel.Spares[*nnmfBackSpace]
}

// nnmfBackSpace is the temporary memory of a worker.
type nnmfBackSpace struct {
	*nnmfSpace
	history  []float32 // h before each iteration and at the end, (T+1, N, columns)
	g        []float32 // the gradient with respect to h, (N, count)
	gv       []float32 // with respect to v, (N, count)
	back     []float32 // (N, count)
	gradP    []float32 // with respect to p~, (K, count)
	quotient []float32 // p~/(R+tiny), (K, count)
	gs       []float32 // with respect to s, then to R, (K, count)
	mean     []float32 // (count)
}

// Backward implements ops.Differentiable.
func (l *nnmf) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := ops.CheckGradients(in, out, gradOut, gradIn); err != nil {
		return err
	}
	inferred, err := l.Infer([]*ops.Input{{Type: ops.TypeOf(in[0])}, {Type: ops.TypeOf(in[1])}})
	if err != nil {
		return err
	}
	if err := inferred[0].Check(out[0]); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	d := ops.Scratch[nnmfGradient](ctx)
	defer d.release()
	d.nnmf, d.geometry, d.ctx = l, l.window().geometryOf(in[0].Shape(), out[0].Shape()), ctx
	d.x, d.h, d.g = in[0].Float32s(), out[0].Float32s(), gradOut[0].Float32s()
	d.gradX, d.gradW = gradIn[0].Float32s(), gradIn[1].Float32s()
	if d.batch == 0 || d.gradX == nil && d.gradW == nil {
		return nil
	}
	if d.nnmfFactors, err = l.factorsOf(ctx, in[1]); err != nil {
		return err
	}
	d.columns = min(nnmfColumns, mostColumns(d.elements()))
	d.images = max(1, nnmfColumns/d.positions)
	if d.spaces.New == nil {
		d.spaces.New = d.newSpace
	}
	return d.sumUp()
}

// release drops the references to tensors of the caller of Backward.
func (d *nnmfGradient) release() {
	d.ctx, d.nnmfFactors, d.x, d.h, d.g, d.gradX, d.gradW = nil, nil, nil, nil, nil, nil, nil
}

func (d *nnmfGradient) newSpace() *nnmfBackSpace {
	hidden, seen := d.n*d.columns, d.k*d.columns
	s := &nnmfBackSpace{
		nnmfSpace: newNNMFSpace(&d.geometry, d.columns),
		g:         make([]float32, hidden), gv: make([]float32, hidden), back: make([]float32, hidden),
		gradP: make([]float32, seen), quotient: make([]float32, seen), gs: make([]float32, seen),
		mean: make([]float32, d.columns),
	}
	if d.Gradient == GradientLoop {
		s.history = make([]float32, (d.Iterations+1)*hidden)
	}
	return s
}

// elements returns the number of float32 elements that a column takes in the memory of a worker.
// Layers with many iterations have fewer columns.
func (d *nnmfGradient) elements() int { return nnmfElements(&d.geometry) + d.ownElements() }

// ownElements is the part of elements that a nnmfSpace does not have.
func (d *nnmfGradient) ownElements() int {
	elements := 3*d.n + 3*d.k + 1
	if d.Gradient == GradientLoop {
		elements += (d.Iterations + 1) * d.n
	}
	return elements
}

// sumUp computes all groups and adds up grad_W. It does so for some groups at a time, to bound the
// memory of the partial sums.
func (d *nnmfGradient) sumUp() error {
	groups := (d.batch + d.images - 1) / d.images
	wave := min(max(1, gradPartial/max(1, len(d.gradW))), groups)
	bytes := nnmfSpaceBytes(&d.geometry, d.columns) + 4*int64(d.columns)*int64(d.ownElements())
	sums := 4 * int64(wave+1) * int64(len(d.gradW))
	if err := d.ctx.Reserve(sums); err != nil {
		return err
	}
	defer d.ctx.Release(sums)
	weights := zeros(&d.weights, len(d.gradW))
	for first := 0; first < groups; first += wave {
		count := min(wave, groups-first)
		parts := zeros(&d.partWeights, count*len(weights))
		if err := d.ctx.For(count, 1, func(lo, hi int) error {
			if err := d.ctx.Reserve(bytes); err != nil {
				return err
			}
			defer d.ctx.Release(bytes)
			s := d.spaces.Get()
			defer d.spaces.Put(s)
			for i := lo; i < hi; i++ {
				if err := d.group(s, first+i, parts[i*len(weights):][:len(weights)]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if len(weights) > 0 {
			if err := addParts(d.ctx, weights, parts); err != nil {
				return err
			}
		}
	}
	for i, v := range weights {
		d.gradW[i] += v
	}
	return nil
}

// group adds the contribution of a group of images to weights, unless it is empty, and to gradX.
func (d *nnmfGradient) group(s *nnmfBackSpace, group int, weights []float32) error {
	first := group * d.images * d.positions
	end := min((group+1)*d.images, d.batch) * d.positions
	chunks := (end - first + d.columns - 1) / d.columns
	for i := range chunks {
		lo, hi := first+(end-first)*i/chunks, first+(end-first)*(i+1)/chunks
		if err := d.chunk(s, lo, hi-lo, weights); err != nil {
			return err
		}
	}
	return nil
}

// chunk adds the contribution of count pairs from first on.
func (d *nnmfGradient) chunk(s *nnmfBackSpace, first, count int, weights []float32) error {
	s.place(&d.geometry, first, count)
	if err := s.patches(d.ctx, &d.geometry, d.x, d.TinySum); err != nil {
		return err
	}
	hidden, seen := s.n*count, s.k*count
	s.g, s.gv, s.back = s.g[:hidden], s.gv[:hidden], s.back[:hidden]
	s.gradP, s.quotient, s.gs, s.mean = s.gradP[:seen], s.quotient[:seen], s.gs[:seen], s.mean[:count]
	s.load(&d.geometry, s.g, d.g)
	clear(s.gradP)
	for i, total := range s.total {
		if total > 0 {
			continue
		}
		for n := range s.n { // h does not depend on a patch that is all zero
			s.g[n*count+i] = 0
		}
	}
	var err error
	if d.Gradient == GradientClosedForm {
		err = d.closedForm(s, weights)
	} else {
		err = d.loop(s, weights)
	}
	if err == nil && d.gradX != nil {
		d.pass(s)
	}
	return err
}

// loop computes the derivative of all iterations. gz, gu, gv and gs are the gradients with respect
// to z, u and v of NNMFParams and to s = p~/(R + tiny_reconstruction).
func (d *nnmfGradient) loop(s *nnmfBackSpace, weights []float32) error {
	size := s.n * s.count
	at := func(t int) []float32 { return s.history[t*size:][:size] }
	s.start(at(0))
	for t := range d.Iterations {
		if err := s.update(d.ctx, d.nnmf, d.nnmfFactors, at(t+1), at(t)); err != nil {
			return err
		}
	}
	for t := d.Iterations - 1; t >= 0; t-- {
		if err := d.iteration(s, at(t), at(t+1), weights); err != nil {
			return err
		}
	}
	return nil
}

// iteration passes the gradient s.g through one iteration, from next, the h after it, to h.
func (d *nnmfGradient) iteration(s *nnmfBackSpace, h, next, weights []float32) error {
	keep, scale := d.step()
	if err := s.ratios(d.ctx, d.nnmf, d.nnmfFactors, h, s.quotient); err != nil { // s.s is R now
		return err
	}
	copy(s.gv, s.v)
	s.grow(d.nnmf, h) // s.sums is 1/Z now
	clear(s.mean)
	for n := range s.n {
		g, after := s.g[n*s.count:][:s.count], next[n*s.count:][:s.count]
		for i, v := range g {
			s.mean[i] += float32(v * after[i])
		}
	}
	for n := range s.n {
		row := s.g[n*s.count:][:s.count]
		gv, before := s.gv[n*s.count:][:s.count], h[n*s.count:][:s.count]
		for i, v := range row {
			gz := (v - s.mean[i]) * s.sums[i]
			gu := scale * gz
			row[i] = float32(keep*gz) + float32(gu*gv[i])
			gv[i] = gu * before[i]
		}
	}
	if err := d.down.Convolve(d.ctx, 0, s.hidden, s.gv, nil, s.gs, s.count); err != nil {
		return err
	}
	kernel.Quotients(s.gs, s.gs, s.s, d.TinyReconstruction)
	for i, v := range s.gs {
		s.gradP[i] += v
		s.gs[i] = -v * s.quotient[i]
	}
	if err := d.up.Convolve(d.ctx, 0, s.inputs, s.gs, nil, s.back, s.count); err != nil {
		return err
	}
	for i, v := range s.back {
		s.g[i] += v
	}
	if len(weights) == 0 {
		return nil
	}
	if err := d.addOuter(weights, s.quotient, s.gv, s); err != nil {
		return err
	}
	return d.addOuter(weights, s.gs, h, s)
}

// addOuter adds a*b' to sum, for a (K, count) and b (N, count).
func (d *nnmfGradient) addOuter(sum, a, b []float32, s *nnmfBackSpace) error {
	return kernel.Gemm(d.ctx, false, true, s.k, s.n, s.count, a, s.count, b, s.count, sum, s.n, true)
}

// closedForm computes the gradient of SbS layers from the final h, with the formulas in the
// documentation of the package. A constant added to g changes neither gradient: with g minus its
// mean, the terms do not cancel each other out.
func (d *nnmfGradient) closedForm(s *nnmfBackSpace, weights []float32) error {
	s.load(&d.geometry, s.h, d.h)
	total := s.sums
	clear(total)
	clear(s.mean)
	for n := range s.n {
		for i, h := range s.h[n*s.count:][:s.count] {
			total[i] += h
			s.mean[i] += float32(h * s.g[n*s.count+i])
		}
	}
	for i, v := range total {
		if v > 0 {
			s.mean[i] /= v
		}
	}
	for n := range s.n {
		for i, h := range s.h[n*s.count:][:s.count] {
			s.gv[n*s.count+i] = h * (s.g[n*s.count+i] - s.mean[i])
		}
	}
	if err := d.down.Convolve(d.ctx, 0, s.hidden, s.h, nil, s.s, s.count); err != nil { // R
		return err
	}
	if err := d.down.Convolve(d.ctx, 0, s.hidden, s.gv, nil, s.gs, s.count); err != nil { // G - mean*R
		return err
	}
	for k := range s.k {
		row := s.gradP[k*s.count:][:s.count]
		kernel.Ratios(row, s.gs[k*s.count:][:s.count], s.mean, s.s[k*s.count:][:s.count])
	}
	if len(weights) == 0 {
		return nil
	}
	d.distribution(s)
	kernel.Factors(s.s, s.gs, s.quotient)
	if err := d.addOuter(weights, s.s, s.h, s); err != nil {
		return err
	}
	return d.addOuter(weights, s.gs, s.gv, s)
}

// distribution sets s.quotient to p~ divided by its sum, which is below 1 for the smallest patches.
// Where the patch is all zero, it is 0.
func (d *nnmfGradient) distribution(s *nnmfBackSpace) {
	sum := s.back[:s.count]
	clear(sum)
	for k := range s.k {
		for i, v := range s.p[k*s.count:][:s.count] {
			sum[i] += v
		}
	}
	for k := range s.k {
		kernel.Quotients(s.quotient[k*s.count:][:s.count], s.p[k*s.count:][:s.count], sum, d.TinySum)
	}
}

// pass adds the gradient with respect to p~ to gradX: it goes back through the division of the
// patch by its sum, and to every element of X that the patch shows.
func (d *nnmfGradient) pass(s *nnmfBackSpace) {
	mean := s.sums
	clear(mean)
	for k := range s.k {
		for i, v := range s.gradP[k*s.count:][:s.count] {
			mean[i] += float32(v * s.p[k*s.count+i])
		}
	}
	row := s.back[:s.count]
	for k := range s.k {
		gradP := s.gradP[k*s.count:][:s.count]
		for i, v := range gradP {
			row[i] = v - mean[i]
		}
		kernel.Quotients(row, row, s.total, d.TinySum)
		sources, plane := s.sources[k%d.places*len(s.runs):], k/d.places*d.height*d.width
		for i, r := range s.runs {
			sources[i].add(d.gradX, plane, row[r.column:][:r.count])
		}
	}
}
