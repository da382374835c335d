package graph

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// gradient is Gradient (version 1 of ai.onnx.preview.training): the gradient of a value y of the
// graph with respect to the values xs. It computes y again from the inputs of the node, which
// are values for xs and zs, with the nodes that y depends on. Other values that y depends on are
// those of the graph. If y has several elements, the gradient is that of their sum.
//
// xs must be float32, and the operators between xs and y must be ops.Differentiable.
type gradient struct {
	body   *Graph // from xs and zs to y
	xs     int    // the number of xs
	inputs int    // the number of xs and zs
	wanted []bool // by output: whether it has a name
}

func newGradient(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, _ int) (control, error) {
	if err := attrs.Only("xs", "zs", "y"); err != nil {
		return nil, err
	}
	xs, err := ops.Attr[[]string](attrs, "xs", nil)
	if err != nil {
		return nil, err
	}
	zs, err := ops.Attr[[]string](attrs, "zs", nil)
	if err != nil {
		return nil, err
	}
	y, err := ops.Attr(attrs, "y", "")
	if err != nil {
		return nil, err
	}
	d := &gradient{xs: len(xs), inputs: len(xs) + len(zs)}
	for _, name := range n.GetOutput() {
		d.wanted = append(d.wanted, name != "")
	}
	switch {
	case len(xs) == 0:
		return nil, fmt.Errorf("%w: xs is missing", ops.ErrAttribute)
	case len(d.wanted) == 0 || len(d.wanted) > d.xs:
		return nil, fmt.Errorf("the node has %d outputs, want 1 to %d: one for each of xs", len(d.wanted), d.xs)
	case s.depth >= maxSubgraphs:
		return nil, fmt.Errorf("gradients and subgraphs are nested more than %d levels deep", maxSubgraphs)
	}
	if err := checkInputs(st.Inputs, d.inputs, d.inputs); err != nil {
		return nil, err
	}
	if d.body, err = s.differentiated(slices.Concat(xs, zs), y); err != nil {
		return nil, err
	}
	active := d.active()
	for i := range d.body.Steps {
		step := &d.body.Steps[i]
		if _, ok := step.Op.(ops.Differentiable); !ok && slices.ContainsFunc(step.Outputs, func(slot int) bool { return active[slot] }) {
			return nil, fmt.Errorf("the gradient of %q passes through node %q, but its operator %s has no gradient", y, step.Name, step.Operator)
		}
	}
	return d, nil
}

// differentiated returns a graph that computes y from the given values. It has the nodes of the
// scope that y depends on.
func (s *scope) differentiated(inputs []string, y string) (*Graph, error) {
	sub := &scope{
		k: s.k, g: newGraph(), slots: map[string]int{}, outer: s,
		opsets: s.opsets, call: s.call, prefix: s.prefix, depth: s.depth + 1,
	}
	for _, name := range inputs {
		slot, err := sub.define(name)
		if err != nil {
			return nil, fmt.Errorf("xs and zs: %w", err)
		}
		sub.g.Inputs = append(sub.g.Inputs, slot)
	}
	nodes, err := s.nodesFor(y, sub.slots)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if isSbS(n) {
			return nil, fmt.Errorf("y depends on node %q: the gradient of %s is not a derivative, and only sbs-train uses it", n.GetName(), n.GetOpType())
		}
	}
	if err := sub.addNodes(nodes); err != nil {
		return nil, err
	}
	slot, ok := sub.slots[y]
	if !ok {
		return nil, fmt.Errorf("%w: y is %q, but no node of the same graph has an output of this name", ops.ErrAttribute, y)
	}
	sub.g.Outputs = []int{slot}
	return sub.g, nil
}

// nodesFor returns the nodes of the scope, in their order, that a value depends on, apart from
// those that compute only given values.
func (s *scope) nodesFor(y string, given map[string]int) ([]*onnxpb.NodeProto, error) {
	needed := map[int]bool{}
	names := []string{y}
	used := usedNames{k: s.k, found: func(name string) { names = append(names, name) }}
	for len(names) > 0 {
		name := names[len(names)-1]
		names = names[:len(names)-1]
		i, ok := s.producers[name]
		if _, stop := given[name]; stop || !ok || needed[i] {
			continue
		}
		needed[i] = true
		if err := used.node(s.nodes[i], 0); err != nil {
			return nil, err
		}
	}
	var list []*onnxpb.NodeProto
	for _, i := range slices.Sorted(maps.Keys(needed)) {
		list = append(list, s.nodes[i])
	}
	return list, nil
}

// active reports for each slot of the body whether its value depends on xs.
func (d *gradient) active() []bool {
	active := make([]bool, len(d.body.Names))
	for _, slot := range d.body.Inputs[:d.xs] {
		active[slot] = true
	}
	for i := range d.body.Steps {
		s := &d.body.Steps[i]
		depends := slices.ContainsFunc(s.Inputs, func(slot int) bool { return slot >= 0 && active[slot] })
		for _, slot := range s.Outputs {
			active[slot] = depends
		}
	}
	return active
}

func (d *gradient) graphs() []*Graph { return []*Graph{d.body} }

func (d *gradient) infer(inf *inference, in []*ops.Input) ([]*ops.Input, error) {
	in = slices.Clone(in)
	for i, x := range in[:d.inputs] {
		if x == nil {
			continue
		}
		if i < d.xs && x.DType != ops.Float32 {
			return nil, fmt.Errorf("%w: input %d, one of xs, is %v, want float32", ops.ErrDType, i, x.Type)
		}
		in[i] = &ops.Input{Type: x.Type} // y must not become a constant
	}
	if _, err := inf.graph(d.body, in); err != nil {
		return nil, fmt.Errorf("y: %w", err)
	}
	return in[:len(d.wanted)], nil
}

