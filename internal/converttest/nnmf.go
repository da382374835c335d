package converttest

import (
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// NNMF returns a layer of n neurons with normalized weights.
func (m *Maker) NNMF(w convert.Window, channels, n, iterations int) *convert.NNMF {
	return &convert.NNMF{Window: w, Weights: m.SbS(w, channels, n, 1).Weights, Iterations: iterations, Epsilon0: 1}
}

// NNMFVariants returns networks with NNMF layers, by name. Their images have 2 channels of 9x8
// pixels.
func NNMFVariants() map[string]*convert.Network {
	input := convert.Size{Channels: 2, Height: 9, Width: 8}
	variant := func(window convert.Window, change func(l *convert.NNMF)) *convert.Network {
		m := New(4)
		first := m.NNMF(window, input.Channels, 7, 6)
		if change != nil {
			change(first)
		}
		oh, ow, err := window.Output(input.Height, input.Width)
		if err != nil {
			panic(err) // the window does not fit
		}
		last := Window(1, 1)
		last.Kernel = [2]int{oh, ow}
		second := m.NNMF(last, 7, 4, 9)
		second.Gradient = sbs.GradientClosedForm
		return &convert.Network{Dialect: 2, Step: -1, Input: input, Layers: []convert.Layer{first, second}}
	}
	odd := convert.Window{Kernel: [2]int{2, 3}, Strides: [2]int{2, 1}, Dilations: [2]int{1, 2}, Pads: [2]int{1, 2}}
	return map[string]*convert.Network{
		"additive":                    variant(Window(3, 1), nil),
		"multiplicative":              variant(Window(3, 1), func(l *convert.NNMF) { l.Epsilon0 = 0 }),
		"negative epsilon_0":          variant(Window(3, 1), func(l *convert.NNMF) { l.Epsilon0 = -1 }),
		"strides, dilations and pads": variant(odd, func(l *convert.NNMF) { l.Epsilon0 = 0.25 }),
		"other constants": variant(odd, func(l *convert.NNMF) {
			l.TinySum, l.TinyReconstruction = 1e-19, 1e-10
		}),
	}
}
