package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/std"
)

// fuse sets p.fused: the main graph with chains of steps that run as one step. types are the types
// of its values by slot. Training and runs with Observe need the value of every step, and options
// of a run can change SbS steps: for them there is the main graph itself.
func (p *Program) fuse(types []*ops.Input) {
	if !p.fixed || len(p.sbsNodes) > 0 || p.together != nil {
		return
	}
	g := *p.Main
	g.Steps = nil
	f := &fuser{g: p.Main, types: types, users: make([][]int, len(g.Names)), chained: make([]bool, len(p.Main.Steps))}
	for i := range p.Main.Steps {
		for _, slot := range p.Main.Steps[i].Inputs {
			if slot >= 0 {
				f.users[slot] = append(f.users[slot], i)
			}
		}
	}
	fused := map[int]Step{} // by the index of the last step of a chain
	for i := range p.Main.Steps {
		if f.chained[i] {
			continue
		}
		if chain, op := f.longest(i); op != nil {
			for _, j := range chain {
				f.chained[j] = true
			}
			fused[chain[len(chain)-1]] = f.step(chain, op)
		}
	}
	if len(fused) == 0 {
		return
	}
	for i := range p.Main.Steps {
		if s, ok := fused[i]; ok {
			g.Steps = append(g.Steps, s)
		} else if !f.chained[i] {
			g.Steps = append(g.Steps, p.Main.Steps[i])
		}
	}
	p.fused = &g
}

// fuser looks for chains of steps that std.Fuse knows.
type fuser struct {
	g       *Graph
	types   []*ops.Input
	users   [][]int // by slot: the steps that use the value, once for each of their inputs
	chained []bool  // by step: whether it is part of a chain
}

// longest returns the longest chain that begins with a step, and nil for none.
func (f *fuser) longest(first int) ([]int, std.Fused) {
	var best std.Fused
	var length int
	chain := []int{first}
	for {
		next, ok := f.next(chain[len(chain)-1])
		if !ok {
			return chain[:length], best
		}
		chain = append(chain, next)
		op := std.Fuse(f.links(chain))
		if op == nil {
			return chain[:length], best
		}
		best, length = op, len(chain)
	}
}

// next returns the step that alone uses the output of a step, if it can follow in a chain.
func (f *fuser) next(step int) (int, bool) {
	s := &f.g.Steps[step]
	if s.Op == nil || len(s.Outputs) != 1 || slices.Contains(f.g.Outputs, s.Outputs[0]) {
		return 0, false
	}
	users := f.users[s.Outputs[0]]
	if len(users) != 1 || f.chained[users[0]] {
		return 0, false
	}
	n := &f.g.Steps[users[0]]
	return users[0], n.Op != nil && len(n.Outputs) == 1
}

// links describes a chain to std.Fuse. The inputs of the chain are those of its steps, one after
// the other, as in step.
func (f *fuser) links(chain []int) []std.Link {
	var links []std.Link
	inputs, before := 0, -1
	for _, i := range chain {
		s := &f.g.Steps[i]
		l := std.Link{Op: s.Op}
		for _, slot := range s.Inputs {
			var t *ops.Input
			at := std.Omitted
			if slot >= 0 {
				t, at = f.types[slot], inputs
			}
			if slot >= 0 && slot == before {
				at = std.Before
			} else {
				inputs++
			}
			l.Inputs, l.Types = append(l.Inputs, at), append(l.Types, t)
		}
		links = append(links, l)
		before = s.Outputs[0]
	}
	return links
}

// step returns the step that runs a chain.
func (f *fuser) step(chain []int, op std.Fused) Step {
	last := f.g.Steps[chain[len(chain)-1]]
	c := &fusedOp{fused: op}
	s := Step{Op: c, Outputs: last.Outputs, chain: true}
	var names, operators []string
	before := -1
	for _, i := range chain {
		part := &f.g.Steps[i]
		c.parts = append(c.parts, part)
		names, operators = append(names, part.Name), append(operators, part.Operator)
		var own []int
		for _, slot := range part.Inputs {
			if slot >= 0 && slot == before {
				own = append(own, std.Before)
				continue
			}
			own = append(own, len(s.Inputs))
			s.Inputs = append(s.Inputs, slot)
		}
		c.inputs = append(c.inputs, own)
		before = part.Outputs[0]
	}
	s.Name, s.Operator = strings.Join(names, "+"), strings.Join(operators, "+")
	return s
}

// fusedOp is the operator of a step that runs a chain of steps.
type fusedOp struct {
	parts  []*Step
	inputs [][]int // by part and input: the index in the inputs of the chain, or std.Before
	fused  std.Fused
}

// Infer implements ops.Op. Its errors name the part.
func (c *fusedOp) Infer(in []*ops.Input) ([]ops.Type, error) {
	var before *ops.Input
	for i, s := range c.parts {
		own := make([]*ops.Input, len(c.inputs[i]))
		for j, at := range c.inputs[i] {
			if own[j] = before; at != std.Before {
				own[j] = in[at]
			}
		}
		types, err := s.infer(own)
		if err != nil {
			return nil, &ops.NodeError{Node: s.Name, Operator: s.Operator, Err: err}
		}
		if _, known := types[0].Sizes(); !known || types[0].DType == 0 {
			return nil, fmt.Errorf("%w: the type of the output of node %q (%s) depends on values", ops.ErrShape, s.Name, s.Operator)
		}
		before = &ops.Input{Type: types[0]}
	}
	return []ops.Type{before.Type}, nil
}

// Pure implements ops.Pure.
func (c *fusedOp) Pure() bool {
	return !slices.ContainsFunc(c.parts, func(s *Step) bool {
		op, ok := s.Op.(ops.Pure)
		return !ok || !op.Pure()
	})
}

// Run implements ops.Op.
func (c *fusedOp) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	return c.fused.Run(ctx, in, out[0])
}
