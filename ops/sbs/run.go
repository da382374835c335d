package sbs

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// blockPositions is the number of (image, output position) pairs of one unit
// of parallel work: enough to make handing them out cheap, few enough to stop
// soon when asked to.
const blockPositions = 8

// Run implements ops.Op.
func (l *layer) Run(ctx *ops.Context, in []*ops.Tensor) ([]*ops.Tensor, error) {
	r, err := l.prepare(ctx, in)
	if err != nil {
		return nil, err
	}
	err = ctx.For(r.batch*r.oh*r.ow, blockPositions, func(lo, hi int) error { return r.spikes(lo, hi) })
	if err == nil && l.AlphaIterations > 0 {
		err = ctx.For(r.batch, 1, func(lo, hi int) error {
			for b := lo; b < hi; b++ {
				r.alpha(b)
			}
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	out, err := ops.NewTensor([]int{r.batch, r.n, r.oh, r.ow}, r.h)
	if err != nil {
		return nil, err
	}
	return []*ops.Tensor{out}, nil
}

// run is the state of one Run.
type run struct {
	*layer
	geometry

	x, w, epsXY []float32
	epsPlaces   int // entries of epsXY for each position: 0, 1 or KH*KW
	h           []float32

	seed, firstImage uint64
	given            []int64   // spikes handed in
	uniforms         []float32 // uniforms handed in
}

// geometry holds the sizes of a run.
type geometry struct {
	batch, channels, height, width int
	k, n, oh, ow                   int
}

func (l *layer) prepare(ctx *ops.Context, in []*ops.Tensor) (*run, error) {
	types := make([]*ops.Input, len(in))
	for i, t := range in {
		if t != nil {
			types[i] = &ops.Input{Type: ops.TypeOf(t)}
		}
	}
	outTypes, err := l.Infer(types)
	if err != nil {
		return nil, err
	}
	out := make([]int, 4)
	for i, d := range outTypes[0].Shape {
		out[i] = d.Size
	}
	total, err := ops.Len(out)
	if err != nil {
		return nil, err
	}
	x := in[0].Shape()
	r := &run{
		layer: l,
		geometry: geometry{
			batch: x[0], channels: x[1], height: x[2], width: x[3],
			k: in[1].Shape()[0], n: out[1], oh: out[2], ow: out[3],
		},
		x: in[0].Float32s(), w: in[1].Float32s(),
		seed: ctx.Seed, firstImage: ctx.FirstImage,
	}
	if len(in) == 3 && in[2] != nil {
		r.epsXY = in[2].Float32s()
		r.epsPlaces = len(r.epsXY) / (r.oh * r.ow)
	}
	for i, v := range r.epsXY {
		if !(v >= 0 && v <= maxEpsilon) {
			return nil, fmt.Errorf("epsilon_xy holds %v at %v, want 0 to %g", v, index(i, in[2].Shape()), float32(maxEpsilon))
		}
	}
	if err := r.inject(ctx); err != nil {
		return nil, err
	}
	for i, v := range r.x {
		if !(v >= 0 && v <= math.MaxFloat32) {
			return nil, fmt.Errorf("X holds %v at %v: an SbS layer takes finite values of at least 0", v, index(i, x))
		}
	}
	r.h = make([]float32, total)
	return r, nil
}

// inject takes the spikes or uniforms that a test hands in.
func (r *run) inject(ctx *ops.Context) error {
	want := ops.Type{Shape: ops.Dims(r.batch, r.Spikes, r.oh, r.ow)}
	if ctx.Spikes != nil {
		want.DType = ops.Int64
		if err := want.Check(ctx.Spikes); err != nil {
			return fmt.Errorf("given spikes: %w", err)
		}
		r.given = ctx.Spikes.Int64s()
		for i, k := range r.given {
			if k < 0 || k >= int64(r.k) {
				return fmt.Errorf("given spikes: %d at %v, want 0 to %d", k, index(i, ctx.Spikes.Shape()), r.k-1)
			}
		}
	}
	if ctx.Uniforms != nil {
		want.DType = ops.Float32
		if err := want.Check(ctx.Uniforms); err != nil {
			return fmt.Errorf("given uniforms: %w", err)
		}
		r.uniforms = ctx.Uniforms.Float32s()
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

// spikes computes h at the (image, output position) pairs lo..hi-1.
func (r *run) spikes(lo, hi int) error {
	var (
		patch      = make([]float32, r.k)
		sums       = make([]float32, r.k)
		thresholds = make([]uint32, r.k)
		spikes     = make([]int32, r.Spikes)
		h          = make([]float32, r.n)
		positions  = r.oh * r.ow
	)
	for i := lo; i < hi; i++ {
		b, pos := i/positions, i%positions
		for n := range h {
			h[n] = 1 / float32(r.n)
		}
		r.gather(patch, b, pos)
		total := kernel.Cumulate(sums, patch)
		if !(total <= math.MaxFloat32) {
			return fmt.Errorf("X: the sum over the patch of image %d, output position (%d, %d) is too large for float32", b, pos/r.ow, pos%r.ow)
		}
		if total > 0 {
			r.draw(spikes, thresholds, sums, b, pos)
			kernel.Update(h, r.w, spikes, r.eps, r.epsXY[pos*r.epsPlaces:][:r.epsPlaces], max(r.Forgetting, 0))
		}
		for n, v := range h {
			r.h[(b*r.n+n)*positions+pos] = v
		}
	}
	return nil
}

// draw fills spikes for one output position.
func (r *run) draw(spikes []int32, thresholds []uint32, sums []float32, b, pos int) {
	positions := r.oh * r.ow
	first := b*r.Spikes*positions + pos // of the given spikes or uniforms
	switch {
	case r.given != nil:
		for t := range spikes {
			spikes[t] = int32(r.given[first+t*positions])
		}
	case r.uniforms != nil:
		for t := range spikes {
			spikes[t] = kernel.Invert(sums, r.uniforms[first+t*positions])
		}
	default:
		kernel.Thresholds(thresholds, sums)
		kernel.Sample(spikes, thresholds, kernel.Key(r.seed, uint64(r.Seed), r.firstImage+uint64(b), uint64(pos)))
	}
}

// gather copies the patch of one output position of an image into patch, in
// the order of the rows of W. Padded places are 0.
func (r *run) gather(patch []float32, b, pos int) {
	y0 := pos/r.ow*r.Strides[0] - r.Pads[0]
	x0 := pos%r.ow*r.Strides[1] - r.Pads[1]
	kh, kw := r.Kernel[0], r.Kernel[1]
	for c := range r.channels {
		plane := r.x[(b*r.channels+c)*r.height*r.width:][:r.height*r.width]
		for i := range kh {
			row := patch[(c*kh+i)*kw:][:kw]
			y := y0 + i*r.Dilations[0]
			if y < 0 || y >= r.height {
				clear(row)
				continue
			}
			for j := range row {
				if xx := x0 + j*r.Dilations[1]; xx >= 0 && xx < r.width {
					row[j] = plane[y*r.width+xx]
				} else {
					row[j] = 0
				}
			}
		}
	}
}
