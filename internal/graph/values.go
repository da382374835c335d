package graph

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// readInitializers turns the initializers of a graph into constants. Of several initializers
// with the same name, the last one counts, as in onnxruntime; one without a name has no use.
func (s *scope) readInitializers(g *onnxpb.GraphProto) error {
	if err := s.k.count(len(g.GetInitializer()) + len(g.GetSparseInitializer())); err != nil {
		return err
	}
	last := map[string]int{}
	for i, p := range g.GetInitializer() {
		last[p.GetName()] = i
	}
	repeated := ""
	for i, p := range g.GetInitializer() {
		if p.GetName() == "" || last[p.GetName()] != i {
			if p.GetName() != "" {
				repeated = p.GetName()
			}
			continue
		}
		t, err := s.k.tensorOf(p)
		if err := s.k.tolerate(Problem{Err: err}); err != nil {
			return err
		}
		if t == nil {
			err = s.defineFailed(p.GetName())
		} else {
			err = s.defineConst(p.GetName(), t)
		}
		if err != nil {
			return err
		}
	}
	if repeated != "" {
		s.k.p.warn("several initializers have the same name, such as %q: the last of them is used", repeated)
	}
	for _, p := range g.GetSparseInitializer() {
		t, err := s.k.denseOf(p)
		if err == nil {
			err = s.defineConst(p.GetValues().GetName(), t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// defineConst adds an initializer.
func (s *scope) defineConst(name string, t *ops.Tensor) error {
	slot, err := s.define(name)
	if err != nil {
		return fmt.Errorf("initializers: %w", err)
	}
	s.g.Consts[slot] = t
	if t.DType() == ops.Float32 || t.DType() == ops.Float64 {
		s.k.p.weights[t] = true
	}
	return nil
}

// denseOf returns a sparse tensor as a dense one, whose size the memory limit bounds.
func (k *compiler) denseOf(p *onnxpb.SparseTensorProto) (*ops.Tensor, error) {
	if t := k.tensors[p.GetValues()]; t != nil {
		return t, nil
	}
	shape, data, err := onnx.SparseData(k.Context, p, k.MemoryLimit-k.dense)
	if err != nil {
		return nil, err
	}
	t, err := ops.FromSlice(shape, data)
	if err != nil {
		return nil, err
	}
	k.dense += size(t)
	k.tensors[p.GetValues()] = t
	return t, nil
}

// withDefaults is the first IR version in which an input of the graph that is also an
// initializer can be given in a run. Older files had to list all initializers as inputs.
const withDefaults = 4

// readInputs reads the inputs of the model. An input that is also an initializer is optional.
func (s *scope) readInputs(g *onnxpb.GraphProto) error {
	p := s.k.p
	var optional []int // slots
	for _, in := range g.GetInput() {
		if err := s.readInput(in, &optional); err != nil {
			if err := s.k.tolerate(Problem{Err: fmt.Errorf("input %q: %w", in.GetName(), err)}); err != nil {
				return err
			}
			if err := s.defineFailed(in.GetName()); err != nil {
				return err
			}
		}
	}
	for _, v := range p.Inputs {
		s.g.Inputs = append(s.g.Inputs, p.inputSlots[v.Name])
	}
	s.g.Inputs = append(s.g.Inputs, optional...)
	return nil
}

func (s *scope) readInput(in *onnxpb.ValueInfoProto, optional *[]int) error {
	p, name := s.k.p, in.GetName()
	slot, defined := s.slots[name]
	initial := s.g.Consts[slot]
	if defined && initial != nil && (s.k.irVersion < withDefaults || s.k.FixDefaults) {
		return nil
	}
	t, err := typeOf(in)
	if err != nil {
		return err
	}
	if defined && initial != nil {
		if t, err = s.optionalType(name, t, ops.TypeOf(initial)); err != nil {
			return err
		}
		delete(s.g.Consts, slot)
		p.Optional = append(p.Optional, OptionalInput{ValueInfo{name, t}, initial})
		*optional = append(*optional, slot)
	} else {
		if slot, err = s.define(name); err != nil {
			return err
		}
		p.Inputs = append(p.Inputs, ValueInfo{name, t})
	}
	p.inputSlots[name] = slot
	return nil
}

// optionalType returns the type of an optional input with the given declared type and the type
// of its default value.
func (s *scope) optionalType(name string, declared, initial ops.Type) (ops.Type, error) {
	switch {
	case declared.DType == 0:
		return initial, nil
	case declared.DType != initial.DType:
		return declared, fmt.Errorf("%w: declared as %v, but the initializer of this name is %v", ops.ErrDType, declared, initial)
	case !fits(declared, initial):
		s.k.p.warn("input %q is declared as %v, but the initializer of this name is %v: the declared shape is ignored", name, declared, initial)
		return initial, nil
	}
	return declared, nil
}

// readOutputs finds the values that are outputs of a graph.
func (s *scope) readOutputs(g *onnxpb.GraphProto) error {
	if len(g.GetOutput()) == 0 {
		return errors.New("the graph has no output")
	}
	for _, out := range g.GetOutput() {
		slot, ok := s.lookup(out.GetName())
		if !ok || slot < 0 {
			if err := s.k.tolerate(Problem{Err: fmt.Errorf("output %q is not computed: no input, initializer or node output has this name", out.GetName())}); err != nil {
				return err
			}
			slot = s.g.add("")
		}
		if s.outer == nil {
			s.k.p.Outputs = append(s.k.p.Outputs, ValueInfo{Name: out.GetName()})
		}
		s.g.Outputs = append(s.g.Outputs, slot)
	}
	return nil
}
