package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// The operators of this file were experimental, until opset 9. Exporters of that time wrote
// them, above all those for Caffe2 and CoreML.

// newAffine returns Affine: alpha*X + beta, float32 or float64.
//
// Attributes: alpha (default 1), beta (default 0).
func newAffine(n ops.Node) (operation, error) {
	return newParametric([]string{"alpha", "beta"}, []float32{1, 0}, func(p []float64, x float64) float64 { return float64(p[0]*x) + p[1] })(n)
}

// newScale returns Scale: scale*X, float32 or float64.
//
// Attributes: scale (default 1).
func newScale(n ops.Node) (operation, error) {
	return newParametric([]string{"scale"}, []float32{1}, func(p []float64, x float64) float64 { return p[0] * x })(n)
}

// newScaledTanh returns ScaledTanh: alpha*tanh(beta*X), float32 or float64.
//
// Attributes: alpha and beta (default 1).
func newScaledTanh(n ops.Node) (operation, error) {
	return newParametric([]string{"alpha", "beta"}, []float32{1, 1}, func(p []float64, x float64) float64 { return p[0] * portmath.Tanh(p[1]*x) })(n)
}

// newParametricSoftplus returns ParametricSoftplus: alpha*log(1 + exp(beta*X)), float32 or
// float64.
//
// Attributes: alpha and beta (default 1).
func newParametricSoftplus(n ops.Node) (operation, error) {
	return newParametric([]string{"alpha", "beta"}, []float32{1, 1}, func(p []float64, x float64) float64 { return p[0] * softplus(p[1]*x) })(n)
}

// newImageScaler returns ImageScaler: scale*X + bias, with a bias for each channel of X (N, C,
// H, W), float32 or float64.
//
// Attributes: scale (default 1), bias (default: 0 for each channel).
func newImageScaler(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("scale", "bias"); err != nil {
		return nil, err
	}
	scale, err := ops.Attr(n.Attributes, "scale", float32(1))
	if err != nil {
		return nil, err
	}
	bias, err := ops.Attr[[]float32](n.Attributes, "bias", nil)
	return imageScaler{float64(scale), bias}, err
}

type imageScaler struct {
	scale float64
	bias  []float32
}

func (k imageScaler) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return x, err
	}
	if len(x.Shape) != 4 || k.bias != nil && x.Shape[1].Known() && x.Shape[1].Size != len(k.bias) {
		return x, fmt.Errorf("%w: X is %v, want 4 dimensions with %d channels", ops.ErrShape, x, len(k.bias))
	}
	return x, nil
}

func (k imageScaler) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	return forEachPlane(ctx, in[0], out, func(c int, plane []float64) error {
		bias := noBias
		if k.bias != nil {
			bias = float64(k.bias[c])
		}
		return shiftAndScale(ctx, plane, 0, k.scale, bias)
	})
}

// newCrop returns Crop: X (N, C, H, W), of any type, without its border. X has 4 dimensions.
//
// Attributes: border (required), the widths on the left, at the top, on the right and at the
// bottom; scale (default: what remains), the height and the width of the output.
func newCrop(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("border", "scale"); err != nil {
		return nil, err
	}
	border, err := ops.Attr[[]int64](n.Attributes, "border", nil)
	if err != nil {
		return nil, err
	}
	size, err := ops.Attr[[]int64](n.Attributes, "scale", nil)
	if err != nil {
		return nil, err
	}
	if len(border) != 4 || size != nil && len(size) != 2 {
		return nil, fmt.Errorf("%w: border %v and scale %v, want 4 and 2 numbers", ops.ErrAttribute, border, size)
	}
	for _, v := range slices.Concat(border, size) {
		if v < 0 || v > ops.MaxElements {
			return nil, fmt.Errorf("%w: border %v and scale %v: %d is out of range", ops.ErrAttribute, border, size, v)
		}
	}
	return crop{border, size}, nil
}

type crop struct{ border, size []int64 }

func (k crop) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if len(x.Shape) != 4 {
		return x, fmt.Errorf("%w: X is %v, want 4 dimensions", ops.ErrShape, x)
	}
	t := ops.Type{DType: x.DType, Shape: slices.Clone(x.Shape)}
	for i, axis := range []int{2, 3} {
		before, after := int(k.border[1-i]), int(k.border[3-i])
		d := x.Shape[axis]
		size := d.Size - before - after
		if k.size != nil {
			size = int(k.size[i])
		}
		switch {
		case d.Known() && (size < 0 || before+size > d.Size):
			return x, fmt.Errorf("%w: X is %v: border %v and scale %v do not fit", ops.ErrShape, x, k.border, k.size)
		case d.Known() || k.size != nil:
			t.Shape[axis] = ops.Dim{Size: size}
		default:
			t.Shape[axis] = unknown
		}
	}
	return t, nil
}

func (k crop) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	strides := rowMajor(in[0].Shape())
	c := copying{
		nest: newNest(out.Shape(), rowMajor(out.Shape()), strides),
		from: int(k.border[1])*strides[2] + int(k.border[0])*strides[3],
	}
	return c.run(ctx, out, in[0])
}

// newDynamicSlice returns DynamicSlice: Slice of opset 10 without steps.
func newDynamicSlice(n ops.Node) (operation, error) { return slicing{}, n.Attributes.Only() }

