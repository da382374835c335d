package graph

import (
	"errors"

	"github.com/spike-by-spike/sbs/ops"
)

// The errors that package runtime exports, and documents.
var (
	ErrModel           = errors.New("cannot run this model")
	ErrUnknownOperator = errors.New("unknown operator")
	ErrInput           = errors.New("bad input")
	ErrMemory          = ops.ErrMemory
	ErrOption          = errors.New("bad option")
	ErrStopped         = errors.New("stopped by the watcher")
)

// errNoOp is the error of an operator whose New returns nothing.
var errNoOp = errors.New("the operator's New returned neither an Op nor an error")
