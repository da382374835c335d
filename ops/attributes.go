package ops

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Attributes holds a node's attributes by name. The values are of type int64,
// float32, string, []int64, []float32, []string, *Tensor or *Type. An Op may keep the
// values, so they must not be modified after they have been passed to Operator.New.
type Attributes map[string]any

// ErrAttribute is wrapped by every error about a node's attributes.
var ErrAttribute = errors.New("bad attribute")

// UnknownAttributesError is the error of Attributes.Only. It wraps ErrAttribute.
type UnknownAttributesError struct{ Unknown, Known []string }

// Error implements error.
func (e *UnknownAttributesError) Error() string {
	return fmt.Sprintf("%v: unknown %s (known: %s)", ErrAttribute, strings.Join(e.Unknown, ", "), strings.Join(e.Known, ", "))
}

// Unwrap returns ErrAttribute.
func (*UnknownAttributesError) Unwrap() error { return ErrAttribute }

// Only returns an error if there are attributes other than those in known. The error is an
// UnknownAttributesError.
func (a Attributes) Only(known ...string) error {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return &UnknownAttributesError{unknown, known}
	}
	return nil
}

// Attr returns the value of an attribute, or def if the attribute is absent. It
// returns def and an error that wraps ErrAttribute if the value has another type than
// def.
func Attr[T int64 | float32 | string | []int64 | []float32 | []string | *Tensor | *Type](a Attributes, name string, def T) (T, error) {
	v, ok := a[name]
	if !ok {
		return def, nil
	}
	t, ok := v.(T)
	if !ok {
		return def, fmt.Errorf("%w: %s has type %s, want %s", ErrAttribute, name, attributeType(v), attributeType(def))
	}
	return t, nil
}

// attributeType returns the name that ONNX's AttributeProto gives to the type of an
// attribute's value.
func attributeType(v any) string {
	switch v.(type) {
	case int64:
		return "INT"
	case float32:
		return "FLOAT"
	case string:
		return "STRING"
	case []int64:
		return "INTS"
	case []float32:
		return "FLOATS"
	case []string:
		return "STRINGS"
	case *Tensor:
		return "TENSOR"
	case *Type:
		return "TYPE_PROTO"
	}
	return fmt.Sprintf("%T", v)
}
