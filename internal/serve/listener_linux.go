package serve

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// closeListener looks for new connections after every pause, and closes the listener when it has
// found none for quiet times, or after the limit. In that time, connections that clients have begun
// to make are completed.
const (
	pause = 5 * time.Millisecond
	quiet = 20
	limit = 2 * time.Second
)

// closeListener closes a listener. The kernel resets connections that it has made but the server
// has not accepted yet, although their clients may have sent requests. closeListener therefore first
// drops the packets that ask for new connections, with a socket filter, and waits until those that
// are there are accepted.
func closeListener(l net.Listener) {
	defer func() { _ = l.Close() }() // it may be closed already, after an error
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		filter := noConnections()
		refused = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	})
	if err != nil || refused != nil {
		return
	}
	for none, end := 0, time.Now().Add(limit); none < quiet && time.Now().Before(end); time.Sleep(pause) {
		err := raw.Control(func(fd uintptr) {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			if none++; err != nil || n > 0 {
				none = 0
			}
		})
		if err != nil {
			return
		}
	}
}

// noConnections is a filter that drops the packets that ask for new connections: those with the
// flag SYN and without ACK. A packet starts with its TCP header, whose byte 13 has the flags.
func noConnections() []unix.SockFilter {
	const (
		flags  = 13
		syn    = 0x02
		synAck = 0x12
	)
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: synAck},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: syn},
		{Code: unix.BPF_RET | unix.BPF_K},
		{Code: unix.BPF_RET | unix.BPF_K, K: ^uint32(0)},
	}
}
