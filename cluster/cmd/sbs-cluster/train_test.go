package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/training"
)

// trainArgs writes a model and images to a new folder, which becomes the working directory, and returns
// the arguments of a training of some updates. Epochs end in the middle of updates.
func trainArgs(t *testing.T, flags ...string) []string {
	t.Helper()
	images(t, 3)
	require.NoError(t, os.Mkdir("data", 0o755))
	clitest.Bars(t, "data", 70, 20)
	return append([]string{"sbs.onnx", "--data", "data", "--batch", "6", "--batches-per-update", "5", "--epochs", "4", "--seed", "3"}, flags...)
}

// wantTraining trains with sbs-train.
func wantTraining(t *testing.T, args []string) {
	t.Helper()
	_, stderr, err := call(t, training.Command, append(args, "-o", "want.onnx", "--workers", "1")...)
	require.NoError(t, err, stderr)
}

// sameTraining compares the files of two trainings with the same bits.
func sameTraining(t *testing.T, want, got string) {
	t.Helper()
	require.True(t, read(t, want+".onnx") == read(t, got+".onnx"), "the models differ")
	require.Equal(t, trainingState(t, want), trainingState(t, got))
	seconds := regexp.MustCompile(`"seconds":[0-9.e+-]+`)
	require.Equal(t, seconds.ReplaceAllString(read(t, want+"-log", "metrics.jsonl"), ""), seconds.ReplaceAllString(read(t, got+"-log", "metrics.jsonl"), ""))
}

// state is a checkpoint without times.
type state struct {
	Settings map[string]string
	Trainer  []byte
	Position struct {
		SubBatches, Saved int
		Update, Epoch     struct {
			Loss            float64
			Images, Correct int
		}
		LastTest, Before *struct{ Error float64 }
		Guard            struct {
			Start float64
			High  int
		}
	}
}

// trainingState returns the contents of the last checkpoint.
func trainingState(t *testing.T, model string) (s state) {
	t.Helper()
	_, data, found := strings.Cut(read(t, model+"-log", "checkpoint"), "\n")
	require.True(t, found)
	require.NoError(t, gob.NewDecoder(strings.NewReader(data[sha256.Size:])).Decode(&s))
	require.NotEmpty(t, s.Trainer)
	require.Positive(t, s.Position.SubBatches)
	return s
}

func TestTrain_HasTheBitsOfSbsTrain(t *testing.T) {
	t.Setenv(commandVariable, "1") // for local workers
	args := trainArgs(t)
	wantTraining(t, args)
	for _, workers := range []string{"2", "3"} {
		_, stderr, err := call(t, training.Command, append(args, "-o", "alone"+workers+".onnx", "--workers", workers)...)
		require.NoError(t, err, stderr)
		sameTraining(t, "want", "alone"+workers)
	}
	for _, workers := range []string{"1", "2", "3"} {
		stdout, stderr, err := call(t, newCommand, append(append([]string{"train"}, args...), "-o", "got"+workers+".onnx", "--local-workers", workers)...)
		require.NoError(t, err, stderr)
		require.Contains(t, stdout, "wrote got"+workers+".onnx\n")
		require.Contains(t, stderr, "workers: "+workers+", cores:")
		sameTraining(t, "want", "got"+workers)
	}
	// A training that has ended needs no workers, and sbs-train continues one of sbs-cluster.
	_, url := startServer(t, nil)
	_, stderr, err := call(t, newCommand, append(append([]string{"train"}, args...), "-o", "got1.onnx", "--nats", url, "--resume")...)
	require.NoError(t, err, stderr)
	sameTraining(t, "want", "got1")
	_, stderr, err = call(t, training.Command, append(args, "-o", "got2.onnx", "--resume")...)
	require.NoError(t, err, stderr)
	sameTraining(t, "want", "got2")
}

// updates returns the number of updates of a training so far.
func updates(model string) int {
	data, _ := os.ReadFile(model + "-log/metrics.jsonl")
	return strings.Count(string(data), "\n")
}

