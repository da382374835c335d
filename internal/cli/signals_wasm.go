package cli

import (
	"context"
	"os"
)

// interruptible returns a context that nothing but cancel ends: WebAssembly has no signals.
func interruptible([]os.Signal) (ctx context.Context, cancel func()) {
	return context.WithCancel(context.Background())
}

// IgnoreBrokenPipes does nothing: WebAssembly has no signals.
func IgnoreBrokenPipes() (undo func()) { return func() {} }
