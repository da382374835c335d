package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// environment makes the test's program the command.
const environment = "SBS_TRAIN_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(environment) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// sameTraining checks that two logs are those of the same training, time aside.
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

// TestKilled kills a training, and expects of its continuation what an
// uninterrupted one gives.
func TestKilled(t *testing.T) {
	data, path := bars(t, 480, 24), model(t, convert.Options{})
	dir := t.TempDir()
	args := func(out string) []string {
		return []string{path, "--data", data, "-o", filepath.Join(dir, out+".onnx"), "--epochs", "40", "--lr", "0.05", "--batches-per-update", "3"}
	}
	must(t, append(args("whole"), "--quiet")...)

	killed := 0
	for try := range 3 {
		a := args("killed")
		if try > 0 {
			a = append(a, "--resume")
		}
		cmd := exec.Command(os.Args[0], a...)
		cmd.Env = append(os.Environ(), environment+"=1")
		require.NoError(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		before := len(recordsOf(dir))
		require.Eventually(t, func() bool { return len(recordsOf(dir)) > before+20 || len(ended) > 0 }, time.Minute, time.Millisecond)
		if len(ended) > 0 {
			require.NoError(t, <-ended)
			break
		}
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, <-ended)
		killed++
		require.NoFileExists(t, filepath.Join(dir, "killed-log", "curves.png"), "it was not at its end")
	}
	require.Positive(t, killed, "nothing was killed")
	must(t, append(args("killed"), "--resume", "--quiet")...)
	require.Equal(t, read(t, filepath.Join(dir, "whole.onnx")), read(t, filepath.Join(dir, "killed.onnx")))
	sameTraining(t, filepath.Join(dir, "whole-log"), filepath.Join(dir, "killed-log"))
}

func recordsOf(dir string) []trainlog.Record {
	r, err := trainlog.ReadMetrics(filepath.Join(dir, "killed-log", "metrics.jsonl"))
	if err != nil {
		return nil // it has not begun
	}
	return r
}

// stopper is a place for messages that ends a context after some of them.
type stopper struct {
	bytes.Buffer
	cancel func()
	after  string
}

func (s *stopper) Write(b []byte) (int, error) {
	if strings.Contains(string(b), s.after) {
		s.cancel()
	}
	return s.Buffer.Write(b)
}

// TestInterrupted ends trainings of both dialects in the middle of an update, as
// Ctrl-C does, and goes on with them.
func TestInterrupted(t *testing.T) {
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
				errOut := &stopper{cancel: cancel, after: after}
				err := run(ctx, args, &out, errOut)
				require.ErrorContains(t, err, "interrupted")
				require.Contains(t, errOut.String(), "it goes on with\n  sbs-train "+path)
				require.FileExists(t, filepath.Join(parts, "Log", "curves.png"))
				if after == "epoch 0:" {
					args = append(args, "--resume")
				}
			}
			out, errOut := must(t, append(args, "--workers", "3")...)
			require.Regexp(t, `epoch \d: loss .*  test .*\n$`, errOut, "the last epoch, though it ends before its images do")
			require.Contains(t, out, "test accuracy")
			require.Equal(t, read(t, filepath.Join(whole, "model.onnx")), read(t, filepath.Join(parts, "model.onnx")))
			sameTraining(t, filepath.Join(whole, "Log"), filepath.Join(parts, "Log"))
		})
	}
}

// TestInterruptedAtFirst goes on with a training that was interrupted before its
// first update, and killed the next time, before it came to a checkpoint.
func TestInterruptedAtFirst(t *testing.T) {
	data, path := bars(t, 96, 0), model(t, convert.Options{})
	dir := t.TempDir()
	args := []string{path, "--data", data, "-o", filepath.Join(dir, "a.onnx"), "--epochs", "2"}
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	errOut := &stopper{cancel: cancel, after: "96 images of"}
	require.ErrorContains(t, run(ctx, args, &out, errOut), "interrupted")
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

// TestMoreEpochs goes on with a training that has come to its end.
func TestMoreEpochs(t *testing.T) {
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

// TestOtherEnd goes on with a training to an end that it has passed, and to one
// where it was neither saved nor tested.
func TestOtherEnd(t *testing.T) {
	data, path := bars(t, 96, 24), model(t, convert.Options{})
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.onnx"), filepath.Join(dir, "two.onnx")
	args := []string{path, "--data", data, "--lr-schedule", "constant", "--save-every", "10", "--test-every", "2"}
	want, _ := must(t, append(args, "-o", one, "--epochs", "3", "--quiet")...)

	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	require.ErrorContains(t, run(ctx, append(args, "-o", two, "--epochs", "10"), &out, &stopper{cancel: cancel, after: "epoch 2:"}), "interrupted")
	require.NoFileExists(t, two)
	_, _, err := command(t, append(args, "-o", two, "--epochs", "2", "--resume")...)
	require.ErrorContains(t, err, "has gone through the images 3 times already: give more --epochs")
	got, _ := must(t, append(args, "-o", two, "--epochs", "3", "--resume", "--quiet")...)
	require.Equal(t, read(t, one), read(t, two))
	require.Equal(t, strings.ReplaceAll(want, "one", "two"), got)
}

// TestOtherImages goes on with other images than before.
func TestOtherImages(t *testing.T) {
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

	// The same labels and means, but each image upside down.
	patterns := filepath.Join(data, "TrainPatternStorage.npy")
	a, err := npy.ReadFile(os.DirFS(data), filepath.Base(patterns), 96*144)
	require.NoError(t, err)
	pixels := a.Data.([]float32)
	for image := range slices.Chunk(pixels, 144) {
		slices.Reverse(image)
	}
	array(t, patterns, a.Shape, pixels)
	_, _, err = command(t, append(args, "--epochs", "9", "--resume")...)
	require.ErrorContains(t, err, "what changed: the training images")
}

// TestPerfect checks that a checkpoint remembers a test without an error.
func TestPerfect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	want := &checkpoint{Position: position{Untold: true, LastTest: &testResult{}}}
	require.NoError(t, writeCheckpoint(path, want))
	got, err := readCheckpoint(path)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// TestInterruptedBefore checks what is said when there was nothing yet.
func TestInterruptedBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := run(ctx, []string{model(t, convert.Options{}), "--data", bars(t, 24, 0)}, &out, &out)
	require.ErrorContains(t, err, "there is nothing to resume")
	err = run(ctx, []string{model(t, convert.Options{}), "--data", bars(t, 24, 0), "--resume"}, &out, &out)
	require.ErrorContains(t, err, "--resume is as good as before")
}