// waitForUpdates waits until a training has made some updates.
func waitForUpdates(t *testing.T, model string, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return updates(model) >= n }, 30*time.Second, time.Millisecond)
}

// slowTraining returns the arguments of a training that takes some seconds.
func slowTraining(t *testing.T) []string {
	t.Helper()
	return trainArgs(t, "--epochs", "7", "--spikes", "500", "--no-test")
}

// startTraining starts a training on the workers of a server.
func startTraining(t *testing.T, url, model string, args []string) (*exec.Cmd, func() string) {
	t.Helper()
	cmd, stderr := process(t, slices.Concat([]string{"train", "--nats", url, "-o", model + ".onnx"}, args)...)
	require.NoError(t, cmd.Start())
	return cmd, func() string { return stderr.String() }
}

// A client that is killed leaves a checkpoint, from which the same command and sbs-train continue. The
// workers leave a training without a client, and remove its job.
func TestTrain_ClientMayComeBack(t *testing.T) {
	args := slowTraining(t)
	wantTraining(t, args)
	_, url := startServer(t, nil)
	startWorkers(t, url, 2)
	first, _ := startTraining(t, url, "got", args)
	waitForUpdates(t, "got", 4)
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait())
	second, stderr := startTraining(t, url, "got", append(args, "--resume"))
	require.NoError(t, second.Wait(), stderr)
	sameTraining(t, "want", "got")
	require.Eventually(t, func() bool {
		list, err := connected(t, url).Jobs(t.Context())
		return err == nil && len(list) == 0
	}, 20*time.Second, 50*time.Millisecond)
}

// A worker that joins in the middle of a training helps.
func TestTrain_WorkersMayJoinLate(t *testing.T) {
	args := slowTraining(t)
	wantTraining(t, args)
	_, url := startServer(t, nil)
	startWorkers(t, url, 1)
	cmd, stderr := startTraining(t, url, "got", args)
	waitForUpdates(t, "got", 2)
	startWorkers(t, url, 2)
	require.NoError(t, cmd.Wait(), stderr)
	require.Contains(t, stderr(), "helps; workers: 2")
	sameTraining(t, "want", "got")
}

// waitForJob waits until a training has offered its job.
func waitForJob(t *testing.T, url string) {
	t.Helper()
	e := connected(t, url)
	require.Eventually(t, func() bool {
		list, err := e.Jobs(t.Context())
		return err == nil && len(list) == 1 && list[0].Waiting > 0
	}, 20*time.Second, 5*time.Millisecond)
}

