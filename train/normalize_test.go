package train_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/train"
)

// TestNormalize_IsTrainedWithNoise trains a network that normalizes its images by itself.
func TestNormalize_IsTrainedWithNoise(t *testing.T) {
	n := convNet()
	n.Preprocessing = convert.Preprocessing{Crop: 2, Normalize: true}
	trainer := newTrainer(t, n, train.Config{Noise: []string{"contrast=0:0.6", "gaussian=0:0.3"}, RateW: 0.01, Seed: 1})
	first := step(t, trainer, bars(0, 100)).LossPerImage
	var last float64
	for i := range uint64(100) {
		last = step(t, trainer, bars(i, 24)).LossPerImage
	}
	require.Less(t, last, 0.5*first)
	trained := networkOf(t, trainer)
	require.Equal(t, n.Preprocessing, trained.Preprocessing)
	require.NotEqual(t, weights(n), weights(trained), "the weights before the nodes without gradient change")
}
