package inference

import (
	"context"
	"errors"
	"fmt"
)

// Kind says who must do what about an error. Each protocol has a status for it.
type Kind int

// The kinds of errors.
const (
	Internal        Kind = iota // the server or the model has failed
	Invalid                     // the request is wrong
	Unauthenticated             // the token is missing or wrong
	NotFound                    // there is no such model, version or path
	BadMethod                   // the path needs another HTTP method
	TooLarge                    // the request is above a limit of the server
	BadFormat                   // the encoding or the content type of the body is not supported
	Busy                        // the queue is full: try again
	Unavailable                 // the server is starting or ending
	Timeout                     // the time limit was exceeded
	Canceled                    // the client has gone away
)

// Error is an error for a client.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error of the given kind.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{kind, fmt.Errorf(format, args...)}
}

// KindOf returns the kind of an error: that of the Error that it wraps, or the one that fits the
// error of a context, or Internal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Internal
}
