package training

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/lock"
)

// stopped runs a training that is interrupted after it has printed a text.
func stopped(t *testing.T, after string, args ...string) (stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	errOut := &clitest.Stopper{Cancel: cancel, After: after}
	require.ErrorIs(t, run(ctx, args, &out, errOut), cli.ErrInterrupted)
	return errOut.String()
}

// TestCheckpoint_KeepsATestWithoutErrors checks that a test result of zeros differs from no
// test result in a checkpoint.
func TestCheckpoint_KeepsATestWithoutErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	want := &checkpoint{Position: position{Unrecorded: true, LastTest: &testResult{}}}
	require.NoError(t, writeCheckpoint(path, want))
	got, err := readCheckpoint(path)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// damages are changes of a file that a failure of the computer or of the disk can leave.
func damages(whole []byte) map[string][]byte {
	flipped := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 1
		return b
	}
	return map[string][]byte{
		"empty": nil, "one byte less": whole[:len(whole)-1], "the first bytes": whole[:30], "a part of the first line": whole[:10],
		"zeros": make([]byte, len(whole)), "zeros at the end": append(bytes.Clone(whole[:len(whole)-9]), make([]byte, 9)...),
		"longer": append(bytes.Clone(whole), 0), "first bit": flipped(0), "bit in the sum": flipped(30), "bit in the middle": flipped(len(whole) / 2),
		"another file": []byte("text\n"),
	}
}

// TestResume_FallsBackToTheCheckpointBefore damages the last checkpoint, or removes it as a
// training does that is killed between writing and renaming. The result is still the same.
func TestResume_FallsBackToTheCheckpointBefore(t *testing.T) {
	data, path := bars(t, 96, 24), model(t, convert.Options{})
	dir := t.TempDir()
	args := func(out string) []string {
		return []string{path, "--data", data, "-o", filepath.Join(dir, out+".onnx"), "--epochs", "4"}
	}
	must(t, append(args("whole"), "--quiet")...)
	stopped(t, "epoch 2:", args("part")...)
	log := filepath.Join(dir, "part-log")
	last, before := filepath.Join(log, "checkpoint"), filepath.Join(log, "checkpoint-previous")
	saved := map[string][]byte{}
	for _, name := range []string{last, before, filepath.Join(log, "metrics.jsonl"), filepath.Join(dir, "part.onnx")} {
		saved[name] = read(t, name)
	}
	restore := func() {
		for name, content := range saved {
			require.NoError(t, os.WriteFile(name, content, 0o600))
		}
	}
	for name, damaged := range damages(saved[last]) {
		restore()
		require.NoError(t, os.WriteFile(last, damaged, 0o600))
		_, errOut := must(t, append(args("part"), "--resume")...)
		require.Contains(t, errOut, "warning: "+last+" is damaged: the training resumes from the checkpoint before it, after update 3 of 4", name)
		require.Equal(t, read(t, filepath.Join(dir, "whole.onnx")), read(t, filepath.Join(dir, "part.onnx")), name)
		sameTraining(t, filepath.Join(dir, "whole-log"), log)
		_, err := readCheckpoint(last)
		require.NoError(t, err, name)
	}

	restore()
	require.NoError(t, os.Remove(last))
	_, errOut := must(t, append(args("part"), "--resume")...)
	require.Contains(t, errOut, "warning: "+last+" is missing: the training resumes from the checkpoint before it")
	require.Equal(t, read(t, filepath.Join(dir, "whole.onnx")), read(t, filepath.Join(dir, "part.onnx")))

	// A damaged checkpoint does not replace the one before it.
	restore()
	require.NoError(t, os.WriteFile(last, nil, 0o600))
	stopped(t, "96 training images of", append(args("part"), "--resume")...)
	for _, name := range []string{last, before} {
		_, err := readCheckpoint(name)
		require.NoError(t, err, name)
	}
	require.Equal(t, saved[before], read(t, before))

	restore()
	for _, name := range []string{last, before} {
		require.NoError(t, os.WriteFile(name, []byte("damaged"), 0o600))
	}
	_, _, err := command(t, append(args("part"), "--resume")...)
	require.ErrorContains(t, err, last+" is damaged: start again with --force")
	require.Equal(t, saved[filepath.Join(dir, "part.onnx")], read(t, filepath.Join(dir, "part.onnx")), "the model must stay")
	must(t, append(args("part"), "--force", "--quiet")...)
	require.Equal(t, read(t, filepath.Join(dir, "whole.onnx")), read(t, filepath.Join(dir, "part.onnx")))
}

