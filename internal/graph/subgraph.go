package graph

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/preview"
)

// newControl makes an operator with subgraphs for a node, whose inputs are in st.
type newControl func(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int) (control, error)

// controlOf returns the constructor of an operator with subgraphs, or nil for other
// operators.
func controlOf(domain, name string) newControl {
	switch {
	case domain == previewDomain && name == "FlexAttention":
		return newFlexAttention
	case domain == preview.TrainingDomain && name == "Gradient":
		return newGradient
	case domain != "":
	case name == "If":
		return newIf
	case name == "Loop":
		return newLoop
	case name == "Scan":
		return newScan
	case name == "SequenceMap":
		return newSequenceMap
	}
	return nil
}

// controlOperators describes the operators with subgraphs. They have no New.
func controlOperators() []ops.Operator {
	return []ops.Operator{
		{Name: "If", MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: ops.Variadic, Versions: []int{1, 11, 13, 16, 19, 21, 23, 24, 25}},
		{Name: "Loop", MinInputs: 2, MaxInputs: ops.Variadic, MinOutputs: 1, MaxOutputs: ops.Variadic, Versions: []int{1, 11, 13, 16, 19, 21, 23, 24, 25}},
		{Name: "SequenceMap", MinInputs: 1, MaxInputs: ops.Variadic, MinOutputs: 1, MaxOutputs: ops.Variadic, Versions: []int{17}},
		{Domain: previewDomain, Name: "FlexAttention", MinInputs: 3, MaxInputs: 3, MinOutputs: 1, MaxOutputs: 1, Versions: []int{1}},
		{Domain: preview.TrainingDomain, Name: "Gradient", MinInputs: 1, MaxInputs: ops.Variadic, MinOutputs: 1, MaxOutputs: ops.Variadic, Versions: []int{1}},
		{Name: "Scan", MinInputs: 1, MaxInputs: ops.Variadic, MinOutputs: 1, MaxOutputs: ops.Variadic, Versions: []int{8, 9, 11, 16, 19, 21, 23, 24, 25}},
	}
}

// bindControl makes the control of a step, and adds the captured values to its inputs.
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

// subgraph reads the graph in an attribute, which must have the given numbers of inputs and
// outputs.
func (s *scope) subgraph(attrs ops.Attributes, name string, inputs, outputs int) (*Graph, error) {
	pb, ok := attrs[name].(*onnxpb.GraphProto)
	if !ok {
		return nil, fmt.Errorf("%w: the graph %s is missing", ops.ErrAttribute, name)
	}
	if s.depth >= maxSubgraphs {
		return nil, fmt.Errorf("subgraphs are nested more than %d levels deep", maxSubgraphs)
	}
	if n := len(subgraphInputs(pb)); n != inputs || len(pb.GetOutput()) != outputs {
		return nil, fmt.Errorf("%s has %d inputs and %d outputs, the node needs %d and %d",
			name, n, len(pb.GetOutput()), inputs, outputs)
	}
	if err := s.k.count(inputs + outputs); err != nil {
		return nil, err
	}
	sub := &scope{
		k: s.k, g: newGraph(), slots: map[string]int{}, outer: s,
		opsets: s.opsets, call: s.call, prefix: s.prefix, depth: s.depth + 1,
	}
	if err := sub.readSubgraph(pb); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return sub.g, nil
}

// subgraphInputs returns the inputs of a subgraph without those that are initializers: nothing
// can give them another value.
func subgraphInputs(pb *onnxpb.GraphProto) []*onnxpb.ValueInfoProto {
	initial := map[string]bool{}
	for _, t := range pb.GetInitializer() {
		initial[t.GetName()] = true
	}
	for _, t := range pb.GetSparseInitializer() {
		initial[t.GetValues().GetName()] = true
	}
	return slices.DeleteFunc(slices.Clone(pb.GetInput()), func(v *onnxpb.ValueInfoProto) bool { return initial[v.GetName()] })
}

// readSubgraph reads a subgraph into the scope.
func (s *scope) readSubgraph(pb *onnxpb.GraphProto) error {
	for _, in := range subgraphInputs(pb) {
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

// newFrame returns a frame for runs of a subgraph.
func (c *caller) newFrame(g *Graph) *frame {
	f := &frame{p: c.f.p, g: g, options: c.f.options, changedOps: c.f.changedOps, buffers: c.f.buffers}
	f.options.Observe, f.options.Watch = nil, nil
	return f
}

// maxBelow bounds the buffers of subgraphs that a frame keeps for its next run, in bytes. They take at
// most a quarter of the memory limit, too.
const maxBelow = 16 << 20

// enter returns a frame for the step's subgraph: that of the previous run if there is one, so that
// types and buffers are in place.
func (c *caller) enter(g *Graph) *frame {
	w := c.work
	if w == nil { // the caller runs the step in a way of its own
		return c.newFrame(g)
	}
	f := w.subs[g]
	if f == nil || c.f.options.Observe != nil {
		f = c.newFrame(g)
	} else {
		delete(w.subs, g) // a run that fails leaves it behind
		c.f.below -= f.kept()
		f.options, f.changedOps = c.f.options, c.f.changedOps
		f.options.Watch = nil
	}
	first := len(c.step.Inputs)
	subgraphs := c.step.control.graphs()
	for i := len(subgraphs) - 1; i >= 0; i-- {
		first -= len(subgraphs[i].captured)
		if subgraphs[i] == g {
			break
		}
	}
	f.captured = w.consts[first:][:len(g.captured)]
	return f
}

// leave keeps a frame of enter for the next run, unless the buffers are large.
func (c *caller) leave(f *frame) {
	f.inputs = nil // they belong to the step
	f.clean()
	if c.work == nil || c.f.options.Observe != nil || c.f.below+f.kept() > min(maxBelow, c.f.p.MemoryLimit/4) {
		return
	}
	if c.work.subs == nil {
		c.work.subs = map[*Graph]*frame{}
	}
	c.work.subs[f.g] = f
	c.f.below += f.kept()
}

// kept returns the memory of the buffers of a frame and of the frames below it.
func (f *frame) kept() int64 { return f.planned + f.below }

// fits returns an error if the limit does not allow the given memory in addition to the
// memory of the enclosing graphs.
func (c *caller) fits(more int64) error { return c.f.p.fits(c.base + more) }

// truth returns the value of a condition.
func truth(t *ops.Tensor) (bool, error) {
	v, ok := ops.Data[bool](t)
	if !ok || len(v) != 1 {
		return false, fmt.Errorf("%w: the condition is %v, want one bool", ops.ErrShape, ops.TypeOf(t))
	}
	return v[0], nil
}

// checkOne returns an error unless an input, described by name, can hold one element of the
// given type.
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
