package sbs

import (
	"context"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// given returns the spikes or uniforms to use instead of random ones: from the Context
// if it has any, otherwise g, the node's input, which may be nil.
func given(ctx *ops.Context, g *ops.Tensor) (spikes, uniforms *ops.Tensor) {
	if ctx.Spikes != nil || ctx.Uniforms != nil {
		return ctx.Spikes, ctx.Uniforms
	}
	if g.DType() == ops.Float32 {
		return nil, g
	}
	return g, nil
}

// inject checks the given spikes and uniforms and keeps them for the run. Spikes take
// precedence over uniforms.
func (r *run) inject(spikes, uniforms *ops.Tensor) error {
	r.given, r.uniforms = nil, nil
	values := r.k
	r.sites = [2]int{r.oh, r.ow}
	if r.full {
		values, r.sites = r.channels*r.height*r.width, [2]int{1, 1}
	}
	if spikes == nil && uniforms == nil {
		return nil // the usual case, in which Run does not allocate
	}
	want := ops.Type{Shape: ops.Dims(r.batch, r.Spikes, r.sites[0], r.sites[1])}
	if spikes != nil {
		want.DType = ops.Int64
		if err := want.Check(spikes); err != nil {
			return fmt.Errorf("given spikes: %w", err)
		}
		if err := checkSpikes(r.ctx, spikes, values, r.drawnFrom()); err != nil {
			return err
		}
		r.given = spikes.Int64s()
	}
	if uniforms != nil {
		want.DType = ops.Float32
		if err := want.Check(uniforms); err != nil {
			return fmt.Errorf("given uniforms: %w", err)
		}
		if err := checkUniforms(r.ctx, uniforms); err != nil {
			return err
		}
		r.uniforms = uniforms.Float32s()
	}
	return nil
}

// noSpike stands in Spikes, and in given spikes, for the spikes of an output position
// whose patch is all zero, and in a full layer for the spikes of such an image.
const noSpike = -1

// drawnFrom names what the spikes are drawn from, for errors.
func (l *layer) drawnFrom() string {
	if l.full {
		return "image"
	}
	return "patch"
}

// checkSpikes checks the values of given spikes, drawn from a source with k values.
func checkSpikes(ctx context.Context, spikes *ops.Tensor, k int, source string) error {
	for i, v := range spikes.Int64s() {
		if i%checkGrain == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if v < noSpike || v >= int64(k) {
			return fmt.Errorf("%w: given spikes: %d at %v, want 0 to %d, or %d where the %s of X is all zero", ops.ErrValue,
				v, ops.Coordinates(i, spikes.Shape()), k-1, noSpike, source)
		}
	}
	return nil
}

// checkUniforms checks the values of given uniforms.
func checkUniforms(ctx context.Context, uniforms *ops.Tensor) error {
	for i, u := range uniforms.Float32s() {
		if i%checkGrain == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !(u >= 0 && u < 1) {
			return fmt.Errorf("%w: given uniforms: %v at %v, want numbers in [0, 1)", ops.ErrValue, u, ops.Coordinates(i, uniforms.Shape()))
		}
	}
	return nil
}

// givenSpikes sets dst to the first given spikes of a site, whose patch or image has the
// cumulative sums, or to the spikes that the given uniforms select.
func (r *run) givenSpikes(dst []int32, sums []float32, b, site int) error {
	for t := range dst {
		if t%checkGrain == checkGrain-1 && r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		i := (b*r.Spikes+t)*r.sites[0]*r.sites[1] + site
		if r.given == nil {
			dst[t] = kernel.Invert(sums, r.uniforms[i])
			continue
		}
		if r.given[i] == noSpike {
			return fmt.Errorf("%w: given spikes: %d at %v, but the %s of X there is not all zero: want 0 to %d", ops.ErrValue,
				noSpike, ops.Coordinates(i, []int{r.batch, r.Spikes, r.sites[0], r.sites[1]}), r.drawnFrom(), len(sums)-1)
		}
		dst[t] = int32(r.given[i])
	}
	return nil
}