// TestResume_StartsWhereThereIsNothing uses --resume from the first start on.
func TestResume_StartsWhereThereIsNothing(t *testing.T) {
	for name, config := range map[string]func(*testing.T) string{
		"model": func(t *testing.T) string { return model(t, convert.Options{}) }, "dialect 1": dialect1, "dialect 2": dialect2,
	} {
		t.Run(name, func(t *testing.T) {
			data, path, dir := bars(t, 96, 0), config(t), t.TempDir()
			folder := func(out string) (output, model, log string) {
				if name == "model" {
					return filepath.Join(dir, out+".onnx"), filepath.Join(dir, out+".onnx"), filepath.Join(dir, out+"-log")
				}
				return filepath.Join(dir, out), filepath.Join(dir, out, "model.onnx"), filepath.Join(dir, out, "Log")
			}
			args := func(out string, more ...string) []string {
				output, _, _ := folder(out)
				return append([]string{path, "--data", data, "-o", output, "--epochs", "2"}, more...)
			}
			must(t, args("whole", "--quiet")...)
			_, want, _ := folder("whole")
			_, got, log := folder("resumed")
			_, errOut := must(t, args("resumed", "--resume")...)
			require.Contains(t, errOut, log+" has no checkpoint: the training starts from the beginning")
			require.NotContains(t, errOut, "warning: "+log)
			require.Equal(t, read(t, want), read(t, got))
			_, errOut = must(t, args("resumed", "--resume")...)
			require.NotContains(t, errOut, "no checkpoint")
			require.Equal(t, read(t, want), read(t, got))

			// The log of a training that was killed before its first checkpoint.
			_, got, log = folder("killed")
			require.NoError(t, os.MkdirAll(log, 0o755))
			for file, content := range map[string]string{"metrics.jsonl": "{\"update\":1}\n{\"upd", "events.out.tfevents.1.host": "", lock.File: ""} {
				require.NoError(t, os.WriteFile(filepath.Join(log, file), []byte(content), 0o600))
			}
			_, errOut = must(t, args("killed", "--resume")...)
			require.Contains(t, errOut, "warning: "+log+" has the log of a training without a checkpoint: the training starts from the beginning")
			require.Equal(t, read(t, want), read(t, got))

			// The model of a training whose checkpoints were deleted stays.
			before := read(t, got)
			for _, file := range []string{"checkpoint", "checkpoint-previous"} {
				require.NoError(t, os.Remove(filepath.Join(log, file)))
			}
			_, _, err := command(t, args("killed", "--resume")...)
			require.ErrorContains(t, err, "but there is no checkpoint in "+log+" to resume from: give another --output, or ")
			require.Equal(t, before, read(t, got))
		})
	}
}

// TestResume_WritesAModelThatIsMissing deletes the model of a training that is complete.
func TestResume_WritesAModelThatIsMissing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "a.onnx")
	args := []string{model(t, convert.Options{}), "--data", bars(t, 96, 24), "-o", out, "--quiet"}
	must(t, args...)
	want := read(t, out)
	require.NoError(t, os.Remove(out))
	must(t, append(args, "--resume")...)
	require.Equal(t, want, read(t, out))
}

// TestResume_RepairsTheLog damages lines of the metrics and event files. The training resumes
// from its checkpoint with the same result, and reports what was lost.
func TestResume_RepairsTheLog(t *testing.T) {
	data, path := bars(t, 96, 0), model(t, convert.Options{})
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.onnx"), filepath.Join(dir, "two.onnx")
	args := []string{path, "--data", data, "--lr-schedule", "constant", "--quiet"}
	must(t, append(args, "-o", one, "--epochs", "5")...)
	must(t, append(args, "-o", two, "--epochs", "3")...)
	file := filepath.Join(dir, "two-log", "metrics.jsonl")
	lines := strings.SplitAfter(string(read(t, file)), "\n")
	require.NoError(t, os.WriteFile(file, []byte(lines[0]+`{"update":2,"ep`+lines[1]+lines[2]+lines[0]+lines[2][:9]), 0o600))
	events, err := filepath.Glob(filepath.Join(dir, "two-log", "events*"))
	require.NoError(t, err)
	require.Len(t, events, 1)
	content := read(t, events[0])
	require.NoError(t, os.WriteFile(events[0], content[:len(content)-5], 0o600))

	args = append(args, "-o", two, "--epochs", "5", "--resume")
	_, errOut := must(t, args...)
	require.Contains(t, errOut, "warning: "+file+": removed 2 damaged lines (2, 4) and the incomplete last line: only the metrics of these updates are lost\n")
	require.Contains(t, errOut, "warning: "+events[0]+": removed ")
	require.Equal(t, read(t, one), read(t, two))
	var updates []int64
	for _, r := range metrics(t, filepath.Dir(file)) {
		updates = append(updates, r.Update)
	}
	require.Equal(t, []int64{1, 3, 4, 5}, updates)
	_, errOut = must(t, args...)
	require.NotContains(t, errOut, "removed")
}

