package reduce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Computer computes the vectors of tasks.
type Computer interface {
	// Len returns the length of a vector.
	Len() int

	// Follow sets the state of a round.
	Follow(state []byte) error

	// Compute stores the vector of a task of the round in dst, and returns its part. ahead is the
	// number of the task in the round, from 0. The error is a *FatalError if no member can compute it.
	Compute(ctx context.Context, task, ahead int, dst []float32) (part []byte, err error)
}

// Member computes tasks for a Leader.
type Member struct {
	Session string
	Name    string // shown to the user
	Cores   int
	Seat    int

	Computer Computer
	Refusal  string // why it cannot compute; then it only says so

	conn *nats.Conn
	id   string

	base context.Context //nolint:containedctx // of Serve

	mu      sync.Mutex
	round   uint64
	stop    context.CancelFunc // ends the computation of the round
	within  context.Context    //nolint:containedctx // of the round
	state   assembly
	arrived chan struct{}     // a piece of the state has come
	vectors map[int][]float32 // of the round, by task
	free    [][]float32
	pieces  map[pieceOf]*fetching // of the vectors of others
	arrival atomic.Int64          // time at which the last of pieces came
	own     []share               // of the round, that the member will add up
	waiting int64                 // tasks that the member has
	follows uint64                // round of the state of the Computer
}

// assembly is a state of which pieces have come.
type assembly struct {
	round uint64
	sum   string
	data  []byte
	have  map[int]bool // by offset
	left  int          // bytes
}

// ErrNoLeader is the error of a member whose Leader is gone.
var ErrNoLeader = errors.New("the command that trains is gone")

// Serve computes tasks until the Leader ends the session, or until ctx is done.
func (m *Member) Serve(ctx context.Context, conn *nats.Conn) (err error) {
	m.conn, m.id = conn, nats.NewInbox()[len("_INBOX."):]
	m.vectors, m.pieces = map[int][]float32{}, map[pieceOf]*fetching{}
	m.arrived = make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.base = ctx
	m.within, m.stop = context.WithCancel(ctx)
	defer func() { m.stop() }()
	ended := make(chan struct{})
	var once sync.Once
	queue := make(chan *nats.Msg, 1024)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	at := prefix + m.Session
	var subs []*nats.Subscription
	defer func() {
		for _, s := range subs {
			err = errors.Join(err, m.unsubscribe(s))
		}
	}()
	handle := func(subject string, f func(*nats.Msg)) {
		s, e := conn.Subscribe(subject, f)
		if err = errors.Join(err, e); e == nil {
			subs = append(subs, s)
			err = errors.Join(err, s.SetPendingLimits(-1, -1))
		}
	}
	handle(at+toEnd, func(*nats.Msg) { once.Do(func() { close(ended) }) })
	if m.Refusal == "" {
		handle(at+toAll, m.receive)
		handle(at+toGive+"."+m.id, m.give)
		handle(at+toFetch, func(msg *nats.Msg) { m.fetch(msg, &running) })
		handle(at+toAdd+"."+m.id, func(msg *nats.Msg) { running.Go(func() { m.add(msg) }) })
		handle(at+toCompute+"."+m.id, func(msg *nats.Msg) {
			m.begin(msg)
			select {
			case queue <- msg:
				m.wait(1)
			default: // the Leader gives out the task again
			}
		})
	}
	if err != nil {
		return err
	}
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case msg := <-queue:
				m.compute(msg)
				m.wait(-1)
			}
		}
	})
	return m.greet(ctx, ended)
}

func (m *Member) unsubscribe(s *nats.Subscription) error {
	if err := s.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
		return err
	}
	return nil
}

// greet tells the Leader again and again that the member is there.
func (m *Member) greet(ctx context.Context, ended <-chan struct{}) error {
	alone := time.Now()
	for {
		m.mu.Lock()
		h := hello{ID: m.id, Name: m.Name, Cores: m.Cores, Seat: m.Seat, Round: m.round, Tasks: m.waiting, Refusal: m.Refusal}
		m.mu.Unlock()
		text, err := json.Marshal(h)
		if err != nil {
			return err
		}
		inner, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = m.conn.RequestWithContext(inner, prefix+m.Session+toLeader, text)
		cancel()
		switch {
		case err == nil || !errors.Is(err, nats.ErrNoResponders):
			alone = time.Now() // a Leader that does not answer may be busy
		case time.Since(alone) > leaderGone:
			return ErrNoLeader
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return nil
		case <-time.After(helloEvery):
		}
	}
}

