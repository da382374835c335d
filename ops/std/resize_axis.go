package std

import (
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// tapList lists the elements of X along one axis whose weighted sum is an element of the
// output. outside means that the element has no place in X.
type tapList struct {
	index   []int
	weight  []float64
	outside bool
}

// axisPlan holds the taps of every element of the output along one axis. A plan without
// taps leaves the axis as it is.
type axisPlan struct {
	axis int
	taps []tapList
}

// plans returns a plan for every axis, given the shapes of X and of the output.
func (k *resize) plans(ctx *ops.Context, target *resizeTarget, from, to []int) ([]axisPlan, error) {
	plans := make([]axisPlan, len(from))
	for axis, size := range from {
		plans[axis].axis = axis
		m := mapping{from: size, to: to[axis]}
		m.low, m.high = target.extent(axis)
		m.scale, m.resized = float64(m.to)/float64(size), float64(m.to)
		if target.sizes == nil {
			m.scale = float64(target.scale(axis))
			m.resized = m.scale * float64(size) // not rounded, as ONNX's own tests expect
		}
		if m.from == m.to && m.scale == 1 && m.low == 0 && m.high == 1 {
			continue
		}
		taps, err := ops.Temporary[tapList](ctx, m.to)
		if err == nil {
			err = ctx.Reserve(int64(m.to) * 2 * 4 * 8) // up to four indices and weights
		}
		if err == nil {
			err = inPieces(ctx, m.to, func(lo, hi int) {
				for i := lo; i < hi; i++ {
					taps[i] = k.tapsAt(k.original(float64(i), &m), size)
				}
			})
		}
		if err != nil {
			return nil, err
		}
		plans[axis].taps = taps
	}
	return plans, nil
}

// mapping relates the indices of an axis of the output to places in X.
type mapping struct {
	from, to       int // the sizes of the axis in X and in the output
	scale, resized float64
	low, high      float64 // the region of tf_crop_and_resize
}

// original returns the place in X of element i of the output. It tests m.to == 1 instead of
// the scale because a quotient times its divisor need not be exactly 1.
func (k *resize) original(i float64, m *mapping) float64 {
	last := float64(m.from - 1)
	switch k.coordinates {
	case "align_corners":
		if m.to == 1 {
			return 0
		}
		return i * last / (m.resized - 1)
	case "asymmetric":
		return i / m.scale
	case "tf_half_pixel_for_nn":
		return (i + 0.5) / m.scale
	case "tf_crop_and_resize":
		if m.to == 1 {
			return 0.5 * (m.low + m.high) * last
		}
		return float64(m.low*last) + i*(m.high-m.low)*last/float64(m.to-1) // the scale refers to the region, not to X
	case "pytorch_half_pixel":
		if m.to == 1 {
			return 0
		}
	}
	return (i+0.5)/m.scale - 0.5
}

// tapsAt returns the taps for a place in X.
func (k *resize) tapsAt(x float64, size int) tapList {
	// Places farther away have the same taps, but might not be convertible to int.
	x = min(max(x, -4), float64(size)+4)
	if x != x {
		x = 0
	}
	t := tapList{outside: k.crops() && (x < 0 || x > float64(size-1))}
	start := int(math.Floor(x))
	f := x - float64(start)
	switch k.mode {
	case "nearest":
		start, t.weight = k.nearestTo(x), []float64{1}
	case "linear":
		t.weight = []float64{1 - f, f}
	default:
		start, t.weight = start-1, cubicWeights(f, k.cubic)
	}
	total := 0.0
	for i, w := range t.weight {
		at := start + i
		t.index = append(t.index, min(max(at, 0), size-1))
		if k.exclude && k.mode != "nearest" && at != t.index[i] {
			w = 0
		}
		t.weight[i] = w
		total += w
	}
	if k.exclude && total != 0 {
		for i := range t.weight {
			t.weight[i] /= total
		}
	}
	return t
}

// nearestTo rounds a place to the index of an element.
func (k *resize) nearestTo(x float64) int {
	switch k.nearest {
	case "round_prefer_floor":
		return int(math.Ceil(x - 0.5))
	case "round_prefer_ceil":
		return int(math.Floor(x + 0.5))
	case "ceil":
		return int(math.Ceil(x))
	}
	return int(math.Floor(x))
}

// cubicWeights returns the weights of four consecutive elements for a place at distance f
// after the second one (Keys, "Cubic convolution interpolation for digital image
// processing", 1981, equation 4).
func cubicWeights(f, a float64) []float64 {
	near := func(d float64) float64 { return float64((float64((a+2)*d)-(a+3))*d*d) + 1 }
	far := func(d float64) float64 {
		square := float64(a*d) - float64(5*a)
		linear := float64(square*d) + float64(8*a)
		return float64(linear*d) - float64(4*a)
	}
	return []float64{far(1 + f), near(f), near(1 - f), far(2 - f)}
}

// copyNearest copies one element of X to each element of the output. All plans must have a
// single tap per element.
func copyNearest(ctx *ops.Context, x, out *ops.Tensor, plans []axisPlan) error {
	strides := rowMajor(x.Shape())
	return take(ctx, out, x, nil, 1, func(first int, places []int) error {
		c := coordinatesAt(first, out.Shape())
		for i := range places {
			places[i] = 0
			for d, at := range c.at {
				if plans[d].taps != nil {
					at = plans[d].taps[at].index[0]
				}
				places[i] += at * strides[d]
			}
			c.next()
		}
		return nil
	})
}

// interpolate applies one plan after the other. Plans that shrink an axis come first, so
// that no intermediate result is larger than both X and the output.
func (k *resize) interpolate(ctx *ops.Context, x, out *ops.Tensor, plans []axisPlan) error {
	var shrinking, growing []axisPlan
	for _, p := range plans {
		switch {
		case p.taps == nil:
		case len(p.taps) > x.Shape()[p.axis]:
			growing = append(growing, p)
		default:
			shrinking = append(shrinking, p)
		}
	}
	t := temporary{ctx: ctx}
	current, shape := elementsOf[float64](&t, x), slices.Clone(x.Shape())
	for i, p := range append(shrinking, growing...) {
		if t.err != nil {
			return t.err
		}
		next := bufferOf[float64](&t, len(current)/shape[p.axis]*len(p.taps))
		if t.err != nil {
			return t.err
		}
		if err := p.apply(ctx, next, current, shape); err != nil {
			return err
		}
		if i > 0 || x.DType() != ops.Float64 {
			ops.Free(ctx, current)
		}
		current, shape[p.axis] = next, len(p.taps)
	}
	if t.err != nil {
		return t.err
	}
	return ctx.For(out.Len(), grain, func(lo, hi int) error {
		c, outside := coordinatesAt(lo, shape), []float64{k.outside}
		for i := lo; i < hi; i++ {
			v := current[i : i+1]
			for d, at := range c.at {
				if plans[d].taps != nil && plans[d].taps[at].outside {
					v = outside
				}
			}
			store(out, i, 1, v)
			c.next()
		}
		return nil
	})
}

// apply resizes one axis of src, whose shape is given, and adds the result to dst, which
// must be zero.
func (p *axisPlan) apply(ctx *ops.Context, dst, src []float64, shape []int) error {
	inner := numElements(shape[p.axis+1:])
	outer := shape[p.axis] * inner // elements of src per index of the axes before
	return ctx.For(len(dst)/inner, max(1, grain/inner), func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			row, t := dst[i*inner:][:inner], &p.taps[i%len(p.taps)]
			rows := src[i/len(p.taps)*outer:][:outer]
			for j, w := range t.weight {
				from := rows[t.index[j]*inner:][:inner]
				if err := inPieces(ctx, inner, func(lo, hi int) {
					for e := lo; e < hi; e++ {
						row[e] += float64(w * from[e])
					}
				}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
