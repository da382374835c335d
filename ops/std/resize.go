package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newResize returns Resize (opsets 10, 11, 13, 18, 19): X with other sizes. Each element of
// the output is interpolated from the elements around its place in X. X has any numeric type,
// in mode nearest any type at all.
//
// Since opset 11 the inputs are X, roi, scales and sizes. Either scales (float32) or sizes
// (int64) is given, with one number per dimension; sizes that follow from scales are
// rounded down. In opset 10 the inputs are X and scales.
//
// Attributes: mode (default nearest; or linear, cubic). Since opset 11 also
// coordinate_transformation_mode (default half_pixel; or pytorch_half_pixel, align_corners,
// asymmetric, tf_half_pixel_for_nn, tf_crop_and_resize, since opset 19 half_pixel_symmetric),
// the place of an element in X; nearest_mode (default round_prefer_floor; or
// round_prefer_ceil, floor, ceil); cubic_coeff_a (default -0.75); exclude_outside (default 0;
// 1 ignores elements outside X); extrapolation_value (default 0) for places outside the region
// of tf_crop_and_resize. Since opset 18 also antialias (default 0; 1 widens the filters of
// linear and cubic where X shrinks); axes (default: all), the dimensions that roi, scales and
// sizes are about; keep_aspect_ratio_policy (default stretch; with not_larger or not_smaller
// all axes have the same scale, such that no size, or every size, is at least the given one).
// Opset 10 uses asymmetric, and rounds places down, or up where X shrinks.
//
// Places are computed in float32, as all runtimes do: whether a place lies just before or on
// a pixel decides in mode nearest.
func newResize(n ops.Node) (operation, error) {
	k := &resize{coordinates: "asymmetric", cubic: -0.75, scalesAt: 1, policy: "stretch"}
	if n.Opset < 11 {
		return k, k.readMode(n.Attributes, []string{"nearest", "linear"})
	}
	known := []string{"coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value"}
	coordinates := []string{"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"}
	if n.Opset >= 18 {
		known = append(known, "antialias", "axes", "keep_aspect_ratio_policy")
	}
	if n.Opset >= 19 {
		coordinates = append(coordinates, "half_pixel_symmetric")
	}
	if err := k.readMode(n.Attributes, []string{"nearest", "linear", "cubic"}, known...); err != nil {
		return nil, err
	}
	k.scalesAt = 2
	var err error
	if k.coordinates, err = choiceAttr(n.Attributes, "coordinate_transformation_mode", coordinates...); err != nil {
		return nil, err
	}
	if k.nearest, err = choiceAttr(n.Attributes, "nearest_mode", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"); err != nil {
		return nil, err
	}
	if k.policy, err = choiceAttr(n.Attributes, "keep_aspect_ratio_policy", "stretch", "not_larger", "not_smaller"); err != nil {
		return nil, err
	}
	if k.exclude, err = flagAttr(n.Attributes, "exclude_outside"); err != nil {
		return nil, err
	}
	if k.antialias, err = flagAttr(n.Attributes, "antialias"); err != nil {
		return nil, err
	}
	if k.antialias && k.mode == "nearest" {
		return nil, fmt.Errorf("%w: antialias needs mode linear or cubic, and mode is nearest", ops.ErrAttribute)
	}
	if k.axes, err = ops.Attr[[]int64](n.Attributes, "axes", nil); err != nil {
		return nil, err
	}
	cubic, err := ops.Attr(n.Attributes, "cubic_coeff_a", float32(-0.75))
	if err != nil {
		return nil, err
	}
	outside, err := ops.Attr(n.Attributes, "extrapolation_value", float32(0))
	k.cubic, k.outside = float64(cubic), float64(outside)
	return k, err
}

