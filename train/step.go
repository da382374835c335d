package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// frame holds the values and gradients of one sub-batch. The next sub-batch of the same
// shape reuses their memory.
type frame struct {
	images []int         // shape of the images
	values []*ops.Tensor // by slot
	grads  []*ops.Tensor // by slot, nil if not needed
	ctx    []ops.Context // by step, for the values
	back   []ops.Context // by step, for the gradients
	target *ops.Tensor
	scales []float32 // by step; see trainerState.Scales
	empty  []int     // positions of the output without a target, by the index of their first entry

	measures bool // the scales are measured in this sub-batch

	live   int64      // bytes of the values and gradients
	memory ops.Memory // the temporary memory of the step that is running
}

// Step computes the gradients for one sub-batch. If the sub-batch completes an update, Step
// makes the update and reports it in the result. Step does not modify the batch. If Step
// returns an error, the state of the Trainer is unchanged.
func (t *Trainer) Step(ctx context.Context, b Batch) (Result, error) {
	if !t.made() {
		return Result{}, errNoTrainer
	}
	r, err := t.step(ctx, b)
	if err != nil {
		return Result{}, fmt.Errorf("train: %w", err)
	}
	return r, nil
}

// Evaluate returns the result of a batch without training: its loss and the number of images that
// are classified correctly. The random numbers are those of images firstImage and up. Evaluate
// changes neither the batch nor the state of the Trainer.
func (t *Trainer) Evaluate(ctx context.Context, b Batch, firstImage uint64) (Result, error) {
	if !t.made() {
		return Result{}, errNoTrainer
	}
	err := t.check(ctx, b)
	var r Result
	if err == nil {
		r, err = t.compute(ctx, b, firstImage)
	}
	if err != nil {
		return Result{}, fmt.Errorf("train: %w", err)
	}
	t.frame.forget(t.program.InputSlot(t.program.Inputs[0].Name))
	return r, nil
}

func (t *Trainer) step(ctx context.Context, b Batch) (Result, error) {
	part, err := t.partOf(ctx, b, 0, t.state.Images)
	if err != nil {
		return Result{}, err
	}
	for _, p := range t.params {
		if p.running {
			continue
		}
		for i, v := range p.grad.Float32s() {
			p.sum[i] += v
		}
	}
	return t.add(&part), nil
}

// check returns an error if a batch does not fit the model.
func (t *Trainer) check(ctx context.Context, b Batch) error {
	p := t.program
	if ctx == nil {
		return errors.New("the context is nil")
	}
	if err := p.CheckInputs(map[string]*ops.Tensor{p.Inputs[0].Name: b.Images}); err != nil {
		return err
	}
	return p.CheckInjected(b.Spikes, b.Uniforms)
}

// compute computes the outputs and the loss of a batch, and the gradient of the loss with respect to
// the output.
func (t *Trainer) compute(ctx context.Context, b Batch, firstImage uint64) (Result, error) {
	if err := t.arrange(b.Images); err != nil {
		return Result{}, err
	}
	if err := t.forward(ctx, b, firstImage); err != nil {
		return Result{}, err
	}
	r := Result{Images: b.Images.Shape()[0]}
	var err error
	t.frame.empty = t.frame.empty[:0]
	if r.Correct, err = t.setTarget(ctx, b); err != nil {
		return Result{}, err
	}
	out := t.frame.values[t.output]
	classes := out.Shape()[1]
	positions := out.Len() / max(1, r.Images*classes)
	r.Loss = t.config.Loss.of(t.frame.grads[t.output].Float32s(), out.Float32s(), t.frame.target.Float32s(), classes, positions)
	for _, first := range t.frame.empty {
		for c := range classes {
			t.frame.grads[t.output].Float32s()[first+c*positions] = 0
		}
	}
	if math.IsNaN(r.Loss) || math.IsInf(r.Loss, 0) {
		return Result{}, fmt.Errorf("%w: %w: the loss is %v", ErrTrain, ErrDiverged, r.Loss)
	}
	r.LossPerImage = t.config.Loss.perImage(r.Loss, r.Images)
	return r, nil
}

// forget drops the references to memory of the caller of Step.
func (f *frame) forget(input int) {
	f.values[input] = nil
	for _, list := range [][]ops.Context{f.ctx, f.back} {
		for i := range list {
			list[i].Context, list[i].Spikes, list[i].Uniforms = nil, nil, nil
		}
	}
}

