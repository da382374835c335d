package ops

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// DType is the element type of a tensor. The values are the same as in ONNX's
// TensorProto.DataType.
type DType int32

// The element types that a Tensor can hold.
const (
	Float32 DType = 1
	Uint8   DType = 2
	Int8    DType = 3
	Uint16  DType = 4
	Int16   DType = 5
	Int32   DType = 6
	Int64   DType = 7
	Bool    DType = 9
	Float64 DType = 11
	Uint32  DType = 12
	Uint64  DType = 13
)

// String returns the name of the type in Go, such as "float32". For any other number N
// it returns "data type N".
func (d DType) String() string {
	switch d {
	case Float32:
		return "float32"
	case Uint8:
		return "uint8"
	case Int8:
		return "int8"
	case Uint16:
		return "uint16"
	case Int16:
		return "int16"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case Bool:
		return "bool"
	case Float64:
		return "float64"
	case Uint32:
		return "uint32"
	case Uint64:
		return "uint64"
	}
	return fmt.Sprintf("data type %d", int32(d))
}

// Size returns the number of bytes of one element, and 0 for an unknown type.
func (d DType) Size() int {
	switch d {
	case Uint8, Int8, Bool:
		return 1
	case Uint16, Int16:
		return 2
	case Float32, Int32, Uint32:
		return 4
	case Float64, Int64, Uint64:
		return 8
	}
	return 0
}

// Element is the set of Go types that a Tensor's elements can have.
type Element interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool
}

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
	data  any // []T for the Element T
	dtype DType
}

// check returns an error if t is nil or the zero Tensor.
func (t *Tensor) check() error {
	if t.DType() == 0 {
		return fmt.Errorf("ops: %w: the tensor is nil or zero: use NewTensor, FromSlice or Zeros", ErrDType)
	}
	return nil
}

// NewTensor returns a tensor of the given shape whose memory is data. The shape must
// have exactly len(data) elements; a nil shape makes a scalar. The error wraps
// ErrShape. The tensor keeps data, but not shape.
func NewTensor[T Element](shape []int, data []T) (*Tensor, error) {
	n, err := Len(shape)
	if err != nil {
		return nil, err
	}
	if n != len(data) {
		return nil, fmt.Errorf("ops: %w: shape %v has %d elements, the data has %d", ErrShape, shape, n, len(data))
	}
	return &Tensor{shape: slices.Clone(shape), data: data, dtype: dtypeOf[T]()}, nil
}

// Zeros returns a tensor of the given type and shape whose elements are all 0, or
// false for Bool. The error wraps ErrShape or ErrDType.
func Zeros(dtype DType, shape []int) (*Tensor, error) {
	n, err := Len(shape)
	if err != nil {
		return nil, err
	}
	t := &Tensor{shape: slices.Clone(shape), dtype: dtype}
	switch dtype {
	case Float32:
		t.data = make([]float32, n)
	case Float64:
		t.data = make([]float64, n)
	case Int8:
		t.data = make([]int8, n)
	case Int16:
		t.data = make([]int16, n)
	case Int32:
		t.data = make([]int32, n)
	case Int64:
		t.data = make([]int64, n)
	case Uint8:
		t.data = make([]uint8, n)
	case Uint16:
		t.data = make([]uint16, n)
	case Uint32:
		t.data = make([]uint32, n)
	case Uint64:
		t.data = make([]uint64, n)
	case Bool:
		t.data = make([]bool, n)
	default:
		return nil, fmt.Errorf("ops: %w: a tensor cannot hold %v", ErrDType, dtype)
	}
	return t, nil
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
	if t.DType() == 0 {
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
	if t == nil {
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

func dtypeOf[T Element]() DType {
	var z T
	switch any(z).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case uint8:
		return Uint8
	case uint16:
		return Uint16
	case uint32:
		return Uint32
	case uint64:
		return Uint64
	default:
		return Bool
	}
}

// FromSlice is NewTensor for data whose type is known only at run time: a []T for one
// of the types of Element. For any other type the error wraps ErrDType.
func FromSlice(shape []int, data any) (*Tensor, error) {
	switch d := data.(type) {
	case []float32:
		return NewTensor(shape, d)
	case []float64:
		return NewTensor(shape, d)
	case []int8:
		return NewTensor(shape, d)
	case []int16:
		return NewTensor(shape, d)
	case []int32:
		return NewTensor(shape, d)
	case []int64:
		return NewTensor(shape, d)
	case []uint8:
		return NewTensor(shape, d)
	case []uint16:
		return NewTensor(shape, d)
	case []uint32:
		return NewTensor(shape, d)
	case []uint64:
		return NewTensor(shape, d)
	case []bool:
		return NewTensor(shape, d)
	}
	return nil, fmt.Errorf("ops: %w: a tensor cannot hold a %T", ErrDType, data)
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
