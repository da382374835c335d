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

// BenchmarkTune trains networks of the shape of the published ones, an update for
// every sub-batch of 24 images of random pixels, the SbS network with 1600 spikes.
// It also reports the most memory that the process has had, where the system says
// it.
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

// peakMemory returns the largest resident size that the process has had, in
// bytes, 0 where that is not known.
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
