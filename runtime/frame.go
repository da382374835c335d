package runtime

import (
	"context"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// frame is what one run of a graph needs beside the graph. It serves one run after
// the other: while the inputs keep their shapes, all buffers stay.
type frame struct {
	m      *Model
	g      *graph
	config runConfig

	inputs   []*ops.Tensor // of the run
	shapes   [][]int       // of the inputs
	dtypes   []ops.DType   // of the inputs
	values   []*ops.Tensor // by slot
	changing []bool        // by slot: values that come and go with each run
	bytes    []int64       // by slot: of values in memory
	work     []work        // of each step
	planned  int64         // bytes of the buffers, and of the outputs whose types do not follow from values
	memory   int64         // bytes of the other values in use
	base     int64         // bytes of what is in use around a subgraph
}

// work is the state of a step.
type work struct {
	ctx     ops.Context
	in, out []*ops.Tensor
	types   []ops.Type // of the outputs, nil when they follow from values
	known   bool       // the outputs have their values before the run
}

// arrange makes the frame ready for its inputs.
func (f *frame) arrange() error {
	same := len(f.shapes) == len(f.inputs) && f.config.observe == nil && f.values != nil
	for i := 0; same && i < len(f.inputs); i++ {
		same = f.dtypes[i] == f.inputs[i].DType() && slices.Equal(f.shapes[i], f.inputs[i].Shape())
	}
	if !same {
		if err := f.build(); err != nil {
			return err
		}
	} else if f.base+f.planned > f.m.memoryLimit {
		return fmt.Errorf("%w: the values of the run would take %d bytes, the limit is %d (see MemoryLimit)", ErrMemory, f.base+f.planned, f.m.memoryLimit)
	}
	f.memory = 0
	clear(f.bytes)
	for i, slot := range f.g.inputs {
		f.values[slot] = f.inputs[i]
	}
	return nil
}

// build infers all types that do not depend on values, finds buffers for their
// values and checks that these are within the limit of memory. Values whose uses do
// not overlap share one, unless they are to be observed.
func (f *frame) build() error {
	g := f.g
	*f = frame{
		m: f.m, g: g, config: f.config, inputs: f.inputs, base: f.base,
		values: make([]*ops.Tensor, len(g.names)), changing: make([]bool, len(g.names)),
		bytes: make([]int64, len(g.names)), work: make([]work, len(g.steps)),
	}
	types := make([]*ops.Input, len(g.names))
	for slot, t := range g.consts {
		f.values[slot] = t
		types[slot] = &ops.Input{Type: ops.TypeOf(t), Const: t}
	}
	for i, slot := range g.inputs {
		t := f.inputs[i]
		f.shapes = append(f.shapes, slices.Clone(t.Shape()))
		f.dtypes = append(f.dtypes, t.DType())
		f.changing[slot] = true
		types[slot] = &ops.Input{Type: ops.TypeOf(t)}
	}
	for _, slot := range g.outputs {
		f.changing[slot] = f.changing[slot] || g.consts[slot] == nil
	}
	p := planner{
		limit: f.m.memoryLimit, base: f.base, share: f.config.observe == nil,
		values: make([]planned, len(g.names)),
	}
	for i := range g.steps {
		s, w := &g.steps[i], &f.work[i]
		w.in, w.out = make([]*ops.Tensor, len(s.inputs)), make([]*ops.Tensor, len(s.outputs))
		if err := p.step(f, s, w, types); err != nil {
			return &NodeError{Node: s.name, Operator: s.operator, Err: err}
		}
	}
	f.planned = p.taken
	return p.assign(f)
}

// planner finds buffers.
type planner struct {
	limit, base int64
	taken       int64 // bytes of the buffers, of outputs and of what is folded
	share       bool
	buffers     []buffer
	free        []int     // the buffers that nobody has
	values      []planned // by slot
}

// buffer is what values take turns in.
type buffer struct {
	dtype ops.DType
	len   int
}

// planned is a value in a buffer, if it has a shape.
type planned struct {
	buffer int
	shape  []int
}

func (p *planner) step(f *frame, s *step, w *work, types []*ops.Input) error {
	in, inferred, err := infer(s, types)
	if err != nil {
		return err
	}
	w.types = inferred
	if err := p.fold(f, s, w, in, types); err != nil {
		return err
	}
	for i, slot := range s.outputs {
		if w.known {
			continue
		}
		if w.types == nil {
			f.changing[slot] = true
			continue
		}
		t := w.types[i]
		types[slot] = &ops.Input{Type: t}
		if f.changing[slot] {
			p.taken += bytes(t)
		} else {
			shape, _ := t.Sizes()
			p.values[slot] = planned{p.take(t.DType, shape), shape}
		}
		if err := withinLimit(t, p.base+p.taken, p.limit); err != nil {
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

// maxFoldedNow bounds the bytes of what is computed when buffers are planned: it is
// for shapes, and kept.
const maxFoldedNow = 1 << 16

// fold computes what follows from the shapes of the inputs, once for all runs with
// them.
func (p *planner) fold(f *frame, s *step, w *work, in []*ops.Input, types []*ops.Input) error {
	op, ok := s.op.(ops.Folder)
	if !ok || w.types == nil || f.config.observe != nil {
		return nil
	}
	var total int64
	for i, slot := range s.outputs {
		if total += bytes(w.types[i]); f.changing[slot] || total > maxFoldedNow {
			return nil
		}
	}
	if p.taken+total+p.base > p.limit {
		return nil
	}
	out, err := op.Fold(&ops.Context{Context: context.Background(), Pool: f.m.pool}, in)
	if err != nil || len(out) != len(s.outputs) {
		return err
	}
	for i, slot := range s.outputs {
		f.values[slot] = out[i]
		types[slot] = &ops.Input{Type: ops.TypeOf(out[i]), Const: out[i]}
	}
	p.taken += total
	w.known = true
	return nil
}

// infer returns what is known of a step's inputs, and the types of its outputs, nil
// when they follow from values.
func infer(s *step, types []*ops.Input) ([]*ops.Input, []ops.Type, error) {
	if s.control != nil {
		return nil, nil, nil
	}
	in := make([]*ops.Input, len(s.inputs))
	for i, slot := range s.inputs {
		if slot < 0 {
			continue
		}
		if in[i] = types[slot]; in[i] == nil {
			return nil, nil, nil
		}
	}
	outputs, err := s.op.Infer(in)
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

// maxRoom is how many times as large as a value, or as smallLen elements, its buffer
// may be: a small value that stays must not keep a large buffer from others.
const (
	maxRoom  = 4
	smallLen = 1 << 12
)

// take returns a free buffer for a value: the smallest that is large enough, or
// else the largest of those that are too small, which grows, or else a new one.
func (p *planner) take(dtype ops.DType, shape []int) int {
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
	p.taken += int64(max(0, n-b.len)) * int64(dtype.Size())
	b.len = max(b.len, n)
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

// outputs provides what a step writes to.
func (f *frame) outputs(s *step, w *work) error {
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
		if len(types) != len(s.outputs) {
			return fmt.Errorf("%w: %d types for %d outputs", ops.ErrShape, len(types), len(s.outputs))
		}
	}
	var made int64
	for i, slot := range s.outputs {
		if !f.changing[slot] {
			w.out[i] = f.values[slot]
			continue
		}
		w.out[i] = nil
		shape, known := types[i].Sizes()
		if !known || types[i].DType == 0 {
			continue
		}
		if w.types == nil {
			made += bytes(types[i])
			if err := withinLimit(types[i], f.base+f.planned+f.memory+made, f.m.memoryLimit); err != nil {
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
	clear(f.inputs)
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
