package reduce

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// greedy is a member that says that it has computed its tasks, and gives its vectors to nobody. It tells the
// Leader that it is there until it has computed a task.
func greedy(t *testing.T, conn *nats.Conn, session string) {
	t.Helper()
	const id = "greedy"
	text, err := json.Marshal(hello{ID: id, Name: id, Cores: 1})
	require.NoError(t, err)
	for kind, answer := range map[string]bool{toCompute: true, toGive: false, toAdd: false} {
		_, err := conn.Subscribe(prefix+session+kind+"."+id, func(m *nats.Msg) {
			if answer {
				respond(m, work{Seconds: 1e-3}, nil, nil)
			}
		})
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