// enter begins a round if it is a new one, and reports whether it is the round at work. m.mu is held.
func (m *Member) enter(round uint64) bool {
	if round > m.round {
		m.round = round
		m.stop()
		m.within, m.stop = context.WithCancel(m.base)
		m.free = slices.AppendSeq(m.free, maps.Values(m.vectors))
		clear(m.vectors)
		clear(m.pieces)
		m.own = nil
	}
	return round == m.round
}

// wait adds to the number of tasks that the member has.
func (m *Member) wait(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting += n
}

// begin ends the computation of an earlier round.
func (m *Member) begin(msg *nats.Msg) {
	if w, err := workOf(msg); err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.enter(w.Round)
	}
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
		select {
		case m.arrived <- struct{}{}:
		default:
		}
	}
}

// put puts a piece of a state in its place.
func (a *assembly) put(w work, data []byte) {
	if a.round != w.Round || a.sum != w.Sum {
		*a = assembly{round: w.Round, sum: w.Sum, data: make([]byte, w.Bytes), have: map[int]bool{}, left: w.Bytes}
	}
	if w.Offset > len(a.data) || w.Offset%pieceSize != 0 || len(data) != min(pieceSize, len(a.data)-w.Offset) || a.have[w.Offset] {
		return
	}
	copy(a.data[w.Offset:], data)
	a.have[w.Offset] = true
	a.left -= len(data)
}

var errStale = &remoteError{kindStale, "the round is over"}

// compute computes a task.
func (m *Member) compute(msg *nats.Msg) {
	w, err := workOf(msg)
	if err != nil {
		respond(msg, w, nil, err)
		return
	}
	start := time.Now()
	part, err := m.task(w)
	w.Seconds = time.Since(start).Seconds()
	respond(msg, w, part, err)
}

func (m *Member) task(w work) (part []byte, err error) {
	m.mu.Lock()
	if !m.enter(w.Round) {
		m.mu.Unlock()
		return nil, errStale
	}
	ctx := m.within
	var dst []float32
	if n := len(m.free); n > 0 {
		dst, m.free = m.free[n-1], m.free[:n-1]
	}
	m.mu.Unlock()
	if err := m.follow(ctx, w); err != nil {
		return nil, err
	}
	if dst == nil {
		dst = make([]float32, m.Computer.Len())
	}
	part, err = m.Computer.Compute(ctx, w.Task, w.Ahead, dst)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.round != w.Round {
		m.free = append(m.free, dst)
		return nil, errStale
	}
	if ctx.Err() != nil {
		return nil, errStale
	}
	if err == nil {
		m.vectors[w.Task] = dst
	}
	return part, err
}

// stateWithin is the time within which the state that the member has received is there.
const stateWithin = 50 * time.Millisecond

// follow sets the state of a round.
func (m *Member) follow(ctx context.Context, w work) error {
	if m.follows == w.Round {
		return nil
	}
	// The server has sent the state before the task, unless the member has joined in between.
	have := func() (state []byte, missing int, ok bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		a := &m.state
		if a.round != w.Round || a.sum != w.Sum {
			return nil, 0, false
		}
		if a.left == 0 {
			return a.data, 0, true
		}
		for at := 0; at < len(a.data); at += pieceSize {
			if !a.have[at] {
				return nil, at, false
			}
		}
		return nil, 0, false
	}
	state, missing, ok := have()
	for late := time.After(stateWithin); !ok && late != nil; state, missing, ok = have() {
		select {
		case <-m.arrived: // in another goroutine
		case <-late:
			late = nil
		}
	}
	for !ok {
		q := work{Round: w.Round, Offset: missing}
		inner, cancel := context.WithTimeout(ctx, giveWithin)
		reply, err := m.conn.RequestMsgWithContext(inner, message(prefix+m.Session+stateOf, q, nil))
		cancel()
		if err == nil {
			err = errorOf(reply)
		}
		if err != nil {
			return &remoteError{kindStale, fmt.Sprintf("the state of the round is missing: %v", err)}
		}
		if got, err := workOf(reply); err == nil {
			m.mu.Lock()
			m.state.put(got, reply.Data)
			m.mu.Unlock()
		}
		state, missing, ok = have()
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
