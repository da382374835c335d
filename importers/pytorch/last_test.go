package pytorch

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// TestNewLastLayer_HasTheInitialValuesOfANewNetwork replaces the last layer by one of the same
// size: with the same seed, it has the values that NewNetwork gives to it.
func TestNewLastLayer_HasTheInitialValuesOfANewNetwork(t *testing.T) {
	for name, f := range map[string]files{"dialect 1": dialect1(), "dialect 2": dialect2()} {
		n, _, _, err := untrainedNet(t, f, Start{Seed: 3}, nil)
		require.NoError(t, err, name)
		last, err := LastLayer(n)
		require.NoError(t, err, name)
		var neurons int
		switch l := n.Layers[last].(type) {
		case *convert.SbS:
			neurons = l.Weights.Shape()[1]
		case *convert.Conv:
			neurons = l.Weights.Shape()[0]
		}
		n.Classes = make([]string, neurons)
		same, err := NewLastLayer(n, neurons, Start{Seed: 3})
		require.NoError(t, err, name)
		require.Equal(t, n.Layers, same.Layers, name)
		require.Nil(t, same.Classes, name)
		require.Len(t, n.Classes, neurons, "%s: the network given must stay", name)
		other, err := NewLastLayer(n, neurons, Start{Seed: 4})
		require.NoError(t, err, name)
		require.NotEqual(t, n.Layers[last], other.Layers[last], name)
		require.Equal(t, n.Layers[:last], other.Layers[:last], name)
	}
}

// TestNewLastLayer_KeepsApproximateProducts compares with a plain convolution.
func TestNewLastLayer_KeepsApproximateProducts(t *testing.T) {
	n := converttest.Approximate(sbs.Approximation{FracBits: 8, TruncBits: 7, Enabled: true})
	n.Layers = n.Layers[:3]
	last, err := LastLayer(n)
	require.NoError(t, err)
	require.Equal(t, 2, last)
	changed, err := NewLastLayer(n, 7, Start{Seed: 3})
	require.NoError(t, err)
	old, got := *n.Layers[2].(*convert.ApproxConv), *changed.Layers[2].(*convert.ApproxConv)
	require.Equal(t, []int{7, 3, 1, 1}, got.Weights.Shape())

	plain := *n
	plain.Layers = append(slices.Clone(n.Layers[:2]), &convert.Conv{Window: old.Window, Weights: old.Weights, Bias: old.Bias})
	want, err := NewLastLayer(&plain, 7, Start{Seed: 3})
	require.NoError(t, err)
	conv := want.Layers[2].(*convert.Conv)
	old.Weights, old.Bias = conv.Weights, conv.Bias
	require.Equal(t, old, got)
}

// TestNewLastLayer_UsesTheRangeOfTheConfiguration checks the key of dialect 2, and epsilon_xy.
func TestNewLastLayer_UsesTheRangeOfTheConfiguration(t *testing.T) {
	n := converttest.Digits()
	n.Training = []byte(`{"learning_parameters": {"weight_noise_range": [1, 1.000001], "eps_xy_intitial": 0.7}}`)
	n.Layers[2].(*convert.SbS).EpsilonXY = converttest.New(1).Tensor(0, 1, 1, 1)
	changed, err := NewLastLayer(n, 7, Start{})
	require.NoError(t, err)
	l := changed.Layers[2].(*convert.SbS)
	require.Equal(t, []int{45, 7}, l.Weights.Shape())
	for _, w := range l.Weights.Float32s() {
		require.InDelta(t, 1.0/45, w, 1e-6)
	}
	require.Equal(t, []float32{0.7}, l.EpsilonXY.Float32s())
	require.NotEqual(t, float32(0.7), n.Layers[2].(*convert.SbS).EpsilonXY.Float32s()[0])

	n.Dialect, n.Training = 0, nil
	changed, err = NewLastLayer(n, 2, Start{})
	require.NoError(t, err)
	require.Zero(t, changed.Dialect)
}

func TestNewLastLayer_RefusesOtherNetworks(t *testing.T) {
	pooled := converttest.Digits()
	pooling := converttest.New(1).SbS(converttest.Window(1, 1), 3, 3, 5)
	pooling.Pooling = true
	pooled.Layers = append(pooled.Layers, pooling)
	none := &convert.Network{Dialect: 2, Input: convert.Size{Channels: 1, Height: 2, Width: 2}, Layers: []convert.Layer{&convert.ReLU{}}}
	for _, c := range []struct {
		n       *convert.Network
		neurons int
		want    string
	}{
		{nil, 3, "no network was given"},
		{converttest.Digits(), 0, "0 neurons"},
		{converttest.Digits(), 1 << 30, "are too large"},
		{pooled, 3, "layer 3 (SbSPooling) comes after the last layer with trained weights"},
		{converttest.EveryLayer(), 3, "layer 10 (Reconstruction) comes after the last layer"},
		{none, 3, "the network has no layer with trained weights"},
	} {
		_, err := NewLastLayer(c.n, c.neurons, Start{})
		require.ErrorContains(t, err, c.want)
	}
}
