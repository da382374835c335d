package onnx

import (
	"context"
	"fmt"
	"reflect"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// SparseData returns a sparse tensor as a dense one, as TensorData does: elements that the
// message does not list are 0. The dense elements take at most limit bytes.
func SparseData(ctx context.Context, t *onnxpb.SparseTensorProto, limit int64) (shape []int, data any, err error) {
	shape, data, err = sparseData(ctx, t, limit)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("sparse tensor %q: %w", t.GetValues().GetName(), err)
	}
	return shape, data, err
}

func sparseData(ctx context.Context, t *onnxpb.SparseTensorProto, limit int64) (shape []int, data any, err error) {
	if t.GetValues() == nil {
		return nil, nil, fmt.Errorf("%w: it has no values", ErrFormat)
	}
	shape, n, err := shapeOf(&onnxpb.TensorProto{Dims: t.GetDims()})
	if err != nil {
		return nil, nil, err
	}
	count, list, err := TensorData(ctx, t.GetValues())
	if err != nil {
		return nil, nil, err
	}
	values := reflect.ValueOf(list)
	if len(count) != 1 {
		return nil, nil, fmt.Errorf("%w: the values have the shape %v, want a vector", ErrFormat, count)
	}
	places, err := sparsePlaces(ctx, t.GetIndices(), count[0], shape)
	if err != nil {
		return nil, nil, err
	}
	if bytes := int64(n) * int64(values.Type().Elem().Size()); bytes > limit {
		return nil, nil, fmt.Errorf("%w: its %d elements take %d bytes as a dense tensor, but the limit is %d: use a higher memory limit", ops.ErrMemory, n, bytes, limit)
	}
	dense := reflect.MakeSlice(values.Type(), n, n)
	for i, at := range places {
		if at < 0 || at >= int64(n) {
			return nil, nil, fmt.Errorf("%w: the index of element %d is outside of the shape %v", ErrFormat, i, shape)
		}
		dense.Index(int(at)).Set(values.Index(i))
	}
	return shape, dense.Interface(), ctx.Err()
}

// sparsePlaces returns the places of the elements of a sparse tensor in row-major order, -1 for
// a place outside of the tensor. The file has them in this form, or as one row of coordinates for
// each element.
func sparsePlaces(ctx context.Context, t *onnxpb.TensorProto, count int, shape []int) ([]int64, error) {
	if t == nil && count == 0 {
		return nil, nil
	}
	dims, data, err := TensorData(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("indices: %w", err)
	}
	list, ok := data.([]int64)
	rows := len(dims) == 2 && dims[0] == count && dims[1] == len(shape)
	if !ok || !rows && (len(dims) != 1 || dims[0] != count) {
		return nil, fmt.Errorf("%w: the indices are %v of shape %v, want int64 of shape [%d] or [%d %d]", ErrFormat, ops.DType(t.GetDataType()), dims, count, count, len(shape))
	}
	if !rows {
		return list, nil
	}
	places := make([]int64, count)
	for i := range places {
		for j, d := range shape {
			at := list[i*len(shape)+j]
			if at < 0 || at >= int64(d) {
				places[i] = -1
				break
			}
			places[i] = places[i]*int64(d) + at
		}
	}
	return places, nil
}
