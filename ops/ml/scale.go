package ml

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newBinarizer returns Binarizer (version 1): 1 for the elements that are greater than a
// threshold and 0 for the others, in the type of the input. Its shape is arbitrary.
//
// Attributes: threshold (default 0).
func newBinarizer(_ ops.Node, a *attributes) operation {
	return binarizer{attr(a, "threshold", float32(0))}
}

type binarizer struct{ threshold float32 }

func (binarizer) infer(in []*ops.Input) ([]ops.Type, error) {
	return []ops.Type{in[0].Type}, in[0].Type.CheckDType("X", numeric...)
}

func (k binarizer) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	return ctx.For(in[0].Len(), grain, func(lo, hi int) error {
		switch x := in[0].Elements().(type) {
		case []float32:
			binarize(x, out[0], k.threshold, lo, hi)
		case []float64:
			binarize(x, out[0], k.threshold, lo, hi)
		case []int32:
			binarize(x, out[0], k.threshold, lo, hi)
		case []int64:
			binarize(x, out[0], k.threshold, lo, hi)
		}
		return nil
	})
}

func binarize[T interface {
	ops.Element
	float32 | float64 | int32 | int64
}](x []T, out *ops.Tensor, threshold float32, lo, hi int) {
	y, _ := ops.Data[T](out)
	for i := lo; i < hi; i++ {
		y[i] = 0
		if float64(x[i]) > float64(threshold) {
			y[i] = 1
		}
	}
}

// newScaler returns Scaler (version 1): (X - offset) * scale, float32. The last axis of X is
// that of the features.
//
// Attributes: offset (default 0) and scale (default 1), one number or one per feature.
func newScaler(_ ops.Node, a *attributes) operation {
	return scaler{attr(a, "offset", []float32(nil)), attr(a, "scale", []float32(nil))}
}

type scaler struct{ offset, scale []float32 }

func (k scaler) infer(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", numeric...); err != nil {
		return nil, err
	}
	if err := checkPerFeature("offset", len(k.offset), x); err != nil {
		return nil, err
	}
	if err := checkPerFeature("scale", len(k.scale), x); err != nil {
		return nil, err
	}
	return []ops.Type{{DType: ops.Float32, Shape: x.Shape}}, nil
}

// checkPerFeature returns an error unless an attribute with the given number of entries has none,
// one, or one per entry of the last axis of X.
func checkPerFeature(name string, entries int, x ops.Type) error {
	if entries <= 1 {
		return nil
	}
	if len(x.Shape) == 0 || x.Shape[len(x.Shape)-1].Known() && x.Shape[len(x.Shape)-1].Size != entries {
		return fmt.Errorf("%w: X is %v, but %s has %d entries: want one, or one per feature", ops.ErrShape, x, name, entries)
	}
	return nil
}

func (k scaler) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if _, err := k.infer([]*ops.Input{{Type: ops.TypeOf(in[0])}}); err != nil {
		return err
	}
	if in[0].DType() == ops.Float64 {
		return scale[float64](ctx, k, in[0], out[0])
	}
	return scale[float32](ctx, k, in[0], out[0])
}

func scale[T realNumber](ctx *ops.Context, k scaler, in, out *ops.Tensor) error {
	x, err := numbers[T](ctx, in)
	if err != nil {
		return err
	}
	columns := 1
	if s := in.Shape(); len(s) > 0 {
		columns = s[len(s)-1]
	}
	offset, factor := perFeature[T](k.offset, 0, columns), perFeature[T](k.scale, 1, columns)
	y := out.Float32s()
	return ctx.For(len(x), grain, func(lo, hi int) error {
		c := lo % columns
		for i := lo; i < hi; i++ {
			y[i] = float32(T((x[i] - offset[c]) * factor[c])) //nolint:unconvert // the conversion rounds
			if c++; c == columns {
				c = 0
			}
		}
		return nil
	})
}

// perFeature returns one entry per feature of an attribute.
func perFeature[T realNumber](list []float32, standard T, features int) []T {
	switch len(list) {
	case features:
		return vectorOf[T](list)
	case 1:
		standard = T(list[0])
	}
	return slices.Repeat([]T{standard}, features)
}

