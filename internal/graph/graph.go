package graph

import (
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// Graph is a graph or a subgraph, ready to run. Each of its values has a slot.
type Graph struct {
	Names  []string            // by slot; empty for an omitted output of a node
	Consts map[int]*ops.Tensor // by slot: initializers, and values computed at load
	Steps  []Step              // in the order of execution

	// Inputs are slots. The inputs of a subgraph that its operator provides come
	// first; then one for each value of the enclosing graph that the subgraph uses.
	// captured are the slots of these values in the enclosing graph.
	Inputs   []int
	captured []int
	Outputs  []int

	// Of a subgraph: the element types that the file declares, 0 for none.
	inputTypes, outputTypes []ops.DType

	folded map[int]*ops.Tensor // by slot: values that the last inference has found
}

// Step is one node in the order of execution.
type Step struct {
	Name, Operator string
	Op             ops.Op // nil for a node with subgraphs
	Inputs         []int  // slots, -1 for an omitted input
	Outputs        []int

	control    control // runs subgraphs
	injectable bool    // draws random numbers that a caller may provide
	free       []int   // slots that no later step or output needs

	// Of an SbS node, to make it anew with other dynamics.
	operator ops.Operator
	node     ops.Node
}

// HasSubgraphs reports whether the step is a node with subgraphs, such as If.
func (s *Step) HasSubgraphs() bool { return s.control != nil }

func newGraph() *Graph { return &Graph{Consts: map[int]*ops.Tensor{}} }

// add gives a value a slot.
func (g *Graph) add(name string) int {
	g.Names = append(g.Names, name)
	return len(g.Names) - 1
}

// planFrees notes after which step each value is no longer needed.
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

// applyFolded turns the values that inference has found into constants, and drops the
// steps that would compute them.
func (g *Graph) applyFolded() {
	for slot, t := range g.folded {
		g.Consts[slot] = t
	}
	g.folded = nil
	g.Steps = slices.DeleteFunc(g.Steps, func(s Step) bool {
		return s.Op != nil && !slices.ContainsFunc(s.Outputs, func(slot int) bool { return g.Consts[slot] == nil })
	})
}

// subgraphs calls f with the graph and every subgraph in it.
func (g *Graph) subgraphs(f func(*Graph)) {
	f(g)
	for i := range g.Steps {
		if c := g.Steps[i].control; c != nil {
			for _, sub := range c.graphs() {
				sub.subgraphs(f)
			}
		}
	}
}
