// Package converttest makes small networks for tests.
package converttest

import (
	"encoding/json"
	"math/rand/v2"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Maker makes layers with random weights, which depend only on its seed and the order of
// the calls.
type Maker struct{ r *rand.Rand }

// New returns a Maker with a seed.
func New(seed uint64) *Maker { return &Maker{rand.New(rand.NewPCG(seed, 0))} }

// Window returns a square window without padding or dilation.
func Window(kernel, stride int) convert.Window {
	return convert.Window{Kernel: [2]int{kernel, kernel}, Strides: [2]int{stride, stride}, Dilations: [2]int{1, 1}}
}

// Tensor returns a float32 tensor of random numbers from lo to hi.
func (m *Maker) Tensor(lo, hi float32, shape ...int) *ops.Tensor {
	t, err := ops.Zeros(ops.Float32, shape)
	if err != nil {
		panic(err) // a mistake in the test
	}
	for i := range t.Float32s() {
		t.Float32s()[i] = lo + float32(m.r.Float32()*(hi-lo))
	}
	return t
}

// SbS returns a layer of n neurons, with normalized weights and the epsilon_t of
// dialect 2.
func (m *Maker) SbS(w convert.Window, channels, n, spikes int) *convert.SbS {
	k := channels * w.Kernel[0] * w.Kernel[1]
	t := m.Tensor(0.1, 1, k, n)
	v := t.Float32s()
	for c := range n {
		var sum float32
		for i := range k {
			sum += v[i*n+c]
		}
		for i := range k {
			v[i*n+c] /= sum
		}
	}
	return &convert.SbS{Window: w, Weights: t, Spikes: spikes, Epsilon0: 1, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(spikes)}
}

// OwnEpsilonT changes epsilon_t of the SbS layers of a network, so that it follows no
// schedule and cannot be extended to more spikes.
func OwnEpsilonT(n *convert.Network) *convert.Network {
	for _, l := range n.Layers {
		if s, ok := l.(*convert.SbS); ok {
			s.EpsilonT[len(s.EpsilonT)-1] /= 2
		}
	}
	return n
}

// Conv returns a convolution with out output channels and a bias.
func (m *Maker) Conv(w convert.Window, channels, out int) *convert.Conv {
	return &convert.Conv{
		Window: w, Weights: m.Tensor(-1, 1, out, channels, w.Kernel[0], w.Kernel[1]), Bias: m.Tensor(-1, 1, out),
	}
}

// ApproxConv returns a convolution like that of Conv with approximate products.
func (m *Maker) ApproxConv(w convert.Window, channels, out int, a sbs.Approximation) *convert.ApproxConv {
	c := m.Conv(w, channels, out)
	return &convert.ApproxConv{
		Window: w, Weights: c.Weights, Bias: c.Bias, FracBits: a.FracBits, TruncBits: a.TruncBits, Enabled: a.Enabled,
	}
}

// Approximate returns a network of approximate convolutions with the given settings, for
// images with 2 channels of 9x8 pixels, and a last layer that is an ordinary convolution. There
// are two approximate layers for each setting.
func Approximate(settings ...sbs.Approximation) *convert.Network {
	m := New(4)
	n := &convert.Network{Name: "approximate", Dialect: 2, Step: 3, Input: convert.Size{Channels: 2, Height: 9, Width: 8}}
	window := convert.Window{Kernel: [2]int{2, 3}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 2}, Pads: [2]int{1, 2}}
	channels := 2
	for _, a := range settings {
		first := m.ApproxConv(window, channels, 3, a)
		for i := range 5 { // some weights of 0
			first.Weights.Float32s()[3*i] = 0
		}
		n.Layers = append(n.Layers, first, &convert.ReLU{}, m.ApproxConv(Window(1, 1), 3, 4, a))
		channels = 4
	}
	sizes, err := n.Sizes()
	if err != nil {
		panic(err) // the layers do not fit
	}
	last := Window(1, 1)
	last.Kernel = [2]int{sizes[len(sizes)-1].Height, sizes[len(sizes)-1].Width}
	n.Layers = append(n.Layers, m.Conv(last, channels, 3))
	return n
}

// Digits returns a small network of the same structure as the published ones: images of
// 12x12 pixels, cropped to 8x8, two SbS layers with pooling in between, and 3 classes.
func Digits() *convert.Network {
	m := New(1)
	return &convert.Network{
		Name: "digits", Dialect: 2, Step: 7,
		Input:         convert.Size{Channels: 1, Height: 12, Width: 12},
		Preprocessing: convert.Preprocessing{Crop: 2, Offset: 1e-20},
		Layers: []convert.Layer{
			m.SbS(Window(3, 1), 1, 5, 40),
			&convert.AveragePool{Window: Window(2, 2)},
			m.SbS(Window(3, 1), 5, 3, 40),
		},
		Classes: []string{"a", "b", "c"},
		Sources: []convert.Source{
			{Path: "Weights/Weight_L0_S7.npy", SHA256: "00ff", DType: "float64", Shape: []int{9, 5}, Rounded: 3},
			{Path: "def.json", SHA256: "ff00"},
		},
		Training: json.RawMessage(`{"batch_size":24,"learning_parameters":{"loss_mode":1}}`),
	}
}

// EveryLayer returns a network with every kind of layer, for images with three channels
// and the on/off split.
func EveryLayer() *convert.Network {
	m := New(2)
	padded := Window(3, 1)
	padded.Pads = [2]int{1, 1}
	dilated := Window(2, 1)
	dilated.Dilations = [2]int{2, 2}
	first := m.SbS(Window(3, 1), 8, 5, 30)
	first.EpsilonXY = m.Tensor(0.1, 1, 10, 10, 3, 3)
	first.AlphaIterations = 2
	pooling := m.SbS(Window(2, 2), 5, 5, 30)
	pooling.Pooling = true
	pooling.EpsilonXY = m.Tensor(0.1, 1, 5, 5)
	forgets := m.SbS(padded, 6, 4, 30)
	forgets.Forgetting = 0.25
	forgets.Local = true
	forgets.Sampler = sbs.LowDiscrepancy
	return &convert.Network{
		Name: "every layer", Dialect: 1, Step: 0,
		Input:         convert.Size{Channels: 3, Height: 14, Width: 14},
		Preprocessing: convert.Preprocessing{Crop: 1, OnOffMean: []float32{0.4, 0.5, 0.6}},
		Layers: []convert.Layer{
			m.Conv(Window(1, 1), 6, 4),
			&convert.OnOff{Mean: m.Tensor(-0.5, 0.5, 1, 1, 12, 12)},
			first,
			pooling,
			&convert.ReLU{},
			&convert.MaxPool{Window: dilated},
			&convert.AveragePool{Window: Window(2, 1)},
			m.Conv(padded, 5, 3),
			&convert.OnOff{Mean: m.Tensor(0, 0, 1, 1, 1, 1)},
			forgets,
			&convert.Reconstruction{Weights: forgets.Weights},
		},
	}
}

// Normalized returns a small network of standard operators that normalizes its images, with the
// images and classes of Digits.
func Normalized() *convert.Network {
	m, n := New(6), Digits()
	n.Preprocessing = convert.Preprocessing{Crop: 2, Normalize: true}
	n.Layers = []convert.Layer{
		m.Conv(Window(3, 1), 1, 5), &convert.ReLU{}, &convert.MaxPool{Window: Window(2, 2)}, m.Conv(Window(3, 1), 5, 3),
	}
	return n
}