// newNormalizer returns Normalizer (version 1): each row of X, a matrix or a vector, divided by
// its norm, float32. If the norm is 0, the row stays as it is.
//
// Attributes: norm (MAX, the default: the largest element; L1: the sum of absolute values; L2:
// the root of the sum of squares, which gives the roots of the shares with their signs).
func newNormalizer(_ ops.Node, a *attributes) operation {
	return normalizer{choice(a, "norm", "MAX", "L1", "L2")}
}

type normalizer struct{ norm string }

func (normalizer) infer(in []*ops.Input) ([]ops.Type, error) {
	if err := in[0].Type.CheckDType("X", numeric...); err != nil {
		return nil, err
	}
	if _, _, err := rowsOf(in[0].Type, 0); err != nil {
		return nil, err
	}
	return []ops.Type{{DType: ops.Float32, Shape: in[0].Shape}}, nil
}

func (k normalizer) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if in[0].DType() == ops.Float64 {
		return normalize[float64](ctx, k.norm, in[0], out[0])
	}
	return normalize[float32](ctx, k.norm, in[0], out[0])
}

func normalize[T realNumber](ctx *ops.Context, norm string, in, out *ops.Tensor) error {
	x, err := numbers[T](ctx, in)
	if err != nil {
		return err
	}
	rows, columns := sizesOf(in)
	y := out.Float32s()
	return eachRow(ctx, rows, 2*columns, func(lo, hi int) error {
		for r := lo; r < hi; r++ {
			row := x[r*columns : (r+1)*columns]
			n := normOf(norm, row)
			if n == 0 {
				n = 1
			}
			for i, v := range row {
				y[r*columns+i] = float32(v / n)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		return nil
	})
}

func normOf[T realNumber](norm string, row []T) T {
	var n T
	switch norm {
	case "MAX":
		for i, v := range row {
			if i == 0 || v > n {
				n = v
			}
		}
	case "L1":
		for _, v := range row {
			n += T(math.Abs(float64(v)))
		}
	case "L2":
		n = T(math.Sqrt(float64(dot(row, row))))
	}
	return n
}

// newImputer returns Imputer (version 1): X, of any shape, whose last axis is that of the
// features, with other numbers in place of those that equal a number (or are NaN, if that
// number is).
//
// Attributes: for X of floating-point numbers, imputed_value_floats and replaced_value_float;
// for integers, imputed_value_int64s and replaced_value_int64. There is one imputed value or one
// per feature. The replaced value is 0 by default.
func newImputer(_ ops.Node, a *attributes) operation {
	k := &imputer{
		floats: attr(a, "imputed_value_floats", []float32(nil)), float: attr(a, "replaced_value_float", float32(0)),
		integers: attr(a, "imputed_value_int64s", []int64(nil)), integer: attr(a, "replaced_value_int64", int64(0)),
	}
	if (len(k.floats) > 0) == (len(k.integers) > 0) {
		a.failf("want either imputed_value_floats or imputed_value_int64s")
	}
	return k
}

type imputer struct {
	floats   []float32
	float    float32
	integers []int64
	integer  int64
}

func (k *imputer) infer(in []*ops.Input) ([]ops.Type, error) {
	types := []ops.DType{ops.Float32, ops.Float64}
	if len(k.integers) > 0 {
		types = []ops.DType{ops.Int32, ops.Int64}
	}
	if err := in[0].Type.CheckDType("X", types...); err != nil {
		return nil, err
	}
	return []ops.Type{in[0].Type}, checkPerFeature("the imputed value", max(len(k.floats), len(k.integers)), in[0].Type)
}

func (k *imputer) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if _, err := k.infer([]*ops.Input{{Type: ops.TypeOf(in[0])}}); err != nil {
		return err
	}
	switch x := in[0].Elements().(type) {
	case []float32:
		return impute(ctx, x, out[0], k.float, k.floats, in[0].Shape())
	case []float64:
		return impute(ctx, x, out[0], float64(k.float), vectorOf[float64](k.floats), in[0].Shape())
	case []int32:
		narrow := make([]int32, len(k.integers))
		for i, v := range k.integers {
			narrow[i] = int32(v)
		}
		if int64(int32(k.integer)) != k.integer { // no element equals it
			copy(out[0].Elements().([]int32), x)
			return nil
		}
		return impute(ctx, x, out[0], int32(k.integer), narrow, in[0].Shape())
	case []int64:
		return impute(ctx, x, out[0], k.integer, k.integers, in[0].Shape())
	}
	return nil
}

func impute[T interface {
	ops.Element
	float32 | float64 | int32 | int64
}](ctx *ops.Context, x []T, out *ops.Tensor, replaced T, imputed []T, shape []int) error {
	y, _ := ops.Data[T](out)
	columns := 1
	if len(shape) > 0 {
		columns = shape[len(shape)-1]
	}
	if len(imputed) == 1 {
		imputed = slices.Repeat(imputed, columns)
	}
	return ctx.For(len(x), grain, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			y[i] = x[i]
			if x[i] == replaced || x[i] != x[i] && replaced != replaced { //nolint:gocritic // NaN
				y[i] = imputed[i%columns]
			}
		}
		return nil
	})
}

