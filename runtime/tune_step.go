package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// tuneFrame holds the values and gradients of one sub-batch. They stay for the
// next one of the same shape.
type tuneFrame struct {
	images []int         // their shape
	values []*ops.Tensor // by slot
	grads  []*ops.Tensor // by slot, nil where none is needed
	ctx    []ops.Context // by step
	back   []ops.Context // the same for gradients
	target *ops.Tensor
	scales []float32 // by step, as measured
}

// Step learns from one sub-batch. After an error, which may be that of ctx, it
// is as if it had not been called.
func (t *Tuner) Step(ctx context.Context, b Batch) (StepResult, error) {
	r, err := t.step(ctx, b)
	if err != nil {
		return StepResult{}, fmt.Errorf("runtime: %w", err)
	}
	return r, nil
}

func (t *Tuner) step(ctx context.Context, b Batch) (StepResult, error) {
	m := t.model
	inputs := map[string]*Tensor{m.inputs[0].Name: b.Images}
	if err := m.checkInputs(inputs); err != nil {
		return StepResult{}, err
	}
	if err := m.checkInjected(runConfig{spikes: b.Spikes, uniforms: b.Uniforms}); err != nil {
		return StepResult{}, err
	}
	if err := t.arrange(b.Images); err != nil {
		return StepResult{}, err
	}
	if err := t.forward(ctx, b); err != nil {
		return StepResult{}, err
	}
	r := StepResult{Images: b.Images.Shape()[0]}
	var err error
	if r.Correct, err = t.setTarget(ctx, b); err != nil {
		return StepResult{}, err
	}
	out := t.frame.values[t.output]
	classes := out.Shape()[1]
	r.Loss = t.config.Loss.Of(t.frame.grads[t.output].Float32s(), out.Float32s(), t.frame.target.Float32s(), classes, out.Len()/max(1, r.Images*classes))
	if math.IsNaN(r.Loss) || math.IsInf(r.Loss, 0) {
		return StepResult{}, fmt.Errorf("%w: the loss is %v", ErrTune, r.Loss)
	}
	if err := t.backward(ctx); err != nil {
		return StepResult{}, err
	}
	t.collect(&r)
	return r, nil
}

// arrange provides the values and gradients for a batch of these images.
func (t *Tuner) arrange(images *Tensor) error {
	m, f := t.model, &t.frame
	if images.Shape()[0] == 0 {
		return fmt.Errorf("%w: a batch without images", ErrInput)
	}
	if !slices.Equal(f.images, images.Shape()) {
		*f = tuneFrame{
			values: make([]*ops.Tensor, len(m.graph.names)), grads: make([]*ops.Tensor, len(m.graph.names)),
			ctx: make([]ops.Context, len(m.graph.steps)), back: make([]ops.Context, len(m.graph.steps)),
		}
		types := make([]*ops.Input, len(m.graph.names))
		for slot, c := range m.graph.consts {
			f.values[slot] = c
			types[slot] = &ops.Input{Type: ops.TypeOf(c), Const: c}
		}
		types[m.inputSlots[m.inputs[0].Name]] = &ops.Input{Type: ops.TypeOf(images)}
		live := int64(0)
		for i := range m.graph.steps {
			if err := t.allocate(i, types, &live); err != nil {
				return &NodeError{Node: m.graph.steps[i].name, Operator: m.graph.steps[i].operator, Err: err}
			}
		}
		if f.values[t.output].Len() == 0 {
			return fmt.Errorf("%w: the model's output is empty", ErrTune)
		}
		var err error
		if f.target, err = ops.Zeros(ops.Float32, f.values[t.output].Shape()); err != nil {
			return err
		}
		f.images = slices.Clone(images.Shape())
	}
	for _, p := range t.params {
		f.values[p.slot], f.grads[p.slot] = p.value, p.grad
	}
	f.scales = append(f.scales[:0], t.state.Scales...)
	return nil
}

func (t *Tuner) allocate(i int, types []*ops.Input, live *int64) error {
	f, s := &t.frame, &t.model.graph.steps[i]
	_, outputs, err := infer(s, types)
	if err != nil {
		return err
	}
	if outputs == nil {
		return fmt.Errorf("%w: the size of its output follows from values that are no constants", ErrTune)
	}
	for j, slot := range s.outputs {
		types[slot] = &ops.Input{Type: outputs[j]}
		*live += bytes(outputs[j])
		if t.layers[i].active {
			*live += bytes(outputs[j]) // of the gradient
		}
		if err := withinLimit(outputs[j], *live, t.model.memoryLimit); err != nil {
			return err
		}
		shape, _ := outputs[j].Sizes()
		if f.values[slot], err = ops.Zeros(outputs[j].DType, shape); err != nil {
			return err
		}
		if !t.layers[i].active {
			continue
		}
		if f.grads[slot], err = ops.Zeros(ops.Float32, shape); err != nil {
			return err
		}
	}
	return nil
}

// tensors returns what a step's slots hold.
func tensors(slots []int, from []*ops.Tensor) []*ops.Tensor {
	out := make([]*ops.Tensor, len(slots))
	for i, slot := range slots {
		if slot >= 0 {
			out[i] = from[slot]
		}
	}
	return out
}

func (t *Tuner) forward(ctx context.Context, b Batch) error {
	m, f := t.model, &t.frame
	f.values[m.inputSlots[m.inputs[0].Name]] = b.Images
	for i := range m.graph.steps {
		s := &m.graph.steps[i]
		c := &f.ctx[i]
		c.Context, c.Pool = ctx, m.pool
		c.Seed, c.FirstImage = t.config.Seed, t.state.Images
		c.Spikes, c.Uniforms = b.Spikes[s.name], b.Uniforms[s.name]
		err := s.op.Run(c, tensors(s.inputs, f.values), tensors(s.outputs, f.values))
		if err = stepError(ctx, s, err); err != nil {
			return err
		}
	}
	return nil
}

