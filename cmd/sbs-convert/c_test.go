package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/c99"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

func TestC_WritesAFile(t *testing.T) {
	path := staged(t, converttest.Staged(), convert.Options{Seed: 5})
	c := filepath.Join(t.TempDir(), "My-model.c")
	out, errOut, err := command(t, path, c)
	require.NoError(t, err)
	require.Empty(t, errOut)
	require.Contains(t, out, "wrote "+filepath.ToSlash(c)+" (")
	require.Contains(t, out, filepath.ToSlash(path)+": 1.5 kB of constants, 1.2 kB of memory")
	want, err := c99.Generate(read(t, path), c99.Options{Name: "my_model", File: "My-model.c", Source: "staged.onnx"})
	require.NoError(t, err)
	require.Equal(t, string(want.Code), string(read(t, c)))
	out, _, err = command(t, path, c)
	require.NoError(t, err)
	require.Contains(t, out, "unchanged: ")
	_, _, err = command(t, path, c, "--weights", "int8")
	require.ErrorContains(t, err, "already exists with different content")

	_, _, err = command(t, path, c, "--force", "--weights", "int8", "--stage", "2", "--prefix", "net")
	require.NoError(t, err)
	one, err := convert.ExtractStage(read(t, path), 2)
	require.NoError(t, err)
	want, err = c99.Generate(one, c99.Options{Name: "net", File: "My-model.c", Source: "stage 2 of staged.onnx", Int8: true})
	require.NoError(t, err)
	require.Equal(t, string(want.Code), string(read(t, c)))
}

func TestQuantize_WritesTheModelOfTheCFile(t *testing.T) {
	s := converttest.Staged()
	path, dir := staged(t, s, convert.Options{Seed: 5}), t.TempDir()
	_, _, err := command(t, path, filepath.Join(dir, "all.onnx"), "--weights", "int8")
	require.NoError(t, err)
	_, _, err = command(t, path, filepath.Join(dir, "one.onnx"), "--weights", "int8", "--stage", "1")
	require.NoError(t, err)
	for i := range s.Stages {
		s.Stages[i].Network, err = c99.Quantize(s.Stages[i].Network)
		require.NoError(t, err)
	}
	s.Calibration = nil
	want, err := convert.StagesToONNX(s, convert.Options{Seed: 5})
	require.NoError(t, err)
	require.Equal(t, want, read(t, filepath.Join(dir, "all.onnx")))
	want, err = convert.ToONNX(s.Stages[0].Network, convert.Options{Seed: 5})
	require.NoError(t, err)
	require.Equal(t, want, read(t, filepath.Join(dir, "one.onnx")))
	for _, l := range s.Stages[0].Network.Layers {
		if l, ok := l.(*convert.SbS); ok {
			for i, v := range l.Weights.Float32s() {
				require.Equal(t, float32(uint8(v)), v, "weight %d", i)
			}
		}
	}
}

func TestC_IsRefused(t *testing.T) {
	dir := t.TempDir()
	path, c := staged(t, converttest.Staged(), convert.Options{}), filepath.Join(dir, "model.c")
	poisson := filepath.Join(dir, "poisson.onnx")
	data, err := convert.ToONNX(converttest.ImageLayers()["spike image before Poisson"], convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(poisson, data, 0o600))
	folder := filepath.Join(dir, "folder.c")
	require.NoError(t, os.Mkdir(folder, 0o700))
	for _, test := range []struct {
		name  string
		args  []string
		want  string
		usage bool
	}{
		{"unsupported layers", []string{poisson, c}, "layer 0 (SpikeImage): this kind of layer; layer 1 (Poisson): this kind of layer", false},
		{"no such stage", []string{path, c, "--stage", "4"}, "has stages 1 to 3", true},
		{"from a folder", []string{weights, c}, weights + " is not a model: sbs-convert MODEL.onnx FILE.c; convert a weights folder to a model first", true},
		{"from the standard input", []string{"-", c}, "- is not a model", true},
		{"other flags", []string{path, c, "--spikes", "5"}, "--spikes applies only when not writing C", true},
		{"invalid prefix", []string{path, c, "--prefix", "a-b"}, `--prefix "a-b": want lower-case letters, digits and underscores, beginning with a letter, and not the name of a type, such as a_b`, true},
		{"unknown weights", []string{path, c, "--weights", "4bit"}, "want float32 or int8", true},
		{"weights from a folder", []string{weights, filepath.Join(dir, "q.onnx"), "--weights", "int8"}, "--weights and --prefix apply only to a model", true},
		{"weights to a folder", []string{path, filepath.Join(dir, "Weights"), "--weights", "int8"}, "--weights applies only when", true},
		{"prefix of a model", []string{path, filepath.Join(dir, "q.onnx"), "--weights", "int8", "--prefix", "a"}, "--prefix applies only when", true},
		{"the same file", []string{path, path, "--weights", "int8", "--force"}, "is the model to read", false},
		{"a damaged file", []string{damaged(t, path), c}, "checksum", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := command(t, test.args...)
			require.ErrorContains(t, err, test.want)
			var usage *cli.UsageError
			require.Equal(t, test.usage, errors.As(err, &usage))
			require.NoFileExists(t, c)
		})
	}
	_, _, err = command(t, path, folder)
	require.ErrorContains(t, err, "has 3 stages: choose one with --stage N", "a folder whose name ends with .c")
	_, _, err = command(t, damaged(t, path), c, "--"+cli.ChecksumFlag)
	require.NoError(t, err)
}

// damaged returns a copy of a model with another threshold.
func damaged(t *testing.T, path string) string {
	data := strings.Replace(string(read(t, path)), "0.15", "0.25", 1)
	other := filepath.Join(t.TempDir(), "damaged.onnx")
	require.NoError(t, os.WriteFile(other, []byte(data), 0o600))
	return other
}
