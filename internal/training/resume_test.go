package training

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// sameTraining checks that the metrics in two folders are equal, except for the times.
func sameTraining(t *testing.T, want, got string) {
	t.Helper()
	all := func(folder string) []trainlog.Record {
		r := metrics(t, folder)
		for i := range r {
			r[i].Seconds = 0
		}
		return r
	}
	require.Equal(t, all(want), all(got))
}

// TestResume_GivesTheSameResult interrupts trainings of both dialects in the middle of an
// update, as Ctrl-C does, and resumes them.
func TestResume_GivesTheSameResult(t *testing.T) {
	for name, config := range map[string]func(*testing.T) string{"dialect 1": dialect1, "dialect 2": dialect2} {
		t.Run(name, func(t *testing.T) {
			path, data := config(t), bars(t, 470, 24)
			dir := t.TempDir()
			whole, parts := filepath.Join(dir, "whole"), filepath.Join(dir, "parts")
			must(t, path, "--data", data, "-o", whole, "--batches-per-update", "3", "--quiet")

			args := []string{path, "--data", data, "-o", parts, "--batches-per-update", "3"}
			for _, after := range []string{"epoch 0:", "epoch 1:"} {
				ctx, cancel := context.WithCancel(t.Context())
				var out bytes.Buffer
				errOut := &clitest.Stopper{Cancel: cancel, After: after}
				err := run(ctx, args, &out, errOut)
				require.ErrorIs(t, err, cli.ErrInterrupted)
				require.Contains(t, errOut.String(), "to resume, run\n  sbs-train "+path)
				require.FileExists(t, filepath.Join(parts, "Log", "curves.png"))
				if after == "epoch 0:" {
					args = append(args, "--resume")
				}
			}
			out, errOut := must(t, append(args, "--workers", "3")...)
			require.Regexp(t, `epoch \d: loss .*  test .*\n$`, errOut, "the last epoch ends before all of its images were used")
			require.Contains(t, out, "test accuracy")
			require.Equal(t, read(t, filepath.Join(whole, "model.onnx")), read(t, filepath.Join(parts, "model.onnx")))
			sameTraining(t, filepath.Join(whole, "Log"), filepath.Join(parts, "Log"))
		})
	}
}

// TestResume_BeforeTheFirstUpdate resumes a training that was interrupted before its first
// update. It does so a second time with the same checkpoint, as if the training had been
// killed before the next one.
func TestResume_BeforeTheFirstUpdate(t *testing.T) {
	data, path := bars(t, 96, 0), model(t, convert.Options{})
	dir := t.TempDir()
	args := []string{path, "--data", data, "-o", filepath.Join(dir, "a.onnx"), "--epochs", "2"}
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	errOut := &clitest.Stopper{Cancel: cancel, After: "96 training images of"}
	require.ErrorIs(t, run(ctx, args, &out, errOut), cli.ErrInterrupted)
	require.Contains(t, errOut.String(), "interrupted after update 0 of 2")
	checkpoint := filepath.Join(dir, "a-log", "checkpoint")
	first := read(t, checkpoint)
	args = append(args, "--resume")
	must(t, args...)
	want, records := read(t, filepath.Join(dir, "a.onnx")), metrics(t, filepath.Join(dir, "a-log"))
	require.Len(t, records, 2)

	require.NoError(t, os.WriteFile(checkpoint, first, 0o600))
	must(t, args...)
	require.Equal(t, want, read(t, filepath.Join(dir, "a.onnx")))
	require.Len(t, metrics(t, filepath.Join(dir, "a-log")), 2)
}

// TestResume_AllowsMoreEpochs resumes a training that is complete.
func TestResume_AllowsMoreEpochs(t *testing.T) {
	data, path := bars(t, 96, 24), model(t, convert.Options{})
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.onnx"), filepath.Join(dir, "two.onnx")
	args := []string{path, "--data", data, "--lr-schedule", "constant", "--quiet"}
	must(t, append(args, "-o", one, "--epochs", "3")...)
	must(t, append(args, "-o", two, "--epochs", "2")...)
	must(t, append(args, "-o", two, "--epochs", "3", "--resume")...)
	require.Equal(t, read(t, one), read(t, two))
	out, _ := must(t, append(args, "-o", two, "--epochs", "3", "--resume")...)
	require.Contains(t, out, "wrote")
}

