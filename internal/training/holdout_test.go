package training

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/npy"
)

// TestHoldout_NoWeightSeesTheImages changes the pixels of the images that are held back, and
// then those of another image.
func TestHoldout_NoWeightSeesTheImages(t *testing.T) {
	const images, count = 60, 20
	data := bars(t, images, 0)
	kept, held := dataset.Holdout(images, count)
	pixels := filepath.Join(data, "TrainPatternStorage.npy")
	original := read(t, pixels)
	trained := func(change int) *convert.Network {
		t.Helper()
		require.NoError(t, os.WriteFile(pixels, original, 0o600))
		if change >= 0 {
			a, err := npy.Read(bytes.NewReader(original))
			require.NoError(t, err)
			values := a.Data.([]float32)
			slices.Reverse(values[change*144 : (change+1)*144])
			array(t, pixels, a.Shape, values)
		}
		folder := t.TempDir()
		must(t, dialect2(t), "--data", data, "-o", folder, "--epochs", "2", "--holdout", "20")
		return network(t, filepath.Join(folder, "model.onnx"))
	}
	want, unseen, seen := trained(-1), trained(held[3]), trained(kept[3])
	require.Equal(t, want.Layers, unseen.Layers)
	require.NotEqual(t, want.Layers, seen.Layers)
	require.Equal(t, count, want.Holdout.Images)
	require.Equal(t, images, want.Holdout.Of)
	require.NotEqual(t, want.Holdout.Data, unseen.Holdout.Data)
}

func TestHoldout_ContinuesWhenAModelIsTrainedFurther(t *testing.T) {
	data, other := bars(t, 60, 0), bars(t, 61, 0)
	folder := t.TempDir()
	_, errOut := must(t, dialect2(t), "--data", data, "-o", folder, "--epochs", "1", "--holdout", "20")
	require.Contains(t, errOut, "40 training images of 1x12x12, 20 more held back")
	path := filepath.Join(folder, "model.onnx")
	tune := func(data string, flags ...string) (*convert.Holdout, string, error) {
		out := filepath.Join(t.TempDir(), "out.onnx")
		_, errOut, err := command(t, append([]string{path, "--data", data, "-o", out}, flags...)...)
		if err != nil {
			return nil, errOut, err
		}
		return network(t, out).Holdout, errOut, nil
	}
	whole := network(t, path).Holdout
	h, errOut, err := tune(data)
	require.NoError(t, err)
	require.Equal(t, whole, h)
	require.Contains(t, errOut, "40 training images")

	h, errOut, err = tune(data, "--holdout", "5")
	require.NoError(t, err)
	require.Equal(t, &convert.Holdout{Images: 5, Of: 60, Data: whole.Data}, h)
	require.Contains(t, errOut, "55 training images")

	h, errOut, err = tune(data, "--holdout", "0")
	require.NoError(t, err)
	require.Nil(t, h)
	require.Contains(t, errOut, "60 training images")

	h, errOut, err = tune(other)
	require.NoError(t, err)
	require.Nil(t, h)
	require.Contains(t, errOut, "the model was trained with 20 images held back from another training set")

	for flag, want := range map[string]string{"21": "the training of the model held back 20 images", "60": "held back 20 images"} {
		_, _, err = tune(data, "--holdout", flag)
		require.ErrorContains(t, err, want)
	}
	_, _, err = tune(other, "--holdout", "20")
	require.ErrorContains(t, err, "held back from another training set")
}

func TestHoldout_IsRefusedIfTheWeightsMayHaveSeenAllImages(t *testing.T) {
	data := bars(t, 60, 0)
	_, _, err := command(t, model(t, convert.Options{}), "--data", data, "--holdout", "20")
	require.ErrorContains(t, err, "the weights at the start of the training may have seen all images")
	_, _, err = command(t, dialect2(t), "--data", data, "-o", t.TempDir(), "--holdout", "60")
	require.ErrorContains(t, err, "--holdout 60 leaves nothing to train with: there are 60 training images")
}
