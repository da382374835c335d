package std

import (
	"context"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// windowed visits the windows of a pool with any number of spatial axes.
type windowed struct {
	axes    []spatialAxis
	in, out []int // spatial sizes
}

func newWindowed(axes []spatialAxis) *windowed {
	w := &windowed{axes: axes}
	for _, a := range axes {
		w.in, w.out = append(w.in, a.in), append(w.out, a.out)
	}
	return w
}

// run calls one for each window of each channel of each image. It passes the index of the
// window in the output, the index of the channel, the pixels of the channel, the places of
// the window that lie on the image, and the number of places that lie on the image or its
// padding.
func (w *windowed) run(ctx *ops.Context, x *ops.Tensor, one func(entry, channel int, plane []float64, places []int, padded int) error) error {
	from, to := numElements(w.in), numElements(w.out)
	strides := rowMajor(w.in)
	return ctx.For(numElements(x.Shape()[:2]), 1, func(lo, hi int) error {
		plane, err := ops.Temporary[float64](ctx, from)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, plane)
		watching := cancelCheck{ctx: ctx}
		window := int64(8) // bytes of the places, of which there are two copies
		for _, a := range w.axes {
			window *= int64(min(a.kernel, a.in))
		}
		if err := ctx.Reserve(2 * window); err != nil {
			return err
		}
		defer ctx.Release(2 * window)
		var places, other []int
		for c := lo; c < hi; c++ {
			if err := loadAll(ctx, plane, x, c*from, 1); err != nil {
				return err
			}
			at := coordinates{shape: w.out, at: make([]int, len(w.out))}
			for i := range to {
				places = append(places[:0], 0)
				padded := 1
				for d := range w.axes {
					s := w.axes[d].span(at.at[d])
					if other, err = expandPlaces(&watching, other[:0], places, s, strides[d]); err != nil {
						return err
					}
					places, other = other, places
					padded *= s.padded
				}
				if err := one(c*to+i, c, plane, places, padded); err != nil {
					return err
				}
				if err := watching.after(1 + len(places)); err != nil {
					return err
				}
				at.next()
			}
		}
		return nil
	})
}

// expandPlaces appends to all, for each place, the places of a span that starts there.
func expandPlaces(watching *cancelCheck, all, places []int, s span, stride int) ([]int, error) {
	for _, p := range places {
		for i := range s.count {
			all = append(all, p+(s.first+i*s.step)*stride)
			if i%chunk == 0 {
				if err := watching.after(min(chunk, s.count)); err != nil {
					return nil, err
				}
			}
		}
	}
	return all, nil
}

// runGeneral computes pools with more than two spatial axes.
func (p *pool) runGeneral(ctx *ops.Context, x, out *ops.Tensor) error {
	axes, err := p.axes(ops.Dims(x.Shape()...))
	if err != nil {
		return err
	}
	lowest := [1]float64{math.Inf(-1)}
	return newWindowed(axes).run(ctx, x, func(entry, _ int, plane []float64, places []int, padded int) error {
		v := lowest // max returns NaN if one of its arguments is NaN
		if p.average {
			v[0] = 0
		}
		err := inPieces(ctx, len(places), func(lo, hi int) {
			for _, at := range places[lo:hi] {
				if p.average {
					v[0] += plane[at]
				} else {
					v[0] = max(v[0], plane[at])
				}
			}
		})
		switch {
		case p.average && p.includePads:
			v[0] /= float64(max(1, padded))
		case p.average:
			v[0] /= float64(max(1, len(places)))
		}
		store(out, entry, 1, v[:])
		return err
	})
}

// newMaxPoolIndices returns MaxPool with two outputs. The second one, int64, is the place
// in X of the first of the largest numbers of each window, or -1 if the window has no
// pixel. With storage_order 1, places count the spatial axes in reverse order.
func newMaxPoolIndices(n ops.Node) (multiOperation, error) {
	k, err := newMaxPool(n)
	if err != nil {
		return nil, err
	}
	order, err := ops.Attr(n.Attributes, "storage_order", int64(0))
	return &maxPoolIndices{pool: k.(*pool), columns: order != 0}, err
}

type maxPoolIndices struct {
	pool    *pool
	columns bool
}

func (k *maxPoolIndices) inferAll(in []*ops.Input) ([]ops.Type, error) {
	t, err := k.pool.infer(in)
	return []ops.Type{t, {DType: ops.Int64, Shape: t.Shape}}, err
}

