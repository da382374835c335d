package sbs

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// Prefix returns an operator that stops after the first n spikes of the given SbS
// operator. It draws the same spikes and uses the same epsilon_t, so that its output
// is h of the layer after n spikes. Spikes or uniforms that are given to it have the
// shape that the given operator needs. It returns an error if op is not the SbS
// operator of this package, or has fewer than n spikes.
func Prefix(op ops.Op, n int) (ops.Op, error) {
	l, ok := op.(*layer)
	if !ok {
		return nil, errOtherOperator
	}
	if n < 1 || n > len(l.eps) {
		return nil, fmt.Errorf("the layer has %d spikes: it cannot stop after %d", len(l.eps), n)
	}
	return &layer{Params: l.Params, eps: l.eps[:n]}, nil
}

// Spikes returns the first n spikes that an SbS operator draws for its inputs: int64
// (B, n, OH, OW), rows of W, or -1 at output positions whose patch is all zero, which
// draw none. The random numbers are those of a Run with the same Context.
func Spikes(ctx *ops.Context, op ops.Op, in []*ops.Tensor, n int) (*ops.Tensor, error) {
	p, err := Prefix(op, n)
	if err != nil {
		return nil, err
	}
	l := p.(*layer) //nolint:errcheck,forcetypeassert // Prefix returns no other
	known := make([]*ops.Input, len(in))
	for i, x := range in {
		if x != nil {
			known[i] = &ops.Input{Type: ops.TypeOf(x)}
		}
	}
	types, err := l.Infer(known)
	if err != nil {
		return nil, err
	}
	shape, _ := types[0].Sizes() // those of the inputs are known
	h, err := ops.Zeros(ops.Float32, shape)
	if err != nil {
		return nil, err
	}
	var r run
	if err := l.prepare(&r, ctx, in, h); err != nil {
		return nil, err
	}
	out, err := ops.Zeros(ops.Int64, []int{r.batch, n, r.oh, r.ow})
	if err != nil {
		return nil, err
	}
	err = ctx.For(r.batch, 1, func(lo, hi int) error {
		for b := lo; b < hi; b++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			r.spikesOf(b, n, out.Int64s()[b*n*r.oh*r.ow:][:n*r.oh*r.ow])
		}
		return nil
	})
	return out, err
}

// spikesOf sets out to the first n spikes of entry b of the batch.
func (r *run) spikesOf(b, n int, out []int64) {
	positions := r.oh * r.ow
	w := &workspace{number: -1}
	sums, thresholds := make([]float32, r.k), make([]uint32, r.k)
	spikes := make([]int32, n)
	for pos := range positions {
		total := kernel.CumulateAt(sums, r.image(w, b)[r.start(pos):], r.offsets)
		switch {
		case total == 0:
			for t := range spikes {
				spikes[t] = -1
			}
		case r.given != nil:
			for t := range spikes {
				spikes[t] = int32(r.given[(b*r.Params.Spikes+t)*positions+pos])
			}
		case r.uniforms != nil:
			for t := range spikes {
				spikes[t] = kernel.Invert(sums, r.uniforms[(b*r.Params.Spikes+t)*positions+pos])
			}
		default:
			kernel.Thresholds(thresholds, sums)
			sample := kernel.Sample
			if r.Sampler == LowDiscrepancy {
				sample = kernel.SampleLowDiscrepancy
			}
			sample(spikes, thresholds, r.key(b, pos))
		}
		for t, k := range spikes {
			out[t*positions+pos] = int64(k)
		}
	}
}
