package convert_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops"
)

func TestToONNX_RefusesANilNetwork(t *testing.T) {
	var none *convert.Network
	_, err := convert.ToONNX(none, convert.Options{})
	require.EqualError(t, err, "convert: no network was given")
	_, err = none.Sizes()
	require.EqualError(t, err, "convert: no network was given")
	require.EqualError(t, none.Check(), "convert: no network was given")
	require.Empty(t, convert.InjectedName(none, 0, convert.InjectSpikes))
}

func TestToONNX_RefusesANilLayer(t *testing.T) {
	for name, layer := range map[string]convert.Layer{
		"no layer": nil, "SbS": (*convert.SbS)(nil), "AveragePool": (*convert.AveragePool)(nil), "MaxPool": (*convert.MaxPool)(nil),
		"Conv": (*convert.Conv)(nil), "ReLU": (*convert.ReLU)(nil), "OnOff": (*convert.OnOff)(nil), "Reconstruction": (*convert.Reconstruction)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			n := converttest.Digits()
			n.Layers[1] = layer
			_, err := convert.ToONNX(n, convert.Options{})
			require.EqualError(t, err, "convert: layer 1 is nil")
			_, err = n.Sizes()
			require.EqualError(t, err, "convert: layer 1 is nil")
			require.EqualError(t, n.Check(), "convert: layer 1 is nil")
			require.Empty(t, convert.InjectedName(n, 1, convert.InjectSpikes))
		})
	}
}

func TestZeroValues_AreErrorsAndNotPanics(t *testing.T) {
	_, err := convert.ToONNX(new(convert.Network), convert.Options{})
	require.EqualError(t, err, "convert: the size of the input is 0x0x0, want at least 1x1x1")
	_, err = convert.FromONNX(nil)
	require.ErrorIs(t, err, onnx.ErrFormat)
	_, err = convert.Preprocessing{}.Output(convert.Size{})
	require.ErrorContains(t, err, "0x0x0")
	_, _, err = convert.Window{}.Output(5, 5)
	require.ErrorContains(t, err, "must be at least 1")
	require.Equal(t, "0x0x0", convert.Size{}.String())
	one := convert.Size{Channels: 1, Height: 1, Width: 1}
	for _, in := range []convert.Size{{}, one} {
		for _, l := range []convert.Layer{
			&convert.SbS{}, &convert.AveragePool{}, &convert.MaxPool{}, &convert.Conv{}, &convert.Reconstruction{},
			&convert.OnOff{Mean: new(ops.Tensor)}, &convert.Reconstruction{Weights: new(ops.Tensor)},
			&convert.Conv{Window: converttest.Window(1, 1), Weights: new(ops.Tensor)},
			&convert.SbS{Window: converttest.Window(1, 1), Weights: new(ops.Tensor)},
		} {
			_, err := l.Output(in)
			require.Error(t, err, "%s of %v", l.Kind(), in)
		}
	}
}

func TestInjectedName_NamesOnlyInputsThatExist(t *testing.T) {
	n := converttest.Digits()
	require.Equal(t, "L2/SbS/spikes", convert.InjectedName(n, 2, convert.InjectSpikes))
	for _, i := range []int{-1, 1, 3} {
		require.Empty(t, convert.InjectedName(n, i, convert.InjectSpikes), i)
	}
	require.Empty(t, convert.InjectedName(n, 0, convert.InjectNothing))
}

func TestCheck_AcceptsAConvolutionThatDiverged(t *testing.T) {
	n := converttest.EveryLayer()
	n.Layers[0].(*convert.Conv).Bias.Float32s()[0] = float32(math.Inf(1))
	require.NoError(t, n.Check())
}

