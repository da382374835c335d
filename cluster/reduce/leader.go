package reduce

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Leader gives tasks to members. Its methods must be called in one goroutine.
type Leader struct {
	Session string // unique; members need it

	// Lost is the time without a sign of life after which the tasks of a member are given to others. It
	// grows to at most maxLost if members come back, for example on a slow network.
	Lost time.Duration

	// Joined and Left are called when a member comes or is lost, and Refused for one that cannot
	// compute.
	Joined, Left func(m Info)
	Refused      func(m Info, reason string)

	// Alone is called about every second as long as Compute waits without members. An error ends Compute.
	Alone func(ctx context.Context) error

	conn   *nats.Conn
	length int
	subs   []*nats.Subscription
	round  uint64

	members map[string]*member
	known   map[string]bool // members that have refused, or whose computations have failed
	silent  map[string]bool // members that are lost because they gave no sign of life
	addTime float64         // seconds of an addition, on average

	wake  chan struct{}
	mu    sync.Mutex
	heard map[string]heard
	state []byte // of the round
	sum   string // its SHA-256
	at    uint64 // round of the state
}

// Info describes a member.
type Info struct {
	Name           string
	Cores, Seat    int
	Members        int // that compute, now
	AllCores       int
	SecondsPerTask float64 // 0 if it is not known
}

type heard struct {
	hello
	at time.Time
}

// member is a member that computes.
type member struct {
	hello
	seconds float64 // per task, 0 if it is not known
	tasks   []*task // it computes the first, the others wait
	began   time.Time
	given   time.Time // when it got the last of its tasks
	adds    []*piece  // it adds them up
	added   time.Time // when it got the last of them
}

// task is a task of a round.
type task struct {
	number, ahead int
	holder        *member
	part          []byte
	with          []*member
	had           []string // ID of all members that have its vector, unless they have ended
}

// piece is a range of the entries of all vectors.
type piece struct {
	from, to int
	owner    *member // that adds it up, unless it is lost or has too much to do; nil if nobody was there
	done     bool
	with     []*member
	since    time.Time
}

// MaxTasks is the largest number of tasks of a round.
const MaxTasks = 1000

// Lead begins a session, for vectors of a length. End ends it.
func (l *Leader) Lead(conn *nats.Conn, length int) error {
	if limit := conn.MaxPayload(); limit < 2*pieceSize {
		return fmt.Errorf("the NATS server takes messages of at most %d bytes: set max_payload in its configuration to %d or more", limit, 2*pieceSize)
	}
	l.Session, l.conn, l.length = rand.Text(), conn, length
	l.members, l.known, l.silent, l.heard, l.wake = map[string]*member{}, map[string]bool{}, map[string]bool{}, map[string]heard{}, make(chan struct{}, 1)
	handle := func(subject string, f func(*nats.Msg)) error {
		s, err := conn.Subscribe(prefix+l.Session+subject, f)
		if err == nil {
			l.subs = append(l.subs, s)
			err = s.SetPendingLimits(-1, -1)
		}
		return err
	}
	return errors.Join(handle(toLeader, l.hear), handle(stateOf, l.give), conn.Flush())
}

// End tells the members that the session ends.
func (l *Leader) End() error {
	err := l.conn.Publish(prefix+l.Session+toEnd, nil)
	for _, s := range l.subs {
		err = errors.Join(err, s.Unsubscribe())
	}
	return errors.Join(err, l.conn.FlushTimeout(time.Second))
}

// maxLost is what Leader.Lost grows to.
const maxLost = 30 * time.Second

// maxMembers limits the number of members.
const maxMembers = 10000

