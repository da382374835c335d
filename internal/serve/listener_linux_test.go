package serve

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCloseListener_AcceptsTheConnectionsThatThereAre makes connections while nobody accepts them.
func TestCloseListener_AcceptsTheConnectionsThatThereAre(t *testing.T) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	l, err := c.Listen(context.Background(), "tcp", "localhost:0")
	require.NoError(t, err)
	const count = 20
	for range count {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
	}
	closed := make(chan struct{})
	go func() {
		closeListener(l)
		close(closed)
	}()
	time.Sleep(50 * time.Millisecond)
	short := net.Dialer{Timeout: 50 * time.Millisecond}
	_, err = short.Dial("tcp", l.Addr().String())
	require.Error(t, err, "no new connection is made")
	for range count {
		conn, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	<-closed
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
