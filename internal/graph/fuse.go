package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/std"
)

// fuse sets p.fused: the main graph with chains and groups of steps that run as one. types are the types
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
		chain, op := f.longest(i)
		if group, rows := f.group(i); rows != nil && len(group) > len(chain) {
			chain, op = group, rows
		}
		if op != nil {
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

// fuser looks for chains that std.Fuse knows and groups that std.FuseRows knows.
type fuser struct {
	g       *Graph
	types   []*ops.Input
	users   [][]int // by slot: the steps that use the value, once for each of their inputs
	chained []bool  // by step: whether it is part of a chain or group
}

// Limits of the number of steps of a chain and a group. The time to find the steps grows faster than
// their number; longer chains save little more.
const (
	mostOfChain = 64
	mostOfGroup = 16
)

// longest returns the longest chain that begins with a step, and nil for none.
func (f *fuser) longest(first int) ([]int, std.Fused) {
	var best std.Fused
	var length int
	chain := []int{first}
	for {
		next, ok := f.next(chain[len(chain)-1])
		if !ok || len(chain) == mostOfChain {
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

// group returns the longest group of steps that std.FuseRows knows, and that begins with a step, and
// nil for none.
func (f *fuser) group(first int) ([]int, std.Fused) {
	var best std.Fused
	var length int
	group := []int{first}
	for {
		next, closed := f.open(group)
		if closed {
			if op := std.FuseRows(f.links(group)); op != nil {
				best, length = op, len(group)
			}
		}
		if next < 0 || f.chained[next] || len(group) == mostOfGroup {
			return group[:length], best
		}
		group = append(group, next)
	}
}

// open returns the first step outside a group that uses an output of it, or -1 if the group cannot
// grow, and whether nothing outside the group uses an output but that of its last step.
func (f *fuser) open(group []int) (next int, closed bool) {
	next, closed = -1, true
	for i, step := range group {
		s, last := &f.g.Steps[step], i == len(group)-1
		if s.Op == nil || len(s.Outputs) != 1 || !last && slices.Contains(f.g.Outputs, s.Outputs[0]) {
			return -1, false
		}
		for _, user := range f.users[s.Outputs[0]] {
			if slices.Contains(group, user) {
				continue
			}
			closed = closed && last
			if next < 0 || user < next {
				next = user
			}
		}
	}
	return next, closed
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

// links describes a chain or group to std. Its inputs are those of its steps, one after the other, as
// in step.
func (f *fuser) links(chain []int) []std.Link {
	var links []std.Link
	inputs := 0
	for i, step := range chain {
		s := &f.g.Steps[step]
		l := std.Link{Op: s.Op}
		for _, slot := range s.Inputs {
			var t *ops.Input
			at := f.source(chain[:i], slot)
			if slot >= 0 {
				t = f.types[slot]
			}
			switch {
			case at != std.Omitted:
			case slot >= 0:
				at = inputs
				inputs++
			default:
				inputs++
			}
			l.Inputs, l.Types = append(l.Inputs, at), append(l.Types, t)
		}
		links = append(links, l)
	}
	return links
}

// source returns the entry of std.Link.Inputs for a value if it is an output of the steps so far, and
// otherwise std.Omitted.
func (f *fuser) source(chain []int, slot int) int {
	for i, step := range chain {
		switch {
		case slot < 0 || f.g.Steps[step].Outputs[0] != slot:
		case i == len(chain)-1:
			return std.Before
		default:
			return std.Earlier(i)
		}
	}
	return std.Omitted
}

// step returns the step that runs a chain.
func (f *fuser) step(chain []int, op std.Fused) Step {
	last := f.g.Steps[chain[len(chain)-1]]
	c := &fusedOp{fused: op}
	s := Step{Op: c, Outputs: last.Outputs, chain: true}
	var names, operators []string
	for i, step := range chain {
		part := &f.g.Steps[step]
		c.parts = append(c.parts, part)
		names, operators = append(names, part.Name), append(operators, part.Operator)
		var own []int
		for _, slot := range part.Inputs {
			if at := f.source(chain[:i], slot); at != std.Omitted {
				own = append(own, at)
				continue
			}
			own = append(own, len(s.Inputs))
			s.Inputs = append(s.Inputs, slot)
		}
		c.inputs = append(c.inputs, own)
	}
	s.Name, s.Operator = strings.Join(names, "+"), strings.Join(operators, "+")
	return s
}

// fusedOp is the operator of a step that runs a chain of steps.
type fusedOp struct {
	parts  []*Step
	inputs [][]int // by part and input: the index in the inputs of the chain, or as in std.Link.Inputs
	fused  std.Fused
}

// Infer implements ops.Op. Its errors name the part.
func (c *fusedOp) Infer(in []*ops.Input) ([]ops.Type, error) {
	results := make([]*ops.Input, len(c.parts))
	for i, s := range c.parts {
		own := make([]*ops.Input, len(c.inputs[i]))
		for j, at := range c.inputs[i] {
			if from := std.Source(at, i); from >= 0 {
				own[j] = results[from]
			} else {
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
		results[i] = &ops.Input{Type: types[0]}
	}
	return []ops.Type{results[len(results)-1].Type}, nil
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
