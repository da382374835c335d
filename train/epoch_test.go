package train_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/train"
)

// TestScheduleByEpoch_ChangesTheRateAtTheEndOfAnEpoch also checks that an interruption
// before the end of the epoch changes nothing.
func TestScheduleByEpoch_ChangesTheRateAtTheEndOfAnEpoch(t *testing.T) {
	cfg := train.Config{
		RateW: 0.1, ScheduleByEpoch: true, ScheduleW: train.Schedule{Kind: train.Cosine, Length: 2},
	}
	trainer := newTrainer(t, sbsNet(2), cfg)
	trainer.EndEpoch() // of an epoch without updates
	for range 3 {
		require.Equal(t, 0.1, step(t, trainer, bars(1, 4)).Update.RateW)
	}
	state, err := trainer.State()
	require.NoError(t, err)
	trainer = newTrainer(t, sbsNet(2), cfg)
	require.NoError(t, trainer.Restore(state))
	trainer.EndEpoch()
	trainer.EndEpoch() // no update since the last call
	w, _ := trainer.Rates()
	require.InDelta(t, 0.05, w, 1e-9)
	require.InDelta(t, 0.05, step(t, trainer, bars(1, 4)).Update.RateW, 1e-9)
	trainer.EndEpoch()
	require.InDelta(t, 0, step(t, trainer, bars(1, 4)).Update.RateW, 1e-9)
}
