package graph

import (
	"context"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// arrange prepares the frame for a run with f.inputs. base is the memory that the
// enclosing graphs use.
func (f *frame) arrange(base int64) error {
	f.budget.limit, f.budget.base = f.p.MemoryLimit, base
	same := len(f.types) == len(f.inputs) && f.options.Observe == nil && f.values != nil
	for i := 0; same && i < len(f.inputs); i++ {
		same = sameType(f.types[i], f.inputs[i]) && f.defaults[i] == f.isDefault(i) && f.fixed[i] == f.constantInput(i)
	}
	if !same {
		if err := f.build(); err != nil {
			return err
		}
	} else if err := f.p.fits(base + f.planned); err != nil {
		return err
	}
	f.budget.used = f.planned
	f.aliased = false
	clear(f.held)
	for i, slot := range f.g.Inputs {
		f.values[slot] = f.inputs[i]
	}
	return nil
}

// constantInput returns the value of an input that is a constant, and nil for other inputs.
func (f *frame) constantInput(input int) *ops.Tensor {
	i := input - (len(f.g.Inputs) - len(f.captured))
	if i >= 0 && f.captured[i] || f.isDefault(input) {
		return f.inputs[input]
	}
	return nil
}

// sameType reports whether a value has exactly the type t, of which all sizes are known.
func sameType(t ops.Type, x *ops.Tensor) bool {
	if t.DType.IsContainer() {
		return t.SameElements(ops.TypeOf(x))
	}
	return t.DType == x.DType() && slices.EqualFunc(t.Shape, x.Shape(), func(d ops.Dim, size int) bool { return d.Size == size })
}

// build rebuilds the frame for the types of its inputs. It infers all types that do not
// depend on input values, and allocates buffers for the values of these types, within the
// memory limit. Values that are not in use at the same time share buffers, except in a run
// with Observe.
func (f *frame) build() error {
	g := f.g
	*f = frame{
		p: f.p, g: g, options: f.options, changedOps: f.changedOps, inputs: f.inputs, budget: f.budget, captured: f.captured, buffers: f.buffers,
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
		f.types = append(f.types, ops.TypeOf(t))
		f.defaults = append(f.defaults, f.isDefault(i))
		f.fixed = append(f.fixed, f.constantInput(i))
		f.changing[slot] = true
		types[slot] = &ops.Input{Type: f.types[i], Const: f.fixed[i]}
	}
	for _, slot := range g.Outputs {
		f.changing[slot] = f.changing[slot] || g.Consts[slot] == nil
	}
	p := planner{
		budget: budget{limit: f.budget.limit, base: f.budget.base}, share: f.options.Observe == nil,
		values: make([]placement, len(g.Names)), constant: make([]bool, len(g.Names)),
	}
	for slot := range p.constant {
		p.constant[slot] = types[slot] != nil && types[slot].Const != nil && (f.p.fixed || !f.p.IsWeight(types[slot].Const))
	}
	for i := range g.Steps {
		s, w := &g.Steps[i], &f.work[i]
		w.in, w.out = make([]*ops.Tensor, len(s.Inputs)), make([]*ops.Tensor, len(s.Outputs))
		for _, slot := range s.Inputs {
			w.consts = append(w.consts, slot >= 0 && p.constant[slot])
		}
		if err := p.step(f, s, w, types); err != nil {
			return s.named(err)
		}
	}
	f.planned = p.budget.used
	return p.assign(f)
}

// planner assigns buffers to values, step by step in the order of execution.
type planner struct {
	budget  budget // of the buffers, of outputs of known size and of folded values
	share   bool   // whether values may share buffers
	buffers []buffer
	free    []int       // indices of buffers that no value uses after the current step
	values  []placement // by slot

	constant []bool // by slot: whether all runs of the frame have the same value
	lasting  int64  // bytes of the values that steps compute in the first run for all runs
}

// buffer is memory for values of one element type, one after the other.
type buffer struct {
	dtype ops.DType
	len   int // in elements
}

// placement is the place of a value. A value without a buffer has no shape here.
type placement struct {
	buffer int // index in planner.buffers
	shape  []int
}

// step plans the outputs of a step, and adds their types to types.
func (p *planner) step(f *frame, s *Step, w *work, types []*ops.Input) error {
	in, inferred, err := InferStep(s, types)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(inferred, func(t ops.Type) bool { return t.DType == ops.String }) {
		w.types = inferred
	}
	if err := p.fold(f, s, w, in, types); err != nil {
		return err
	}
	w.lasting = p.lasts(f, s, w)
	for i, slot := range s.Outputs {
		if w.known {
			p.constant[slot] = true
			continue
		}
		if w.types == nil {
			f.changing[slot] = true
			if inferred != nil { // the memory of strings is known after the step only
				types[slot] = &ops.Input{Type: inferred[i]}
			}
			continue
		}
		t := w.types[i]
		types[slot] = &ops.Input{Type: t}
		bytes := Bytes(t)
		switch shape, _ := t.Sizes(); {
		case w.lasting:
			p.constant[slot] = true
			p.values[slot] = placement{len(p.buffers), shape}
			p.buffers = append(p.buffers, buffer{t.DType, numElements(shape)})
			p.lasting += bytes
		case !f.changing[slot]:
			p.values[slot].shape = shape
			p.values[slot].buffer, bytes = p.takeBuffer(t.DType, shape)
		}
		if err := p.budget.take(bytes, t); err != nil {
			return err
		}
	}
	for _, slot := range s.free {
		if p.values[slot].shape != nil && p.share && !p.constant[slot] {
			p.free = append(p.free, p.values[slot].buffer)
		}
	}
	return nil
}

// maxLasting bounds the values that a frame keeps because they follow from constants, in bytes. They
// take at most a quarter of the memory limit, too.
const maxLasting = 256 << 20

// lasts reports whether the outputs of a step follow from constants, such as weights in another
// shape or element type, so that its first run computes them for all runs.
func (p *planner) lasts(f *frame, s *Step, w *work) bool {
	op, ok := s.Op.(ops.Pure)
	if !ok || !p.share || w.types == nil || w.known || !op.Pure() || s.injectable {
		return false
	}
	total := p.lasting
	for i, slot := range s.Outputs {
		if total += Bytes(w.types[i]); f.changing[slot] || w.types[i].DType.IsContainer() || total > min(maxLasting, p.budget.limit/4) {
			return false
		}
	}
	for i, slot := range s.Inputs {
		if slot >= 0 && !w.consts[i] {
			return false
		}
	}
	return true
}

// maxFoldedNow bounds the outputs of a step that are computed while planning, in bytes. A
// frame keeps them; typically they are shapes.
const maxFoldedNow = 1 << 16

// fold computes the outputs of a step that follow from the shapes of the inputs of the
// graph. All runs with these shapes use them.
func (p *planner) fold(f *frame, s *Step, w *work, in []*ops.Input, types []*ops.Input) error {
	op, ok := s.Op.(ops.Folder)
	if !ok || w.types == nil || f.options.Observe != nil {
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

// InferStep returns the inputs and the types of the outputs of a step, given the types of
// all values by slot. It returns nil types if a type or size depends on input values.
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
	outputs, err := s.infer(in)
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

// outputTypes returns the types of the outputs of a step. If the plan does not have them,
// they follow from the values of the inputs.
func (f *frame) outputTypes(s *Step, w *work) ([]ops.Type, error) {
	if w.types != nil {
		return w.types, nil
	}
	same := w.seen != nil
	for i, t := range w.in {
		same = same && (t == nil || sameType(w.seen[i], t))
	}
	if same {
		return w.found, nil
	}
	w.ctx, w.seen, w.found = ops.Context{}, nil, nil // its scratch may be for other types
	in := make([]*ops.Input, len(w.in))
	seen, open := make([]ops.Type, len(w.in)), false
	for i, t := range w.in {
		if t != nil {
			seen[i] = ops.TypeOf(t)
			open = open || openType(seen[i])
			in[i] = &ops.Input{Type: seen[i]}
			if w.consts[i] {
				in[i].Const = t
			}
		}
	}
	// Most types do not depend on the values of the inputs, and are the same in the next run.
	if found, err := s.infer(in); err == nil && !open && !slices.ContainsFunc(found, openType) {
		w.seen, w.found = seen, found
		return found, nil
	}
	for i, t := range w.in {
		if t != nil {
			in[i].Const = t
		}
	}
	return s.infer(in)
}

// openType reports whether a type or a size of it is not known, or follows from the values of strings.
func openType(t ops.Type) bool {
	_, known := t.Sizes()
	return !known || t.DType == 0 || t.DType == ops.String || t.DType.IsContainer()
}

// A value of n elements may use a buffer of up to maxRoom*max(n, smallLen) elements. In a
// larger buffer, a small value that is needed for long would block much memory.
const (
	maxRoom  = 4
	smallLen = 1 << 12
)

// takeBuffer returns the index of a buffer for a value, and the number of bytes by which
// the buffer grows. It prefers the smallest free buffer that is large enough, then the
// largest free buffer, and then a new one.
func (p *planner) takeBuffer(dtype ops.DType, shape []int) (index int, grown int64) {
	n := numElements(shape)
	best, at := -1, 0
	for i, j := range p.free {
		b := p.buffers[j]
		if b.dtype != dtype || b.len > maxRoom*max(n, smallLen) {
			continue
		}
		if best < 0 || betterBuffer(b.len, p.buffers[best].len, n) {
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

// numElements returns the number of elements of a tensor.
func numElements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// betterBuffer reports whether a buffer of length a suits n elements better than one of
// length b.
func betterBuffer(a, b, n int) bool {
	if b >= n {
		return a >= n && a < b
	}
	return a > b
}

// assign allocates the buffers, and sets the values of the frame to their parts of them.
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
