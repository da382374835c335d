package onnx

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

func TestSparseData_FillsWithZeros(t *testing.T) {
	values := Int64Tensor("s", 5, 6, 7)
	matrix := func(dims []int64, list ...int64) *onnxpb.TensorProto {
		p := Int64Tensor("", list...)
		p.Dims = dims
		return p
	}
	for _, c := range []struct {
		name    string
		indices *onnxpb.TensorProto
		dims    []int64
		want    []int64
		err     string
	}{
		{"places", Int64Tensor("", 0, 5, 2), []int64{2, 3}, []int64{5, 0, 7, 0, 0, 6}, ""},
		{"coordinates", matrix([]int64{3, 2}, 1, 0, 0, 2, 1, 1), []int64{2, 3}, []int64{0, 0, 6, 5, 7, 0}, ""},
		{"no such row", matrix([]int64{3, 2}, 1, 0, 2, 0, 1, 1), []int64{2, 3}, nil, "the index of element 1 is outside of the shape [2 3]"},
		{"no such column", matrix([]int64{3, 2}, 1, 0, 0, 3, 1, 1), []int64{2, 3}, nil, "the index of element 1 is outside"},
		{"negative place", Int64Tensor("", 0, -1, 2), []int64{2, 3}, nil, "the index of element 1 is outside"},
		{"too few places", Int64Tensor("", 0, 1), []int64{2, 3}, nil, "the indices are int64 of shape [2], want int64 of shape [3] or [3 2]"},
		{"element type of the places", Float32Tensor("", []int{3}, []float32{0, 1, 2}), []int64{2, 3}, nil, "the indices are float32"},
		{"no places", nil, []int64{2, 3}, nil, "indices"},
		{"too large", Int64Tensor("", 0, 1, 2), []int64{200}, nil, "its 200 elements take 1600 bytes as a dense tensor, but the limit is 1000"},
		{"bad shape", Int64Tensor("", 0, 1, 2), []int64{-1}, nil, "bad shape [-1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			shape, data, err := SparseData(t.Context(), &onnxpb.SparseTensorProto{Values: values, Indices: c.indices, Dims: c.dims}, 1000)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				require.ErrorContains(t, err, `sparse tensor "s": `)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []int{2, 3}, shape)
			require.Equal(t, c.want, data)
		})
	}
	_, _, err := SparseData(t.Context(), &onnxpb.SparseTensorProto{Values: values, Indices: Int64Tensor("", 0, 1, 2), Dims: []int64{200}}, 1000)
	require.ErrorIs(t, err, ops.ErrMemory)
}
