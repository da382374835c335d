package sbs

import (
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// part is a part of the partial products that remain: those of some bits of w with the bits of x
// that are not left out for them. A product is the sum of its parts, and each part is an ordinary
// product, so that a convolution with approximate products is an ordinary convolution with more
// channels. All parts have the same sign.
type part struct {
	x           uint32 // the bits of x as a float32, without those that are left out
	keep, above uint32 // the bits of w are those in keep, without those in above
}

// parts returns the parts of all products, the first of which has the leading bits. It returns
// nil if the sum of the parts is not the exact product: if it can have more than the 24 bits of
// a float32, unless there is only one part, or if no partial product remains.
func (m *multiplier) parts() []part {
	const exactBits = significandBits / 2
	if m.empty || m.cut > 0 && m.frac > exactBits {
		return nil
	}
	frac, cut, low := m.frac, int(m.cut), significandBits-m.frac
	without := func(n int) uint32 { return math.MaxUint32 << (low + n) }
	first := min(cut, frac-1) // bit of w
	list := []part{{x: without(cut - first), keep: without(first)}}
	for i := first - 1; i >= 0 && cut-i < frac; i-- {
		list = append(list, part{x: without(cut - i), keep: without(i), above: without(i + 1)})
	}
	return list
}

// ofX returns a factor of the part for x, and ofW one for w. The first part of a number that is not
// finite is the number, and the others are 0.
func (p part) ofX(v float32) float32 {
	switch {
	case isFinite(v):
		return math.Float32frombits(math.Float32bits(v) & p.x)
	case p.above == 0:
		return v
	}
	return 0
}

func (p part) ofW(v float32) float32 {
	bits := math.Float32bits(v)
	switch {
	case p.above == 0 && isFinite(v):
		return math.Float32frombits(bits & p.keep)
	case p.above == 0:
		return v
	case isFinite(v):
		return math.Float32frombits(bits&p.keep) - math.Float32frombits(bits&p.above)
	}
	return 0
}

// mostSpread is about the largest number of elements of the input of the convolution of parts: it
// takes some images at a time.
const mostSpread = 1 << 24

// imagesAtOnce returns how many of the images of a batch are convolved at a time, if most is the
// largest number: almost as many, and in most cases the same number each time, because the
// convolution keeps what it has prepared for it.
func imagesAtOnce(batch, most int) int {
	if most >= batch {
		return batch
	}
	for n := most; n > most/2; n-- {
		if batch%n == 0 {
			return n
		}
	}
	times := (batch + most - 1) / most
	return (batch + times - 1) / times
}

// runParts computes the output as a convolution of the parts.
func (c *approxConv) runParts(ctx *ops.Context, in, out []*ops.Tensor) error {
	weights, err := c.spread(ctx, in[1], part.ofW)
	if err != nil {
		return err
	}
	x, y := in[0], out[0]
	batch := x.Shape()[0]
	size := x.Len() / batch
	at := imagesAtOnce(batch, max(1, mostSpread/(size*len(c.parts))))
	memory := ctx.Memory
	defer func() { ctx.Memory = memory }()
	for first := 0; first < batch; first += at {
		n := min(at, batch-first)
		images, err := imagesOf(x, first, n)
		if err != nil {
			return err
		}
		results, err := imagesOf(y, first, n)
		if err != nil {
			return err
		}
		if images, err = c.spread(ctx, images, part.ofX); err != nil {
			return err
		}
		if memory != nil {
			// What the convolution reserves counts until this run ends. It is the same memory each
			// time, so that each time starts with what this node has reserved itself.
			ctx.Memory = &ops.Memory{Values: memory.Values + 4*int64(images.Len()+weights.Len()), Limit: memory.Limit}
		}
		spread := slices.Clone(in)
		spread[0], spread[1] = images, weights
		if err := c.exact.Run(ctx, spread, []*ops.Tensor{results}); err != nil {
			return err
		}
		ctx.Memory = memory
		ops.Free(ctx, images.Float32s())
	}
	return nil
}

// imagesOf returns n entries of a tensor along its first axis, which share its memory.
func imagesOf(t *ops.Tensor, first, n int) (*ops.Tensor, error) {
	shape := slices.Clone(t.Shape())
	size := t.Len() / shape[0]
	shape[0] = n
	return ops.NewTensor(shape, t.Float32s()[first*size:][:n*size])
}

// spread returns a tensor in which a channel for each part replaces each channel, axis 1.
func (c *approxConv) spread(ctx *ops.Context, t *ops.Tensor, of func(p part, v float32) float32) (*ops.Tensor, error) {
	shape := slices.Clone(t.Shape())
	planes, size, n := shape[0]*shape[1], shape[2]*shape[3], len(c.parts)
	shape[1] *= n
	length, err := ops.Len(shape)
	if err != nil {
		return nil, err
	}
	all, err := ops.Temporary[float32](ctx, length)
	if err != nil {
		return nil, err
	}
	values := t.Float32s()
	if err := ctx.For(planes, max(1, checkGrain/max(1, size*n)), func(lo, hi int) error {
		for plane := lo; plane < hi; plane++ {
			for i, p := range c.parts {
				to := all[(plane*n+i)*size:][:size]
				for j, v := range values[plane*size:][:size] {
					to[j] = of(p, v)
				}
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return ops.NewTensor(shape, all)
}
