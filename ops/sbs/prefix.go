package sbs

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// Prefix returns an operator that stops after the first n spikes of the given SbS or SbSFullLayer
// operator; those of SbSFullLayer are the spikes of an image. It draws the same spikes and uses
// the same epsilon_t, so that its output is the h of the layer after n spikes. If the layer has
// alpha iterations, alpha is computed from this h. Spikes or uniforms that are given to the new
// operator have the same shape as for op.
//
// Prefix returns an error if op is neither the SbS nor the SbSFullLayer operator of this package,
// if it has fewer than n spikes, or if n is less than 1.
func Prefix(op ops.Op, n int) (ops.Op, error) {
	l, ok := layerOf(op)
	if !ok {
		return nil, errOtherOperator
	}
	if n < 1 || n > len(l.eps) {
		return nil, fmt.Errorf("sbs: the layer has %d spikes and cannot stop after %d", len(l.eps), n)
	}
	return &layer{Params: l.Params, full: l.full, eps: l.eps[:n]}, nil
}

// Spikes returns the first n spikes that a Run of an SbS or SbSFullLayer operator with the same Context
// and inputs uses: int64, of shape (B, n, OH, OW). A spike is a row of W. At an output
// position whose patch is all zero there are no spikes, and the result holds -1. For
// SbSFullLayer, these are the first n spikes of each image, and the result holds -1 where an
// output position does not see spike t.
//
// With all spikes of an SbS layer, the result can be passed as given spikes to another Run,
// which then computes the same h, bit for bit. Spikes returns the same errors as Prefix and
// Run, except that it does not check the values of W.
func Spikes(ctx *ops.Context, op ops.Op, in []*ops.Tensor, n int) (*ops.Tensor, error) {
	p, err := Prefix(op, n)
	if err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, errNoContext
	}
	l, _ := layerOf(p)
	types := make([]*ops.Input, len(in))
	for i, x := range in {
		if x != nil {
			types[i] = &ops.Input{Type: ops.TypeOf(x)}
		}
	}
	inferred, err := l.Infer(types)
	if err != nil {
		return nil, err
	}
	h, _ := inferred[0].Sizes() // known, because the sizes of the inputs are known
	var r run
	if err := l.prepare(&r, ctx, in, h); err != nil {
		return nil, err
	}
	out, err := ops.Zeros(ops.Int64, []int{r.batch, n, r.oh, r.ow})
	if err != nil {
		return nil, err
	}
	spikesOf := r.spikesOf
	if r.full {
		if err := r.drawImages(); err != nil {
			return nil, err
		}
		spikesOf = r.assignedSpikesOf
	}
	err = ctx.For(r.batch, 1, func(lo, hi int) error {
		for b := lo; b < hi; b++ {
			if err := spikesOf(b, out.Int64s()[b*n*r.positions:][:n*r.positions]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// spikesOf sets out, (n, OH, OW), to the spikes of entry b of the batch.
func (r *run) spikesOf(b int, out []int64) error {
	w := &workspace{number: -1}
	sums, thresholds := make([]float32, r.k), make([]uint32, r.k)
	spikes := make([]int32, len(r.eps))
	for pos := range r.positions {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		total := kernel.CumulateAt(sums, r.image(w, b)[r.start(pos):], r.offsets)
		switch {
		case !(total <= math.MaxFloat32):
			return r.tooLarge(b, pos)
		case total == 0:
			for t := range spikes {
				spikes[t] = noSpike
			}
		case r.injected.any():
			if err := r.injected.spikes(r.ctx, spikes, sums, b, 0, pos); err != nil {
				return err
			}
		case r.Sampler == LowDiscrepancy:
			kernel.Thresholds(thresholds, sums)
			kernel.SampleLowDiscrepancy(spikes, thresholds, r.key(b, pos))
		default:
			kernel.Thresholds(thresholds, sums)
			kernel.Sample(spikes, thresholds, r.key(b, pos))
		}
		for t, k := range spikes {
			out[t*r.positions+pos] = int64(k)
		}
	}
	return nil
}
