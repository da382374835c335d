package training

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/noise"
)

// written writes the model of a network.
func written(t *testing.T, n *convert.Network) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, modeltest.Write(t, n, convert.Options{}), 0o600))
	return path
}

// fed returns the images of the first sub-batches of a training.
func fed(t *testing.T, count int, args ...string) [][]float32 {
	t.Helper()
	f := parse(t, args...)
	j, err := f.newJob(t.Context())
	require.NoError(t, err)
	batches, used := j.feed(t.Context(), 0, count)
	var images [][]float32
	for b := range batches {
		images = append(images, slices.Clone(b.pixels))
		used <- b
	}
	return images
}

// TestNoise_IsAddedBeforeTheCrop computes the images of a training without the code that makes its
// sub-batches. The share of images with noise is 1, so that no image stays clean.
func TestNoise_IsAddedBeforeTheCrop(t *testing.T) {
	path, data := model(t, convert.Options{}), bars(t, 30, 0)
	args := []string{path, "--data", data, "--seed", "4", "--batch", "1", "--epochs", "2", "--no-augmentation"}
	clean := fed(t, 60, args...)
	noisy := fed(t, 60, append(args, "--noise", "occlusion=9:12", "--noise-share", "1")...)
	require.Len(t, noisy, 60)

	f := parse(t, args...)
	j, err := f.newJob(t.Context())
	require.NoError(t, err)
	mix, err := noise.ParseMix([]string{"occlusion=9:12"}, 1)
	require.NoError(t, err)
	for epoch := range uint64(2) {
		var want [][]float32
		for i := range j.images.Len() {
			whole := make([]float32, 144)
			j.images.Pixels(i, whole)
			mix.Apply(whole, 1, 12, 12, 4, epoch, uint64(i))
			var center []float32
			for y := 2; y < 10; y++ {
				center = append(center, whole[12*y+2:12*y+10]...)
			}
			want = append(want, center)
		}
		require.ElementsMatch(t, want, noisy[30*epoch:30*epoch+30])
		require.NotEqual(t, clean[30*epoch:30*epoch+30], noisy[30*epoch:30*epoch+30])
	}
	require.NotEqual(t, noisy[:30], noisy[30:])
}

// TestNoise_LeavesTheOtherRandomNumbersAlone has noise in some images. The others are those of a
// training without noise.
func TestNoise_LeavesTheOtherRandomNumbersAlone(t *testing.T) {
	path, data := model(t, convert.Options{}), bars(t, 60, 0)
	args := []string{path, "--data", data, "--batch", "1", "--epochs", "2"}
	clean := fed(t, 120, args...)
	noisy := fed(t, 120, append(args, "--noise", "gaussian=0.1:0.3", "--noise", "contrast=0.5")...)
	same := 0
	for i := range clean {
		if slices.Equal(clean[i], noisy[i]) {
			same++
		}
	}
	require.InDelta(t, 60, same, 25, "half of the images stay clean")
	require.NotEqual(t, noisy, fed(t, 120, append(args, "--noise", "gaussian=0.1:0.3")...))
}

