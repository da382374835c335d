//go:build unix

package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/classification"
	"github.com/spike-by-spike/sbs/internal/clitest"
)

// One worker is killed, one is stopped until its shard is given to another one, and one ends after
// SIGTERM: the results are complete, and no image is there twice.
func TestWorkers_MayBeLost(t *testing.T) {
	clitest.DefaultSignals(t)
	args := slow(t)
	want, _, err := call(t, classification.Command, args...)
	require.NoError(t, err)
	_, url := startServer(t, nil)
	workers := startWorkers(t, url, 4, "--lost-after", "1s")
	e := connected(t, url)
	cmd, stderr := process(t, slices.Concat([]string{"run", "--nats", url, "--shards", "40", "-o", "out.csv"}, args)...)
	require.NoError(t, cmd.Start())
	waitForResults(t, e, 8)
	require.NoError(t, workers[0].Process.Kill())
	require.NoError(t, workers[1].Process.Signal(syscall.SIGSTOP))
	require.NoError(t, workers[2].Process.Signal(syscall.SIGTERM))
	require.NoError(t, workers[2].Wait(), "a worker ends cleanly")
	time.AfterFunc(1500*time.Millisecond, func() { _ = workers[1].Process.Signal(syscall.SIGCONT) })
	require.NoError(t, cmd.Wait(), stderr)
	require.Equal(t, want, read(t, "out.csv"))
	list, err := e.Jobs(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

// A client that was killed, and one that was interrupted, continue with the shards that are done.
func TestClient_MayComeBack(t *testing.T) {
	clitest.DefaultSignals(t)
	args := slow(t)
	want, _, err := call(t, classification.Command, args...)
	require.NoError(t, err)
	_, url := startServer(t, nil)
	startWorkers(t, url, 2)
	e := connected(t, url)
	command := slices.Concat([]string{"run", "--nats", url, "--shards", "40", "-o", "out.csv"}, args)
	first, _ := process(t, command...)
	require.NoError(t, first.Start())
	id := waitForResults(t, e, 5)
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait())

	second, stderr := process(t, command...)
	require.NoError(t, second.Start())
	waitForResults(t, e, 15)
	require.NoError(t, second.Process.Signal(syscall.SIGINT))
	require.Error(t, second.Wait())
	require.Equal(t, 130, second.ProcessState.ExitCode())
	require.Contains(t, stderr.String(), "job "+id+" is on the server: it continues")
	require.Contains(t, stderr.String(), "sbs-cluster jobs --remove "+id)

	third, stderr := process(t, command...)
	require.NoError(t, third.Run(), stderr)
	require.Equal(t, want, read(t, "out.csv"))
}

// The workers of a client that is killed end too, and the same command continues with --store.
func TestLocal_ContinuesWithItsFolder(t *testing.T) {
	args := slow(t)
	want, _, err := call(t, classification.Command, args...)
	require.NoError(t, err)
	command := slices.Concat([]string{"run", "--store", "store", "--shards", "40", "--local-workers", "2", "-o", "out.csv"}, args)
	first, _ := process(t, command...)
	require.NoError(t, first.Start())
	require.Eventually(t, func() bool { // the bucket for the results is created last
		buckets, err := filepath.Glob("store/jetstream/*/streams/KV_*")
		return err == nil && len(buckets) > 0
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait())
	second, stderr := process(t, command...)
	require.NoError(t, second.Run(), stderr)
	require.Contains(t, stderr.String(), "is on the server: it continues")
	require.Equal(t, want, read(t, "out.csv"))
}

// A worker that another process has started ends with it.
func TestWorker_EndsWithItsParent(t *testing.T) {
	_, url := startServer(t, nil)
	cmd, stderr := process(t, "worker", "--nats", "-", "--folder", "files")
	cmd.Dir = t.TempDir()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, json.NewEncoder(in).Encode(engine.Options{URL: url}))
	w, err := connected(t, url).Watch()
	require.NoError(t, err)
	defer w.Stop()
	require.Eventually(t, func() bool {
		_, _, other := w.Workers() // the connection of the test has no version
		return other != ""
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait(), stderr)
}

// Workers that are killed or stopped in the middle of an update are replaced, and one that continues
// takes part again: the bits stay those of sbs-train.
func TestTrain_WorkersMayBeLost(t *testing.T) {
	clitest.DefaultSignals(t)
	args := slowTraining(t)
	wantTraining(t, args)
	_, url := startServer(t, nil)
	workers := startWorkers(t, url, 4)
	cmd, stderr := startTraining(t, url, "got", args)
	waitForUpdates(t, "got", 3)
	require.NoError(t, workers[0].Process.Kill())
	require.NoError(t, workers[1].Process.Signal(syscall.SIGTERM))
	require.NoError(t, workers[1].Wait(), "a worker ends cleanly")
	waitForUpdates(t, "got", 6)
	require.NoError(t, workers[2].Process.Signal(syscall.SIGSTOP))
	at := updates("got")
	waitForUpdates(t, "got", at+5)
	require.NoError(t, workers[2].Process.Signal(syscall.SIGCONT))
	require.NoError(t, cmd.Wait(), stderr)
	require.GreaterOrEqual(t, strings.Count(stderr(), " has left; workers: "), 2)
	sameTraining(t, "want", "got")
}
