package graph

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

type newControl func(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int) (control, error)

// controlOf returns the constructor of an operator with subgraphs, nil for other
// operators.
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

func (s *scope) bindControl(st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int, f newControl) error {
	var err error
	if st.control, err = f(s, st, n, attrs, opset); err != nil {
		return err
	}
	for _, g := range st.control.graphs() {
		st.Inputs = append(st.Inputs, g.captured...)
	}
	return nil
}

// subgraph reads the graph of an attribute.
func (s *scope) subgraph(attrs ops.Attributes, name string, inputs, outputs int) (*Graph, error) {
	pb, ok := attrs[name].(*onnxpb.GraphProto)
	if !ok {
		return nil, fmt.Errorf("%w: the node has no graph %s", ops.ErrAttribute, name)
	}
	if s.depth >= maxSubgraphs {
		return nil, fmt.Errorf("subgraphs are nested more than %d deep", maxSubgraphs)
	}
	if len(pb.GetInput()) != inputs || len(pb.GetOutput()) != outputs {
		return nil, fmt.Errorf("%s has %d inputs and %d outputs, the node needs %d and %d",
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
		s.g.Inputs = append(s.g.Inputs, slot)
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

// frame returns a frame for a subgraph.
func (c *caller) frame(g *Graph) *Frame {
	f := &Frame{p: c.f.p, g: g, Options: c.f.Options, changedOps: c.f.changedOps}
	f.Options.Observe, f.Options.Watch = nil, nil
	return f
}

// fits returns an error if the given number of bytes more exceeds the limit.
func (c *caller) fits(more int64) error { return c.f.p.fits(c.base + more) }

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
