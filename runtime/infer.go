package runtime

import (
	"context"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

// inference finds the types of values while a model is loaded. A type of nil is
// not known.
type inference struct {
	weights map[*ops.Tensor]bool

	work int   // that may still be done: subgraphs are inferred several times
	fold int64 // bytes that may still be taken by values known in advance
}

const (
	maxInference = 1 << 21
	maxFolded    = 1 << 30
)

func (k *compiler) newInference() *inference {
	return &inference{weights: k.m.weights, work: maxInference, fold: min(maxFolded, k.memoryLimit)}
}

// graph returns the types of all values of a graph, by slot, for the types of its
// inputs. It notes the values that are known in advance.
func (k *inference) graph(g *graph, in []*ops.Input) ([]*ops.Input, error) {
	types := make([]*ops.Input, len(g.names))
	for slot, t := range g.consts {
		types[slot] = &ops.Input{Type: ops.TypeOf(t), Const: t}
	}
	g.folded = map[int]*ops.Tensor{}
	for i, slot := range g.inputs {
		if i < len(g.inputTypes) {
			if err := checkDeclared("input", g.names[slot], g.inputTypes[i], in[i]); err != nil {
				return nil, err
			}
		}
		types[slot] = in[i]
	}
	for i := range g.steps {
		s := &g.steps[i]
		if err := k.step(g, s, types); err != nil {
			return nil, &NodeError{Node: s.name, Operator: s.operator, Err: err}
		}
	}
	for i, d := range g.outputTypes {
		if err := checkDeclared("output", g.names[g.outputs[i]], d, types[g.outputs[i]]); err != nil {
			return nil, err
		}
	}
	return types, nil
}

func checkDeclared(what, name string, declared ops.DType, t *ops.Input) error {
	if declared != 0 && t != nil && t.DType != declared {
		return fmt.Errorf("%w: %s %q of the subgraph is declared as %v, but it is %v", ops.ErrDType, what, name, declared, t.Type)
	}
	return nil
}

func (k *inference) step(g *graph, s *step, types []*ops.Input) error {
	if k.work -= 1 + len(s.inputs); k.work < 0 {
		return fmt.Errorf("the types of the model are too much work to infer: it has too many subgraphs in subgraphs")
	}
	in := make([]*ops.Input, len(s.inputs))
	known := true
	for i, slot := range s.inputs {
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
		for i, slot := range s.outputs {
			types[slot] = out[i]
		}
		return nil
	}
	if !known {
		return nil
	}
	out, err := s.op.Infer(in)
	if err != nil {
		return err
	}
	if len(out) != len(s.outputs) {
		return fmt.Errorf("%w: %d types for %d outputs", ops.ErrShape, len(out), len(s.outputs))
	}
	values, err := k.values(s.op, in, len(out))
	if err != nil {
		return err
	}
	for i, slot := range s.outputs {
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

// values returns the outputs of an operator when they are known in advance, and
// else nil. Exporters compute shapes with nodes; the types of what comes after
// follow only from the values. Of weights nothing is computed in advance: training may
// change them.
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
	out, err := f.Fold(&ops.Context{Context: context.Background(), Pool: parallel.New(1)}, in)
	if err != nil || out == nil {
		return nil, err
	}
	if len(out) != outputs {
		return nil, fmt.Errorf("%w: %d outputs are known in advance, want %d", ops.ErrShape, len(out), outputs)
	}
	for _, t := range out {
		k.fold -= size(t)
	}
	return out, nil
}

// union returns the type of a value that is of one of two types.
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

// sameSizes reports whether two types are equal, symbols aside.
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

// loopTypes infers the types of values that an iteration takes from the one before
// it, and returns them with those of all outputs of the body. args are the types of
// the body's inputs; the values that are carried on start at carried there, and at
// results in the outputs.
func (k *inference) loopTypes(body *graph, args []*ops.Input, carried, results, count int) (states, out []*ops.Input, err error) {
	states = args[carried : carried+count]
	for i, t := range states {
		if t != nil {
			states[i] = &ops.Input{Type: t.Type} // a constant at the start only
		}
	}
	for pass := 0; ; pass++ {
		types, err := k.graph(body, args)
		if err != nil {
			return nil, nil, err
		}
		out = out[:0]
		for _, slot := range body.outputs {
			out = append(out, types[slot])
		}
		stable := true
		for i, before := range states {
			after := out[results+i]
			if before != nil && after != nil && before.DType != after.DType {
				return nil, nil, fmt.Errorf("%w: %q enters an iteration as %v and leaves it as %v", ops.ErrDType, body.names[body.inputs[carried+i]], before.Type, after.Type)
			}
			u := union(before, after)
			if sameSizes(before, u) {
				continue
			}
			stable = false
			if pass > 0 {
				u = nil // each iteration could be larger than the one before it
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
