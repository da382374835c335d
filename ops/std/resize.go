package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newResize returns Resize (opsets 10, 11, 13): X, of any type but bool, with other sizes.
// Each element of the output is interpolated from the elements around its place in X.
//
// Since opset 11 the inputs are X, roi, scales and sizes. Either scales (float32) or sizes
// (int64) is given, with one number per dimension; sizes that follow from scales are
// rounded down. In opset 10 the inputs are X and scales.
//
// Attributes: mode (default nearest; or linear, cubic). Since opset 11 also
// coordinate_transformation_mode (default half_pixel; or pytorch_half_pixel, align_corners,
// asymmetric, tf_half_pixel_for_nn, tf_crop_and_resize), the place of an element in X;
// nearest_mode (default round_prefer_floor; or round_prefer_ceil, floor, ceil);
// cubic_coeff_a (default -0.75); exclude_outside (default 0; 1 ignores elements outside X);
// extrapolation_value (default 0) for places outside the region of tf_crop_and_resize.
// Opset 10 uses asymmetric and floor.
func newResize(n ops.Node) (operation, error) {
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
	if k.coordinates, err = choiceAttr(n.Attributes, "coordinate_transformation_mode", "half_pixel",
		"pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"); err != nil {
		return nil, err
	}
	if k.nearest, err = choiceAttr(n.Attributes, "nearest_mode", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"); err != nil {
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

// newUpsample returns Upsample (opsets 7, 9), which computes the same as Resize of opset
// 10. In opset 7 the scales are an attribute.
//
// Attributes: mode (default nearest; or linear), scales (opset 7, required).
func newUpsample(n ops.Node) (operation, error) {
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
		return nil, fmt.Errorf("%w: scales must be an attribute in opset %d", ops.ErrAttribute, n.Opset)
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
	mode, coordinates, nearest string
	cubic, outside             float64
	exclude                    bool
	scales                     []float32 // from the attribute
	scalesAt                   int       // index of the input scales
}

// readMode reads the attribute mode: nearest, linear or the given last one. The node may
// have the other attributes named by known, and no others.
func (k *resize) readMode(a ops.Attributes, last string, known ...string) (err error) {
	if err := a.Only(append(known, "mode")...); err != nil {
		return err
	}
	k.mode, err = choiceAttr(a, "mode", "nearest", "linear", last)
	return err
}

func (k *resize) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := checkDType("X", x, numericTypes...); err != nil {
		return x, err
	}
	given := k.given(in)
	if err := k.check(x, given); err != nil {
		return x, err
	}
	shape := slices.Repeat([]ops.Dim{unknown}, len(x.Shape))
	target, ok := k.target(given)
	if !ok {
		return ops.Type{DType: x.DType, Shape: shape}, nil
	}
	for i, d := range x.Shape {
		var err error
		if shape[i], err = target.resize(d, i); err != nil {
			return x, fmt.Errorf("%w: X is %v, dimension %d", err, x, i)
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
	if err := checkPerDimension(x, 1, "scales", given.scales, ops.Float32); err != nil {
		return err
	}
	if err := checkPerDimension(x, 1, "sizes", given.sizes, ops.Int64); err != nil {
		return err
	}
	switch {
	case k.crops():
		if given.roi == nil {
			return fmt.Errorf("%w: roi is missing", ops.ErrShape)
		}
		return checkPerDimension(x, 2, "roi", given.roi, floatTypes...)
	case given.roi != nil: // its values are ignored
		_, err := checkVector("roi", given.roi, floatTypes...)
		return err
	}
	return nil
}

// checkPerDimension checks an input, unless it is omitted: it must be a vector with the
// given number of entries per dimension of X.
func checkPerDimension(x ops.Type, numbers int, name string, in *ops.Input, types ...ops.DType) error {
	if in == nil {
		return nil
	}
	n, err := checkVector(name, in, types...)
	if err != nil {
		return err
	}
	if n.Known() && n.Size != numbers*len(x.Shape) {
		return fmt.Errorf("%w: X is %v but the length of %s is %d", ops.ErrShape, x, name, n.Size)
	}
	return nil
}

// crops reports whether only a region of X is resized.
func (k *resize) crops() bool { return k.coordinates == "tf_crop_and_resize" }

// resizeTarget says how large the output is: by sizes or, if these are nil, by scales.
type resizeTarget struct {
	sizes  []int64
	scales []float32
	region []float64 // starts, then ends, of the region of X; nil means all of X
}

// target returns the values of the inputs after X, and false if they are not known.
func (k *resize) target(given resizeInputs) (resizeTarget, bool) {
	t := resizeTarget{scales: k.scales}
	switch {
	case given.sizes != nil && given.sizes.Const != nil:
		t.sizes = given.sizes.Const.Int64s()
	case given.scales != nil && given.scales.Const != nil:
		t.scales = given.scales.Const.Float32s()
	case k.scales == nil:
		return t, false
	}
	if k.crops() {
		if given.roi == nil || given.roi.Const == nil {
			return t, false
		}
		t.region = make([]float64, given.roi.Const.Len()) // one pair per dimension
		load(t.region, given.roi.Const, 0, 1)
	}
	return t, true
}

// extent returns the start and the end of the region along an axis, as fractions of the
// axis.
func (t *resizeTarget) extent(axis int) (low, high float64) {
	if t.region == nil {
		return 0, 1
	}
	return t.region[axis], t.region[len(t.region)/2+axis]
}

// scale returns the scale of an axis, or 0 if the list of scales is too short.
func (t *resizeTarget) scale(axis int) float32 {
	if axis < len(t.scales) {
		return t.scales[axis]
	}
	return 0
}

// resize returns the size of an axis of the output. It computes in float32.
func (t *resizeTarget) resize(d ops.Dim, axis int) (ops.Dim, error) {
	if t.sizes != nil {
		n := t.sizes[axis]
		if n < 0 || n > ops.MaxElements || d.Size == 0 && n > 0 {
			return d, fmt.Errorf("%w: size %d is out of range", ops.ErrShape, n)
		}
		return ops.Dim{Size: int(n)}, nil
	}
	scale := t.scale(axis)
	if !(scale > 0) || math.IsInf(float64(scale), 0) {
		return d, fmt.Errorf("%w: scale %v is not a positive number", ops.ErrValue, scale)
	}
	low, high := t.extent(axis)
	extent := float32(high) - float32(low)
	if scale == 1 && extent == 1 {
		return d, nil
	}
	if !d.Known() {
		return unknown, nil
	}
	n := math.Floor(float64(float32(d.Size) * extent * scale))
	if !(n >= 0 && n <= ops.MaxElements) {
		return d, fmt.Errorf("%w: size %v is out of range", ops.ErrShape, n)
	}
	return ops.Dim{Size: int(n)}, nil
}

func (k *resize) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.Len() == 0 {
		return nil
	}
	target, ok := k.target(k.given(inputs(in)))
	if !ok {
		return fmt.Errorf("%w: want either scales or sizes", ops.ErrShape)
	}
	plans, err := k.plans(ctx, &target, in[0].Shape(), out.Shape())
	if err != nil {
		return err
	}
	if k.mode == "nearest" && !k.crops() {
		return copyNearest(ctx, in[0], out, plans)
	}
	return k.interpolate(ctx, in[0], out, plans)
}
