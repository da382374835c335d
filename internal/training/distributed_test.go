package training

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/trainlog"
	"github.com/spike-by-spike/sbs/train"
)

// interruptAt trains until a sub-batch of the training, as if Ctrl-C came after it.
func interruptAt(t *testing.T, subBatch int, args ...string) {
	t.Helper()
	ctx, f := t.Context(), parse(t, args...)
	require.NoError(t, f.check())
	j, err := f.newJob(ctx)
	require.NoError(t, err)
	s, err := f.begin(ctx, j, io.Discard)
	require.NoError(t, err)
	s.progress = trainlog.NewProgress(io.Discard, s.totalUpdates(), s.out.last())
	require.NoError(t, s.testBefore(ctx))
	require.NoError(t, s.conclude(ctx))
	batches, used := s.feed(ctx, s.at.SubBatches, subBatch)
	for b := range batches {
		require.NoError(t, s.learn(ctx, b))
		used <- b
		require.NoError(t, s.conclude(ctx))
	}
	s.progress.Done()
	require.ErrorIs(t, s.interrupted(io.Discard, ""), cli.ErrInterrupted)
	require.NoError(t, s.close())
}

// january writes the configuration of a network of January 2023, whose on/off split has a running mean.
func january(t *testing.T) string {
	t.Helper()
	return configuration(t, "network.json", strings.NewReplacer(
		`["SbS", "Average POOLING", "SbS"]`, `["ONOFF", "SbS", "Average POOLING", "SbS"]`,
		"[[1, 6], [6, 6], [6, 3]]", "[[1, 2], [2, 6], [6, 6], [6, 3]]",
		"[[3, 3], [2, 2], [3, 3]]", "[[1, 1], [3, 3], [2, 2], [3, 3]]",
		"[[1, 1], [2, 2], [1, 1]]", "[[1, 1], [1, 1], [2, 2], [1, 1]]",
	).Replace(string(read(t, dialect2(t)))))
}

// A training of any kind that began in sbs-train, and was interrupted in the middle of an update, continues
// with gradients that others compute.
func TestDistributed_ContinuesATrainingOfSbsTrain(t *testing.T) {
	data := bars(t, 110, 20)
	for name, args := range map[string][]string{
		"model":                   {model(t, convert.Options{})},
		"CNN":                     {save(t, cnn())},
		"new classes":             {model(t, convert.Options{}), "--new-classes", "--data", photos(t, "x", "y"), "--no-test"},
		"dialect 1":               {dialect1(t), "--noise", "contrast=0.3"},
		"dialect 2":               {dialect2(t), "--holdout", "10"},
		"mean of an on/off split": {january(t), "--generation", "2023-01"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			want, got := filepath.Join(dir, "want.onnx"), filepath.Join(dir, "got.onnx")
			args = append(args, "--batch", "8", "--batches-per-update", "5", "--epochs", "3", "--seed", "5")
			if name != "new classes" {
				args = append(args, "--data", data)
			}
			part := slices.Concat(args, []string{"--output", got, "--resume"})
			must(t, append(args, "--output", want)...)
			log := filepath.Join(dir, "got-log")
			if strings.HasSuffix(args[0], ".json") {
				log = filepath.Join(got, "Log")
			}
			for _, subBatch := range []int{3, 17} {
				interruptAt(t, subBatch, part...)
				c, err := readCheckpoint(filepath.Join(log, "checkpoint"))
				require.NoError(t, err)
				require.Equal(t, subBatch, c.Position.SubBatches)
			}
			stderr, err := distributed(t.Context(), &helpers{t: t}, part...)
			require.NoError(t, err, stderr)
			if strings.HasSuffix(args[0], ".json") { // folders
				for _, folder := range []string{"want", "got"} {
					at := filepath.Join(dir, folder)
					require.NoError(t, os.Rename(at+".onnx", at))
					require.NoError(t, os.Rename(filepath.Join(at, "model.onnx"), at+".onnx"))
					require.NoError(t, os.Rename(filepath.Join(at, "Log"), at+"-log"))
				}
			}
			sameBits(t, want, got)
		})
	}
}

// A run of sub-batches has a limit, so that their gradients fit into memory.
func TestDistributed_DividesLongUpdates(t *testing.T) {
	dir := t.TempDir()
	want, got := filepath.Join(dir, "want.onnx"), filepath.Join(dir, "got.onnx")
	args := []string{save(t, cnn()), "--data", bars(t, maxRun+10, 20), "--batch", "1", "--batches-per-update", strconv.Itoa(maxRun + 5), "--no-test"}
	must(t, append(args, "--output", want)...)
	h := &helpers{t: t}
	stderr, err := distributed(t.Context(), h, append(args, "--output", got)...)
	require.NoError(t, err, stderr)
	require.Equal(t, maxRun, h.most)
	sameBits(t, want, got)
}

// A result that belongs to other images ends the training, which can be resumed.
func TestDistributed_RefusesPartsOfOtherImages(t *testing.T) {
	m, data := save(t, cnn()), bars(t, 110, 20)
	args := []string{m, "--data", data, "--batch", "8", "--output", filepath.Join(t.TempDir(), "x.onnx")}
	for _, change := range []func(parts []train.Part){
		func(parts []train.Part) { parts[0].Result.Images-- },
		func(parts []train.Part) { parts[0].Result.Correct = 9 },
		func(parts []train.Part) { parts[0].Result.Update = &train.Update{} },
	} {
		_, err := distributed(t.Context(), &helpers{t: t, last: change}, append(args, "--resume")...)
		require.ErrorContains(t, err, "the part of sub-batch 0 has")
	}
	failing := &failing{helpers{t: t}}
	_, err := distributed(t.Context(), failing, append(args, "--resume")...)
	require.EqualError(t, err, "no memory (--resume continues the training)")
}

// failing are Gradients that nobody can compute.
type failing struct{ helpers }

func (*failing) Compute(context.Context, Run) ([]train.Part, []float32, error) {
	return nil, nil, errors.New("no memory")
}
