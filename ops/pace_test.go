package ops_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// slowPool runs loops in the calling goroutine after a delay, and counts them.
type slowPool struct {
	delay time.Duration
	loops int
}

func (p *slowPool) Do(_ context.Context, n, grain int, body ops.Loop) error {
	p.loops++
	time.Sleep(p.delay)
	for lo := 0; lo < n; lo += grain {
		if err := body.Part(lo, min(lo+grain, n)); err != nil {
			return err
		}
	}
	return nil
}

// TestDo_UsesThePoolWhereItIsFaster runs loops that a pool must always get.
func TestDo_UsesThePoolWhereItIsFaster(t *testing.T) {
	const calls = 60
	run := func(p *slowPool, body func(lo, hi int) error) (iterations int) {
		c := &ops.Context{Pool: p}
		for range calls {
			require.NoError(t, c.For(7, 2, func(lo, hi int) error {
				iterations += hi - lo
				return body(lo, hi)
			}))
		}
		return iterations
	}
	nothing := func(int, int) error { return nil }

	t.Run("a loop that is long", func(t *testing.T) {
		p := &slowPool{delay: 2 * time.Millisecond}
		require.Equal(t, 7*calls, run(p, nothing))
		require.Equal(t, calls, p.loops)
	})
	t.Run("a loop that is slow in the calling goroutine", func(t *testing.T) {
		p := &skippingPool{}
		c := &ops.Context{Pool: p}
		for range calls {
			require.NoError(t, c.For(7, 2, func(int, int) error { time.Sleep(time.Millisecond); return nil }))
		}
		require.GreaterOrEqual(t, p.loops, calls-1, "one loop is tried in the calling goroutine")
	})
	t.Run("one part", func(t *testing.T) {
		p := &slowPool{}
		c := &ops.Context{Pool: p}
		for range calls {
			require.NoError(t, c.For(2, 2, nothing))
		}
		require.Equal(t, calls, p.loops)
	})
}

// skippingPool stands for a pool with many workers: its loops take no time.
type skippingPool struct{ loops int }

func (p *skippingPool) Do(context.Context, int, int, ops.Loop) error { p.loops++; return nil }

// TestDo_ChoosesForEachSize checks that loops inside of loops, and loops of many sizes, all
// run.
func TestDo_ChoosesForEachSize(t *testing.T) {
	c := ops.NewContext(t.Context(), 2)
	defer c.Close()
	for range 10 {
		for n := range 20 {
			counts := make([]int, n)
			require.NoError(t, c.For(n, 1, func(lo, hi int) error {
				for i := lo; i < hi; i++ {
					counts[i]++
				}
				return c.For(3, 1, func(int, int) error { return nil })
			}))
			for _, v := range counts {
				require.Equal(t, 1, v)
			}
		}
	}
}
