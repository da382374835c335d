package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

func TestLen(t *testing.T) {
	for _, c := range []struct {
		shape []int
		want  int
		ok    bool
	}{
		{nil, 1, true},
		{[]int{2, 3}, 6, true},
		{[]int{0, 5}, 0, true},
		{[]int{0, math.MaxInt, math.MaxInt}, 0, false},
		{[]int{-1}, 0, false},
		{[]int{0, -1}, 0, false},
		{[]int{1 << 16, 1 << 16}, 0, false},
		{[]int{math.MaxInt, math.MaxInt}, 0, false},
		{[]int{ops.MaxElements}, ops.MaxElements, true},
	} {
		n, err := ops.Len(c.shape)
		if !c.ok {
			require.ErrorIs(t, err, ops.ErrShape, "%v", c.shape)
			continue
		}
		require.NoError(t, err, "%v", c.shape)
		require.Equal(t, c.want, n, "%v", c.shape)
	}
}

func TestEveryType(t *testing.T) {
	for _, data := range []any{
		[]float32{1, 2}, []float64{1, 2}, []int8{1, 2}, []int16{1, 2}, []int32{1, 2}, []int64{1, 2},
		[]uint8{1, 2}, []uint16{1, 2}, []uint32{1, 2}, []uint64{1, 2}, []bool{true, false},
	} {
		x, err := ops.FromSlice([]int{2}, data)
		require.NoError(t, err)
		zero, err := ops.Zeros(x.DType(), []int{2, 0, 3})
		require.NoError(t, err)
		require.Equal(t, x.DType(), zero.DType())
		require.Zero(t, zero.Len())
		require.NotZero(t, x.DType().Size())
		require.NotContains(t, x.DType().String(), "data type")
	}
	_, err := ops.FromSlice([]int{1}, []string{"x"})
	require.ErrorContains(t, err, "cannot hold a []string")
	_, err = ops.Zeros(8, nil)
	require.ErrorContains(t, err, "cannot hold data type 8")
}

func TestTensor(t *testing.T) {
	_, err := ops.NewTensor([]int{2, 2}, []float32{1, 2, 3})
	require.ErrorContains(t, err, "shape [2 2] has 4 elements, the data has 3")
	shape := []int{2, 2}
	x, err := ops.NewTensor(shape, []float32{1, 2, 3, 4})
	require.NoError(t, err)
	shape[0] = 9
	require.Equal(t, []int{2, 2}, x.Shape(), "the shape is the tensor's own")
	require.Nil(t, x.Int64s())
	y, err := x.Reshaped([]int{4})
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2, 3, 4}, y.Float32s())
	_, err = x.Reshaped([]int{3})
	require.ErrorContains(t, err, "[2 2] cannot be reshaped to [3]")
	c := x.Clone()
	require.Equal(t, x, c)
	c.Float32s()[0] = 9
	require.Equal(t, []float32{1, 2, 3, 4}, x.Float32s())
}

func TestTypeCheck(t *testing.T) {
	x, err := ops.NewTensor([]int{2, 3}, make([]float32, 6))
	require.NoError(t, err)
	for _, c := range []struct {
		name string
		t    ops.Type
		ok   bool
	}{
		{"known", ops.Type{DType: ops.Float32, Shape: ops.Dims(2, 3)}, true},
		{"unknown", ops.Type{DType: ops.Float32, Shape: ops.Dims(-1, 3)}, true},
		{"size", ops.Type{DType: ops.Float32, Shape: ops.Dims(2, 4)}, false},
		{"rank", ops.Type{DType: ops.Float32, Shape: ops.Dims(2)}, false},
		{"type", ops.Type{DType: ops.Float64, Shape: ops.Dims(2, 3)}, false},
	} {
		if err := c.t.Check(x); c.ok {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorIs(t, err, ops.ErrShape, c.name)
		}
	}
	require.Equal(t, "float32(batch, ?, 3)", ops.Type{
		DType: ops.Float32, Shape: []ops.Dim{{Size: -1, Symbol: "batch"}, {Size: -1}, {Size: 3}},
	}.String())
}

func TestAttributes(t *testing.T) {
	a := ops.Attributes{"axis": int64(3), "mode": "x"}
	require.NoError(t, a.Only("axis", "mode", "other"))
	require.ErrorContains(t, a.Only("axis"), "unknown mode (known: axis)")
	v, err := ops.Attr[int64](a, "axis", 0)
	require.NoError(t, err)
	require.Equal(t, int64(3), v)
	v, err = ops.Attr[int64](a, "missing", 7)
	require.NoError(t, err)
	require.Equal(t, int64(7), v)
	_, err = ops.Attr[float32](a, "axis", 0)
	require.ErrorIs(t, err, ops.ErrAttribute)
}
