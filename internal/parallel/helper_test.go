package parallel

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// helperGoroutines returns the number of goroutines that run helpers of any Pool.
func helperGoroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Count(stacks, []byte("parallel.(*helper).run("))
}

// requireHelperGoroutines waits until helpers run in the given number of
// goroutines: one is still counted for a moment after Close has returned.
func requireHelperGoroutines(t *testing.T, want int) {
	t.Helper()
	got := helperGoroutines()
	for start := time.Now(); got != want && time.Since(start) < 10*time.Second; got = helperGoroutines() {
		time.Sleep(time.Millisecond)
	}
	require.Equal(t, want, got, "goroutines that run helpers")
}

func TestFor_StartsOnlyTheHelpersThatALoopNeeds(t *testing.T) {
	p := poolOf(t, 64)
	requireHelperGoroutines(t, 0)
	for _, c := range []struct{ n, helpers int }{{1, 0}, {2, 1}, {1, 1}, {5, 4}, {2, 4}, {1000, 63}, {1000, 63}} {
		require.NoError(t, p.For(t.Context(), c.n, 1, nothing))
		require.Len(t, p.helpers.all(), c.helpers, "after a loop of %d parts", c.n)
		requireHelperGoroutines(t, c.helpers)
	}
}

func TestFor_StartsFewHelpersForAMillionWorkers(t *testing.T) {
	p := New(1_000_000)
	defer p.Close()
	requireHelperGoroutines(t, 0)
	require.NoError(t, p.For(t.Context(), 1_000_000, 1, nothing))
	requireHelperGoroutines(t, runtime.GOMAXPROCS(0)-1)
}

// useAllWorkers runs a loop whose parts wait until every worker has one.
func useAllWorkers(t *testing.T, p *Pool) {
	t.Helper()
	var arrived sync.WaitGroup
	arrived.Add(p.workers)
	require.NoError(t, p.For(t.Context(), p.workers, 1, func(int, int) error {
		arrived.Done()
		arrived.Wait()
		return nil
	}))
}

func TestFor_UsesAllWorkers(t *testing.T) {
	useAllWorkers(t, poolOf(t, 4))
}

// Each loop waits until every worker has a part, so that a call that a helper does not hear would block it.
func TestFor_UsesAllWorkersAfterAnyPause(t *testing.T) {
	p := poolOf(t, 3)
	for i := range 600 {
		useAllWorkers(t, p)
		// From no pause to one in which the helpers have begun to sleep.
		for start := time.Now(); time.Since(start) < 2*attention*time.Duration(i)/600; {
			runtime.Gosched()
		}
	}
}

// Helpers take longer for their parts than the caller looks for their end.
func TestFor_WaitsForHelpers(t *testing.T) {
	p := poolOf(t, 3)
	for range 50 {
		var parts atomic.Int64
		require.NoError(t, p.For(t.Context(), 3, 1, func(lo, _ int) error {
			if lo > 0 {
				time.Sleep(2 * attention)
			}
			parts.Add(1)
			return nil
		}))
		require.EqualValues(t, 3, parts.Load())
	}
}

func TestAttend_LooksForAMoment(t *testing.T) {
	start := time.Now()
	require.False(t, attend(func() bool { return false }))
	require.GreaterOrEqual(t, time.Since(start), attention)

	var ready atomic.Bool
	looks := 0
	require.True(t, attend(func() bool {
		if looks++; looks == 2 {
			ready.Store(true)
		}
		return ready.Load()
	}))
	require.Equal(t, 2, looks)
}

func TestClose_EndsTheGoroutines(t *testing.T) {
	p := poolOf(t, 8)
	for range 3 {
		require.NoError(t, p.For(t.Context(), 100, 1, nothing))
	}
	requireHelperGoroutines(t, 7)
	p.Close()
	requireHelperGoroutines(t, 0)
	require.NotPanics(t, p.Close, "a second time")
	require.NotPanics(t, New(3).Close, "without any loop")
}

func TestClose_LeavesLoopsToTheCaller(t *testing.T) {
	p := poolOf(t, 8)
	require.NoError(t, p.For(t.Context(), 100, 1, nothing))
	p.Close()
	parts := 0
	for range 3 {
		require.NoError(t, p.For(t.Context(), 100, 1, func(lo, hi int) error {
			parts += hi - lo // no other goroutine runs the loop: the race detector would report it
			return nil
		}))
	}
	require.Equal(t, 3*100, parts)
	requireHelperGoroutines(t, 0)
}

func TestClose_DoesNotDisturbRunningLoops(t *testing.T) {
	for range 200 {
		p := poolOf(t, 3)
		var parts atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 10 {
					if err := p.For(t.Context(), 8, 1, func(int, int) error { parts.Add(1); return nil }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 2 {
			wg.Go(p.Close)
		}
		wg.Wait()
		require.Equal(t, int64(3*10*8), parts.Load())
		requireHelperGoroutines(t, 0)
	}
}

func TestPool_EndsItsGoroutinesWhenCollected(t *testing.T) {
	poolOf(t, 4) // raises GOMAXPROCS
	for range 10 {
		useAllWorkers(t, New(4))
	}
	for start := time.Now(); helperGoroutines() > 0 && time.Since(start) < 10*time.Second; {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	require.Zero(t, helperGoroutines())
}
