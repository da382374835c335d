package graph

import (
	"context"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// arrange prepares the frame for its inputs.
func (f *Frame) arrange(base int64) error {
	f.budget.limit, f.budget.base = f.p.MemoryLimit, base
	same := len(f.shapes) == len(f.inputs) && f.Options.Observe == nil && f.values != nil
	for i := 0; same && i < len(f.inputs); i++ {
		same = f.dtypes[i] == f.inputs[i].DType() && slices.Equal(f.shapes[i], f.inputs[i].Shape())
	}
	if !same {
		if err := f.build(); err != nil {
			return err
		}
	} else if err := f.p.fits(base + f.planned); err != nil {
		return err
	}
	f.budget.used = f.planned
	clear(f.held)
	for i, slot := range f.g.Inputs {
		f.values[slot] = f.inputs[i]
	}
	return nil
}

// build infers all types that do not depend on values, plans buffers for their values
// and checks that the buffers are within the memory limit. Values whose uses do not
// overlap share a buffer, unless they are observed.
func (f *Frame) build() error {
	g := f.g
	*f = Frame{
		Options: f.Options, p: f.p, g: g, changedOps: f.changedOps, inputs: f.inputs, budget: f.budget,
		values: make([]*ops.Tensor, len(g.Names)), changing: make([]bool, len(g.Names)),
		held: make([]int64, len(g.Names)), work: make([]work, len(g.Steps)),
	}
	f.budget.used = 0
	types := make([]*ops.Input, len(g.Names))
	for slot, t := range g.Consts {
		f.values[slot] = t
		types[slot] = &ops.Input{Type: ops.TypeOf(t), Const: t}
	}
	for i, slot := range g.Inputs {
		t := f.inputs[i]
		f.shapes = append(f.shapes, slices.Clone(t.Shape()))
		f.dtypes = append(f.dtypes, t.DType())
		f.changing[slot] = true
		types[slot] = &ops.Input{Type: ops.TypeOf(t)}
	}
	for _, slot := range g.Outputs {
		f.changing[slot] = f.changing[slot] || g.Consts[slot] == nil
	}
	p := planner{
		budget: budget{limit: f.budget.limit, base: f.budget.base}, share: f.Options.Observe == nil,
		values: make([]planned, len(g.Names)),
	}
	for i := range g.Steps {
		s, w := &g.Steps[i], &f.work[i]
		w.in, w.out = make([]*ops.Tensor, len(s.Inputs)), make([]*ops.Tensor, len(s.Outputs))
		if err := p.step(f, s, w, types); err != nil {
			return &NodeError{Node: s.Name, Operator: s.Operator, Err: err}
		}
	}
	f.planned = p.budget.used
	return p.assign(f)
}

// planner assigns buffers to values.
type planner struct {
	budget  budget // of the buffers, the outputs and the folded values
	share   bool
	buffers []buffer
	free    []int     // the buffers that no value uses at the moment
	values  []planned // by slot
}

// buffer is memory that values use one after the other.
type buffer struct {
	dtype ops.DType
	len   int
}

// planned is a value in a buffer, if it has a shape.
type planned struct {
	buffer int
	shape  []int
}

func (p *planner) step(f *Frame, s *Step, w *work, types []*ops.Input) error {
	in, inferred, err := InferStep(s, types)
	if err != nil {
		return err
	}
	w.types = inferred
	if err := p.fold(f, s, w, in, types); err != nil {
		return err
	}
	for i, slot := range s.Outputs {
		if w.known {
			continue
		}
		if w.types == nil {
			f.changing[slot] = true
			continue
		}
		t := w.types[i]
		types[slot] = &ops.Input{Type: t}
		bytes := Bytes(t)
		if !f.changing[slot] {
			shape, _ := t.Sizes()
			p.values[slot].shape = shape
			p.values[slot].buffer, bytes = p.take(t.DType, shape)
		}
		if err := p.budget.take(bytes, t); err != nil {
			return err
		}
	}
	for _, slot := range s.free {
		if p.values[slot].shape != nil && p.share {
			p.free = append(p.free, p.values[slot].buffer)
		}
	}
	return nil
}

// maxFoldedNow bounds the bytes of a step's outputs that are computed while planning.
// They are kept; typically they are shapes.
const maxFoldedNow = 1 << 16

// fold computes the outputs that follow from the shapes of the inputs, once for all
// runs with these shapes.
func (p *planner) fold(f *Frame, s *Step, w *work, in []*ops.Input, types []*ops.Input) error {
	op, ok := s.Op.(ops.Folder)
	if !ok || w.types == nil || f.Options.Observe != nil {
		return nil
	}
	var total int64
	for i, slot := range s.Outputs {
		if total += Bytes(w.types[i]); f.changing[slot] || total > maxFoldedNow {
			return nil
		}
	}
	if !p.budget.fits(total) {
		return nil
	}
	out, err := op.Fold(&ops.Context{Context: context.Background()}, in)
	if err != nil || len(out) != len(s.Outputs) {
		return err
	}
	for i, slot := range s.Outputs {
		f.values[slot] = out[i]
		types[slot] = &ops.Input{Type: ops.TypeOf(out[i]), Const: out[i]}
	}
	p.budget.used += total
	w.known = true
	return nil
}

// InferStep returns the inputs of a step as far as they are known, and the types of
// its outputs, nil if these depend on values.
func InferStep(s *Step, types []*ops.Input) ([]*ops.Input, []ops.Type, error) {
	if s.control != nil {
		return nil, nil, nil
	}
	in := make([]*ops.Input, len(s.Inputs))
	for i, slot := range s.Inputs {
		if slot < 0 {
			continue
		}
		if in[i] = types[slot]; in[i] == nil {
			return nil, nil, nil
		}
	}
	outputs, err := s.Op.Infer(in)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range outputs {
		if _, known := t.Sizes(); !known || t.DType == 0 {
			return nil, nil, nil
		}
	}
	return in, outputs, nil
}

// A buffer may be maxRoom times as large as a value, or as smallLen elements: a small
// value that stays must not keep a large buffer from others.
const (
	maxRoom  = 4
	smallLen = 1 << 12
)

// take returns a free buffer for a value, and by how many bytes it grows. It takes the
// smallest buffer that is large enough, or else enlarges the largest, or else adds one.
func (p *planner) take(dtype ops.DType, shape []int) (index int, grown int64) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	best, at := -1, 0
	for i, j := range p.free {
		b := p.buffers[j]
		if b.dtype != dtype || b.len > maxRoom*max(n, smallLen) {
			continue
		}
		fits := best >= 0 && p.buffers[best].len >= n
		switch {
		case best < 0, b.len >= n && (!fits || b.len < p.buffers[best].len), !fits && b.len > p.buffers[best].len:
			best, at = j, i
		}
	}
	if best < 0 {
		best = len(p.buffers)
		p.buffers = append(p.buffers, buffer{dtype: dtype})
	} else {
		p.free = slices.Delete(p.free, at, at+1)
	}
	b := &p.buffers[best]
	grown = int64(max(0, n-b.len)) * int64(dtype.Size())
	b.len = max(b.len, n)
	return best, grown
}

// assign allocates the buffers and gives the values their parts.
func (p *planner) assign(f *Frame) error {
	made := make([]*ops.Tensor, len(p.buffers))
	for i, b := range p.buffers {
		var err error
		if made[i], err = ops.Zeros(b.dtype, []int{b.len}); err != nil {
			return err
		}
	}
	for slot, v := range p.values {
		if v.shape == nil {
			continue
		}
		var err error
		if f.values[slot], err = made[v.buffer].First(v.shape); err != nil {
			return err
		}
	}
	return nil
}
