package sbs

import (
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
	return []ops.Type{out}, imageNumbers(out, p.Spikes).checkInput(optional(in, inputGivenOfImage))
}

// spikeImageRun is the state of one Run. As the Scratch of the node it keeps its memory for the
// next one.
type spikeImageRun struct {
	*spikeImage
	injected
	ctx    *ops.Context
	x, y   []float32 // the input and the output
	size   int       // values of an image
	check  checkLoop
	spaces parallel.Spares[*spikeImageSpace]
}

// spikeImageSpace is the temporary memory of one worker.
type spikeImageSpace struct {
	*imageSpikes
	spikes [spikesAtOnce]int32
}

// spikesAtOnce is the number of spikes that are drawn between two checks of the context. It is even,
// as a Sampler needs it.
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
	var err error
	if r.injected, err = inject(ctx, optional(in, inputGivenOfImage), func() numbers { return imageNumbers(ops.TypeOf(in[0]), p.Spikes) }); err != nil {
		return err
	}
	r.check = checkLoop{x: in[0], what: "a SpikeImage layer"}
	if err := ctx.Do(len(r.x), checkGrain, &r.check); err != nil || r.size == 0 {
		return err
	}
	if err := checkImageSize(r.size); err != nil {
		return err
	}
	if r.spaces.New == nil {
		r.spaces.New = func() *spikeImageSpace { return &spikeImageSpace{imageSpikes: newImageSpikes(r.size)} }
	}
	return ctx.Do(in[0].Shape()[0], 1, r)
}

// release drops the references to tensors of the caller of Run.
func (r *spikeImageRun) release() {
	r.ctx, r.check.x = nil, nil
	r.x, r.y, r.injected = nil, nil, injected{}
}

// Part implements parallel.Loop for images lo to hi-1.
func (r *spikeImageRun) Part(lo, hi int) error {
	bytes := imageSpikesBytes(r.size) + 4*spikesAtOnce
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
	if err := inParts(r.ctx, len(y), func(lo, hi int) { clear(y[lo:hi]) }); err != nil {
		return err
	}
	total, err := s.start(r.ctx, x, b, &r.injected)
	if err != nil || total == 0 {
		return err
	}
	key := kernel.PositionKey(r.imageKey(r.ctx, b), 0)
	for first := 0; first < r.Spikes; first += spikesAtOnce {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		spikes := s.spikes[:min(spikesAtOnce, r.Spikes-first)]
		if err := s.draw(r.ctx, spikes, b, first, &r.injected, key, false); err != nil {
			return err
		}
		for _, k := range spikes {
			y[k]++ // at most MaxSpikes, which a float32 can count
		}
	}
	values, spikes := float32(r.size), float32(r.Spikes)
	return inParts(r.ctx, len(y), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			y[i] = float32(y[i]*values) / spikes
		}
	})
}

// Backward implements ops.Differentiable. It adds nothing: no gradient passes through the spikes.
func (p *spikeImage) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := checkImageGradients(in, out, gradOut, gradIn); err != nil {
		return err
	}
	return ctx.Err()
}
