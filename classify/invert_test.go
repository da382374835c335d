package classify_test

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/runtime"
)

// negative returns an image with black and white exchanged.
func negative(t testing.TB, img image.Image) *image.Gray {
	t.Helper()
	src, ok := img.(*image.Gray)
	require.True(t, ok)
	out := image.NewGray(src.Rect)
	for i, v := range src.Pix {
		out.Pix[i] = 255 - v
	}
	return out
}

func TestInvert_GivesTheResultOfTheInvertedImage(t *testing.T) {
	_, images := pictures(t)
	images = images[:6]
	negatives := make([]image.Image, len(images))
	inFiles := t.TempDir()
	for i, img := range images {
		negatives[i] = negative(t, img)
		f, err := os.Create(filepath.Join(inFiles, string(rune('a'+i))+".png"))
		require.NoError(t, err)
		require.NoError(t, png.Encode(f, negatives[i]))
		require.NoError(t, f.Close())
	}
	results := func(images []image.Image, opts ...classify.Option) []classify.Result {
		r, err := open(t, shipped(t), opts...).Images(t.Context(), images...)
		require.NoError(t, err)
		return r
	}
	want := results(images)
	for i, r := range results(negatives) {
		require.True(t, r.Inverted)
		require.False(t, want[i].Inverted)
		require.Equal(t, want[i].Probabilities, r.Probabilities)
	}
	for i, r := range results(images, classify.Invert("yes"), classify.BatchSize(2)) {
		require.True(t, r.Inverted)
		require.NotEqual(t, want[i].Probabilities, r.Probabilities)
	}
	for i, r := range results(negatives, classify.Invert("no")) {
		require.False(t, r.Inverted)
		require.NotEqual(t, want[i].Probabilities, r.Probabilities)
	}

	// The same from files, whatever the other images of a batch are.
	for _, batch := range []int{1, 4} {
		c := open(t, shipped(t), classify.BatchSize(batch))
		files, err := c.OpenFiles([]string{inFiles}, "")
		require.NoError(t, err)
		i := 0
		for r, err := range c.All(t.Context(), files, 0) {
			require.NoError(t, err)
			require.NoError(t, r.Err)
			require.True(t, r.Inverted)
			require.Equal(t, want[i].Probabilities, r.Probabilities)
			i++
		}
		require.Equal(t, len(images), i)
		require.NoError(t, files.Close())

		x, err := c.Tensor(images...)
		require.NoError(t, err)
		y, err := c.Tensor(negatives...)
		require.NoError(t, err)
		require.Equal(t, x.Float32s(), y.Float32s())
		fromTensor, err := c.Run(t.Context(), y)
		require.NoError(t, err)
		require.False(t, fromTensor[0].Inverted)
	}
}

func TestImages_ReportBlankImages(t *testing.T) {
	white, grid := image.NewGray(image.Rect(0, 0, 28, 28)), image.NewGray(image.Rect(0, 0, 28, 28))
	for i := range white.Pix {
		white.Pix[i], grid.Pix[i] = 255, uint8(i%2*255)
	}
	r, err := open(t, shipped(t)).Images(t.Context(), white, image.NewGray(white.Rect), grid)
	require.NoError(t, err)
	require.Equal(t, []bool{true, true, false}, []bool{r[0].Blank, r[1].Blank, r[2].Blank})
	require.Equal(t, []bool{false, false, false}, []bool{r[0].Inverted, r[1].Inverted, r[2].Inverted})
}

func TestDecodeImage_TurnsAndLimits(t *testing.T) {
	photo, err := os.ReadFile("../internal/imagefile/testdata/turn6.jpg")
	require.NoError(t, err)
	img, err := classify.DecodeImage(photo, 35)
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, 5, 7), img.Bounds())
	_, err = classify.DecodeImage(photo, 34)
	require.ErrorContains(t, err, "classify: the image claims 7x5 pixels (height x width), want 1 to 34")
	_, err = classify.DecodeImage(photo, 0)
	require.ErrorContains(t, err, "at least 1")
	_, err = classify.DecodeImage(nil, 100)
	require.ErrorContains(t, err, "classify: want a PNG, JPEG")
}

func TestInvert_RefusesOtherWords(t *testing.T) {
	_, err := classify.Open("none", classify.Invert("maybe"))
	require.EqualError(t, err, `classify: invert "maybe": want auto, yes or no`)
}

func TestInvert_DoesNothingWithoutADescriptionOfTheTrainingImages(t *testing.T) {
	n := converttest.Digits()
	_, images := pictures(t)
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	m, err := runtime.New(data)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	c, err := classify.New(m, classify.Resize())
	require.NoError(t, err)
	r, err := c.Images(t.Context(), negative(t, images[0]))
	require.NoError(t, err)
	require.False(t, r[0].Inverted)

	// A damaged description is a warning.
	broken, err := onnx.Unmarshal(t.Context(), shipped(t))
	require.NoError(t, err)
	for _, p := range broken.MetadataProps {
		if p.GetKey() == metadata.Border {
			p.Value = `{"lower":[0]}`
		}
	}
	data, err = onnx.MarshalStamped(broken)
	require.NoError(t, err)
	c = open(t, data)
	require.Contains(t, strings.Join(c.Warnings(), "\n"), "metadata ai.sbs.border has 1, 0 and 0 values, want 3 each; no picture is inverted automatically")
	r, err = c.Images(t.Context(), negative(t, images[0]))
	require.NoError(t, err)
	require.False(t, r[0].Inverted)
}

// TestCases_AreClassifiedRight classifies pictures that users have reported.
func TestCases_AreClassifiedRight(t *testing.T) {
	cases := modeltest.SharedCases(t)
	n, _, err := pytorch.Load(pytorch.Options{Weights: "../models/mnist/Weights"})
	require.NoError(t, err)
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	c := open(t, data, classify.Runtime(runtime.WithSampler(runtime.LowDiscrepancy)))
	for path, inverted := range map[string]bool{
		"exif/exif6.jpg": false, "g4tiff/g4.tif": false, "g4tiff/right.png": false, "canvas/black_on_transparent.png": true,
	} {
		files, err := c.OpenFiles([]string{filepath.Join(cases, filepath.FromSlash(path))}, "")
		require.NoError(t, err)
		for r, err := range c.All(t.Context(), files, 0) {
			require.NoError(t, err)
			require.NoError(t, r.Err)
			require.Equal(t, 7, r.Class, path)
			require.InDelta(t, 0.9999, r.Probability, 5e-5, path)
			require.Equal(t, inverted, r.Inverted, path)
		}
		require.NoError(t, files.Close())
	}
}
