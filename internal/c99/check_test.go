package c99

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

// TestCheck_CountsNumbers has the largest number of spikes in six stages, and no file for them.
func TestCheck_CountsNumbers(t *testing.T) {
	l := converttest.New(1).SbS(converttest.Window(1, 1), 1, 2, 5)
	l.Spikes = 1 << 24
	n := &convert.Network{Input: convert.Size{Channels: 1, Height: 1, Width: 1}, Layers: []convert.Layer{l}}
	s := &convert.Staged{}
	for range 5 {
		s.Stages = append(s.Stages, convert.Stage{Network: n})
	}
	require.NoError(t, check(s, convert.Options{}))
	s.Stages = append(s.Stages, convert.Stage{Network: n})
	err := check(s, convert.Options{})
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "more than 100000000 weights and other numbers: the model has 100663308")
}
