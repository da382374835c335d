package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// granularity says which elements of QuantizeLinear and DequantizeLinear have the same scale
// and zero point: all, those with the same index along an axis, or blocks along an axis.
type granularity struct {
	axis  int64
	block int // size of a block, 0 without blocks
}

// newGranularity reads the attributes axis (default 1; since opset 13) and block_size (default
// 0, no blocks; since opset 21). The node may have the other attributes named by more.
func newGranularity(n ops.Node, more ...string) (granularity, error) {
	if n.Opset >= 13 {
		more = append(more, "axis")
	}
	if n.Opset >= 21 {
		more = append(more, "block_size")
	}
	if err := n.Attributes.Only(more...); err != nil {
		return granularity{}, err
	}
	axis, err := ops.Attr(n.Attributes, "axis", int64(1))
	if err != nil {
		return granularity{}, err
	}
	block, err := ops.Attr(n.Attributes, "block_size", int64(0))
	if err == nil && (block < 0 || block > ops.MaxElements) {
		err = fmt.Errorf("%w: block_size %d, want 0 (no blocks) to %d", ops.ErrAttribute, block, ops.MaxElements)
	}
	return granularity{axis, int(block)}, err
}

// check checks the shapes of the scale and the optional zero point, inputs 1 and 2.
func (g granularity) check(in []*ops.Input) error {
	x := in[0].Type
	for i, t := range in[1:] {
		if t != nil && !g.fits(x.Shape, t.Shape) {
			what := fmt.Sprintf("axis %d", g.axis)
			if g.block > 0 {
				what += fmt.Sprintf(", block_size %d", g.block)
			}
			return fmt.Errorf("%w: x is %v but input %d is %v (%s)", ops.ErrShape, x, i+1, t.Type, what)
		}
	}
	if zero := optional(in, 2); zero != nil {
		scales, zeros := dimProduct(in[1].Shape), dimProduct(zero.Shape)
		if _, ok := mergeDims(scales, zeros); !ok {
			return fmt.Errorf("%w: scale is %v but zero_point is %v", ops.ErrShape, in[1].Type, zero.Type)
		}
	}
	return nil
}

// optional returns the type of input i, or nil if it is omitted.
func optional(in []*ops.Input, i int) *ops.Input {
	if i < len(in) {
		return in[i]
	}
	return nil
}

// fits reports whether scales of a shape fit elements of the shape x.
func (g granularity) fits(x, scale []ops.Dim) bool {
	if g.block > 0 {
		axis, err := axisOf(g.axis, len(x))
		if err != nil || len(scale) != len(x) {
			return false
		}
		for i, d := range x {
			if i == axis && d.Known() {
				d = ops.Dim{Size: (d.Size + g.block - 1) / g.block}
			} else if i == axis {
				d = unknown
			}
			if _, ok := mergeDims(d, scale[i]); !ok {
				return false
			}
		}
		return true
	}
	if len(scale) != 1 || scale[0].Size == 1 {
		return len(scale) <= 1
	}
	axis, err := axisOf(g.axis, len(x))
	if err != nil {
		return !scale[0].Known() // it may be 1
	}
	_, ok := mergeDims(scale[0], x[axis])
	return ok
}

// levels holds the scales and the zero points of a run, and where they belong. The number of
// the scale of an element with the index a along the axis, between outer and inner
// dimensions, is outer*perOuter + a/block*perBlock + inner*perInner.
type levels struct {
	scales, zeros                []float64 // no zeros mean that all are 0
	size, inner, block           int
	perOuter, perBlock, perInner int
}

// levelsOf returns the levels of the inputs.
func (g granularity) levelsOf(ctx *ops.Context, in []*ops.Tensor) (*levels, error) {
	t := temporary{ctx: ctx}
	l := &levels{scales: elementsOf[float64](&t, in[1]), size: 1, inner: max(1, in[0].Len()), block: 1}
	if zero := optionalInput(in, 2); zero != nil {
		l.zeros = elementsOf[float64](&t, zero)
		if t.err == nil && len(l.zeros) != len(l.scales) {
			return nil, fmt.Errorf("%w: the number of scales is %d but the number of zero points is %d", ops.ErrShape, len(l.scales), len(l.zeros))
		}
	}
	if t.err != nil {
		return nil, t.err
	}
	if err := g.check(inputs(in)); err != nil {
		return nil, err
	}
	if len(l.scales) == 1 && g.block == 0 {
		return l, nil
	}
	shape := in[0].Shape()
	axis, err := axisOf(g.axis, len(shape))
	if err != nil {
		return nil, err
	}
	l.size, l.inner = max(1, shape[axis]), max(1, numElements(shape[axis+1:]))
	l.perBlock = 1
	if g.block > 0 {
		l.block = g.block
		l.perInner, l.perBlock, l.perOuter = 1, l.inner, in[1].Shape()[axis]*l.inner
	}
	return l, nil
}

// spread sets v to the entries of a list, of scales or of zeros, that belong to the elements
// from first on.
func (l *levels) spread(v, list []float64, first int) {
	inner := first % l.inner
	a := first / l.inner % l.size
	outer := first / l.inner / l.size
	for len(v) > 0 {
		n := min(len(v), l.inner-inner)
		at := outer*l.perOuter + a/l.block*l.perBlock + inner*l.perInner
		if l.perInner == 1 {
			copy(v[:n], list[at:])
		} else {
			for i := range v[:n] {
				v[i] = list[at]
			}
		}
		v, inner = v[n:], 0
		if a++; a == l.size {
			a, outer = 0, outer+1
		}
	}
}

// run replaces parts of the elements of x, together with the scales and zero points of each
// element, and stores them in out.
func (l *levels) run(ctx *ops.Context, x, out *ops.Tensor, f func(v, scales, zeros []float64), keep func(at int, v []float64)) error {
	return ctx.For(out.Len(), grain, func(lo, hi int) error {
		var v, scales, zeros [chunk]float64
		whole := l.inner >= out.Len() && l.perInner == 0 // all have the same scale
		for first := lo; lo < hi; lo += chunk {
			n := min(chunk, hi-lo)
			load(v[:n], x, lo, 1)
			if !whole || lo == first {
				l.spread(scales[:min(chunk, hi-lo)], l.scales, lo)
				if len(l.zeros) > 0 {
					l.spread(zeros[:min(chunk, hi-lo)], l.zeros, lo)
				}
			}
			f(v[:n], scales[:n], zeros[:n])
			keep(lo, v[:n])
		}
		return nil
	})
}
