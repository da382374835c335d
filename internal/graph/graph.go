package graph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// Graph is a graph or a subgraph, ready to run. Its values are numbered: the number of a
// value is its slot.
type Graph struct {
	Names  []string            // by slot; empty for an omitted output of a node
	Consts map[int]*ops.Tensor // by slot: initializers, and values computed at load
	Steps  []Step              // in the order of execution

	// Inputs and Outputs are slots. A subgraph has the inputs that the file lists, and
	// then one input per value of the enclosing graph that it uses: a captured value.
	Inputs   []int
	Outputs  []int
	captured []int // the slots of the captured values in the enclosing graph

	// The element types that the file declares for the inputs and outputs of a subgraph,
	// 0 for none.
	inputTypes, outputTypes []ops.DType

	// With Options.Problem, the types that the file declares for values, by slot, and the slots
	// of the outputs of nodes that could not be bound.
	declared map[int]*ops.Input
	failed   []int

	folded map[int]*ops.Tensor // by slot: the values that the last inference has computed
}

// Step is one node in the order of execution.
type Step struct {
	Name, Operator string
	Op             ops.Op // nil for a node with subgraphs
	Inputs         []int  // slots, -1 for an omitted input
	Outputs        []int

	opset      int     // the version of the operators of the domain that the model imports
	control    control // runs subgraphs; nil for a node without
	chain      bool    // whether it runs a chain of steps: see fuse
	injectable bool    // whether the caller of Run may replace the random numbers of the node
	free       []int   // slots that neither a later step nor an output of the graph needs

	// What Op was made from, if it is SbS: a run may change its dynamics.
	operator  ops.Operator
	node      ops.Node
	epsilonXY epsilonXY
	sbsIndex  int // in Program.sbsNodes
}

// epsilonXY is the epsilon_xy of an SbS node. The zero value means that it has none.
type epsilonXY struct {
	tensor   *ops.Tensor // nil if there is none, or if it is computed
	computed bool        // it is not an initializer
}

// HasSubgraphs reports whether the step is a node with subgraphs, such as If.
func (s *Step) HasSubgraphs() bool { return s.control != nil }

// infer returns the types of the outputs of a step without subgraphs.
func (s *Step) infer(in []*ops.Input) ([]ops.Type, error) {
	types, err := s.Op.Infer(in)
	if err == nil && len(types) != len(s.Outputs) {
		err = fmt.Errorf("%w: the operator infers %d types for %d outputs", ops.ErrShape, len(types), len(s.Outputs))
	}
	return types, err
}

// named returns an error with the name of the step. The error of a step that runs a chain of steps
// may name one of them already.
func (s *Step) named(err error) error {
	if n := (*ops.NodeError)(nil); s.chain && errors.As(err, &n) {
		return err
	}
	return &ops.NodeError{Node: s.Name, Operator: s.Operator, Err: err}
}

// Tensors returns the values in slots, with nil for an omitted one.
func Tensors(slots []int, values []*ops.Tensor) []*ops.Tensor {
	list := make([]*ops.Tensor, len(slots))
	for i, slot := range slots {
		if slot >= 0 {
			list[i] = values[slot]
		}
	}
	return list
}

func newGraph() *Graph { return &Graph{Consts: map[int]*ops.Tensor{}} }

// add returns the slot of a new value.
func (g *Graph) add(name string) int {
	g.Names = append(g.Names, name)
	return len(g.Names) - 1
}

// planFrees sets the free slots of all steps.
func (g *Graph) planFrees() {
	used := make([]bool, len(g.Names))
	for _, s := range g.Outputs {
		used[s] = true
	}
	for i := len(g.Steps) - 1; i >= 0; i-- {
		s := &g.Steps[i]
		s.free = nil
		for _, slot := range slices.Concat(s.Inputs, s.Outputs) {
			if slot >= 0 && !used[slot] {
				used[slot] = true
				s.free = append(s.free, slot)
			}
		}
	}
}

// applyFolded turns the values that inference has computed into constants, and removes the
// steps that compute nothing else.
func (g *Graph) applyFolded() {
	for slot, t := range g.folded {
		g.Consts[slot] = t
	}
	g.folded = nil
	g.Steps = slices.DeleteFunc(g.Steps, func(s Step) bool {
		return s.Op != nil && !slices.ContainsFunc(s.Outputs, func(slot int) bool { return g.Consts[slot] == nil })
	})
}

// walk calls f for the graph and for every subgraph in it.
func (g *Graph) walk(f func(*Graph)) {
	f(g)
	for i := range g.Steps {
		if c := g.Steps[i].control; c != nil {
			for _, sub := range c.graphs() {
				sub.walk(f)
			}
		}
	}
}
