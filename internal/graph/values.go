package graph

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// readInitializers turns the initializers of a graph into constants.
func (s *scope) readInitializers(g *onnxpb.GraphProto) error {
	if len(g.GetSparseInitializer()) > 0 {
		if err := s.k.tolerate(Problem{Err: errors.New("sparse initializers are not supported: store them as dense tensors")}); err != nil {
			return err
		}
	}
	if err := s.k.count(len(g.GetInitializer())); err != nil {
		return err
	}
	for _, p := range g.GetInitializer() {
		t, err := s.k.tensorOf(p)
		if err := s.k.tolerate(Problem{Err: err}); err != nil {
			return err
		}
		slot, err := s.define(p.GetName())
		if err != nil {
			return fmt.Errorf("initializers: %w", err)
		}
		if t == nil {
			continue
		}
		s.g.Consts[slot] = t
		if t.DType() == ops.Float32 || t.DType() == ops.Float64 {
			s.k.p.weights[t] = true
		}
	}
	return nil
}

// readInputs reads the inputs of the model. An input that is also an initializer stays a
// constant.
func (s *scope) readInputs(g *onnxpb.GraphProto) error {
	p, defaults := s.k.p, 0
	for _, in := range g.GetInput() {
		if slot, ok := s.slots[in.GetName()]; ok && s.g.Consts[slot] != nil {
			defaults++
			continue
		}
		t, err := typeOf(in)
		if err == nil && t.DType == 0 {
			err = errors.New("the type is not declared: only tensors with declared element type and rank are supported")
		}
		if err != nil {
			if err := s.k.tolerate(Problem{Err: fmt.Errorf("input %q: %w", in.GetName(), err)}); err != nil {
				return err
			}
			t = ops.Type{}
		}
		slot, err := s.define(in.GetName())
		if err != nil {
			return fmt.Errorf("inputs: %w", err)
		}
		p.Inputs = append(p.Inputs, ValueInfo{in.GetName(), t})
		p.inputSlots[in.GetName()] = slot
		s.g.Inputs = append(s.g.Inputs, slot)
	}
	// Files of IR version 3 had to list all initializers as inputs.
	if defaults > 0 && s.k.irVersion > 3 {
		p.warn("%d inputs of the graph have initializers as default values and are treated as constants: a run cannot change them", defaults)
	}
	return nil
}

// readOutputs finds the values that are outputs of a graph.
func (s *scope) readOutputs(g *onnxpb.GraphProto) error {
	if len(g.GetOutput()) == 0 {
		return errors.New("the graph has no output")
	}
	named := map[string]bool{}
	for _, out := range g.GetOutput() {
		slot, ok := s.lookup(out.GetName())
		if !ok || slot < 0 {
			if err := s.k.tolerate(Problem{Err: fmt.Errorf("output %q is not computed: no input, initializer or node output has this name", out.GetName())}); err != nil {
				return err
			}
			slot = s.g.add("")
		}
		if s.outer == nil {
			if named[out.GetName()] {
				return fmt.Errorf("two outputs are named %q", out.GetName())
			}
			named[out.GetName()] = true
			s.k.p.Outputs = append(s.k.p.Outputs, ValueInfo{Name: out.GetName()})
		}
		s.g.Outputs = append(s.g.Outputs, slot)
	}
	return nil
}