func (d *gradient) run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	for i, x := range in[:d.xs] {
		if x.DType() != ops.Float32 {
			return nil, fmt.Errorf("%w: input %d, one of xs, is %v, want float32", ops.ErrDType, i, ops.TypeOf(x))
		}
	}
	r := &gradientRun{
		c: c, g: d.body, used: c.base, contexts: make([]ops.Context, len(d.body.Steps)),
		values: make([]*ops.Tensor, len(d.body.Names)), gradients: make([]*ops.Tensor, len(d.body.Names)),
	}
	for slot, t := range d.body.Consts {
		r.values[slot] = t
	}
	for i, slot := range d.body.Inputs {
		r.values[slot] = in[i]
	}
	for i := range d.body.Steps {
		s := &d.body.Steps[i]
		if err := StepError(c.ctx, s, r.forward(i)); err != nil {
			return nil, fmt.Errorf("y: %w", err)
		}
	}
	if err := r.backward(d.active()); err != nil {
		return nil, fmt.Errorf("gradient of y: %w", err)
	}
	out := make([]*ops.Tensor, len(d.wanted))
	for i := range out {
		g, err := r.gradient(d.body.Inputs[i])
		if err != nil {
			return nil, err
		}
		out[i] = g
	}
	return out, nil
}

// gradientRun is one run of a gradient. It keeps the values of all steps.
type gradientRun struct {
	c         *caller
	g         *Graph
	used      int64         // bytes, including those of the enclosing graphs
	contexts  []ops.Context // by step
	values    []*ops.Tensor // by slot
	gradients []*ops.Tensor // by slot, nil for one that is zero
	memory    ops.Memory    // of the step that is running
}

// take counts the memory of a new tensor.
func (r *gradientRun) take(t ops.Type) error {
	r.used += Bytes(t)
	return WithinLimit(t, r.used, r.c.f.p.MemoryLimit)
}

// forward runs step i.
func (r *gradientRun) forward(i int) error {
	if err := r.c.ctx.Err(); err != nil {
		return err
	}
	s := &r.g.Steps[i]
	in := Tensors(s.Inputs, r.values)
	if s.control != nil {
		out, err := s.control.run(&caller{ctx: r.c.ctx, f: r.c.f, base: r.used}, in)
		if err != nil {
			return err
		}
		for j, slot := range s.Outputs {
			r.values[slot] = out[j]
			r.used += size(out[j])
		}
		return r.c.f.p.fits(r.used)
	}
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
			continue // Run makes it
		}
		if err := r.take(t); err != nil {
			return err
		}
		if out[j], err = ops.Zeros(t.DType, shape); err != nil {
			return err
		}
	}
	made := slices.Clone(out)
	if err := RunOp(r.context(i), s, s.Op, in, out); err != nil {
		return err
	}
	for j, slot := range s.Outputs {
		if r.values[slot] = out[j]; made[j] == nil {
			r.used += size(out[j])
		}
	}
	return r.c.f.p.fits(r.used)
}

// context returns the context of step i, for Run and Backward.
func (r *gradientRun) context(i int) *ops.Context {
	ctx, o := &r.contexts[i], &r.c.f.options
	r.memory = ops.Memory{Values: r.used, Limit: r.c.f.p.MemoryLimit}
	ctx.Context, ctx.Pool, ctx.Memory = r.c.ctx, r.c.f.p.Pool, &r.memory
	ctx.Seed, ctx.FirstImage, ctx.Seeds, ctx.Images = o.Seed, o.FirstImage, o.Seeds, o.Images
	return ctx
}

// gradient returns the gradient of a value, which is zero at first.
func (r *gradientRun) gradient(slot int) (*ops.Tensor, error) {
	if g := r.gradients[slot]; g != nil {
		return g, nil
	}
	t := ops.TypeOf(r.values[slot])
	t.DType = ops.Float32
	if err := r.take(t); err != nil {
		return nil, err
	}
	g, err := ops.Zeros(ops.Float32, r.values[slot].Shape())
	r.gradients[slot] = g
	return g, err
}

// backward computes the gradients of the values that depend on xs, from y back to xs.
func (r *gradientRun) backward(active []bool) error {
	y := r.g.Outputs[0]
	if !active[y] {
		return nil
	}
	of, err := r.gradient(y)
	if err != nil {
		return err
	}
	for i := range of.Float32s() {
		of.Float32s()[i] = 1
	}
	for i := len(r.g.Steps) - 1; i >= 0; i-- {
		s := &r.g.Steps[i]
		if slices.ContainsFunc(s.Outputs, func(slot int) bool { return active[slot] && r.gradients[slot] != nil }) {
			if err := StepError(r.c.ctx, s, r.backwardStep(i, active)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *gradientRun) backwardStep(i int, active []bool) error {
	s := &r.g.Steps[i]
	op, ok := s.Op.(ops.Differentiable)
	if !ok {
		return fmt.Errorf("the operator has no gradient")
	}
	of := func(slots []int, wanted func(slot int) bool) ([]*ops.Tensor, error) {
		list := make([]*ops.Tensor, len(slots))
		for j, slot := range slots {
			if slot < 0 || !wanted(slot) {
				continue
			}
			var err error
			if list[j], err = r.gradient(slot); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	out, err := of(s.Outputs, func(int) bool { return true })
	if err != nil {
		return err
	}
	in, err := of(s.Inputs, func(slot int) bool { return active[slot] })
	if err != nil {
		return err
	}
	return op.Backward(r.context(i), Tensors(s.Inputs, r.values), Tensors(s.Outputs, r.values), out, in)
}
