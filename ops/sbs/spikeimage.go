package sbs

import (
	"context"
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

// spikeImageOperator returns the description of the SpikeImage operator. Its Ops implement
// ops.Differentiable.
func spikeImageOperator() ops.Operator {
	return ops.Operator{
		Domain: Domain, Name: OpSpikeImage,
		MinInputs: 1, MaxInputs: 2, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			p, err := ImageParamsOf(n.Attributes)
			if err != nil {
				return nil, err
			}
			return &spikeImage{p}, nil
		},
	}
}

// spikeImage is the SpikeImage operator, bound to the attributes of a node.
type spikeImage struct{ ImageParams }

// Infer implements ops.Op.
func (p *spikeImage) Infer(in []*ops.Input) ([]ops.Type, error) {
	out, err := inferImage(in)
	if err != nil {
		return nil, err
	}
	if g := optional(in, inputGivenOfImage); g != nil {
		err = p.checkGiven(g, out)
	}
	return []ops.Type{out}, err
}

// checkGiven checks the input of given spikes or uniforms for an X of the given type.
func (p *spikeImage) checkGiven(given *ops.Input, x ops.Type) error {
	want := ops.Type{DType: ops.Int64, Shape: []ops.Dim{x.Shape[0], {Size: p.Spikes}, {Size: 1}, {Size: 1}}}
	if given.DType == ops.Float32 {
		want.DType = ops.Float32
	}
	if !compatible(given.Type, want) {
		return fmt.Errorf("%w: the input given is %v, want %v (batch, number_of_spikes, 1, 1), int64 for spikes or float32 for uniforms",
			ops.ErrShape, given.Type, want)
	}
	values := math.MaxInt32
	if sizes, ok := (ops.Type{Shape: x.Shape[1:]}).Sizes(); ok {
		n, err := ops.Len(sizes)
		if err != nil {
			return err
		}
		values = n
	}
	switch {
	case given.Const == nil:
		return nil
	case given.DType == ops.Float32:
		return checkUniforms(context.Background(), given.Const)
	}
	return checkSpikes(context.Background(), given.Const, values, "image")
}

// spikeImageRun is the state of one Run. As the Scratch of the node it keeps its memory for the
// next one.
type spikeImageRun struct {
	*spikeImage
	ctx      *ops.Context
	x, y     []float32 // the input and the output
	given    []int64   // the given spikes, or nil
	uniforms []float32 // the given uniforms, or nil
	size     int       // values of an image
	check    checkLoop
	spaces   parallel.Spares[*spikeImageSpace]
}

// spikeImageSpace is the temporary memory of one worker.
type spikeImageSpace struct {
	sums   []float32 // the running sums of an image
	lookup kernel.Lookup
	spikes [spikesAtOnce]uint32
}

// spikesAtOnce is the number of spikes that are drawn between two checks of the context. It is even,
// as a Lookup needs it.
const spikesAtOnce = 1 << 12

// Run implements ops.Op.
func (p *spikeImage) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	r := ops.Scratch[spikeImageRun](ctx)
	defer r.release()
	r.spikeImage, r.ctx, r.x, r.y = p, ctx, in[0].Float32s(), out[0].Float32s()
	r.size = 0
	if batch := in[0].Shape()[0]; batch > 0 {
		r.size = len(r.x) / batch
	}
	if err := r.inject(in); err != nil {
		return err
	}
	r.check = checkLoop{x: in[0], what: "a SpikeImage layer"}
	if err := ctx.Do(len(r.x), checkGrain, &r.check); err != nil || r.size == 0 {
		return err
	}
	if r.size > math.MaxInt32 {
		return fmt.Errorf("%w: an image of X has %d values, more than %d", ops.ErrShape, r.size, math.MaxInt32)
	}
	if r.spaces.New == nil {
		r.spaces.New = func() *spikeImageSpace {
			return &spikeImageSpace{sums: make([]float32, r.size), lookup: kernel.NewLookup(r.size)}
		}
	}
	return ctx.Do(in[0].Shape()[0], 1, r)
}

// release drops the references to tensors of the caller of Run.
func (r *spikeImageRun) release() {
	r.ctx, r.check.x = nil, nil
	r.x, r.y, r.given, r.uniforms = nil, nil, nil, nil
}

