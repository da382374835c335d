package graph

import (
	"context"

	"github.com/spike-by-spike/sbs/ops"
)

// control is an operator with subgraphs. Its inputs are those of the node, followed by
// the values of the enclosing graph that each subgraph uses.
type control interface {
	graphs() []*Graph

	// infer returns the types of the outputs, nil for an unknown type.
	infer(k *inference, in []*ops.Input) ([]*ops.Input, error)

	run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error)
}

// caller is the run that a control is part of.
type caller struct {
	ctx  context.Context
	f    *Frame
	base int64 // bytes of the values in use outside
}
