package classification

import (
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
)

// writeImage writes an image of 28x28 pixels.
func writeImage(t *testing.T, path string, at func(x, y int) color.NRGBA) {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 28, 28))
	for y := range 28 {
		for x := range 28 {
			img.SetNRGBA(x, y, at(x, y))
		}
	}
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, png.Encode(f, img))
	require.NoError(t, f.Close())
}

// seven returns the values of a 7 of MNIST.
func seven(t *testing.T) *image.Gray {
	t.Helper()
	f, err := os.Open(filepath.Join(digits, "7/00000.png"))
	require.NoError(t, err)
	img, err := png.Decode(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	gray, ok := img.(*image.Gray)
	require.True(t, ok)
	return gray
}

func TestRun_InvertsPicturesAndSaysSo(t *testing.T) {
	model, err := filepath.Abs(prototypes(t, convert.Options{}))
	require.NoError(t, err)
	ink := seven(t)
	t.Chdir(t.TempDir())
	writeImage(t, "chalk.png", func(x, y int) color.NRGBA { v := ink.GrayAt(x, y).Y; return color.NRGBA{v, v, v, 255} })
	writeImage(t, "canvas.png", func(x, y int) color.NRGBA { return color.NRGBA{0, 0, 0, ink.GrayAt(x, y).Y} })
	writeImage(t, "paper.png", func(x, y int) color.NRGBA { v := 255 - ink.GrayAt(x, y).Y; return color.NRGBA{v, v, v, 255} })

	out, errOut, err := command(t, model, "canvas.png", "chalk.png", "paper.png")
	require.NoError(t, err)
	require.Equal(t, "warning: 2 of 3 images were inverted (dark became light) to have a background like the images that the model learned: "+
		"--invert no leaves images as they are\n", errOut)
	lines := strings.Split(out, "\n")
	result := strings.SplitN(lines[0], "\t", 2)[1]
	require.Equal(t, "7", strings.Split(result, "\t")[0])
	for _, line := range lines[1:3] {
		require.Equal(t, "7", strings.Split(line, "\t")[1])
	}

	_, errOut, err = command(t, model, "paper.png")
	require.NoError(t, err)
	require.Contains(t, errOut, "warning: the image was inverted")

	out, errOut, err = command(t, model, ".", "--format", "json")
	require.NoError(t, err)
	require.Contains(t, errOut, "2 of 3 images were inverted")
	var d document
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	for _, r := range d.Results {
		require.Equal(t, r.Image != "chalk.png", r.Inverted, r.Image)
	}
	require.Equal(t, 2, d.Summary.Inverted)

	for flag, inverted := range map[string]int{"no": 0, "yes": 3} {
		out, errOut, err = command(t, model, ".", "--format", "json", "--invert", flag)
		require.NoError(t, err)
		require.Empty(t, errOut)
		d = document{}
		require.NoError(t, json.Unmarshal([]byte(out), &d))
		require.Equal(t, inverted, d.Summary.Inverted)
	}
	_, _, err = command(t, model, ".", "--invert", "maybe")
	require.ErrorContains(t, err, "want auto, yes or no")
}

func TestRun_ReportsBlankPicturesAndSkippedFiles(t *testing.T) {
	model, err := filepath.Abs(prototypes(t, convert.Options{}))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	writeImage(t, "clear.png", func(int, int) color.NRGBA { return color.NRGBA{} })
	require.NoError(t, os.WriteFile("photo.heic", []byte("\x00\x00\x00\x18ftypheic"), 0o600))
	out, errOut, err := command(t, model, ".", "--format", "json")
	require.NoError(t, err)
	require.Equal(t, "warning: 1 file in . was skipped: photo.heic (HEIC)\n"+
		"warning: clear.png is blank: all its pixels have nearly the same value, transparent ones on white\n", errOut)
	var d document
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	require.True(t, d.Results[0].Blank)
	require.Equal(t, 1, d.Summary.Blank)

	_, _, err = command(t, model, "photo.heic")
	require.ErrorContains(t, err, "the format of photo.heic is HEIC, which cannot be read: save it as PNG with another program")
}
