package clitest

import (
	"bytes"
	"strings"
)

// Stopper is a buffer that calls Cancel when a text that contains After is written to it.
type Stopper struct {
	bytes.Buffer
	Cancel func()
	After  string
}

// Write implements io.Writer.
func (s *Stopper) Write(b []byte) (int, error) {
	if strings.Contains(string(b), s.After) {
		s.Cancel()
	}
	return s.Buffer.Write(b)
}
