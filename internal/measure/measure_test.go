package measure

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestModel_DoesNotDependOnBatchesAndWorkers compares with single images, run one by one.
func TestModel_DoesNotDependOnBatchesAndWorkers(t *testing.T) {
	dir := t.TempDir()
	clitest.Bars(t, dir, 300, 0)
	source, err := dataset.Open([]string{filepath.Join(dir, "TrainPatternStorage.npy")}, dataset.Options{})
	require.NoError(t, err)
	s, err := dataset.Load(t.Context(), source, 3, 1)
	require.NoError(t, err)
	require.NoError(t, source.Close())
	blur, err := noise.Parse("gaussian=0.3")
	require.NoError(t, err)

	for _, fixed := range []int{0, 7} {
		data, err := convert.ToONNX(converttest.Digits(), convert.Options{Batch: fixed})
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "model.onnx")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		m, err := runtime.Open(path)
		require.NoError(t, err)
		one, err := convert.ToONNX(converttest.Digits(), convert.Options{Batch: 1})
		require.NoError(t, err)
		single, err := runtime.New(one)
		require.NoError(t, err)

		updates := 0
		for _, l := range m.SbSLayers() {
			updates += l.Spikes * l.Positions
		}
		require.Positive(t, updates)

		var done []int
		answers, err := Model(t.Context(), m, s, Options{Noise: blur, Seed: 5, Workers: 2, Progress: func(n int) { done = append(done, n) }})
		require.NoError(t, err)
		require.Len(t, answers, 300)
		require.Equal(t, 300, done[len(done)-1])
		require.IsIncreasing(t, done)
		again, err := Model(t.Context(), m, s, Options{Noise: blur, Seed: 5, Workers: 1})
		require.NoError(t, err)
		require.Equal(t, answers, again)
		right := 0
		for i := range 300 {
			pixels := make([]float32, 144)
			s.Pixels(i, pixels)
			blur.Apply(pixels, 1, 12, 12, 5, uint64(i))
			x, err := runtime.NewTensor([]int{1, 1, 12, 12}, pixels)
			require.NoError(t, err)
			out, err := single.Run(t.Context(), map[string]*runtime.Tensor{"image": x}, runtime.Seed(5), runtime.FirstImage(uint64(i)))
			require.NoError(t, err)
			want := answer(out["probabilities"].Float32s(), s.Label(i))
			want.Updates = answers[i].Updates
			require.Equal(t, want, answers[i])
			require.EqualValues(t, updates, want.Updates)
			if want.Right {
				right++
			}
		}
		require.Equal(t, right, answers.Right())
		require.InDelta(t, float64(right)/3, answers.Accuracy(), 1e-12)
		require.NoError(t, m.Close())
		require.NoError(t, single.Close())
	}
}

// answer returns the answer that an output vector is.
func answer(output []float32, label int) Answer {
	best := 0
	for c, v := range output {
		if v > output[best] {
			best = c
		}
	}
	return Answer{Margin: runtime.Margin(output), Right: best == label}
}

func TestModel_RefusesNoiseThatDoesNotFitTheImages(t *testing.T) {
	dir := t.TempDir()
	clitest.Bars(t, dir, 3, 0)
	source, err := dataset.Open([]string{filepath.Join(dir, "TrainPatternStorage.npy")}, dataset.Options{})
	require.NoError(t, err)
	s, err := dataset.Load(t.Context(), source, 3, 1)
	require.NoError(t, err)
	require.NoError(t, source.Close())
	data, err := convert.ToONNX(converttest.Digits(), convert.Options{})
	require.NoError(t, err)
	m, err := runtime.New(data)
	require.NoError(t, err)
	for text, want := range map[string]string{
		"occlusion=13": "occlusion=13: the square of 13x13 pixels is larger than the images of 12x12 (height x width)",
		"crop-shift=3": "crop-shift=3: the crop can move by at most 2 pixels, because the model crops that many on each side",
	} {
		n, err := noise.Parse(text)
		require.NoError(t, err)
		_, err = Model(t.Context(), m, s, Options{Noise: n})
		require.EqualError(t, err, want)
	}
	require.NoError(t, m.Close())
}
