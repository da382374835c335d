package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// inference finds the types of all values, and the values that do not depend on the inputs
// of the model. A nil *ops.Input means that the type is unknown.
type inference struct {
	ctx     context.Context
	weights map[*ops.Tensor]bool // as in Program

	inferred func(s *Step, out []ops.Type) // is called for every step without subgraphs, unless nil
	tolerate func(Problem) error           // see compiler.tolerate

	work int   // steps and inputs that may still be inferred
	fold int64 // bytes of values that may still be computed
}

const (
	maxInference = 1 << 21 // steps and their inputs: a step of a nested loop is inferred several times
	maxFolded    = 1 << 30 // bytes
)

func (k *compiler) newInference() *inference {
	inf := &inference{ctx: k.Context, weights: k.p.weights, tolerate: k.tolerate, work: maxInference, fold: min(maxFolded, k.MemoryLimit)}
	if k.Problem != nil {
		inf.inferred = func(s *Step, _ []ops.Type) { k.checked[s] = true }
	}
	return inf
}

// graph returns the types of all values of a graph, by slot, given the types of its inputs.
// It sets g.folded to the values that it computes.
func (inf *inference) graph(g *Graph, in []*ops.Input) ([]*ops.Input, error) {
	types := make([]*ops.Input, len(g.Names))
	for slot, t := range g.Consts {
		types[slot] = &ops.Input{Type: ops.TypeOf(t), Const: t}
	}
	g.folded = map[int]*ops.Tensor{}
	for _, slot := range g.failed {
		types[slot] = g.declared[slot]
	}
	for i, slot := range g.Inputs {
		if i < len(g.inputTypes) {
			if err := inf.tolerate(Problem{Err: checkDeclared("input", g.Names[slot], g.inputTypes[i], in[i])}); err != nil {
				return nil, err
			}
		}
		types[slot] = in[i]
	}
	for i := range g.Steps {
		s := &g.Steps[i]
		if err := inf.step(g, s, types); err != nil {
			if err := inf.tolerate(Problem{s.Name, s.Operator, s.opset, err}); err != nil {
				return nil, err
			}
			if inf.inferred != nil {
				inf.inferred(s, nil)
			}
			for _, slot := range s.Outputs {
				types[slot] = g.declared[slot]
			}
		}
	}
	for i, d := range g.outputTypes {
		if err := inf.tolerate(Problem{Err: checkDeclared("output", g.Names[g.Outputs[i]], d, types[g.Outputs[i]])}); err != nil {
			return nil, err
		}
	}
	return types, nil
}

// checkDeclared returns an error if an input or output of a subgraph has another element
// type than the file declares.
func checkDeclared(what, name string, declared ops.DType, t *ops.Input) error {
	if declared != 0 && t != nil && t.DType != declared {
		return fmt.Errorf("%w: %s %q of the subgraph is declared as %v, but computed as %v", ops.ErrDType, what, name, declared, t.Type)
	}
	return nil
}

// step finds the types of the outputs of a step.
func (inf *inference) step(g *Graph, s *Step, types []*ops.Input) error {
	if err := inf.ctx.Err(); err != nil {
		return err
	}
	if inf.work -= 1 + len(s.Inputs); inf.work < 0 {
		return errors.New("the model has too many nested subgraphs: the inference of its types would take too long")
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
		out, err := s.control.infer(inf, in)
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
	out, err := s.infer(in)
	if err != nil {
		return err
	}
	if inf.inferred != nil {
		inf.inferred(s, out)
	}
	values, err := inf.compute(s.Op, in, len(out))
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

// compute returns the outputs of an operator if they do not depend on the inputs of the
// model, and nil otherwise. Exporters write nodes that compute shapes, and without their
// values the types of later nodes would be unknown. Outputs that depend on weights are not
// computed, since training changes weights.
func (inf *inference) compute(op ops.Op, in []*ops.Input, outputs int) ([]*ops.Tensor, error) {
	f, ok := op.(ops.Folder)
	if !ok || inf.fold <= 0 {
		return nil, nil
	}
	in = slices.Clone(in)
	for i, x := range in {
		if x != nil && inf.weights[x.Const] {
			in[i] = &ops.Input{Type: x.Type}
		}
	}
	out, err := f.Fold(&ops.Context{Context: inf.ctx}, in)
	if err != nil || out == nil {
		return nil, err
	}
	if len(out) != outputs {
		return nil, fmt.Errorf("%w: the operator computes %d constant outputs, want %d", ops.ErrShape, len(out), outputs)
	}
	for _, t := range out {
		inf.fold -= size(t)
	}
	return out, nil
}

// union returns the most specific type that includes two types, or nil if there is none.
func union(a, b *ops.Input) *ops.Input {
	if a == nil || b == nil || !a.SameElements(b.Type) || len(a.Shape) != len(b.Shape) {
		return nil
	}
	t := ops.Type{DType: a.DType, Shape: make([]ops.Dim, len(a.Shape)), Elem: a.Elem, Key: a.Key}
	for i, d := range a.Shape {
		t.Shape[i] = d
		if d.Size != b.Shape[i].Size {
			t.Shape[i] = ops.Dim{Size: -1}
		}
	}
	return &ops.Input{Type: t}
}

// sameSizes reports whether two types are equal apart from the symbols of dimensions.
func sameSizes(a, b *ops.Input) bool {
	if a == nil || b == nil {
		return a == b
	}
	if !a.SameElements(b.Type) || len(a.Shape) != len(b.Shape) {
		return false
	}
	for i, d := range a.Shape {
		if d.Size != b.Shape[i].Size {
			return false
		}
	}
	return true
}

// wraps reports whether a is an optional value of the type b. A body may return b for the next
// iteration, to which it is a value that is present.
func wraps(a, b ops.Type) bool {
	return a.DType == ops.Optional && a.Elem != nil && a.Elem.SameElements(b)
}

// loopTypes infers the types of the values that a body carries from iteration to iteration,
// and the types of all outputs of the body. args are the types of the inputs of the body in
// the first iteration; loopTypes changes them to types for all iterations. There are count
// carried values. The first is args[carried] and output results of the body.
func (inf *inference) loopTypes(body *Graph, args []*ops.Input, carried, results, count int) (states, out []*ops.Input, err error) {
	states = args[carried : carried+count]
	for i, t := range states {
		if t != nil {
			states[i] = &ops.Input{Type: t.Type} // a constant is constant in the first iteration only
		}
	}
	// Pass 0 makes sizes that change unknown, pass 1 makes types that still change unknown,
	// and pass 2 gives up on all of them.
	for pass := 0; ; pass++ {
		types, err := inf.graph(body, args)
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
			if before != nil && after != nil && wraps(before.Type, after.Type) {
				continue
			}
			if before != nil && after != nil && !before.SameElements(after.Type) {
				return nil, nil, fmt.Errorf("%w: %q enters an iteration as %v and leaves it as %v", ops.ErrDType, body.Names[body.Inputs[carried+i]], before.Type, after.Type)
			}
			u := union(before, after)
			if sameSizes(before, u) {
				continue
			}
			stable = false
			if pass > 0 {
				u = nil // the rank may change with each iteration
			}
			states[i] = u
		}
		if stable {
			final := slices.Clone(states)
			for i, before := range states {
				if after := out[results+i]; before != nil && after != nil && wraps(before.Type, after.Type) {
					final[i] = nil // the type depends on whether there is an iteration
				}
			}
			return final, out, nil
		}
		if pass > 1 {
			clear(states)
		}
	}
}
