package reduce

import (
	"context"
	"errors"
	"sync"
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
	if !ok || m.round != w.Round || w.To > len(v) {
		return nil, errStale
	}
	return encode(make([]byte, 0, 4*(w.To-w.From)), v[w.From:w.To]), nil
}

// fetch begins to fetch the pieces of a vector that the member will add up. If that fails, add fetches them again.
func (m *Member) fetch(msg *nats.Msg, running *sync.WaitGroup) {
	w, err := workOf(msg)
	if err != nil || len(w.Holders) != 1 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.enter(w.Round) {
		return
	}
	for _, p := range w.Pieces {
		if p.Owner == m.id && p.From >= 0 && p.From <= p.To && p.To-p.From <= pieceSize/4 {
			m.own = append(m.own, p)
		}
	}
	if w.Holders[0] == m.id {
		return
	}
	own, ctx := m.own, m.within
	running.Go(func() {
		for _, p := range own {
			if _, err := m.given(ctx, w.Holders[0], work{Round: w.Round, Task: w.Task, From: p.From, To: p.To}); err != nil {
				return
			}
		}
	})
}

// given returns a piece of the vector of a task that another member has. It requests the piece once, unless that
// fails.
func (m *Member) given(ctx context.Context, holder string, w work) ([]byte, error) {
	id := pieceOf{w.Task, w.From, w.To}
	m.mu.Lock()
	f := m.pieces[id]
	if f != nil && f.holder == holder && m.round == w.Round {
		m.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.err == nil {
			return f.data, nil
		}
		return m.request(ctx, holder, w)
	}
	f = &fetching{holder: holder, done: make(chan struct{})}
	if m.round == w.Round {
		m.pieces[id] = f
	}
	m.mu.Unlock()
	f.data, f.err = m.request(ctx, holder, w)
	close(f.done)
	return f.data, f.err
}

// request requests a piece of the vector of a task from another member. As long as other pieces arrive, the
// network is busy, and the member waits.
func (m *Member) request(ctx context.Context, holder string, w work) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for left := giveWithin; left > 0; left = giveWithin - time.Since(time.Unix(0, m.arrival.Load())) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(left):
			}
		}
		cancel()
	}()
	reply, err := m.conn.RequestMsgWithContext(ctx, message(prefix+m.Session+toGive+"."+holder, w, nil))
	if err == nil {
		err = errorOf(reply)
	}
	if err != nil {
		return nil, err
	}
	m.arrival.Store(time.Now().UnixNano())
	return reply.Data, nil
}

// giveWithin is the time without any piece from another member after which the members that have not given theirs are
// taken for lost.
const giveWithin = 2 * time.Second

// add adds up a piece of all vectors of a round. The message has the sum before the first of them.
func (m *Member) add(msg *nats.Msg) {
	w, err := workOf(msg)
	if err != nil {
		respond(msg, w, nil, err)
		return
	}
	m.mu.Lock()
	ok := m.enter(w.Round)
	ctx := m.within
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
			data, err := m.given(ctx, w.Holders[i], work{Round: w.Round, Task: w.Task + i, From: w.From, To: w.To})
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
