package runtime

import (
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// graph is a graph or a subgraph, ready to run. Its values have slots.
type graph struct {
	names  []string            // by slot; empty for an omitted output of a node
	consts map[int]*ops.Tensor // by slot: initializers, and what is known before any run
	steps  []step

	// inputs are slots. A subgraph has, after the inputs that its operator gives
	// it, one for each value that it takes from the graph around it; captured are
	// the slots of these there.
	inputs   []int
	captured []int
	outputs  []int

	// Of a subgraph: the element types that the file declares, 0 for none.
	inputTypes, outputTypes []ops.DType

	folded map[int]*ops.Tensor // by slot: values that the last inference has found
}

// step is one node in the order of execution.
type step struct {
	name, operator string
	op             ops.Op  // nil for a step with a control
	control        control // what runs subgraphs
	injectable     bool    // it draws random numbers that a caller may give
	inputs         []int   // slots, -1 for an omitted input
	outputs        []int
	free           []int // slots that no later step or output needs
}

func newGraph() *graph { return &graph{consts: map[int]*ops.Tensor{}} }

// add gives a value a slot.
func (g *graph) add(name string) int {
	g.names = append(g.names, name)
	return len(g.names) - 1
}

// planMemory notes after which step each value is needed no more.
func (g *graph) planMemory() {
	used := make([]bool, len(g.names))
	for _, s := range g.outputs {
		used[s] = true
	}
	for i := len(g.steps) - 1; i >= 0; i-- {
		s := &g.steps[i]
		s.free = nil
		for _, slot := range slices.Concat(s.inputs, s.outputs) {
			if slot >= 0 && !used[slot] {
				used[slot] = true
				s.free = append(s.free, slot)
			}
		}
	}
}

// applyFolded makes constants of what inference has found, and drops the steps that
// would compute it.
func (g *graph) applyFolded() {
	for slot, t := range g.folded {
		g.consts[slot] = t
	}
	g.folded = nil
	g.steps = slices.DeleteFunc(g.steps, func(s step) bool {
		return s.op != nil && !slices.ContainsFunc(s.outputs, func(slot int) bool { return g.consts[slot] == nil })
	})
}

// subgraphs calls f with the graph and every subgraph in it.
func (g *graph) subgraphs(f func(*graph)) {
	f(g)
	for i := range g.steps {
		if c := g.steps[i].control; c != nil {
			for _, sub := range c.graphs() {
				sub.subgraphs(f)
			}
		}
	}
}
