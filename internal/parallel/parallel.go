// Package parallel runs loops on several cores.
package parallel

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Pool runs loops with a fixed number of workers. It holds no goroutines
// between loops and is safe for concurrent use.
type Pool struct {
	workers int
}

// New returns a pool of the given number of workers; less than 1 means one for
// every CPU that the process may use.
func New(workers int) *Pool {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	return &Pool{workers: workers}
}

// For calls body(lo, hi) on consecutive parts of [0, n), each at most grain
// long, from up to Workers goroutines at a time; which goroutine gets which
// part is not determined. It returns when all calls have returned, with the
// first error of any body or of ctx; once there is one no further part starts.
// A panic in body is raised again in the caller.
func (p *Pool) For(ctx context.Context, n, grain int, body func(lo, hi int) error) error {
	if n <= 0 {
		return ctx.Err()
	}
	grain = max(grain, 1)
	l := loop{ctx: ctx, n: n, grain: grain, body: body}
	parts := (n + grain - 1) / grain
	var wg sync.WaitGroup
	for range min(p.workers, parts) - 1 {
		wg.Go(l.work)
	}
	l.work()
	wg.Wait()
	if l.panicked {
		panic(l.panicValue)
	}
	return l.err
}

type loop struct {
	ctx      context.Context
	body     func(lo, hi int) error
	n, grain int

	next atomic.Int64 // index of the next part
	stop atomic.Bool

	mu         sync.Mutex
	err        error
	panicked   bool
	panicValue any
}

func (l *loop) work() {
	defer func() {
		if r := recover(); r != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.panicked, l.panicValue = true, r
			l.stop.Store(true)
		}
	}()
	for !l.stop.Load() {
		if err := l.ctx.Err(); err != nil {
			l.fail(err)
			return
		}
		lo := int(l.next.Add(1)-1) * l.grain
		if lo >= l.n {
			return
		}
		if err := l.body(lo, min(lo+l.grain, l.n)); err != nil {
			l.fail(err)
			return
		}
	}
}

func (l *loop) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.stop.Store(true)
}