// Each case changes one value of a network that can be written.
func TestCheck_RefusesValuesThatNoRunAccepts(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	sbsOf := func(n *convert.Network, i int) *convert.SbS { return n.Layers[i].(*convert.SbS) }
	for _, c := range []struct {
		name   string
		change func(n *convert.Network)
		want   string
	}{
		{"negative weight", func(n *convert.Network) { sbsOf(n, 2).Weights.Float32s()[7] = -0.5 }, "layer 2 (SbS): weights: [1 2] is -0.5, want a finite number of at least 0"},
		{"weight that is not a number", func(n *convert.Network) { sbsOf(n, 2).Weights.Float32s()[0] = nan }, "layer 2 (SbS): weights: [0 0] is NaN"},
		{"infinite weight", func(n *convert.Network) { sbsOf(n, 2).Weights.Float32s()[0] = inf }, "layer 2 (SbS): weights: [0 0] is +Inf"},
		{"pooling weight", func(n *convert.Network) { sbsOf(n, 3).Weights.Float32s()[0] = -1 }, "layer 3 (SbSPooling): weights: [0 0] is -1"},
		{"negative epsilon_xy", func(n *convert.Network) { sbsOf(n, 2).EpsilonXY.Float32s()[1] = -1 }, "layer 2 (SbS): epsilon_xy: [0 0 0 1] is -1, want 0 to 10000"},
		{"large epsilon_xy", func(n *convert.Network) { sbsOf(n, 2).EpsilonXY.Float32s()[1] = 10001 }, "epsilon_xy: [0 0 0 1] is 10001"},
		{"epsilon_xy that is not a number", func(n *convert.Network) { sbsOf(n, 3).EpsilonXY.Float32s()[0] = nan }, "layer 3 (SbSPooling): epsilon_xy: [0 0] is NaN"},
		{"epsilon_0", func(n *convert.Network) { sbsOf(n, 2).Epsilon0 = nan }, "epsilon_0 is NaN"},
		{"epsilon_t", func(n *convert.Network) { sbsOf(n, 2).EpsilonT[3] = -1 }, "epsilon_t[3] is -1"},
		{"spikes", func(n *convert.Network) { sbsOf(n, 2).Spikes = 0 }, "number_of_spikes is 0"},
		{"sampler", func(n *convert.Network) { sbsOf(n, 2).Sampler = "dice" }, "dice"},
		{"mean of the data set", func(n *convert.Network) { n.Preprocessing.OnOffMean[1] = nan }, "preprocessing: the mean of channel 1 is NaN"},
		{"offset", func(n *convert.Network) {
			n.Preprocessing = convert.Preprocessing{Crop: 1, Offset: inf}
			n.Input.Channels = 6
		}, "preprocessing: the offset is +Inf"},
		{"no layers", func(n *convert.Network) { n.Layers = nil }, "the network has no layers"},
		{"reconstruction", func(n *convert.Network) {
			n.Layers[10] = &convert.Reconstruction{Weights: converttest.New(1).Tensor(0, 1, 9, 4)}
		}, "layer 10 (Reconstruction): "},
		{"name", func(n *convert.Network) { n.Name = "\xff" }, `the name "\xff" is not valid UTF-8`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := converttest.EveryLayer()
			require.NoError(t, n.Check())
			c.change(n)
			require.ErrorContains(t, n.Check(), c.want)
			for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline, convert.BodyNone} {
				_, err := convert.ToONNX(n, convert.Options{Body: body})
				require.EqualError(t, err, n.Check().Error())
			}
		})
	}
}

func TestFromONNX_RefusesNegativeWeights(t *testing.T) {
	m := decode(t, converttest.Digits(), convert.Options{})
	for i, w := range m.GetGraph().GetInitializer() {
		if w.GetName() == "L0/SbS/W" {
			data := make([]float32, 45)
			data[3] = -1
			m.GetGraph().Initializer[i] = onnx.Float32Tensor(w.GetName(), []int{9, 5}, data)
		}
	}
	data, err := onnx.MarshalStamped(m)
	require.NoError(t, err)
	_, err = convert.FromONNX(data)
	require.ErrorContains(t, err, "layer 0 (SbS): weights: [0 3] is -1")
}

func TestWindow_RefusesNumbersThatOverflow(t *testing.T) {
	for name, change := range map[string]func(w *convert.Window){
		"kernel":    func(w *convert.Window) { w.Kernel[0] = math.MaxInt },
		"strides":   func(w *convert.Window) { w.Strides[0] = math.MaxInt },
		"dilations": func(w *convert.Window) { w.Dilations[1] = math.MaxInt },
		"pads":      func(w *convert.Window) { w.Pads[1] = math.MaxInt },
		"both": func(w *convert.Window) {
			w.Pads, w.Kernel, w.Dilations = [2]int{1 << 30, 1 << 30}, [2]int{1 << 30, 1 << 30}, [2]int{1 << 30, 1 << 30}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := converttest.Window(1, 1)
			change(&w)
			_, _, err := w.Output(8, 8)
			require.Error(t, err)
			for _, l := range []convert.Layer{&convert.MaxPool{Window: w}, &convert.SbS{Window: w}, &convert.Conv{Window: w}} {
				_, err := l.Output(convert.Size{Channels: 1, Height: 8, Width: 8})
				require.Error(t, err)
			}
		})
	}
	for _, crop := range []int{-1, math.MaxInt, math.MaxInt/2 + 1} {
		_, err := convert.Preprocessing{Crop: crop}.Output(convert.Size{Channels: 1, Height: 8, Width: 8})
		require.ErrorContains(t, err, "cannot crop")
	}
	l := converttest.New(1).SbS(converttest.Window(1, 1), 1, 1, 1)
	_, err := l.Output(convert.Size{Channels: math.MaxInt, Height: 8, Width: 8})
	require.Error(t, err)
}
