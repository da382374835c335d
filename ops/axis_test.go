package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestTensor_PutUndoesTake(t *testing.T) {
	x := opstest.I64([]int{2, 3, 2}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	for _, c := range []struct {
		axis, at int
		want     *ops.Tensor
	}{
		{0, 1, opstest.I64([]int{3, 2}, 6, 7, 8, 9, 10, 11)},
		{1, 2, opstest.I64([]int{2, 2}, 4, 5, 10, 11)},
		{2, 0, opstest.I64([]int{2, 3}, 0, 2, 4, 6, 8, 10)},
	} {
		got, err := x.Take(c.axis, c.at)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	for axis, size := range x.Shape() {
		y, err := ops.Zeros(ops.Int64, x.Shape())
		require.NoError(t, err)
		for at := range size {
			part, err := x.Take(axis, at)
			require.NoError(t, err)
			require.NoError(t, y.Put(axis, at, part))
		}
		require.Equal(t, x, y)
	}
	for _, place := range [][2]int{{-1, 0}, {3, 0}, {0, 2}, {0, -1}} {
		_, err := x.Take(place[0], place[1])
		require.ErrorIs(t, err, ops.ErrShape)
	}
	part, err := x.Take(0, 0)
	require.NoError(t, err)
	require.ErrorIs(t, x.Put(1, 0, part), ops.ErrShape)
	require.ErrorIs(t, x.Put(0, 2, part), ops.ErrShape)
	require.ErrorIs(t, x.Put(0, 0, opstest.F32([]int{3, 2}, 0, 0, 0, 0, 0, 0)), ops.ErrShape)
}
