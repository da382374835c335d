package graph

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

func (s *scope) readNodes(g *onnxpb.GraphProto) error { return s.readList(g.GetNode()) }

func (s *scope) readList(nodes []*onnxpb.NodeProto) error {
	for i, n := range nodes {
		operator := n.GetOpType()
		if d := domainOf(n.GetDomain()); d != "" {
			operator = d + "." + operator
		}
		name := s.prefix + nodeName(n, i)
		if err := s.readNode(n, name, operator); err != nil {
			return &NodeError{Node: name, Operator: operator, Err: err}
		}
	}
	return nil
}

func (s *scope) readNode(n *onnxpb.NodeProto, name, operator string) error {
	domain := domainOf(n.GetDomain())
	if err := s.k.grow(1 + len(n.GetInput()) + len(n.GetOutput()) + len(n.GetAttribute())); err != nil {
		return err
	}
	o, native := s.k.operators[opKey{domain, n.GetOpType()}]
	newControl := controlOf(domain, n.GetOpType())
	native = (native || newControl != nil) && n.GetOverload() == ""
	f := s.k.functions[functionKey{domain, n.GetOpType(), n.GetOverload()}]
	if f != nil && (!native || s.k.PreferFunctions) {
		return s.inline(n, f, name)
	}
	if !native {
		return unknownOperator(domain, n)
	}
	opset, ok := s.opsets[domain]
	if !ok {
		return fmt.Errorf("the model or function imports no version of the operators of domain %q (opset_import)", domain)
	}
	inputs, err := s.inputs(n)
	if err != nil {
		return err
	}
	attrs, err := s.attributes(n, name)
	if err != nil {
		return err
	}
	st := Step{Name: name, Operator: operator, Inputs: inputs}
	if newControl != nil {
		err = s.bindControl(&st, n, attrs, opset, newControl)
	} else {
		err = s.bind(&st, n, attrs, opset, o)
	}
	if err != nil {
		return err
	}
	outputs := trimmed(n.GetOutput())
	if st.control != nil {
		outputs = n.GetOutput()
	}
	for _, name := range outputs {
		if name == "" {
			st.Outputs = append(st.Outputs, s.g.add(""))
			continue
		}
		slot, err := s.define(name)
		if err != nil {
			return err
		}
		st.Outputs = append(st.Outputs, slot)
	}
	if st.injectable = injectable(domain, n.GetOpType()); st.injectable {
		s.k.p.injectable[name] = true
	}
	s.g.Steps = append(s.g.Steps, st)
	return nil
}

// injectable reports whether an operator draws random numbers that a caller may
// provide.
func injectable(domain, name string) bool {
	return domain == sbs.Domain || domain == "" && (name == "RandomUniform" || name == "RandomUniformLike")
}

func unknownOperator(domain string, n *onnxpb.NodeProto) error {
	name := n.GetOpType()
	if domain == "" && (strings.Contains(name, "Sequence") && name != "ReverseSequence" || strings.HasPrefix(name, "Optional")) {
		return fmt.Errorf("%w: %w", ErrUnknownOperator, errNotTensor)
	}
	if o := n.GetOverload(); o != "" {
		return fmt.Errorf("%w: the model has no function of this name with the overload %q", ErrUnknownOperator, o)
	}
	return fmt.Errorf("%w: there is neither a built-in operator nor a function in the model with this name", ErrUnknownOperator)
}

// inputs returns the slots of a node's inputs, without omitted ones at the end.
func (s *scope) inputs(n *onnxpb.NodeProto) ([]int, error) {
	var slots []int
	for i, name := range n.GetInput() {
		slot, ok := -1, true
		if name != "" {
			slot, ok = s.lookup(name)
		}
		if !ok {
			return nil, fmt.Errorf("input %d, %q, is neither an input of the model, nor an initializer, nor an output of an earlier node", i, name)
		}
		slots = append(slots, slot)
	}
	for len(slots) > 0 && slots[len(slots)-1] < 0 {
		slots = slots[:len(slots)-1]
	}
	return slots, nil
}

// bind makes the Op of a step.
func (s *scope) bind(st *Step, pb *onnxpb.NodeProto, attrs ops.Attributes, opset int, o ops.Operator) error {
	if err := checkInputs(st.Inputs, o.MinInputs, o.MaxInputs); err != nil {
		return err
	}
	outputs := len(trimmed(pb.GetOutput()))
	if outputs < o.MinOutputs || o.MaxOutputs != ops.Variadic && outputs > o.MaxOutputs {
		return fmt.Errorf("the node has %d outputs, want %s", outputs, countRange(o.MinOutputs, o.MaxOutputs))
	}
	n := ops.Node{Name: st.Name, Attributes: attrs, Opset: opset, NumInputs: len(st.Inputs), NumOutputs: outputs}
	var err error
	if st.Op, err = o.New(n); err != nil {
		return err
	}
	if st.Op == nil {
		return errors.New("the operator's New returned neither an Op nor an error")
	}
	if st.Operator == SbSOperator {
		st.operator, st.node = o, n
	}
	return nil
}

// trimmed returns names without omitted ones at the end.
func trimmed(names []string) []string {
	for len(names) > 0 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	return names
}

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

func countRange(lo, hi int) string {
	switch hi {
	case lo:
		return fmt.Sprint(lo)
	case ops.Variadic:
		return fmt.Sprintf("at least %d", lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

// attributes returns the attributes of the node with the given name. References to
// attributes of a function are resolved, and the options are applied to an SbS node.
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
	if domainOf(n.GetDomain()) == sbs.Domain {
		s.k.setDynamics(attrs, name)
	}
	return attrs, nil
}

// attribute returns the value of an attribute, nil for a reference to an attribute
// that the call of the function omits.
func (s *scope) attribute(a *onnxpb.AttributeProto) (any, error) {
	if ref := a.GetRefAttrName(); ref != "" {
		return s.call.attribute(a, ref)
	}
	v, err := onnx.Attribute(a)
	if err != nil {
		return nil, err
	}
	if p, ok := v.(*onnxpb.TensorProto); ok {
		t, err := s.k.tensorOf(p)
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", a.GetName(), err)
		}
		return t, nil
	}
	return v, nil
}
