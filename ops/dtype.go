package ops

import (
	"fmt"
	"reflect"

	"github.com/spike-by-spike/sbs/internal/minifloat"
)

// DType is the element type of a tensor. The values are the same as in ONNX's
// TensorProto.DataType. Sequence, Optional and Map are types of other values, see
// NewSequence.
type DType int32

// The element types that a Tensor can hold.
const (
	Float32        DType = 1
	Uint8          DType = 2
	Int8           DType = 3
	Uint16         DType = 4
	Int16          DType = 5
	Int32          DType = 6
	Int64          DType = 7
	String         DType = 8
	Bool           DType = 9
	Float16        DType = 10
	Float64        DType = 11
	Uint32         DType = 12
	Uint64         DType = 13
	BFloat16       DType = 16
	Float8E4M3FN   DType = 17
	Float8E4M3FNUZ DType = 18
	Float8E5M2     DType = 19
	Float8E5M2FNUZ DType = 20
	Uint4          DType = 21
	Int4           DType = 22
	Float4E2M1     DType = 23
	Float8E8M0     DType = 24
	Uint2          DType = 25
	Int2           DType = 26
)

// The element types of ONNX that no tensor has here.
const (
	complex64Type  DType = 14
	complex128Type DType = 15
)

// The types of values that are not tensors. ONNX has no numbers for them.
const (
	Sequence DType = -1
	Optional DType = -2
	Map      DType = -3
)

// Go has no types for these elements. F16 to F4E2M1 have a method Float64.
type (
	// F16 is an element of Float16: the bits of a binary16 number of IEEE 754.
	F16 uint16
	// BF16 is an element of BFloat16: the bits of the number.
	BF16 uint16
	// F8E4M3FN is an element of Float8E4M3FN: the bits of the number.
	F8E4M3FN uint8
	// F8E4M3FNUZ is an element of Float8E4M3FNUZ: the bits of the number.
	F8E4M3FNUZ uint8
	// F8E5M2 is an element of Float8E5M2: the bits of the number.
	F8E5M2 uint8
	// F8E5M2FNUZ is an element of Float8E5M2FNUZ: the bits of the number.
	F8E5M2FNUZ uint8
	// F8E8M0 is an element of Float8E8M0: the bits of a power of two.
	F8E8M0 uint8
	// F4E2M1 is an element of Float4E2M1: the bits of the number.
	F4E2M1 uint8
	// I4 is an element of Int4: -8 to 7.
	I4 int8
	// U4 is an element of Uint4: 0 to 15.
	U4 uint8
	// I2 is an element of Int2: -2 to 1.
	I2 int8
	// U2 is an element of Uint2: 0 to 3.
	U2 uint8
)

// Float64 returns the number.
func (f F16) Float64() float64 { return minifloat.DecodeFloat16(uint16(f)) }

// Float64 returns the number.
func (f BF16) Float64() float64 { return minifloat.DecodeBFloat16(uint16(f)) }

// Float64 returns the number.
func (f F8E4M3FN) Float64() float64 { return minifloat.Float8E4M3FN.Decode(uint16(f)) }

// Float64 returns the number.
func (f F8E4M3FNUZ) Float64() float64 { return minifloat.Float8E4M3FNUZ.Decode(uint16(f)) }

// Float64 returns the number.
func (f F8E5M2) Float64() float64 { return minifloat.Float8E5M2.Decode(uint16(f)) }

// Float64 returns the number.
func (f F8E5M2FNUZ) Float64() float64 { return minifloat.Float8E5M2FNUZ.Decode(uint16(f)) }

// Float64 returns the number.
func (f F8E8M0) Float64() float64 { return minifloat.E8M0{}.Decode(uint8(f)) }

// Float64 returns the number.
func (f F4E2M1) Float64() float64 { return minifloat.Float4E2M1.Decode(uint16(f)) }

