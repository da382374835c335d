package converttest

import (
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Variants returns networks of two SbS layers, by name. Each network has one of the
// features of an SbS layer, and some have several. Their images have 2 channels of 9x8
// pixels.
func Variants() map[string]*convert.Network {
	input := convert.Size{Channels: 2, Height: 9, Width: 8}
	variant := func(window convert.Window, change func(m *Maker, first *convert.SbS, oh, ow int)) *convert.Network {
		m := New(3)
		first := m.SbS(window, input.Channels, 7, 60)
		oh, ow, err := window.Output(input.Height, input.Width)
		if err != nil {
			panic(err) // the window does not fit
		}
		if change != nil {
			change(m, first, oh, ow)
		}
		last := Window(1, 1)
		last.Kernel = [2]int{oh, ow}
		return &convert.Network{Step: -1, Input: input, Layers: []convert.Layer{first, m.SbS(last, 7, 4, 50)}}
	}
	window := Window(3, 1)
	odd := convert.Window{Kernel: [2]int{2, 3}, Strides: [2]int{2, 1}, Dilations: [2]int{1, 2}, Pads: [2]int{1, 2}}
	wide := convert.Window{Kernel: [2]int{2, 2}, Strides: [2]int{3, 3}, Dilations: [2]int{1, 1}, Pads: [2]int{2, 1}}
	full := func(_ *Maker, l *convert.SbS, _, _ int) { l.FullLayer = true }
	alpha := func(_ *Maker, l *convert.SbS, _, _ int) { l.AlphaIterations = 3 }
	return map[string]*convert.Network{
		"plain":                       variant(window, nil),
		"strides, dilations and pads": variant(odd, nil),
		"1x1 window":                  variant(Window(1, 1), nil),
		"weights of 0": variant(window, func(_ *Maker, l *convert.SbS, _, _ int) {
			for i := range 14 { // two rows of 7 neurons: their spikes do not change h
				l.Weights.Float32s()[i] = 0
			}
		}),
		"forgetting": variant(window, func(_ *Maker, l *convert.SbS, _, _ int) { l.Forgetting = 0.3 }),
		"epsilon_xy per position": variant(window, func(m *Maker, l *convert.SbS, oh, ow int) {
			l.EpsilonXY = m.Tensor(0.1, 1, oh, ow)
		}),
		"epsilon_xy per position and place": variant(odd, func(m *Maker, l *convert.SbS, oh, ow int) {
			l.EpsilonXY = m.Tensor(0.1, 1, oh, ow, 2, 3)
		}),
		"alpha":                                  variant(window, alpha),
		"alpha with strides, dilations and pads": variant(odd, alpha),
		"alpha with a stride that leaves pixels out": variant(wide, alpha),
		"low discrepancy": variant(window, func(_ *Maker, l *convert.SbS, _, _ int) {
			l.Sampler = sbs.LowDiscrepancy
		}),
		"full layer": variant(window, full),
		"full layer with strides, dilations and pads":     variant(odd, full),
		"full layer with a stride that leaves pixels out": variant(wide, full),
		"two full layers": bothFull(variant(window, func(m *Maker, l *convert.SbS, oh, ow int) {
			l.Sampler, l.EpsilonXY = sbs.LowDiscrepancy, m.Tensor(0.1, 1, oh, ow)
		})),
		"full layer with everything": variant(odd, func(m *Maker, l *convert.SbS, oh, ow int) {
			l.FullLayer, l.EpsilonXY = true, m.Tensor(0.1, 1, oh, ow, 2, 3)
			l.Forgetting, l.AlphaIterations, l.Sampler = 0.2, 2, sbs.LowDiscrepancy
		}),
		"everything": variant(odd, func(m *Maker, l *convert.SbS, oh, ow int) {
			l.EpsilonXY = m.Tensor(0.1, 1, oh, ow, 2, 3)
			l.Forgetting, l.AlphaIterations, l.Sampler = 0.2, 2, sbs.LowDiscrepancy
		}),
	}
}

// bothFull makes all SbS layers of a network full layers.
func bothFull(n *convert.Network) *convert.Network {
	for _, l := range n.Layers {
		l.(*convert.SbS).FullLayer = true
	}
	return n
}
