package clitest

import (
	"bytes"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/npy"
)

// Bars writes a training and a test set in the format of PyTorch-SbS to a folder: 12x12 images
// of a vertical, horizontal or diagonal bar, which are the three classes.
func Bars(t testing.TB, dir string, training, test int) {
	t.Helper()
	for i, name := range []string{"Train", "Test"} {
		n := []int{training, test}[i]
		if n == 0 {
			continue
		}
		labels, pixels := drawBars(uint64(i), n)
		pixels[0] = 1 // the same maximum in both sets
		Array(t, filepath.Join(dir, name+"PatternStorage.npy"), []int{n, 12, 12}, pixels)
		Array(t, filepath.Join(dir, name+"LabelStorage.npy"), []int{n}, labels)
	}
}

// drawBars returns the labels and the pixels of n images.
func drawBars(seed uint64, n int) (labels []uint64, pixels []float32) {
	r := rand.New(rand.NewPCG(seed, 0))
	labels, pixels = make([]uint64, n), make([]float32, n*144)
	for i := range labels {
		labels[i] = r.Uint64N(3)
		x, y := 4+r.IntN(3), 4+r.IntN(3)
		for j := range 5 {
			at := [][2]int{{2 + j, x}, {y, 2 + j}, {2 + j, 2 + j + r.IntN(2)}}[labels[i]]
			pixels[i*144+(at[0]+1)*12+at[1]] = 0.5 + float32(r.Float32()/2)
		}
	}
	return labels, pixels
}

// Paper writes n images of bars as PNG files, dark on white, in one folder per class.
func Paper(t testing.TB, dir string, n int) {
	t.Helper()
	labels, pixels := drawBars(2, n)
	for i, label := range labels {
		img := image.NewGray(image.Rect(0, 0, 12, 12))
		for k, v := range pixels[i*144 : (i+1)*144] {
			img.Pix[k] = 255 - uint8(v*255)
		}
		class := filepath.Join(dir, strconv.FormatUint(label, 10))
		require.NoError(t, os.MkdirAll(class, 0o755))
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, img))
		require.NoError(t, os.WriteFile(filepath.Join(class, strconv.Itoa(i)+".png"), b.Bytes(), 0o600))
	}
}

// Array writes an .npy file.
func Array(t testing.TB, path string, shape []int, data any) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, npy.Write(&b, &npy.Array{Shape: shape, Data: data}))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
}
