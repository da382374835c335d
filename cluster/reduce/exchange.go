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

// request requests a piece of the vector of a task from another member.
func (m *Member) request(id string, w work) ([]byte, error) {
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
	units := 1 + 4*(w.To-w.From)/unit
	if err := m.line.enter(h.ctx, units); err != nil {
		return nil, err
	}
	defer m.line.leave(units)
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
		inner, cancel := context.WithCancelCause(ctx)
		go m.endIfLate(inner, within, cancel)
		reply, err := m.conn.RequestMsgWithContext(inner, msg)
		late := errors.Is(context.Cause(inner), errLate)
		cancel(nil)
		if err == nil {
			m.adapt(within, time.Since(start), false)
			return reply, errorOf(reply)
		}
		if !late {
			return nil, err
		}
		m.adapt(within, 0, true)
		if within >= longest {
			return nil, err
		}
	}
}

var errLate = errors.New("an answer is late")

// endIfLate ends a request if it has taken some time, and nothing has come for that time. As long as something
// comes, the network is busy.
func (m *Member) endIfLate(ctx context.Context, within time.Duration, end context.CancelCauseFunc) {
	for left := within; left > 0; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(left):
		}
		m.mu.Lock()
		left = within - time.Since(m.latest)
		m.mu.Unlock()
	}
	end(errLate)
}

// giveWithin is the time within which something comes on a fast network, and longest the one on a slow network.
const (
	giveWithin = 2 * time.Second
	longest    = 32 * time.Second
)

// adapt changes the time within which others have to answer after an answer that has taken some time, or was
// late.
func (m *Member) adapt(within, took time.Duration, late bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !late {
		m.latest = time.Now()
	}
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
