package parallel

import (
	"sync"
	"sync/atomic"
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
	slot  atomic.Pointer[loop] // the loop on offer, or &taken while the helper works on one
	wake  chan struct{}        // tells the helper to look at slot and ended
	ended atomic.Bool
	share int // the share of loops with which the helper begins
}

// taken marks the slot of a helper that is working on a loop.
var taken loop

// offer offers a loop to the helper unless the helper has one.
func (h *helper) offer(l *loop) {
	l.busy.Add(1)
	if !h.slot.CompareAndSwap(nil, l) {
		l.busy.Done()
		return
	}
	h.signal()
}

// withdraw takes back the offer of a loop that the helper has not begun.
func (h *helper) withdraw(l *loop) {
	if h.slot.CompareAndSwap(l, nil) {
		l.busy.Done()
	}
}

func (h *helper) signal() {
	select {
	case h.wake <- struct{}{}:
	default: // a signal is pending, so the helper is about to look
	}
}

func (h *helper) run() {
	for range h.wake {
		if l := h.slot.Load(); l != nil && h.slot.CompareAndSwap(l, &taken) {
			l.run(h.share)
			h.slot.Store(nil)
			l.busy.Done()
		}
		if h.ended.Load() {
			return // the loop of an offer that comes too late withdraws it
		}
	}
}
