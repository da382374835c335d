package onnx

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// Attributes returns a node's attributes by name. The values are of type int64,
// float32, string, []int64, []float32, []string, *onnxpb.TensorProto,
// *onnxpb.SparseTensorProto, *onnxpb.GraphProto or *onnxpb.TypeProto.
func Attributes(n *onnxpb.NodeProto) (map[string]any, error) {
	attrs := make(map[string]any, len(n.GetAttribute()))
	for _, a := range n.GetAttribute() {
		if _, twice := attrs[a.GetName()]; twice {
			return nil, fmt.Errorf("%w: attribute %s is given twice", ErrFormat, a.GetName())
		}
		v, err := Attribute(a)
		if err != nil {
			return nil, err
		}
		attrs[a.GetName()] = v
	}
	return attrs, nil
}

// Attribute returns the value of one attribute, with one of the types that Attributes
// lists. A reference to an attribute of a function is an error.
func Attribute(a *onnxpb.AttributeProto) (any, error) {
	if a.GetRefAttrName() != "" {
		return nil, fmt.Errorf("%w: attribute %s refers to attribute %s of a function but is not in a function", ErrFormat, a.GetName(), a.GetRefAttrName())
	}
	switch typeOf(a) {
	case onnxpb.AttributeProto_FLOAT:
		return a.GetF(), nil
	case onnxpb.AttributeProto_INT:
		return a.GetI(), nil
	case onnxpb.AttributeProto_STRING:
		return string(a.GetS()), nil
	case onnxpb.AttributeProto_FLOATS:
		return a.GetFloats(), nil
	case onnxpb.AttributeProto_INTS:
		return a.GetInts(), nil
	case onnxpb.AttributeProto_STRINGS:
		s := make([]string, len(a.GetStrings()))
		for i, b := range a.GetStrings() {
			s[i] = string(b)
		}
		return s, nil
	case onnxpb.AttributeProto_TENSOR:
		if a.GetT() == nil {
			return nil, fmt.Errorf("%w: attribute %s has no tensor", ErrFormat, a.GetName())
		}
		return a.GetT(), nil
	case onnxpb.AttributeProto_SPARSE_TENSOR:
		if a.GetSparseTensor() == nil {
			return nil, fmt.Errorf("%w: attribute %s has no tensor", ErrFormat, a.GetName())
		}
		return a.GetSparseTensor(), nil
	case onnxpb.AttributeProto_GRAPH:
		if a.GetG() == nil {
			return nil, fmt.Errorf("%w: attribute %s has no graph", ErrFormat, a.GetName())
		}
		return a.GetG(), nil
	case onnxpb.AttributeProto_TYPE_PROTO:
		if a.GetTp() == nil {
			return nil, fmt.Errorf("%w: attribute %s has no type", ErrFormat, a.GetName())
		}
		return a.GetTp(), nil
	}
	return nil, fmt.Errorf("attribute %s: values of type %v are not supported", a.GetName(), a.GetType())
}

// typeOf returns the type of an attribute. Files of IR versions 1 and 2 need not store it: it is
// then that of the value.
func typeOf(a *onnxpb.AttributeProto) onnxpb.AttributeProto_AttributeType {
	switch {
	case a.GetType() != onnxpb.AttributeProto_UNDEFINED:
		return a.GetType()
	case a.F != nil:
		return onnxpb.AttributeProto_FLOAT
	case a.I != nil:
		return onnxpb.AttributeProto_INT
	case a.S != nil:
		return onnxpb.AttributeProto_STRING
	case a.T != nil:
		return onnxpb.AttributeProto_TENSOR
	case a.G != nil:
		return onnxpb.AttributeProto_GRAPH
	case len(a.Floats) > 0:
		return onnxpb.AttributeProto_FLOATS
	case len(a.Ints) > 0:
		return onnxpb.AttributeProto_INTS
	case len(a.Strings) > 0:
		return onnxpb.AttributeProto_STRINGS
	}
	return onnxpb.AttributeProto_UNDEFINED
}

// Ref refers to an attribute of the function whose body contains a node.
type Ref struct {
	Name string
	Type onnxpb.AttributeProto_AttributeType
}

// AttributeType returns the type of an attribute for a value that Attribute returned.
func AttributeType(v any) onnxpb.AttributeProto_AttributeType {
	switch v.(type) {
	case float32:
		return onnxpb.AttributeProto_FLOAT
	case int64:
		return onnxpb.AttributeProto_INT
	case string:
		return onnxpb.AttributeProto_STRING
	case []float32:
		return onnxpb.AttributeProto_FLOATS
	case []int64:
		return onnxpb.AttributeProto_INTS
	case []string:
		return onnxpb.AttributeProto_STRINGS
	case *onnxpb.TensorProto:
		return onnxpb.AttributeProto_TENSOR
	case *onnxpb.GraphProto:
		return onnxpb.AttributeProto_GRAPH
	case *onnxpb.TypeProto:
		return onnxpb.AttributeProto_TYPE_PROTO
	}
	return onnxpb.AttributeProto_UNDEFINED
}

// SetAttributes adds attributes to a node, in the order of their names. The values have
// the types that Attributes lists, or Ref.
func SetAttributes(n *onnxpb.NodeProto, attrs map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		a := &onnxpb.AttributeProto{Name: name}
		switch v := attrs[name].(type) {
		case float32:
			a.Type, a.F = onnxpb.AttributeProto_FLOAT, proto.Float32(v)
		case int64:
			a.Type, a.I = onnxpb.AttributeProto_INT, proto.Int64(v)
		case string:
			a.Type, a.S = onnxpb.AttributeProto_STRING, []byte(v)
		case []float32:
			a.Type, a.Floats = onnxpb.AttributeProto_FLOATS, v
		case []int64:
			a.Type, a.Ints = onnxpb.AttributeProto_INTS, v
		case *onnxpb.TensorProto:
			a.Type, a.T = onnxpb.AttributeProto_TENSOR, v
		case *onnxpb.GraphProto:
			a.Type, a.G = onnxpb.AttributeProto_GRAPH, v
		case *onnxpb.TypeProto:
			a.Type, a.Tp = onnxpb.AttributeProto_TYPE_PROTO, v
		case []string:
			a.Type = onnxpb.AttributeProto_STRINGS
			for _, s := range v {
				a.Strings = append(a.Strings, []byte(s))
			}
		case Ref:
			a.Type, a.RefAttrName = v.Type, v.Name
		default:
			return fmt.Errorf("attribute %s: a value of type %T cannot be written", name, v)
		}
		n.Attribute = append(n.Attribute, a)
	}
	return nil
}
