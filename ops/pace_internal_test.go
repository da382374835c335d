package ops

import (
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
		{"alone is faster", 10 * us, 30 * us, paceAgain - 2},
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
