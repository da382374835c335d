package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// RunOption sets how one Run is done.
type RunOption func(*runConfig)

type runConfig struct {
	seed, firstImage uint64
	observe          func(name string, t *Tensor)
	spikes, uniforms map[string]*Tensor
}

// Seed selects the random numbers. The default is 0.
func Seed(seed uint64) RunOption { return func(c *runConfig) { c.seed = seed } }

// FirstImage says which number the first image of the batch has among all the
// images of the caller; the next one has the number after it. An image draws
// its random numbers by its number, so that images 0 to 63 in one batch and one
// by one give the same results, bit for bit. The default is 0.
func FirstImage(i uint64) RunOption { return func(c *runConfig) { c.firstImage = i } }

// Observe has f called with the name and value of every tensor that a node
// computes, in the order of execution, from the goroutine that called Run. The
// output of layer i of a converted network is named L{i}. Values in a function have
// the name of the call before their own; values in subgraphs, and what is known
// without the inputs, are not told. f may keep the tensors; that they outlive their use
// makes such a run take more memory.
func Observe(f func(name string, t *Tensor)) RunOption {
	return func(c *runConfig) { c.observe = f }
}

// InjectSpikes gives SbS nodes, by name, the spikes to use in place of random
// ones: int64 (batch, number of spikes, output height, output width).
func InjectSpikes(byNode map[string]*Tensor) RunOption {
	return func(c *runConfig) { c.spikes = byNode }
}

// InjectUniforms gives SbS nodes, by name, the uniform numbers in [0, 1) from
// which to draw the spikes: float32 (batch, number of spikes, output height,
// output width). Standard nodes that draw uniform numbers, RandomUniform and
// RandomUniformLike, take them too, in place of their float32 output.
func InjectUniforms(byNode map[string]*Tensor) RunOption {
	return func(c *runConfig) { c.uniforms = byNode }
}

// Run computes the outputs for the given inputs, both by name. It stops early,
// with the context's error, when ctx is done. The inputs are not modified and
// must not be until Run returns; the outputs are the caller's.
func (m *Model) Run(ctx context.Context, inputs map[string]*Tensor, opts ...RunOption) (map[string]*Tensor, error) {
	f := m.frames.Get().(*frame)
	f.config = runConfig{}
	for _, o := range opts {
		o(&f.config)
	}
	out, err := m.run(ctx, f, inputs)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	if f.config.observe == nil { // or else what has been observed may still be in use
		f.forget()
		m.frames.Put(f)
	}
	return out, nil
}

func (m *Model) run(ctx context.Context, f *frame, inputs map[string]*Tensor) (map[string]*Tensor, error) {
	if err := m.checkInputs(inputs); err != nil {
		return nil, err
	}
	if err := m.checkInjected(f.config); err != nil {
		return nil, err
	}
	f.m, f.g = m, m.graph
	f.inputs = f.inputs[:0]
	for _, in := range m.inputs {
		f.inputs = append(f.inputs, inputs[in.Name])
	}
	if err := f.runSteps(ctx); err != nil {
		return nil, err
	}
	out := make(map[string]*Tensor, len(m.outputs))
	for i, slot := range m.graph.outputs {
		out[m.outputs[i].Name] = f.values[slot]
	}
	return out, nil
}

// run runs a subgraph; base is the bytes of what is in use around it.
func (f *frame) run(ctx context.Context, inputs []*ops.Tensor, base int64) ([]*ops.Tensor, error) {
	f.inputs, f.base = inputs, base
	if err := f.runSteps(ctx); err != nil {
		return nil, err
	}
	out := make([]*ops.Tensor, len(f.g.outputs))
	for i, slot := range f.g.outputs {
		out[i] = f.values[slot]
	}
	return out, nil
}

func (f *frame) runSteps(ctx context.Context) error {
	if err := f.arrange(); err != nil {
		return err
	}
	for i := range f.work {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, w := &f.g.steps[i], &f.work[i]
		if err := f.runStep(ctx, s, w); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &NodeError{Node: s.name, Operator: s.operator, Err: err}
		}
	}
	return nil
}

