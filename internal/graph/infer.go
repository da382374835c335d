package graph

import (
	"context"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// inference finds the types of values while a model is loaded. A nil type is
// unknown.
type inference struct {
	weights map[*ops.Tensor]bool

	work int   // left to do at most: subgraphs are inferred several times
	fold int64 // bytes left for values that are computed in advance
}

const (
	maxInference = 1 << 21
	maxFolded    = 1 << 30
)

func (k *compiler) newInference() *inference {
	return &inference{weights: k.p.weights, work: maxInference, fold: min(maxFolded, k.MemoryLimit)}
}

// graph returns the types of all values of a graph, by slot, for the types of its
// inputs. It notes the values that it could compute.
func (k *inference) graph(g *Graph, in []*ops.Input) ([]*ops.Input, error) {
	types := make([]*ops.Input, len(g.Names))
	for slot, t := range g.Consts {
		types[slot] = &ops.Input{Type: ops.TypeOf(t), Const: t}
	}
	g.folded = map[int]*ops.Tensor{}
	for i, slot := range g.Inputs {
		if i < len(g.inputTypes) {
			if err := checkDeclared("input", g.Names[slot], g.inputTypes[i], in[i]); err != nil {
				return nil, err
			}
		}
		types[slot] = in[i]
	}
	for i := range g.Steps {
		s := &g.Steps[i]
		if err := k.step(g, s, types); err != nil {
			return nil, &NodeError{Node: s.Name, Operator: s.Operator, Err: err}
		}
	}
	for i, d := range g.outputTypes {
		if err := checkDeclared("output", g.Names[g.Outputs[i]], d, types[g.Outputs[i]]); err != nil {
			return nil, err
		}
	}
	return types, nil
}

func checkDeclared(what, name string, declared ops.DType, t *ops.Input) error {
	if declared != 0 && t != nil && t.DType != declared {
		return fmt.Errorf("%w: %s %q of the subgraph is declared as %v, but is %v", ops.ErrDType, what, name, declared, t.Type)
	}
	return nil
}

func (k *inference) step(g *Graph, s *Step, types []*ops.Input) error {
	if k.work -= 1 + len(s.Inputs); k.work < 0 {
		return fmt.Errorf("the model has too many nested subgraphs: inferring its types takes too long")
	}
	in := make([]*ops.Input, len(s.Inputs))
	known := true
	for i, slot := range s.Inputs {
		if slot >= 0 {
			in[i] = types[slot]
			known = known && in[i] != nil
		}
	}
	if s.control != nil {
		out, err := s.control.infer(k, in)
		if err != nil {
			return err
		}
		for i, slot := range s.Outputs {
			types[slot] = out[i]
		}
		return nil
	}
	if !known {
		return nil
	}
	out, err := s.Op.Infer(in)
	if err != nil {
		return err
	}
	if len(out) != len(s.Outputs) {
		return fmt.Errorf("%w: %d types for %d outputs", ops.ErrShape, len(out), len(s.Outputs))
	}
	values, err := k.values(s.Op, in, len(out))
	if err != nil {
		return err
	}
	for i, slot := range s.Outputs {
		switch {
		case values != nil:
			types[slot] = &ops.Input{Type: ops.TypeOf(values[i]), Const: values[i]}
			g.folded[slot] = values[i]
		case out[i].DType != 0:
			types[slot] = &ops.Input{Type: out[i]}
		}
	}
	return nil
}

// values returns the outputs of an operator if they do not depend on a run, and nil
// otherwise. Exporters compute shapes with nodes, and the types of later values follow
// from the values of these shapes only. Nothing is computed from weights in advance:
// training may change them.
func (k *inference) values(op ops.Op, in []*ops.Input, outputs int) ([]*ops.Tensor, error) {
	f, ok := op.(ops.Folder)
	if !ok || k.fold <= 0 {
		return nil, nil
	}
	in = slices.Clone(in)
	for i, x := range in {
		if x != nil && k.weights[x.Const] {
			in[i] = &ops.Input{Type: x.Type}
		}
	}
	out, err := f.Fold(&ops.Context{Context: context.Background()}, in)
	if err != nil || out == nil {
		return nil, err
	}
	if len(out) != outputs {
		return nil, fmt.Errorf("%w: %d outputs are computed in advance, want %d", ops.ErrShape, len(out), outputs)
	}
	for _, t := range out {
		k.fold -= size(t)
	}
	return out, nil
}

// union returns the most specific type that covers two types.
func union(a, b *ops.Input) *ops.Input {
	if a == nil || b == nil || a.DType != b.DType || len(a.Shape) != len(b.Shape) {
		return nil
	}
	t := ops.Type{DType: a.DType, Shape: make([]ops.Dim, len(a.Shape))}
	for i, d := range a.Shape {
		t.Shape[i] = d
		if d.Size != b.Shape[i].Size {
			t.Shape[i] = ops.Dim{Size: -1}
		}
	}
	return &ops.Input{Type: t}
}

// sameSizes reports whether two types are equal apart from symbols.
func sameSizes(a, b *ops.Input) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.DType != b.DType || len(a.Shape) != len(b.Shape) {
		return false
	}
	for i, d := range a.Shape {
		if d.Size != b.Shape[i].Size {
			return false
		}
	}
	return true
}

// loopTypes infers the types of the values that are carried between the iterations of a
// body, and the types of all its outputs. args are the types of the inputs of the body.
// The count carried values start at index carried of the inputs, and at index results
// of the outputs.
func (k *inference) loopTypes(body *Graph, args []*ops.Input, carried, results, count int) (states, out []*ops.Input, err error) {
	states = args[carried : carried+count]
	for i, t := range states {
		if t != nil {
			states[i] = &ops.Input{Type: t.Type} // constant in the first iteration only
		}
	}
	for pass := 0; ; pass++ {
		types, err := k.graph(body, args)
		if err != nil {
			return nil, nil, err
		}
		out = out[:0]
		for _, slot := range body.Outputs {
			out = append(out, types[slot])
		}
		stable := true
		for i, before := range states {
			after := out[results+i]
			if before != nil && after != nil && before.DType != after.DType {
				return nil, nil, fmt.Errorf("%w: %q enters an iteration as %v and leaves it as %v", ops.ErrDType, body.Names[body.Inputs[carried+i]], before.Type, after.Type)
			}
			u := union(before, after)
			if sameSizes(before, u) {
				continue
			}
			stable = false
			if pass > 0 {
				u = nil // each iteration could enlarge it
			}
			states[i] = u
		}
		if stable {
			return states, out, nil
		}
		if pass > 1 {
			clear(states)
		}
	}
}
