package runtime

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// scope is where nodes find the values that they name: a graph, a subgraph or one
// call of a function.
type scope struct {
	k      *compiler
	g      *graph         // what the nodes become steps of
	slots  map[string]int // by the name of a value, -1 for an omitted input of a function
	outer  *scope         // around a subgraph
	opsets map[string]int
	call   *call  // the innermost call of a function, nil outside of all
	prefix string // of the names of steps and values
	depth  int    // in subgraphs
}

// define gives a new value a slot.
func (s *scope) define(name string) (int, error) {
	if err := s.free(name); err != nil {
		return 0, err
	}
	slot := s.g.add(s.prefix + name)
	s.slots[name] = slot
	return slot, nil
}

func (s *scope) free(name string) error {
	if name == "" {
		return errors.New("a value has no name")
	}
	if _, ok := s.slots[name]; ok {
		return fmt.Errorf("two values are named %q", name)
	}
	return nil
}

// lookup returns the slot of a value. A value of the graph around a subgraph
// becomes an input of the subgraph.
func (s *scope) lookup(name string) (slot int, ok bool) {
	if slot, ok := s.slots[name]; ok {
		return slot, true
	}
	if s.outer == nil {
		return 0, false
	}
	outer, ok := s.outer.lookup(name)
	if !ok || outer < 0 {
		return outer, ok
	}
	slot = s.g.add(s.prefix + name)
	s.g.inputs = append(s.g.inputs, slot)
	s.g.captured = append(s.g.captured, outer)
	s.slots[name] = slot
	return slot, true
}

func (s *scope) readNodes(g *onnxpb.GraphProto) error { return s.readList(g.GetNode()) }

func (s *scope) readList(nodes []*onnxpb.NodeProto) error {
	for i, n := range nodes {
		name := n.GetName()
		if name == "" && len(n.GetOutput()) > 0 {
			name = n.GetOutput()[0]
		}
		if name == "" {
			name = fmt.Sprintf("#%d", i)
		}
		operator := n.GetOpType()
		if d := domainOf(n.GetDomain()); d != "" {
			operator = d + "." + operator
		}
		name = s.prefix + name
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
	if f != nil && (!native || s.k.preferFunctions) {
		return s.inline(n, f, name)
	}
	if !native {
		return unknownOperator(domain, n)
	}
	opset, ok := s.opsets[domain]
	if !ok {
		return fmt.Errorf("its model or function does not say which version of the operators of domain %q it uses (opset_import)", domain)
	}
	inputs, err := s.inputs(n)
	if err != nil {
		return err
	}
	attrs, err := s.attributes(n)
	if err != nil {
		return err
	}
	st := step{name: name, operator: operator, inputs: inputs}
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
			st.outputs = append(st.outputs, s.g.add(""))
			continue
		}
		slot, err := s.define(name)
		if err != nil {
			return err
		}
		st.outputs = append(st.outputs, slot)
	}
	if st.injectable = injectable(domain, n.GetOpType()); st.injectable {
		s.k.m.injectable[name] = true
	}
	s.g.steps = append(s.g.steps, st)
	return nil
}

// injectable reports whether an operator takes the random numbers of
// InjectUniforms.
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
	return fmt.Errorf("%w: this runtime has no operator of this name", ErrUnknownOperator)
}

// inputs returns the slots of a node's inputs. Trailing omitted inputs need not be
// written.
func (s *scope) inputs(n *onnxpb.NodeProto) ([]int, error) {
	var slots []int
	for i, name := range n.GetInput() {
		slot, ok := -1, true
		if name != "" {
			slot, ok = s.lookup(name)
		}
		if !ok {
			return nil, fmt.Errorf("input %d, %q, is neither an input of the model, nor an initializer, nor an output of a node before it", i, name)
		}
		slots = append(slots, slot)
	}
	for len(slots) > 0 && slots[len(slots)-1] < 0 {
		slots = slots[:len(slots)-1]
	}
	return slots, nil
}

// bind makes the step's Op.
func (s *scope) bind(st *step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int, o ops.Operator) error {
	if err := checkInputs(st.inputs, o.MinInputs, o.MaxInputs); err != nil {
		return err
	}
	outputs := len(trimmed(n.GetOutput()))
	if outputs < o.MinOutputs || o.MaxOutputs != ops.Variadic && outputs > o.MaxOutputs {
		return fmt.Errorf("it has %d outputs, want %s", outputs, countRange(o.MinOutputs, o.MaxOutputs))
	}
	var err error
	st.op, err = o.New(ops.Node{Name: st.name, Attributes: attrs, Opset: opset, NumInputs: len(st.inputs), NumOutputs: outputs})
	return err
}

// trimmed returns names without the omitted ones at the end, which need not be
// written.
func trimmed(names []string) []string {
	for len(names) > 0 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	return names
}

func checkInputs(slots []int, lo, hi int) error {
	if n := len(slots); n < lo || hi != ops.Variadic && n > hi {
		return fmt.Errorf("it has %d inputs, want %s", n, countRange(lo, hi))
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

// attributes returns a node's attributes: those of its function in the place of
// references to them, and with what the options change.
func (s *scope) attributes(n *onnxpb.NodeProto) (ops.Attributes, error) {
	attrs := make(ops.Attributes, len(n.GetAttribute()))
	for _, a := range n.GetAttribute() {
		name := a.GetName()
		if _, twice := attrs[name]; twice {
			return nil, fmt.Errorf("%w: %s is there twice", ops.ErrAttribute, name)
		}
		v, err := s.attribute(a)
		if err != nil {
			return nil, err
		}
		if v != nil {
			attrs[name] = v
		}
	}
	if domainOf(n.GetDomain()) == sbs.Domain {
		s.k.replace(attrs)
		s.k.m.sbsNodes++
	}
	return attrs, nil
}

// attribute returns an attribute's value, nil for a reference to one that the
// function's call leaves out.
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

// replace changes the attributes of an SbS node as the options say.
func (c config) replace(attrs ops.Attributes) {
	if c.spikes > 0 {
		attrs[sbs.AttrSpikes] = int64(c.spikes)
	}
	if c.sampler != "" {
		attrs[sbs.AttrSampler] = string(c.sampler)
	}
	if c.epsilon0 != nil {
		attrs[sbs.AttrEpsilon0] = *c.epsilon0
	}
	if c.schedule != nil {
		// A number of spikes out of bounds is reported when the node is made.
		if n, err := ops.Attr[int64](attrs, sbs.AttrSpikes, 0); err == nil && n > 0 && n <= sbs.MaxSpikes {
			attrs[sbs.AttrEpsilonT] = c.schedule.EpsilonT(int(n))
		}
	}
}
