package graph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// runWhole computes the outputs for a batch at once.
func (p *Program) runWhole(ctx context.Context, inputs map[string]*ops.Tensor, o RunOptions) (map[string]*ops.Tensor, error) {
	changed, err := p.changedOps(&o.Dynamics)
	if err != nil {
		return nil, err
	}
	f := p.newFrame(o, changed)
	f.inputs = f.inputs[:0]
	for i := range p.Main.Inputs {
		f.inputs = append(f.inputs, p.value(i, inputs))
	}
	if err := f.runSteps(ctx, 0); err != nil {
		return nil, err
	}
	out := make(map[string]*ops.Tensor, len(p.Outputs))
	for i, slot := range f.g.Outputs {
		t := f.values[slot]
		switch {
		case t.DType().IsContainer(): // it may share items with other values
			if err := p.fits(f.budget.used + size(t)); err != nil {
				return nil, err
			}
			t = t.Clone()
		case p.shared[i]:
			t = t.Clone()
		}
		out[p.Outputs[i].Name] = t
	}
	f.release()
	return out, nil
}

// runGraph runs a subgraph. base is the memory that the enclosing graphs use.
func (f *frame) runGraph(ctx context.Context, inputs []*ops.Tensor, base int64) ([]*ops.Tensor, error) {
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

// runSteps runs the steps of the graph. base is the memory that the enclosing graphs use.
func (f *frame) runSteps(ctx context.Context, base int64) error {
	if err := f.arrange(base); err != nil {
		return err
	}
	for i := range f.work {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, w := &f.g.Steps[i], &f.work[i]
		if err := f.measureStep(ctx, s, w); err != nil {
			if errors.Is(err, ErrStopped) {
				return ErrStopped
			}
			return StepError(ctx, s, err)
		}
	}
	return nil
}

// StepError returns err with the name of its step, or the error of the context if the
// context is done.
func StepError(ctx context.Context, s *Step, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return s.named(err)
}

// runStep computes the outputs of a step, and drops the values that no later step needs.
func (f *frame) runStep(ctx context.Context, s *Step, w *work) error {
	if w.known || w.done {
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
		counted := w.types != nil // by the plan
		if !counted && (slices.Contains(w.in, w.out[j]) || slices.Contains(w.out[:j], w.out[j])) {
			counted, f.aliased = true, true
		}
		if err := f.store(slot, w.out[j], counted); err != nil {
			return err
		}
	}
	f.dropFree(s)
	w.done = w.lasting
	return nil
}

// measureStep is runStep and, in a run with a Profiler, measures the step.
func (f *frame) measureStep(ctx context.Context, s *Step, w *work) error {
	if f.options.Profile == nil {
		return f.runStep(ctx, s, w)
	}
	return f.options.Profile.measure(NodeProfile{Node: s.Name, Operator: s.Operator}, func(n *NodeProfile) (bool, error) {
		if w.known || w.done {
			return false, nil
		}
		if err := f.runStep(ctx, s, w); err != nil {
			return false, err
		}
		if len(w.out) > 0 {
			n.Output = ops.TypeOf(w.out[0])
		}
		n.Memory = f.budget.base + f.most
		if s.control == nil {
			n.Memory += f.memory.Reserved()
		}
		return true, nil
	})
}

// dropFree drops the values that no step after s needs.
func (f *frame) dropFree(s *Step) {
	f.most = f.budget.used
	for _, slot := range s.free {
		if f.changing[slot] {
			f.drop(slot)
		}
	}
}

// drop removes the value of a slot. The memory of its tensor is free unless another slot
// holds the same tensor, as after an If that returns a value of the enclosing graph.
func (f *frame) drop(slot int) {
	t, bytes := f.values[slot], f.held[slot]
	f.values[slot], f.held[slot] = nil, 0
	if bytes > 0 && f.aliased {
		if other := slices.Index(f.values, t); other >= 0 {
			f.held[other] = bytes
			return
		}
	}
	f.budget.release(bytes)
}

// store makes a tensor the value of a slot. counted means that the budget includes the
// tensor already.
func (f *frame) store(slot int, t *ops.Tensor, counted bool) error {
	f.values[slot] = t
	if !counted {
		f.held[slot] = size(t)
		if err := f.budget.take(f.held[slot], ops.TypeOf(t)); err != nil {
			return err
		}
	}
	if f.options.Observe != nil && f.g.Names[slot] != "" {
		f.options.Observe(f.g.Names[slot], t)
	}
	return nil
}

// runControl computes the outputs of a step with subgraphs.
func (f *frame) runControl(ctx context.Context, s *Step, w *work) error {
	out, err := s.control.run(&caller{ctx: ctx, f: f, step: s, work: w, base: f.budget.base + f.budget.used}, w.in)
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

// own returns an output of a control step in memory that later steps do not overwrite. A
// subgraph may return a value of the enclosing graph unchanged, and the buffer of that
// value may serve other values later.
func (f *frame) own(s *Step, w *work, t *ops.Tensor) (*ops.Tensor, error) {
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

// runOp computes the outputs of a step with an Op.
func (f *frame) runOp(ctx context.Context, s *Step, w *work) error {
	if err := f.makeOutputs(s, w); err != nil {
		return err
	}
	op, o := s.Op, &f.options
	changed := f.changedOps[s]
	if changed != nil {
		op = changed.Op
	}
	if changed != w.changed { // the scratch belongs to another operator
		w.ctx, w.changed = ops.Context{}, changed
	}
	w.ctx.Context, w.ctx.Pool, w.ctx.Constants = ctx, f.p.Pool, w.consts
	w.ctx.Seed, w.ctx.FirstImage, w.ctx.Seeds, w.ctx.Images = o.Seed, o.FirstImage, o.Seeds, o.Images
	f.memory = ops.Memory{Values: f.budget.base + f.budget.used, Limit: f.budget.limit}
	w.ctx.Memory, w.ctx.Buffers = &f.memory, f.buffers
	w.ctx.Spikes, w.ctx.Uniforms = Injected(o.Spikes, s), Injected(o.Uniforms, s)
	if err := RunOp(&w.ctx, s, op, w.in, w.out); err != nil {
		return err
	}
	if !IsSbS(s.Operator) {
		return nil
	}
	if o.Updates != nil {
		*o.Updates += updates(s, op, w.in)
	}
	if o.Watch != nil {
		return f.watch(s, op, w)
	}
	return nil
}

// updates returns the number of spike updates per image of a step with an SbS operator, or 0 if
// another operator has replaced it. See sbs.Updates.
func updates(s *Step, op ops.Op, in []*ops.Tensor) int64 {
	params, ok := sbs.OpParams(op)
	if !ok {
		return 0
	}
	x := in[0]
	return int64(sbs.Updates(Own(s.Operator), params, x.Shape()[2], x.Shape()[3]))
}

// Injected returns the numbers of the caller for a step: the entry for its name or, for a
// node of this project's domain, the entry for its layer.
func Injected(byName map[string]*ops.Tensor, s *Step) *ops.Tensor {
	if t := byName[s.Name]; t != nil || Own(s.Operator) == "" || len(byName) == 0 {
		return t
	}
	layer, _ := LayerOf(s.Name)
	return byName[layer]
}

// RunOp runs the operator of a step with the spikes or uniforms in ctx, if there are any.
// The output of a standard node that draws random numbers is then the uniforms.
func RunOp(ctx *ops.Context, s *Step, op ops.Op, in, out []*ops.Tensor) error {
	if u := ctx.Uniforms; u != nil && Own(s.Operator) == "" {
		return inject(out[0], u)
	}
	var few [4]*ops.Tensor // more would take memory from the heap
	given := append(few[:0], out...)
	if err := op.Run(ctx, in, out); err != nil {
		if (ctx.Spikes != nil || ctx.Uniforms != nil) && (errors.Is(err, ops.ErrShape) || errors.Is(err, ops.ErrValue)) {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		return err
	}
	return checkOutputs(given, in, out)
}

// checkOutputs returns an error if an operator breaks the contract of ops.Op: given are the
// outputs before its Run, with nil for the outputs that Run makes.
func checkOutputs(given, in, out []*ops.Tensor) error {
	for i, t := range out {
		switch {
		case given[i] != nil && t != given[i]:
			return fmt.Errorf("the operator replaced output %d: its Run must write to the tensor in out[%d]", i, i)
		case t.DType() == 0:
			return fmt.Errorf("the operator did not compute output %d: its Run must store a tensor in out[%d]", i, i)
		case t.DType().IsContainer() && slices.ContainsFunc(t.Items(), func(x *ops.Tensor) bool { return !x.DType().IsContainer() && slices.Contains(in, x) }):
			return fmt.Errorf("output %d of the operator holds its input: its Run must copy the tensors that it stores in a container", i)
		case given[i] == nil && slices.Contains(in, t):
			return fmt.Errorf("output %d of the operator is its input: its Run must store a new tensor in out[%d]", i, i)
		}
	}
	return nil
}

// inject copies the caller's uniform numbers to the output of a node that draws such
// numbers.
func inject(out, uniforms *ops.Tensor) error {
	if out == nil || out.Float32s() == nil || uniforms.DType() != ops.Float32 || !slices.Equal(out.Shape(), uniforms.Shape()) {
		return fmt.Errorf("%w: the uniforms are %v, want float32 numbers in the shape of the node's output", ErrInput, ops.TypeOf(uniforms))
	}
	for i, u := range uniforms.Float32s() {
		if !(u >= 0 && u < 1) {
			return fmt.Errorf("%w: %w: element %d of the uniforms is %v, want a number in [0, 1)", ErrInput, ops.ErrValue, i, u)
		}
	}
	copy(out.Float32s(), uniforms.Float32s())
	return nil
}

// makeOutputs sets w.out to the tensors that a step writes to: its buffers, new tensors
// for values that change with each run, and nil for outputs of unknown size.
func (f *frame) makeOutputs(s *Step, w *work) error {
	types, err := f.outputTypes(s, w)
	if err != nil {
		return err
	}
	made := f.budget // store takes the memory from f.budget
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

// CheckInputs returns an error unless the names and types of the inputs are the names and
// types that the model declares.
func (p *Program) CheckInputs(inputs map[string]*ops.Tensor) error {
	for _, in := range p.Inputs {
		t := inputs[in.Name]
		if t == nil {
			return fmt.Errorf("%w: input %q is missing: want %v", ErrInput, in.Name, in.Type)
		}
		if err := in.check(t); err != nil {
			return err
		}
	}
	known := len(p.Inputs)
	for _, in := range p.Optional {
		t, given := inputs[in.Name]
		if !given {
			continue
		}
		known++
		if err := in.check(t); err != nil {
			return err
		}
	}
	if len(inputs) == known {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if _, ok := p.inputSlots[name]; !ok {
			return fmt.Errorf("%w: the model has no input %q; its inputs are %s", ErrInput, name, p.inputNames())
		}
	}
	return nil
}

// check returns an error unless a tensor can be the value of an input.
func (v *ValueInfo) check(t *ops.Tensor) error {
	want := v.Type
	if want.DType == 0 && t.DType() != 0 { // not declared
		return nil
	}
	if err := want.Check(t); err != nil {
		return fmt.Errorf("%w: input %q: %w", ErrInput, v.Name, err)
	}
	return nil
}

// checkOptions returns an error for options that do not fit the model. Without it, they
// would silently have no effect.
func (p *Program) checkOptions(o *RunOptions, inputs map[string]*ops.Tensor) error {
	if err := p.checkPerImage("seeds", o.Seeds, inputs); err != nil {
		return err
	}
	if err := p.checkPerImage("image numbers", o.Images, inputs); err != nil {
		return err
	}
	if err := p.checkWatch(o.Watch); err != nil {
		return err
	}
	return p.CheckInjected(o.Spikes, o.Uniforms)
}

// checkPerImage returns an error unless a list, if it is not nil, has one entry per image.
func (p *Program) checkPerImage(what string, list []uint64, inputs map[string]*ops.Tensor) error {
	if list == nil {
		return nil
	}
	if len(p.Inputs) == 0 || len(p.Inputs[0].Shape) == 0 {
		return fmt.Errorf("%w: %s per image need a batch of images, but the first input of the model has no batch dimension", ErrInput, what)
	}
	if n := inputs[p.Inputs[0].Name].Shape()[0]; n != len(list) {
		return fmt.Errorf("%w: %d %s for a batch of %d images: give one per image", ErrInput, len(list), what, n)
	}
	return nil
}

// CheckInjected returns an error for spikes or uniforms of nodes that draw no random
// numbers.
func (p *Program) CheckInjected(spikes, uniforms map[string]*ops.Tensor) error {
	if len(spikes)+len(uniforms) == 0 {
		return nil
	}
	for _, given := range []map[string]*ops.Tensor{spikes, uniforms} {
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if !p.injectable[name] {
				return fmt.Errorf("%w: spikes or uniforms are given for node %q, but the model has no layer or node of this name that draws random numbers", ErrInput, name)
			}
			if given[name] == nil {
				return fmt.Errorf("%w: the spikes or uniforms for node %q are nil", ErrInput, name)
			}
		}
	}
	return nil
}

// inputNames lists the names of the inputs in an error text.
func (p *Program) inputNames() string {
	var s []string
	for _, v := range p.Inputs {
		s = append(s, fmt.Sprintf("%q", v.Name))
	}
	for _, v := range p.Optional {
		s = append(s, fmt.Sprintf("%q (optional)", v.Name))
	}
	if s == nil {
		return "none"
	}
	return strings.Join(s, ", ")
}
