package runtime_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/runtime"
)

// BenchmarkCNN runs the plain CNN with which SbS networks for MNIST are compared, on images
// of random pixels. Without the recordings, it runs a network of the same shape with other
// weights. CNN_ONNX names a file to which it writes the model, for comparison with other
// runtimes.
func BenchmarkCNN(b *testing.B) {
	n := modeltest.PublishedCNN(b)
	data := modeltest.Write(b, n, convert.Options{})
	if path := os.Getenv("CNN_ONNX"); path != "" {
		require.NoError(b, os.WriteFile(path, data, 0o644))
	}
	for _, tier := range kernel.Tiers() {
		for _, workers := range []int{1, 2} {
			for _, images := range []int{1, 64} {
				b.Run(fmt.Sprintf("%v/workers=%d/batch=%d", tier, workers, images), func(b *testing.B) {
					defer kernel.Use(tier)()
					b.ReportAllocs()
					imagesPerSecond(b, data, images, n.Input, runtime.Workers(workers))
				})
			}
		}
	}
}
