package reduce

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// round is a round at work.
type round struct {
	*Leader

	ctx    context.Context //nolint:containedctx // of the round
	out    chan outcome
	first  int
	tasks  []*task
	pieces []*piece // nil before the first vector is there
	sum    []float32
	before []float32 // sum before the round, nil for 0
	latest time.Time // when a member answered
}

// complete reports whether the sum is complete.
func (r *round) complete() bool {
	return r.pieces != nil && !slices.ContainsFunc(r.pieces, func(p *piece) bool { return !p.done })
}

// giveOut gives tasks and additions to members that can do them.
func (r *round) giveOut() {
	open := false
	for _, t := range r.tasks {
		if t.holder != nil {
			continue
		}
		open = true
		if len(t.with) == 0 {
			m := r.soonest()
			if m == nil {
				break
			}
			r.compute(m, t)
		}
	}
	if open {
		r.steal()
		return
	}
	r.sumUp()
}

// sumUp gives pieces to the members that add them up. These have fetched their own pieces, others would have to
// fetch them again.
func (r *round) sumUp() {
	waits := func(p *piece) bool { return !p.done && len(p.with) == 0 }
	for _, p := range r.pieces {
		if waits(p) && p.owner != nil && r.here(p.owner) && len(p.owner.adds) < atOnce {
			r.add(p.owner, p)
		}
	}
	for _, p := range r.pieces {
		if !waits(p) {
			continue
		}
		most := 1 // of a member that helps another one
		if p.owner == nil || !r.here(p.owner) {
			most = atOnce
		}
		if list := r.idle(); len(list) > 0 && len(list[0].adds) < most {
			r.add(list[0], p)
		}
	}
}

// atOnce is the number of requests to a member that are on their way: one that it works at, and one that
// waits, so that the member need not.
const atOnce = 2

// soonest returns the member that finishes another task first, or nil if that member has enough to do
// or nobody is there.
func (r *round) soonest() *member {
	var best *member
	var least float64
	for _, m := range r.members {
		end := r.left(m) + r.seconds(m)
		if best == nil || end < least || end == least && m.ID < best.ID {
			best, least = m, end
		}
	}
	if best == nil || len(best.tasks) >= atOnce {
		return nil
	}
	return best
}

// seconds returns the seconds that a member takes for a task: those that it has taken for the last tasks,
// or those of the others.
func (r *round) seconds(m *member) float64 {
	if m.seconds > 0 {
		return m.seconds
	}
	sum, n := 0.0, 0
	for _, o := range r.members {
		if o.seconds > 0 {
			sum, n = sum+o.seconds, n+1
		}
	}
	if n == 0 {
		return 1
	}
	return sum / float64(n)
}

// left returns the seconds until a member has done its tasks.
func (r *round) left(m *member) float64 {
	if len(m.tasks) == 0 {
		return 0
	}
	one := r.seconds(m)
	return float64(len(m.tasks)-1)*one + max(one-time.Since(m.began).Seconds(), 0)
}

// late is the time, in multiples of the expected one and in seconds, after which a task is late.
const (
	lateFactor  = 2
	lateSeconds = 0.2
)

// steal gives tasks of members that are late, or that take longer than others, to those that have nothing
// to do, too.
func (r *round) steal() {
	for _, m := range r.members {
		if len(m.tasks) > 0 {
			continue
		}
		var best *task
		most := 1.2 * r.seconds(m)
		for _, t := range r.tasks {
			if t.holder != nil || len(t.with) != 1 {
				continue
			}
			o := t.with[0]
			i := slices.Index(o.tasks, t)
			if o == m || i < 0 {
				continue
			}
			one, since := r.seconds(o), time.Since(o.began).Seconds()
			wait := float64(i+1)*one - since
			if since > lateFactor*one+lateSeconds {
				wait = since + float64(i)*one
			}
			if known := o.seconds > 0 || m.seconds > 0; known && wait > most {
				best, most = t, wait
			}
		}
		if best != nil {
			r.compute(m, best)
		}
	}
}

// compute lets a member compute a task.
func (r *round) compute(m *member, t *task) {
	if len(m.tasks) == 0 {
		m.began = time.Now()
	}
	m.tasks, m.given, t.with = append(m.tasks, t), time.Now(), append(t.with, m)
	w := work{Round: r.Leader.round, Sum: r.Leader.sum, Task: t.number, Ahead: t.ahead}
	r.request(toCompute, m, message("", w, nil), outcome{m: m, task: t})
}