// stepError says where an error comes from, unless it is that of the context.
func stepError(ctx context.Context, s *step, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &NodeError{Node: s.name, Operator: s.operator, Err: err}
}

// setTarget sets what the output should be, and returns for how many images its
// largest entry is that of the label.
func (t *Tuner) setTarget(ctx context.Context, b Batch) (correct int, err error) {
	out, target := t.frame.values[t.output], t.frame.target
	switch {
	case b.Target != nil:
		if err := ops.TypeOf(out).Check(b.Target); err != nil {
			return 0, fmt.Errorf("%w: target: %w", ErrInput, err)
		}
		copy(target.Float32s(), b.Target.Float32s())
		return 0, nil
	case b.Labels == nil:
		return 0, t.reconstructed(ctx)
	case len(b.Labels) != out.Shape()[0]:
		return 0, fmt.Errorf("%w: %d labels for %d images", ErrInput, len(b.Labels), out.Shape()[0])
	}
	classes := out.Shape()[1]
	positions := out.Len() / len(b.Labels) / classes
	clear(target.Float32s())
	for i, label := range b.Labels {
		if label < 0 || label >= classes {
			return 0, fmt.Errorf("%w: label %d of image %d, want 0 to %d", ErrInput, label, i, classes-1)
		}
		h := out.Float32s()[i*classes*positions:][:classes*positions]
		best, most := 0, math.Inf(-1)
		for c := range classes {
			var sum float64
			for p, v := range h[c*positions:][:positions] {
				sum += float64(v)
				if c == label {
					target.Float32s()[(i*classes+c)*positions+p] = 1
				}
			}
			if sum > most {
				best, most = c, sum
			}
		}
		if best == label {
			correct++
		}
	}
	return correct, nil
}

// reconstructed makes the input distribution of the last SbS layer the target of
// a model that ends with a reconstruction of it.
func (t *Tuner) reconstructed(ctx context.Context) error {
	m := t.model
	end := len(m.graph.steps) - 1
	if _, kind := layerOf(m.graph.steps[end].name); kind == "" && end > 0 { // the node that shapes the output
		end--
	}
	_, kind := layerOf(m.graph.steps[end].name)
	for i := end; i >= 0 && kind == "Reconstruction"; i-- {
		if t.layers[i].sbs {
			in := t.frame.values[m.graph.steps[i].inputs[0]]
			p, err := sbs.Distribution(&ops.Context{Context: ctx, Pool: m.pool}, m.graph.steps[i].op, in)
			if err != nil {
				return err
			}
			if p.Len() != t.frame.target.Len() {
				break
			}
			copy(t.frame.target.Float32s(), p.Float32s())
			return nil
		}
	}
	return fmt.Errorf("%w: the batch has neither labels nor a target", ErrInput)
}

// backward finds the gradients of all params.
func (t *Tuner) backward(ctx context.Context) error {
	m, f := t.model, &t.frame
	for slot, g := range f.grads {
		if g != nil && slot != t.output {
			clear(g.Float32s())
		}
	}
	for i := len(m.graph.steps) - 1; i >= 0; i-- {
		s, l := &m.graph.steps[i], &t.layers[i]
		if !l.active {
			continue
		}
		gradOut := tensors(s.outputs, f.grads)
		gradIn := tensors(s.inputs, f.grads)
		for j, want := range l.wants {
			if !want {
				gradIn[j] = nil
			}
		}
		d := l.gradient
		if l.sbs {
			t.scale(i, gradOut[0].Float32s())
			var err error
			if d, err = t.ruled(i); err != nil {
				return &NodeError{Node: s.name, Operator: s.operator, Err: err}
			}
		}
		c := &f.back[i]
		c.Context, c.Pool = ctx, m.pool
		err := d.Backward(c, tensors(s.inputs, f.values), tensors(s.outputs, f.values), gradOut, gradIn)
		if err = stepError(ctx, s, err); err != nil {
			return err
		}
	}
	return nil
}

// ruled returns the gradient of an SbS node.
func (t *Tuner) ruled(i int) (ops.Differentiable, error) {
	l := &t.layers[i]
	rule := sbs.Rule{Dialect: sbs.Dialect(t.config.Dialect), Local: l.local}
	if h := t.frame.values[t.model.graph.steps[i].outputs[0]]; l.local && l.last && h.Len() == t.frame.target.Len() {
		var err error
		if rule.Target, err = t.frame.target.Reshaped(h.Shape()); err != nil {
			return nil, err
		}
	}
	d, ok := sbs.WithRule(t.model.graph.steps[i].op, rule)
	if !ok {
		return nil, errors.New("it is not the operator of this program")
	}
	return d, nil
}

// scale divides the gradient that comes to an SbS layer by its scale. That is the
// largest absolute value so far, until the first sub-batch of the second update.
func (t *Tuner) scale(i int, g []float32) {
	if t.config.Dialect != 2 || t.config.NoGradientScale {
		return
	}
	f := &t.frame
	if t.state.Updates == 0 || t.state.Updates == 1 && t.state.SubBatches == 0 {
		for _, v := range g {
			f.scales[i] = max(f.scales[i], v, -v)
		}
	}
	if f.scales[i] > 0 {
		for j := range g {
			g[j] /= f.scales[i]
		}
	}
}
