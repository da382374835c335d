package graph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
)

// Run computes the outputs for the given inputs, both by name.
func (f *Frame) Run(ctx context.Context, inputs map[string]*ops.Tensor) (map[string]*ops.Tensor, error) {
	p := f.p
	if ctx == nil {
		return nil, errors.New("the context is nil")
	}
	if err := p.CheckInputs(inputs); err != nil {
		return nil, err
	}
	if err := p.checkOptions(&f.Options, inputs); err != nil {
		return nil, err
	}
	var err error
	if f.changedOps, err = p.changedOps(f.Options.Dynamics, f.Options.Layers); err != nil {
		return nil, err
	}
	f.inputs = f.inputs[:0]
	for _, in := range p.Inputs {
		f.inputs = append(f.inputs, inputs[in.Name])
	}
	if err := f.runSteps(ctx, 0); err != nil {
		return nil, err
	}
	out := make(map[string]*ops.Tensor, len(p.Outputs))
	for i, slot := range f.g.Outputs {
		t := f.values[slot]
		if p.shared[i] {
			t = t.Clone()
		}
		out[p.Outputs[i].Name] = t
	}
	f.release()
	return out, nil
}

// run runs a subgraph; base is the memory in use around it.
func (f *Frame) run(ctx context.Context, inputs []*ops.Tensor, base int64) ([]*ops.Tensor, error) {
	f.inputs = inputs
	if err := f.runSteps(ctx, base); err != nil {
		return nil, err
	}
	out := make([]*ops.Tensor, len(f.g.Outputs))
	for i, slot := range f.g.Outputs {
		out[i] = f.values[slot]
	}
	return out, nil
}

func (f *Frame) runSteps(ctx context.Context, base int64) error {
	if err := f.arrange(base); err != nil {
		return err
	}
	for i := range f.work {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, w := &f.g.Steps[i], &f.work[i]
		if err := f.runStep(ctx, s, w); err != nil {
			if errors.Is(err, ErrStopped) {
				return ErrStopped
			}
			return StepError(ctx, s, err)
		}
	}
	return nil
}

// StepError names the step that an error comes from, unless the context is done.
func StepError(ctx context.Context, s *Step, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &NodeError{Node: s.Name, Operator: s.Operator, Err: err}
}

func (f *Frame) runStep(ctx context.Context, s *Step, w *work) error {
	if w.known {
		return nil
	}
	for j, slot := range s.Inputs {
		if slot >= 0 {
			w.in[j] = f.values[slot]
		}
	}
	if s.control != nil {
		if err := f.runControl(ctx, s, w); err != nil {
			return err
		}
	} else if err := f.runOp(ctx, s, w); err != nil {
		return err
	}
	for j, slot := range s.Outputs {
		if err := f.store(w, slot, w.out[j]); err != nil {
			return err
		}
	}
	for _, slot := range s.free {
		if f.changing[slot] {
			f.budget.release(f.held[slot])
			f.held[slot] = 0
			f.values[slot] = nil
		}
	}
	return nil
}

// store makes a tensor the value of a slot.
func (f *Frame) store(w *work, slot int, t *ops.Tensor) error {
	f.values[slot] = t
	if w.types == nil && !slices.Contains(w.in, t) { // or else it is counted already
		f.held[slot] = size(t)
		if err := f.budget.take(f.held[slot], ops.TypeOf(t)); err != nil {
			return err
		}
	}
	if f.Options.Observe != nil && f.g.Names[slot] != "" {
		f.Options.Observe(f.g.Names[slot], t)
	}
	return nil
}

func (f *Frame) runControl(ctx context.Context, s *Step, w *work) error {
	out, err := s.control.run(&caller{ctx: ctx, f: f, base: f.budget.base + f.budget.used}, w.in)
	if err != nil {
		return err
	}
	for j, t := range out {
		if w.out[j], err = f.own(s, w, t); err != nil {
			return err
		}
	}
	return nil
}

// own returns an output of a control in memory of its own. A subgraph may return a
// value of the enclosing graph unchanged, whose buffer other values get next.
func (f *Frame) own(s *Step, w *work, t *ops.Tensor) (*ops.Tensor, error) {
	for j, slot := range s.Inputs {
		if slot < 0 || w.in[j] != t || f.changing[slot] || f.g.Consts[slot] != nil {
			continue
		}
		if err := f.p.fits(f.budget.base + f.budget.used + size(t)); err != nil {
			return nil, err
		}
		return t.Clone(), nil
	}
	return t, nil
}

func (f *Frame) runOp(ctx context.Context, s *Step, w *work) error {
	if err := f.makeOutputs(s, w); err != nil {
		return err
	}
	op, o := s.Op, &f.Options
	if changed := f.changedOps[s]; changed != nil {
		op = changed
	}
	w.ctx.Context, w.ctx.Pool = ctx, f.p.Pool
	w.ctx.Seed, w.ctx.FirstImage, w.ctx.Seeds, w.ctx.Images = o.Seed, o.FirstImage, o.Seeds, o.Images
	w.ctx.Spikes, w.ctx.Uniforms = o.Spikes[s.Name], o.Uniforms[s.Name]
	if u := w.ctx.Uniforms; u != nil && s.Operator != SbSOperator {
		return inject(w.out[0], u)
	}
	if err := op.Run(&w.ctx, w.in, w.out); err != nil {
		return err
	}
	for i, t := range w.out {
		if t == nil {
			return fmt.Errorf("the operator did not compute output %d", i)
		}
	}
	if o.Watch != nil && s.Operator == SbSOperator {
		return f.watch(s, op, w)
	}
	return nil
}

