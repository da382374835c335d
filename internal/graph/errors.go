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

// Problem is something that keeps a model from running. Package runtime documents it.
type Problem struct {
	Node     string // "" if no node is to blame
	Operator string // as domain.Name, or Name for standard operators
	Version  int    // of the operators of the domain; 0 if the model does not import one
	Err      error
}

// error returns the problem as an error that names the node.
func (p Problem) error() error {
	if p.Node == "" {
		return p.Err
	}
	return &ops.NodeError{Node: p.Node, Operator: p.Operator, Err: p.Err}
}

// errNoOp is the error of an operator whose New returns nothing.
var errNoOp = errors.New("the operator's New returned neither an Op nor an error")
