package ops

import (
	"fmt"
	"slices"
	"strings"
)

// Input describes an input of a node before a run.
type Input struct {
	Type
	Const *Tensor // the value if the input is a constant of the graph, otherwise nil
}

// Type is the element type and shape of a value. The zero Type means that nothing is
// known, not even the number of dimensions. Infer may return the zero Type; the inputs
// of Infer never have it.
type Type struct {
	DType DType
	Shape []Dim // nil for a sequence, an optional value and a map
	Elem  *Type // of the items of a sequence or an optional value, or of the values of a map
	Key   DType // of the keys of a map

	// Unranked says that not even the number of dimensions is known, only the element type.
	// Inputs and outputs of a model can have such a type, but Infer neither gets nor returns
	// one.
	Unranked bool
}

// Dim is a dimension: a size of at least 0, or -1 if the size is unknown until a run.
// An unknown dimension can have a symbolic name, such as "batch".
type Dim struct {
	Size   int
	Symbol string
}

// Known reports whether the size is known.
func (d Dim) Known() bool { return d.Size >= 0 }

// String returns the size, or the symbolic name of an unknown dimension, or "?".
func (d Dim) String() string {
	switch {
	case d.Size >= 0:
		return fmt.Sprint(d.Size)
	case d.Symbol != "":
		return d.Symbol
	}
	return "?"
}

// Dims returns dimensions of the given sizes. A negative size makes an unknown
// dimension.
func Dims(sizes ...int) []Dim {
	d := make([]Dim, len(sizes))
	for i, s := range sizes {
		d[i] = Dim{Size: max(s, -1)}
	}
	return d
}

// String returns the type in the form "float32(batch, 10)", "float32(...)" for an unranked
// one, or "unknown" for the zero Type.
func (t Type) String() string {
	if t.DType == 0 {
		return "unknown"
	}
	if t.DType.IsContainer() {
		return t.elements()
	}
	if t.Unranked {
		return fmt.Sprintf("%v(...)", t.DType)
	}
	s := make([]string, len(t.Shape))
	for i, d := range t.Shape {
		s[i] = d.String()
	}
	return fmt.Sprintf("%v(%s)", t.DType, strings.Join(s, ", "))
}

// Sizes returns the sizes of the dimensions, and false if not all of them are known, or if
// the type is not that of a tensor.
func (t Type) Sizes() (shape []int, known bool) {
	if t.DType.IsContainer() || t.Unranked {
		return nil, false
	}
	shape = make([]int, len(t.Shape))
	for i, d := range t.Shape {
		if !d.Known() {
			return nil, false
		}
		shape[i] = d.Size
	}
	return shape, true
}

// Check returns nil if the tensor x has type t: the same element type and number of
// dimensions unless t is unranked, and the same size in every dimension whose size t knows.
// Otherwise, and for a nil or zero Tensor, it returns an error that wraps ErrShape.
func (t Type) Check(x *Tensor) error {
	ok := x.DType() != 0 && x.DType() == t.DType && (!t.DType.IsContainer() || TypeOf(x).SameElements(t)) && (t.Unranked || len(x.Shape()) == len(t.Shape))
	for i := 0; ok && i < len(t.Shape); i++ {
		ok = !t.Shape[i].Known() || t.Shape[i].Size == x.Shape()[i]
	}
	switch {
	case ok:
		return nil
	case x.DType() == 0:
		return fmt.Errorf("%w: want %v, got no tensor", ErrShape, t)
	}
	return fmt.Errorf("%w: want %v, got %v", ErrShape, t, TypeOf(x))
}

// TypeOf returns the type of a tensor, and the zero Type for a nil or zero Tensor.
func TypeOf(x *Tensor) Type {
	if x.DType() == 0 {
		return Type{}
	}
	if x.dtype.IsContainer() {
		elem := x.elem // a pointer to the field would keep x in memory
		return Type{DType: x.dtype, Elem: &elem, Key: x.key}
	}
	return Type{DType: x.DType(), Shape: Dims(x.Shape()...)}
}

// MaxRank is the maximum number of dimensions. Without a limit, a few nodes in a file could
// ask for gigabytes of them. It is the limit of numpy, too.
const MaxRank = 64

// CheckSizes bounds the known sizes of the type of a tensor, so that an operator can multiply
// and add them without overflow. The error wraps ErrDType or ErrShape.
func (t Type) CheckSizes() error {
	if t.DType.Size() == 0 {
		return fmt.Errorf("%w: %v", ErrDType, t.DType)
	}
	if len(t.Shape) > MaxRank {
		return fmt.Errorf("%w: the rank is %d, want at most %d", ErrShape, len(t.Shape), MaxRank)
	}
	known := make([]int, 0, len(t.Shape))
	for _, d := range t.Shape {
		if d.Known() {
			known = append(known, d.Size)
		}
	}
	if _, err := Len(known); err != nil {
		return fmt.Errorf("%v: %w", t, err)
	}
	return nil
}

// CheckDType returns an error that wraps ErrDType unless the DType is one of the supported
// ones. name is that of the value in the error.
func (t Type) CheckDType(name string, supported ...DType) error {
	if slices.Contains(supported, t.DType) {
		return nil
	}
	names := make([]string, len(supported))
	for i, d := range supported {
		names[i] = d.String()
	}
	return fmt.Errorf("%w: %s is %v, want %s", ErrDType, name, t, strings.Join(names, " or "))
}
