package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun_PrintsClassesAndAccuracy(t *testing.T) {
	t.Chdir("../..")
	for _, c := range []struct {
		args     []string
		line     string
		accuracy string
	}{
		{nil, filepath.FromSlash("models/mnist/images/7/00000.png") + "\t7\t", "accuracy: 30 of 30 images (100.0%)"},
		{
			[]string{"models/fashion-mnist/Weights", "models/fashion-mnist/images"},
			filepath.FromSlash("models/fashion-mnist/images/8/00018.png") + "\tBag\t", "accuracy: 28 of 30 images (93.3%)",
		},
	} {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), c.args, &out))
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		require.Len(t, lines, 31)
		require.Contains(t, out.String(), c.line)
		require.Equal(t, c.accuracy, lines[30])
	}
}

func TestRun_ReportsUnreadableImagesAndContinues(t *testing.T) {
	t.Chdir("../..")
	image, err := os.ReadFile("models/mnist/images/7/00000.png")
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "a.png"), []byte("no image"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "b.png"), image, 0o600))

	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"models/mnist/Weights", folder}, &out))
	require.Contains(t, out.String(), filepath.Join(folder, "a.png")+": ")
	require.Contains(t, out.String(), filepath.Join(folder, "b.png")+"\t7\t")
	require.NotContains(t, out.String(), "accuracy")
}

func TestRun_ReportsMissingFilesAndCancellation(t *testing.T) {
	t.Chdir("../..")
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"missing.onnx"}, &out), os.ErrNotExist)
	require.ErrorIs(t, run(t.Context(), []string{"models/mnist/Weights", "missing"}, &out), os.ErrNotExist)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, nil, &out), context.Canceled)
}
