package opstest

import (
	"context"
	"sync/atomic"
)

// CanceledAfter returns a child of ctx whose Err reports context.Canceled after n calls.
// A test can thus check that a computation calls Err often enough, without depending on
// time. The Done channel is the channel of ctx.
func CanceledAfter(ctx context.Context, n int) context.Context {
	c := &impatient{Context: ctx}
	c.left.Store(int64(n))
	return c
}

type impatient struct {
	context.Context
	left atomic.Int64 // calls of Err
}

// Err implements context.Context.
func (c *impatient) Err() error {
	if c.left.Add(-1) >= 0 {
		return c.Context.Err()
	}
	return context.Canceled
}
