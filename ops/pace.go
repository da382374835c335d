package ops

import (
	"sync/atomic"
	"time"
)

// pace finds out whether loops of a node are faster in the calling goroutine alone. Waking
// another goroutine takes longer than many of the loops of a single image. The choice does
// not change any result.
type pace struct {
	busy  uint32 // atomic; 1 while a loop is being measured, which may run further loops
	loops [4]pacedLoop
}

// pacedLoop holds measurements of loops of one size.
type pacedLoop struct {
	n, grain        int
	calls           int
	alone, together time.Duration // about the shortest time so far, 0 if unknown
}

const (
	// longLoop is a time from which on loops always run on all workers.
	longLoop = 250 * time.Microsecond

	// paceAgain is the number of loops after which the slower way is tried again. The pool is tried more often
	// at first, because the first run of a node is slower than later ones.
	paceAgain = 256
)

// do runs a loop with the pool or in the calling goroutine, and notes how long it takes.
func (p *pace) do(c *Context, n, grain int, body Loop) error {
	if !atomic.CompareAndSwapUint32(&p.busy, 0, 1) {
		return c.Pool.Do(c.parent(), n, grain, body)
	}
	defer atomic.StoreUint32(&p.busy, 0)
	l := p.find(n, grain)
	if l == nil {
		return c.Pool.Do(c.parent(), n, grain, body)
	}
	alone := l.isAlone()
	start := time.Now()
	if alone {
		err := inTurn(c.parent(), n, grain, body)
		if err == nil { // a loop that fails may end early
			l.alone = shorter(l.alone, time.Since(start))
		}
		return err
	}
	err := c.Pool.Do(c.parent(), n, grain, body)
	if err == nil {
		l.together = shorter(l.together, time.Since(start))
	}
	return err
}

// find returns the entry for loops of a size, or nil if there are too many sizes.
func (p *pace) find(n, grain int) *pacedLoop {
	for i := range p.loops {
		l := &p.loops[i]
		if l.calls == 0 {
			l.n, l.grain = n, grain
		}
		if l.n == n && l.grain == grain {
			return l
		}
	}
	return nil
}

// isAlone reports whether the next loop runs in the calling goroutine alone.
func (l *pacedLoop) isAlone() bool {
	l.calls++
	switch {
	case l.together == 0 || l.together > longLoop:
		return false
	case l.alone == 0:
		return true
	}
	alone := l.alone < l.together
	again := l.calls%paceAgain == 0 || alone && l.calls&(l.calls-1) == 0
	return alone != again
}

// shorter returns the shorter of two times. A longer new time raises the old one a little,
// so that the result follows changes. A long time replaces it, because loops of the same
// size can do different work.
func shorter(old, now time.Duration) time.Duration {
	if old == 0 || now > longLoop {
		return max(now, 1)
	}
	return min(now, old+old/8)
}
