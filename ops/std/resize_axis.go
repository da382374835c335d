package std

import (
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// axisPlan says how the elements of the output are computed along one axis. Each is the
// weighted sum of the same number of elements of X, its taps. A plan without taps leaves the
// axis as it is.
type axisPlan struct {
	axis, size int // the axis and its size in the output
	taps       int
	index      []int // in X, taps for each element
	weight     []float64
	outside    []bool // the element has no place in X; nil if all have
}

// plan returns the plan of an axis.
func (k *resize) plan(ctx *ops.Context, t *axisTarget, axis int) (axisPlan, error) {
	p := axisPlan{axis: axis, size: t.size.Size}
	if t.from == p.size && t.scale == 1 && t.low == 0 && t.high == 1 {
		return p, nil
	}
	filter, support := k.filter()
	stretch := float64(1) // of the filter
	if k.antialias && t.scale < 1 {
		stretch = 1 / float64(t.scale)
	}
	before := 0 // taps before the place, without the one just before it
	switch {
	case k.mode == "nearest":
		p.taps = 1
	case stretch > 1:
		// The taps before the first element have its value. The output has an element, so that the filter
		// stretches to at most twice the size of X.
		before = int(min(math.Ceil(support*stretch)-1, 2*support*float64(t.from)))
		p.taps = 2 * (before + 1)
	default:
		before = int(support) - 1
		p.taps = 2 * int(support)
	}
	var err error
	if p.index, err = ops.Temporary[int](ctx, p.size*p.taps); err != nil {
		return p, err
	}
	if p.weight, err = ops.Temporary[float64](ctx, p.size*p.taps); err != nil {
		return p, err
	}
	if k.crops() {
		if p.outside, err = ops.Temporary[bool](ctx, p.size); err != nil {
			return p, err
		}
	}
	watching := cancelCheck{ctx: ctx}
	last := float64(t.from - 1)
	for i := range p.size {
		x := float64(k.original(float32(i), t))
		if p.outside != nil {
			p.outside[i] = x < 0 || x > last
		}
		// Places farther away have the same taps, but might not be convertible to int.
		reach := float64(before) + 4
		x = min(max(x, -reach), last+reach)
		if x != x {
			x = 0
		}
		index, weight := p.index[i*p.taps:][:p.taps], p.weight[i*p.taps:][:p.taps]
		if k.mode == "nearest" {
			index[0], weight[0] = min(max(k.nearestTo(x, t.scale), 0), t.from-1), 1
		} else {
			start := int(math.Floor(x)) - before
			if err := k.weigh(&watching, index, weight, x-float64(start), start, stretch, t.from, filter); err != nil {
				return p, err
			}
		}
		if err := watching.after(16); err != nil {
			return p, err
		}
	}
	return p, nil
}

// filter returns the filter of the mode, as a function of the distance to the place, and the
// distance from which on it is 0.
func (k *resize) filter() (filter func(d float64) float64, support float64) {
	if k.mode == "cubic" {
		return func(d float64) float64 { return cubicWeight(d, k.cubic) }, 2
	}
	return func(d float64) float64 { return max(0, 1-d) }, 1
}

// weigh sets the taps for a place in X, and their weights. The first tap is at start, and the
// place is x elements after it.
func (k *resize) weigh(watching *cancelCheck, index []int, weight []float64, x float64, start int, stretch float64, size int, filter func(d float64) float64) error {
	total := 0.0
	for i := range index {
		if i%chunk == 0 {
			if err := watching.after(8 * min(chunk, len(index))); err != nil {
				return err
			}
		}
		at := start + i
		w := filter(math.Abs(float64(i)-x) / stretch)
		index[i] = min(max(at, 0), size-1)
		if k.exclude && at != index[i] {
			w = 0
		}
		weight[i] = w
		total += w
	}
	if stretch <= 1 {
		shareWeights(index, weight)
	}
	if (k.exclude || stretch > 1) && total != 0 {
		return inPieces(watching.ctx, len(weight), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				weight[i] /= total
			}
		})
	}
	return nil
}

// shareWeights gives taps of the same element, at an end of X, the same weight. Two of them then
// compute the element itself: with the weights 0.9 and 0.1, 12 would become slightly less, and 11
// as an integer.
func shareWeights(index []int, weight []float64) {
	for lo := 0; lo < len(index); {
		hi, sum := lo+1, weight[lo]
		for ; hi < len(index) && index[hi] == index[lo]; hi++ {
			sum += weight[hi]
		}
		for i := lo; hi > lo+1 && i < hi; i++ {
			weight[i] = sum / float64(hi-lo)
		}
		lo = hi
	}
}

