package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// process returns the test command as a separate process, with additional environment
// variables.
func process(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), commandVariable+"=1"), env...)
	return cmd
}

func TestMain_PrintsTheErrorAndReturnsTheExitCode(t *testing.T) {
	for _, c := range []struct {
		args   []string
		stderr string
		code   int
	}{
		{[]string{"succeed"}, "", 0},
		{[]string{"fail"}, "test: it failed\n", 1},
		{[]string{"jump"}, "test: unknown action \"jump\"\n", 2},
		{nil, "test: accepts 1 arg(s), received 0\n", 2},
		{[]string{"succeed", "--number", "0"}, "test: --number 0: want a whole number of at least 1\n", 2},
		{[]string{"succeed", "--unknown"}, "test: unknown flag --unknown (see --help)\n", 2},
	} {
		var stdout, stderr bytes.Buffer
		cmd := process(t, nil, c.args...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		require.Equal(t, c.code == 0, err == nil, "%v: %v", c.args, err)
		require.Equal(t, c.code, cmd.ProcessState.ExitCode(), "%v", c.args)
		require.Equal(t, c.stderr, stderr.String(), "%v", c.args)
		require.Empty(t, stdout.String(), "%v", c.args)
	}
}

func TestExitCode_DependsOnTheErrorAndTheSignal(t *testing.T) {
	canceledBy := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		return ctx
	}
	interrupted := fmt.Errorf("%w: nothing was written", ErrInterrupted)
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"success", t.Context(), nil, 0},
		{"success in spite of a signal", canceledBy(&signalError{syscall.SIGTERM}), nil, 0},
		{"failure", t.Context(), errors.New("failure"), 1},
		{"usage error", t.Context(), Usage(errors.New("usage")), 2},
		{"wrapped usage error", t.Context(), fmt.Errorf("test: %w", Usage(errors.New("usage"))), 2},
		{"SIGINT", canceledBy(&signalError{os.Interrupt}), interrupted, 130},
		{"SIGTERM", canceledBy(&signalError{syscall.SIGTERM}), interrupted, 143},
		{"SIGHUP", canceledBy(&signalError{syscall.SIGHUP}), interrupted, 129},
		{"failure after a signal", canceledBy(&signalError{syscall.SIGTERM}), errors.New("failure"), 1},
		{"interruption without a signal", canceledBy(nil), interrupted, 1},
	} {
		require.Equal(t, c.want, exitCode(c.ctx, c.err), c.name)
	}
}

func TestUsage_ReturnsNilForNil(t *testing.T) {
	require.NoError(t, Usage(nil))
}
