// Package cli contains the code that the commands share: the main function with signals
// and exit codes, the version, the help, error messages, and common flags.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes of the commands. The exit code of an interrupted command is exitSignal
// plus the number of the signal, as in a shell.
const (
	exitSuccess = 0
	exitFailure = 1
	exitUsage   = 2
	exitSignal  = 128
)

// UsageError is an error in the arguments or flags of a command.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

func (e *UsageError) Unwrap() error { return e.Err }

// Usage wraps err in a UsageError. It returns nil if err is nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &UsageError{err}
}

// ErrInterrupted is the error of a command that a signal has interrupted. A command
// returns it, or an error that wraps it, after its context is canceled.
var ErrInterrupted = errors.New("interrupted")

// Main runs a command with the arguments of the process, prints its error, and returns
// the exit code. The first SIGINT (Ctrl-C), SIGTERM or SIGHUP cancels the context of the
// command, so that it can stop cleanly. The second one ends the process immediately, except for
// SIGHUP, which is ignored then. The command handles the signals in own itself.
func Main(newCommand func(args []string) *cobra.Command, own ...os.Signal) int {
	ctx, cancel := interruptible(own)
	defer cancel()
	args := os.Args[1:]
	cmd := newCommand(args)
	err := Run(ctx, cmd, args, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", cmd.Name(), Message(err, args))
	}
	return exitCode(ctx, err)
}

// Run runs a command with the given arguments and streams.
func Run(ctx context.Context, cmd *cobra.Command, args []string, stdout, stderr io.Writer) error {
	prepare(cmd, helpWidth(stdout))
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cmd.ExecuteContext(ctx)
}

// signalError is the cause of the cancellation of a context by a signal.
type signalError struct{ signal os.Signal }

func (e *signalError) Error() string { return e.signal.String() }

// exitCode returns the exit code of a command that ran with ctx and returned err.
func exitCode(ctx context.Context, err error) int {
	var interrupted *signalError
	var usage *UsageError
	switch {
	case err == nil:
		return exitSuccess
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

// prepare sets the properties that all commands have in common. width is the width of the
// help.
func prepare(cmd *cobra.Command, width int) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.Version = Version()
	cmd.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolP("help", "h", false, "print this help")
	flags.BoolP("version", "v", false, "print the version")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return Usage(flagError(cmd.Flags(), err)) })
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error { return Usage(check(cmd, args)) }
	}
	cmd.SetUsageFunc(func(cmd *cobra.Command) error { return printUsage(cmd, width) })
}