// hear hears a sign of life.
func (l *Leader) hear(m *nats.Msg) {
	var h hello
	if len(m.Data) > maxHello || json.Unmarshal(m.Data, &h) != nil || h.ID == "" || strings.ContainsAny(h.ID, " .*>\r\n\t") || h.Cores < 0 {
		return
	}
	l.mu.Lock()
	_, old := l.heard[h.ID]
	if old || len(l.heard) < maxMembers {
		l.heard[h.ID] = heard{h, time.Now()}
	}
	l.mu.Unlock()
	if !old {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// give gives a piece of the state of the round to a member that has missed it.
func (l *Leader) give(m *nats.Msg) {
	w, err := workOf(m)
	l.mu.Lock()
	state, sum := l.state, l.sum
	if err == nil && (w.Round != l.at || w.Offset >= len(state)) {
		err = errStale
	}
	l.mu.Unlock()
	if err != nil {
		respond(m, work{}, nil, err)
		return
	}
	respond(m, work{Round: w.Round, Sum: sum, Bytes: len(state), Offset: w.Offset}, state[w.Offset:min(w.Offset+pieceSize, len(state))], nil)
}

// Look takes notice of the members that have come and gone since the last call. Compute does so, too.
func (l *Leader) Look() (members, cores int) {
	l.mu.Lock()
	now := time.Now()
	var come, refused []heard
	for id, h := range l.heard {
		m := l.members[id]
		switch {
		case now.Sub(h.at) > l.Lost:
			delete(l.heard, id)
		case m == nil && !l.known[id] && h.Refusal != "":
			refused = append(refused, h)
		case m == nil && !l.known[id]:
			come = append(come, h)
		}
	}
	var gone []*member
	for id, m := range l.members {
		if _, ok := l.heard[id]; !ok {
			gone = append(gone, m)
		}
	}
	l.mu.Unlock()
	for _, h := range come {
		m := &member{hello: h.hello}
		l.members[h.ID] = m
		if l.silent[h.ID] {
			delete(l.silent, h.ID)
			l.Lost = min(2*l.Lost, max(l.Lost, maxLost))
		}
		if l.Joined != nil {
			l.Joined(l.info(m))
		}
	}
	for _, m := range gone {
		l.silent[m.ID] = true
		l.drop(m)
	}
	for _, h := range refused {
		l.known[h.ID] = true
		if l.Refused != nil {
			l.Refused(l.info(&member{hello: h.hello}), h.Refusal)
		}
	}
	for _, m := range l.members {
		cores += m.Cores
	}
	return len(l.members), cores
}

func (l *Leader) info(m *member) Info {
	i := Info{Name: m.Name, Cores: m.Cores, Seat: m.Seat, Members: len(l.members), SecondsPerTask: m.seconds}
	for _, m := range l.members {
		i.AllCores += m.Cores
	}
	return i
}

// drop forgets a member that is lost. If it comes back, it joins again.
func (l *Leader) drop(m *member) {
	if l.members[m.ID] != m {
		return
	}
	delete(l.members, m.ID)
	l.mu.Lock()
	delete(l.heard, m.ID)
	l.mu.Unlock()
	_ = l.conn.Publish(prefix+l.Session+toForget, []byte(m.ID)) // those that miss it wait longer
	if l.Left != nil {
		l.Left(l.info(m))
	}
}

// here reports whether a member is there.
func (l *Leader) here(m *member) bool { return l.members[m.ID] == m }

// Wait waits until ready returns true, which it calls whenever members may have come or gone.
func (l *Leader) Wait(ctx context.Context, ready func(members int) bool) error {
	for {
		n, _ := l.Look()
		if ready(n) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wake:
		case <-time.After(tick):
		}
	}
}

// askAlone is the time between two calls of Leader.Alone.
const askAlone = time.Second

// tick is the time between two looks at what is late.
const tick = 20 * time.Millisecond

// outcome is the answer of a member to a request.
type outcome struct {
	m     *member
	task  *task  // or nil
	piece *piece // or nil
	work  work
	data  []byte
	err   error
}

// Compute computes a round: the tasks first to first+count-1 in a state. sum is the sum of vectors to
// begin with, to which the vectors of the tasks are added in their order. Compute returns the parts
// of the tasks and the sum. A *FatalError is the error of a task.
func (l *Leader) Compute(ctx context.Context, state []byte, first, count int, sum []float32) (parts [][]byte, _ []float32, err error) {
	if count < 1 || count > MaxTasks {
		return nil, nil, fmt.Errorf("the round has %d tasks, want 1 to %d", count, MaxTasks)
	}
	if len(sum) != l.length {
		return nil, nil, fmt.Errorf("the sum has %d entries, want %d", len(sum), l.length)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of all requests
	l.round++
	r := &round{Leader: l, ctx: ctx, out: make(chan outcome), sum: sum, first: first}
	for i := range count {
		r.tasks = append(r.tasks, &task{number: first + i, ahead: i})
	}
	for _, m := range l.members {
		m.tasks, m.adds = nil, nil
	}
	l.Look()
	if err := l.publish(state); err != nil {
		return nil, nil, err
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	alone := time.Now()
	for {
		r.giveOut()
		if r.complete() {
			break
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case o := <-r.out:
			err = r.take(o)
		case <-l.wake:
			l.Look()
		case <-ticker.C:
			l.Look()
			r.recall()
			r.unheard(len(state))
			r.hurry()
			if len(l.members) > 0 {
				alone = time.Now()
			} else if l.Alone != nil && time.Since(alone) > askAlone {
				err, alone = l.Alone(ctx), time.Now()
			}
		}
		if err != nil {
			return nil, nil, err
		}
	}
	for _, t := range r.tasks {
		parts = append(parts, t.part)
	}
	return parts, sum, nil
}

// publish sends the state of the round to all members.
func (l *Leader) publish(state []byte) error {
	if len(state) > maxState {
		return fmt.Errorf("the state has %d bytes, more than the limit of %d", len(state), maxState)
	}
	l.mu.Lock()
	l.state, l.sum, l.at = state, sumOf(state), l.round
	l.mu.Unlock()
	for at := 0; at < len(state); at += pieceSize {
		w := work{Round: l.round, Sum: l.sum, Bytes: len(state), Offset: at}
		if err := l.conn.PublishMsg(message(prefix+l.Session+toAll, w, state[at:min(at+pieceSize, len(state))])); err != nil {
			if l.conn.IsClosed() {
				return err
			}
			break // the server is restarted; the members ask for what they miss
		}
	}
	return nil
}

// idle returns the members that have the fewest additions, those of them first that compute nothing.
func (l *Leader) idle() []*member {
	list := make([]*member, 0, len(l.members))
	for _, m := range l.members {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *member) int {
		if c := (len(a.adds) + len(a.tasks)) - (len(b.adds) + len(b.tasks)); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}
