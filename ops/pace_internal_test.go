package ops

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPacedLoop_ChoosesTheFasterWay checks how many of the following loops run alone, given
// the times that they take.
func TestPacedLoop_ChoosesTheFasterWay(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		name            string
		alone, together time.Duration
		want            int // of paceAgain loops
	}{
		{"alone is faster", 10 * us, 30 * us, paceAgain - 8},
		{"together is faster", 100 * us, 60 * us, 2},
		{"long", 1000 * us, 600 * us, 0},
		{"long, but alone would be faster", 251 * us, 300 * us, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l pacedLoop
			got := 0
			for range paceAgain {
				if l.isAlone() {
					got++
					l.alone = shorter(l.alone, c.alone)
				} else {
					l.together = shorter(l.together, c.together)
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestPacedLoop_IgnoresTheFirstLoop checks that the pool has another try after the first run of a node.
func TestPacedLoop_IgnoresTheFirstLoop(t *testing.T) {
	const us = time.Microsecond
	var l pacedLoop
	for range 4 {
		if l.isAlone() {
			l.alone = shorter(l.alone, 50*us)
		} else if l.together = shorter(l.together, 30*us); l.calls == 1 {
			l.together = 200 * us
		}
	}
	require.False(t, l.isAlone())
}

// TestPacedLoop_FollowsChanges checks that a loop that has become slower goes back to the
// pool.
func TestPacedLoop_FollowsChanges(t *testing.T) {
	l := pacedLoop{alone: 10 * time.Microsecond, together: 30 * time.Microsecond}
	for range 20 {
		if l.isAlone() {
			l.alone = shorter(l.alone, time.Millisecond)
		}
	}
	require.False(t, l.isAlone())
}

// countingPool runs loops in the calling goroutine and counts them.
type countingPool struct{ loops int }

func (p *countingPool) Do(ctx context.Context, n, grain int, body Loop) error {
	p.loops++
	return inTurn(ctx, n, grain, body)
}

func TestDo_RunsLoopsAloneThatAreFasterThatWay(t *testing.T) {
	p := new(countingPool)
	c := &Context{Pool: p}
	c.pace.loops[0] = pacedLoop{n: 7, grain: 2, calls: 4, alone: 1, together: longLoop}
	iterations := 0
	require.NoError(t, c.For(7, 2, func(lo, hi int) error { iterations += hi - lo; return nil }))
	require.Equal(t, 7, iterations)
	require.Zero(t, p.loops)
}

func TestDo_DoesNotMeasureLoopsThatFail(t *testing.T) {
	c := &Context{Pool: new(countingPool)}
	require.ErrorIs(t, c.For(7, 2, func(int, int) error { return context.Canceled }), context.Canceled)
	require.Zero(t, c.pace.loops[0].together)
	c.pace.loops[0] = pacedLoop{n: 7, grain: 2, calls: 4, alone: 10, together: longLoop}
	require.ErrorIs(t, c.For(7, 2, func(int, int) error { return context.Canceled }), context.Canceled)
	require.Equal(t, time.Duration(10), c.pace.loops[0].alone)
}

// TestPacedLoop_SharedByDifferentWork checks that a long loop does not stay alone because a
// short one has the same size.
func TestPacedLoop_SharedByDifferentWork(t *testing.T) {
	var l pacedLoop
	alone := 0
	for i := range 100 {
		long := i%2 == 1
		switch {
		case l.isAlone():
			if long {
				alone++
				l.alone = shorter(l.alone, 8*time.Millisecond)
			} else {
				l.alone = shorter(l.alone, time.Microsecond)
			}
		case long:
			l.together = shorter(l.together, 4*time.Millisecond)
		default:
			l.together = shorter(l.together, 10*time.Microsecond)
		}
	}
	require.LessOrEqual(t, alone, 2)
}
