package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

func tensor[T ops.Element](t *testing.T, shape []int, data ...T) *ops.Tensor {
	t.Helper()
	x, err := ops.NewTensor(shape, data)
	require.NoError(t, err)
	return x
}

func TestNewSequence_HoldsItemsOfOneType(t *testing.T) {
	a, b := tensor[float32](t, []int{2}, 1, 2), tensor[float32](t, nil, 3)
	s, err := ops.NewSequence(ops.Type{DType: ops.Float32}, []*ops.Tensor{a, b})
	require.NoError(t, err)
	require.Equal(t, []*ops.Tensor{a, b}, s.Items())
	require.Equal(t, "sequence(float32)", s.String())
	require.EqualValues(t, 12+2*ops.ItemBytes, s.Bytes())
	require.Nil(t, s.Elements())
	require.NoError(t, ops.TypeOf(s).Check(s))
	require.Error(t, ops.Type{DType: ops.Sequence, Elem: &ops.Type{DType: ops.Int64}}.Check(s))

	c := s.Clone()
	c.Items()[0].Float32s()[0] = 7
	require.Equal(t, float32(1), a.Float32s()[0], "a clone shares no memory")

	_, err = ops.NewSequence(ops.Type{DType: ops.Int64}, []*ops.Tensor{a})
	require.ErrorIs(t, err, ops.ErrDType)
	require.ErrorContains(t, err, "item 0 of the sequence is float32(2), want int64")

	nested, err := ops.NewOptional(ops.TypeOf(s), s)
	require.NoError(t, err)
	require.Equal(t, "optional(sequence(float32))", nested.String())
	absent, err := ops.NewOptional(ops.TypeOf(s), nil)
	require.NoError(t, err)
	require.Empty(t, absent.Items())
	_, known := ops.TypeOf(absent).Sizes()
	require.False(t, known)
}

func TestNewMap_HoldsKeysAndValues(t *testing.T) {
	keys, values := tensor(t, []int{2}, "a", "b"), tensor[float32](t, []int{2}, 1, 2)
	m, err := ops.NewMap(keys, values)
	require.NoError(t, err)
	k, v := ops.MapOf(m)
	require.Equal(t, keys, k)
	require.Equal(t, values, v)
	require.Equal(t, "map(string, float32)", m.String())
	_, err = ops.NewMap(values, values)
	require.ErrorIs(t, err, ops.ErrDType)
	_, err = ops.NewMap(keys, tensor[float32](t, []int{1}, 1))
	require.ErrorIs(t, err, ops.ErrShape)
}
