package graph

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// readNodes adds a step for every node of a graph.
func (s *scope) readNodes(g *onnxpb.GraphProto) error {
	s.expect(g)
	return s.addNodes(g.GetNode())
}

// addNodes adds the steps of the nodes of a graph or function.
func (s *scope) addNodes(nodes []*onnxpb.NodeProto) error {
	s.nodes = nodes
	order, err := s.executionOrder(nodes)
	if err != nil {
		return err
	}
	for _, i := range order {
		n := nodes[i]
		operator := n.GetOpType()
		if d := domainOf(n.GetDomain()); d != "" {
			operator = d + "." + operator
		}
		name := s.prefix + nodeName(n, i)
		if err := s.addNode(n, name, operator); err != nil {
			if err := s.tolerateNode(n, name, operator, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// addNode adds the step of a node, or the steps of the function that it calls. A built-in
// operator takes precedence over a function of the same name, unless PreferFunctions is
// set.
func (s *scope) addNode(n *onnxpb.NodeProto, name, operator string) error {
	if err := s.k.count(1 + len(n.GetInput()) + len(n.GetOutput()) + len(n.GetAttribute())); err != nil {
		return err
	}
	domain := domainOf(n.GetDomain())
	o, native := s.k.operators[opKey{domain, n.GetOpType()}]
	newControl := controlOf(domain, n.GetOpType())
	native = (native || newControl != nil) && n.GetOverload() == ""
	f := s.k.functions[functionKey{domain, n.GetOpType(), n.GetOverload()}]
	if f != nil && (!native || s.k.PreferFunctions) {
		return s.inline(n, f, name)
	}
	if !native {
		return unknownOperator(n)
	}
	opset, err := s.opset(domain)
	if err != nil {
		return err
	}
	inputs, err := s.inputs(n)
	if err != nil {
		return err
	}
	attrs, err := s.attributes(n, name)
	if err != nil {
		return err
	}
	st := Step{Name: name, Operator: operator, opset: opset, Inputs: inputs, injectable: injectable(n)}
	if isSbS(n) {
		st.sbsIndex = len(s.k.p.sbsNodes) - 1 // attributes has added it
		st.epsilonXY = s.epsilonXY(n)
	}
	outputs := trimmed(n.GetOutput())
	if newControl != nil {
		outputs = n.GetOutput()
		err = s.bindControl(&st, n, attrs, opset, newControl)
	} else {
		err = s.bind(&st, len(outputs), attrs, opset, o)
	}
	if err != nil {
		return err
	}
	if err := s.defineOutputs(&st, outputs); err != nil {
		return err
	}
	if st.injectable {
		s.k.p.injectable[name] = true
		if layer, _ := LayerOf(name); isRandom(n) {
			s.k.p.injectable[layer] = true
		}
	}
	s.g.Steps = append(s.g.Steps, st)
	return nil
}

// defineOutputs gives the outputs of a step slots.
func (s *scope) defineOutputs(st *Step, names []string) error {
	for _, name := range names {
		if name == "" { // omitted
			st.Outputs = append(st.Outputs, s.g.add(""))
			continue
		}
		slot, err := s.define(name)
		if err != nil {
			return err
		}
		st.Outputs = append(st.Outputs, slot)
	}
	return nil
}

// isRandom reports whether a node has an operator of this project that draws random numbers.
func isRandom(n *onnxpb.NodeProto) bool {
	return domainOf(n.GetDomain()) == sbs.Domain && sbs.Random(n.GetOpType())
}

// injectable reports whether a node draws random numbers that the caller of a run may
// replace.
func injectable(n *onnxpb.NodeProto) bool {
	uniform := n.GetOpType() == "RandomUniform" || n.GetOpType() == "RandomUniformLike"
	return isRandom(n) || uniform && domainOf(n.GetDomain()) == ""
}

// unknownOperator returns the error of a node whose operator does not exist.
func unknownOperator(n *onnxpb.NodeProto) error {
	if o := n.GetOverload(); o != "" {
		return fmt.Errorf("%w: no function in the model has this name and the overload %q", ErrUnknownOperator, o)
	}
	return fmt.Errorf("%w: neither a built-in operator nor a function in the model has this name", ErrUnknownOperator)
}

// inputs returns the slots of a node's inputs, -1 for an omitted input. It leaves out
// omitted inputs at the end.
func (s *scope) inputs(n *onnxpb.NodeProto) ([]int, error) {
	var slots []int
	for i, name := range n.GetInput() {
		slot, ok := -1, true
		if name != "" {
			slot, ok = s.lookup(name)
		}
		if !ok {
			return nil, fmt.Errorf("input %d, %q, is neither an input, nor an initializer, nor an output of a node", i, name)
		}
		slots = append(slots, slot)
	}
	for len(slots) > 0 && slots[len(slots)-1] < 0 {
		slots = slots[:len(slots)-1]
	}
	return slots, nil
}

// bind makes the Op of a step.
func (s *scope) bind(st *Step, outputs int, attrs ops.Attributes, opset int, o ops.Operator) error {
	if err := checkInputs(st.Inputs, o.MinInputs, o.MaxInputs); err != nil {
		return err
	}
	if outputs < o.MinOutputs || o.MaxOutputs != ops.Variadic && outputs > o.MaxOutputs {
		return fmt.Errorf("the node has %d outputs, want %s", outputs, countRange(o.MinOutputs, o.MaxOutputs))
	}
	n := ops.Node{Name: st.Name, Attributes: attrs, Opset: opset, NumInputs: len(st.Inputs), NumOutputs: outputs}
	var err error
	if st.Op, err = o.New(n); err != nil {
		return s.k.attributeProblems(st, o, n, err)
	}
	if st.Op == nil {
		return errNoOp
	}
	if IsSbS(st.Operator) {
		st.operator, st.node = o, n
	}
	return nil
}

// trimmed returns names without the empty ones at the end.
func trimmed(names []string) []string {
	for len(names) > 0 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	return names
}

// checkInputs returns an error unless a node has lo to hi inputs, and none of the first lo
// is omitted.
func checkInputs(slots []int, lo, hi int) error {
	if n := len(slots); n < lo || hi != ops.Variadic && n > hi {
		return fmt.Errorf("the node has %d inputs, want %s", n, countRange(lo, hi))
	}
	for i, slot := range slots[:lo] {
		if slot < 0 {
			return fmt.Errorf("input %d is missing", i)
		}
	}
	return nil
}

// countRange describes the numbers lo to hi in an error text.
func countRange(lo, hi int) string {
	switch hi {
	case lo:
		return fmt.Sprint(lo)
	case ops.Variadic:
		return fmt.Sprintf("at least %d", lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

// attributes returns the attributes of a node with the given name. It replaces references
// to attributes of a function by their values, and applies the options to an SbS node.
func (s *scope) attributes(n *onnxpb.NodeProto, name string) (ops.Attributes, error) {
	attrs := make(ops.Attributes, len(n.GetAttribute()))
	for _, a := range n.GetAttribute() {
		if _, twice := attrs[a.GetName()]; twice {
			return nil, fmt.Errorf("%w: %s is given twice", ops.ErrAttribute, a.GetName())
		}
		v, err := s.attribute(a)
		if err != nil {
			return nil, err
		}
		if v != nil {
			attrs[a.GetName()] = v
		}
	}
	if isSbS(n) {
		return attrs, s.k.setDynamics(attrs, name, n.GetOpType(), s.epsilonXY(n))
	}
	return attrs, nil
}

// attribute returns the value of an attribute, or nil for a reference to an attribute that
// the call of the function omits.
func (s *scope) attribute(a *onnxpb.AttributeProto) (any, error) {
	if ref := a.GetRefAttrName(); ref != "" {
		return s.call.attribute(a, ref)
	}
	v, err := onnx.Attribute(a)
	if err != nil {
		return nil, err
	}
	var t *ops.Tensor
	switch p := v.(type) {
	case *onnxpb.TensorProto:
		t, err = s.k.tensorOf(p)
	case *onnxpb.SparseTensorProto:
		t, err = s.k.denseOf(p)
	case *onnxpb.TypeProto:
		t, err := itemTypeOf(p, 0)
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", a.GetName(), err)
		}
		return &t, nil
	default:
		return v, nil
	}
	if err != nil {
		return nil, fmt.Errorf("attribute %s: %w", a.GetName(), err)
	}
	return t, nil
}
