package training

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/train"
)

// TestJob_FindsTrainedParameters checks the parameters whose learning rates are
// recorded.
func TestJob_FindsTrainedParameters(t *testing.T) {
	for _, c := range []struct {
		frozen     []string
		w, epsilon bool
	}{
		{nil, true, true},
		{slices.Repeat([]string{"L0"}, 11), true, true},
		{[]string{"L0", "L2", "L7", "L9"}, false, true},
		{[]string{"L2", "L3"}, true, false},
	} {
		n := converttest.EveryLayer()
		s := session{job: &job{network: n, config: train.Config{Dialect: 1, FreezeW: c.frozen, FreezeEpsilonXY: c.frozen}}}
		require.Equal(t, c.w, s.trainsW(), "%v", c.frozen)
		require.Equal(t, c.epsilon, s.trainsEpsilonXY(), "%v", c.frozen)
		s.config.Dialect = 2
		require.False(t, s.trainsEpsilonXY())
	}
}
