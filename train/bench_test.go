package train_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/spike-by-spike/sbs/convert"
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
