package graph

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// ifControl is If (opsets 1 to 25). It runs one of two subgraphs, which have captured
// values only.
type ifControl struct{ then, otherwise *Graph }

func newIf(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, _ int) (control, error) {
	if err := attrs.Only("then_branch", "else_branch"); err != nil {
		return nil, err
	}
	if err := checkInputs(st.Inputs, 1, 1); err != nil {
		return nil, err
	}
	if len(n.GetOutput()) == 0 {
		return nil, errors.New("the node has no output")
	}
	then, err := s.subgraph(attrs, "then_branch", 0, len(n.GetOutput()))
	if err != nil {
		return nil, err
	}
	otherwise, err := s.subgraph(attrs, "else_branch", 0, len(n.GetOutput()))
	if err != nil {
		return nil, err
	}
	return &ifControl{then, otherwise}, nil
}

func (b *ifControl) graphs() []*Graph { return []*Graph{b.then, b.otherwise} }

// branch returns the name and the graph of the branch for a condition, and its captured
// values.
func branch[T any](b *ifControl, cond bool, in []T) (string, *Graph, []T) {
	n := 1 + len(b.then.captured)
	if cond {
		return "then_branch", b.then, in[1:n]
	}
	return "else_branch", b.otherwise, in[n:]
}

func (b *ifControl) infer(inf *inference, in []*ops.Input) ([]*ops.Input, error) {
	if err := checkOne("the condition", in[0], ops.Bool); err != nil {
		return nil, err
	}
	cases := []bool{true, false}
	if in[0] != nil && in[0].Const != nil {
		// The other branch never runs, and may not fit these types.
		cond, err := truth(in[0].Const)
		if err != nil {
			return nil, err
		}
		cases = []bool{cond}
	}
	var out []*ops.Input
	for i, cond := range cases {
		name, g, captured := branch(b, cond, in)
		types, err := inf.graph(g, captured)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for j, slot := range g.Outputs {
			t := types[slot]
			if i == 0 {
				if t != nil {
					t = &ops.Input{Type: t.Type}
				}
				out = append(out, t)
				continue
			}
			if before := out[j]; before != nil && t != nil && !before.SameElements(t.Type) {
				return nil, fmt.Errorf("%w: output %d of then_branch is %v, but of else_branch %v", ops.ErrDType, j, before.Type, t.Type)
			}
			out[j] = union(out[j], t)
		}
	}
	return out, nil
}

func (b *ifControl) run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	cond, err := truth(in[0])
	if err != nil {
		return nil, err
	}
	name, g, captured := branch(b, cond, in)
	f := c.enter(g)
	out, err := f.runGraph(c.ctx, captured, c.base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c.leave(f)
	return out, nil
}
