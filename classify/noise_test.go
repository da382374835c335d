package classify_test

import (
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/runtime"
)

// The model has the pixels as its output, which shows the noise itself.
func TestNoise_ChangesTheInputOfTheModel(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 2, 2))
	for i, v := range []uint8{0, 51, 102, 255} {
		img.SetGray(i%2, i/2, color.Gray{Y: v})
	}
	model := passThrough(t, "probabilities")
	for text, want := range map[string][]float32{
		"":                             {0, 0.2, 0.4, 1},
		"contrast=0.6":                 {0.3, 0.38, 0.46, 0.7},
		"contrast=1,salt-and-pepper=0": {0.5, 0.5, 0.5, 0.5},
		"contrast=0.6,occlusion=2":     {0, 0, 0, 0},
		"occlusion=2,contrast=0.6":     {0.3, 0.3, 0.3, 0.3},
	} {
		c := open(t, model, classify.Noise(text))
		got, err := c.Images(t.Context(), img)
		require.NoError(t, err)
		require.InDeltaSlice(t, want, got[0].Probabilities, 1e-6, text)
		x, err := c.Tensor(img)
		require.NoError(t, err)
		require.InDeltaSlice(t, want, x.Float32s(), 1e-6, text)
	}
	got, err := open(t, model, classify.Noise("contrast=0.6"), classify.Noise("")).Images(t.Context(), img)
	require.NoError(t, err)
	require.InDeltaSlice(t, []float32{0, 0.2, 0.4, 1}, got[0].Probabilities, 1e-6, "the last option counts")
}

// The expected results come from a model without noise and images to which the test has
// added the noise. The model crops images from 28x28 to 24x24.
func TestNoise_DoesNotDependOnBatchesAndWorkers(t *testing.T) {
	const text, seed = "gaussian=0.3,salt-and-pepper=0.1,occlusion=8,shot=0.1,rotation=10,translation=1.5,blur=0.5,crop-shift=2", 9
	data := shipped(t)
	network, err := convert.FromONNX(data)
	require.NoError(t, err)
	require.Equal(t, 2, network.Preprocessing.Crop, "this test needs a model that crops images")
	_, images := pictures(t)
	clean := open(t, data)
	x, err := clean.Tensor(images...)
	require.NoError(t, err)
	n, err := noise.Parse(text)
	require.NoError(t, err)
	for i := range images {
		n.Apply(x.Float32s()[i*784:(i+1)*784], 1, 28, 28, seed, uint64(i))
	}
	want, err := clean.Run(t.Context(), x, runtime.Seed(seed))
	require.NoError(t, err)
	unchanged, err := open(t, data, classify.Seed(seed)).Images(t.Context(), images...)
	require.NoError(t, err)
	require.NotEqual(t, unchanged, want)

	fixed := modeltest.Write(t, network, convert.Options{Batch: 7})
	options := []classify.Option{classify.Noise(text), classify.Seed(seed)}
	for name, c := range map[string]*classify.Classifier{
		"default":       open(t, data, options...),
		"batches of 1":  open(t, data, append(options, classify.BatchSize(1), classify.Workers(2))...),
		"batches of 7":  open(t, data, append(options, classify.BatchSize(7), classify.Workers(1))...),
		"fixed batches": open(t, fixed, options...),
	} {
		got, err := c.Images(t.Context(), images...)
		require.NoError(t, err)
		require.Equal(t, want, got, name)
		for i, r := range all(t, c, 0, folder) {
			require.NoError(t, r.Err)
			require.Equal(t, want[i], r.Result, "%s, file %d", name, i)
		}
	}
	noisy := open(t, data, options...)
	x, err = noisy.Tensor(images...)
	require.NoError(t, err)
	got, err := noisy.Run(t.Context(), x)
	require.NoError(t, err)
	require.Equal(t, want, got, "Tensor adds the noise, and Run does not add it again")
	other, err := open(t, data, classify.Noise(text), classify.Seed(seed+1)).Images(t.Context(), images...)
	require.NoError(t, err)
	require.NotEqual(t, want, other, "another seed")
}

func TestNoise_IsUnchangedByBrokenImages(t *testing.T) {
	paths, _ := pictures(t)
	broken := filepath.Join(t.TempDir(), "broken.png")
	require.NoError(t, os.WriteFile(broken, []byte("\x89PNG\r\n\x1a\nno"), 0o600))
	c := open(t, shipped(t), classify.Noise("uniform=0.5"))
	want := all(t, c, 0, paths[0], paths[1], paths[2])
	got := all(t, c, 0, paths[0], broken, paths[2])
	require.Equal(t, want[0], got[0])
	require.Equal(t, want[2], got[2])
	require.ErrorContains(t, got[1].Err, broken)
}

func TestNoise_RefusesInvalidLevels(t *testing.T) {
	data := shipped(t)
	_, err := classify.Open(write(t, data), classify.Noise("contrast=1.5"))
	require.EqualError(t, err, `classify: noise "contrast=1.5": contrast takes a level from 0 to 1`)
	_, err = classify.Open(write(t, data), classify.Noise("fog=1"))
	require.ErrorContains(t, err, "the kinds are gaussian, ")
	const large = "occlusion=29: the square of 29x29 pixels is larger than the images of 28x28 (height x width)"
	path := write(t, data)
	_, err = classify.Open(path, classify.Noise("occlusion=29"))
	require.EqualError(t, err, "classify: "+path+": "+large)
	model, err := runtime.New(data)
	require.NoError(t, err)
	defer model.Close()
	_, err = classify.New(model, classify.Noise("occlusion=29"))
	require.EqualError(t, err, "classify: "+large)
	c, err := classify.New(model, classify.Noise("occlusion=28"))
	require.NoError(t, err, "a square as large as the image before it is cropped")
	require.NoError(t, c.Close())
}
