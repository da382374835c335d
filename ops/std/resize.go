package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newResize makes Resize (opsets 10, 11, 13): X, of any type but bool, with other sizes.
// Since opset 11 the inputs are X, roi, scales and sizes, of which either scales, float32,
// or sizes, int64, are given, a number for each dimension; in opset 10 X and scales.
// Sizes are rounded down. Along each axis an element is made of those around the place
// that it has in X.
//
// Attributes: mode (nearest; linear, cubic); since opset 11
// coordinate_transformation_mode (half_pixel; pytorch_half_pixel, align_corners,
// asymmetric, tf_half_pixel_for_nn, tf_crop_and_resize): where an element is in X;
// nearest_mode (round_prefer_floor; round_prefer_ceil, floor, ceil); cubic_coeff_a (-0.75);
// exclude_outside (0): 1 leaves elements outside X out; extrapolation_value (0), with
// tf_crop_and_resize. Opset 10 has asymmetric and floor.
func newResize(n ops.Node) (kernel, error) {
	k := &resize{coordinates: "asymmetric", nearest: "floor", cubic: -0.75, scalesAt: 1}
	if n.Opset < 11 {
		return k, k.readMode(n.Attributes, "linear")
	}
	known := []string{"coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value"}
	if err := k.readMode(n.Attributes, "cubic", known...); err != nil {
		return nil, err
	}
	k.scalesAt = 2
	var err error
	if k.coordinates, err = choice(n.Attributes, "coordinate_transformation_mode", "half_pixel",
		"pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"); err != nil {
		return nil, err
	}
	if k.nearest, err = choice(n.Attributes, "nearest_mode", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"); err != nil {
		return nil, err
	}
	exclude, err := ops.Attr(n.Attributes, "exclude_outside", int64(0))
	if err != nil {
		return nil, err
	}
	k.exclude = exclude != 0
	cubic, err := ops.Attr(n.Attributes, "cubic_coeff_a", float32(-0.75))
	if err != nil {
		return nil, err
	}
	outside, err := ops.Attr(n.Attributes, "extrapolation_value", float32(0))
	k.cubic, k.outside = float64(cubic), float64(outside)
	return k, err
}

// newUpsample makes Upsample (opsets 7, 9), the Resize of opset 10. In opset 7 the scales
// are an attribute.
//
// Attributes: mode (nearest; linear), scales (opset 7, required).
func newUpsample(n ops.Node) (kernel, error) {
	k := &resize{coordinates: "asymmetric", nearest: "floor", scalesAt: 1}
	if n.Opset >= 9 {
		return k, k.readMode(n.Attributes, "linear")
	}
	if err := k.readMode(n.Attributes, "linear", "scales"); err != nil {
		return nil, err
	}
	var err error
	if k.scales, err = ops.Attr[[]float32](n.Attributes, "scales", nil); err != nil {
		return nil, err
	}
	if k.scales == nil || n.NumInputs > 1 {
		return nil, fmt.Errorf("%w: opset %d: scales must be an attribute", ops.ErrAttribute, n.Opset)
	}
	return k, nil
}

// choice returns a string attribute that is one of those given; the first is what it is
// when absent.
func choice(a ops.Attributes, name string, of ...string) (string, error) {
	v, err := ops.Attr(a, name, of[0])
	if err == nil && !slices.Contains(of, v) {
		err = fmt.Errorf("%w: %s %q, want one of %v", ops.ErrAttribute, name, v, of)
	}
	return v, err
}

type resize struct {
	mode, coordinates, nearest string
	cubic, outside             float64
	exclude                    bool
	scales                     []float32 // from the attribute
	scalesAt                   int       // the input
}

func (k *resize) readMode(a ops.Attributes, last string, known ...string) (err error) {
	if err := a.Only(append(known, "mode")...); err != nil {
		return err
	}
	k.mode, err = choice(a, "mode", "nearest", "linear", last)
	return err
}

