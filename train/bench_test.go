package train_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/train"
)

// BenchmarkTune trains networks with the shapes of the published ones. Every step is an
// update with 24 images of random pixels. The SbS network has 1600 spikes. The benchmark
// also reports the peak memory of the process, if the system provides it.
func BenchmarkTune(b *testing.B) {
	for _, c := range []struct {
		name    string
		network *convert.Network
		config  train.Config
	}{
		{"sbs", modeltest.Published(b), train.Config{}},
		{"sbs, last layer", modeltest.Published(b), train.Config{FreezeW: []string{"L0", "L2", "L4"}}},
		{"cnn", modeltest.PublishedCNN(b), train.Config{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			const images = 24
			t := newTrainer(b, c.network, c.config)
			batch := train.Batch{Images: modeltest.Pixels(1, images, c.network.Input), Labels: make([]int, images)}
			for i := range batch.Labels {
				batch.Labels[i] = i % 10
			}
			for b.Loop() {
				if _, err := t.Step(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(images*b.N)/b.Elapsed().Seconds(), "images/s")
			b.ReportMetric(float64(peakMemory())/1e6, "peak-MB")
		})
	}
}

// BenchmarkPart measures what the machines of sbs-cluster train do in an update: the gradient
// of a sub-batch of 24 images of random pixels, and the steps before and after it. Snapshot and Add are those of the command, Follow is
// that of a worker.
func BenchmarkPart(b *testing.B) {
	const images = 24
	mnist, _, err := pytorch.Load(pytorch.Options{Weights: "../models/mnist/Weights"})
	require.NoError(b, err)
	cifar10, err := os.ReadFile("../models/cifar10-fast/model.onnx")
	require.NoError(b, err)
	for _, c := range []struct {
		name  string
		model []byte
		input convert.Size
	}{
		{"mnist", modeltest.Write(b, mnist, convert.Options{}), mnist.Input},
		{"cifar10-fast", cifar10, convert.Size{Channels: 3, Height: 32, Width: 32}},
	} {
		t, err := train.New(c.model, train.Config{})
		require.NoError(b, err)
		batch := train.Batch{Images: modeltest.Pixels(1, images, c.input), Labels: make([]int, images)}
		b.Run(c.name+"/gradient", func(b *testing.B) {
			dst := make([]float32, t.Len())
			for b.Loop() {
				_, err := t.Gradient(b.Context(), batch, 0, 0, dst)
				require.NoError(b, err)
			}
		})
		snapshot, err := t.Snapshot()
		require.NoError(b, err)
		b.Run(c.name+"/snapshot", func(b *testing.B) {
			for b.Loop() {
				_, err := t.Snapshot()
				require.NoError(b, err)
			}
		})
		b.Run(c.name+"/follow", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, t.Follow(snapshot))
			}
		})
		b.Run(c.name+"/add", func(b *testing.B) {
			sum := make([]float32, t.Len())
			part, err := t.Gradient(b.Context(), batch, 0, 0, sum)
			require.NoError(b, err)
			for b.Loop() {
				_, err := t.Add([]train.Part{part}, sum)
				require.NoError(b, err)
			}
		})
		require.NoError(b, t.Close())
	}
}

// peakMemory returns the peak resident memory of the process in bytes, or 0 if it is
// unknown.
func peakMemory() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kB, _ := strconv.Atoi(f[1])
			return kB << 10
		}
	}
	return 0
}
