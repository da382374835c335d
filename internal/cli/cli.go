// Package cli holds what the commands share: how they start and end, their version,
// their help, and the flags that several of them have.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes of the commands, apart from success, 0. A command that was interrupted
// ends with 128 plus the number of the signal, as shells have it.
const (
	exitFailure = 1
	exitUsage   = 2
	exitSignal  = 128
)

// UsageError is an error in how a command was called.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

func (e *UsageError) Unwrap() error { return e.Err }

// Usage returns an error that wraps err in a UsageError, or nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &UsageError{err}
}

// ErrInterrupted is wrapped by the error of a command that a signal has interrupted.
var ErrInterrupted = errors.New("interrupted")

// Main runs a command with the arguments of the process, prints its error, and returns
// the exit code. The first signal among interrupt (Ctrl-C), SIGTERM and SIGHUP cancels
// the context of the command, so that it can end in order; the second ends the process.
func Main(newCommand func(args []string) *cobra.Command) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		s := <-signals
		signal.Stop(signals) // the next one has its usual effect
		cancel(&signalError{s})
	}()
	cmd := newCommand(os.Args[1:])
	err := Run(ctx, cmd, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), err)
	}
	return exitCode(ctx, err)
}

// Run runs a command with the given arguments and streams.
func Run(ctx context.Context, cmd *cobra.Command, args []string, stdout, stderr io.Writer) error {
	prepare(cmd)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cmd.ExecuteContext(ctx)
}

// signalError is the cause of a context that a signal has canceled.
type signalError struct{ signal os.Signal }

func (e *signalError) Error() string { return e.signal.String() }

func exitCode(ctx context.Context, err error) int {
	var interrupted *signalError
	var usage *UsageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrInterrupted) && errors.As(context.Cause(ctx), &interrupted):
		if s, ok := interrupted.signal.(syscall.Signal); ok {
			return exitSignal + int(s)
		}
		return exitFailure
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailure
}

// prepare gives a command its version and the common form of help and errors.
func prepare(cmd *cobra.Command) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.Version = Version()
	cmd.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	cmd.Flags().SortFlags = false
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(flagError(err)) })
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error { return Usage(check(cmd, args)) }
	}
	cmd.SetUsageFunc(usage)
}
