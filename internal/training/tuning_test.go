package training

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/dataset"
)

// TestTuning_TrainsAsTheCommandDoes also interrupts a tuning and resumes it.
func TestTuning_TrainsAsTheCommandDoes(t *testing.T) {
	data, path := bars(t, 240, 0), model(t, convert.Options{})
	dir := t.TempDir()
	want, got := filepath.Join(dir, "want.onnx"), filepath.Join(dir, "got.onnx")
	must(t, path, "--data", data, "-o", want, "--epochs", "2", "--batches-per-update", "2", "--lr", "0.02", "--seed", "3")

	source, err := dataset.Open([]string{data}, dataset.Options{Subset: dataset.Training})
	require.NoError(t, err)
	images, err := dataset.Load(t.Context(), source, 3, 1)
	require.NoError(t, err)
	require.NoError(t, source.Close())
	tuning := Tuning{Model: path, Output: got, Images: images, Epochs: 2, SubBatches: 2, Rate: 0.02, Seed: 3, Workers: 1}

	ctx, cancel := context.WithCancel(t.Context())
	progress := &clitest.Stopper{Cancel: cancel, After: "epoch 0:"}
	tuning.Progress = progress
	require.ErrorIs(t, tuning.Run(ctx), cli.ErrInterrupted)
	require.NotContains(t, progress.String(), "epoch 1:")

	var rest bytes.Buffer
	tuning.Progress = &rest
	require.NoError(t, tuning.Run(t.Context()))
	require.NotContains(t, rest.String(), "epoch 0:")
	require.Equal(t, read(t, want), read(t, got))
}
