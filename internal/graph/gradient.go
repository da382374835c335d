package graph

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/preview"
)

// gradient is Gradient (version 1 of ai.onnx.preview.training): the derivative of the sum of
// the elements of a value y with respect to the values xs. The steps before the node that
// compute y from xs and zs are the function to differentiate. The inputs of the node replace xs
// and zs; they are followed by the other values that these steps use.
type gradient struct {
	steps   []gradientStep
	inputs  []int // the slots of the inputs in the graph: xs, zs and the others
	trained int   // the number of xs
	outputs int
	y       int
}

// gradientStep is a step of the function.
type gradientStep struct {
	*Step
	depends bool // on xs
}

func newGradient(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int) (control, error) {
	if opset < 1 {
		return nil, fmt.Errorf("version %d of %s has no operator Gradient: it exists since version 1", opset, preview.TrainingDomain)
	}
	if err := attrs.Only("xs", "y", "zs"); err != nil {
		return nil, err
	}
	xs, err := ops.Attr(attrs, "xs", []string{})
	if err != nil {
		return nil, err
	}
	zs, err := ops.Attr(attrs, "zs", []string{})
	if err != nil {
		return nil, err
	}
	y, err := ops.Attr(attrs, "y", "")
	if err != nil {
		return nil, err
	}
	if len(xs) == 0 {
		return nil, fmt.Errorf("%w: xs is missing", ops.ErrAttribute)
	}
	names := slices.Concat(xs, zs)
	if err := checkInputs(st.Inputs, len(names), len(names)); err != nil {
		return nil, fmt.Errorf("%w: one for each name in xs and zs", err)
	}
	g := &gradient{trained: len(xs), outputs: len(n.GetOutput())}
	if g.outputs < 1 || g.outputs > len(xs) {
		return nil, fmt.Errorf("the node has %d outputs, want %s: one for each name in xs", g.outputs, countRange(1, len(xs)))
	}
	for _, name := range append(names, y) {
		slot, ok := s.lookup(name)
		if !ok || slot < 0 {
			return nil, fmt.Errorf("%w: xs, zs and y contain %q, which is neither an input of the model, nor an initializer, nor an output of an earlier node", ops.ErrAttribute, name)
		}
		g.inputs = append(g.inputs, slot)
	}
	g.y, g.inputs = g.inputs[len(names)], g.inputs[:len(names)]
	if err := g.findSteps(s.g); err != nil {
		return nil, err
	}
	st.Inputs = append(st.Inputs, g.inputs[len(names):]...)
	return g, nil
}

// findSteps finds the steps that compute y, and the values that they use in addition to xs and
// zs.
func (g *gradient) findSteps(from *Graph) error {
	given := map[int]bool{}
	for _, slot := range g.inputs {
		given[slot] = true
	}
	needed := map[int]bool{g.y: true}
	var used []int
	for i := len(from.Steps) - 1; i >= 0; i-- {
		s := &from.Steps[i]
		if !slices.ContainsFunc(s.Outputs, func(slot int) bool { return needed[slot] && !given[slot] }) {
			continue
		}
		g.steps = append(g.steps, gradientStep{Step: s})
		for _, slot := range s.Inputs {
			if slot >= 0 {
				needed[slot] = true
				used = append(used, slot)
			}
		}
	}
	slices.Reverse(g.steps)
	computed, depends := map[int]bool{}, map[int]bool{}
	for _, slot := range g.inputs[:g.trained] {
		depends[slot] = true
	}
	for i := range g.steps {
		s := &g.steps[i]
		copied := *s.Step // the graph may move its steps when it gets more of them
		s.Step = &copied
		s.depends = slices.ContainsFunc(s.Inputs, func(slot int) bool { return depends[slot] })
		if s.control != nil {
			return &ops.NodeError{Node: s.Name, Operator: s.Operator, Err: fmt.Errorf("%w: Gradient of a node with subgraphs, or of another Gradient, is not supported", ErrUnknownOperator)}
		}
		if _, ok := s.Op.(ops.Differentiable); s.depends && !ok {
			return &ops.NodeError{Node: s.Name, Operator: s.Operator, Err: fmt.Errorf("%w: Gradient of this operator is not supported", ErrUnknownOperator)}
		}
		for _, slot := range s.Outputs {
			computed[slot] = true
			depends[slot] = depends[slot] || s.depends && !given[slot]
		}
	}
	for _, slot := range append(used, g.y) {
		if !computed[slot] && !given[slot] {
			given[slot] = true
			g.inputs = append(g.inputs, slot)
		}
	}
	return nil
}

// noGradient returns the error of a value that has no gradient.
func noGradient(name string, t ops.Type) error {
	return fmt.Errorf("%w: %s is %v: gradients of other types than float32 are not supported", ops.ErrDType, name, t)
}

func (g *gradient) graphs() []*Graph { return nil }

func (g *gradient) infer(_ *inference, in []*ops.Input) ([]*ops.Input, error) {
	out := make([]*ops.Input, g.outputs)
	for i, x := range in[:g.trained] {
		if x == nil {
			continue
		}
		if x.DType != ops.Float32 {
			return nil, noGradient(fmt.Sprintf("input %d", i), x.Type)
		}
		if i < g.outputs {
			out[i] = &ops.Input{Type: x.Type}
		}
	}
	return out, nil
}