// inject checks the given spikes and uniforms and keeps them for the run. Spikes take
// precedence over uniforms.
func (r *spikeImageRun) inject(in []*ops.Tensor) error {
	r.given, r.uniforms = nil, nil
	spikes, uniforms := given(r.ctx, optional(in, inputGivenOfImage))
	if spikes == nil && uniforms == nil {
		return nil
	}
	want := ops.Type{DType: ops.Int64, Shape: ops.Dims(in[0].Shape()[0], r.Spikes, 1, 1)}
	if spikes != nil {
		if err := want.Check(spikes); err != nil {
			return fmt.Errorf("given spikes: %w", err)
		}
		r.given = spikes.Int64s()
		return checkSpikes(r.ctx, spikes, r.size, "image")
	}
	want.DType = ops.Float32
	if err := want.Check(uniforms); err != nil {
		return fmt.Errorf("given uniforms: %w", err)
	}
	r.uniforms = uniforms.Float32s()
	return checkUniforms(r.ctx, uniforms)
}

// Part implements parallel.Loop for images lo to hi-1.
func (r *spikeImageRun) Part(lo, hi int) error {
	bytes := 4*int64(r.size) + kernel.LookupBytes(r.size) + 4*spikesAtOnce
	if err := r.ctx.Reserve(bytes); err != nil {
		return err
	}
	defer r.ctx.Release(bytes)
	s := r.spaces.Get()
	defer r.spaces.Put(s)
	for b := lo; b < hi; b++ {
		if err := r.image(s, b); err != nil {
			return err
		}
	}
	return nil
}

// image computes the output of entry b of the batch.
func (r *spikeImageRun) image(s *spikeImageSpace, b int) error {
	x, y := r.x[b*r.size:][:r.size], r.y[b*r.size:][:r.size]
	var total float32
	for lo := 0; lo < r.size; lo += checkGrain {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		hi := min(lo+checkGrain, r.size)
		clear(y[lo:hi])
		for i, v := range x[lo:hi] {
			total += v
			s.sums[lo+i] = total
		}
	}
	switch {
	case !(total <= math.MaxFloat32):
		return fmt.Errorf("%w: X: the sum over image %d is too large for float32", ops.ErrValue, b)
	case total == 0:
		return nil
	}
	if r.given == nil && r.uniforms == nil {
		s.lookup.Prepare(s.sums)
	}
	for first := 0; first < r.Spikes; first += spikesAtOnce {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		spikes := s.spikes[:min(spikesAtOnce, r.Spikes-first)]
		if err := r.spikes(s, spikes, b, first); err != nil {
			return err
		}
		for _, k := range spikes {
			y[k]++ // at most MaxSpikes, which a float32 can count
		}
	}
	values, spikes := float32(r.size), float32(r.Spikes)
	for lo := 0; lo < r.size; lo += checkGrain {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		for i := lo; i < min(lo+checkGrain, r.size); i++ {
			y[i] = float32(y[i]*values) / spikes
		}
	}
	return nil
}

// spikes sets dst to the spikes of entry b of the batch from spike first on.
func (r *spikeImageRun) spikes(s *spikeImageSpace, dst []uint32, b, first int) error {
	from := b*r.Spikes + first
	switch {
	case r.given != nil:
		for t, k := range r.given[from:][:len(dst)] {
			if k == noSpike {
				return fmt.Errorf("%w: given spikes: %d at %v, but image %d of X is not all zero: want 0 to %d", ops.ErrValue,
					noSpike, []int{b, first + t, 0, 0}, b, r.size-1)
			}
			dst[t] = uint32(k)
		}
	case r.uniforms != nil:
		for t, u := range r.uniforms[from:][:len(dst)] {
			dst[t] = uint32(kernel.Invert(s.sums, u))
		}
	default:
		s.lookup.Sample(dst, kernel.PositionKey(r.imageKey(r.ctx, b), 0), first)
	}
	return nil
}

// Backward implements ops.Differentiable. It adds nothing: no gradient passes through the spikes.
func (p *spikeImage) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := checkImageGradients(in, out, gradOut, gradIn); err != nil {
		return err
	}
	return ctx.Err()
}
