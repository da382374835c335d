package serve

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections counts the connections of an HTTP server that are new or have a request in progress.
//
// http.Server.Shutdown drops requests that it reads after it has begun, also on connections that it
// has accepted before. So the server first stops to accept connections, and waits until those
// that are there have been answered.
type connections struct {
	mu     sync.Mutex
	states map[net.Conn]http.ConnState
	since  map[net.Conn]time.Time // of new connections
}

func newConnections() *connections {
	return &connections{states: map[net.Conn]http.ConnState{}, since: map[net.Conn]time.Time{}}
}

// changed implements http.Server.ConnState.
func (c *connections) changed(conn net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.since, conn)
	switch s {
	case http.StateNew:
		c.states[conn], c.since[conn] = s, time.Now()
	case http.StateActive:
		c.states[conn] = s
	default: // idle, closed
		delete(c.states, conn)
	}
}

// silence is the time after which a new connection on which nothing has arrived counts as idle.
const silence = 2 * time.Second

// busy reports whether a connection is new or has a request in progress.
func (c *connections) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.states {
		if since, isNew := c.since[conn]; !isNew || time.Since(since) < silence {
			return true
		}
	}
	return false
}

// shutdown ends an HTTP server that accepts no connections anymore, after the requests that it has
// accepted.
func (c *connections) shutdown(ctx context.Context, s *http.Server) error {
	for ticker := time.NewTicker(2 * time.Millisecond); c.busy(); {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ticker.Stop()
			return errors.Join(ctx.Err(), s.Close())
		}
	}
	return s.Shutdown(ctx)
}
