package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// helpers holds the helpers of a Pool. It has no pointer to the Pool: the
// goroutines refer to it, and the Pool has to stay collectable while they wait.
type helpers struct {
	started atomic.Pointer[[]*helper] // only grows; nil before the first
	running sync.WaitGroup

	mu    sync.Mutex // held while helpers start or end
	ended bool
}

// start returns n helpers and starts those that are missing. After end it returns
// none. first reports whether no helper had been started before.
func (s *helpers) start(n int) (team []*helper, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, false
	}
	all := s.all()
	first = len(all) == 0
	for len(all) < n {
		h := &helper{wake: make(chan struct{}, 1), share: len(all) + 1} // the first one is the caller's
		s.running.Go(h.run)
		all = append(all, h)
	}
	s.started.Store(&all)
	return all[:n], first
}

// end makes every helper end after the loop that it is working on.
func (s *helpers) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	for _, h := range s.all() {
		h.ended.Store(true)
		h.signal()
	}
	s.started.Store(nil)
}

func (s *helpers) all() []*helper {
	if p := s.started.Load(); p != nil {
		return *p
	}
	return nil
}

// helper is a goroutine that works on loops that are offered to it.
type helper struct {
	slot   atomic.Pointer[loop] // the loop on offer, or &taken while the helper works on one
	asleep atomic.Bool          // the helper looks at slot again only after a signal
	wake   chan struct{}        // tells the helper to look at slot and ended
	ended  atomic.Bool
	share  int // the share of loops with which the helper begins
}

// taken marks the slot of a helper that is working on a loop.
var taken loop

// offer offers a loop to the helper unless the helper has one.
func (h *helper) offer(l *loop) {
	l.pending.Add(1)
	if !h.slot.CompareAndSwap(nil, l) {
		l.done()
		return
	}
	if h.asleep.Load() {
		h.signal()
	}
}

// withdraw takes back the offer of a loop that the helper has not begun.
func (h *helper) withdraw(l *loop) {
	if h.slot.CompareAndSwap(l, nil) {
		l.done()
	}
}

func (h *helper) signal() {
	select {
	case h.wake <- struct{}{}:
	default: // a signal is pending, so the helper is about to look
	}
}

func (h *helper) run() {
	for !h.ended.Load() { // the loop of an offer that comes too late withdraws it
		if h.work() || attend(h.isCalled) {
			continue
		}
		h.asleep.Store(true)
		if !h.isCalled() { // otherwise, an offer may not have seen that the helper is asleep
			<-h.wake
		}
		h.asleep.Store(false)
	}
}

// work works on the loop on offer, and reports whether there is one.
func (h *helper) work() bool {
	l := h.slot.Load()
	if l == nil || !h.slot.CompareAndSwap(l, &taken) {
		return false
	}
	l.run(h.share)
	h.slot.Store(nil)
	l.done()
	return true
}

// isCalled reports whether the helper has something to do.
func (h *helper) isCalled() bool { return h.slot.Load() != nil || h.ended.Load() }

// attention is how long a goroutine looks for what it waits for before it sleeps: about as long as it takes until
// a sleeping goroutine runs again after it is called. The loops of a network mostly follow each other faster
// than that.
const attention = 30 * time.Microsecond

// attend waits for a moment until f is true, and reports whether it is. Meanwhile, other
// goroutines run if there are any.
func attend(f func() bool) bool {
	for start := time.Now(); ; runtime.Gosched() {
		if f() {
			return true
		}
		if time.Since(start) > attention {
			return false
		}
	}
}
