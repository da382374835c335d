package runtime

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// frame is what one Run needs beside the Model. It serves one Run after the
// other: while the inputs keep their shapes, all buffers stay.
type frame struct {
	config runConfig

	shapes   [][]int       // of the inputs
	values   []*ops.Tensor // by slot
	changing []bool        // by slot: values that come and go with each Run
	work     []work        // of each step
	memory   int64         // bytes of the values in use whose types follow from values
}

// work is the state of a step.
type work struct {
	ctx     ops.Context
	in, out []*ops.Tensor
	types   []ops.Type // of the outputs, nil when they follow from values
	live    int64      // bytes of the values in use whose types do not follow from values
}

// arrange makes the frame ready for the inputs.
func (m *Model) arrange(f *frame, inputs map[string]*Tensor) error {
	same := len(f.shapes) == len(m.inputs) && f.config.observe == nil && len(f.work) > 0
	for i := 0; same && i < len(m.inputs); i++ {
		same = slices.Equal(f.shapes[i], inputs[m.inputs[i].Name].Shape())
	}
	if !same {
		if err := m.build(f, inputs); err != nil {
			return err
		}
	}
	f.memory = 0
	for _, in := range m.inputs {
		f.values[m.inputSlots[in.Name]] = inputs[in.Name]
	}
	return nil
}

// build infers all types that do not depend on values, checks that their values
// are within the limit of memory, and finds buffers for them. Values whose uses do
// not overlap share one, unless they are to be observed.
func (m *Model) build(f *frame, inputs map[string]*Tensor) error {
	*f = frame{config: f.config, values: make([]*ops.Tensor, len(m.names)), changing: make([]bool, len(m.names)), work: make([]work, len(m.steps))}
	types := make([]*ops.Input, len(m.names))
	for slot, t := range m.consts {
		f.values[slot] = t
		types[slot] = &ops.Input{Type: ops.TypeOf(t), Const: t}
	}
	for _, in := range m.inputs {
		slot, t := m.inputSlots[in.Name], inputs[in.Name]
		f.shapes = append(f.shapes, slices.Clone(t.Shape()))
		f.changing[slot] = true
		types[slot] = &ops.Input{Type: ops.TypeOf(t)}
	}
	for _, slot := range m.outputSlots {
		f.changing[slot] = f.changing[slot] || m.consts[slot] == nil
	}
	p := planner{limit: m.memoryLimit, share: f.config.observe == nil}
	for i := range m.steps {
		s, w := &m.steps[i], &f.work[i]
		w.in, w.out = make([]*ops.Tensor, len(s.inputs)), make([]*ops.Tensor, len(s.outputs))
		if err := p.step(f, s, w, types); err != nil {
			return &NodeError{Node: s.name, Operator: s.operator, Err: err}
		}
	}
	return p.assign(f)
}

// planner finds buffers.
type planner struct {
	limit, live int64
	share       bool
	buffers     []buffer
	values      []planned
}

// buffer is what values take turns in.
type buffer struct {
	dtype ops.DType
	len   int
	free  bool
}

// planned is a value in a buffer.
type planned struct {
	slot, buffer int
	shape        []int
}

func (p *planner) step(f *frame, s *step, w *work, types []*ops.Input) error {
	var err error
	if w.types, err = infer(s, types); err != nil {
		return err
	}
	for i, slot := range s.outputs {
		if w.types == nil {
			f.changing[slot] = true
			continue
		}
		t := w.types[i]
		types[slot] = &ops.Input{Type: t}
		p.live += bytes(t)
		if err := withinLimit(t, p.live, p.limit); err != nil {
			return err
		}
		if !f.changing[slot] {
			shape, _ := t.Sizes()
			p.values = append(p.values, planned{slot, p.take(t.DType, shape), shape})
		}
	}
	w.live = p.live
	for _, slot := range s.free {
		i := slices.IndexFunc(p.values, func(v planned) bool { return v.slot == slot })
		if i >= 0 {
			p.buffers[p.values[i].buffer].free = true
			p.live -= bytes(types[slot].Type)
		}
	}
	return nil
}

