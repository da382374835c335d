package opstest

import (
	"context"
	"sync/atomic"
)

// CancelledAfter returns a context that says that it is cancelled once its Err was
// called n times: whether a computation looks often enough then depends on no clock.
func CancelledAfter(ctx context.Context, n int) context.Context {
	c := &impatient{Context: ctx}
	c.left.Store(int64(n))
	return c
}

type impatient struct {
	context.Context
	left atomic.Int64
}

func (c *impatient) Err() error {
	if c.left.Add(-1) >= 0 {
		return c.Context.Err()
	}
	return context.Canceled
}