// inject makes the uniform numbers of the caller the output of a node that draws such
// numbers.
func inject(out, uniforms *ops.Tensor) error {
	if out == nil || out.Float32s() == nil || uniforms.DType() != ops.Float32 || !slices.Equal(out.Shape(), uniforms.Shape()) {
		return fmt.Errorf("%w: the uniforms are %v, want %v", ErrInput, ops.TypeOf(uniforms), out)
	}
	for i, u := range uniforms.Float32s() {
		if !(u >= 0 && u < 1) {
			return fmt.Errorf("%w: uniform number %d is %v, want a number in [0, 1)", ErrInput, i, u)
		}
	}
	copy(out.Float32s(), uniforms.Float32s())
	return nil
}

// makeOutputs provides the tensors that a step writes to.
func (f *Frame) makeOutputs(s *Step, w *work) error {
	types, err := f.outputTypes(s, w)
	if err != nil {
		return err
	}
	made := f.budget
	for i, slot := range s.Outputs {
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
			if err := made.take(Bytes(types[i]), types[i]); err != nil {
				return err
			}
		}
		if w.out[i], err = ops.Zeros(types[i].DType, shape); err != nil {
			return err
		}
	}
	return nil
}

// outputTypes returns the types of the outputs of a step, from the values of its
// inputs if the plan does not have them.
func (f *Frame) outputTypes(s *Step, w *work) ([]ops.Type, error) {
	if w.types != nil {
		return w.types, nil
	}
	w.ctx = ops.Context{} // what it holds may not fit the types any longer
	in := make([]*ops.Input, len(w.in))
	for i, t := range w.in {
		if t != nil {
			in[i] = &ops.Input{Type: ops.TypeOf(t), Const: t}
		}
	}
	types, err := s.Op.Infer(in)
	if err == nil && len(types) != len(s.Outputs) {
		err = fmt.Errorf("%w: %d types for %d outputs", ops.ErrShape, len(types), len(s.Outputs))
	}
	return types, err
}

// CheckInputs compares the inputs with those of the model.
func (p *Program) CheckInputs(inputs map[string]*ops.Tensor) error {
	for _, in := range p.Inputs {
		t := inputs[in.Name]
		if t == nil {
			return fmt.Errorf("%w: input %q is missing: want %v", ErrInput, in.Name, in.Type)
		}
		if err := in.Check(t); err != nil {
			return fmt.Errorf("%w: input %q: %w", ErrInput, in.Name, err)
		}
	}
	if len(inputs) == len(p.Inputs) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if _, ok := p.inputSlots[name]; !ok {
			return fmt.Errorf("%w: the model has no input %q; its inputs are %s", ErrInput, name, quoted(p.Inputs))
		}
	}
	return nil
}

// checkOptions refuses options that do not fit the model: they would silently have no
// effect.
func (p *Program) checkOptions(o *RunOptions, inputs map[string]*ops.Tensor) error {
	for what, list := range map[string][]uint64{"seeds": o.Seeds, "image numbers": o.Images} {
		if list == nil {
			continue
		}
		if len(p.Inputs) == 0 || len(p.Inputs[0].Shape) == 0 {
			return fmt.Errorf("%w: %s are given, but the model has no batch of images", ErrInput, what)
		}
		if n := inputs[p.Inputs[0].Name].Shape()[0]; n != len(list) {
			return fmt.Errorf("%w: %d %s for a batch of %d", ErrInput, len(list), what, n)
		}
	}
	if err := p.checkWatch(o.Watch); err != nil {
		return err
	}
	return p.CheckInjected(o.Spikes, o.Uniforms)
}

// CheckInjected refuses spikes and uniforms for nodes that draw none.
func (p *Program) CheckInjected(spikes, uniforms map[string]*ops.Tensor) error {
	if len(spikes)+len(uniforms) == 0 {
		return nil
	}
	for _, given := range []map[string]*ops.Tensor{spikes, uniforms} {
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if !p.injectable[name] {
				return fmt.Errorf("%w: spikes or uniforms are given for node %q, but the model has no SbS node of this name, nor another node that draws uniform numbers", ErrInput, name)
			}
			if given[name] == nil {
				return fmt.Errorf("%w: the spikes or uniforms for node %q are nil", ErrInput, name)
			}
		}
	}
	return nil
}

func quoted(v []ValueInfo) string {
	if len(v) == 0 {
		return "none"
	}
	s := make([]string, len(v))
	for i, x := range v {
		s[i] = fmt.Sprintf("%q", x.Name)
	}
	return strings.Join(s, ", ")
}