// infer returns the types of a step's outputs, nil when they follow from values.
func infer(s *step, types []*ops.Input) ([]ops.Type, error) {
	in := make([]*ops.Input, len(s.inputs))
	for i, slot := range s.inputs {
		if slot < 0 {
			continue
		}
		if in[i] = types[slot]; in[i] == nil {
			return nil, nil
		}
	}
	outputs, err := s.op.Infer(in)
	if err != nil {
		return nil, err
	}
	for _, t := range outputs {
		if _, known := t.Sizes(); !known {
			return nil, nil
		}
	}
	return outputs, nil
}

// take returns a free buffer for a value: the smallest that is large enough, or
// else the largest, which grows.
func (p *planner) take(dtype ops.DType, shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	best := -1
	for i, b := range p.buffers {
		if !b.free || b.dtype != dtype {
			continue
		}
		fits := best >= 0 && p.buffers[best].len >= n
		switch {
		case best < 0, b.len >= n && (!fits || b.len < p.buffers[best].len), !fits && b.len > p.buffers[best].len:
			best = i
		}
	}
	if best < 0 || !p.share {
		p.buffers = append(p.buffers, buffer{dtype: dtype, len: n})
		return len(p.buffers) - 1
	}
	b := &p.buffers[best]
	b.len, b.free = max(b.len, n), false
	return best
}

// assign makes the buffers and gives the values their part.
func (p *planner) assign(f *frame) error {
	made := make([]*ops.Tensor, len(p.buffers))
	for i, b := range p.buffers {
		var err error
		if made[i], err = ops.Zeros(b.dtype, []int{b.len}); err != nil {
			return err
		}
	}
	for _, v := range p.values {
		var err error
		if f.values[v.slot], err = made[v.buffer].First(v.shape); err != nil {
			return err
		}
	}
	return nil
}

// outputs provides what a step writes to.
func (f *frame) outputs(m *Model, s *step, w *work) error {
	types := w.types
	if types == nil {
		w.ctx = ops.Context{}
		in := make([]*ops.Input, len(w.in))
		for i, t := range w.in {
			if t != nil {
				in[i] = &ops.Input{Type: ops.TypeOf(t), Const: t}
			}
		}
		var err error
		if types, err = s.op.Infer(in); err != nil {
			return err
		}
	}
	for i, slot := range s.outputs {
		if !f.changing[slot] {
			w.out[i] = f.values[slot]
			continue
		}
		w.out[i] = nil
		shape, known := types[i].Sizes()
		if !known {
			continue
		}
		if w.types == nil {
			if err := withinLimit(types[i], w.live+f.memory+bytes(types[i]), m.memoryLimit); err != nil {
				return err
			}
		}
		var err error
		if w.out[i], err = ops.Zeros(types[i].DType, shape); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what is the caller's.
func (f *frame) forget() {
	f.config = runConfig{}
	for slot, changing := range f.changing {
		if changing {
			f.values[slot] = nil
		}
	}
	for i := range f.work {
		w := &f.work[i]
		clear(w.in)
		clear(w.out)
		w.ctx.Context, w.ctx.Spikes, w.ctx.Uniforms = nil, nil, nil
	}
}

// bytes returns the size of a value of known shape.
func bytes(t ops.Type) int64 {
	n := int64(t.DType.Size())
	for _, d := range t.Shape {
		n *= int64(d.Size) // the operator bounds the product
	}
	return n
}

func withinLimit(t ops.Type, live, limit int64) error {
	if live <= limit {
		return nil
	}
	return fmt.Errorf("%w: with its output %v the values of the run would take %d bytes, the limit is %d (see MemoryLimit; smaller batches take less)",
		ErrMemory, t, live, limit)
}
