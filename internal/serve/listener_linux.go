package serve

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// closeListener closes a listener. The kernel resets connections that it has made but the server
// has not accepted yet, although their clients may have sent requests. closeListener therefore first
// drops the packets that would make more of them, with a socket filter, and waits until those that
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
	none := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K} // accepts 0 bytes of a packet
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none})
	})
	if err != nil || refused != nil {
		return
	}
	for pending, limit := true, time.Now().Add(time.Second); pending && time.Now().Before(limit); {
		err := raw.Control(func(fd uintptr) {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			pending = err == nil && n > 0
		})
		if err != nil {
			return
		}
		if pending {
			time.Sleep(time.Millisecond)
		}
	}
}
