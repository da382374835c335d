package reduce

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// connect returns a function that connects to a new server.
func connect(t testing.TB) func() *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	go s.Start()
	require.True(t, s.ReadyForConnections(10*time.Second))
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return func() *nats.Conn {
		c, err := nats.Connect(s.ClientURL())
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c
	}
}

// computer computes vectors that depend on the state and the task, whose sum depends on the order.
type computer struct {
	length int
	delay  time.Duration
	state  uint64
	before func(ctx context.Context, task int) error // may be nil
	tasks  atomic.Int64
}

func (c *computer) Len() int { return c.length }

func (c *computer) Follow(state []byte) error {
	c.state = binary.LittleEndian.Uint64(state)
	return nil
}

func vector(state uint64, task int, dst []float32) {
	r := rand.New(rand.NewPCG(state, uint64(task)))
	for i := range dst {
		dst[i] = float32(math.Ldexp(r.Float64()-0.5, r.IntN(30)))
	}
}

func (c *computer) Compute(ctx context.Context, task, ahead int, dst []float32) ([]byte, error) {
	c.tasks.Add(1)
	if c.before != nil {
		if err := c.before(ctx, task); err != nil {
			return nil, err
		}
	}
	select {
	case <-time.After(c.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	vector(c.state, task, dst)
	return fmt.Append(nil, c.state, " ", task, " ", ahead), nil
}

// join lets a member compute until the test or the returned function ends it, and returns its error.
func join(t testing.TB, conn *nats.Conn, session string, m *Member) (leave func() error) {
	t.Helper()
	m.Session = session
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	var running sync.WaitGroup
	running.Go(func() { err = m.Serve(ctx, conn) })
	leave = sync.OnceValue(func() error {
		cancel()
		running.Wait()
		return err
	})
	t.Cleanup(func() { _ = leave() })
	return leave
}

// state returns a state that is longer than a message.
func state(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// check computes a round and compares it with what one computes alone.
func check(t testing.TB, l *Leader, round uint64, first, count int, before []float32) {
	t.Helper()
	long := append(state(round), make([]byte, 2*pieceSize+17)...)
	want, v := append([]float32(nil), before...), make([]float32, l.length)
	for task := first; task < first+count; task++ {
		vector(round, task, v)
		for i := range want {
			want[i] += v[i]
		}
	}
	parts, sum, err := l.Compute(t.Context(), long, first, count, append([]float32(nil), before...))
	require.NoError(t, err)
	for i := range sum {
		if math.Float32bits(sum[i]) != math.Float32bits(want[i]) {
			t.Fatalf("entry %d is %v, want %v", i, sum[i], want[i])
		}
	}
	require.Len(t, parts, count)
	for i, p := range parts {
		require.Equal(t, fmt.Sprint(round, " ", first+i, " ", i), string(p))
	}
}

// lead returns a Leader of vectors with a length that needs several messages.
func lead(t testing.TB, conn *nats.Conn) *Leader {
	t.Helper()
	l := &Leader{Lost: 700 * time.Millisecond}
	require.NoError(t, l.Lead(conn, pieceSize/4+1001))
	t.Cleanup(func() { require.NoError(t, l.End()) })
	return l
}

func there(t testing.TB, l *Leader, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, l.Wait(ctx, func(members int) bool { return members == n }))
}

func TestCompute_HasTheSameBitsForAnyNumberOfMembers(t *testing.T) {
	dial := connect(t)
	for n := range 4 {
		t.Run(fmt.Sprint(n+1), func(t *testing.T) {
			l := lead(t, dial())
			for i := range n + 1 {
				join(t, dial(), l.Session, &Member{Name: fmt.Sprint(i), Cores: 2, Computer: &computer{length: l.length, delay: time.Duration(i) * time.Millisecond}})
			}
			there(t, l, n+1)
			_, cores := l.Look()
			require.Equal(t, 2*(n+1), cores)
			before := make([]float32, l.length)
			check(t, l, 1, 0, 7, before)
			vector(99, 0, before)
			check(t, l, 2, 7, 1, before)
			check(t, l, 3, 8, 2, before)
		})
	}
}

// A member that takes longer gets fewer tasks.
func TestCompute_GivesTasksBySpeed(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	fast, slow := &computer{length: l.length, delay: 5 * time.Millisecond}, &computer{length: l.length, delay: 60 * time.Millisecond}
	join(t, dial(), l.Session, &Member{Name: "fast", Computer: fast})
	join(t, dial(), l.Session, &Member{Name: "slow", Computer: slow})
	there(t, l, 2)
	before := make([]float32, l.length)
	for i := range uint64(4) {
		check(t, l, i, 0, 12, before)
	}
	require.Greater(t, fast.tasks.Load(), slow.tasks.Load())
}

// Members that end in the middle of a task, and those that do not answer any more with the vectors that
// others need, are replaced.
func TestCompute_MembersMayBeLost(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	var left []string
	l.Left = func(m Info) { left = append(left, m.Name) }
	join(t, dial(), l.Session, &Member{Name: "good", Computer: &computer{length: l.length, delay: time.Millisecond}})
	killed := dial()
	join(t, killed, l.Session, &Member{Name: "killed", Computer: &computer{length: l.length, before: func(ctx context.Context, _ int) error {
		killed.Close()
		<-ctx.Done()
		return ctx.Err()
	}}})
	silent := dial()
	done := &computer{length: l.length}
	done.before = func(context.Context, int) error {
		if done.tasks.Load() == 2 { // it keeps the vector of its first task to itself
			silent.Close()
		}
		return nil
	}
	join(t, silent, l.Session, &Member{Name: "silent", Computer: done})
	there(t, l, 3)
	before := make([]float32, l.length)
	check(t, l, 1, 0, 9, before)
	check(t, l, 2, 9, 4, before)
	require.Subset(t, left, []string{"killed", "silent"})
	join(t, dial(), l.Session, &Member{Name: "late", Computer: &computer{length: l.length}})
	check(t, l, 3, 13, 4, before)
}

// A member that joins in the middle of a round gets the state and computes what is left.
func TestCompute_MembersMayJoinLate(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	late := &computer{length: l.length}
	conn := dial()
	var once sync.Once
	join(t, dial(), l.Session, &Member{Name: "first", Computer: &computer{length: l.length, before: func(context.Context, int) error {
		once.Do(func() { join(t, conn, l.Session, &Member{Name: "late", Computer: late}) })
		time.Sleep(50 * time.Millisecond)
		return nil
	}}})
	check(t, l, 1, 0, 12, make([]float32, l.length))
	require.Positive(t, late.tasks.Load())
}

func TestCompute_EndsWithTheErrorOfATask(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	var refused []string
	l.Refused = func(m Info, reason string) { refused = append(refused, m.Name+": "+reason) }
	bad := &computer{length: l.length, before: func(context.Context, int) error { return errors.New("too little memory\nhere") }}
	join(t, dial(), l.Session, &Member{Name: "bad", Computer: bad})
	join(t, dial(), l.Session, &Member{Name: "refuses", Refusal: "other data"})
	good := join(t, dial(), l.Session, &Member{Name: "good", Computer: &computer{length: l.length, delay: time.Millisecond}})
	there(t, l, 2)
	check(t, l, 1, 0, 9, make([]float32, l.length))
	require.ElementsMatch(t, []string{"bad: too little memory\nhere", "refuses: other data"}, refused)
	require.ErrorIs(t, good(), context.Canceled)
	fatal := &computer{length: l.length, before: func(context.Context, int) error { return &FatalError{"diverged"} }}
	join(t, dial(), l.Session, &Member{Name: "fatal", Computer: fatal})
	_, _, err := l.Compute(t.Context(), state(2), 0, 3, make([]float32, l.length))
	var f *FatalError
	require.ErrorAs(t, err, &f)
	require.Equal(t, "diverged", f.Text)
}

func TestServe_EndsWithItsLeader(t *testing.T) {
	dial := connect(t)
	l := &Leader{Lost: time.Second}
	require.NoError(t, l.Lead(dial(), 3))
	ended := make(chan error, 1)
	conn := dial()
	go func() {
		m := &Member{Session: l.Session, Computer: &computer{length: 3}}
		ended <- m.Serve(t.Context(), conn)
	}()
	there(t, l, 1)
	require.NoError(t, l.End())
	require.NoError(t, <-ended)
}

// A member that has a vector is lost, and so late is the addition of a piece that another member would get it, too: it has
// to wait until the vector is there again.
func TestRecall_AddsNothingUpWithoutAllVectors(t *testing.T) {
	a, b := &member{hello: hello{ID: "a"}}, &member{hello: hello{ID: "b"}}
	l := &Leader{conn: connect(t)(), members: map[string]*member{"a": a, "b": b}}
	has, lost := &task{holder: a}, &task{number: 1, holder: &member{hello: hello{ID: "lost"}}}
	p := &piece{to: 1, with: []*member{a}, since: time.Now().Add(-time.Second)}
	r := &round{Leader: l, ctx: t.Context(), out: make(chan outcome), sum: make([]float32, 1), tasks: []*task{has, lost}, pieces: []*piece{p}}
	r.recall()
	r.hurry()
	require.Nil(t, lost.holder)
	require.Equal(t, []*member{a}, p.with)
	lost.holder = b
	r.hurry()
	require.Equal(t, []*member{a, b}, p.with)
}

// A member that gives a piece late, because the network is busy, is not asked again as long as other pieces arrive. One
// that is silent is asked again, until the Leader has lost it.
func TestRequest_WaitsAsLongAsPiecesArrive(t *testing.T) {
	t.Parallel()
	dial := connect(t)
	conn := dial()
	const within = time.Second
	var slows, silents atomic.Int64
	for holder, answer := range map[string]func(msg *nats.Msg){
		"slow": func(msg *nats.Msg) {
			slows.Add(1)
			time.AfterFunc(within*3/2, func() { respond(msg, work{}, []byte("slow"), nil) })
		},
		"fast":   func(msg *nats.Msg) { time.AfterFunc(within/10, func() { respond(msg, work{}, []byte("fast"), nil) }) },
		"silent": func(*nats.Msg) { silents.Add(1) },
	} {
		_, err := conn.Subscribe(prefix+"s"+toGive+"."+holder, answer)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Flush())
	members := make([]*Member, 2)
	for i := range members {
		members[i] = &Member{Session: "s", within: within}
		members[i].prepare(t.Context(), dial())
	}
	silent, slow := make(chan error, 1), make(chan string, 1)
	go func() {
		_, err := members[0].request("silent", work{To: 1})
		silent <- err
	}()
	go func() {
		data, err := members[1].request("slow", work{To: 1})
		slow <- fmt.Sprint(string(data), " ", err)
	}()
	for start := time.Now(); time.Since(start) < within*3/2; {
		_, err := members[1].request("fast", work{To: 1})
		require.NoError(t, err)
	}
	require.Equal(t, "slow <nil>", <-slow)
	require.EqualValues(t, 1, slows.Load())
	require.Eventually(t, func() bool { return silents.Load() == 2 }, 10*time.Second, time.Millisecond)
	members[0].forget(&nats.Msg{Data: []byte("silent")})
	require.ErrorIs(t, <-silent, context.Canceled)
}

// The owner of a piece has fetched it while other tasks were computed. Another member adds it up only if it has nothing
// else to do, or if the owner is lost.
func TestSumUp_LeavesPiecesToTheirOwners(t *testing.T) {
	a, b := &member{hello: hello{ID: "a"}}, &member{hello: hello{ID: "b"}}
	l := &Leader{conn: connect(t)(), members: map[string]*member{"a": a, "b": b}}
	var pieces []*piece
	for _, owner := range []*member{a, a, a, a, b} {
		pieces = append(pieces, &piece{from: len(pieces), to: len(pieces) + 1, owner: owner})
	}
	r := &round{Leader: l, ctx: t.Context(), out: make(chan outcome), sum: make([]float32, 5), tasks: []*task{{holder: a}}, pieces: pieces}
	with := func() (list []string) {
		for _, p := range pieces {
			text := ""
			for _, m := range p.with {
				text += m.ID
			}
			list = append(list, text)
		}
		return list
	}
	r.sumUp()
	require.Equal(t, []string{"a", "a", "", "", "b"}, with())
	pieces[4].done, b.adds = true, nil
	r.sumUp()
	require.Equal(t, []string{"a", "a", "b", "", "b"}, with())
	delete(l.members, "a")
	r.sumUp()
	require.Equal(t, []string{"a", "a", "b", "b", "b"}, with())
}