// newFeatureVectorizer returns FeatureVectorizer (version 1): the features of all inputs,
// matrices or vectors, side by side, float32. A vector is one row.
//
// Attributes: inputdimensions: the number of features of each input that the output has (by
// default, all of them). Features that an input lacks are 0.
func newFeatureVectorizer(n ops.Node, a *attributes) operation {
	k := featureVectorizer{attr(a, "inputdimensions", []int64(nil))}
	if len(k.features) > 0 && len(k.features) != n.NumInputs {
		a.failf("inputdimensions has %d entries, but the node has %d inputs", len(k.features), n.NumInputs)
	}
	for _, d := range k.features {
		if d < 0 || d > ops.MaxElements {
			a.failf("inputdimensions has the entry %d", d)
		}
	}
	return k
}

type featureVectorizer struct{ features []int64 }

func (k featureVectorizer) infer(in []*ops.Input) ([]ops.Type, error) {
	var rows, total ops.Dim
	for i, x := range in {
		if err := x.Type.CheckDType(fmt.Sprintf("input %d", i), numeric...); err != nil {
			return nil, err
		}
		r, c, err := rowsOf(x.Type, 0)
		if err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		if i > 0 && r.Known() && rows.Known() && r.Size != rows.Size {
			return nil, fmt.Errorf("%w: input %d is %v, but the inputs before it have %d rows", ops.ErrShape, i, x.Type, rows.Size)
		}
		if i == 0 || !rows.Known() {
			rows = r
		}
		if len(k.features) > 0 {
			c = ops.Dim{Size: int(k.features[i])}
		}
		if total.Known() {
			total.Size += c.Size
		}
		if !c.Known() {
			total.Size = -1
		}
	}
	if total.Size > ops.MaxElements {
		return nil, fmt.Errorf("%w: the output has %d features", ops.ErrShape, total.Size)
	}
	return []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{rows, total}}}, nil
}

func (k featureVectorizer) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	rows, total := sizesOf(out[0])
	y := out[0].Float32s()
	to := 0
	for i, x := range in {
		v, err := numbers[float32](ctx, x)
		if err != nil {
			return err
		}
		n, columns := sizesOf(x)
		width := columns
		if len(k.features) > 0 {
			width = int(k.features[i])
		}
		if n != rows || to+width > total {
			return fmt.Errorf("%w: input %d is %v, but the output has %d rows", ops.ErrShape, i, ops.TypeOf(x), rows)
		}
		err = eachRow(ctx, rows, width, func(lo, hi int) error {
			for r := lo; r < hi; r++ {
				row := y[r*total+to : r*total+to+width]
				clear(row[copy(row, v[r*columns:(r+1)*columns]):])
			}
			return nil
		})
		if err != nil {
			return err
		}
		to += width
	}
	return nil
}
