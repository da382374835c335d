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
// output of layer i of a converted network is named L{i}.
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
// output width).
func InjectUniforms(byNode map[string]*Tensor) RunOption {
	return func(c *runConfig) { c.uniforms = byNode }
}

// Run computes the outputs for the given inputs, both by name. It stops early,
// with the context's error, when ctx is done. The inputs are not modified and
// must not be until Run returns.
func (m *Model) Run(ctx context.Context, inputs map[string]*Tensor, opts ...RunOption) (map[string]*Tensor, error) {
	var c runConfig
	for _, o := range opts {
		o(&c)
	}
	values := make([]*ops.Tensor, len(m.names))
	if err := m.bind(values, inputs); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	if err := m.checkInjected(c); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	for slot, t := range m.consts {
		values[slot] = t
	}
	var memory int64 // bytes of what the steps have computed and is still needed
	for i := range m.steps {
		if err := m.runStep(ctx, &m.steps[i], values, &memory, c); err != nil {
			return nil, fmt.Errorf("runtime: %w", err)
		}
	}
	out := make(map[string]*Tensor, len(m.outputs))
	for i, slot := range m.outputSlots {
		out[m.outputs[i].Name] = values[slot]
	}
	return out, nil
}

func (m *Model) runStep(ctx context.Context, s *step, values []*ops.Tensor, memory *int64, c runConfig) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in := make([]*ops.Tensor, len(s.inputs))
	for i, slot := range s.inputs {
		if slot >= 0 {
			in[i] = values[slot]
		}
	}
	if err := m.reserve(s, in, memory); err != nil {
		return &NodeError{Node: s.name, Operator: s.operator, Err: err}
	}
	out, err := s.op.Run(&ops.Context{
		Context: ctx, Pool: m.pool, Seed: c.seed, FirstImage: c.firstImage,
		Spikes: c.spikes[s.name], Uniforms: c.uniforms[s.name],
	}, in)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &NodeError{Node: s.name, Operator: s.operator, Err: err}
	}
	for i, slot := range s.outputs {
		values[slot] = out[i]
		if c.observe != nil {
			c.observe(m.names[slot], out[i])
		}
	}
	for _, slot := range s.free {
		if slot >= m.firstComputed {
			*memory -= size(values[slot])
		}
		values[slot] = nil
	}
	return nil
}

// reserve adds the memory that a step's outputs will take, and fails when that
// is over the limit.
func (m *Model) reserve(s *step, in []*ops.Tensor, memory *int64) error {
	inputs := make([]*ops.Input, len(in))
	for i, t := range in {
		if t != nil {
			inputs[i] = &ops.Input{Type: ops.TypeOf(t), Const: t}
		}
	}
	outputs, err := s.op.Infer(inputs)
	if err != nil {
		return err
	}
	for _, t := range outputs {
		n := int64(t.DType.Size())
		for _, d := range t.Shape {
			n *= int64(d.Size) // known, as all inputs are; the operator bounds the product
		}
		*memory += n
		if *memory > m.memoryLimit {
			return fmt.Errorf("%w: with its output %v the values of the run would take %d bytes, the limit is %d (see MemoryLimit; smaller batches take less)",
				ErrMemory, t, *memory, m.memoryLimit)
		}
	}
	return nil
}

func size(t *ops.Tensor) int64 { return int64(t.Len()) * int64(t.DType().Size()) }

// bind puts the inputs into their slots.
func (m *Model) bind(values []*ops.Tensor, inputs map[string]*Tensor) error {
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if _, ok := m.inputSlots[name]; !ok {
			return fmt.Errorf("%w: the model has no input %q; its inputs are %s", ErrInput, name, names(m.inputs))
		}
	}
	for _, in := range m.inputs {
		t := inputs[in.Name]
		if t == nil {
			return fmt.Errorf("%w: input %q is missing: want %v", ErrInput, in.Name, in.Type)
		}
		if err := in.Check(t); err != nil {
			return fmt.Errorf("%w: input %q: %w", ErrInput, in.Name, err)
		}
		values[m.inputSlots[in.Name]] = t
	}
	return nil
}

// checkInjected refuses spikes and uniforms for what is no SbS node: they would
// silently not be used.
func (m *Model) checkInjected(c runConfig) error {
	for _, given := range []map[string]*Tensor{c.spikes, c.uniforms} {
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if !slices.ContainsFunc(m.steps, func(s step) bool { return s.name == name && s.operator == sbsOperator }) {
				return fmt.Errorf("%w: spikes or uniforms are given for node %q, but the model has no SbS node of this name", ErrInput, name)
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