func (k *resize) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := checkDType("X", x, numeric...); err != nil {
		return x, err
	}
	given := func(i int) *ops.Input {
		if i < len(in) && in[i] != nil && (len(in[i].Shape) != 1 || in[i].Shape[0].Size != 0) {
			return in[i] // an empty one counts as omitted
		}
		return nil
	}
	scales, sizes, roi := given(k.scalesAt), given(3), given(1)
	if k.scalesAt == 1 {
		sizes, roi = nil, nil
	}
	if (scales == nil) == (sizes == nil) && k.scales == nil {
		return x, fmt.Errorf("%w: want either scales or sizes", ops.ErrShape)
	}
	for _, v := range []struct {
		name string
		in   *ops.Input
		each int
		of   []ops.DType
	}{{"scales", scales, 1, floats[:1]}, {"sizes", sizes, 1, []ops.DType{ops.Int64}}, {"roi", roi, 2, floats}} {
		if v.in == nil {
			continue
		}
		n, err := checkVector(v.name, v.in, v.of...)
		if err != nil {
			return x, err
		}
		if v.name == "roi" && k.coordinates != "tf_crop_and_resize" {
			continue
		}
		if n.Known() && n.Size != v.each*len(x.Shape) {
			return x, fmt.Errorf("%w: X is %v but %s has %d numbers", ops.ErrShape, x, v.name, n.Size)
		}
	}
	shape := slices.Repeat([]ops.Dim{unknown}, len(x.Shape))
	var value *ops.Tensor
	if sizes != nil {
		value = sizes.Const
	} else if scales != nil {
		value = scales.Const
	}
	crops := k.coordinates == "tf_crop_and_resize"
	if value == nil && k.scales == nil || crops && (roi == nil || roi.Const == nil) {
		if crops && roi == nil {
			return x, fmt.Errorf("%w: roi is missing", ops.ErrShape)
		}
		return ops.Type{DType: x.DType, Shape: shape}, nil
	}
	var region []float64
	if crops {
		region = values[float64](roi.Const)
	}
	for i, d := range x.Shape {
		var err error
		if shape[i], err = k.resized(d, i, value, region); err != nil {
			return x, fmt.Errorf("%w: X is %v, dimension %d", err, x, i)
		}
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

// resized returns the size of a dimension, given the scales or sizes.
func (k *resize) resized(d ops.Dim, axis int, value *ops.Tensor, region []float64) (ops.Dim, error) {
	if value != nil && value.DType() == ops.Int64 {
		n := value.Int64s()[axis]
		if n < 0 || n > ops.MaxElements || d.Size == 0 && n > 0 {
			return d, fmt.Errorf("%w: size %d", ops.ErrShape, n)
		}
		return ops.Dim{Size: int(n)}, nil
	}
	scale := k.scale(value, axis)
	if !(scale > 0) || math.IsInf(float64(scale), 0) {
		return d, fmt.Errorf("%w: scale %v", ops.ErrShape, scale)
	}
	extent := float32(1)
	if region != nil {
		extent = float32(region[len(region)/2+axis]) - float32(region[axis])
	}
	if scale == 1 && extent == 1 {
		return d, nil
	}
	if !d.Known() {
		return unknown, nil
	}
	n := math.Floor(float64(float32(d.Size) * extent * scale))
	if !(n >= 0 && n <= ops.MaxElements) {
		return d, fmt.Errorf("%w: size %v", ops.ErrShape, n)
	}
	return ops.Dim{Size: int(n)}, nil
}

func (k *resize) scale(value *ops.Tensor, axis int) float32 {
	if value == nil {
		if axis < len(k.scales) {
			return k.scales[axis]
		}
		return 0
	}
	return value.Float32s()[axis]
}

// taps are the elements of X that one of the output is made of; outside means that it is
// made of none.
type taps struct {
	index   []int
	weight  []float64
	outside bool
}

func (k *resize) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.Len() == 0 {
		return nil
	}
	x := in[0]
	var value *ops.Tensor
	for i := k.scalesAt; i < len(in) && value == nil; i++ {
		if in[i] != nil && in[i].Len() > 0 {
			value = in[i]
		}
	}
	axes := make([][]taps, len(x.Shape()))
	for d, size := range x.Shape() {
		a := resizing{size: size, n: out.Shape()[d], high: 1}
		a.scale, a.resized = float64(a.n)/float64(size), float64(a.n)
		if value == nil || value.DType() == ops.Float32 {
			a.scale = float64(k.scale(value, d))
			a.resized = a.scale * float64(size) // ONNX's own tests do not round it
		}
		if k.coordinates == "tf_crop_and_resize" {
			roi := values[float64](in[1])
			a.low, a.high = roi[d], roi[len(roi)/2+d]
		}
		if size == a.n && a.scale == 1 && a.low == 0 && a.high == 1 {
			continue // nothing happens along this axis
		}
		axes[d] = make([]taps, a.n)
		for i := range axes[d] {
			axes[d][i] = k.tapsAt(k.original(float64(i), &a), size)
		}
	}
	if k.mode == "nearest" && k.coordinates != "tf_crop_and_resize" {
		return pick(ctx, x, out, axes)
	}
	return k.interpolate(ctx, x, out, axes)
}