// newUpsample returns Upsample (opsets 1, 7, 9), which computes the same as Resize of opset
// 10. Before opset 9 the scales are attributes.
//
// Attributes: mode (default nearest; or linear, in opset 1 named bilinear); before opset 7
// height_scale and width_scale of images (N, C, H, W), in opset 7 and 8 scales (all required).
func newUpsample(n ops.Node) (operation, error) {
	k := &resize{coordinates: "asymmetric", scalesAt: 1, policy: "stretch"}
	modes := []string{"nearest", "linear"}
	switch {
	case n.Opset >= 9:
		return k, k.readMode(n.Attributes, modes)
	case n.NumInputs > 1:
		return nil, fmt.Errorf("%w: scales must be an attribute in opset %d", ops.ErrAttribute, n.Opset)
	case n.Opset >= 7:
		if err := k.readMode(n.Attributes, modes, "scales"); err != nil {
			return nil, err
		}
		var err error
		if k.scales, err = ops.Attr[[]float32](n.Attributes, "scales", nil); err == nil && k.scales == nil {
			err = fmt.Errorf("%w: scales is missing", ops.ErrAttribute)
		}
		return k, err
	}
	if err := k.readMode(n.Attributes, []string{"nearest", "bilinear"}, "height_scale", "width_scale"); err != nil {
		return nil, err
	}
	k.scales = []float32{1, 1, 0, 0}
	for i, name := range []string{"height_scale", "width_scale"} {
		var err error
		if k.scales[2+i], err = ops.Attr(n.Attributes, name, float32(0)); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// choiceAttr returns a string attribute that must be one of the given values. The first
// value is the default.
func choiceAttr(a ops.Attributes, name string, of ...string) (string, error) {
	v, err := ops.Attr(a, name, of[0])
	if err == nil && !slices.Contains(of, v) {
		err = fmt.Errorf("%w: %s %q, want one of %v", ops.ErrAttribute, name, v, of)
	}
	return v, err
}

type resize struct {
	mode, coordinates  string
	nearest            string // "" means that of opset 10
	policy             string
	cubic, outside     float64
	exclude, antialias bool
	axes               []int64   // nil means all
	scales             []float32 // from the attribute
	scalesAt           int       // index of the input scales
}

// readMode reads the attribute mode, one of the given ones. The node may have the other
// attributes named by known, and no others.
func (k *resize) readMode(a ops.Attributes, modes []string, known ...string) (err error) {
	if err := a.Only(append(known, "mode")...); err != nil {
		return err
	}
	if k.mode, err = choiceAttr(a, "mode", modes...); k.mode == "bilinear" {
		k.mode = "linear"
	}
	return err
}

func (k *resize) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if k.mode != "nearest" {
		if err := x.CheckDType("X", numericTypes...); err != nil {
			return x, err
		}
	}
	given := k.given(in)
	if err := k.check(x, given); err != nil {
		return x, err
	}
	targets, known, err := k.targets(x.Shape, given)
	if err != nil {
		return x, err
	}
	shape := slices.Clone(x.Shape)
	for i := range shape {
		if shape[i] = unknown; known {
			shape[i] = targets[i].size
		}
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

// resizeInputs holds the inputs after X. An input that is omitted or empty is nil.
type resizeInputs struct{ roi, scales, sizes *ops.Input }

// given returns the inputs after X, whose places depend on the opset.
func (k *resize) given(in []*ops.Input) resizeInputs {
	input := func(i int) *ops.Input {
		if i >= len(in) || in[i] == nil || len(in[i].Shape) == 1 && in[i].Shape[0].Size == 0 {
			return nil
		}
		return in[i]
	}
	if k.scalesAt == 1 {
		return resizeInputs{scales: input(1)}
	}
	return resizeInputs{roi: input(1), scales: input(2), sizes: input(3)}
}

// check checks the types of the inputs after X.
func (k *resize) check(x ops.Type, given resizeInputs) error {
	if (given.scales == nil) == (given.sizes == nil) && k.scales == nil {
		return fmt.Errorf("%w: want either scales or sizes", ops.ErrShape)
	}
	axes := len(x.Shape)
	if k.axes != nil {
		axes = len(k.axes)
	}
	if err := checkPerAxis(x, axes, "scales", given.scales, ops.Float32); err != nil {
		return err
	}
	if err := checkPerAxis(x, axes, "sizes", given.sizes, ops.Int64); err != nil {
		return err
	}
	switch {
	case k.crops():
		if given.roi == nil {
			return fmt.Errorf("%w: roi is missing", ops.ErrShape)
		}
		return checkPerAxis(x, 2*axes, "roi", given.roi, append(slices.Clone(floatTypes), halfTypes...)...)
	case given.roi != nil: // its values are ignored
		_, err := checkVector("roi", given.roi, append(slices.Clone(floatTypes), halfTypes...)...)
		return err
	}
	return nil
}

// checkPerAxis checks an input, unless it is omitted: it must be a vector with the given
// number of entries.
func checkPerAxis(x ops.Type, want int, name string, in *ops.Input, types ...ops.DType) error {
	if in == nil {
		return nil
	}
	n, err := checkVector(name, in, types...)
	if err != nil {
		return err
	}
	if n.Known() && n.Size != want {
		return fmt.Errorf("%w: X is %v but the length of %s is %d, want %d", ops.ErrShape, x, name, n.Size, want)
	}
	return nil
}

// crops reports whether only a region of X is resized.
func (k *resize) crops() bool { return k.coordinates == "tf_crop_and_resize" }

func (k *resize) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.Len() == 0 {
		return nil
	}
	known := inputs(in)
	targets, ok, err := k.targets(known[0].Shape, k.given(known))
	if err == nil && !ok {
		err = fmt.Errorf("%w: want either scales or sizes", ops.ErrShape)
	}
	if err != nil {
		return err
	}
	plans := make([]axisPlan, len(targets))
	for axis := range targets {
		if plans[axis], err = k.plan(ctx, &targets[axis], axis); err != nil {
			return err
		}
	}
	x := in[0]
	if k.mode == "nearest" {
		return k.copyNearest(ctx, x, out, plans)
	}
	t := temporary{ctx: ctx}
	switch x.DType() {
	case ops.Float32:
		return interpolate(&t, k, plans, x.Float32s(), out.Float32s(), x.Shape())
	case ops.Int8, ops.Int16, ops.Uint8, ops.Uint16:
		// float32 has more than enough bits for these integers.
		small, err := converting(ctx, x, ops.Float32)
		if err != nil {
			return err
		}
		to := bufferOf[float32](&t, out.Len())
		if t.err != nil {
			return t.err
		}
		if err := interpolate(&t, k, plans, small.Float32s(), to, x.Shape()); err != nil {
			return err
		}
		return k.storeIntegers(ctx, out, func(i int) float64 { return snapped(float64(to[i])) })
	}
	from := elementsOf[float64](&t, x)
	to, ok := ops.Data[float64](out)
	if !ok {
		to = bufferOf[float64](&t, out.Len())
	}
	if t.err != nil {
		return t.err
	}
	if err := interpolate(&t, k, plans, from, to, x.Shape()); err != nil || ok {
		return err
	}
	return k.storeIntegers(ctx, out, func(i int) float64 { return snapped(to[i]) })
}

// snapped returns the integer that a sum should be if it is very near. Places and weights are rounded:
// a third of 3 may be slightly less than 1, and would be truncated to 0.
func snapped(v float64) float64 {
	if n := math.Round(v); math.Abs(v-n) < 1e-6*max(1, math.Abs(n)) {
		return n
	}
	return v
}

// storeIntegers stores elements of an integer type. With antialias they are rounded,
// otherwise truncated: this is how images are resized elsewhere.
func (k *resize) storeIntegers(ctx *ops.Context, out *ops.Tensor, element func(i int) float64) error {
	return ctx.For(out.Len(), grain, func(lo, hi int) error {
		var part [chunk]float64
		for ; lo < hi; lo += chunk {
			v := part[:min(chunk, hi-lo)]
			for i := range v {
				if v[i] = element(lo + i); k.antialias {
					v[i] = math.Floor(v[i] + 0.5)
				}
			}
			store(out, lo, 1, v)
		}
		return nil
	})
}

// axisTarget says what becomes of an axis of X.
type axisTarget struct {
	from      int     // the size in X
	size      ops.Dim // the size in the output
	scale     float32
	bySize    bool    // the scale follows from the size
	low, high float32 // the region, as fractions of the axis
}

// targets returns what becomes of every axis of X, and false if it is not known.
func (k *resize) targets(shape []ops.Dim, given resizeInputs) ([]axisTarget, bool, error) {
	axes := make([]int, len(shape))
	for i := range axes {
		axes[i] = i
	}
	if k.axes != nil {
		var err error
		if axes, err = axesOf(k.axes, len(shape)); err != nil {
			return nil, false, err
		}
	}
	targets := make([]axisTarget, len(shape))
	for i, d := range shape {
		targets[i] = axisTarget{from: d.Size, size: d, scale: 1, high: 1}
	}
	if k.crops() {
		if given.roi == nil || given.roi.Const == nil || given.roi.Const.Len() != 2*len(axes) {
			return nil, false, nil
		}
		region := make([]float64, 2*len(axes))
		load(region, given.roi.Const, 0, 1)
		for i, axis := range axes {
			targets[axis].low, targets[axis].high = float32(region[i]), float32(region[len(axes)+i])
		}
	}
	scales := k.scales
	switch {
	case given.sizes != nil && given.sizes.Const != nil:
		sizes := given.sizes.Const.Int64s()
		if len(sizes) != len(axes) {
			return nil, false, fmt.Errorf("%w: the length of sizes is %d, want %d", ops.ErrShape, len(sizes), len(axes))
		}
		return targets, true, k.resizeTo(targets, axes, sizes)
	case given.scales != nil && given.scales.Const != nil:
		scales = given.scales.Const.Float32s()
	case k.scales == nil:
		return nil, false, nil
	}
	if len(scales) != len(axes) {
		return nil, false, fmt.Errorf("%w: the length of scales is %d, want %d", ops.ErrShape, len(scales), len(axes))
	}
	for i, axis := range axes {
		if err := targets[axis].resizeBy(scales[i]); err != nil {
			return nil, false, fmt.Errorf("%w (dimension %d of X)", err, axis)
		}
	}
	return targets, true, nil
}

// resizeTo sets the sizes and scales of axes from sizes.
func (k *resize) resizeTo(targets []axisTarget, axes []int, sizes []int64) error {
	var common float32 // the scale of all axes, if the aspect ratio is kept
	known := true
	for i, axis := range axes {
		t, n := &targets[axis], sizes[i]
		if n < 0 || n > ops.MaxElements || t.from == 0 && n > 0 {
			return fmt.Errorf("%w: size %d is out of range (dimension %d of X)", ops.ErrShape, n, axis)
		}
		t.size, t.bySize, t.scale = ops.Dim{Size: int(n)}, true, 1
		switch {
		case t.from < 0:
			known = false
		case t.from > 0:
			t.scale = float32(n) / float32(t.from)
		}
		if i == 0 || k.policy == "not_larger" && t.scale < common || k.policy == "not_smaller" && t.scale > common {
			common = t.scale
		}
	}
	if k.policy == "stretch" {
		return nil
	}
	for _, axis := range axes {
		t := &targets[axis]
		if t.size = unknown; known {
			n := math.Floor(float64(float32(common*float32(t.from)) + 0.5))
			if n > ops.MaxElements {
				return fmt.Errorf("%w: size %v is out of range (dimension %d of X)", ops.ErrShape, n, axis)
			}
			t.size, t.scale = ops.Dim{Size: int(n)}, common
		}
	}
	return nil
}

// resizeBy sets the size and the scale of an axis. It computes in float32.
func (t *axisTarget) resizeBy(scale float32) error {
	if !(scale > 0) || math.IsInf(float64(scale), 0) {
		return fmt.Errorf("%w: scale %v is not a positive number", ops.ErrValue, scale)
	}
	t.scale = scale
	extent := t.high - t.low
	if scale == 1 && extent == 1 {
		return nil
	}
	if t.from < 0 {
		t.size = unknown
		return nil
	}
	n := math.Floor(float64(float32(float32(float32(t.from)*extent) * scale)))
	if !(n >= 0 && n <= ops.MaxElements) {
		return fmt.Errorf("%w: size %v is out of range", ops.ErrShape, n)
	}
	t.size = ops.Dim{Size: int(n)}
	return nil
}