func (f *frame) runStep(ctx context.Context, s *step, w *work) error {
	if w.known {
		return nil
	}
	for j, slot := range s.inputs {
		if slot >= 0 {
			w.in[j] = f.values[slot]
		}
	}
	if s.control != nil {
		out, err := s.control.run(&caller{ctx: ctx, f: f, base: f.base + f.planned + f.memory}, w.in)
		if err != nil {
			return err
		}
		for j, t := range out {
			if w.out[j], err = f.own(s, w, t); err != nil {
				return err
			}
		}
	} else if err := f.runOp(ctx, s, w); err != nil {
		return err
	}
	for j, slot := range s.outputs {
		f.values[slot] = w.out[j]
		if w.types == nil && !slices.Contains(w.in, w.out[j]) { // or else it is counted already
			f.bytes[slot] = size(w.out[j])
			f.memory += f.bytes[slot]
			if err := withinLimit(ops.TypeOf(w.out[j]), f.base+f.planned+f.memory, f.m.memoryLimit); err != nil {
				return err
			}
		}
		if f.config.observe != nil && f.g.names[slot] != "" {
			f.config.observe(f.g.names[slot], w.out[j])
		}
	}
	for _, slot := range s.free {
		if f.changing[slot] {
			f.memory -= f.bytes[slot]
			f.bytes[slot] = 0
			f.values[slot] = nil
		}
	}
	return nil
}

// own returns what a control gives, as a value of its own. A subgraph may hand through
// what it has from outside, and that may lie in a buffer, which others get next.
func (f *frame) own(s *step, w *work, t *ops.Tensor) (*ops.Tensor, error) {
	for j, slot := range s.inputs {
		if slot < 0 || w.in[j] != t || f.changing[slot] || f.g.consts[slot] != nil {
			continue
		}
		if err := withinLimit(ops.TypeOf(t), f.base+f.planned+f.memory+size(t), f.m.memoryLimit); err != nil {
			return nil, err
		}
		return t.Clone(), nil
	}
	return t, nil
}

func (f *frame) runOp(ctx context.Context, s *step, w *work) error {
	if err := f.outputs(s, w); err != nil {
		return err
	}
	w.ctx.Context, w.ctx.Pool = ctx, f.m.pool
	w.ctx.Seed, w.ctx.FirstImage = f.config.seed, f.config.firstImage
	w.ctx.Spikes, w.ctx.Uniforms = f.config.spikes[s.name], f.config.uniforms[s.name]
	if u := w.ctx.Uniforms; u != nil && s.operator != sbsOperator {
		return inject(w.out[0], u)
	}
	return s.op.Run(&w.ctx, w.in, w.out)
}

// inject gives a node that draws uniform numbers those of the caller.
func inject(out, uniforms *ops.Tensor) error {
	if out == nil || out.Float32s() == nil || uniforms.DType() != ops.Float32 || !slices.Equal(out.Shape(), uniforms.Shape()) {
		return fmt.Errorf("%w: the uniforms are %v, want %v", ErrInput, ops.TypeOf(uniforms), out)
	}
	copy(out.Float32s(), uniforms.Float32s())
	return nil
}

func size(t *ops.Tensor) int64 { return int64(t.Len()) * int64(t.DType().Size()) }

// checkInputs compares the inputs with the model's.
func (m *Model) checkInputs(inputs map[string]*Tensor) error {
	for _, in := range m.inputs {
		t := inputs[in.Name]
		if t == nil {
			return fmt.Errorf("%w: input %q is missing: want %v", ErrInput, in.Name, in.Type)
		}
		if err := in.Check(t); err != nil {
			return fmt.Errorf("%w: input %q: %w", ErrInput, in.Name, err)
		}
	}
	if len(inputs) == len(m.inputs) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if _, ok := m.inputSlots[name]; !ok {
			return fmt.Errorf("%w: the model has no input %q; its inputs are %s", ErrInput, name, names(m.inputs))
		}
	}
	return nil
}

// checkInjected refuses spikes and uniforms for what draws none: they would silently
// not be used.
func (m *Model) checkInjected(c runConfig) error {
	if len(c.spikes)+len(c.uniforms) == 0 {
		return nil
	}
	for _, given := range []map[string]*Tensor{c.spikes, c.uniforms} {
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if !m.injectable[name] {
				return fmt.Errorf("%w: spikes or uniforms are given for node %q, but the model has no SbS node of this name (nor another one that draws uniform numbers)", ErrInput, name)
			}
		}
	}
	return nil
}

const sbsOperator = sbs.Domain + ".SbS"

func names(v []ValueInfo) string {
	s := make([]string, len(v))
	for i, x := range v {
		s[i] = fmt.Sprintf("%q", x.Name)
	}
	return strings.Join(s, ", ")
}
