package ops

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Attributes holds a node's attributes by name. The values are of type int64,
// float32, string, []int64, []float32, []string or *Tensor.
type Attributes map[string]any

// ErrAttribute is wrapped by every error about a node's attributes.
var ErrAttribute = errors.New("bad attribute")

// Only returns an error that names the attributes which are not in known.
func (a Attributes) Only(known ...string) error {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: unknown %s (known: %s)", ErrAttribute, strings.Join(unknown, ", "), strings.Join(known, ", "))
	}
	return nil
}

// Attr returns the attribute's value, or def when it is absent. A value of
// another type than def's is an error.
func Attr[T int64 | float32 | string | []int64 | []float32 | []string | *Tensor](a Attributes, name string, def T) (T, error) {
	v, ok := a[name]
	if !ok {
		return def, nil
	}
	t, ok := v.(T)
	if !ok {
		return def, fmt.Errorf("%w: %s is a %T, want a %T", ErrAttribute, name, v, def)
	}
	return t, nil
}
