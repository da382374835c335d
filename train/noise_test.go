package train_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/train"
)

// TestNoise_IsThatOfTheImagesSoFar adds the noise to the images without package train.
func TestNoise_IsThatOfTheImagesSoFar(t *testing.T) {
	texts := []string{"gaussian=0.1:0.5", "crop-shift=0:2"}
	mix, err := noise.ParseMix(texts, 0.75)
	require.NoError(t, err)
	for name, n := range map[string]*convert.Network{"SbS layers": sbsNet(2), "standard layers": convNet()} {
		t.Run(name, func(t *testing.T) {
			noisy := newTrainer(t, n, train.Config{Noise: texts, NoiseShare: 0.75, RateW: 0.1, Seed: 6})
			plain := newTrainer(t, n, train.Config{RateW: 0.1, Seed: 6})
			image := uint64(0)
			for i := range uint64(4) {
				b := bars(i, 5+int(i))
				kept := b.Images.Clone()
				got := step(t, noisy, b)
				require.Equal(t, kept, b.Images, "Step does not change the batch")
				for pixels := range slices.Chunk(b.Images.Float32s(), 144) {
					mix.Apply(pixels, 1, 12, 12, 6, 0, image)
					image++
				}
				require.NotEqual(t, kept, b.Images)
				want := step(t, plain, b)
				require.Equal(t, want, got)
			}
			require.Equal(t, fileOf(t, plain), fileOf(t, noisy))

			b := bars(9, 5)
			want, err := plain.Evaluate(t.Context(), b, 3)
			require.NoError(t, err)
			got, err := noisy.Evaluate(t.Context(), b, 3)
			require.NoError(t, err)
			require.Equal(t, want, got, "Evaluate adds no noise")
		})
	}
}

func TestNoise_ResumesWithTheSameResult(t *testing.T) {
	cfg := train.Config{Noise: []string{"uniform=0:0.5"}, RateW: 0.1, Seed: 2}
	whole := newTrainer(t, sbsNet(2), cfg)
	step(t, whole, bars(0, 5))
	state, err := whole.State()
	require.NoError(t, err)
	cfg.Workers = 1
	resumed := newTrainer(t, sbsNet(2), cfg)
	require.NoError(t, resumed.Restore(state))
	require.Equal(t, step(t, whole, bars(1, 7)), step(t, resumed, bars(1, 7)))
	require.Equal(t, fileOf(t, whole), fileOf(t, resumed))

	for _, change := range []func(c *train.Config){
		func(c *train.Config) { c.Noise = nil },
		func(c *train.Config) { c.Noise = []string{"uniform=0:0.6"} },
		func(c *train.Config) { c.NoiseShare = 0.6 },
	} {
		other := cfg
		change(&other)
		require.ErrorContains(t, newTrainer(t, sbsNet(2), other).Restore(state), "the state belongs to another Config")
	}
}

func TestNoise_IsCheckedByNew(t *testing.T) {
	for _, c := range []struct {
		config train.Config
		want   string
	}{
		{train.Config{Noise: []string{"fog=1"}}, `noise fog=1: "fog" is not a kind of noise`},
		{train.Config{Noise: []string{"contrast=0:2"}}, "contrast takes a level from 0 to 1"},
		{train.Config{Noise: []string{"occlusion=1:13"}}, "occlusion=13: the square of 13x13 pixels is larger than the images of 12x12"},
		{train.Config{Noise: []string{"crop-shift=3"}}, "crop-shift=3: the crop can move by at most 2 pixels"},
		{train.Config{Noise: []string{"blur=1"}, NoiseShare: 1.5}, "NoiseShare is 1.5, want a number above 0, at most 1 (or 0 for the default)"},
		{train.Config{NoiseShare: -1}, "NoiseShare is -1"},
	} {
		_, err := train.New(modeltest.Write(t, sbsNet(2), convert.Options{}), c.config)
		require.ErrorIs(t, err, train.ErrTrain)
		require.ErrorContains(t, err, c.want)
	}
}
