package parallel

import "sync"

// Spares keeps objects that the workers of a loop need temporarily, such as
// scratch memory, for reuse. In contrast to sync.Pool it never drops an object:
// the objects stay allocated as long as the Spares, even if the garbage collector
// runs between two loops. It is safe for concurrent use.
type Spares[T any] struct {
	New func() T // makes an object when there is no free one

	mu   sync.Mutex
	free []T
}

// Get returns a free object, or a new one if there is none.
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

// Put makes an object free again.
func (s *Spares[T]) Put(t T) {
	s.mu.Lock()
	s.free = append(s.free, t)
	s.mu.Unlock()
}
