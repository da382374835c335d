package parallel

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// poolOf returns a Pool that has the given number of workers even on a machine
// with fewer cores. The test must not be parallel to others.
func poolOf(t *testing.T, workers int) *Pool {
	t.Helper()
	if before := runtime.GOMAXPROCS(0); workers > before {
		runtime.GOMAXPROCS(workers)
		t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	}
	p := New(workers)
	require.Equal(t, workers, p.workers)
	t.Cleanup(p.Close)
	return p
}

func nothing(int, int) error { return nil }

func TestFor_PerformsEveryIterationOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 16} {
		p := poolOf(t, workers)
		for _, n := range []int{0, 1, 5, 64, 1000} {
			for _, grain := range []int{-1, 1, 7, 64, 2000} {
				seen := make([]atomic.Int32, n)
				err := p.For(t.Context(), n, grain, func(lo, hi int) error {
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

func TestFor_StopsAtAnError(t *testing.T) {
	failure := errors.New("failure")
	var calls atomic.Int32
	err := poolOf(t, 2).For(t.Context(), 1_000_000, 1, func(int, int) error {
		calls.Add(1)
		return failure
	})
	require.ErrorIs(t, err, failure)
	require.LessOrEqual(t, calls.Load(), int32(2))
}

func TestFor_StopsWhenTheContextIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int32
	err := poolOf(t, 2).For(ctx, 1_000_000, 1, func(int, int) error {
		calls.Add(1)
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.LessOrEqual(t, calls.Load(), int32(3))
	require.ErrorIs(t, New(1).For(ctx, 0, 1, nil), context.Canceled)
}

// TestFor_RunsNestedAndConcurrentLoops also gives the race detector loops that
// start the helpers at the same time as loops of one part, which need none.
func TestFor_RunsNestedAndConcurrentLoops(t *testing.T) {
	p := poolOf(t, 3)
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

func TestFor_StartsHelpersForConcurrentFirstLoops(t *testing.T) {
	for range 20 {
		p := poolOf(t, 3)
		var wg sync.WaitGroup
		for _, n := range []int{1, 8, 2, 1, 8, 3} {
			wg.Go(func() {
				if err := p.For(t.Context(), n, 1, nothing); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, len(p.helpers.all()), 2)
	}
}

type countingLoop struct{ parts atomic.Int64 }

func (c *countingLoop) Part(lo, hi int) error { c.parts.Add(int64(hi - lo)); return nil }

func TestDo_DoesNotAllocate(t *testing.T) {
	p, l := poolOf(t, 3), &countingLoop{}
	ctx := t.Context()
	allocations := testing.AllocsPerRun(1000, func() { _ = p.Do(ctx, 10, 1, l) })
	require.Less(t, allocations, 1.0) // the garbage collector and the race detector may empty the pool of loops
	require.Equal(t, int64(1001*10), l.parts.Load())
}

// runner is the interface that another package declares to use a Pool without
// importing this package.
type runner interface {
	Do(ctx context.Context, n, grain int, body interface{ Part(lo, hi int) error }) error
}

func TestPool_ImplementsAnInterfaceDeclaredElsewhere(t *testing.T) {
	var r runner = poolOf(t, 2)
	l := &countingLoop{}
	require.NoError(t, r.Do(t.Context(), 10, 3, l))
	require.Equal(t, int64(10), l.parts.Load())
}

func TestNew_BoundsTheNumberOfWorkers(t *testing.T) {
	most := runtime.GOMAXPROCS(0)
	for request, want := range map[int]int{-1: most, 0: most, 1: 1, most: most, most + 1: most, 1_000_000: most} {
		require.Equal(t, want, New(request).workers, "New(%d)", request)
	}
}

func TestSpares_ReusesObjects(t *testing.T) {
	made := 0
	s := Spares[*int]{New: func() *int { made++; return new(int) }}
	a, b := s.Get(), s.Get()
	require.NotSame(t, a, b)
	s.Put(b)
	require.Same(t, b, s.Get())
	require.Equal(t, 2, made)
}
