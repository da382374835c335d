package reduce

import (
	"context"
	"sync"
)

// unit is the number of bytes of which an inFlight counts the multiples, and maxUnits their number: 2 MB are
// enough for 10 Gbit/s and a round trip of a millisecond, and arrive in two seconds with 10 Mbit/s.
const (
	unit     = 1 << 16
	maxUnits = 32
)

// inFlight limits the bytes that are on their way to a member. More of them would make a server drop the
// connection of a member with a slow network.
type inFlight struct {
	entrance sync.Mutex // only one goroutine takes units, since each waits for all of its units
	units    chan struct{}
}

// enter waits until there is room for a number of units.
func (l *inFlight) enter(ctx context.Context, units int) error {
	l.entrance.Lock()
	defer l.entrance.Unlock()
	for i := range units {
		select {
		case l.units <- struct{}{}:
		case <-ctx.Done():
			l.leave(i)
			return ctx.Err()
		}
	}
	return nil
}

// leave gives units back.
func (l *inFlight) leave(units int) {
	for range units {
		<-l.units
	}
}
