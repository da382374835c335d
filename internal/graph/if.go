package graph

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// ifControl is If (opsets 1, 11, 13, 16). It runs one of two subgraphs, which have no
// inputs.
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

func (c *ifControl) graphs() []*Graph { return []*Graph{c.then, c.otherwise} }

// branch returns a subgraph and its part of the inputs.
func branch[T any](c *ifControl, cond bool, in []T) (string, *Graph, []T) {
	n := 1 + len(c.then.captured)
	if cond {
		return "then_branch", c.then, in[1:n]
	}
	return "else_branch", c.otherwise, in[n:]
}

func (c *ifControl) infer(k *inference, in []*ops.Input) ([]*ops.Input, error) {
	if err := checkOne("the condition", in[0], ops.Bool); err != nil {
		return nil, err
	}
	cases := []bool{true, false}
	if in[0] != nil && in[0].Const != nil {
		// The other branch may be for other types than these.
		cond, err := truth(in[0].Const)
		if err != nil {
			return nil, err
		}
		cases = []bool{cond}
	}
	var out []*ops.Input
	for i, cond := range cases {
		name, g, captured := branch(c, cond, in)
		types, err := k.graph(g, captured)
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
			if a, b := out[j], t; a != nil && b != nil && a.DType != b.DType {
				return nil, fmt.Errorf("%w: output %d of one branch is %v, and of the other branch %v", ops.ErrDType, j, a.Type, b.Type)
			}
			out[j] = union(out[j], t)
		}
	}
	return out, nil
}

func (c *ifControl) run(r *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	cond, err := truth(in[0])
	if err != nil {
		return nil, err
	}
	name, g, captured := branch(c, cond, in)
	out, err := r.frame(g).run(r.ctx, captured, r.base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}
