//go:build !linux

package serve

import "net"

// closeListener closes a listener.
func closeListener(l net.Listener) { _ = l.Close() } // it may be closed already, after an error
