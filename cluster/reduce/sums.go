package reduce

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// pieceOf identifies a piece of the vector of a task.
type pieceOf struct{ task, from, to int }

// fetching is a piece that another member gives.
type fetching struct {
	holder string
	done   chan struct{} // closed when data and err are set
	data   []byte
	err    error
}

// fetch begins to fetch the pieces of a vector that the member will add up. If that fails, add fetches them again.
func (m *Member) fetch(msg *nats.Msg) {
	w, err := workOf(msg)
	if err != nil || len(w.Holders) != 1 {
		return
	}
	m.mu.Lock()
	ok := m.enter(w.Round)
	for _, p := range w.Pieces {
		if ok && p.Owner == m.id && p.From >= 0 && p.From <= p.To && p.To-p.From <= pieceSize/4 {
			m.own = append(m.own, p)
		}
	}
	own := m.own
	m.mu.Unlock()
	if !ok || w.Holders[0] == m.id {
		return
	}
	m.run(func() {
		for _, p := range own {
			if _, err := m.given(w.Holders[0], work{Round: w.Round, Task: w.Task, From: p.From, To: p.To}); err != nil {
				return
			}
		}
	})
}

// given returns a piece of the vector of a task that another member has. It requests the piece once, unless that
// fails.
func (m *Member) given(holder string, w work) ([]byte, error) {
	id := pieceOf{w.Task, w.From, w.To}
	m.mu.Lock()
	if m.round != w.Round {
		m.mu.Unlock()
		return nil, errStale
	}
	if f := m.pieces[id]; f != nil && (f.holder == holder || f.data != nil) {
		m.mu.Unlock()
		<-f.done // the end of the round ends the request
		return f.data, f.err
	}
	f := &fetching{holder: holder, done: make(chan struct{})}
	m.pieces[id] = f
	m.mu.Unlock()
	data, err := m.request(holder, w)
	m.mu.Lock()
	defer m.mu.Unlock()
	f.data, f.err = data, err
	if err != nil && m.pieces[id] == f {
		delete(m.pieces, id)
	}
	close(f.done)
	return data, err
}

// add adds up a piece of all vectors of a round. The message has the sum before the first of them.
func (m *Member) add(msg *nats.Msg) {
	w, err := workOf(msg)
	if err != nil {
		respond(msg, w, nil, err)
		return
	}
	m.mu.Lock()
	ok := m.enter(w.Round)
	ctx := m.current
	m.mu.Unlock()
	if !ok {
		respond(msg, w, nil, errStale)
		return
	}
	start := time.Now()
	data, err := m.addUp(ctx, w, msg.Data)
	respond(msg, work{Round: w.Round, From: w.From, To: w.To, Seconds: time.Since(start).Seconds()}, data, err)
}

func (m *Member) addUp(ctx context.Context, w work, before []byte) ([]byte, error) {
	if w.To-w.From > pieceSize/4 {
		return nil, errors.New("the piece is too large")
	}
	sum := make([]float32, w.To-w.From)
	if len(before) > 0 {
		if err := decode(sum, before); err != nil {
			return nil, err
		}
	}
	type given struct {
		data []byte
		err  error
	}
	const atOnce = 32
	pieces := make([]chan given, len(w.Holders))
	for i := range pieces {
		pieces[i] = make(chan given, 1)
	}
	ask := func(i int) {
		if i >= len(w.Holders) {
			return
		}
		if w.Holders[i] == m.id {
			data, err := m.piece(w, w.Task+i)
			pieces[i] <- given{data, err}
			return
		}
		go func() {
			data, err := m.given(w.Holders[i], work{Round: w.Round, Task: w.Task + i, From: w.From, To: w.To})
			pieces[i] <- given{data, err}
		}()
	}
	for i := range min(atOnce, len(pieces)) {
		ask(i)
	}
	for i := range pieces {
		g := <-pieces[i]
		if g.err != nil && ctx.Err() != nil {
			return nil, errStale
		}
		if g.err != nil {
			return nil, &remoteError{kindHolder, w.Holders[i]}
		}
		if err := add(sum, g.data); err != nil {
			return nil, err
		}
		ask(i + atOnce)
	}
	return encode(make([]byte, 0, 4*len(sum)), sum), nil
}