// original returns the place in X of element i of the output. It tests the size of the output
// instead of the scale because a quotient times its divisor need not be exactly 1. Every
// result is rounded to float32.
func (k *resize) original(i float32, t *axisTarget) float32 {
	length, last, to := float32(t.from), float32(t.from-1), t.size.Size
	resized := float32(to)
	if !t.bySize {
		resized = float32(t.scale * length) // not rounded to an integer, as ONNX's own tests expect
	}
	switch k.coordinates {
	case "align_corners":
		if to == 1 {
			return 0
		}
		return float32(i*last) / (resized - 1)
	case "asymmetric":
		return i / t.scale
	case "tf_half_pixel_for_nn":
		return (i + 0.5) / t.scale
	case "tf_crop_and_resize":
		if to == 1 {
			return float32(float32(0.5*(t.low+t.high)) * last)
		}
		// The scale refers to the region, not to X.
		return float32(t.low*last) + float32(float32(i*(t.high-t.low))*last)/float32(to-1)
	case "pytorch_half_pixel":
		if to == 1 {
			return 0
		}
	case "half_pixel_symmetric":
		offset := float32(length / 2 * (1 - float32(to)/float32(t.scale*length)))
		return offset + (i+0.5)/t.scale - 0.5
	}
	return (i+0.5)/t.scale - 0.5
}

// nearestTo rounds a place to the index of an element.
func (k *resize) nearestTo(x float64, scale float32) int {
	switch k.nearest {
	case "round_prefer_floor":
		return int(math.Ceil(x - 0.5))
	case "round_prefer_ceil":
		return int(math.Floor(x + 0.5))
	case "":
		if scale >= 1 {
			return int(math.Floor(x))
		}
		return int(math.Ceil(x))
	case "ceil":
		return int(math.Ceil(x))
	}
	return int(math.Floor(x))
}

// cubicWeight returns the weight of an element at distance d from a place (Keys, "Cubic
// convolution interpolation for digital image processing", 1981, equation 4).
func cubicWeight(d, a float64) float64 {
	switch {
	case d <= 1:
		return float64((float64((a+2)*d)-(a+3))*d*d) + 1
	case d < 2:
		square := float64(a*d) - float64(5*a)
		linear := float64(square*d) + float64(8*a)
		return float64(linear*d) - float64(4*a)
	}
	return 0
}

// interpolate applies one plan after the other. Plans that shrink an axis come first, so
// that no intermediate result is larger than both X and the output.
func interpolate[T float32 | float64](t *temporary, k *resize, plans []axisPlan, x, out []T, shape []int) error {
	shape = slices.Clone(shape)
	var shrinking, growing []axisPlan
	for _, p := range plans {
		switch {
		case p.taps == 0:
		case p.size > shape[p.axis]:
			growing = append(growing, p)
		default:
			shrinking = append(shrinking, p)
		}
	}
	steps := append(shrinking, growing...)
	current := x
	for i, p := range steps {
		next := out
		if i < len(steps)-1 {
			if next = bufferOf[T](t, len(current)/shape[p.axis]*p.size); t.err != nil {
				return t.err
			}
		}
		if err := applyPlan(t.ctx, &p, next, current, shape); err != nil {
			return err
		}
		if i > 0 {
			ops.Free(t.ctx, current)
		}
		current, shape[p.axis] = next, p.size
	}
	if len(steps) == 0 {
		return inPieces(t.ctx, len(x), func(lo, hi int) { copy(out[lo:hi], x[lo:hi]) })
	}
	return k.extrapolate(t.ctx, plans, shape, func(i int) { out[i] = T(k.outside) })
}

// extrapolate calls set for every element of the output that has no place in X.
func (k *resize) extrapolate(ctx *ops.Context, plans []axisPlan, shape []int, set func(i int)) error {
	if !k.crops() {
		return nil
	}
	return ctx.For(numElements(shape), grain, func(lo, hi int) error {
		c := coordinatesAt(lo, shape)
		for i := lo; i < hi; i++ {
			for d, at := range c.at {
				if plans[d].outside != nil && plans[d].outside[at] {
					set(i)
					break
				}
			}
			c.next()
		}
		return nil
	})
}
