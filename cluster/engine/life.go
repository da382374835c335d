package engine

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Watch follows the workers that are there.
type Watch struct {
	version string
	sub     *nats.Subscription

	mu    sync.Mutex
	lives map[string]seen // by name
}

type seen struct {
	Life
	at time.Time
}

// Limits of a Watch: the number of workers that it follows, and the bytes of a sign of life.
const (
	maxLives = 100000
	maxLife  = 4096
)

// Watch begins to follow the workers. Stop ends it.
func (e *Engine) Watch() (*Watch, error) {
	w := &Watch{version: e.Version, lives: map[string]seen{}}
	var err error
	w.sub, err = e.conn.Subscribe(lifeSubject, func(m *nats.Msg) {
		var l Life
		if len(m.Data) > maxLife || json.Unmarshal(m.Data, &l) != nil || l.Cores < 0 {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.lives) < maxLives {
			w.lives[l.Name] = seen{l, time.Now()}
		}
	})
	return w, err
}

// Workers returns the numbers of workers of the same version and of their cores, and another version of
// which there are workers, or "".
func (w *Watch) Workers() (workers, cores int, other string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, s := range w.lives {
		switch {
		case time.Since(s.at) > lifeEnds:
			delete(w.lives, name)
		case s.Version == w.version:
			workers++
			cores += s.Cores
		default:
			other = s.Version
		}
	}
	return workers, cores, other
}

// Stop ends the watch.
func (w *Watch) Stop() { _ = w.sub.Unsubscribe() } // fails only after the connection was closed
