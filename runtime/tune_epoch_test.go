package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// TestScheduleByEpoch checks that the learning rate changes at the end of an epoch
// only, and that a break before it changes nothing.
func TestScheduleByEpoch(t *testing.T) {
	cfg := runtime.TuneConfig{
		RateW: 0.1, ScheduleByEpoch: true, ScheduleW: train.Schedule{Kind: train.Cosine, Length: 2},
	}
	tuned := tuner(t, sbsNet(2), cfg)
	tuned.EndEpoch() // of nothing
	for range 3 {
		require.Equal(t, 0.1, step(t, tuned, bars(1, 4)).Update.RateW)
	}
	state, err := tuned.State()
	require.NoError(t, err)
	tuned = tuner(t, sbsNet(2), cfg)
	require.NoError(t, tuned.Restore(state))
	tuned.EndEpoch()
	tuned.EndEpoch() // nothing since the last
	w, _ := tuned.Rates()
	require.InDelta(t, 0.05, w, 1e-9)
	require.InDelta(t, 0.05, step(t, tuned, bars(1, 4)).Update.RateW, 1e-9)
	tuned.EndEpoch()
	require.InDelta(t, 0, step(t, tuned, bars(1, 4)).Update.RateW, 1e-9)
}
