package reduce

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
)

// greet tells the Leader again and again that the member is there. It waits for no answer, which may take
// long on a slow network. The server answers if there is no Leader.
func (m *Member) greet(ctx context.Context, ended <-chan struct{}) error {
	alone := make(chan struct{}, 1)
	inbox := m.conn.NewInbox()
	answers, err := m.conn.Subscribe(inbox, func(msg *nats.Msg) {
		if msg.Header.Get("Status") != statusNobody {
			return
		}
		select {
		case alone <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = m.unsubscribe(answers) }()
	var since, last time.Time // of the answers in a row that there is no Leader
	ticker := time.NewTicker(helloEvery)
	defer ticker.Stop()
	for {
		m.mu.Lock()
		h := m.hello()
		m.mu.Unlock()
		text, err := json.Marshal(h)
		if err != nil {
			return err
		}
		if m.conn.IsConnected() { // otherwise, the message would wait and be old when it arrives
			_ = m.conn.PublishRequest(prefix+m.Session+toLeader, inbox, text)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return nil
		case <-ticker.C:
		}
		now := time.Now()
		select {
		case <-alone:
			if now.Sub(last) > answerWithin {
				since = now
			}
			if last = now; now.Sub(since) > leaderGone {
				return ErrNoLeader
			}
		default:
		}
	}
}

// statusNobody is the status of an answer of the server: nobody has received the message.
const statusNobody = "503"

// answerWithin is the time in which the server answers a message to a Leader that is gone.
const answerWithin = time.Second

// hello returns the sign of life of the member. m.mu is held.
func (m *Member) hello() hello {
	return hello{
		ID: m.id, Name: shorten(m.Name), Cores: m.Cores, Seat: m.Seat, Round: m.round, Tasks: m.waiting, Additions: m.adding,
		Refusal: shorten(m.Refusal),
	}
}