// add lets a member add up a piece.
func (r *round) add(m *member, p *piece) {
	now := time.Now()
	m.adds, m.added = append(m.adds, p), now
	p.with, p.since = append(p.with, m), now
	w := work{Round: r.Leader.round, Task: r.first, From: p.from, To: p.to}
	for _, t := range r.tasks {
		w.Holders = append(w.Holders, t.holder.ID)
	}
	var before []byte
	if r.before != nil {
		before = encode(nil, r.before[p.from:p.to])
	}
	r.request(toAdd, m, message("", w, before), outcome{m: m, piece: p})
}

// again is the time after which a request that could not be sent is repeated.
const again = 200 * time.Millisecond

// request sends a request and waits for the answer in another goroutine.
func (r *round) request(kind string, m *member, msg *nats.Msg, o outcome) {
	msg.Subject = prefix + r.Session + kind + "." + m.ID
	go func() {
		reply, err := r.conn.RequestMsgWithContext(r.ctx, msg)
		if err == nil {
			err = errorOf(reply)
		} else if !errors.Is(err, nats.ErrNoResponders) {
			select { // the server is restarted
			case <-time.After(again):
			case <-r.ctx.Done():
			}
		}
		if err == nil {
			o.work, err = workOf(reply)
			o.data = reply.Data
		}
		o.err = err
		select {
		case r.out <- o:
		case <-r.ctx.Done():
		}
	}()
}

// ahead tells the members that a task has its vector, so that they can fetch their pieces of it while other
// tasks are computed. The first of these messages in a round says which pieces these are: it is the only one that
// grows with the number of members.
func (r *round) ahead(t *task) {
	w := work{Round: r.Leader.round, Task: t.number, Holders: []string{t.holder.ID}}
	if r.pieces == nil {
		r.cut()
		for _, p := range r.pieces {
			if p.owner != nil {
				w.Pieces = append(w.Pieces, share{p.from, p.to, p.owner.ID})
			}
		}
	}
	if len(r.members) > 1 {
		_ = r.conn.PublishMsg(message(prefix+r.Session+toFetch, w, nil)) // those that miss it fetch the pieces later
	}
}

// cut divides the vectors into pieces, so that every member adds up some of them.
func (r *round) cut() {
	members := r.idle()
	n := len(r.sum)
	size := min(pieceSize/4, max((n+len(r.members)-1)/max(len(r.members), 1), 1))
	for at := 0; at < n; at += size {
		p := &piece{from: at, to: min(at+size, n)}
		if len(members) > 0 {
			p.owner = members[len(r.pieces)%len(members)]
		}
		r.pieces = append(r.pieces, p)
	}
	if r.pieces == nil {
		r.pieces = []*piece{}
	}
	if slices.ContainsFunc(r.sum, func(v float32) bool { return math.Float32bits(v) != 0 }) {
		r.before = slices.Clone(r.sum)
	}
}

// take takes the answer of a member.
func (r *round) take(o outcome) error {
	if o.task != nil {
		o.m.tasks = slices.DeleteFunc(o.m.tasks, func(t *task) bool { return t == o.task })
		o.m.began = time.Now()
		o.task.with = slices.DeleteFunc(o.task.with, func(m *member) bool { return m == o.m })
	} else {
		o.m.adds = slices.DeleteFunc(o.m.adds, func(p *piece) bool { return p == o.piece })
		o.piece.with = slices.DeleteFunc(o.piece.with, func(m *member) bool { return m == o.m })
	}
	if o.err != nil {
		return r.failed(o)
	}
	r.latest = time.Now()
	const weight = 0.3 // of the last time in the mean
	if o.task != nil {
		if s := o.work.Seconds; s > 0 && o.m.seconds > 0 {
			o.m.seconds += weight * (s - o.m.seconds)
		} else {
			o.m.seconds = max(s, 1e-6)
		}
		o.task.part, o.task.had = o.data, append(o.task.had, o.m.ID) // all have the same part
		if o.task.holder == nil && r.here(o.m) {
			o.task.holder = o.m
			r.ahead(o.task)
		}
		return nil
	}
	if o.piece.done {
		return nil
	}
	if err := decode(r.sum[o.piece.from:o.piece.to], o.data); err != nil {
		return fmt.Errorf("worker %s: %w", o.m.Name, err)
	}
	if r.addTime == 0 {
		r.addTime = o.work.Seconds
	}
	r.addTime += weight * (o.work.Seconds - r.addTime)
	o.piece.done = true
	return nil
}

