//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/clitest"
)

// slowGrid are the arguments of two trials that take some seconds.
func slowGrid(flags ...string) []string {
	return append([]string{"trials", "net/network.json", "--data", "data", "--vary", "lr=0.1,0.3", "--epochs", "30", "--spikes", "400", "--no-test"}, flags...)
}

// waitForStates waits until the only job on the server has the states of some trials, and some states were
// stored in all.
func waitForStates(t *testing.T, e *engine.Engine, trials int, states uint64) (id string) {
	t.Helper()
	js, err := jetstream.New(e.Conn())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := e.Jobs(t.Context())
		if err != nil || len(list) != 1 {
			return false
		}
		id = list[0].ID
		stream, err := js.Stream(t.Context(), "KV_sbs-"+id)
		if err != nil {
			return false
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("$KV.sbs-"+id+".*.*.state"))
		return err == nil && len(info.State.Subjects) >= trials && info.State.LastSeq >= states
	}, time.Minute, 5*time.Millisecond)
	return id
}

// wantTrials makes the trials without losses.
func wantTrials(t *testing.T, args []string) {
	t.Helper()
	t.Setenv(commandVariable, "1")
	_, stderr, err := call(t, newCommand, append(args, "-o", "want", "--local-workers", "2")...)
	require.NoError(t, err, stderr)
}

// continued checks that a trial has continued from a checkpoint: each part of a training has an event file.
func continued(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "events.out.tfevents.*"))
	require.NoError(t, err)
	require.Greater(t, len(files), 1, folder)
}

// A worker that is killed in the middle of a trial, one that is stopped, and one that gets SIGTERM: others
// continue their trials from the last checkpoint.
func TestTrials_WorkersMayBeLost(t *testing.T) {
	clitest.DefaultSignals(t)
	trialData(t)
	args := slowGrid()
	wantTrials(t, args)
	_, url := startServer(t, nil)
	e := connected(t, url)
	start := func() *exec.Cmd { return startWorkers(t, url, 1, "--lost-after", "1s")[0] }
	first, second := start(), start()
	cmd, stderr := process(t, append(args, "--nats", url, "-o", "got")...)
	require.NoError(t, cmd.Start())
	waitForStates(t, e, 2, 4)
	require.NoError(t, first.Process.Kill())
	require.NoError(t, second.Process.Signal(syscall.SIGTERM))
	require.NoError(t, second.Wait(), "a worker ends cleanly")
	require.Error(t, first.Wait())
	third := start()
	waitForStates(t, e, 2, 10)
	require.NoError(t, third.Process.Signal(syscall.SIGSTOP))
	start()
	time.AfterFunc(3*time.Second, func() { _ = third.Process.Signal(syscall.SIGCONT) })
	require.NoError(t, cmd.Wait(), stderr)
	sameTrials(t, "want", "got", 2)
	continued(t, "got/trial-001")
	continued(t, "got/trial-002")
}

// A command that was killed continues, with the checkpoints of the workers.
func TestTrials_ClientMayComeBack(t *testing.T) {
	clitest.DefaultSignals(t)
	trialData(t)
	args := slowGrid()
	wantTrials(t, args)
	_, url := startServer(t, nil)
	startWorkers(t, url, 1)
	e := connected(t, url)
	first, _ := process(t, append(args, "--nats", url, "-o", "got")...)
	require.NoError(t, first.Start())
	waitForStates(t, e, 1, 2)
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait())
	_, _, err := call(t, newCommand, append(args, "--nats", url, "-o", "got")...)
	require.ErrorContains(t, err, "got already has the results of trials: continue them with --resume")

	second, stderr := process(t, append(args, "--nats", url, "-o", "got", "--resume")...)
	require.NoError(t, second.Start())
	require.Eventually(t, func() bool { _, err := os.Stat("got/trial-001"); return err == nil }, time.Minute, 5*time.Millisecond)
	require.NoError(t, second.Process.Signal(syscall.SIGINT))
	require.Error(t, second.Wait())
	require.Equal(t, 130, second.ProcessState.ExitCode())
	require.Contains(t, stderr.String(), "is on the server: it continues")
	require.Contains(t, stderr.String(), "to resume, run\n  sbs-cluster trials net/network.json ")
	require.NoDirExists(t, "got/trial-002")

	third, stderr := process(t, append(args, "--nats", url, "-o", "got", "--resume")...)
	require.NoError(t, third.Run(), stderr)
	sameTrials(t, "want", "got", 2)
}

// Without --nats, the checkpoints are in the folder of the results.
func TestTrials_ContinueOnOneMachine(t *testing.T) {
	clitest.DefaultSignals(t)
	trialData(t)
	args := slowGrid()
	wantTrials(t, args)
	first, _ := process(t, append(args, "-o", "got", "--local-workers", "1")...)
	require.NoError(t, first.Start())
	require.Eventually(t, func() bool {
		blocks, err := filepath.Glob("got/server/jetstream/*/streams/OBJ_*/msgs/*.blk")
		if err != nil || len(blocks) == 0 {
			return false
		}
		info, err := os.Stat(blocks[len(blocks)-1])
		return err == nil && info.Size() > 100_000 // checkpoints, and not only the specification
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait())
	second, stderr := process(t, append(args, "-o", "got", "--resume", "--local-workers", "1")...)
	require.NoError(t, second.Run(), stderr)
	require.Contains(t, stderr.String(), "is on the server: it continues")
	sameTrials(t, "want", "got", 2)
	continued(t, "got/trial-001")
}
