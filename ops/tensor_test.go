package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

func TestLen_MultipliesSizesAndRefusesInvalidShapes(t *testing.T) {
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

func TestFromSlice_TakesEveryElementType(t *testing.T) {
	for _, data := range []any{
		[]float32{1, 2}, []float64{1, 2}, []int8{1, 2}, []int16{1, 2}, []int32{1, 2}, []int64{1, 2},
		[]uint8{1, 2}, []uint16{1, 2}, []uint32{1, 2}, []uint64{1, 2}, []bool{true, false}, []string{"", "x"},
		[]ops.F16{1, 2}, []ops.BF16{1, 2}, []ops.F8E4M3FN{1, 2}, []ops.F8E4M3FNUZ{1, 2}, []ops.F8E5M2{1, 2}, []ops.F8E5M2FNUZ{1, 2},
		[]ops.F8E8M0{1, 2}, []ops.F4E2M1{1, 2}, []ops.I4{1, 2}, []ops.U4{1, 2}, []ops.I2{1, -1}, []ops.U2{1, 2},
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
	_, err := ops.FromSlice([]int{1}, []complex64{1})
	require.ErrorIs(t, err, ops.ErrDType)
	require.ErrorContains(t, err, "cannot hold a []complex64")
	for _, wrong := range []any{nil, 1, []int{1}, [1]float32{1}, "x", []any{float32(1)}} {
		_, err = ops.FromSlice([]int{1}, wrong)
		require.ErrorIs(t, err, ops.ErrDType, "%T", wrong)
	}
	_, err = ops.Zeros(14, nil)
	require.ErrorIs(t, err, ops.ErrDType)
	require.ErrorContains(t, err, "cannot hold complex64")
}

func TestNewTensor_KeepsDataAndCopiesShape(t *testing.T) {
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

func TestTypeCheck_ComparesElementTypeAndShape(t *testing.T) {
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

func TestAttributes_KnownNamesAndTypes(t *testing.T) {
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
	require.ErrorContains(t, err, "axis has type INT, want FLOAT")
	_, err = ops.Attr[*ops.Tensor](ops.Attributes{"value": []string{"x"}}, "value", nil)
	require.ErrorContains(t, err, "value has type STRINGS, want TENSOR")
	require.NoError(t, ops.Attributes(nil).Only())
	v, err = ops.Attr[int64](nil, "axis", 7)
	require.NoError(t, err)
	require.Equal(t, int64(7), v)
}

func TestNewTensor_AcceptsNilDataForEmptyShapes(t *testing.T) {
	_, err := ops.NewTensor[float32](nil, nil)
	require.ErrorIs(t, err, ops.ErrShape, "a scalar has one element")
	_, err = ops.NewTensor[float32]([]int{1}, nil)
	require.ErrorIs(t, err, ops.ErrShape)
	empty, err := ops.NewTensor[float32]([]int{0, 3}, nil)
	require.NoError(t, err)
	require.Zero(t, empty.Len())
	require.Equal(t, empty.Shape(), empty.Clone().Shape())
	_, err = empty.Reshaped([]int{3, 0})
	require.NoError(t, err)
	_, err = empty.First([]int{0})
	require.NoError(t, err)
	part, err := empty.Take(1, 2)
	require.NoError(t, err)
	require.NoError(t, empty.Put(1, 2, part))
}

func TestTensor_SharesOrCopiesAsDocumented(t *testing.T) {
	data := []float32{1, 2, 3, 4}
	x, err := ops.NewTensor([]int{2, 2}, data)
	require.NoError(t, err)
	reshaped, err := x.Reshaped([]int{4})
	require.NoError(t, err)
	first, err := x.First([]int{2})
	require.NoError(t, err)
	taken, err := x.Take(0, 0)
	require.NoError(t, err)
	clone := x.Clone()
	data[0] = 9
	for name, shared := range map[string]*ops.Tensor{"NewTensor": x, "Reshaped": reshaped, "First": first} {
		require.Equal(t, float32(9), shared.Float32s()[0], name)
	}
	for name, copied := range map[string]*ops.Tensor{"Take": taken, "Clone": clone} {
		require.Equal(t, float32(1), copied.Float32s()[0], name)
	}
	elements, ok := ops.Data[float32](x)
	require.True(t, ok)
	require.Same(t, &data[0], &elements[0])
	require.Same(t, &data[0], &x.Elements().([]float32)[0])
	_, ok = ops.Data[float64](x)
	require.False(t, ok)
}

// TestTensor_NilAndZeroAreRefused checks that neither panics.
func TestTensor_NilAndZeroAreRefused(t *testing.T) {
	good, err := ops.NewTensor([]int{1}, []float32{1})
	require.NoError(t, err)
	for name, x := range map[string]*ops.Tensor{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, x.Shape())
			require.Zero(t, x.DType())
			require.Zero(t, x.Len())
			require.Nil(t, x.Elements())
			require.Nil(t, x.Float32s())
			require.Nil(t, x.Int64s())
			require.Nil(t, x.Clone())
			_, ok := ops.Data[float32](x)
			require.False(t, ok)
			require.Equal(t, ops.Type{}, ops.TypeOf(x))
			for _, shape := range [][]int{nil, {0}, {1}} {
				_, err := x.Reshaped(shape)
				require.ErrorIs(t, err, ops.ErrDType)
				_, err = x.First(shape)
				require.ErrorIs(t, err, ops.ErrDType)
			}
			_, err := x.Take(0, 0)
			require.ErrorIs(t, err, ops.ErrDType)
			require.ErrorIs(t, x.Put(0, 0, good), ops.ErrDType)
			require.ErrorIs(t, good.Put(0, 0, x), ops.ErrDType)
			for _, want := range []ops.Type{{}, {DType: ops.Float32}, {DType: ops.Float32, Shape: ops.Dims(1)}} {
				require.ErrorIs(t, want.Check(x), ops.ErrShape)
			}
			require.ErrorContains(t, ops.TypeOf(good).Check(x), "want float32(1), got no tensor")
		})
	}
}