// failed handles an error of a member.
func (r *round) failed(o outcome) error {
	remote, ok := errors.AsType[*remoteError](o.err)
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case errors.Is(o.err, nats.ErrNoResponders): // the member has ended
		r.lose(o.m)
	case errors.Is(o.err, nats.ErrMaxPayload):
		return o.err
	case !ok: // the connection to the server was lost
	case remote.kind == kindFatal:
		return &FatalError{remote.plain()}
	case remote.kind == kindHolder:
		if m := r.members[remote.plain()]; m != nil {
			for _, t := range r.tasks {
				t.had = slices.DeleteFunc(t.had, func(id string) bool { return id == m.ID })
			}
			r.lose(m)
		}
	case remote.kind == kindFailed && r.here(o.m):
		r.known[o.m.ID] = true
		r.lose(o.m)
		if r.Refused != nil {
			r.Refused(r.info(o.m), remote.plain())
		}
		if len(r.members) == 0 {
			return fmt.Errorf("worker %s: %s", o.m.Name, remote.plain())
		}
	}
	return nil
}

// lose drops a member and what it has.
func (r *round) lose(m *member) {
	r.drop(m)
	r.recall()
}

// recall takes back what members that are lost have. A member that has come back still has its vectors.
func (r *round) recall() {
	lost := func(m *member) bool { return !r.here(m) }
	for _, t := range r.tasks {
		t.with = slices.DeleteFunc(t.with, lost)
		if t.holder != nil && lost(t.holder) && !r.complete() {
			t.holder = nil
		}
		if t.holder == nil {
			t.holder = r.back(t)
		}
	}
	for _, p := range r.pieces {
		p.with = slices.DeleteFunc(p.with, lost)
	}
}

// back returns a member that was lost and has come back, and has the vector of a task. It returns nil if there
// is none.
func (r *round) back(t *task) *member {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range t.had {
		if m := r.members[id]; m != nil && r.heard[id].Round == r.Leader.round {
			return m
		}
	}
	return nil
}

// hurry gives additions that are late to others, too. As long as answers arrive, the network is busy.
func (r *round) hurry() {
	if slices.ContainsFunc(r.tasks, func(t *task) bool { return t.holder == nil }) {
		return // an addition needs all vectors
	}
	for _, p := range r.pieces {
		since := p.since
		if r.latest.After(since) {
			since = r.latest
		}
		late := time.Since(since).Seconds() - lateFactor*r.addTime
		if p.done || late < lateSeconds || len(p.with) != 1 {
			continue
		}
		for _, m := range r.idle() {
			if m != p.with[0] && len(m.adds) < atOnce {
				r.add(m, p)
				break
			}
		}
	}
}

// A request or its answer is taken for lost, as on the restart of a server, if a member does not know of it
// after lostSeconds, and after the time in which the state reaches a member with 8 Mbit/s.
const (
	lostSeconds   = 3
	secondsPerMiB = 1
)

// unheard takes back tasks and additions of members that say that they have none. state is the number of
// bytes of the state.
func (r *round) unheard(state int) {
	limit := lostSeconds*time.Second + time.Duration(state)*secondsPerMiB*time.Second>>20
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		without := func(list []*member) []*member {
			return slices.DeleteFunc(list, func(o *member) bool { return o == m })
		}
		h := r.heard[m.ID]
		now := h.Round == r.Leader.round
		if len(m.tasks) > 0 && (!now || h.Tasks == 0) && h.at.Sub(m.given) > limit {
			for _, t := range m.tasks {
				t.with = without(t.with)
			}
			m.tasks = nil
		}
		if len(m.adds) > 0 && (!now || h.Additions == 0) && h.at.Sub(m.added) > limit {
			for _, p := range m.adds {
				p.with = without(p.with)
			}
			m.adds = nil
		}
	}
}
