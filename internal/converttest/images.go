package converttest

import "github.com/spike-by-spike/sbs/convert"

// ImageLayers returns networks whose first layers handle whole images, followed by an SbS layer,
// by name. Their images have 2 channels of 6x5 pixels.
func ImageLayers() map[string]*convert.Network {
	network := func(first ...convert.Layer) *convert.Network {
		last := Window(1, 1)
		last.Kernel = [2]int{6, 5}
		return &convert.Network{
			Step: -1, Input: convert.Size{Channels: 2, Height: 6, Width: 5},
			Layers: append(first, New(4).SbS(last, 2, 4, 50)),
		}
	}
	return map[string]*convert.Network{
		"Poisson":                    network(&convert.Poisson{Spikes: 7}),
		"Poisson of high rates":      network(&convert.Poisson{Spikes: 120}),
		"Poisson of very high rates": network(&convert.Poisson{Spikes: 1000}),
		"spike image":                network(&convert.SpikeImage{Spikes: 40}),
		"spike image of one spike":   network(&convert.SpikeImage{Spikes: 1}),
		"spike image without spikes": network(&convert.SpikeImage{}),
		"spike image before Poisson": network(&convert.SpikeImage{Spikes: 30}, &convert.Poisson{Spikes: 12}),
		"Poisson of a rate of 1":     network(&convert.Poisson{Spikes: 1}),
	}
}
