package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// control is an operator with subgraphs. Its inputs are those of the node, and then
// what each subgraph takes from outside.
type control interface {
	graphs() []*graph

	// infer returns the types of the outputs, nil for one that is not known.
	infer(k *inference, in []*ops.Input) ([]*ops.Input, error)

	run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error)
}

type newControl func(s *scope, st *step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int) (control, error)

// controlOf returns what makes a control, nil for other operators.
func controlOf(domain, name string) newControl {
	switch {
	case domain != "":
	case name == "If":
		return newIf
	case name == "Loop":
		return newLoop
	case name == "Scan":
		return newScan
	}
	return nil
}

func (s *scope) bindControl(st *step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int, f newControl) error {
	var err error
	if st.control, err = f(s, st, n, attrs, opset); err != nil {
		return err
	}
	for _, g := range st.control.graphs() {
		st.inputs = append(st.inputs, g.captured...)
	}
	return nil
}

// subgraph reads the graph of an attribute.
func (s *scope) subgraph(attrs ops.Attributes, name string, inputs, outputs int) (*graph, error) {
	pb, ok := attrs[name].(*onnxpb.GraphProto)
	if !ok {
		return nil, fmt.Errorf("%w: it has no graph %s", ops.ErrAttribute, name)
	}
	if s.depth >= maxSubgraphs {
		return nil, fmt.Errorf("it has subgraphs in subgraphs more than %d deep", maxSubgraphs)
	}
	if len(pb.GetInput()) != inputs || len(pb.GetOutput()) != outputs {
		return nil, fmt.Errorf("its %s has %d inputs and %d outputs, the node needs %d and %d",
			name, len(pb.GetInput()), len(pb.GetOutput()), inputs, outputs)
	}
	if err := s.k.grow(inputs + outputs); err != nil {
		return nil, err
	}
	sub := &scope{
		k: s.k, g: newGraph(), slots: map[string]int{}, outer: s,
		opsets: s.opsets, call: s.call, prefix: s.prefix, depth: s.depth + 1,
	}
	if err := sub.read(pb); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return sub.g, nil
}

func (s *scope) read(pb *onnxpb.GraphProto) error {
	for _, in := range pb.GetInput() {
		dtype, err := dtypeOf(in)
		if err != nil {
			return fmt.Errorf("input %q: %w", in.GetName(), err)
		}
		slot, err := s.define(in.GetName())
		if err != nil {
			return fmt.Errorf("inputs: %w", err)
		}
		s.g.inputs = append(s.g.inputs, slot)
		s.g.inputTypes = append(s.g.inputTypes, dtype)
	}
	for _, out := range pb.GetOutput() {
		dtype, err := dtypeOf(out)
		if err != nil {
			return fmt.Errorf("output %q: %w", out.GetName(), err)
		}
		s.g.outputTypes = append(s.g.outputTypes, dtype)
	}
	for _, f := range []func(*onnxpb.GraphProto) error{s.readInitializers, s.readNodes, s.readOutputs} {
		if err := f(pb); err != nil {
			return err
		}
	}
	return nil
}

// caller is what a control has of the run that it is part of.
type caller struct {
	ctx  context.Context
	f    *frame
	base int64 // bytes of the values in use outside
}

// frame returns a frame for a subgraph.
func (c *caller) frame(g *graph) *frame {
	f := &frame{m: c.f.m, g: g, config: c.f.config}
	f.config.observe = nil
	return f
}

// fits returns an error when so many bytes more would be too many.
func (c *caller) fits(more int64) error {
	if c.base+more <= c.f.m.memoryLimit {
		return nil
	}
	return fmt.Errorf("%w: the values of the run would take %d bytes, the limit is %d (see MemoryLimit)", ErrMemory, c.base+more, c.f.m.memoryLimit)
}

// truth returns the value of a condition.
func truth(t *ops.Tensor) (bool, error) {
	v, ok := ops.Data[bool](t)
	if !ok || len(v) != 1 {
		return false, fmt.Errorf("%w: the condition is %v, want one bool", ops.ErrShape, ops.TypeOf(t))
	}
	return v[0], nil
}

// checkOne checks the type of an input that holds one element.
func checkOne(name string, t *ops.Input, dtype ops.DType) error {
	if t == nil {
		return nil
	}
	ok := t.DType == dtype
	for _, d := range t.Shape {
		ok = ok && (!d.Known() || d.Size == 1)
	}
	if !ok {
		return fmt.Errorf("%w: %s is %v, want one %v", ops.ErrShape, name, t.Type, dtype)
	}
	return nil
}

// ifControl is If (opsets 1, 11, 13, 16): one of two subgraphs, neither of which has
// inputs.
type ifControl struct{ then, otherwise *graph }

func newIf(s *scope, st *step, n *onnxpb.NodeProto, attrs ops.Attributes, _ int) (control, error) {
	if err := attrs.Only("then_branch", "else_branch"); err != nil {
		return nil, err
	}
	if err := checkInputs(st.inputs, 1, 1); err != nil {
		return nil, err
	}
	if len(n.GetOutput()) == 0 {
		return nil, errors.New("it has no output")
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

func (c *ifControl) graphs() []*graph { return []*graph{c.then, c.otherwise} }

// branch returns a subgraph and its part of the inputs.
func branch[T any](c *ifControl, cond bool, in []T) (string, *graph, []T) {
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
		for j, slot := range g.outputs {
			t := types[slot]
			if i == 0 {
				if t != nil {
					t = &ops.Input{Type: t.Type}
				}
				out = append(out, t)
				continue
			}
			if a, b := out[j], t; a != nil && b != nil && a.DType != b.DType {
				return nil, fmt.Errorf("%w: output %d of one branch is %v, of the other %v", ops.ErrDType, j, a.Type, b.Type)
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
