package graph

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// inline adds the steps of a function that a node calls. In the function, only its inputs
// and its own nodes have names, and its operators have the versions that it imports.
func (s *scope) inline(n *onnxpb.NodeProto, f *onnxpb.FunctionProto, name string) error {
	c, err := s.newCall(n, f, name)
	if err != nil {
		return err
	}
	opsets, err := s.functionOpsets(f.GetOpsetImport())
	if err != nil {
		return fmt.Errorf("function: %w", err)
	}
	actual, err := s.inputs(n)
	if err != nil {
		return err
	}
	if len(actual) > len(f.GetInput()) {
		return fmt.Errorf("the node has %d inputs, but the function takes %d", len(actual), len(f.GetInput()))
	}
	outputs := trimmed(n.GetOutput())
	if len(outputs) > len(f.GetOutput()) {
		return fmt.Errorf("the node has %d outputs, but the function has %d", len(outputs), len(f.GetOutput()))
	}
	body := &scope{k: s.k, g: s.g, slots: map[string]int{}, opsets: opsets, call: c, prefix: name + "/", depth: s.depth}
	for i, formal := range f.GetInput() {
		if err := body.checkNew(formal); err != nil {
			return fmt.Errorf("inputs of the function: %w", err)
		}
		body.slots[formal] = -1
		if i < len(actual) {
			body.slots[formal] = actual[i]
		}
	}
	first := len(s.g.Names) // slots from here on belong to the function
	if err := body.addNodes(f.GetNode()); err != nil {
		return err
	}
	for i, formal := range f.GetOutput() {
		slot, ok := body.slots[formal]
		if !ok {
			return fmt.Errorf("output %q of the function is not computed: none of its nodes and inputs has this name", formal)
		}
		if i >= len(outputs) || outputs[i] == "" {
			continue
		}
		out := outputs[i]
		if err := s.checkNew(out); err != nil {
			return err
		}
		s.slots[out] = slot
		if slot >= first { // not an input of the function that is also its output
			s.g.Names[slot] = s.prefix + out
		}
	}
	return nil
}

// newCall returns a call of a function with the values of its attributes.
func (s *scope) newCall(n *onnxpb.NodeProto, f *onnxpb.FunctionProto, name string) (*call, error) {
	c := &call{
		key:   functionKey{domainOf(n.GetDomain()), n.GetOpType(), n.GetOverload()},
		known: slices.Clone(f.GetAttribute()),
		outer: s.call,
	}
	depth := 1
	for o := s.call; o != nil; o = o.outer {
		if o.key == c.key {
			return nil, fmt.Errorf("function %s calls itself", n.GetOpType())
		}
		depth++
	}
	if depth > maxCalls {
		return nil, fmt.Errorf("calls of functions are nested more than %d levels deep", maxCalls)
	}
	if err := s.k.count(len(f.GetInput()) + len(f.GetOutput()) + len(f.GetAttribute()) + len(f.GetAttributeProto()) + len(f.GetOpsetImport())); err != nil {
		return nil, err
	}
	var err error
	if c.values, err = s.attributes(n, name); err != nil {
		return nil, err
	}
	outside := &scope{k: s.k} // a default cannot refer to an attribute of a function
	for _, a := range f.GetAttributeProto() {
		c.known = append(c.known, a.GetName())
		if _, given := c.values[a.GetName()]; given {
			continue
		}
		if c.values[a.GetName()], err = outside.attribute(a); err != nil {
			return nil, fmt.Errorf("default value of attribute %s of the function: %w", a.GetName(), err)
		}
	}
	if err := c.values.Only(c.known...); err != nil {
		return nil, fmt.Errorf("function: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.values)) {
		if _, ok := c.values[name].(*onnxpb.GraphProto); ok {
			return nil, fmt.Errorf("%w: %s is a graph, but attributes of functions cannot be graphs", ops.ErrAttribute, name)
		}
	}
	return c, nil
}

// attribute returns the value of the attribute ref of the function, to which attribute a of
// a node refers. It returns nil if the call omits ref and ref has no default.
func (c *call) attribute(a *onnxpb.AttributeProto, ref string) (any, error) {
	if c == nil {
		return nil, fmt.Errorf("%w: %s refers to attribute %s of a function, but the node is not in a function", ops.ErrAttribute, a.GetName(), ref)
	}
	if !slices.Contains(c.known, ref) {
		return nil, fmt.Errorf("%w: %s refers to attribute %s, but function %s has no such attribute", ops.ErrAttribute, a.GetName(), ref, c.key.name)
	}
	v, ok := c.values[ref]
	if !ok {
		return nil, nil
	}
	if t := typeOfAttribute(v); a.GetType() != onnxpb.AttributeProto_UNDEFINED && a.GetType() != t {
		return nil, fmt.Errorf("%w: %s is of type %v, but refers to attribute %s of type %v", ops.ErrAttribute, a.GetName(), a.GetType(), ref, t)
	}
	return v, nil
}

func typeOfAttribute(v any) onnxpb.AttributeProto_AttributeType {
	switch v.(type) {
	case *ops.Tensor:
		return onnxpb.AttributeProto_TENSOR
	case *ops.Type:
		return onnxpb.AttributeProto_TYPE_PROTO
	}
	return onnx.AttributeType(v)
}