// ToF16 returns the number that is nearest to v: infinity beyond the range.
func ToF16(v float64) F16 { return F16(minifloat.Float16.Encode(v, false)) }

// ToBF16 returns the number that is nearest to v: infinity beyond the range.
func ToBF16(v float64) BF16 { return BF16(minifloat.BFloat16.Encode(v, false)) }

// Element is the set of Go types that a Tensor's elements can have.
type Element interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool | string |
		F16 | BF16 | F8E4M3FN | F8E4M3FNUZ | F8E5M2 | F8E5M2FNUZ | F8E8M0 | F4E2M1 | I4 | U4 | I2 | U2
}

// kind describes an element type.
type kind struct {
	name    string
	size    int // bytes in memory
	element reflect.Type
	zeros   func(n int) any
}

func kindOf[T Element](name string) kind {
	t := reflect.TypeFor[T]()
	return kind{name, int(t.Size()), t, func(n int) any { return make([]T, n) }}
}

var kinds = map[DType]kind{
	Float32:        kindOf[float32]("float32"),
	Uint8:          kindOf[uint8]("uint8"),
	Int8:           kindOf[int8]("int8"),
	Uint16:         kindOf[uint16]("uint16"),
	Int16:          kindOf[int16]("int16"),
	Int32:          kindOf[int32]("int32"),
	Int64:          kindOf[int64]("int64"),
	String:         kindOf[string]("string"),
	Bool:           kindOf[bool]("bool"),
	Float16:        kindOf[F16]("float16"),
	Float64:        kindOf[float64]("float64"),
	Uint32:         kindOf[uint32]("uint32"),
	Uint64:         kindOf[uint64]("uint64"),
	BFloat16:       kindOf[BF16]("bfloat16"),
	Float8E4M3FN:   kindOf[F8E4M3FN]("float8e4m3fn"),
	Float8E4M3FNUZ: kindOf[F8E4M3FNUZ]("float8e4m3fnuz"),
	Float8E5M2:     kindOf[F8E5M2]("float8e5m2"),
	Float8E5M2FNUZ: kindOf[F8E5M2FNUZ]("float8e5m2fnuz"),
	Uint4:          kindOf[U4]("uint4"),
	Int4:           kindOf[I4]("int4"),
	Float4E2M1:     kindOf[F4E2M1]("float4e2m1"),
	Float8E8M0:     kindOf[F8E8M0]("float8e8m0"),
	Uint2:          kindOf[U2]("uint2"),
	Int2:           kindOf[I2]("int2"),
}

// dtypes is the inverse of kinds, by the type of an element.
var dtypes = func() map[reflect.Type]DType {
	m := map[reflect.Type]DType{}
	for d, k := range kinds {
		m[k.element] = d
	}
	return m
}()

func dtypeOf[T Element]() DType { return dtypes[reflect.TypeFor[T]()] }

// String returns the name of the type in lower case, such as "float32". For any other
// number N it returns "data type N".
func (d DType) String() string {
	switch d {
	case Sequence:
		return "sequence"
	case Optional:
		return "optional"
	case Map:
		return "map"
	case complex64Type:
		return "complex64"
	case complex128Type:
		return "complex128"
	}
	if k, ok := kinds[d]; ok {
		return k.name
	}
	return fmt.Sprintf("data type %d", int32(d))
}

// Size returns the number of bytes of one element in memory, and 0 for types that no tensor
// has. A string has its header alone here.
func (d DType) Size() int { return kinds[d].size }

// ElementBits returns the number of bits of one element in an ONNX file, and 0 for strings and
// unknown types.
func ElementBits(d DType) int {
	switch d {
	case String:
		return 0
	case Int4, Uint4, Float4E2M1:
		return 4
	case Int2, Uint2:
		return 2
	}
	return 8 * d.Size()
}

// IsContainer reports whether the type is Sequence, Optional or Map.
func (d DType) IsContainer() bool { return d < 0 && d >= Map }
