package tensors

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/minifloat"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/ops"
)

// codes are NumPy's codes of the element types that NumPy has. Strings have the codes U and S
// with a length.
var codes = map[ops.DType]string{
	ops.Float32: "f4", ops.Float64: "f8", ops.Float16: "f2", ops.Bool: "b1",
	ops.Int8: "i1", ops.Int16: "i2", ops.Int32: "i4", ops.Int64: "i8",
	ops.Uint8: "u1", ops.Uint16: "u2", ops.Uint32: "u4", ops.Uint64: "u8",
}

// substitutes are the types that files have instead of the types that NumPy lacks. They can
// hold every number of these types.
var substitutes = map[ops.DType]ops.DType{
	ops.BFloat16: ops.Float32, ops.Float8E4M3FN: ops.Float32, ops.Float8E4M3FNUZ: ops.Float32, ops.Float8E5M2: ops.Float32,
	ops.Float8E5M2FNUZ: ops.Float32, ops.Float8E8M0: ops.Float32, ops.Float4E2M1: ops.Float32,
	ops.Int4: ops.Int8, ops.Int2: ops.Int8, ops.Uint4: ops.Uint8, ops.Uint2: ops.Uint8,
}

// fileType returns the type that a file has for elements of a type.
func fileType(d ops.DType) ops.DType {
	if s, ok := substitutes[d]; ok {
		return s
	}
	return d
}

// typeOfCode returns the element type of NumPy's code of a type.
func typeOfCode(code string) ops.DType {
	for d, c := range codes {
		if c == code {
			return d
		}
	}
	return ops.String // npy reads nothing else
}

// toArray returns a tensor as an array for a file.
func toArray(t *ops.Tensor) (*npy.Array, error) {
	a := &npy.Array{Shape: t.Shape()}
	switch d := t.Elements().(type) {
	case []float32, []float64, []int8, []int16, []int32, []int64, []uint8, []uint16, []uint32, []uint64, []bool, []string:
		a.Data = d
	case []ops.F16:
		a.Data = mapped(d, func(v ops.F16) npy.Half { return npy.Half(v) })
	case []ops.I4:
		a.Data = mapped(d, func(v ops.I4) int8 { return int8(v) })
	case []ops.I2:
		a.Data = mapped(d, func(v ops.I2) int8 { return int8(v) })
	case []ops.U4:
		a.Data = mapped(d, func(v ops.U4) uint8 { return uint8(v) })
	case []ops.U2:
		a.Data = mapped(d, func(v ops.U2) uint8 { return uint8(v) })
	case []ops.BF16:
		a.Data = floats(d)
	case []ops.F8E4M3FN:
		a.Data = floats(d)
	case []ops.F8E4M3FNUZ:
		a.Data = floats(d)
	case []ops.F8E5M2:
		a.Data = floats(d)
	case []ops.F8E5M2FNUZ:
		a.Data = floats(d)
	case []ops.F8E8M0:
		a.Data = floats(d)
	case []ops.F4E2M1:
		a.Data = floats(d)
	default:
		return nil, fmt.Errorf("%v cannot be written to a .npy file", t)
	}
	return a, nil
}

func mapped[T, F any](from []F, f func(F) T) []T {
	to := make([]T, len(from))
	for i, v := range from {
		to[i] = f(v)
	}
	return to
}

func floats[F interface{ Float64() float64 }](from []F) []float32 {
	return mapped(from, func(v F) float32 { return float32(v.Float64()) })
}

// fromArray returns the elements of a file, which has the fileType of d, as a tensor of type
// d. Elements that d does not have are an error.
func fromArray(a *npy.Array, d ops.DType) (*ops.Tensor, error) {
	data := a.Data
	switch values := a.Data.(type) {
	case []float32:
		if d != ops.Float32 {
			return small(a.Shape, values, d, true)
		}
	case []int8:
		switch d {
		case ops.Int4:
			return integers(a.Shape, values, -8, 7, func(v int8) ops.I4 { return ops.I4(v) })
		case ops.Int2:
			return integers(a.Shape, values, -2, 1, func(v int8) ops.I2 { return ops.I2(v) })
		}
	case []uint8:
		switch d {
		case ops.Uint4:
			return integers(a.Shape, values, 0, 15, func(v uint8) ops.U4 { return ops.U4(v) })
		case ops.Uint2:
			return integers(a.Shape, values, 0, 3, func(v uint8) ops.U2 { return ops.U2(v) })
		}
	}
	return ops.FromSlice(a.Shape, data)
}

// integers returns a tensor of integers of few bits.
func integers[T ops.Element, F int8 | uint8](shape []int, from []F, least, most F, convert func(F) T) (*ops.Tensor, error) {
	for i, v := range from {
		if v < least || v > most {
			return nil, fmt.Errorf("element %d is %d, want %d to %d", i, v, least, most)
		}
	}
	return ops.NewTensor(shape, mapped(from, convert))
}

// small returns a tensor of a floating-point type of at most 16 bits. A number that the type
// does not have is an error if the conversion has to be exact, and is otherwise rounded.
func small(shape []int, from []float32, d ops.DType, exact bool) (*ops.Tensor, error) {
	switch d {
	case ops.Float16:
		return encoded(shape, from, d, exact, ops.ToF16)
	case ops.BFloat16:
		return encoded(shape, from, d, exact, ops.ToBF16)
	case ops.Float8E4M3FN:
		return encoded(shape, from, d, exact, func(v float64) ops.F8E4M3FN { return ops.F8E4M3FN(minifloat.Float8E4M3FN.Encode(v, false)) })
	case ops.Float8E4M3FNUZ:
		return encoded(shape, from, d, exact, func(v float64) ops.F8E4M3FNUZ { return ops.F8E4M3FNUZ(minifloat.Float8E4M3FNUZ.Encode(v, false)) })
	case ops.Float8E5M2:
		return encoded(shape, from, d, exact, func(v float64) ops.F8E5M2 { return ops.F8E5M2(minifloat.Float8E5M2.Encode(v, false)) })
	case ops.Float8E5M2FNUZ:
		return encoded(shape, from, d, exact, func(v float64) ops.F8E5M2FNUZ { return ops.F8E5M2FNUZ(minifloat.Float8E5M2FNUZ.Encode(v, false)) })
	case ops.Float8E8M0:
		return encoded(shape, from, d, exact, func(v float64) ops.F8E8M0 { return ops.F8E8M0(minifloat.E8M0{}.Encode(v, false, minifloat.Nearest)) })
	case ops.Float4E2M1:
		return encoded(shape, from, d, exact, func(v float64) ops.F4E2M1 { return ops.F4E2M1(minifloat.Float4E2M1.Encode(v, false)) })
	}
	return nil, fmt.Errorf("elements of type %v cannot be read from a .npy file", d)
}

type encodedFloat interface {
	ops.Element
	Float64() float64
}

func encoded[T encodedFloat](shape []int, from []float32, d ops.DType, exact bool, encode func(float64) T) (*ops.Tensor, error) {
	to := make([]T, len(from))
	for i, v := range from {
		to[i] = encode(float64(v))
		if got := to[i].Float64(); exact && got != float64(v) && !(math.IsNaN(got) && v != v) {
			return nil, fmt.Errorf("element %d is %v, which %v does not have (the nearest is %v): round the array first", i, v, d, got)
		}
	}
	return ops.NewTensor(shape, to)
}
