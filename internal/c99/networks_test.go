package c99_test

import (
	"math/rand/v2"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// networks returns networks that have all code of a C file together, by name: all layers, both samplers, all
// orders of sums, spikes that are skipped, factors that are divided out early, and padding.
func networks() map[string]*convert.Staged {
	all := map[string]*convert.Staged{
		"staged":     converttest.Staged(),
		"spikes":     single(spiking()),
		"samplers":   single(samplers()),
		"forgetting": single(forgetting()),
		"epsilon_xy": single(withEpsilonXY()),
		"cnn":        single(cnn()),
		"mixed":      single(mixed()),
		"refusing":   single(refusing()),
		"normalized": single(converttest.Normalized()),
		"pooling":    single(pooling()),
		"plain":      single(&convert.Network{Step: -1, Input: convert.Size{Channels: 2, Height: 1, Width: 3}, Layers: []convert.Layer{&convert.ReLU{}}}),
	}
	variants := converttest.NNMFVariants()
	all["nnmf"], all["nnmf_odd"] = single(variants["multiplicative"]), single(variants["other constants"])
	return all
}

func single(n *convert.Network) *convert.Staged {
	return &convert.Staged{Stages: []convert.Stage{{Network: n}}}
}

// whole returns a window that covers the output of the last layer of a network.
func whole(n *convert.Network) (w convert.Window, channels int) {
	sizes, err := n.Sizes()
	if err != nil {
		panic(err) // a mistake in the test
	}
	last := sizes[len(sizes)-1]
	w = converttest.Window(1, 1)
	w.Kernel = [2]int{last.Height, last.Width}
	return w, last.Channels
}

func odd() convert.Window {
	return convert.Window{Kernel: [2]int{2, 3}, Strides: [2]int{2, 1}, Dilations: [2]int{1, 2}, Pads: [2]int{1, 2}}
}

// sprinkle sets some weights of a layer to 0, and all weights of some rows, so that spikes are skipped.
func sprinkle(l *convert.SbS) *convert.SbS {
	r, v, n := rand.New(rand.NewPCG(3, 4)), l.Weights.Float32s(), l.Weights.Shape()[1]
	for i := range v {
		if r.IntN(4) == 0 || i/n%5 == 2 {
			v[i] = 0
		}
	}
	return l
}

// The last layers of these networks have several neurons for each of the partial sums: a different order of the
// additions changes the output. In layers before, it would seldom change a spike.

// spiking draws independent spikes. The first layer has factors that become large, and the last one skips spikes.
func spiking() *convert.Network {
	m := converttest.New(11)
	n := &convert.Network{Step: -1, Input: convert.Size{Channels: 2, Height: 7, Width: 6}, Preprocessing: convert.Preprocessing{Offset: 1e-20}}
	first := m.SbS(odd(), 2, 101, 170)
	first.Epsilon0 = 20
	n.Layers = append(n.Layers, first, sprinkle(m.SbS(converttest.Window(2, 1), 101, 47, 350)))
	return n
}

// forgetting has a layer that forgets, with more neurons.
func forgetting() *convert.Network {
	l := converttest.New(16).SbS(odd(), 2, 61, 170)
	l.Forgetting, l.Epsilon0 = 0.25, 3
	return &convert.Network{Step: -1, Input: convert.Size{Channels: 2, Height: 5, Width: 6}, Layers: []convert.Layer{l}}
}

// samplers draws evenly distributed spikes, for numbers of neurons with all orders of sums.
func samplers() *convert.Network {
	m := converttest.New(12)
	n := &convert.Network{Step: -1, Input: convert.Size{Channels: 1, Height: 9, Width: 8}}
	for i, l := range []*convert.SbS{
		m.SbS(converttest.Window(3, 2), 1, 33, 165), sprinkle(m.SbS(odd(), 33, 16, 40)), m.SbS(converttest.Window(1, 1), 16, 130, 325),
	} {
		l.Sampler = sbs.LowDiscrepancy
		l.Epsilon0 = float32(i*i*i) + 0.5
		n.Layers = append(n.Layers, l)
	}
	return n
}

// withEpsilonXY has factors for each output position, and for each place of the kernel. The last layer has none, and a
// common factor of h that becomes large.
func withEpsilonXY() *convert.Network {
	m := converttest.New(13)
	n := &convert.Network{Step: -1, Input: convert.Size{Channels: 2, Height: 6, Width: 6}, Preprocessing: convert.Preprocessing{Crop: 1, OnOffMean: []float32{0.4, 0.5}}}
	first := m.SbS(converttest.Window(2, 1), 4, 9, 60)
	first.EpsilonXY, first.Epsilon0 = m.Tensor(0.1, 3, 3, 3, 2, 2), 9
	second := m.SbS(converttest.Window(2, 1), 9, 40, 200)
	second.EpsilonXY, second.Forgetting, second.Sampler = m.Tensor(0.1, 1, 2, 2), 0.1, sbs.LowDiscrepancy
	last := m.SbS(converttest.Window(1, 1), 40, 17, 100)
	last.Epsilon0 = 5000
	n.Layers = append(n.Layers, first, second, last)
	return n
}

// cnn has convolutions and all kinds of pooling.
func cnn() *convert.Network {
	m := converttest.New(14)
	padded := converttest.Window(3, 1)
	padded.Pads = [2]int{1, 1}
	dilated := converttest.Window(2, 1)
	dilated.Dilations = [2]int{2, 2}
	n := &convert.Network{Step: -1, Input: convert.Size{Channels: 1, Height: 17, Width: 16}, Layers: []convert.Layer{
		m.Conv(padded, 1, 9), &convert.ReLU{}, &convert.MaxPool{Window: converttest.Window(2, 2)},
		m.Conv(odd(), 9, 6), &convert.AveragePool{Window: padded},
		m.ApproxConv(converttest.Window(1, 1), 6, 8, sbs.Approximation{FracBits: 30, TruncBits: 1, Enabled: true}), &convert.ReLU{},
		&convert.MaxPool{Window: dilated}, &convert.OnOff{}, &convert.AveragePool{Window: converttest.Window(2, 1)},
	}}
	n.Layers[3].(*convert.Conv).Bias = nil
	n.Classes = []string{"a\"b", "c\\d", "??/", "é", ""}
	w, channels := whole(n)
	n.Layers = append(n.Layers, &convert.AveragePool{Window: w}, m.Conv(converttest.Window(1, 1), channels, 5))
	return n
}

// pooling has windows, but no layer that copies what they show.
func pooling() *convert.Network {
	return &convert.Network{Step: -1, Input: convert.Size{Channels: 2, Height: 9, Width: 7}, Layers: []convert.Layer{
		&convert.MaxPool{Window: converttest.Window(2, 1)}, &convert.AveragePool{Window: converttest.Window(3, 2)},
	}}
}

// mixed has layers of all kinds, and an output with several positions.
func mixed() *convert.Network {
	m := converttest.New(15)
	padded := converttest.Window(3, 2)
	padded.Pads = [2]int{1, 1}
	additive := m.NNMF(converttest.Window(3, 1), 6, 11, 5)
	additive.Epsilon0 = 0.3
	return &convert.Network{Step: -1, Input: convert.Size{Channels: 3, Height: 13, Width: 12}, Layers: []convert.Layer{
		m.Conv(converttest.Window(2, 1), 3, 3), &convert.OnOff{Mean: m.Tensor(-0.5, 0.5, 1, 1, 12, 11)},
		additive, &convert.OnOff{Mean: m.Tensor(0, 0.1, 1, 1, 1, 1)},
		&convert.AveragePool{Window: converttest.Window(2, 2)}, m.SbS(padded, 22, 12, 35), &convert.MaxPool{Window: converttest.Window(2, 1)},
	}}
}

// refusing has a layer that refuses the negative numbers of the one before it.
func refusing() *convert.Network {
	m := converttest.New(17)
	return &convert.Network{Step: -1, Input: convert.Size{Channels: 1, Height: 5, Width: 5}, Layers: []convert.Layer{
		m.Conv(converttest.Window(1, 1), 1, 4), m.SbS(converttest.Window(5, 1), 4, 3, 10),
	}}
}

// images returns images of some kinds: random ones, one that is partly black, and a black one.
func images(size convert.Size, count int) *ops.Tensor {
	r := rand.New(rand.NewPCG(7, uint64(size.Height)))
	t, err := ops.Zeros(ops.Float32, []int{count, size.Channels, size.Height, size.Width})
	if err != nil {
		panic(err)
	}
	n := t.Len() / count
	for i := range t.Float32s() {
		switch i / n % 4 {
		case 0, 1:
			t.Float32s()[i] = float32(r.IntN(256)) / 255
		case 2:
			if i%n > n/2 {
				t.Float32s()[i] = r.Float32()
			}
		}
	}
	return t
}
