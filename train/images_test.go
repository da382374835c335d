package train_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// behind returns sbsNet with other layers before it.
func behind(first ...convert.Layer) *convert.Network {
	n := sbsNet(2)
	n.Layers = append(first, n.Layers...)
	return n
}

// TestPoisson_PassesTheGradientOn compares a step of SGD with central differences of the loss with
// respect to the output of a Poisson layer.
func TestPoisson_PassesTheGradientOn(t *testing.T) {
	const rate = 1e-3
	window := converttest.Window(1, 1)
	m := converttest.New(8)
	first := &convert.Conv{Window: window, Weights: opstest.F32([]int{1, 1, 1, 1}, 0.75)}
	last := m.Conv(converttest.Window(2, 1), 1, 2)
	size := convert.Size{Channels: 1, Height: 2, Width: 2}
	cfg := train.Config{RateW: rate, Optimizer: train.SGD, Loss: train.Loss{Kind: train.CrossEntropy}}

	pixels := []float32{0.5, 0.25, 1, 0.125}
	counts := []int64{3, 0, 4, 1}
	n := &convert.Network{Dialect: 2, Step: -1, Input: size, Layers: []convert.Layer{first, &convert.Poisson{Spikes: 5}, last}}
	trainer := newTrainer(t, n, cfg)
	step(t, trainer, train.Batch{
		Images: opstest.F32([]int{1, 1, 2, 2}, pixels...), Labels: []int{1}, Spikes: map[string]*runtime.Tensor{"L1": opstest.I64([]int{1, 1, 2, 2}, counts...)},
	})
	got := (0.75 - networkOf(t, trainer).Layers[0].(*convert.Conv).Weights.Float32s()[0]) / rate

	alone := &convert.Network{Dialect: 2, Step: -1, Input: size, Layers: []convert.Layer{last}}
	loss := func(i int, d float32) float64 {
		x := make([]float32, 4)
		for j, c := range counts {
			x[j] = float32(c) / 8
		}
		x[i] += d
		return step(t, newTrainer(t, alone, cfg), train.Batch{Images: opstest.F32([]int{1, 1, 2, 2}, x...), Labels: []int{1}}).Loss
	}
	var want float64
	for i, v := range pixels {
		want += float64(v) * (loss(i, 0.01) - loss(i, -0.01)) / 0.02
	}
	require.InDelta(t, want, got, 2e-3)
	require.Greater(t, got*got, float32(1e-3))
}

// TestSpikeImage_StopsTheGradient has layers with weights before a SpikeImage layer. They must not
// change, and must not become NaN through a gradient of 0 that is divided by its largest value.
func TestSpikeImage_StopsTheGradient(t *testing.T) {
	m := converttest.New(9)
	for name, first := range map[string]convert.Layer{
		"Conv": &convert.Conv{Window: converttest.Window(1, 1), Weights: opstest.F32([]int{1, 1, 1, 1}, 0.75)},
		"SbS":  m.SbS(converttest.Window(1, 1), 1, 1, 5),
	} {
		n := behind(first, &convert.SpikeImage{Spikes: 60})
		before := weights(n)
		trainer := newTrainer(t, n, train.Config{RateW: 0.1})
		for i := range uint64(3) {
			step(t, trainer, bars(i, 16))
		}
		after := weights(networkOf(t, trainer))
		require.Equal(t, before[0], after[0], name)
		require.NotEqual(t, before[1], after[1], name)
		for _, v := range after[1] {
			require.True(t, v >= 0 && v <= 1, name)
		}
	}
	n := behind(&convert.Conv{Window: converttest.Window(1, 1), Weights: opstest.F32([]int{1, 1, 1, 1}, 0.75)}, &convert.SpikeImage{Spikes: 60})
	_, err := train.New(modeltest.Write(t, n, convert.Options{}), train.Config{FreezeW: []string{"L2", "L4"}})
	require.ErrorContains(t, err, "nothing is left to train")
}

// weights returns the weights of all layers that have some.
func weights(n *convert.Network) [][]float32 {
	var all [][]float32
	for _, l := range n.Layers {
		switch l := l.(type) {
		case *convert.SbS:
			all = append(all, l.Weights.Float32s())
		case *convert.Conv:
			all = append(all, l.Weights.Float32s())
		}
	}
	return all
}

// TestSpikeImage_WithoutSpikesPassesTheGradientOn has a convolution before the layer.
func TestSpikeImage_WithoutSpikesPassesTheGradientOn(t *testing.T) {
	conv := converttest.New(9).Conv(converttest.Window(1, 1), 1, 2)
	for i := range conv.Bias.Float32s() {
		conv.Bias.Float32s()[i] = 1 // positive outputs
	}
	m := converttest.New(10)
	n := &convert.Network{
		Dialect: 2, Step: -1, Input: convert.Size{Channels: 1, Height: 12, Width: 12},
		Layers: []convert.Layer{conv, &convert.ReLU{}, &convert.SpikeImage{}, m.SbS(converttest.Window(12, 1), 2, 3, 40)},
	}
	trainer := newTrainer(t, n, train.Config{RateW: 0.01})
	before := weights(n)
	step(t, trainer, bars(1, 16))
	require.NotEqual(t, before[0], weights(networkOf(t, trainer))[0])
}