// TestResume_AllowsAnotherEnd resumes a training with an end that it has already passed,
// which is an error, and with an end where it was neither saved nor tested.
func TestResume_AllowsAnotherEnd(t *testing.T) {
	data, path := bars(t, 96, 24), model(t, convert.Options{})
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.onnx"), filepath.Join(dir, "two.onnx")
	args := []string{path, "--data", data, "--lr-schedule", "constant", "--save-every", "10", "--test-every", "2"}
	want, _ := must(t, append(args, "-o", one, "--epochs", "3", "--quiet")...)

	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	require.ErrorIs(t, run(ctx, append(args, "-o", two, "--epochs", "10"), &out, &clitest.Stopper{Cancel: cancel, After: "epoch 2:"}), cli.ErrInterrupted)
	require.NoFileExists(t, two)
	_, _, err := command(t, append(args, "-o", two, "--epochs", "2", "--resume")...)
	require.ErrorContains(t, err, "the training is already at epoch 3, after its end: give a larger --epochs")
	got, _ := must(t, append(args, "-o", two, "--epochs", "3", "--resume", "--quiet")...)
	require.Equal(t, read(t, one), read(t, two))
	require.Equal(t, strings.ReplaceAll(want, "one", "two"), got)
}

// TestResume_AllowsOtherTestImages resumes a training with other test images, which is
// allowed, and with other training images, which is an error.
func TestResume_AllowsOtherTestImages(t *testing.T) {
	data, path := bars(t, 96, 24), model(t, convert.Options{})
	args := []string{path, "--data", data, "-o", filepath.Join(t.TempDir(), "a.onnx"), "--lr-schedule", "constant", "--lr", "0.3", "--epochs", "8", "--quiet"}
	first, _ := must(t, args...)
	require.Contains(t, first, "(24 images)")
	out, _ := must(t, append(args, "--resume", "--no-test")...)
	require.NotContains(t, out, "test accuracy")
	out, _ = must(t, append(args, "--resume", "--test", filepath.Join(bars(t, 10, 7), "TestPatternStorage.npy"))...)
	require.Contains(t, out, "(7 images)")

	fewer, _ := must(t, append(args, "--resume", "--test-spikes", "1")...)
	require.Contains(t, fewer, "(24 images)")
	require.NotEqual(t, first, fewer)
	out, _ = must(t, append(args, "--resume")...)
	require.Equal(t, first, out)

	// The labels and the means stay the same, but each image is upside down.
	patterns := filepath.Join(data, "TrainPatternStorage.npy")
	a, err := npy.ReadFile(os.DirFS(data), filepath.Base(patterns), 96*144)
	require.NoError(t, err)
	pixels := a.Data.([]float32)
	for image := range slices.Chunk(pixels, 144) {
		slices.Reverse(image)
	}
	array(t, patterns, a.Shape, pixels)
	_, _, err = command(t, append(args, "--epochs", "9", "--resume")...)
	require.ErrorContains(t, err, "changed: the training images")
}

func TestTrain_InterruptedBeforeItStarts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := run(ctx, []string{model(t, convert.Options{}), "--data", bars(t, 24, 0)}, &out, &out)
	require.ErrorIs(t, err, cli.ErrInterrupted)
	require.EqualError(t, err, "interrupted before training started: there is nothing to resume")
	err = run(ctx, []string{model(t, convert.Options{}), "--data", bars(t, 24, 0), "--resume"}, &out, &out)
	require.ErrorIs(t, err, cli.ErrInterrupted)
	require.EqualError(t, err, "interrupted before training resumed; run the same command again")
}

// TestInterrupted_ReportsACheckpointThatCannotBeWritten checks that no command to resume
// the training is printed then.
func TestInterrupted_ReportsACheckpointThatCannotBeWritten(t *testing.T) {
	f := parse(t, model(t, convert.Options{}), "--data", bars(t, 96, 0))
	j, err := f.newJob(t.Context())
	require.NoError(t, err)
	var errOut bytes.Buffer
	s, err := f.begin(t.Context(), j, &errOut)
	require.NoError(t, err)
	require.NoError(t, os.Remove(s.checkpoints.path))
	require.NoError(t, os.Mkdir(s.checkpoints.path, 0o755))
	err = s.interrupted(&errOut, f.resumeCommand())
	require.ErrorIs(t, err, cli.ErrInterrupted)
	require.ErrorContains(t, err, "interrupted after update 0 of 1: cannot write the checkpoint: ")
	require.Empty(t, errOut.String())
	require.NoError(t, s.close())
}
