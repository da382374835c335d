// Package modeltest provides models, images and recordings for the tests and benchmarks of
// several packages.
package modeltest

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// Write returns the bytes of the ONNX file of a network.
func Write(t testing.TB, n *convert.Network, opt convert.Options) []byte {
	t.Helper()
	data, err := convert.ToONNX(n, opt)
	require.NoError(t, err)
	return data
}

// Pixels returns n images of random pixels from 0 to 1.
func Pixels(seed uint64, n int, size convert.Size) *ops.Tensor {
	r := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n*size.Channels*size.Height*size.Width)
	for i := range v {
		v[i] = r.Float32()
	}
	return opstest.F32([]int{n, size.Channels, size.Height, size.Width}, v...)
}

// Published returns the published MNIST network. Without recordings it returns a network
// of the same shape with random weights.
func Published(t testing.TB) *convert.Network {
	if root := os.Getenv(SharedVariable); root != "" {
		n, _, err := pytorch.Load(pytorch.Options{Weights: filepath.Join(root, "fixtures", "weights", "mnist-sbs", "Weights")})
		require.NoError(t, err)
		return n
	}
	m := converttest.New(1)
	w := converttest.Window
	return &convert.Network{
		Step: -1, Input: convert.Size{Channels: 1, Height: 28, Width: 28},
		Preprocessing: convert.Preprocessing{Crop: 2, Offset: 1e-20},
		Layers: []convert.Layer{
			m.SbS(w(5, 1), 1, 32, 1600), &convert.AveragePool{Window: w(2, 2)},
			m.SbS(w(5, 1), 32, 64, 1600), &convert.AveragePool{Window: w(2, 2)},
			m.SbS(w(3, 1), 64, 96, 1600), m.SbS(w(1, 1), 96, 10, 1600),
		},
	}
}

// PublishedCNN returns the published MNIST network without SbS layers. Without recordings
// it returns a network of the same shape with random weights.
func PublishedCNN(t testing.TB) *convert.Network {
	if root := os.Getenv(SharedVariable); root != "" {
		n, _, err := pytorch.Load(pytorch.Options{Weights: filepath.Join(root, "fixtures", "weights", "mnist-cnn", "Weights")})
		require.NoError(t, err)
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