// arrange allocates the values and gradients for a batch of images.
func (t *Trainer) arrange(images *ops.Tensor) error {
	p, f := t.program, &t.frame
	if images.Shape()[0] == 0 {
		return fmt.Errorf("%w: the batch has no images", runtime.ErrInput)
	}
	if !slices.Equal(f.images, images.Shape()) {
		*f = frame{
			values: make([]*ops.Tensor, len(p.Main.Names)), grads: make([]*ops.Tensor, len(p.Main.Names)),
			ctx: make([]ops.Context, len(p.Main.Steps)), back: make([]ops.Context, len(p.Main.Steps)),
		}
		types := make([]*ops.Input, len(p.Main.Names))
		for slot, c := range p.Main.Consts {
			f.values[slot] = c
			types[slot] = &ops.Input{Type: ops.TypeOf(c), Const: c}
		}
		types[p.InputSlot(p.Inputs[0].Name)] = &ops.Input{Type: ops.TypeOf(images)}
		live := int64(0)
		for i := range p.Main.Steps {
			if err := t.allocate(i, types, &live); err != nil {
				return &ops.NodeError{Node: p.Main.Steps[i].Name, Operator: p.Main.Steps[i].Operator, Err: err}
			}
		}
		if f.values[t.output].Len() == 0 {
			return fmt.Errorf("%w: the model's output is empty", ErrTrain)
		}
		var err error
		if f.target, err = ops.Zeros(ops.Float32, f.values[t.output].Shape()); err != nil {
			return err
		}
		f.images, f.live = slices.Clone(images.Shape()), live
	}
	for _, q := range t.params {
		f.values[q.slot], f.grads[q.slot] = q.value, q.grad
	}
	f.scales = append(f.scales[:0], t.state.Scales...)
	return nil
}