// resizing is what happens along one axis.
type resizing struct {
	size, n        int // in X and in the output
	scale, resized float64
	low, high      float64 // the region of tf_crop_and_resize
}

// original returns the place in X of an element of the output. Whether the output has a
// single one is for its size to say: a quotient times its divisor need not be 1.
func (k *resize) original(i float64, a *resizing) float64 {
	last := float64(a.size - 1)
	switch k.coordinates {
	case "align_corners":
		if a.n == 1 {
			return 0
		}
		return i * last / (a.resized - 1)
	case "asymmetric":
		return i / a.scale
	case "tf_half_pixel_for_nn":
		return (i + 0.5) / a.scale
	case "tf_crop_and_resize":
		if a.n == 1 {
			return 0.5 * (a.low + a.high) * last
		}
		return a.low*last + i*(a.high-a.low)*last/float64(a.n-1) // the scale is of the region, not of X
	case "pytorch_half_pixel":
		if a.n == 1 {
			return 0
		}
	}
	return (i+0.5)/a.scale - 0.5
}

func (k *resize) tapsAt(x float64, size int) taps {
	// No place further away makes a difference, and these can be converted.
	x = min(max(x, -4), float64(size)+4)
	if x != x {
		x = 0
	}
	t := taps{outside: k.coordinates == "tf_crop_and_resize" && (x < 0 || x > float64(size-1))}
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

// cubicWeights returns the weights of four elements in a row for a place f behind the
// second of them (Keys, "Cubic convolution interpolation for digital image processing",
// 1981, equation 4).
func cubicWeights(f, a float64) []float64 {
	near := func(d float64) float64 { return ((a+2)*d-(a+3))*d*d + 1 }
	far := func(d float64) float64 { return ((a*d-5*a)*d+8*a)*d - 4*a }
	return []float64{far(1 + f), near(f), near(1 - f), far(2 - f)}
}

// pick takes over elements as they are.
func pick(ctx *ops.Context, x, out *ops.Tensor, axes [][]taps) error {
	strides := rowMajor(x.Shape())
	return take(ctx, out, x, nil, 1, func(first int, places []int) error {
		c := from(first, out.Shape())
		for i := range places {
			places[i] = 0
			for d, at := range c.at {
				if axes[d] != nil {
					at = axes[d][at].index[0]
				}
				places[i] += at * strides[d]
			}
			c.next()
		}
		return nil
	})
}

// interpolate goes from axis to axis. Those that shrink come first: nothing between is
// then larger than X or the output.
func (k *resize) interpolate(ctx *ops.Context, x, out *ops.Tensor, axes [][]taps) error {
	current, shape := values[float64](x), slices.Clone(x.Shape())
	for _, grow := range []bool{false, true} {
		for d, list := range axes {
			if list == nil || len(list) > x.Shape()[d] != grow {
				continue
			}
			inner, size := count(shape[d+1:]), shape[d]
			shape[d] = len(list)
			next := make([]float64, count(shape))
			err := ctx.For(len(next)/inner, max(1, grain/inner), func(lo, hi int) error {
				for i := lo; i < hi; i++ {
					row, t := next[i*inner:][:inner], &list[i%len(list)]
					for j, w := range t.weight {
						for e, v := range current[(i/len(list)*size+t.index[j])*inner:][:inner] {
							row[e] += w * v
						}
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			current = next
		}
	}
	if x.Len() == out.Len() && len(current) > 0 {
		current = slices.Clone(current) // which may still be X's
	}
	return ctx.For(out.Len(), grain, func(lo, hi int) error {
		c := from(lo, shape)
		for i := lo; i < hi; i++ {
			for d, at := range c.at {
				if axes[d] != nil && axes[d][at].outside {
					current[i] = k.outside
				}
			}
			store(out, i, 1, current[i:i+1])
			c.next()
		}
		return nil
	})
}
