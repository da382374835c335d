package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun_ImprovesAndSavesTheModel(t *testing.T) {
	t.Chdir("../..")
	model := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(model, []byte("an older file"), 0o600))
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{model}, &out))

	losses := regexp.MustCompile(`loss (.*)`).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, losses, epochs)
	first, err := strconv.ParseFloat(losses[0][1], 64)
	require.NoError(t, err)
	last, err := strconv.ParseFloat(losses[epochs-1][1], 64)
	require.NoError(t, err)
	require.Less(t, last, .8*first)
	correct := regexp.MustCompile(`: (\d+) of 30 images`).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, correct, 2)
	require.GreaterOrEqual(t, correct[1][1], correct[0][1]) // both have two digits

	// The saved model can be trained again.
	out.Reset()
	require.NoError(t, run(t.Context(), []string{model, model}, &out))
	require.Contains(t, out.String(), "before: "+correct[1][1]+" of 30")
}

func TestRun_RefusesWrongArgumentsAndImages(t *testing.T) {
	t.Chdir("../..")
	var out bytes.Buffer
	model := filepath.Join(t.TempDir(), "model.onnx")
	require.ErrorContains(t, run(t.Context(), nil, &out), "usage")
	require.ErrorIs(t, run(t.Context(), []string{model, "missing.onnx"}, &out), os.ErrNotExist)
	require.ErrorContains(t, run(t.Context(), []string{model, "", t.TempDir()}, &out), "has no images")

	unnumbered := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(unnumbered, "cats"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(unnumbered, "cats", "a.png"), nil, 0o600))
	require.ErrorContains(t, run(t.Context(), []string{model, "", unnumbered}, &out), "not the number of a class")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, []string{model}, &out), context.Canceled)
	require.NoFileExists(t, model)
}
