//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/clitest"
)

// start starts a process that prints "ready", and waits until it does.
func start(t *testing.T, cmd *exec.Cmd) (lines *bufio.Reader, stderr *bytes.Buffer) {
	t.Helper()
	clitest.DefaultSignals(t)
	stderr = &bytes.Buffer{}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines = bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return lines, stderr
}

func TestMain_CancelsTheCommandAtASignal(t *testing.T) {
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		cmd := process(t, nil, "wait")
		_, stderr := start(t, cmd)
		require.NoError(t, cmd.Process.Signal(signal))
		require.Error(t, cmd.Wait())
		require.Equal(t, want, cmd.ProcessState.ExitCode(), "%v", signal)
		require.Equal(t, "test: interrupted: nothing was written\n", stderr.String())
	}
}

func TestMain_EndsAtTheSecondSignal(t *testing.T) {
	cmd := process(t, nil, "hang")
	lines, _ := start(t, cmd)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "canceled\n", line)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, cmd.Wait())
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGINT, status.Signal())
}

// TestMain_StopsCleanlyAfterSeveralHangups sends SIGHUP several times, as a shell does whose
// terminal closes.
func TestMain_StopsCleanlyAfterSeveralHangups(t *testing.T) {
	cmd := process(t, nil, "hang")
	lines, _ := start(t, cmd)
	for range 3 {
		require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
		time.Sleep(time.Millisecond)
	}
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "canceled\n", line)
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, cmd.Wait())
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGTERM, status.Signal())
}

// nohup starts a command with SIGHUP ignored, and so does a shell with SIGINT for a
// command in the background of a script.
func TestMain_KeepsIgnoringSignals(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell:", err)
	}
	command := process(t, nil, "wait")
	cmd := exec.CommandContext(t.Context(), shell, "-c", `trap "" HUP INT; exec "$0" wait`, command.Path)
	cmd.Env = command.Env
	lines, stderr := start(t, cmd)
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_, err = lines.ReadString('\n')
	require.ErrorIs(t, err, io.EOF)
	require.Error(t, cmd.Wait())
	require.Equal(t, 143, cmd.ProcessState.ExitCode())
	require.Equal(t, "test: interrupted: nothing was written\n", stderr.String())
}
