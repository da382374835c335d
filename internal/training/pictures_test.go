package training

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/dataset"
)

// negatives writes the images in a folder as PNG files with black and white exchanged, in one
// folder per class.
func negatives(t *testing.T, data string) string {
	t.Helper()
	images, err := dataset.LoadPaths(t.Context(), []string{data}, dataset.Options{}, 1)
	require.NoError(t, err)
	folder := t.TempDir()
	pixels := make([]float32, 144)
	for i := range images.Len() {
		images.Pixels(i, pixels)
		img := image.NewGray(image.Rect(0, 0, 12, 12))
		for k, v := range pixels {
			img.Pix[k] = 255 - uint8(v*255)
		}
		class := filepath.Join(folder, fmt.Sprint(images.Label(i)))
		require.NoError(t, os.MkdirAll(class, 0o755))
		f, err := os.Create(filepath.Join(class, fmt.Sprintf("%03d.png", i)))
		require.NoError(t, err)
		require.NoError(t, png.Encode(f, img))
		require.NoError(t, f.Close())
	}
	return folder
}

func TestTrain_InvertsPicturesForAModelThatLearnedTheOther(t *testing.T) {
	data, out := bars(t, 96, 0), t.TempDir()
	_, errOut := must(t, dialect2(t), "--data", data, "-o", out, "--epochs", "1", "--no-test")
	require.NotContains(t, errOut, "invert")
	start := filepath.Join(out, "model.onnx")
	require.Equal(t, &convert.Borders{}, network(t, start).Borders, "black")

	paper := negatives(t, data)
	require.NoError(t, os.WriteFile(filepath.Join(paper, "0", "photo.heic"), nil, 0o600))
	tuned := filepath.Join(t.TempDir(), "tuned.onnx")
	_, errOut = must(t, start, "--data", paper, "-o", tuned, "--epochs", "1", "--test", paper)
	require.Contains(t, errOut, "96 of 96 images were inverted (dark became light)")
	require.Contains(t, errOut, "1 file in "+paper+" was skipped: "+filepath.Join("0", "photo.heic")+" (HEIC)")
	require.Equal(t, &convert.Borders{}, network(t, tuned).Borders)

	_, errOut = must(t, start, "--data", paper, "-o", tuned, "--epochs", "1", "--no-test", "--invert", "no", "--force")
	require.NotContains(t, errOut, "invert")
	require.Equal(t, [3]float32{1, 1, 1}, network(t, tuned).Borders.Median)

	// A new network learns what it is given.
	out = t.TempDir()
	_, errOut = must(t, dialect2(t), "--data", paper, "-o", out, "--epochs", "1", "--no-test")
	require.NotContains(t, errOut, "invert")
	require.Equal(t, [3]float32{1, 1, 1}, network(t, filepath.Join(out, "model.onnx")).Borders.Median)
}
