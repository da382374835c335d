package train_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/train"
)

// TestNew_AutoWritesTheEpsilonThatFitsTheSpikes has a network without epsilon_xy (dialect 2)
// and one with (dialect 1).
func TestNew_AutoWritesTheEpsilonThatFitsTheSpikes(t *testing.T) {
	for _, dialect := range []int{1, 2} {
		before := sbsNet(dialect)
		auto := &sbs.Schedule{Auto: true}
		trainer := newTrainer(t, sbsNet(dialect), train.Config{
			RateW: 0.1, Dynamics: sbs.Dynamics{Spikes: 6, Schedule: auto},
			Layers: map[string]sbs.Dynamics{"L2": {Spikes: 5, Epsilon0: 0.5, Schedule: &sbs.Schedule{}}},
		})
		step(t, trainer, bars(1, 4))
		n := networkOf(t, trainer)
		for i := range 2 {
			s, own := n.Layers[i].(*convert.SbS), before.Layers[i].(*convert.SbS)
			want, err := sbs.Dynamics{Spikes: 6, Schedule: auto}.Resolve(
				sbs.Params{Spikes: own.Spikes, Epsilon0: own.Epsilon0, EpsilonT: own.EpsilonT}, own.EpsilonXY)
			require.NoError(t, err)
			require.Equal(t, want.Epsilon0, s.Epsilon0)
			require.NotEqual(t, own.Epsilon0, s.Epsilon0)
			require.Equal(t, own.EpsilonT[:6], s.EpsilonT[:6])
		}
		require.Equal(t, float32(0.5), n.Layers[2].(*convert.SbS).Epsilon0)
	}
	_, err := train.New(modeltest.Write(t, sbsNet(1), convert.Options{}), train.Config{Dynamics: sbs.Dynamics{Epsilon0: 1, Schedule: &sbs.Schedule{Auto: true}}})
	require.ErrorIs(t, err, train.ErrTrain)
	require.ErrorContains(t, err, "give only one of them")
}