func (k *maxPoolIndices) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	axes, err := k.pool.axes(ops.Dims(in[0].Shape()...))
	if err != nil || out[0].Len() == 0 {
		return err
	}
	w := newWindowed(axes)
	reversed := slices.Clone(w.in)
	slices.Reverse(reversed)
	strides := rowMajor(reversed)
	slices.Reverse(strides)
	size := numElements(w.in)
	return w.run(ctx, in[0], func(entry, channel int, plane []float64, places []int, _ int) error {
		v, index := [1]float64{math.Inf(-1)}, -1
		err := inPieces(ctx, len(places), func(lo, hi int) {
			for _, at := range places[lo:hi] {
				if index < 0 || plane[at] > v[0] || plane[at] != plane[at] && v[0] == v[0] {
					v[0], index = plane[at], at
				}
			}
		})
		if index >= 0 && k.columns {
			at := coordinatesAt(index, w.in).at
			index = 0
			for d, i := range at {
				index += i * strides[d]
			}
		}
		if index >= 0 {
			index += channel * size
		}
		store(out[0], entry, 1, v[:])
		out[1].Int64s()[entry] = int64(index)
		return err
	})
}

// maxPoolOperator returns MaxPool with one or two outputs.
func maxPoolOperator() ops.Operator {
	o, both := operator("MaxPool", 1, 1, newMaxPool), multiOperator("MaxPool", 1, 1, 2, 2, newMaxPoolIndices)
	o.MaxOutputs = 2
	one := o.New
	o.New = func(n ops.Node) (ops.Op, error) {
		if n.NumOutputs > 1 {
			return both.New(n)
		}
		return one(n)
	}
	return o
}

// newGlobalPool returns the constructor of GlobalAveragePool or GlobalMaxPool (opsets 1, 22)
// or, with norm, GlobalLpPool (opsets 1, 2, 22): one number for all pixels of each channel of
// images (N, C, ...), float32 or float64.
//
// Attributes of GlobalLpPool: p (default 2), an integer since opset 2.
func newGlobalPool(norm bool, newLoop func(p pNorm) func(l *reduceLoop, lo, hi int) error) func(ops.Node) (operation, error) {
	return func(n ops.Node) (operation, error) {
		var known []string
		if norm {
			known = []string{"p"}
		}
		if err := n.Attributes.Only(known...); err != nil {
			return nil, err
		}
		p, err := normAttr(n)
		return globalPool{newLoop(p)}, err
	}
}

func averageLoop(pNorm) func(l *reduceLoop, lo, hi int) error {
	return func(l *reduceLoop, lo, hi int) error {
		if l.data.DType() == ops.Float32 {
			return meansOfPlanes(l.ctx, l.out.Float32s()[lo:hi], l.data.Float32s()[lo*l.reduced.total:], l.reduced.total)
		}
		return sumRows[float64](meanOf)(l, lo, hi)
	}
}

// meansOfPlanes computes the means of channels of n pixels. Pixels are added in float64, in eight
// sums, so that no addition waits for the one before.
func meansOfPlanes(ctx context.Context, out, x []float32, n int) error {
	watching := cancelCheck{ctx: ctx}
	for i := range out {
		var sums [8]float64
		if err := inPieces(ctx, n, func(first, last int) { addPixels(&sums, x[i*n:][first:last]) }); err != nil {
			return err
		}
		total := ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
		out[i] = float32(meanOf(total, n))
		if err := watching.after(1 + n/4); err != nil {
			return err
		}
	}
	return nil
}

// addPixels adds pixel i to sum i mod 8. The pieces of a plane begin with a multiple of 8.
func addPixels(sums *[8]float64, v []float32) {
	a, b, c, d, e, f, g, h := sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]
	for ; len(v) >= 8; v = v[8:] {
		a += float64(v[0])
		b += float64(v[1])
		c += float64(v[2])
		d += float64(v[3])
		e += float64(v[4])
		f += float64(v[5])
		g += float64(v[6])
		h += float64(v[7])
	}
	*sums = [8]float64{a, b, c, d, e, f, g, h}
	for i, x := range v {
		sums[i] += float64(x)
	}
}

func largestLoop(pNorm) func(l *reduceLoop, lo, hi int) error {
	return reduceTo(chainOf(math.Inf(-1), larger[float64]))
}

func normLoop(p pNorm) func(l *reduceLoop, lo, hi int) error {
	return reduceTo(sumOf(p.power, func(sum float64, _ int) float64 { return p.root(sum) }))
}

type globalPool struct {
	compute func(l *reduceLoop, lo, hi int) error
}

func (k globalPool) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return x, err
	}
	if err := checkImages(x); err != nil {
		return x, err
	}
	shape := slices.Clone(x.Shape)
	for i := range shape[2:] {
		shape[2+i] = ops.Dim{Size: 1}
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

func (k globalPool) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	shape := in[0].Shape()
	reduced := make([]bool, len(shape))
	for i := range reduced {
		reduced[i] = i >= 2
	}
	l := ops.Scratch[reduceLoop](ctx)
	l.ctx, l.out, l.data, l.compute = ctx, out, in[0], k.compute
	defer func() { l.ctx = nil }()
	l.plan(shape, reduced)
	return ctx.Do(l.kept.total, max(1, grain/max(1, l.reduced.total)), l)
}
