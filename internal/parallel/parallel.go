// Package parallel runs loops on several cores.
package parallel

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Loop is the body of a loop.
type Loop = interface {
	// Part does iterations lo to hi-1. It is called from several goroutines.
	Part(lo, hi int) error
}

type loopFunc func(lo, hi int) error

func (f loopFunc) Part(lo, hi int) error { return f(lo, hi) }

// Pool runs loops with a fixed number of workers, of which the caller's
// goroutine is one. The others start with the first loop that has work for them
// and end when the Pool is no longer in use. It is safe for concurrent use, and
// a body may itself run loops: a worker that is busy elsewhere is not waited for.
type Pool struct {
	workers int
	start   sync.Once
	hands   []*hand // the workers beside the caller, set by start
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
	return p.Do(ctx, n, grain, loopFunc(body))
}

// Do is For with a body that, unlike most functions, need not be made anew for
// every loop: it allocates nothing.
func (p *Pool) Do(ctx context.Context, n, grain int, body Loop) error {
	if n <= 0 {
		return ctx.Err()
	}
	grain = max(grain, 1)
	l := jobs.Get().(*job)
	l.ctx, l.n, l.grain, l.body = ctx, n, grain, body
	helpers := min(p.workers, (n+grain-1)/grain) - 1
	var hands []*hand
	if helpers > 0 { // or else another goroutine may be hiring now
		p.start.Do(p.hire)
		hands = p.hands[:helpers]
	}
	for _, h := range hands {
		h.offer(l)
	}
	l.work()
	for _, h := range hands {
		h.withdraw(l)
	}
	runtime.KeepAlive(p) // while there are offers its workers must not end
	l.busy.Wait()
	err, panicked, value := l.err, l.panicked, l.panicValue
	l.reset()
	jobs.Put(l)
	if panicked {
		panic(value)
	}
	return err
}

// hire starts the workers. They know their hands only, not the pool, so that it
// can be collected, which ends them.
func (p *Pool) hire() {
	for range p.workers - 1 {
		h := &hand{wake: make(chan struct{}, 1)}
		p.hands = append(p.hands, h)
		go h.loop()
	}
	runtime.AddCleanup(p, func(hands []*hand) {
		for _, h := range hands {
			close(h.wake)
		}
	}, p.hands)
}

// hand is where a worker gets its jobs from.
type hand struct {
	job  atomic.Pointer[job] // offered, or taken when it is &taken
	wake chan struct{}       // says to look
}

// taken stands in for a job that a worker is at.
var taken job

// offer gives a worker a job unless it has one.
func (h *hand) offer(j *job) {
	j.busy.Add(1)
	if !h.job.CompareAndSwap(nil, j) {
		j.busy.Done()
		return
	}
	select {
	case h.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// withdraw takes back an offer that the worker has not taken up.
func (h *hand) withdraw(j *job) {
	if h.job.CompareAndSwap(j, nil) {
		j.busy.Done()
	}
}

func (h *hand) loop() {
	for range h.wake {
		if j := h.job.Load(); j != nil && h.job.CompareAndSwap(j, &taken) {
			j.work()
			h.job.Store(nil)
			j.busy.Done()
		}
	}
}

var jobs = sync.Pool{New: func() any { return new(job) }}

// job is a loop under way.
type job struct {
	ctx      context.Context
	body     Loop
	n, grain int
	busy     sync.WaitGroup // the workers that may be at it, the caller aside

	next atomic.Int64 // index of the next part
	stop atomic.Bool

	mu         sync.Mutex
	err        error
	panicked   bool
	panicValue any
}

func (l *job) reset() {
	l.ctx, l.body, l.err, l.panicked, l.panicValue = nil, nil, nil, false, nil
	l.next.Store(0)
	l.stop.Store(false)
}

func (l *job) work() {
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
		if err := l.body.Part(lo, min(lo+l.grain, l.n)); err != nil {
			l.fail(err)
			return
		}
	}
}

func (l *job) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.stop.Store(true)
}

// Close ends the goroutines.
func (p *Pool) Close() {}
