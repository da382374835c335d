package graph

import (
	"errors"
	"fmt"
)

// The errors that package runtime exports, and documents.
var (
	ErrModel           = errors.New("cannot run this model")
	ErrUnknownOperator = errors.New("unknown operator")
	ErrInput           = errors.New("bad input")
	ErrMemory          = errors.New("too much memory")
	ErrOption          = errors.New("bad option")
	ErrStopped         = errors.New("stopped by the watcher")
)

// errNoOp is the error of an operator whose New returns nothing.
var errNoOp = errors.New("the operator's New returned neither an Op nor an error")

// NodeError is an error at one node of a graph, while a model is loaded or run.
type NodeError struct {
	Node     string // the name of the node, or else of its first output
	Operator string // as domain.Name, or Name for standard operators
	Err      error
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("node %q (%s): %v", e.Node, e.Operator, e.Err)
}

func (e *NodeError) Unwrap() error { return e.Err }
