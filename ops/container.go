package ops

import (
	"fmt"
	"slices"
)

// NewSequence returns a sequence. Its items have the type elem, of which only the DType and
// Elem count: the shapes of the items may differ. The error wraps ErrDType. The sequence
// keeps items and its tensors.
//
// A value of a graph may be a sequence, an optional value or a map instead of a tensor. Such
// a *Tensor has the DType Sequence, Optional or Map and no elements: Items or MapOf returns
// what it holds.
func NewSequence(elem Type, items []*Tensor) (*Tensor, error) {
	return newContainer(Sequence, elem, items)
}

// NewOptional returns an optional value of the type elem. item is nil if it is absent.
// Otherwise, see NewSequence.
func NewOptional(elem Type, item *Tensor) (*Tensor, error) {
	if item == nil {
		return newContainer(Optional, elem, nil)
	}
	return newContainer(Optional, elem, []*Tensor{item})
}

// NewMap returns a map from keys, of the type Int64 or String, to as many values. Both have
// one dimension. The error wraps ErrDType or ErrShape.
func NewMap(keys, values *Tensor) (*Tensor, error) {
	if keys.DType() != Int64 && keys.DType() != String {
		return nil, fmt.Errorf("ops: %w: the keys of a map are %v, want int64 or string", ErrDType, keys)
	}
	if len(keys.Shape()) != 1 || values.DType() == 0 || !slices.Equal(keys.Shape(), values.Shape()) {
		return nil, fmt.Errorf("ops: %w: a map with the keys %v and the values %v", ErrShape, keys, values)
	}
	return &Tensor{dtype: Map, data: []*Tensor{keys, values}, elem: Type{DType: values.DType()}, key: keys.DType()}, nil
}

func newContainer(d DType, elem Type, items []*Tensor) (*Tensor, error) {
	elem.Shape = nil
	if elem.DType == 0 {
		return nil, fmt.Errorf("ops: %w: the elements of the %v have no type", ErrDType, d)
	}
	for i, x := range items {
		if !elem.holds(x) {
			return nil, fmt.Errorf("ops: %w: item %d of the %v is %v, want %v", ErrDType, i, d, x, elem.elements())
		}
	}
	return &Tensor{dtype: d, data: items, elem: elem}, nil
}

// Items returns the items of a sequence, and none or the one of an optional value. It is nil
// for other values. The caller must not modify the slice.
func (t *Tensor) Items() []*Tensor {
	if t.DType() != Sequence && t.DType() != Optional {
		return nil
	}
	items, _ := t.data.([]*Tensor)
	return items
}

// MapOf returns the keys and the values of a map, and nil for other values.
func MapOf(t *Tensor) (keys, values *Tensor) {
	if t.DType() != Map {
		return nil, nil
	}
	both := t.data.([]*Tensor)
	return both[0], both[1]
}

// ItemBytes is roughly the memory of a tensor apart from its elements.
const ItemBytes = 128

// Bytes returns the memory of the elements of a tensor, or of all that a sequence, optional
// value or map holds, with ItemBytes for each item.
func (t *Tensor) Bytes() int64 {
	if t.DType().IsContainer() {
		var n int64
		for _, x := range t.data.([]*Tensor) {
			n += ItemBytes + x.Bytes()
		}
		return n
	}
	n := int64(t.Len()) * int64(t.DType().Size())
	texts, _ := Data[string](t)
	for _, s := range texts {
		n += int64(len(s))
	}
	return n
}

// SameElements reports whether two types are equal apart from shapes.
func (t Type) SameElements(u Type) bool {
	if t.DType != u.DType || t.Key != u.Key || (t.Elem == nil) != (u.Elem == nil) {
		return false
	}
	return t.Elem == nil || t.Elem.SameElements(*u.Elem)
}

// holds reports whether a sequence or optional value of the type t can have the item x.
func (t Type) holds(x *Tensor) bool {
	if !t.DType.IsContainer() { // the common case needs no memory
		return x.DType() == t.DType
	}
	return TypeOf(x).SameElements(t)
}

// elements returns the type without the shape, for error texts.
func (t Type) elements() string {
	switch {
	case t.DType == Map && t.Elem != nil:
		return fmt.Sprintf("map(%v, %v)", t.Key, t.Elem.elements())
	case t.DType.IsContainer() && t.Elem != nil:
		return fmt.Sprintf("%v(%v)", t.DType, t.Elem.elements())
	}
	return t.DType.String()
}
