package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

func TestTemporary_CountsAgainstTheLimit(t *testing.T) {
	ctx := &ops.Context{Memory: &ops.Memory{Values: 1 << 20, Limit: 5 << 20}}
	a, err := ops.Temporary[float64](ctx, 1<<18) // 2 MiB
	require.NoError(t, err)
	require.Len(t, a, 1<<18)
	_, err = ops.Temporary[int32](ctx, 1<<20)
	require.ErrorIs(t, err, ops.ErrMemory)
	require.EqualError(t, err, "too much memory: the node needs 6291456 bytes of temporary memory in addition to the 1048576 bytes of the values of the run, but the limit is 5242880: use smaller batches or a higher memory limit")
	ops.Free(ctx, a)
	_, err = ops.Temporary[int32](ctx, 1<<20)
	require.NoError(t, err)
	_, err = ops.Temporary[int64](ctx, math.MaxInt)
	require.ErrorIs(t, err, ops.ErrMemory)
	require.ErrorIs(t, ctx.Reserve(math.MaxInt64), ops.ErrMemory)
}

func TestReserve_AllowsALittleMemoryBeyondTheLimit(t *testing.T) {
	ctx := &ops.Context{Memory: &ops.Memory{Values: 10, Limit: 10}}
	require.NoError(t, ctx.Reserve(1<<20))
	require.ErrorIs(t, ctx.Reserve(1), ops.ErrMemory)
	ctx.Release(1 << 20)
	require.NoError(t, ctx.Reserve(1))
	require.NoError(t, new(ops.Context).Reserve(1<<60), "a Context without Memory has no limit")
}
