package reduce

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// holder is a member that has vectors. Requests to it end when it is lost.
type holder struct {
	ctx  context.Context //nolint:containedctx // of the requests
	lost context.CancelFunc
}

// fetched identifies a piece of the vector of a task.
type fetched struct{ task, from, to int }

// give answers with a piece of the vector of a task.
func (m *Member) give(msg *nats.Msg) {
	w, err := workOf(msg)
	var data []byte
	if err == nil {
		data, err = m.piece(w, w.Task)
	}
	respond(msg, work{}, data, err)
}

// piece returns a piece of the vector of a task.
func (m *Member) piece(w work, task int) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.vectors[task]
	if !ok || m.round != w.Round || w.To > len(v.vector) {
		return nil, errStale
	}
	return encode(make([]byte, 0, 4*(w.To-w.From)), v.vector[w.From:w.To]), nil
}

// fetch fetches the pieces of a vector that the member will add up. If that fails, add fetches them again.
func (m *Member) fetch(msg *nats.Msg) {
	w, err := workOf(msg)
	if err != nil || len(w.Holders) != 1 {
		return
	}
	m.mu.Lock()
	ok := m.enter(w.Round)
	ctx := m.current
	m.mu.Unlock()
	for _, p := range w.Pieces {
		if !ok || p.Owner != m.id || p.From < 0 || p.To < p.From || p.To-p.From > pieceSize/4 {
			continue
		}
		data, err := m.request(ctx, w.Holders[0], work{Round: w.Round, Task: w.Task, From: p.From, To: p.To})
		if err != nil {
			return
		}
		m.mu.Lock()
		if m.round == w.Round {
			m.fetched[fetched{w.Task, p.From, p.To}] = data
		}
		m.mu.Unlock()
	}
}

// request requests a piece of the vector of a task from another member.
func (m *Member) request(ctx context.Context, id string, w work) ([]byte, error) {
	units := 1 + 4*(w.To-w.From)/unit
	if err := m.line.enter(ctx, units); err != nil {
		return nil, err
	}
	defer m.line.leave(units)
	m.mu.Lock()
	if m.round != w.Round {
		m.mu.Unlock()
		return nil, errStale
	}
	h, ok := m.holders[id]
	if !ok {
		h.ctx, h.lost = context.WithCancel(m.current)
		m.holders[id] = h
	}
	m.mu.Unlock()
	reply, err := m.patient(h.ctx, message(prefix+m.Session+toGive+"."+id, w, nil))
	if err != nil {
		return nil, err
	}
	if len(reply.Data) != 4*(w.To-w.From) {
		return nil, errors.New("the piece is damaged")
	}
	return reply.Data, nil
}

// patient sends a request and waits for the answer. If it is late, patient sends the request again and waits
// longer.
func (m *Member) patient(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	for {
		m.mu.Lock()
		within := m.within
		m.mu.Unlock()
		start := time.Now()
		inner, cancel := context.WithTimeout(ctx, within)
		reply, err := m.conn.RequestMsgWithContext(inner, msg)
		late := inner.Err() != nil && ctx.Err() == nil
		cancel()
		m.adapt(within, time.Since(start), late)
		if err == nil {
			return reply, errorOf(reply)
		}
		if !late || within >= longest {
			return nil, err
		}
	}
}

// giveWithin is the time within which others answer on a fast network, and longest the one on a slow network.
const (
	giveWithin = 2 * time.Second
	longest    = 32 * time.Second
)

// adapt changes the time within which others have to answer after an answer that has taken some time, or was
// late.
func (m *Member) adapt(within, took time.Duration, late bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.within != within: // another request has changed it
	case late:
		m.within = min(2*within, longest)
	case took < within/8 && within > giveWithin:
		m.within = within / 2
	}
}

// forget ends the requests to a member that the Leader has lost.
func (m *Member) forget(msg *nats.Msg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h, ok := m.holders[string(msg.Data)]; ok {
		h.lost()
		delete(m.holders, string(msg.Data))
	}
}