// TestTrain_LocksItsFolder starts a second training with the same output.
func TestTrain_LocksItsFolder(t *testing.T) {
	data, path := bars(t, 96, 0), model(t, convert.Options{})
	out := filepath.Join(t.TempDir(), "a.onnx")
	args := []string{path, "--data", data, "-o", out, "--quiet"}
	l, err := lock.Folder(strings.TrimSuffix(out, ".onnx") + "-log")
	require.NoError(t, err)
	for _, flag := range []string{"--seed=0", "--resume", "--force"} {
		_, _, err = command(t, append(args, flag)...)
		require.ErrorIs(t, err, lock.ErrLocked)
		require.ErrorContains(t, err, fmt.Sprintf("a-log is in use by process %d", os.Getpid()))
		require.ErrorContains(t, err, "or give another --output")
	}
	require.NoFileExists(t, out)
	require.NoError(t, l.Release())
	must(t, args...)

	// An error releases the lock.
	_, _, err = command(t, args...)
	require.ErrorContains(t, err, "already exists")
	stopped(t, "96 training images of", path, "--data", data, "-o", out, "--force")
	must(t, append(args, "--resume")...)
}

// TestTrain_LeavesNothingIfItRefuses checks that an error about an existing file creates no
// folder.
func TestTrain_LeavesNothingIfItRefuses(t *testing.T) {
	data, path := bars(t, 48, 0), model(t, convert.Options{})
	_, _, err := command(t, path, "--data", data, "-o", copied(t, path))
	require.ErrorContains(t, err, "already exists")
	out := copied(t, path)
	for _, flag := range []string{"--resume", "--quiet"} {
		_, _, err = command(t, path, "--data", data, "-o", out, flag)
		require.ErrorContains(t, err, "already exists")
		entries, err := os.ReadDir(filepath.Dir(out))
		require.NoError(t, err)
		require.Len(t, entries, 1)
	}
}

// copied returns the path of a copy of a file in a folder of its own.
func copied(t *testing.T, path string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "copy.onnx")
	require.NoError(t, os.WriteFile(out, read(t, path), 0o600))
	return out
}

// TestResume_SaysIfTheProgramDiffers resumes a checkpoint of another version, of another
// instruction set, and of another format.
func TestResume_SaysIfTheProgramDiffers(t *testing.T) {
	data, path := bars(t, 96, 0), model(t, convert.Options{})
	dir := t.TempDir()
	args := []string{path, "--data", data, "-o", filepath.Join(dir, "a.onnx"), "--epochs", "2"}
	stopped(t, "epoch 0:", args...)
	file := filepath.Join(dir, "a-log", "checkpoint")
	c, err := readCheckpoint(file)
	require.NoError(t, err)
	require.Equal(t, cli.Release(), c.Release)
	require.Equal(t, cli.Platform(), c.Platform)
	args = append(args, "--resume")

	c.Release = "v9.0.0"
	require.NoError(t, writeCheckpoint(file, c))
	_, errOut := must(t, args...)
	require.Contains(t, errOut, "warning: the checkpoint was written by sbs-train v9.0.0, and this is "+cli.Release()+": the result may differ")

	c.Release, c.Platform = cli.Release(), "plan9/mips, portable kernels"
	require.NoError(t, writeCheckpoint(file, c))
	_, errOut = must(t, args...)
	require.Contains(t, errOut, "the training moves from plan9/mips, portable kernels to "+cli.Platform()+", which does not change its result")
	require.NotContains(t, errOut, "differ")

	content := bytes.Replace(read(t, file), []byte("checkpoint 4\n"), []byte("checkpoint 5\n"), 1)
	require.NoError(t, os.WriteFile(file, content, 0o600))
	_, _, err = command(t, args...)
	require.ErrorContains(t, err, file+" has the checkpoint format 5, but this is sbs-train "+cli.Release()+" with format 4: resume with the version that wrote it, or start again with --force")
}

// TestResume_IsTheSameOnAllInstructionSets interrupts a training on each instruction set and
// resumes it on each other one.
func TestResume_IsTheSameOnAllInstructionSets(t *testing.T) {
	tiers := kernel.Tiers()
	if len(tiers) == 1 {
		t.Skip("the machine has a single instruction set")
	}
	data, path := bars(t, 96, 24), model(t, convert.Options{})
	dir := t.TempDir()
	args := func(out string) []string {
		return []string{path, "--data", data, "-o", filepath.Join(dir, out+".onnx"), "--epochs", "3"}
	}
	must(t, append(args("whole"), "--quiet")...)
	for _, from := range tiers {
		for _, to := range tiers {
			out := from.String() + "-" + to.String()
			undo := kernel.Use(from)
			stopped(t, "epoch 1:", args(out)...)
			undo()
			undo = kernel.Use(to)
			must(t, append(args(out), "--resume", "--quiet")...)
			undo()
			require.Equal(t, read(t, filepath.Join(dir, "whole.onnx")), read(t, filepath.Join(dir, out+".onnx")), out)
			sameTraining(t, filepath.Join(dir, "whole-log"), filepath.Join(dir, out+"-log"))
		}
	}
}
