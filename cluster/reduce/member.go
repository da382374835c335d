package reduce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
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
	own     []share               // of the round, that the member will add up
	waiting int64                 // tasks that the member has
	follows uint64                // round of the state of the Computer
}

// pieceOf identifies a piece of the vector of a task.
type pieceOf struct{ task, from, to int }

// fetching is a piece that another member gives.
type fetching struct {
	holder string
	done   chan struct{} // closed when data and err are set
	data   []byte
	err    error
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

// request requests a piece of the vector of a task from another member.
func (m *Member) request(ctx context.Context, holder string, w work) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, giveWithin)
	defer cancel()
	reply, err := m.conn.RequestMsgWithContext(ctx, message(prefix+m.Session+toGive+"."+holder, w, nil))
	if err == nil {
		err = errorOf(reply)
	}
	if err != nil {
		return nil, err
	}
	return reply.Data, nil
}

// stateWithin is the time within which the state that the member has received is there.
const stateWithin = 50 * time.Millisecond

// giveWithin is the time within which another member gives a piece.
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
