package ml

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newArrayFeatureExtractor returns ArrayFeatureExtractor (version 1): the entries of X along its
// last axis with the indices in Y, int64, of any shape. X has any shape and holds numbers or
// strings. If X is a vector, the output is a matrix of one row. There are no attributes.
func newArrayFeatureExtractor(ops.Node, *attributes) operation { return extractor{} }

type extractor struct{}

func (extractor) infer(in []*ops.Input) ([]ops.Type, error) {
	x, y := in[0].Type, in[1].Type
	if err := x.CheckDType("X", append(slices.Clone(numeric), ops.String)...); err != nil {
		return nil, err
	}
	if err := y.CheckDType("Y", ops.Int64); err != nil {
		return nil, err
	}
	if len(x.Shape) == 0 {
		return nil, fmt.Errorf("%w: X is %v, want at least one dimension", ops.ErrShape, x)
	}
	number := ops.Dim{Size: 1}
	for _, d := range y.Shape {
		if number.Size *= d.Size; !d.Known() {
			number.Size = -1
			break
		}
	}
	shape := append(slices.Clone(x.Shape[:len(x.Shape)-1]), number)
	if len(shape) == 1 {
		shape = []ops.Dim{{Size: 1}, number}
	}
	return []ops.Type{{DType: x.DType, Shape: shape}}, nil
}

func (extractor) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	shape := in[0].Shape()
	size := shape[len(shape)-1]
	indices := in[1].Int64s()
	for i, at := range indices {
		if at < 0 || at >= int64(size) {
			return fmt.Errorf("%w: index %d, element %d of Y, is out of range for X, %v", ops.ErrValue, at, i, ops.TypeOf(in[0]))
		}
		if i%grain == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	switch x := in[0].Elements().(type) {
	case []float32:
		return extract(ctx, x, out[0], size, indices)
	case []float64:
		return extract(ctx, x, out[0], size, indices)
	case []int32:
		return extract(ctx, x, out[0], size, indices)
	case []int64:
		return extract(ctx, x, out[0], size, indices)
	case []string:
		return extract(ctx, x, out[0], size, indices)
	}
	return nil
}

func extract[T ops.Element](ctx *ops.Context, x []T, out *ops.Tensor, size int, indices []int64) error {
	y, _ := ops.Data[T](out)
	return ctx.For(len(y), grain, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			y[i] = x[i/len(indices)*size+int(indices[i%len(indices)])]
		}
		return nil
	})
}
