package ops

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// ErrShape is wrapped by every error about a shape: one that has a negative dimension
// or too many elements, does not fit the data, or is not the shape that an operator
// needs.
var ErrShape = errors.New("shape does not fit")

// ErrDType is wrapped by every error about an element type that an operator does not
// support.
var ErrDType = errors.New("unsupported element type")

// ErrValue is wrapped by errors about a value that an operator cannot take, such as a
// pixel that is not a number.
var ErrValue = errors.New("bad value")

// Tensor is a dense array of elements of one type in row-major (C) order: the index
// of the last dimension changes fastest. A tensor without dimensions is a scalar and
// has one element. A dimension can have size 0.
//
// The zero Tensor is not a valid value: its DType is 0, it has no elements, and no
// operator accepts it. Use NewTensor, FromSlice or Zeros. A nil *Tensor behaves like
// the zero Tensor.
//
// # Ownership
//
// NewTensor and FromSlice do not copy: the tensor keeps the slice as its memory. Data,
// Elements, Float32s and Int64s return this memory, and Reshaped and First return
// tensors that share it. Clone, Take and Put copy.
//
// A tensor that is an input of a run must not be modified until the run returns. The
// run does not modify it and does not keep it. The same tensor may be an input of
// several runs at the same time.
//
// A tensor that a run returns belongs to the caller, who may modify it. It shares no
// memory with the model, with the inputs, or with the results of other runs.
type Tensor struct {
	shape []int
	data  any // []T for the Element T, or []*Tensor for Sequence, Optional and Map
	dtype DType
	elem  Type  // of the items of Sequence and Optional, and of the values of Map
	key   DType // of Map
}

// check returns an error if t is nil, the zero Tensor, or no tensor.
func (t *Tensor) check() error {
	if t.DType().IsContainer() {
		return fmt.Errorf("ops: %w: the value is a %v, want a tensor", ErrDType, t.DType())
	}
	if t.DType() == 0 {
		return fmt.Errorf("ops: %w: the tensor is nil or zero: use NewTensor, FromSlice or Zeros", ErrDType)
	}
	return nil
}

// NewTensor returns a tensor of the given shape whose memory is data. The shape must
// have exactly len(data) elements; a nil shape makes a scalar. The error wraps
// ErrShape. The tensor keeps data, but not shape.
func NewTensor[T Element](shape []int, data []T) (*Tensor, error) {
	if err := checkLen(shape, len(data)); err != nil {
		return nil, err
	}
	return &Tensor{shape: slices.Clone(shape), data: data, dtype: dtypeOf[T]()}, nil
}

// Zeros returns a tensor of the given type and shape whose elements are all 0, false for Bool, and "" for String. The error wraps ErrShape or ErrDType.
func Zeros(dtype DType, shape []int) (*Tensor, error) {
	n, err := Len(shape)
	if err != nil {
		return nil, err
	}
	k, ok := kinds[dtype]
	if !ok {
		return nil, fmt.Errorf("ops: %w: a tensor cannot hold %v", ErrDType, dtype)
	}
	return &Tensor{shape: slices.Clone(shape), data: k.zeros(n), dtype: dtype}, nil
}

// Shape returns the sizes of the dimensions, outermost first. The caller must not
// modify the slice.
func (t *Tensor) Shape() []int {
	if t == nil {
		return nil
	}
	return t.shape
}

