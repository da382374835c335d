package reduce

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// proxy is a network between a member and the server.
type proxy struct {
	delay time.Duration // of every block of bytes, in both directions
	cut   atomic.Bool   // nothing arrives any more, and no connection is closed
}

// dial connects to a server through the proxy.
func (p *proxy) dial(t testing.TB, url string) *nats.Conn {
	t.Helper()
	l, err := p.listen(url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	c, err := nats.Connect("nats://" + l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// listen takes connections and forwards them to a server.
func (p *proxy) listen(url string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", url[len("nats://"):])
			if err != nil {
				_ = in.Close()
				return
			}
			go p.forward(in, out)
			go p.forward(out, in)
		}
	}()
	return l, nil
}

// block is a block of bytes and the time at which it arrives.
type block struct {
	data []byte
	at   time.Time
}

func (p *proxy) forward(from, to net.Conn) {
	blocks := make(chan block, 1<<16)
	go func() {
		defer func() { _ = to.Close() }()
		for b := range blocks {
			time.Sleep(time.Until(b.at))
			for p.cut.Load() {
				time.Sleep(10 * time.Millisecond)
			}
			if _, err := to.Write(b.data); err != nil {
				break
			}
		}
		for range blocks { // until the reader has ended, too
		}
	}()
	defer close(blocks)
	for {
		data := make([]byte, 1<<16)
		n, err := from.Read(data)
		if n > 0 {
			blocks <- block{data[:n], time.Now().Add(p.delay)}
		}
		if err != nil {
			return
		}
	}
}

// The network to a member is cut while it has a vector that others need and computes another one.
func TestCompute_TheNetworkMayBeCut(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	var left []string
	l.Left = func(m Info) { left = append(left, m.Name) }
	var p proxy
	first := dial()
	lost := &computer{length: l.length}
	lost.before = func(context.Context, int) error {
		if lost.tasks.Load() == 5 {
			p.cut.Store(true)
		}
		return nil
	}
	join(t, p.dial(t, first.ConnectedUrl()), l.Session, &Member{Name: "lost", Computer: lost})
	join(t, first, l.Session, &Member{Name: "good", Computer: &computer{length: l.length, delay: time.Millisecond}})
	there(t, l, 2)
	before := make([]float32, l.length)
	check(t, l, 1, 0, 16, before)
	require.Contains(t, left, "lost")
	p.cut.Store(false) // it takes part again
	there(t, l, 2)
	check(t, l, 2, 16, 8, before)
}

func TestCompute_HasTheSameBitsOverASlowNetwork(t *testing.T) {
	dial := connect(t)
	l := lead(t, dial())
	l.Lost = 3 * time.Second
	url := dial().ConnectedUrl()
	for range 3 {
		p := &proxy{delay: time.Millisecond}
		join(t, p.dial(t, url), l.Session, &Member{Name: "far", Computer: &computer{length: l.length}})
	}
	there(t, l, 3)
	before := make([]float32, l.length)
	for i := range uint64(3) {
		check(t, l, i, 8*int(i), 8, before)
	}
}