// A worker that sees other images under the path of the client is named before the training starts, and
// no files remain.
func TestTrain_NamesAWorkerWithOtherImages(t *testing.T) {
	args := trainArgs(t)
	_, url := startServer(t, nil)
	cmd, stderr := startTraining(t, url, "got", append(args, "--shared"))
	waitForJob(t, url)
	clitest.Bars(t, "data", 69, 20)
	startWorkers(t, url, 1)
	require.Error(t, cmd.Wait())
	require.Contains(t, stderr(), "cannot compute gradients: the training images are other ones here than where the training was started")
	require.NoFileExists(t, "got-log/checkpoint")
	list, err := connected(t, url).Jobs(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

// Workers of another version do not take part.
func TestTrain_LeavesWorkersOfOtherVersions(t *testing.T) {
	args := trainArgs(t)
	_, url := startServer(t, nil)
	e, err := engine.Connect(t.Context(), engine.Options{URL: url, Version: "other"})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		w := &engine.Worker{Name: "other", Cores: 1, Log: t.Logf, Open: func(context.Context, string, []byte, engine.Objects) (engine.Computer, error) {
			t.Error("a worker of another version got the training")
			return nil, errors.New("another version")
		}}
		if err := e.Work(ctx, w); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	wantTraining(t, args)
	cmd, stderr := startTraining(t, url, "got", args)
	waitForJob(t, url)
	startWorkers(t, url, 1)
	require.NoError(t, cmd.Wait(), stderr)
	require.Contains(t, stderr(), "workers: 1, cores: 1")
	sameTraining(t, "want", "got")
}

// A hint, and no error, says that there are more workers than sub-batches.
func TestTrain_HintsAtTooFewSubBatches(t *testing.T) {
	t.Setenv(commandVariable, "1")
	args := trainArgs(t, "--batches-per-update", "1", "--epochs", "1")
	wantTraining(t, args)
	_, stderr, err := call(t, newCommand, append(append([]string{"train"}, args...), "-o", "got.onnx", "--local-workers", "2")...)
	require.NoError(t, err, stderr)
	require.Contains(t, stderr, "hint: an update has 1 sub-batches, so that 1 of the 2 workers have nothing to do")
	sameTraining(t, "want", "got")
}

func TestTrain_NeedsJetStream(t *testing.T) {
	args := trainArgs(t)
	_, url := startServer(t, func(o *server.Options) { o.JetStream = false })
	_, _, err := call(t, newCommand, append(append([]string{"train"}, args...), "-o", "got.onnx", "--nats", url)...)
	require.ErrorContains(t, err, "has no JetStream: start it with nats-server -js")
	require.NoDirExists(t, "got-log")
}

// The server may restart: the workers and the command find each other again.
func TestTrain_ServerMayRestart(t *testing.T) {
	args := slowTraining(t)
	wantTraining(t, args)
	s, fixed, url := restartable(t)
	startWorkers(t, url, 2)
	cmd, stderr := startTraining(t, url, "got", args)
	waitForUpdates(t, "got", 4)
	s.Shutdown()
	s.WaitForShutdown()
	time.Sleep(200 * time.Millisecond)
	startServer(t, fixed)
	require.NoError(t, cmd.Wait(), stderr)
	sameTraining(t, "want", "got")
}

// The workers come back if the job was removed from the server.
func TestTrain_OffersItsJobAgain(t *testing.T) {
	args := slowTraining(t)
	wantTraining(t, args)
	_, url := startServer(t, nil)
	first := startWorkers(t, url, 1)
	cmd, stderr := startTraining(t, url, "got", args)
	waitForUpdates(t, "got", 3)
	_, _, err := call(t, newCommand, "jobs", "--nats", url, "--remove", "all")
	require.NoError(t, err)
	require.NoError(t, first[0].Process.Kill())
	startWorkers(t, url, 1)
	require.NoError(t, cmd.Wait(), stderr)
	sameTraining(t, "want", "got")
}

// The server may lose all data of JetStream: workers that come later help, too.
func TestTrain_ServerMayLoseItsData(t *testing.T) {
	args := append(slowTraining(t), "--epochs", "10", "--spikes", "1500")
	wantTraining(t, args)
	s, fixed, url := restartable(t)
	startWorkers(t, url, 1)
	cmd, stderr := startTraining(t, url, "got", args)
	waitForUpdates(t, "got", 2)
	s.Shutdown()
	s.WaitForShutdown()
	startServer(t, func(o *server.Options) {
		fixed(o)
		o.StoreDir = t.TempDir()
	})
	startWorkers(t, url, 1)
	require.NoError(t, cmd.Wait(), stderr)
	require.Contains(t, stderr(), "helps; workers: 2")
	sameTraining(t, "want", "got")
}

// A training that began in sbs-train, and was interrupted, continues with workers.
func TestTrain_ContinuesATrainingOfSbsTrain(t *testing.T) {
	t.Setenv(commandVariable, "1") // for local workers
	args := slowTraining(t)
	wantTraining(t, args)
	ctx, cancel := context.WithCancel(t.Context())
	var interrupted sync.WaitGroup
	interrupted.Go(func() {
		for updates("got") < 3 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	})
	args = append(args, "-o", "got.onnx")
	var stdout, stderr bytes.Buffer
	err := cli.Run(ctx, training.Command(args), args, &stdout, &stderr)
	cancel()
	interrupted.Wait()
	require.ErrorIs(t, err, cli.ErrInterrupted)
	_, text, err := call(t, newCommand, append(append([]string{"train"}, args...), "--local-workers", "2", "--resume")...)
	require.NoError(t, err, text)
	require.NotContains(t, text, "starts from the beginning")
	sameTraining(t, "want", "got")
}
