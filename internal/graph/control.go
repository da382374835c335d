package graph

import (
	"context"

	"github.com/spike-by-spike/sbs/ops"
)

// control is an operator with subgraphs, with its attributes bound. Its inputs are the
// inputs of the node, followed by the captured values of each subgraph.
type control interface {
	// graphs returns the subgraphs, in the order of their captured values.
	graphs() []*Graph

	// infer returns the types of the outputs, nil for an unknown type.
	infer(inf *inference, in []*ops.Input) ([]*ops.Input, error)

	// run returns the outputs. They may be inputs, unchanged.
	run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error)
}

// caller is the run of the enclosing graph.
type caller struct {
	ctx  context.Context
	f    *frame
	step *Step
	work *work // nil if no frame runs the step
	base int64 // bytes of the values of all enclosing graphs
}
