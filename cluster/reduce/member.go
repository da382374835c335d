package reduce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	current context.Context    //nolint:containedctx // of the round
	state   assembly
	arrived chan struct{}    // a piece of the state has come
	vectors map[int]computed // of the round, by task
	free    [][]float32
	own     []share               // of the round, that the member will add up
	pieces  map[pieceOf]*fetching // of the vectors of others
	holders map[string]holder     // those that the member asks in the round, by ID
	waiting int64                 // tasks that the member has
	adding  int64                 // additions that the member has
	ended   bool
	follows uint64 // round of the state of the Computer

	running sync.WaitGroup
	line    inFlight
	latest  time.Time     // when the last piece of a state or vector came
	within  time.Duration // after latest, in which the next one has to come
}

// computed is the vector and the part of a task.
type computed struct {
	vector []float32
	part   []byte
}

// ErrNoLeader is the error of a member whose Leader is gone.
var ErrNoLeader = errors.New("the command that trains is gone")

// Serve computes tasks until the Leader ends the session, or until ctx is done.
func (m *Member) Serve(ctx context.Context, conn *nats.Conn) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.prepare(ctx, conn)
	defer func() { m.stop() }()
	ended := make(chan struct{})
	var once sync.Once
	queue := make(chan *nats.Msg, 1024)
	defer m.running.Wait()
	defer func() {
		cancel()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ended = true
	}()
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
		handle(at+toFetch, m.fetch)
		handle(at+toForget, m.forget)
		handle(at+toAdd+"."+m.id, func(msg *nats.Msg) {
			m.count(&m.adding, 1)
			m.run(func() {
				m.add(msg)
				m.count(&m.adding, -1)
			})
		})
		handle(at+toCompute+"."+m.id, func(msg *nats.Msg) {
			m.begin(msg)
			select {
			case queue <- msg:
				m.count(&m.waiting, 1)
			default: // the Leader gives out the task again
			}
		})
	}
	if err != nil {
		return err
	}
	m.run(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case msg := <-queue:
				m.compute(msg)
				m.count(&m.waiting, -1)
			}
		}
	})
	return m.greet(ctx, ended)
}

// prepare prepares a member for its first round.
func (m *Member) prepare(ctx context.Context, conn *nats.Conn) {
	m.conn, m.id, m.base = conn, nats.NewInbox()[len("_INBOX."):], ctx
	m.current, m.stop = context.WithCancel(ctx)
	m.arrived, m.vectors = make(chan struct{}, 1), map[int]computed{}
	m.pieces, m.holders = map[pieceOf]*fetching{}, map[string]holder{}
	m.line.units, m.within = make(chan struct{}, maxUnits), cmp.Or(m.within, giveWithin)
}

// run runs a function in a goroutine for which Serve waits, unless the session has ended.
func (m *Member) run(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		m.running.Go(f)
	}
}

func (m *Member) unsubscribe(s *nats.Subscription) error {
	if err := s.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
		return err
	}
	return nil
}

// enter begins a round if it is a new one, and reports whether it is the round at work. m.mu is held.
func (m *Member) enter(round uint64) bool {
	if round > m.round {
		m.round = round
		m.stop()
		m.current, m.stop = context.WithCancel(m.base)
		for _, v := range m.vectors {
			m.free = append(m.free, v.vector)
		}
		clear(m.vectors)
		clear(m.pieces)
		clear(m.holders) // their contexts have ended
		m.own = nil
	}
	return round == m.round
}

// count adds n to a number of tasks or additions.
func (m *Member) count(number *int64, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*number += n
}

// begin ends the computation of an earlier round.
func (m *Member) begin(msg *nats.Msg) {
	if w, err := workOf(msg); err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.enter(w.Round)
	}
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
	if err == nil && len(part) > pieceSize {
		err = fmt.Errorf("the result of a task has %d bytes apart from its vector, more than the limit of %d", len(part), pieceSize)
	}
	w.Seconds = time.Since(start).Seconds()
	respond(msg, w, part, err)
}

func (m *Member) task(w work) (part []byte, err error) {
	m.mu.Lock()
	if !m.enter(w.Round) {
		m.mu.Unlock()
		return nil, errStale
	}
	if done, ok := m.vectors[w.Task]; ok { // the answer was lost, or has not arrived yet
		m.mu.Unlock()
		return done.part, nil
	}
	ctx := m.current
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
		m.vectors[w.Task] = computed{dst, part}
	}
	return part, err
}
