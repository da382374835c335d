package onnxgo

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorgonia.org/tensor"

	"github.com/spike-by-spike/sbs/ops"
)

// TestFromGorgonia_AllLayouts compares with the elements that gorgonia returns one by one,
// for tensors in all memory layouts of gorgonia.
func TestFromGorgonia_AllLayouts(t *testing.T) {
	dense := func() *tensor.Dense {
		return tensor.New(tensor.WithShape(2, 3, 4), tensor.WithBacking(tensor.Range(tensor.Float32, 0, 24)))
	}
	fortran := tensor.New(tensor.WithShape(2, 3), tensor.AsFortran([]float32{1, 2, 3, 4, 5, 6}))
	transposed := dense()
	require.NoError(t, transposed.T(2, 0, 1))
	moved := dense()
	require.NoError(t, moved.T(2, 0, 1))
	require.NoError(t, moved.Transpose())
	cut := func(d *tensor.Dense, s ...tensor.Slice) *tensor.Dense {
		v, err := d.Slice(s...)
		require.NoError(t, err)
		return v.(*tensor.Dense)
	}
	for name, d := range map[string]*tensor.Dense{
		"plain": dense(), "fortran": fortran, "transposed": transposed, "transposed in memory": moved,
		"part of all":     cut(dense(), tensor.S(0, 2), tensor.S(1, 3), tensor.S(1, 3)),
		"part of one":     cut(dense(), nil, nil, tensor.S(2)),
		"whole images":    cut(dense(), tensor.S(1)),
		"rows":            cut(dense(), nil, tensor.S(1), nil),
		"part of fortran": cut(fortran, nil, tensor.S(1, 3)),
		"one element":     tensor.New(tensor.WithShape(1, 1), tensor.WithBacking([]float32{3})),
	} {
		t.Run(name, func(t *testing.T) {
			x, err := fromGorgonia(d)
			require.NoError(t, err)
			require.Equal(t, []int(d.Shape()), x.Shape())
			at := make([]int, d.Dims())
			for i, got := range x.Float32s() {
				for rest, k := i, len(at)-1; k >= 0; k-- {
					at[k], rest = rest%d.Shape()[k], rest/d.Shape()[k]
				}
				want, err := d.At(at...)
				require.NoError(t, err)
				require.Equal(t, want, got, "at %v", at)
			}
		})
	}
	x, err := fromGorgonia(fortran)
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2, 3, 4, 5, 6}, x.Float32s())
	x, err = fromGorgonia(cut(dense(), nil, tensor.S(1), tensor.S(1, 3)))
	require.NoError(t, err)
	require.Equal(t, []float32{5, 6, 17, 18}, x.Float32s())
	x, err = fromGorgonia(moved)
	require.NoError(t, err)
	require.Equal(t, []float32{0, 4, 8, 12, 16, 20}, x.Float32s()[:6])
}

func TestGorgonia_ElementTypesThereAndBack(t *testing.T) {
	for _, data := range []any{
		[]float32{1.5, -2}, []float64{1.5, -2}, []bool{true, false}, []int8{1, -2}, []int16{1, -2}, []int32{1, -2}, []int64{1, -2},
		[]uint8{1, 200}, []uint16{1, 2}, []uint32{1, 2}, []uint64{1, 2},
	} {
		d := tensor.New(tensor.WithShape(2, 1), tensor.WithBacking(data))
		ty, err := typeOf(d)
		require.NoError(t, err)
		x, err := fromGorgonia(d)
		require.NoError(t, err)
		require.Equal(t, ty, ops.TypeOf(x))
		back := toGorgonia(x)
		require.Equal(t, data, back.Data())
		require.Equal(t, []int{2, 1}, []int(back.Shape()))
	}
	x, err := fromGorgonia(tensor.New(tensor.WithBacking([]int{1, -2})))
	require.NoError(t, err)
	require.Equal(t, []int64{1, -2}, x.Int64s())

	scalar, err := fromGorgonia(tensor.New(tensor.FromScalar(float32(3))))
	require.NoError(t, err)
	require.Empty(t, scalar.Shape())
	require.Equal(t, []float32{3}, scalar.Float32s())
	back := toGorgonia(scalar)
	require.Equal(t, float32(3), back.Data())

	empty, err := ops.Zeros(ops.Float32, []int{0, 3})
	require.NoError(t, err)
	back = toGorgonia(empty)
	require.Nil(t, back)

	_, err = typeOf(tensor.New(tensor.WithBacking([]complex64{1, 2})))
	require.ErrorIs(t, err, ops.ErrDType)
}
