//go:build !linux

package runtime_test

import "testing"

// pipe returns a path that does not exist.
func pipe(*testing.T) string { return "no such pipe" }
