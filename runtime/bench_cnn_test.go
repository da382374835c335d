package runtime_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/convert/converttest"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// BenchmarkCNN runs the plain CNN that SbS networks for MNIST are compared with,
// and without the recordings one of the same shape with other weights, on images
// of random pixels. CNN_ONNX names a file to write the model to, for comparison
// with other runtimes.
func BenchmarkCNN(b *testing.B) {
	n := publishedCNN(b)
	data := write(b, n, convert.Options{})
	if path := os.Getenv("CNN_ONNX"); path != "" {
		require.NoError(b, os.WriteFile(path, data, 0o644))
	}
	for _, tier := range kernel.Tiers() {
		for _, workers := range []int{1, 2} {
			for _, images := range []int{1, 64} {
				b.Run(fmt.Sprintf("%v/workers=%d/batch=%d", tier, workers, images), func(b *testing.B) {
					defer kernel.Use(tier)()
					m, err := runtime.New(data, runtime.Workers(workers))
					require.NoError(b, err)
					in := map[string]*runtime.Tensor{"image": pixels(1, images, n.Input)}
					b.ReportAllocs()
					for b.Loop() {
						if _, err := m.Run(b.Context(), in); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(images*b.N)/b.Elapsed().Seconds(), "images/s")
				})
			}
		}
	}
}

func publishedCNN(b *testing.B) *convert.Network {
	if root := os.Getenv(opstest.SharedVariable); root != "" {
		n, _, err := pytorch.Load(pytorch.Options{Weights: filepath.Join(root, "fixtures", "weights", "mnist-cnn", "Weights"), Step: -1})
		require.NoError(b, err)
		return n
	}
	m := converttest.New(1)
	w := converttest.Window
	return &convert.Network{
		Step: -1, Input: convert.Size{Channels: 1, Height: 28, Width: 28},
		Preprocessing: convert.Preprocessing{Crop: 2},
		Layers: []convert.Layer{
			m.Conv(w(5, 1), 1, 32), &convert.ReLU{}, &convert.MaxPool{Window: w(2, 2)},
			m.Conv(w(5, 1), 32, 64), &convert.ReLU{}, &convert.MaxPool{Window: w(2, 2)},
			m.Conv(w(3, 1), 64, 96), &convert.ReLU{}, m.Conv(w(1, 1), 96, 10),
		},
	}
}
