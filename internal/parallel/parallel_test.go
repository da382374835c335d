package parallel

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestForCoversEverythingOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 16} {
		for _, n := range []int{0, 1, 5, 64, 1000} {
			for _, grain := range []int{-1, 1, 7, 64, 2000} {
				seen := make([]atomic.Int32, n)
				err := New(workers).For(t.Context(), n, grain, func(lo, hi int) error {
					if hi-lo > max(grain, 1) || lo >= hi {
						return errors.New("bad part")
					}
					for i := lo; i < hi; i++ {
						seen[i].Add(1)
					}
					return nil
				})
				require.NoError(t, err)
				for i := range seen {
					require.Equal(t, int32(1), seen[i].Load(), "workers %d, n %d, grain %d, index %d", workers, n, grain, i)
				}
			}
		}
	}
}

func TestForStopsAtError(t *testing.T) {
	failure := errors.New("failure")
	var calls atomic.Int32
	err := New(2).For(t.Context(), 1_000_000, 1, func(int, int) error {
		calls.Add(1)
		return failure
	})
	require.ErrorIs(t, err, failure)
	require.LessOrEqual(t, calls.Load(), int32(2))
}

func TestForStopsWhenDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int32
	err := New(2).For(ctx, 1_000_000, 1, func(int, int) error {
		calls.Add(1)
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.LessOrEqual(t, calls.Load(), int32(3))
	require.ErrorIs(t, New(1).For(ctx, 0, 1, nil), context.Canceled)
}

func TestForRaisesPanics(t *testing.T) {
	for _, workers := range []int{1, 3} {
		require.PanicsWithValue(t, "our bug", func() {
			_ = New(workers).For(t.Context(), 10, 1, func(lo, _ int) error {
				if lo == 5 {
					panic("our bug")
				}
				return nil
			})
		})
	}
}

func TestLoopsInLoopsAndBesideEachOther(t *testing.T) {
	p := New(3)
	var parts atomic.Int64
	inner := func(lo, hi int) error { parts.Add(int64(hi - lo)); return nil }
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				err := p.For(t.Context(), 5, 1, func(int, int) error { return p.For(t.Context(), 7, 2, inner) })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(4*200*5*7), parts.Load())
}

type countingLoop struct{ parts atomic.Int64 }

func (c *countingLoop) Part(lo, hi int) error { c.parts.Add(int64(hi - lo)); return nil }

func TestDoAllocatesNothing(t *testing.T) {
	p, l := New(3), &countingLoop{}
	ctx := t.Context()
	allocations := testing.AllocsPerRun(1000, func() { _ = p.Do(ctx, 10, 1, l) })
	require.Less(t, allocations, 1.0) // the garbage collector and the race detector may empty the pool of jobs
	require.Equal(t, int64(1001*10), l.parts.Load())
}

func TestWorkersEndWithThePool(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 10 {
		require.NoError(t, New(4).For(t.Context(), 8, 1, func(int, int) error { return nil }))
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		return runtime.NumGoroutine() <= before
	}, 10*time.Second, time.Millisecond)
}

func TestDefaultWorkers(t *testing.T) {
	require.GreaterOrEqual(t, New(0).workers, 1)
	require.Equal(t, 5, New(5).workers)
}

func TestSpares(t *testing.T) {
	made := 0
	s := Spares[*int]{New: func() *int { made++; return new(int) }}
	a, b := s.Get(), s.Get()
	require.NotSame(t, a, b)
	s.Put(b)
	require.Same(t, b, s.Get())
	require.Equal(t, 2, made)
}

// TestFirstLoops has a loop of one part, which needs no worker, beside the one that
// hires them; the race detector watches.
func TestFirstLoops(t *testing.T) {
	for range 20 {
		p := New(3)
		var wg sync.WaitGroup
		for _, n := range []int{1, 8, 1, 8} {
			wg.Go(func() {
				if err := p.For(t.Context(), n, 1, func(int, int) error { return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}
