package runtime_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// BenchmarkNetwork runs the published MNIST network on images of random pixels. Without the
// recordings, it runs a network of the same shape with other weights.
func BenchmarkNetwork(b *testing.B) {
	benchmark(b, modeltest.Published(b), []int{1, 256})
}

// fewSpikes returns the options with which the published MNIST network needs 14,000 updates
// per image.
func fewSpikes() runtime.LayerOption {
	layer := func(spikes int, epsilon0 float32) sbs.Dynamics {
		return sbs.Dynamics{Spikes: spikes, Sampler: sbs.LowDiscrepancy, Epsilon0: epsilon0, Schedule: &sbs.Schedule{}}
	}
	return runtime.EachLayer(layer(25, 8), layer(100, 0.5), layer(200, 0.3), layer(200, 0.3))
}

// BenchmarkFewSpikes runs the published MNIST network with few spikes, and the CNN with which
// it is compared. x-cnn is the speed relative to the CNN in the same run.
func BenchmarkFewSpikes(b *testing.B) {
	networks := []struct {
		name    string
		n       *convert.Network
		options []runtime.Option
	}{
		{"cnn", modeltest.PublishedCNN(b), nil},
		{"sbs", modeltest.Published(b), []runtime.Option{fewSpikes()}},
	}
	cnn := map[string]float64{}
	for _, tier := range kernel.Tiers() {
		for _, workers := range []int{1, 2} {
			for _, images := range []int{1, 64} {
				for _, network := range networks {
					task := fmt.Sprintf("%v/workers=%d/batch=%d", tier, workers, images)
					data := modeltest.Write(b, network.n, convert.Options{})
					b.Run(network.name+"/"+task, func(b *testing.B) {
						defer kernel.Use(tier)()
						rate := imagesPerSecond(b, data, images, network.n.Input, append(network.options, runtime.Workers(workers))...)
						if network.name == "cnn" {
							cnn[task] = rate
						} else if c := cnn[task]; c > 0 {
							b.ReportMetric(rate/c, "x-cnn")
						}
					})
				}
			}
		}
	}
}

// BenchmarkLayer runs each layer of the published MNIST network alone.
func BenchmarkLayer(b *testing.B) {
	n := modeltest.Published(b)
	sizes, err := n.Sizes()
	require.NoError(b, err)
	for i, l := range n.Layers {
		alone := &convert.Network{Step: -1, Input: sizes[i], Layers: []convert.Layer{l}}
		b.Run(fmt.Sprintf("L%d-%s-%v", i, l.Kind(), sizes[i+1]), func(b *testing.B) {
			benchmark(b, alone, []int{256})
		})
	}
}

// benchmark runs a network for all combinations of tier, sampler, number of spikes, workers
// and batch size. x-portable is the speed relative to the portable tier in the same run.
func benchmark(b *testing.B, n *convert.Network, batches []int) {
	data := modeltest.Write(b, n, convert.Options{})
	portable := map[string]float64{}
	for _, tier := range kernel.Tiers() {
		for _, spikes := range []int{1600, 100} {
			for _, sampler := range []sbs.Sampler{sbs.IID, sbs.LowDiscrepancy} {
				for _, workers := range []int{1, 2} {
					for _, images := range batches {
						if sampler == sbs.LowDiscrepancy && spikes == 1600 {
							continue // this sampler is for few spikes
						}
						task := fmt.Sprintf("%v/spikes=%d/workers=%d/batch=%d", sampler, spikes, workers, images)
						b.Run(fmt.Sprintf("%v/%s", tier, task), func(b *testing.B) {
							defer kernel.Use(tier)()
							rate := imagesPerSecond(b, data, images, n.Input, runtime.Workers(workers), runtime.Spikes(spikes), runtime.WithSampler(sampler))
							b.ReportMetric(rate*spikesPerImage(b, n, spikes)/1e6, "Mspikes/s")
							b.ReportMetric(0, "ns/op")
							if tier == kernel.Portable {
								portable[task] = rate
							} else if p := portable[task]; p > 0 {
								b.ReportMetric(rate/p, "x-portable")
							}
						})
					}
				}
			}
		}
	}
}

// imagesPerSecond runs a model on batches of images of random pixels and reports its speed.
func imagesPerSecond(b *testing.B, data []byte, images int, size convert.Size, opts ...runtime.Option) float64 {
	m, err := runtime.New(data, opts...)
	require.NoError(b, err)
	in := map[string]*runtime.Tensor{"image": modeltest.Pixels(1, images, size)}
	for b.Loop() {
		if _, err := m.Run(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
	rate := float64(images*b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "images/s")
	return rate
}

func spikesPerImage(b *testing.B, n *convert.Network, spikes int) float64 {
	sizes, err := n.Sizes()
	require.NoError(b, err)
	positions := 0
	for i, l := range n.Layers {
		if _, ok := l.(*convert.SbS); ok {
			positions += sizes[i+1].Height * sizes[i+1].Width
		}
	}
	return float64(positions * spikes)
}
