package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
)

func TestConvert_WritesToTheStandardOutput(t *testing.T) {
	out, errOut, err := command(t, weights, "-")
	require.NoError(t, err)
	require.Empty(t, errOut)
	n, err := convert.FromONNX([]byte(out))
	require.NoError(t, err)
	require.Len(t, n.Layers, 2)
	path := filepath.Join(t.TempDir(), "model.onnx")
	_, _, err = command(t, weights, path)
	require.NoError(t, err)
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(written, []byte(out)))

	var usage *cli.UsageError
	for _, args := range [][]string{{"-", weights}, {path, "-", "--stage", "1"}, {path, "-"}} {
		_, _, err = command(t, args...)
		require.ErrorAs(t, err, &usage)
		require.ErrorContains(t, err, "- (the standard output) is possible only for the model that is written")
	}
}

func TestConvert_FindsTheWeightsInAFolder(t *testing.T) {
	want, _, err := command(t, weights, "-")
	require.NoError(t, err)
	out, _, err := command(t, filepath.Dir(weights), "-")
	require.NoError(t, err)
	require.Equal(t, want, out)
	path := filepath.Join(t.TempDir(), "model.onnx")
	out, _, err = command(t, filepath.Dir(weights), path)
	require.NoError(t, err)
	require.Contains(t, out, "weights: "+weights+"\n")

	folder := t.TempDir()
	config, err := os.ReadFile(filepath.Join(filepath.Dir(weights), "network.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "network.json"), config, 0o600))
	for _, name := range []string{"old", "new"} {
		require.NoError(t, os.CopyFS(filepath.Join(folder, name), os.DirFS(weights)))
	}
	_, _, err = command(t, folder, path)
	require.ErrorContains(t, err, "has no Weight files, but several of its folders have: name one of "+filepath.Join(folder, "new")+", "+filepath.Join(folder, "old"))
	require.NoError(t, os.Rename(filepath.Join(folder, "new"), filepath.Join(folder, "Parameters")))
	out, _, err = command(t, folder, filepath.Join(folder, "model.onnx"))
	require.NoError(t, err)
	require.Contains(t, out, "weights: "+filepath.ToSlash(filepath.Join(folder, "Parameters")))
}