// newConstantFill returns ConstantFill: a tensor of the given shape whose elements are all
// equal. The shape is an attribute, or that of the input, or with input_as_shape the input
// itself, an int64 vector.
//
// Attributes: value (default 0), dtype (default float32), shape, extra_shape (sizes that are
// added to the shape of the input), input_as_shape (default 0).
func newConstantFill(n ops.Node) (operation, error) {
	shape, err := readFillShape(n, "value", "dtype")
	if err != nil {
		return nil, err
	}
	value, err := ops.Attr(n.Attributes, "value", float32(0))
	if err != nil {
		return nil, err
	}
	dtype, err := dtypeAttr(n.Attributes, "dtype", ops.Float32)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(allTypes, dtype) {
		return nil, fmt.Errorf("%w: dtype: %w: %v", ops.ErrAttribute, ops.ErrDType, dtype)
	}
	one, err := ops.Zeros(dtype, []int{1})
	if err != nil {
		return nil, err
	}
	store(one, 0, 1, []float64{float64(value)})
	return constantFill{shape, one}, nil
}

// fillShape is the shape of a tensor that ConstantFill and GivenTensorFill create.
type fillShape struct {
	shape, extra []int64
	asShape      bool
}

func readFillShape(n ops.Node, more ...string) (f fillShape, err error) {
	if err := n.Attributes.Only(append(more, "shape", "extra_shape", "input_as_shape")...); err != nil {
		return f, err
	}
	if f.shape, err = ops.Attr[[]int64](n.Attributes, "shape", nil); err != nil {
		return f, err
	}
	if f.extra, err = ops.Attr[[]int64](n.Attributes, "extra_shape", nil); err != nil {
		return f, err
	}
	f.asShape, err = flagAttr(n.Attributes, "input_as_shape")
	if n.NumInputs == 0 && f.shape == nil {
		return f, fmt.Errorf("%w: shape is missing", ops.ErrAttribute)
	}
	return f, err
}

// dims returns the dimensions.
func (f fillShape) dims(in []*ops.Input) ([]ops.Dim, error) {
	list, shape := slices.Concat(f.shape, f.extra), []ops.Dim{}
	if x := optionalInput(in, 0); x != nil {
		list = f.extra
		shape = append(shape, x.Shape...)
		if f.asShape {
			sizes, number, err := shapeVector("input", x)
			if err != nil {
				return nil, err
			}
			if shape = slices.Repeat([]ops.Dim{unknown}, number); sizes != nil {
				shape, list = nil, slices.Concat(sizes, f.extra)
			}
		}
	}
	for _, v := range list {
		if v < 0 || v > ops.MaxElements {
			return nil, fmt.Errorf("%w: %d is not a valid size", ops.ErrShape, v)
		}
		shape = append(shape, ops.Dim{Size: int(v)})
	}
	return shape, checkRank(len(shape))
}

type constantFill struct {
	fillShape
	value *ops.Tensor
}

func (k constantFill) infer(in []*ops.Input) (ops.Type, error) {
	dims, err := k.dims(in)
	return ops.Type{DType: k.value.DType(), Shape: dims}, err
}

func (k constantFill) run(ctx *ops.Context, _ []*ops.Tensor, out *ops.Tensor) error {
	return constantOfShape{k.value}.run(ctx, nil, out)
}

// newGivenTensorFill returns GivenTensorFill: a float32 tensor with the given elements. See
// newConstantFill for the shape.
//
// Attributes: values (required), shape, extra_shape, input_as_shape (default 0).
func newGivenTensorFill(n ops.Node) (operation, error) {
	shape, err := readFillShape(n, "values")
	if err != nil {
		return nil, err
	}
	values, err := ops.Attr(n.Attributes, "values", []float32{})
	if err != nil {
		return nil, err
	}
	list, err := vectorOf(values, nil)
	return givenTensorFill{shape, list}, err
}

type givenTensorFill struct {
	fillShape
	values *ops.Tensor
}

func (k givenTensorFill) infer(in []*ops.Input) (ops.Type, error) {
	dims, err := k.dims(in)
	if n := dimProduct(dims); err == nil && n.Known() && n.Size != k.values.Len() {
		err = fmt.Errorf("%w: the shape has %d elements, but values has %d", ops.ErrShape, n.Size, k.values.Len())
	}
	return ops.Type{DType: ops.Float32, Shape: dims}, err
}

func (k givenTensorFill) run(ctx *ops.Context, _ []*ops.Tensor, out *ops.Tensor) error {
	return copyAll(ctx, out, k.values)
}

// newOldMeanVarianceNormalization returns MeanVarianceNormalization of opset 1: X (N, C, H,
// W) minus its mean over each channel of each image, divided by its standard deviation plus
// 1e-9. X is float32 or float64.
//
// Attributes: across_channels (default 0; 1 takes the mean over all channels of an image),
// normalize_variance (default 1; 0 only subtracts the mean).
func newOldMeanVarianceNormalization(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("across_channels", "normalize_variance"); err != nil {
		return nil, err
	}
	across, err := flagAttr(n.Attributes, "across_channels")
	if err != nil {
		return nil, err
	}
	divide, err := ops.Attr(n.Attributes, "normalize_variance", int64(1))
	k := meanVarianceNormalization{axes: []int64{2, 3}, only: divide == 0}
	if across {
		k.axes = []int64{1, 2, 3}
	}
	return k, err
}

// deviation returns the factor of a normalization.
func (k meanVarianceNormalization) deviation(variance float64) float64 {
	if k.only {
		return 1
	}
	return 1 / (math.Sqrt(variance) + 1e-9)
}
