// Package parallel runs the iterations of loops on several processor cores.
package parallel

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Loop is the body of a loop. Part performs iterations lo to hi-1 of it and may
// be called from several goroutines at the same time. A body must not end its
// goroutine, as runtime.Goexit and testing.T.FailNow do.
//
// Loop is an alias, so that other packages can declare the same type without
// importing this one.
type Loop = interface{ Part(lo, hi int) error }

type loopFunc func(lo, hi int) error

func (f loopFunc) Part(lo, hi int) error { return f(lo, hi) }

// Pool runs loops with a limited number of workers. The goroutine that calls Do or For
// is one of them; the others are goroutines of the Pool, called helpers. A Pool starts
// a helper when a loop first has work for it. Close ends the helpers; the garbage
// collector ends the helpers of a Pool that was not closed.
//
// A Pool is safe for concurrent use. Loops that run at the same time share the
// helpers: a loop does not wait for a helper that is busy with another loop. For
// this reason the body of a loop may itself run loops.
type Pool struct {
	workers int
	helpers *helpers
}

// New returns a Pool of the given number of workers, but not more than
// runtime.GOMAXPROCS(0), since more cannot run at the same time. A number less
// than 1 stands for runtime.GOMAXPROCS(0).
func New(workers int) *Pool {
	most := runtime.GOMAXPROCS(0)
	if workers < 1 {
		workers = most
	}
	return &Pool{workers: min(workers, most), helpers: new(helpers)}
}

// Workers returns the number of workers.
func (p *Pool) Workers() int { return p.workers }

// Close ends the goroutines of the Pool and returns when they have ended. They
// first complete the loops that they are working on, so Close must not be called
// from the body of a loop. Loops that start after Close run in the goroutine of
// the caller alone. Calling Close again has no effect.
func (p *Pool) Close() {
	p.helpers.end()
	p.helpers.running.Wait()
}

// For calls body(lo, hi) for consecutive parts of [0, n), each of at most grain
// iterations, and returns when all calls have returned. The calls are spread over
// the workers; the order of the parts and the worker of each are not determined.
//
// For returns the first error of body or, once ctx is done, the error of ctx. No
// further part starts after an error. If body panics, For panics with a *Panic.
func (p *Pool) For(ctx context.Context, n, grain int, body func(lo, hi int) error) error {
	return p.Do(ctx, n, grain, loopFunc(body))
}

// Do runs a loop as For does. Unlike For, which needs a new function value for
// most loops, Do does not allocate memory.
func (p *Pool) Do(ctx context.Context, n, grain int, body Loop) error {
	if n <= 0 {
		return ctx.Err()
	}
	grain = max(grain, 1)
	l := loops.Get().(*loop)
	l.ctx, l.n, l.grain, l.body = ctx, n, grain, body
	var team []*helper
	parts := (n-1)/grain + 1
	if wanted := min(p.workers, parts) - 1; wanted > 0 {
		team = p.team(wanted)
	}
	l.divide(parts, len(team)+1)
	for _, h := range team {
		h.offer(l)
	}
	l.run(0)
	for _, h := range team {
		h.withdraw(l)
	}
	runtime.KeepAlive(p) // a cleanup of p would end the helpers early
	l.wait()
	err, panicked := l.err, l.panicked
	l.reset()
	loops.Put(l)
	if panicked != nil {
		panic(panicked)
	}
	return err
}

// team returns n helpers, or none after Close. It starts those that are missing.
func (p *Pool) team(n int) []*helper {
	if s := p.helpers.started.Load(); s != nil && len(*s) >= n {
		return (*s)[:n]
	}
	team, first := p.helpers.start(n)
	if first {
		runtime.AddCleanup(p, (*helpers).end, p.helpers)
	}
	return team
}

var loops = sync.Pool{New: func() any { return new(loop) }}

// loop is a loop that is running.
type loop struct {
	ctx      context.Context
	body     Loop
	n, grain int
	pending  atomic.Int64   // the number of helpers that may be working on the loop, and waiting
	sleeping sync.WaitGroup // counts the caller while it sleeps

	shares []share // of the parts: one for each worker
	stop   atomic.Bool

	mu       sync.Mutex
	err      error
	panicked *Panic
}

// share is a range of parts. A worker performs those of its own share, and then what is left of the
// others. The shares of loops of the same length are equal, so that an image most often meets the same
// worker, and the same cache, in every layer.
type share struct {
	next atomic.Int64 // index of the next part
	end  int64
	_    [112]byte // a share has cache lines of its own
}

// divide divides the parts among the workers.
func (l *loop) divide(parts, workers int) {
	l.shares = slices.Grow(l.shares[:0], workers)[:workers]
	for i := range l.shares {
		l.shares[i].next.Store(int64(parts/workers*i + min(i, parts%workers)))
		l.shares[i].end = int64(parts/workers*(i+1) + min(i+1, parts%workers))
	}
}

// waiting is added to loop.pending while the caller sleeps.
const waiting = 1 << 32

// wait waits until no helper works on the loop.
func (l *loop) wait() {
	if attend(l.isComplete) {
		return
	}
	l.sleeping.Add(1)
	if l.pending.Add(waiting) == waiting {
		l.sleeping.Done()
	}
	l.sleeping.Wait()
	l.pending.Store(0)
}

func (l *loop) isComplete() bool { return l.pending.Load() == 0 }

// done says that a helper does not work on the loop. The caller may reuse the loop from then on.
func (l *loop) done() {
	if l.pending.Add(-1) == waiting {
		l.sleeping.Done()
	}
}

func (l *loop) reset() {
	l.ctx, l.body, l.err, l.panicked = nil, nil, nil, nil
	l.stop.Store(false)
}

// run performs parts of the loop until none is left, as the worker with the given number.
func (l *loop) run(worker int) {
	defer func() {
		if v := recover(); v != nil {
			p := panicOf(v)
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.panicked == nil {
				l.panicked = p
			}
			l.stop.Store(true)
		}
	}()
	for i := range l.shares {
		s := &l.shares[(worker+i)%len(l.shares)]
		for !l.stop.Load() {
			part := s.next.Add(1) - 1
			if part >= s.end {
				break
			}
			if err := l.ctx.Err(); err != nil {
				l.fail(err)
				return
			}
			lo := int(part) * l.grain
			if err := l.body.Part(lo, min(lo+l.grain, l.n)); err != nil {
				l.fail(err)
				return
			}
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