// allocate allocates the outputs of step i and their gradients, and adds their types to
// types and their bytes to live.
func (t *Trainer) allocate(i int, types []*ops.Input, live *int64) error {
	f, s := &t.frame, &t.program.Main.Steps[i]
	_, outputs, err := graph.InferStep(s, types)
	if err != nil {
		return err
	}
	if outputs == nil {
		return fmt.Errorf("%w: the size of the output depends on values that are not constant", ErrTrain)
	}
	for j, slot := range s.Outputs {
		types[slot] = &ops.Input{Type: outputs[j]}
		*live += graph.Bytes(outputs[j])
		if t.layers[i].active {
			*live += graph.Bytes(outputs[j]) // for the gradient
		}
		if err := graph.WithinLimit(outputs[j], *live, t.program.MemoryLimit); err != nil {
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

// forward computes the values of all steps.
func (t *Trainer) forward(ctx context.Context, b Batch, firstImage uint64) error {
	p, f := t.program, &t.frame
	f.values[p.InputSlot(p.Inputs[0].Name)] = b.Images
	for i := range p.Main.Steps {
		s := &p.Main.Steps[i]
		c := &f.ctx[i]
		c.Context, c.Pool = ctx, p.Pool
		c.Seed, c.FirstImage = t.config.Seed, firstImage
		f.memory = ops.Memory{Values: f.live, Limit: p.MemoryLimit}
		c.Memory = &f.memory
		c.Spikes, c.Uniforms = graph.Injected(b.Spikes, s), graph.Injected(b.Uniforms, s)
		err := graph.RunOp(c, s, s.Op, graph.Tensors(s.Inputs, f.values), graph.Tensors(s.Outputs, f.values))
		if err = graph.StepError(ctx, s, err); err != nil {
			return err
		}
	}
	return nil
}

// setTarget sets the target of the loss. It returns the number of images that are
// classified correctly.
func (t *Trainer) setTarget(ctx context.Context, b Batch) (correct int, err error) {
	out, target := t.frame.values[t.output], t.frame.target
	switch {
	case b.Target != nil:
		if err := ops.TypeOf(out).Check(b.Target); err != nil {
			return 0, fmt.Errorf("%w: target: %w", runtime.ErrInput, err)
		}
		copy(target.Float32s(), b.Target.Float32s())
		return 0, nil
	case b.Labels == nil:
		return 0, t.reconstructed(ctx)
	case len(b.Labels) != out.Shape()[0]:
		return 0, fmt.Errorf("%w: %d labels for %d images", runtime.ErrInput, len(b.Labels), out.Shape()[0])
	}
	classes := out.Shape()[1]
	positions := out.Len() / len(b.Labels) / classes
	clear(target.Float32s())
	for i, label := range b.Labels {
		if label < 0 || label >= classes {
			return 0, fmt.Errorf("%w: the label of image %d is %d, want 0 to %d", runtime.ErrInput, i, label, classes-1)
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

// reconstructed sets the target of a model that ends with a reconstruction: it is the input
// distribution of the last SbS layer, which the model reconstructs. Positions whose patch is all
// zero have no distribution: they get their output as the target, so that they add nothing to the
// loss.
func (t *Trainer) reconstructed(ctx context.Context) error {
	steps, last := t.program.Main.Steps, t.lastLayer()
	end := slices.IndexFunc(steps, func(s graph.Step) bool { return strings.HasPrefix(s.Name, last+"/"+kindReconstruction) })
	if end < 1 || !t.layers[end-1].sbs {
		return fmt.Errorf("%w: the batch has neither labels nor a target", runtime.ErrInput)
	}
	if t.config.Loss.Kind != Mixture {
		return fmt.Errorf("%w: a reconstruction has no class: train it with the loss %q or give a target", ErrTrain, Mixture)
	}
	f, s := &t.frame, &steps[end-1]
	p, err := sbs.Distribution(&ops.Context{Context: ctx, Pool: t.program.Pool}, s.Op, f.values[s.Inputs[0]])
	if err != nil {
		return err
	}
	if p.Len() != f.target.Len() {
		return fmt.Errorf("%w: the output of the model is %v, but the input distribution of node %q is %v", ErrTrain, ops.TypeOf(f.target), s.Name, ops.TypeOf(p))
	}
	target, out, shape := f.target.Float32s(), f.values[t.output].Float32s(), p.Shape()
	copy(target, p.Float32s())
	k, positions := shape[1], shape[2]*shape[3]
	for pair := range shape[0] * positions {
		first := pair/positions*k*positions + pair%positions
		empty := true
		for i := range k {
			empty = empty && target[first+i*positions] == 0
		}
		if !empty {
			continue
		}
		f.empty = append(f.empty, first)
		for i := range k {
			target[first+i*positions] = out[first+i*positions]
		}
	}
	return nil
}

// backward computes the gradients of all parameters.
func (t *Trainer) backward(ctx context.Context) error {
	p, f := t.program, &t.frame
	for slot, g := range f.grads {
		if g != nil && slot != t.output {
			clear(g.Float32s())
		}
	}
	for i := len(p.Main.Steps) - 1; i >= 0; i-- {
		s, l := &p.Main.Steps[i], &t.layers[i]
		if !l.active {
			continue
		}
		gradOut := graph.Tensors(s.Outputs, f.grads)
		gradIn := graph.Tensors(s.Inputs, f.grads)
		for j, want := range l.wants {
			if !want {
				gradIn[j] = nil
			}
		}
		d := l.gradient
		if l.scaled {
			t.scale(i, gradOut[0].Float32s())
		}
		if l.sbs {
			var err error
			if d, err = t.ruled(i); err != nil {
				return &ops.NodeError{Node: s.Name, Operator: s.Operator, Err: err}
			}
		}
		c := &f.back[i]
		c.Context, c.Pool = ctx, p.Pool
		err := d.Backward(c, graph.Tensors(s.Inputs, f.values), graph.Tensors(s.Outputs, f.values), gradOut, gradIn)
		if err = graph.StepError(ctx, s, err); err != nil {
			return err
		}
	}
	return nil
}

// ruled returns the gradient of the SbS node of step i, with the rule of its dialect and
// layer.
func (t *Trainer) ruled(i int) (ops.Differentiable, error) {
	l := &t.layers[i]
	rule := sbs.Rule{Dialect: sbs.Dialect(t.config.Dialect), Local: l.local}
	if h := t.frame.values[t.program.Main.Steps[i].Outputs[0]]; l.local && l.last && h.Len() == t.frame.target.Len() {
		var err error
		if rule.Target, err = t.frame.target.Reshaped(h.Shape()); err != nil {
			return nil, err
		}
	}
	d, ok := sbs.WithRule(t.program.Main.Steps[i].Op, rule)
	if !ok {
		return nil, errors.New("Operators replaces the SbS operator, and its replacement has no gradient")
	}
	return d, nil
}

// scale divides the incoming gradient g of a layer by its scale. The scale is the largest
// absolute value of the incoming gradient, measured until the first sub-batch of the second
// update, or in this sub-batch with Config.NewGradientScales.
func (t *Trainer) scale(i int, g []float32) {
	if t.config.Dialect != 2 || t.config.NoGradientScale {
		return
	}
	f := &t.frame
	if t.config.NewGradientScales {
		f.scales[i] = -1
	}
	if f.measures {
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
