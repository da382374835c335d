package parallel

import "sync"

// Spares holds what the workers of a loop need one at a time, for the next who
// needs one. Unlike those of a sync.Pool they live as long as the Spares: what is
// made anew often must not wait for the garbage collector twice.
type Spares[T any] struct {
	New func() T

	mu   sync.Mutex
	free []T
}

// Get returns one that has been put back, or a new one.
func (s *Spares[T]) Get() T {
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		t := s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		return t
	}
	s.mu.Unlock()
	return s.New()
}

// Put gives one back.
func (s *Spares[T]) Put(t T) {
	s.mu.Lock()
	s.free = append(s.free, t)
	s.mu.Unlock()
}
