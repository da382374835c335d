package ops

import (
	"errors"
	"fmt"
)

// Operator describes one operator of one domain.
type Operator struct {
	Domain string // "" for the standard operators, ai.onnx
	Name   string // op_type in ONNX, such as "Conv"

	// A node has MinInputs to MaxInputs inputs and MinOutputs to MaxOutputs
	// outputs. MaxInputs and MaxOutputs may be Variadic. An input after the first
	// MinInputs may be omitted even if later ones are present.
	MinInputs, MaxInputs   int
	MinOutputs, MaxOutputs int

	// Versions are the versions of the operator set of the domain in which the operator was
	// added or changed, in ascending order. They are for documentation: New decides what it
	// supports.
	Versions []int

	// New checks a node's attributes and returns an Op that computes the node.
	// Its errors need not name the node: the caller adds the name.
	New func(n Node) (Op, error)
}

// Variadic as Operator.MaxInputs or MaxOutputs means that there is no upper limit.
const Variadic = -1

// Node describes a node of a graph to Operator.New.
type Node struct {
	Name       string // unique in the graph; an operator may derive the seed of its random numbers from it
	Attributes Attributes
	Opset      int // the version of the domain's operator set that the model imports
	NumInputs  int // including omitted ones
	NumOutputs int // up to the last one in use; 0 means Operator.MinOutputs
}

// Op is an operator that is bound to the attributes of one node. It is immutable and
// safe for concurrent use.
//
// The caller of Infer and Run has checked the number of inputs: it passes at least
// Operator.MinInputs of them, and the first MinInputs are not nil. A later input that
// the node omits is nil, or missing at the end of the slice.
type Op interface {
	// Infer returns the types of the node's outputs for the given inputs, or an error
	// if the operator does not support inputs of these types and constant values.
	Infer(in []*Input) ([]Type, error)

	// Run computes the outputs.
	//
	// The caller has called Infer with the types of in, and also with their values
	// if the types alone leave a size unknown. out holds tensors of the inferred
	// types with arbitrary contents, and Run writes every element of them. If a
	// size is unknown even then, the tensor in out is nil, and Run stores a new
	// one there. This includes all outputs that are sequences, optional values or
	// maps.
	//
	// Run must not modify the inputs, and must not keep inputs or outputs after it
	// returns. An output may hold the same items as an input, but not an input itself:
	// the memory of an input tensor serves other values later.
	Run(ctx *Context, in, out []*Tensor) error
}

// Folder is an Op whose outputs can be computed when the model is loaded.
type Folder interface {
	Op

	// Fold returns the outputs if they follow from the types and constant values
	// of the inputs with little work, and nil otherwise. Infer has accepted the
	// inputs.
	Fold(ctx *Context, in []*Input) ([]*Tensor, error)
}

// Pure is an Op that may tell whether its outputs depend on its inputs alone. If they are constants of
// the model, Run computes the outputs once for many runs then.
type Pure interface {
	Op

	// Pure reports whether the outputs of every Run with the same inputs are the same: they depend
	// neither on random numbers nor on anything outside of the program.
	Pure() bool
}

// Run infers the types of an Op's outputs from its inputs, allocates the outputs, and
// computes them. The outputs belong to the caller. in has as many entries as the
// operator needs, with nil for an omitted input: see Op.
func Run(op Op, ctx *Context, in []*Tensor) ([]*Tensor, error) {
	if op == nil || ctx == nil {
		return nil, errors.New("ops: Run needs an Op and a Context: see NewContext")
	}
	known := make([]*Input, len(in))
	for i, x := range in {
		if x == nil {
			continue
		}
		if err := x.check(); err != nil && !x.DType().IsContainer() {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		known[i] = &Input{Type: TypeOf(x), Const: x}
	}
	types, err := op.Infer(known)
	if err != nil {
		return nil, err
	}
	out := make([]*Tensor, len(types))
	for i, t := range types {
		shape, ok := t.Sizes()
		if t.DType == 0 || !ok {
			continue // Run allocates the output
		}
		if out[i], err = Zeros(t.DType, shape); err != nil {
			return nil, err
		}
	}
	if err := op.Run(ctx, in, out); err != nil {
		return nil, err
	}
	for i, x := range out {
		if x.DType().IsContainer() { // it may share items with the inputs
			out[i] = x.Clone()
		}
	}
	return out, nil
}

// NodeError is an error at one node of a model, while the model is loaded or run.
type NodeError struct {
	Node     string // the name of the node, or else of its first output
	Operator string // as domain.Name, or Name for standard operators
	Err      error
}

// Error implements error.
func (e *NodeError) Error() string {
	return fmt.Sprintf("node %q (%s): %v", e.Node, e.Operator, e.Err)
}

// Unwrap returns Err.
func (e *NodeError) Unwrap() error { return e.Err }
