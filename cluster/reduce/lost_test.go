package reduce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// greedy is a member that says that it has computed its tasks, and refuses to give its vectors, after some
// time. It tells the Leader only once that it is there.
func greedy(t *testing.T, conn *nats.Conn, session string) {
	t.Helper()
	const id = "greedy"
	text, err := json.Marshal(hello{ID: id, Name: id, Cores: 1})
	require.NoError(t, err)
	for kind, answer := range map[string]func(m *nats.Msg){
		toCompute: func(m *nats.Msg) {
			w, err := workOf(m)
			respond(m, work{Seconds: 1e-3}, fmt.Append(nil, w.Round, " ", w.Task, " ", w.Ahead), err) // as any member
		},
		toGive: func(m *nats.Msg) {
			time.AfterFunc(2*time.Duration(lateSeconds*1e9), func() { respond(m, work{}, nil, errStale) })
		},
		toAdd: func(*nats.Msg) {},
	} {
		_, err := conn.Subscribe(prefix+session+kind+"."+id, answer)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Publish(prefix+session+toLeader, text))
}

// Two members add up pieces, and wait for a third one that does not give its vector. Each of them is late, so
// that the other one gets its pieces, too. When one of them gives up, the vector is computed again, before
// pieces are given out again.
func TestCompute_AHolderIsLostWhileOthersAddUp(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	l.Lost = 20 * time.Second // the members notice it first
	greedy(t, dial(), l.Session)
	for range 2 {
		join(t, dial(), l.Session, &Member{Name: "good", Computer: &computer{length: l.length, delay: time.Millisecond}})
	}
	there(t, l, 3)
	check(t, l, 1, 0, 6, make([]float32, l.length))
}

// A member that is silent for some time keeps its vectors, and is given more time when it comes back.
func TestCompute_AMemberMayComeBack(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	left := 0
	l.Left = func(Info) { left++ }
	lost := l.Lost
	var p proxy
	c := &computer{length: l.length}
	c.before = func(context.Context, int) error {
		if c.tasks.Load() == 3 {
			p.cut.Store(true)
			time.AfterFunc(2*lost, func() { p.cut.Store(false) })
		}
		return nil
	}
	join(t, p.dial(t, dial().ConnectedUrl()), l.Session, &Member{Computer: c})
	there(t, l, 1)
	check(t, l, 1, 0, 5, make([]float32, l.length))
	require.Positive(t, left)
	require.EqualValues(t, 5, c.tasks.Load(), "no task is computed again")
	require.Greater(t, l.Lost, lost)
}

// Members and the Leader adapt to a network on which answers and signs of life take longer than expected.
func TestCompute_AdaptsToTheNetwork(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	l.Lost = helloEvery * 2 / 3
	url := dial().ConnectedUrl()
	for range 3 {
		p := &proxy{delay: 20 * time.Millisecond}
		join(t, p.dial(t, url), l.Session, &Member{Computer: &computer{length: l.length}, within: 20 * time.Millisecond})
	}
	for round := uint64(1); l.Lost <= helloEvery; round++ { // a round may end before a member comes back
		require.Less(t, round, uint64(100))
		check(t, l, round, 0, 9, make([]float32, l.length))
	}
}

// A request takes its place among the others, and leaves it when its context ends.
func TestInFlight_LimitsTheUnits(t *testing.T) {
	l := inFlight{units: make(chan struct{}, maxUnits)}
	require.NoError(t, l.enter(t.Context(), maxUnits-2))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.enter(ctx, 5) }()
	require.Eventually(t, func() bool { return len(l.units) == maxUnits }, 10*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Len(t, l.units, maxUnits-2)
	go func() { ended <- l.enter(t.Context(), 5) }()
	l.leave(3)
	require.NoError(t, <-ended)
	require.Len(t, l.units, maxUnits)
}

// A message that announces a large state takes no memory, and pieces that do not belong to the state are
// ignored.
func TestAssembly_TakesOnlyPieces(t *testing.T) {
	var a assembly
	w := work{Round: 1, Sum: "x", Bytes: maxState}
	require.Less(t, testing.AllocsPerRun(1, func() { a.put(w, nil) }), 10.0)
	require.Empty(t, a.pieces)
	w.Bytes = pieceSize + 2
	one, two := make([]byte, pieceSize), []byte{1, 2}
	one[5] = 3
	for _, bad := range []struct {
		offset int
		data   []byte
	}{{1, one}, {0, two}, {pieceSize, one}, {2 * pieceSize, two}, {pieceSize, nil}} {
		w.Offset = bad.offset
		require.False(t, a.put(w, bad.data))
	}
	w.Offset = pieceSize
	require.True(t, a.put(w, two))
	require.False(t, a.put(w, two))
	offset, incomplete := a.missing()
	require.True(t, incomplete)
	require.Zero(t, offset)
	w.Offset = 0
	require.True(t, a.put(w, one))
	_, incomplete = a.missing()
	require.False(t, incomplete)
	require.Equal(t, append(one, two...), a.all())
}

// Long errors, and results that do not fit into a message, are reported.
func TestCompute_ReportsWhatIsTooLong(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	var refused []string
	l.Refused = func(_ Info, reason string) { refused = append(refused, reason) }
	long := strings.Repeat("\x00<é", 1<<20)
	join(t, dial(), l.Session, &Member{Refusal: long})
	require.NoError(t, l.Wait(t.Context(), func(int) bool { return len(refused) == 1 }))
	require.True(t, strings.HasPrefix(refused[0], long[:1000]))
	join(t, dial(), l.Session, &Member{Computer: &computer{length: l.length, before: func(context.Context, int) error { return errors.New(long) }}})
	_, _, err := l.Compute(t.Context(), state(1), 0, 2, make([]float32, l.length))
	require.ErrorContains(t, err, long[:1000])
	join(t, dial(), l.Session, &Member{Computer: &talker{computer{length: l.length}}})
	_, _, err = l.Compute(t.Context(), state(2), 0, 2, make([]float32, l.length))
	require.ErrorContains(t, err, "the result of a task has 262145 bytes apart from its vector, more than the limit of 262144")
}

// talker has long parts.
type talker struct{ computer }

func (t *talker) Compute(context.Context, int, int, []float32) ([]byte, error) {
	return make([]byte, pieceSize+1), nil
}

// A piece is requested once, by whoever needs it first, unless its holder is lost. A piece that has come counts, whoever
// has the vector later.
func TestGiven_RequestsAPieceOnce(t *testing.T) {
	dial := connect(t)
	conn := dial()
	asked := make(chan *nats.Msg, 10)
	_, err := conn.ChanSubscribe(prefix+"s"+toGive+".a", asked)
	require.NoError(t, err)
	require.NoError(t, conn.Flush())
	m := &Member{Session: "s"}
	m.prepare(t.Context(), dial())
	got := make(chan string, 2)
	give := func(holder string) {
		data, err := m.given(holder, work{Task: 2, From: 3, To: 4})
		got <- fmt.Sprint(string(data), " ", err)
	}
	go give("a")
	<-asked
	m.forget(&nats.Msg{Data: []byte("a")})
	require.Equal(t, " context canceled", <-got)
	go give("a")
	go give("a")
	respond(<-asked, work{}, []byte("data"), nil)
	require.Equal(t, "data <nil>", <-got)
	require.Equal(t, "data <nil>", <-got)
	give("b") // nobody would answer
	require.Equal(t, "data <nil>", <-got)
	require.Empty(t, asked)
}
