// Package clitest helps to test commands: in processes of their own, and with images.
package clitest

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// DefaultSignals lets the processes that a test starts get interrupt, SIGTERM and SIGHUP
// with their default effect. Otherwise they ignore the signals that the test itself
// ignores, such as SIGHUP after nohup.
func DefaultSignals(t testing.TB) {
	// A signal with a handler has its default effect in a new process.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(handled) })
}
