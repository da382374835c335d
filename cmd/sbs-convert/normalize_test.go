package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

// saved writes a model to a file.
func saved(t *testing.T, n *convert.Network, opt convert.Options) string {
	t.Helper()
	data, err := convert.ToONNX(n, opt)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// plain returns a network of convolutions with an offset, which the normalization makes pointless.
func plain() *convert.Network {
	n := converttest.Normalized()
	n.Preprocessing = convert.Preprocessing{Crop: 2, Offset: 1e-20}
	return n
}

func TestNormalizeImages_WritesAModelOfTheSameForm(t *testing.T) {
	path, out := saved(t, plain(), convert.Options{Batch: 4}), filepath.Join(t.TempDir(), "normalized.onnx")
	printed, _, err := command(t, path, "--normalize-images", out)
	require.NoError(t, err)
	require.Contains(t, printed, "wrote "+filepath.ToSlash(out)+" (")
	require.Contains(t, printed, filepath.ToSlash(path)+" with normalized images: train it with sbs-train")
	require.Equal(t, converttest.Normalized(), readModel(t, out))
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	form, err := convert.OptionsOf(data)
	require.NoError(t, err)
	require.Equal(t, 4, form.Batch)

	printed, _, err = command(t, "--normalize-images", path, out)
	require.NoError(t, err)
	require.Contains(t, printed, "unchanged: ")
	printed, _, err = command(t, "--info", out)
	require.NoError(t, err)
	require.Contains(t, printed, "cropped to 8x8, normalized: each image to the mean 0 and the standard deviation 1\n")
	require.Contains(t, printed, "standard operators only; any ONNX runtime can run the model")
	printed, _, err = command(t, "--dot", out)
	require.NoError(t, err)
	require.Contains(t, printed, "ReduceMean")
}

func TestNormalizeImages_RefusesWhatItCannotNormalize(t *testing.T) {
	path, out := saved(t, plain(), convert.Options{}), filepath.Join(t.TempDir(), "out.onnx")
	normalized := saved(t, converttest.Normalized(), convert.Options{})
	spikes := saved(t, converttest.Digits(), convert.Options{})
	split := plain()
	split.Preprocessing = convert.Preprocessing{Crop: 2, OnOffMean: []float32{0.2}}
	split.Layers[0] = converttest.New(2).Conv(converttest.Window(3, 1), 2, 5)
	foreign := saved(t, plain(), convert.Options{})
	data, err := os.ReadFile(foreign)
	require.NoError(t, err)
	m, err := onnx.Unmarshal(t.Context(), data)
	require.NoError(t, err)
	m.GetGraph().GetNode()[0].Name = "Slice_1"
	data, err = onnx.MarshalStamped(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(foreign, data, 0o600))
	const flag = "--normalize-images"
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"normalized already", []string{normalized, flag, out}, normalized + ": the model normalizes its images already"},
		{"SbS layer", []string{spikes, flag, out}, spikes + ": convert: layer 0 (SbS): normalized images have negative pixels, but this layer takes values of at least 0"},
		{"on/off split", []string{saved(t, split, convert.Options{}), flag, out}, "images with an on/off split cannot be normalized"},
		{"another program's model", []string{foreign, flag, out}, "only models written by sbs-convert or sbs-train can be changed"},
		{"stages", []string{staged(t, converttest.Staged(), convert.Options{}), flag, out}, "the model has stages (metadata ai.sbs.stages): choose one"},
		{"the same file", []string{path, flag, path, "--force"}, "is the model to read: choose another name"},
		{"another content", []string{path, flag, spikes}, "already exists with different content"},
		{"a folder", []string{weights, flag, out}, "--normalize-images changes a model: sbs-convert --normalize-images MODEL.onnx NORMALIZED.onnx"},
		{"to a folder", []string{path, flag, t.TempDir()}, "--normalize-images changes a model"},
		{"one argument", []string{path, flag}, "sbs-convert"},
		{"a stage", []string{path, flag, out, "--stage", "1"}, "--stage applies only without --normalize-images"},
		{"other flags", []string{path, flag, out, "--batch", "3"}, "--batch applies only without --normalize-images"},
		{"info", []string{"--info", path, flag}, "--normalize-images applies only when converting"},
		{"weights folder of a normalized model", []string{normalized, filepath.Join(t.TempDir(), "Weights")}, "the network normalizes its images, which no layer of PyTorch-SbS does"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			require.NoFileExists(t, out)
		})
	}
}
