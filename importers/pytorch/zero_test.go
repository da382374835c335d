package pytorch

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops"
)

func TestZeroValues_AreErrorsAndNotPanics(t *testing.T) {
	weights := filepath.Join(t.TempDir(), "Weights")
	_, _, err := Load(Options{})
	require.EqualError(t, err, "pytorch: no weights folder was given")
	_, _, _, err = NewNetwork(Options{}, Start{})
	require.ErrorIs(t, err, ErrNoConfiguration)
	_, err = FindConfiguration("")
	require.ErrorIs(t, err, ErrNoConfiguration)
	for _, n := range []*convert.Network{nil, {}, {Dialect: 2}, {Dialect: 1, Input: convert.Size{Channels: 1, Height: 1, Width: 1}}} {
		_, err = Save(weights, n, SaveOptions{})
		require.ErrorContains(t, err, "pytorch: ")
		require.EqualError(t, CheckSave(weights, n, SaveOptions{}, nil), err.Error())
	}
	_, err = Save(weights, nil, SaveOptions{})
	require.EqualError(t, err, "pytorch: no network was given")
	_, err = Save("", nil, SaveOptions{})
	require.EqualError(t, err, "pytorch: no weights folder was given")
	_, _, err = TrainingOf(nil)
	require.EqualError(t, err, "pytorch: no network was given")
	_, _, err = TrainingOf(new(convert.Network))
	require.ErrorContains(t, err, "dialect 0")
	require.NoDirExists(t, weights)
	require.NotEmpty(t, new(Training).String())
}

func TestSave_RefusesNilLayers(t *testing.T) {
	for _, layer := range []convert.Layer{nil, (*convert.SbS)(nil), (*convert.Conv)(nil), (*convert.OnOff)(nil)} {
		n := converttest.Digits()
		n.Layers[1] = layer
		_, err := Save(t.TempDir(), n, SaveOptions{})
		require.ErrorContains(t, err, "layer 1 is nil")
		_, _, err = TrainingOf(n)
		require.ErrorContains(t, err, "layer 1 is nil")
	}
}

// Load refuses these values: a folder with them would be lost.
func TestSave_RefusesValuesThatLoadRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for name, c := range map[string]struct {
		values func(n *convert.Network) *ops.Tensor
		value  float32
		want   string
	}{
		"negative weight":       {func(n *convert.Network) *ops.Tensor { return n.Layers[5].(*convert.SbS).Weights }, -1, "layer 5 (SbS): weights: [0 0] is -1"},
		"weight":                {func(n *convert.Network) *ops.Tensor { return n.Layers[5].(*convert.SbS).Weights }, nan, "layer 5 (SbS): weights: [0 0] is NaN"},
		"weight of convolution": {func(n *convert.Network) *ops.Tensor { return n.Layers[1].(*convert.Conv).Weights }, inf, "layer 1 (Conv): weights: element 0 is -Inf"},
		"bias":                  {func(n *convert.Network) *ops.Tensor { return n.Layers[1].(*convert.Conv).Bias }, nan, "layer 1 (Conv): bias: element 0 is NaN"},
		"mean":                  {func(n *convert.Network) *ops.Tensor { return n.Layers[0].(*convert.OnOff).Mean }, nan, "layer 0 (OnOff): mean: element 0 is NaN"},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := load2(t, convolutions())
			c.values(n).Float32s()[0] = c.value
			root := t.TempDir()
			_, err := Save(filepath.Join(root, "Weights"), n, SaveOptions{})
			require.ErrorContains(t, err, c.want)
			require.Empty(t, snapshot(t, root))
		})
	}
	one, _, err := Load(options(dialect1().write(t)))
	require.NoError(t, err)
	one.Layers[0].(*convert.SbS).EpsilonXY.Float32s()[0] = -1
	_, err = Save(t.TempDir(), one, SaveOptions{})
	require.ErrorContains(t, err, "layer 0 (SbS): epsilon_xy: [0 0 0 0] is -1")
}

func TestSave_RefusesAReconstructionWithoutItsLayer(t *testing.T) {
	n, _ := load2(t, convolutions())
	n.Layers[6] = &convert.Reconstruction{Weights: converttest.New(1).Tensor(0, 1, 4, 5)}
	_, err := Save(t.TempDir(), n, SaveOptions{})
	require.ErrorContains(t, err, "layer 6 (Reconstruction): ")
}
