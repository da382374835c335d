//go:build !wasm

package cli

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// interruptible returns a context that the first of the signals of Main cancels, except for those in
// own. The caller must call cancel.
func interruptible(own []os.Signal) (ctx context.Context, cancel func()) {
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) && !slices.Contains(own, s) { // nohup ignores SIGHUP
			signal.Notify(signals, s)
		}
	}
	ctx, stop := context.WithCancelCause(context.Background())
	go func() {
		s := <-signals
		signal.Ignore(syscall.SIGHUP) // when a terminal closes, a shell may send it again
		signal.Stop(signals)          // restores the default action: the next signal ends the process
		stop(&signalError{s})
	}()
	return ctx, func() { stop(nil) }
}

// IgnoreBrokenPipes makes a write to a closed pipe fail, instead of ending the process, until undo
// is called. A command that must save its state calls it: the program that reads its output may
// end first.
func IgnoreBrokenPipes() (undo func()) {
	if signal.Ignored(syscall.SIGPIPE) {
		return func() {}
	}
	signal.Ignore(syscall.SIGPIPE)
	return func() { signal.Reset(syscall.SIGPIPE) }
}
