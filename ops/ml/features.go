package ml

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// real is the set of types in which operators compute.
type realNumber interface{ float32 | float64 }

// grain is the number of simple steps that make one call from a parallel loop worthwhile, and
// that may pass between two checks of the context.
const grain = 1 << 14

// rowsOf returns the shape of an input as rows of features: a vector is one row. If features
// is not 0, the rows must have so many.
func rowsOf(x ops.Type, features int) (rows, columns ops.Dim, err error) {
	switch len(x.Shape) {
	case 1:
		rows, columns = ops.Dim{Size: 1}, x.Shape[0]
	case 2:
		rows, columns = x.Shape[0], x.Shape[1]
	default:
		return rows, columns, fmt.Errorf("%w: X is %v, want a matrix of one row per example, or a vector", ops.ErrShape, x)
	}
	if features > 0 && columns.Known() && columns.Size != features {
		return rows, columns, fmt.Errorf("%w: X is %v, but the model has %d features", ops.ErrShape, x, features)
	}
	return rows, columns, nil
}

// sizesOf returns the number of rows and features of a tensor that rowsOf has accepted.
func sizesOf(x *ops.Tensor) (rows, columns int) {
	if s := x.Shape(); len(s) == 2 {
		return s[0], s[1]
	}
	return 1, x.Len()
}

// numbers returns all elements of a tensor as T. They may be the memory of the tensor itself,
// and must not be modified.
func numbers[T realNumber](ctx *ops.Context, x *ops.Tensor) ([]T, error) {
	if v, ok := ops.Data[T](x); ok {
		return v, nil
	}
	out, err := ops.Temporary[T](ctx, x.Len())
	if err != nil {
		return nil, err
	}
	switch v := x.Elements().(type) {
	case []float32:
		err = converted(ctx, out, v)
	case []float64:
		err = converted(ctx, out, v)
	case []int32:
		err = converted(ctx, out, v)
	case []int64:
		err = converted(ctx, out, v)
	case []ops.F16:
		err = ctx.For(len(v), grain, func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				out[i] = T(v[i].Float64())
			}
			return nil
		})
	}
	return out, err
}

func converted[T, F float32 | float64 | int32 | int64](ctx *ops.Context, out []T, in []F) error {
	return ctx.For(len(in), grain, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			out[i] = T(in[i])
		}
		return nil
	})
}

// outputs returns the memory of a float32 output for results of the type T, and a function that
// stores them there.
func outputs[T realNumber](ctx *ops.Context, out *ops.Tensor) (results []T, store func() error, err error) {
	if v, ok := ops.Data[T](out); ok {
		return v, func() error { return nil }, nil
	}
	if results, err = ops.Temporary[T](ctx, out.Len()); err != nil {
		return nil, nil, err
	}
	return results, func() error {
		switch v := out.Elements().(type) {
		case []float32:
			return converted(ctx, v, results)
		case []float64:
			return converted(ctx, v, results)
		case []ops.F16:
			for i, r := range results {
				v[i] = ops.ToF16(float64(r))
			}
		}
		return nil
	}, nil
}

// eachRow calls f for parts of rows, each of which takes the given number of steps.
func eachRow(ctx *ops.Context, rows, steps int, f func(lo, hi int) error) error {
	return ctx.For(rows, max(1, grain/max(steps, 1)), f)
}

// sum returns the sum of products of two vectors, in one order.
func dot[T realNumber](a, b []T) T {
	var s T
	for i, v := range a {
		s += T(v * b[i]) //nolint:unconvert // the conversion rounds
	}
	return s
}

// listOf returns the numbers of an attribute that may be a list of float32 numbers or, since
// version 3, a tensor. The second result reports whether it is a tensor of float64.
func listOf(n ops.Node, a *attributes, name string) (list []float64, double bool) {
	for _, v := range attr(a, name, []float32(nil)) {
		list = append(list, float64(v))
	}
	if n.Opset < 3 {
		return list, false
	}
	t := attr(a, name+"_as_tensor", (*ops.Tensor)(nil))
	if t == nil {
		return list, false
	}
	if len(list) > 0 {
		a.failf("both %s and %s_as_tensor are given", name, name)
	}
	return floatsOf(a, name+"_as_tensor", t), t.DType() == ops.Float64
}

// floatsOf returns the elements of a tensor of floating-point numbers.
func floatsOf(a *attributes, name string, t *ops.Tensor) []float64 {
	switch v := t.Elements().(type) {
	case []float64:
		return v
	case []float32:
		list := make([]float64, len(v))
		for i, x := range v {
			list[i] = float64(x)
		}
		return list
	case []ops.F16:
		list := make([]float64, len(v))
		for i, x := range v {
			list[i] = x.Float64()
		}
		return list
	}
	a.fail(fmt.Errorf("%w: %s is %v, want floating-point numbers", ops.ErrDType, name, t))
	return nil
}

// vectorOf converts a list.
func vectorOf[T realNumber, F float32 | float64](list []F) []T {
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = T(v)
	}
	return out
}
