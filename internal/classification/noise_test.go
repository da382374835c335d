package classification

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/npy"
)

// linear returns a model without random numbers of its own: every class is a weighted sum
// of the pixels.
func linear(t *testing.T) string {
	t.Helper()
	m := converttest.New(1)
	return save(t, &convert.Network{
		Input:  convert.Size{Channels: 1, Height: 28, Width: 28},
		Layers: []convert.Layer{m.Conv(converttest.Window(28, 1), 1, 10)},
	}, convert.Options{})
}

func TestNoise_ChangesTheResultsAndIsInTheSummary(t *testing.T) {
	model := prototypes(t, convert.Options{})
	out, _, err := command(t, model, digits, "--noise", "gaussian=0.4,contrast=0.3")
	require.NoError(t, err)
	require.Contains(t, out, "\n30 images with noise gaussian=0.4,contrast=0.3 in ")
	require.Contains(t, out, "accuracy ")
	require.NotContains(t, out, "accuracy 90.00%", "this network loses accuracy")

	out, _, err = command(t, model, digits, "--noise", "occlusion=8.0", "--format", "json", "--limit", "2")
	require.NoError(t, err)
	var d document
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	require.Equal(t, "occlusion=8", d.Summary.Noise)
	out, _, err = command(t, model, digits, "--format", "json", "--limit", "2")
	require.NoError(t, err)
	require.NotContains(t, out, "noise")
}

// With noise that leaves nothing of an image, all images have the same result.
func TestNoise_IsAddedToAllFormats(t *testing.T) {
	array := filepath.Join(t.TempDir(), "TestPatternStorage.npy")
	f, err := os.Create(array)
	require.NoError(t, err)
	values := make([]float32, 3*28*28)
	for i := range values {
		values[i] = float32(i)
	}
	require.NoError(t, npy.Write(f, &npy.Array{Shape: []int{3, 28, 28}, Data: values}))
	require.NoError(t, f.Close())
	for _, noise := range []string{"contrast=1", "occlusion=28"} {
		out, _, err := command(t, linear(t), filepath.Join(digits, "7/00000.png"), filepath.Join(digits, "3"), array, "--format", "json", "--noise", noise)
		require.NoError(t, err)
		var d document
		require.NoError(t, json.Unmarshal([]byte(out), &d))
		require.Len(t, d.Results, 7)
		for _, r := range d.Results {
			require.Equal(t, d.Results[0].Top, r.Top, "%s: %s", noise, r.Image)
		}
	}
}

func TestNoise_DependsOnTheSeedOnly(t *testing.T) {
	model := linear(t)
	results := func(flags ...string) string {
		t.Helper()
		out, _, err := command(t, append([]string{model, digits, "--format", "csv"}, flags...)...)
		require.NoError(t, err)
		return out
	}
	clean := results()
	require.Equal(t, clean, results("--noise", "gaussian=0,salt-and-pepper=0,uniform=0,shot=0,contrast=0,brightness=0,blur=0,occlusion=0,rotation=0,translation=0,crop-shift=0"))
	random := map[string]bool{"contrast=0.6": false, "brightness=0.3": false, "blur=1.5": false}
	for _, noise := range []string{"gaussian=0.2", "salt-and-pepper=0.1", "uniform=0.5", "shot=0.2", "occlusion=8", "rotation=20", "translation=2.5"} {
		random[noise] = true
	}
	for noise, random := range random {
		want := results("--noise", noise, "--seed", "7")
		require.NotEqual(t, clean, want, noise)
		require.Equal(t, want, results("--noise", noise, "--seed", "7", "--workers", "1"), noise)
		require.Equal(t, !random, want == results("--noise", noise, "--seed", "8"), "%s with another seed", noise)
	}
}

func TestNoise_ShiftsTheCropOfTheModelAtMostToTheEdge(t *testing.T) {
	m := converttest.New(1)
	model := save(t, &convert.Network{
		Input:         convert.Size{Channels: 1, Height: 28, Width: 28},
		Preprocessing: convert.Preprocessing{Crop: 2},
		Layers:        []convert.Layer{m.Conv(converttest.Window(24, 1), 1, 10)},
	}, convert.Options{})
	results := func(noise string) string {
		t.Helper()
		out, _, err := command(t, model, digits, "--format", "csv", "--noise", noise)
		require.NoError(t, err)
		return out
	}
	clean := results("crop-shift=0")
	require.NotEqual(t, clean, results("crop-shift=1"))
	require.NotEqual(t, results("crop-shift=1"), results("crop-shift=2"))
}