// TestNoise_ResumesWithTheSameResult interrupts a training of an SbS network and one of a
// convolution.
func TestNoise_ResumesWithTheSameResult(t *testing.T) {
	data := bars(t, 200, 0)
	convolution := converttest.Digits()
	convolution.Training = nil
	convolution.Layers = []convert.Layer{converttest.New(1).Conv(converttest.Window(8, 1), 1, 3)}
	for name, path := range map[string]string{"SbS": model(t, convert.Options{}), "Conv": written(t, convolution), "configuration": dialect2(t)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{path, "--data", data, "--noise", "gaussian=0:0.4", "--noise", "crop-shift=0:1", "--epochs", "3"}
			out := func(name string) string {
				if filepath.Ext(path) == ".json" {
					return filepath.Join(dir, name)
				}
				return filepath.Join(dir, name+".onnx")
			}
			result := func(name string) []byte {
				if filepath.Ext(path) == ".json" {
					return read(t, filepath.Join(dir, name, "model.onnx"))
				}
				return read(t, out(name))
			}
			_, shown := must(t, append(args, "-o", out("whole"), "--workers", "1")...)
			require.Contains(t, shown, "noise in 50% of the training images: gaussian=0:0.4 crop-shift=0:1\n")
			must(t, append(args[:3:3], "-o", out("clean"), "--epochs", "3")...)
			require.NotEqual(t, result("whole"), result("clean"))

			ctx, cancel := context.WithCancel(t.Context())
			var stdout bytes.Buffer
			errOut := &clitest.Stopper{Cancel: cancel, After: "epoch 1:"}
			args = append(args, "-o", out("parts"))
			require.ErrorIs(t, run(ctx, args, &stdout, errOut), cli.ErrInterrupted)
			require.Contains(t, errOut.String(), " --noise gaussian=0:0.4 --noise crop-shift=0:1 ")
			args = append(args, "--resume")
			for _, other := range [][]string{{"--noise", "blur=1"}, {"--noise-share", "0.4"}} {
				_, _, err := command(t, append(args, other...)...)
				require.ErrorContains(t, err, "is from a training with other settings; changed: "+other[0])
				require.NotContains(t, err.Error(), settingConfig)
			}
			must(t, append(args, "--workers", "3")...)
			require.Equal(t, result("whole"), result("parts"))
		})
	}
}

// TestNoise_TestsWithoutNoise has noise that removes every image.
func TestNoise_TestsWithoutNoise(t *testing.T) {
	args := []string{model(t, convert.Options{}), "--data", bars(t, 48, 24), "--lr", "1e-9"}
	_, clean := must(t, append(args, "-o", filepath.Join(t.TempDir(), "a.onnx"))...)
	_, noisy := must(t, append(args, "-o", filepath.Join(t.TempDir(), "b.onnx"), "--noise", "contrast=1", "--noise-share", "1")...)
	test := regexp.MustCompile(`before training: test .*|test [\d.]+%`)
	require.NotEmpty(t, test.FindAllString(clean, -1))
	require.Equal(t, test.FindAllString(clean, -1), test.FindAllString(noisy, -1))
}

func TestNoise_RefusesBeforeTraining(t *testing.T) {
	path, data := model(t, convert.Options{}), bars(t, 30, 0)
	reconstruction := converttest.Digits()
	first := reconstruction.Layers[0].(*convert.SbS)
	reconstruction.Layers, reconstruction.Training = []convert.Layer{first, &convert.Reconstruction{Weights: first.Weights}}, nil
	for _, c := range []struct {
		path string
		args []string
		want string
	}{
		{path, []string{"--noise", "fog=1:2"}, `--noise fog=1:2: "fog" is not a kind of noise`},
		{path, []string{"--noise", "gaussian=0:0.6:0.1"}, "without a step"},
		{path, []string{"--noise", "contrast=0:2"}, "contrast takes a level from 0 to 1"},
		{path, []string{"--noise", "blur=1", "--noise", "blur=2"}, "blur is given twice"},
		{path, []string{"--noise", "occlusion=1:13"}, "--noise: occlusion=13: the square of 13x13 pixels is larger than the images of 12x12"},
		{path, []string{"--noise", "crop-shift=0:3"}, "--noise: crop-shift=3: the crop can move by at most 2 pixels"},
		{path, []string{"--noise-share", "0.3"}, "--noise-share needs --noise"},
		{path, []string{"--noise", "blur=1", "--noise-share", "0"}, "--noise-share 0: want a number above 0, at most 1"},
		{path, []string{"--noise", "blur=1", "--noise-share", "1.1"}, "--noise-share 1.1: want"},
		{path, []string{"--noise", "blur=1", "--noise-share", "NaN"}, "--noise-share NaN: want"},
		{written(t, reconstruction), []string{"--noise", "blur=1"}, "--noise: the network ends with a reconstruction of its input"},
	} {
		dir := t.TempDir()
		_, _, err := command(t, append([]string{c.path, "--data", data, "-o", filepath.Join(dir, "out.onnx")}, c.args...)...)
		require.ErrorContains(t, err, c.want)
		require.NoFileExists(t, filepath.Join(dir, "out.onnx"))
	}
}
