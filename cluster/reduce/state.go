package reduce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// assembly is a state of which pieces have come. It takes no more memory than they have.
type assembly struct {
	round  uint64
	sum    string
	bytes  int
	pieces map[int][]byte // by offset
}

// receive receives a piece of the state of a round.
func (m *Member) receive(msg *nats.Msg) {
	w, err := workOf(msg)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.enter(w.Round) {
		m.state.put(w, msg.Data)
		m.latest = time.Now()
		select {
		case m.arrived <- struct{}{}:
		default:
		}
	}
}

// put keeps a piece of a state. It reports whether the piece was missing.
func (a *assembly) put(w work, data []byte) bool {
	if a.round != w.Round || a.sum != w.Sum || a.bytes != w.Bytes {
		*a = assembly{round: w.Round, sum: w.Sum, bytes: w.Bytes, pieces: map[int][]byte{}}
	}
	if w.Offset >= a.bytes || w.Offset%pieceSize != 0 || len(data) != min(pieceSize, a.bytes-w.Offset) || a.pieces[w.Offset] != nil {
		return false
	}
	a.pieces[w.Offset] = data
	return true
}

// missing returns the offset of a piece that is missing, or false if the state is complete.
func (a *assembly) missing() (offset int, incomplete bool) {
	if len(a.pieces) == (a.bytes+pieceSize-1)/pieceSize {
		return 0, false
	}
	for at := 0; ; at += pieceSize {
		if a.pieces[at] == nil {
			return at, true
		}
	}
}

// all returns the state.
func (a *assembly) all() []byte {
	data := make([]byte, 0, a.bytes)
	for at := 0; at < a.bytes; at += pieceSize {
		data = append(data, a.pieces[at]...)
	}
	return data
}

// stateWithin is the time within which the state that the server has sent before the task is there.
const stateWithin = 50 * time.Millisecond

// follow sets the state of a round.
func (m *Member) follow(ctx context.Context, w work) error {
	if m.follows == w.Round {
		return nil
	}
	have := func() (state []byte, offset int, ok bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.state.round != w.Round || m.state.sum != w.Sum {
			return nil, 0, false
		}
		if offset, incomplete := m.state.missing(); incomplete {
			return nil, offset, false
		}
		state, m.state = m.state.all(), assembly{} // which frees the pieces
		return state, 0, true
	}
	// The server has sent the state before the task, unless the member has joined in between.
	state, offset, ok := have()
	for late := time.After(stateWithin); !ok && late != nil; state, offset, ok = have() {
		select {
		case <-m.arrived: // in another goroutine
		case <-late:
			late = nil
		}
	}
	for ; !ok; state, offset, ok = have() {
		if err := m.ask(ctx, work{Round: w.Round, Sum: w.Sum, Offset: offset}); err != nil {
			return &remoteError{kindStale, fmt.Sprintf("the state of the round is missing: %v", err)}
		}
	}
	if sumOf(state) != w.Sum {
		return errors.New("the state of the round is damaged")
	}
	if err := m.Computer.Follow(state); err != nil {
		return err
	}
	m.follows = w.Round
	return nil
}

// ask asks the Leader for a piece of the state that w describes.
func (m *Member) ask(ctx context.Context, w work) error {
	reply, err := m.patient(ctx, message(prefix+m.Session+stateOf, w, nil))
	if err != nil {
		return err
	}
	got, err := workOf(reply)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.round != w.Round || got.Round != w.Round || got.Sum != w.Sum {
		return errStale
	}
	if !m.state.put(got, reply.Data) && m.state.pieces[w.Offset] == nil {
		return errors.New("a piece of the state is damaged")
	}
	return nil
}