// DType returns the element type.
func (t *Tensor) DType() DType {
	if t == nil {
		return 0
	}
	return t.dtype
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	if t.DType() == 0 || t.dtype.IsContainer() {
		return 0
	}
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// Elements returns the tensor's memory for code that does not know the element type: a
// []T for one of the types of Element. It is nil for the zero Tensor.
func (t *Tensor) Elements() any {
	if t == nil || t.dtype.IsContainer() {
		return nil
	}
	return t.data
}

// Data returns the tensor's memory, the elements in row-major order. It returns nil
// and false if the elements are not of type T.
func Data[T Element](t *Tensor) ([]T, bool) {
	d, ok := t.Elements().([]T)
	return d, ok
}

// Float32s returns the memory of a Float32 tensor, and nil for any other tensor.
func (t *Tensor) Float32s() []float32 {
	d, _ := t.Elements().([]float32)
	return d
}

// Int64s returns the memory of an Int64 tensor, and nil for any other tensor.
func (t *Tensor) Int64s() []int64 {
	d, _ := t.Elements().([]int64)
	return d
}

// Reshaped returns a tensor of another shape over the same memory. The shape must have
// t.Len() elements; otherwise the error wraps ErrShape.
func (t *Tensor) Reshaped(shape []int) (*Tensor, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	n, err := Len(shape)
	if err != nil {
		return nil, err
	}
	if n != t.Len() {
		return nil, fmt.Errorf("ops: %w: %v cannot be reshaped to %v", ErrShape, t.shape, shape)
	}
	return &Tensor{shape: slices.Clone(shape), data: t.data, dtype: t.dtype}, nil
}

// First returns a tensor of another shape over the first elements of the same memory.
// The shape must have at most t.Len() elements; otherwise the error wraps ErrShape.
func (t *Tensor) First(shape []int) (*Tensor, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	n, err := Len(shape)
	if err != nil {
		return nil, err
	}
	if n > t.Len() {
		return nil, fmt.Errorf("ops: %w: %v has fewer elements than %v", ErrShape, t.shape, shape)
	}
	return &Tensor{shape: slices.Clone(shape), data: reflect.ValueOf(t.data).Slice(0, n).Interface(), dtype: t.dtype}, nil
}

// Clone returns a tensor with a copy of the elements. The clone of a nil or zero Tensor
// is nil.
func (t *Tensor) Clone() *Tensor {
	if t.DType() == 0 {
		return nil
	}
	if t.dtype.IsContainer() {
		items := slices.Clone(t.data.([]*Tensor))
		for i, x := range items {
			items[i] = x.Clone()
		}
		return &Tensor{data: items, dtype: t.dtype, elem: t.elem, key: t.key}
	}
	from := reflect.ValueOf(t.data)
	to := reflect.MakeSlice(from.Type(), from.Len(), from.Len())
	reflect.Copy(to, from)
	return &Tensor{shape: slices.Clone(t.shape), data: to.Interface(), dtype: t.dtype}
}

// MaxElements is the largest number of elements of a tensor. It keeps every index in
// 31 bits and every byte count far from overflow.
const MaxElements = math.MaxInt32

// Len returns the number of elements of a shape. The error wraps ErrShape if a
// dimension is negative, or if the product of those that are not 0 exceeds
// MaxElements.
func Len(shape []int) (int, error) {
	n, zero := 1, false
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("ops: %w: %v has a negative dimension", ErrShape, shape)
		}
		if d == 0 {
			zero = true
			continue
		}
		if n > MaxElements/d {
			return 0, fmt.Errorf("ops: %w: %v has more than %d elements", ErrShape, shape, MaxElements)
		}
		n *= d
	}
	if zero {
		return 0, nil
	}
	return n, nil
}

// FromSlice is NewTensor for data whose type is known only at run time: a []T for one
// of the types of Element. For any other type the error wraps ErrDType.
func FromSlice(shape []int, data any) (*Tensor, error) {
	v := reflect.ValueOf(data)
	if data == nil || v.Kind() != reflect.Slice || v.Type() != reflect.SliceOf(v.Type().Elem()) || dtypes[v.Type().Elem()] == 0 {
		return nil, fmt.Errorf("ops: %w: a tensor cannot hold a %T", ErrDType, data)
	}
	if err := checkLen(shape, v.Len()); err != nil {
		return nil, err
	}
	return &Tensor{shape: slices.Clone(shape), data: data, dtype: dtypes[v.Type().Elem()]}, nil
}

// checkLen returns an error unless a shape has n elements.
func checkLen(shape []int, n int) error {
	want, err := Len(shape)
	if err == nil && n != want {
		err = fmt.Errorf("ops: %w: shape %v has %d elements, the data has %d", ErrShape, shape, want, n)
	}
	return err
}

// String returns the element type and the shape, such as "float32(1, 28, 28)".
func (t *Tensor) String() string { return TypeOf(t).String() }

// Coordinates returns the coordinates of element i of a tensor of the given shape, for
// messages about single elements.
func Coordinates(i int, shape []int) []int {
	at := make([]int, len(shape))
	for d := len(shape) - 1; d >= 0; d-- {
		if shape[d] > 0 {
			at[d] = i % shape[d]
			i /= shape[d]
		}
	}
	return at
}