func (g *gradient) run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	r := &gradientRun{gradient: g, caller: c, values: map[int]*ops.Tensor{}, gradients: map[int]*ops.Tensor{}, contexts: make([]ops.Context, len(g.steps))}
	for i, slot := range g.inputs {
		r.values[slot] = in[i]
		if i < g.trained && in[i].DType() != ops.Float32 {
			return nil, noGradient(fmt.Sprintf("input %d", i), ops.TypeOf(in[i]))
		}
	}
	for i := range g.steps {
		if err := r.forward(i); err != nil {
			return nil, StepError(c.ctx, g.steps[i].Step, err)
		}
	}
	y := r.values[g.y]
	if y.DType() != ops.Float32 {
		return nil, noGradient("y", ops.TypeOf(y))
	}
	first, err := r.gradientOf(g.y)
	if err != nil {
		return nil, err
	}
	for i := range first.Float32s() {
		first.Float32s()[i] = 1
	}
	for i := len(g.steps) - 1; i >= 0; i-- {
		if err := r.backward(i); err != nil {
			return nil, StepError(c.ctx, g.steps[i].Step, err)
		}
	}
	out := make([]*ops.Tensor, g.outputs)
	for i := range out {
		if out[i], err = r.gradientOf(g.inputs[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// gradientRun is one run of Gradient.
type gradientRun struct {
	*gradient
	*caller

	values, gradients map[int]*ops.Tensor // by slot
	contexts          []ops.Context       // by step
	held              int64               // bytes of the values and gradients
}

// forward computes the outputs of a step.
func (r *gradientRun) forward(i int) error {
	s, o := &r.steps[i], &r.f.options
	in := tensorsAt(r.values, s.Inputs)
	known := make([]*ops.Input, len(in))
	for j, t := range in {
		if t != nil {
			known[j] = &ops.Input{Type: ops.TypeOf(t), Const: t}
		}
	}
	types, err := s.infer(known)
	if err != nil {
		return err
	}
	out := make([]*ops.Tensor, len(types))
	for j, t := range types {
		shape, ok := t.Sizes()
		if !ok || t.DType == 0 {
			continue // the operator makes the output
		}
		if out[j], err = r.zeros(t.DType, shape); err != nil {
			return err
		}
	}
	r.contexts[i] = ops.Context{
		Context: r.ctx, Pool: r.f.p.Pool, Seed: o.Seed, FirstImage: o.FirstImage, Seeds: o.Seeds, Images: o.Images,
		Memory: &ops.Memory{Values: r.base + r.held, Limit: r.f.budget.limit},
	}
	if err := RunOp(&r.contexts[i], s.Step, s.Op, in, out); err != nil {
		return err
	}
	for j, slot := range s.Outputs {
		if !slices.Contains(r.inputs, slot) { // the node gives the value of an input
			r.values[slot] = out[j]
		}
	}
	return nil
}

// backward adds the contributions of a step to the gradients of its inputs.
func (r *gradientRun) backward(i int) error {
	s := &r.steps[i]
	if !s.depends || !slices.ContainsFunc(s.Outputs, func(slot int) bool { return r.gradients[slot] != nil }) {
		return nil
	}
	out := tensorsAt(r.values, s.Outputs)
	gradOut, gradIn := make([]*ops.Tensor, len(s.Outputs)), make([]*ops.Tensor, len(s.Inputs))
	var err error
	for j, slot := range s.Outputs {
		if slices.Contains(r.inputs, slot) {
			return fmt.Errorf("%w: the node computes a value of xs or zs and another value that y depends on", ops.ErrAttribute)
		}
		if gradOut[j], err = r.gradientOf(slot); err != nil {
			return err
		}
	}
	for j, slot := range s.Inputs {
		if slot < 0 || r.values[slot].DType() != ops.Float32 || !r.wanted(slot) {
			continue
		}
		if gradIn[j], err = r.gradientOf(slot); err != nil {
			return err
		}
	}
	return s.Op.(ops.Differentiable).Backward(&r.contexts[i], tensorsAt(r.values, s.Inputs), out, gradOut, gradIn)
}

// wanted reports whether the gradient of a value is needed.
func (r *gradientRun) wanted(slot int) bool {
	if i := slices.Index(r.inputs, slot); i >= 0 {
		return i < r.trained
	}
	return slices.ContainsFunc(r.steps, func(s gradientStep) bool { return s.depends && slices.Contains(s.Outputs, slot) })
}

// gradientOf returns the gradient of a value, which is 0 at first.
func (r *gradientRun) gradientOf(slot int) (*ops.Tensor, error) {
	var err error
	if r.gradients[slot] == nil {
		r.gradients[slot], err = r.zeros(ops.Float32, r.values[slot].Shape())
	}
	return r.gradients[slot], err
}

func (r *gradientRun) zeros(d ops.DType, shape []int) (*ops.Tensor, error) {
	n, err := ops.Len(shape)
	if err != nil {
		return nil, err
	}
	r.held += int64(n) * int64(d.Size())
	if err := r.fits(r.held); err != nil {
		return nil, err
	}
	return ops.Zeros(d, shape)
}

// tensorsAt returns the tensors in slots, nil for an omitted one.
func tensorsAt(values map[int]*ops.Tensor, slots []int) []*ops.Tensor {
	list := make([]*ops.Tensor, len(slots))
	for i, slot := range slots {
		if slot >= 0 {
			list[i] = values[slot]
		}
	}
	return list
}
