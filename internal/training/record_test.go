package training

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/train"
)

// TestTrainsW_KnowsEveryKindOfLayer checks networks with one layer.
func TestTrainsW_KnowsEveryKindOfLayer(t *testing.T) {
	for _, c := range []struct {
		layer convert.Layer
		want  bool
	}{
		{&convert.SbS{}, true},
		{&convert.SbS{Pooling: true}, false},
		{&convert.NNMF{}, true},
		{&convert.Conv{}, true},
		{&convert.ApproxConv{}, true},
		{&convert.MaxPool{}, false},
		{&convert.Reconstruction{}, false},
	} {
		j := &job{network: &convert.Network{Layers: []convert.Layer{c.layer}}}
		require.Equal(t, c.want, j.trainsW(), "%T", c.layer)
	}
}

// TestLaterWeights_KnowsTheNamesOfArrays looks for a file of a step after 3.
func TestLaterWeights_KnowsTheNamesOfArrays(t *testing.T) {
	for _, c := range []struct {
		name, order string
		want        bool
	}{
		{"Weight_L0_S4.npy", "", true},
		{"Weight_L0_S4.npy.gz", "", true},
		{"Mean_L0_S4.npy", "", true},
		{"Weight_L0_S3.npy", "", false},
		{"Weight_L0_S4_0.5.npy", "0.5", true},
		{"Weight_L0_S4_0.5.npy", "", false},
		{"Weight_L0_S4.npy", "0.5", false},
		{"Weight_L0_S4_1.0.npy", "0.5", false},
		{"Weight_L0_S4_5.npy", "", false},
		{"notes.txt", "", false},
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, c.name), nil, 0o600))
		j := &job{places: places{weights: dir, order: c.order}}
		path, err := j.laterWeights(3)
		require.NoError(t, err)
		require.Equal(t, c.want, path != "", "%s with order %q", c.name, c.order)
	}
}

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
