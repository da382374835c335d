package sbs

import (
	"context"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// numbers describes the numbers that can be given to a node to use instead of random ones: spikes
// or counts, or the uniform numbers that select them.
type numbers struct {
	shape  []ops.Dim
	sizes  string // what shape is, for errors
	most   int64  // the largest spike or count
	source string // what the spikes are drawn from, for errors; "" for counts
}

// noSpike stands in Spikes, and in given spikes, for the spikes of an output position
// whose patch is all zero, and in a full layer for the spikes of such an image.
const noSpike = -1

// name returns the word for numbers of a type.
func (n numbers) name(t ops.DType) string {
	switch {
	case t == ops.Float32:
		return "uniforms"
	case n.source == "":
		return "counts"
	}
	return "spikes"
}

// checkInput checks the input for given numbers before a run, unless it is nil.
func (n numbers) checkInput(g *ops.Input) error {
	if g == nil {
		return nil
	}
	want := ops.Type{DType: ops.Int64, Shape: n.shape}
	if g.DType == ops.Float32 {
		want.DType = ops.Float32
	}
	if !compatible(g.Type, want) {
		return fmt.Errorf("%w: the input given is %v, want %v %s, int64 for %s or float32 for uniforms",
			ops.ErrShape, g.Type, want, n.sizes, n.name(ops.Int64))
	}
	if g.Const == nil {
		return nil
	}
	return n.checkValues(context.Background(), g.Const)
}

// checkValues checks the values of given numbers.
func (n numbers) checkValues(ctx context.Context, g *ops.Tensor) error {
	if g.DType() == ops.Float32 {
		return checkUniforms(ctx, g)
	}
	least, hint := int64(0), ""
	if n.source != "" {
		least, hint = noSpike, fmt.Sprintf(", or %d where the %s of X is all zero", noSpike, n.source)
	}
	for i, v := range g.Int64s() {
		if i%checkGrain == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if v < least || v > n.most {
			return fmt.Errorf("%w: given %s: %d at %v, want 0 to %d%s", ops.ErrValue,
				n.name(ops.Int64), v, ops.Coordinates(i, g.Shape()), n.most, hint)
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

// injected holds the numbers that a run uses instead of random ones. The zero injected has none.
type injected struct {
	given    []int64   // spikes or counts, or nil
	uniforms []float32 // or nil
	shape    []int
	source   string // see numbers
}

// any reports whether there are numbers.
func (g *injected) any() bool { return g.given != nil || g.uniforms != nil }

// inject checks the given numbers and returns them: spikes or counts from the Context, otherwise
// uniforms from there, otherwise g, the node's input, which may be nil. want describes them.
func inject(ctx *ops.Context, g *ops.Tensor, want func() numbers) (injected, error) {
	dtype := ops.Int64
	switch {
	case ctx.Spikes != nil:
		g = ctx.Spikes
	case ctx.Uniforms != nil:
		g, dtype = ctx.Uniforms, ops.Float32
	case g == nil:
		return injected{}, nil // the usual case, in which Run does not allocate
	case g.DType() == ops.Float32:
		dtype = ops.Float32
	}
	n := want()
	if err := (ops.Type{DType: dtype, Shape: n.shape}).Check(g); err != nil {
		return injected{}, fmt.Errorf("given %s: %w", n.name(dtype), err)
	}
	if err := n.checkValues(ctx, g); err != nil {
		return injected{}, err
	}
	in := injected{shape: g.Shape(), source: n.source}
	if dtype == ops.Float32 {
		in.uniforms = g.Float32s()
	} else {
		in.given = g.Int64s()
	}
	return in, nil
}

// spikes sets dst to the given spikes first, first+1, ... of a site of an image, or to those that
// the given uniforms select. The shape of the given numbers is (batch, spikes, height, width), where
// height and width are those of the grid of sites. sums are the running sums of the distribution of
// the site.
func (g *injected) spikes(ctx context.Context, dst []int32, sums []float32, image, first, site int) error {
	sites := g.shape[2] * g.shape[3]
	for t := range dst {
		if t%checkGrain == checkGrain-1 && ctx.Err() != nil {
			return ctx.Err()
		}
		i := (image*g.shape[1]+first+t)*sites + site
		switch {
		case g.given == nil:
			dst[t] = kernel.Invert(sums, g.uniforms[i])
		case g.given[i] == noSpike:
			return fmt.Errorf("%w: given spikes: %d at %v, but the %s of X there is not all zero: want 0 to %d", ops.ErrValue,
				noSpike, ops.Coordinates(i, g.shape), g.source, len(sums)-1)
		default:
			dst[t] = int32(g.given[i])
		}
	}
	return nil
}
