package std

import (
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/minifloat"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// wide is the set of types in which operators compute if they have no code for the element
// type itself. Every number of an ops.Tensor is exactly representable in one of them (and
// uint64 numbers fit in int64 as the same bits), so that one implementation serves all
// types.
type wide interface{ float64 | int64 | uint64 }

// product returns x*y. Its conversion keeps the compiler from fusing the product with an
// addition, as it does on some processors.
func product[T summand | uint64](x, y T) T {
	return T(x * y) //nolint:unconvert // the conversion rounds
}

// chunk is the number of elements that are converted at once.
const chunk = 256

// integerOrFloat is the set of all element types but bool.
type integerOrFloat interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

// load converts elements of src that are step apart, starting at from. false becomes 0, and
// true becomes 1.
func load[W wide](dst []W, src *ops.Tensor, from, step int) {
	switch src.DType() {
	case ops.Float32:
		loadFrom[float32](dst, src, from, step)
	case ops.Float64:
		loadFrom[float64](dst, src, from, step)
	case ops.Int8:
		loadFrom[int8](dst, src, from, step)
	case ops.Int16:
		loadFrom[int16](dst, src, from, step)
	case ops.Int32:
		loadFrom[int32](dst, src, from, step)
	case ops.Int64:
		loadFrom[int64](dst, src, from, step)
	case ops.Uint8:
		loadFrom[uint8](dst, src, from, step)
	case ops.Uint16:
		loadFrom[uint16](dst, src, from, step)
	case ops.Uint32:
		loadFrom[uint32](dst, src, from, step)
	case ops.Uint64:
		loadFrom[uint64](dst, src, from, step)
	case ops.Bool:
		s, _ := ops.Data[bool](src)
		for i := range dst {
			dst[i] = 0
			if s[from] {
				dst[i] = 1
			}
			from += step
		}
	case ops.Int4:
		loadFrom[ops.I4](dst, src, from, step)
	case ops.Uint4:
		loadFrom[ops.U4](dst, src, from, step)
	case ops.Int2:
		loadFrom[ops.I2](dst, src, from, step)
	case ops.Uint2:
		loadFrom[ops.U2](dst, src, from, step)
	case ops.Float16:
		loadBits[ops.F16](dst, src, from, step)
	case ops.BFloat16:
		loadBits[ops.BF16](dst, src, from, step)
	case ops.Float8E4M3FN:
		loadBits[ops.F8E4M3FN](dst, src, from, step)
	case ops.Float8E4M3FNUZ:
		loadBits[ops.F8E4M3FNUZ](dst, src, from, step)
	case ops.Float8E5M2:
		loadBits[ops.F8E5M2](dst, src, from, step)
	case ops.Float8E5M2FNUZ:
		loadBits[ops.F8E5M2FNUZ](dst, src, from, step)
	case ops.Float8E8M0:
		loadBits[ops.F8E8M0](dst, src, from, step)
	case ops.Float4E2M1:
		loadBits[ops.F4E2M1](dst, src, from, step)
	}
}

func loadFrom[T integerOrFloat | ops.I4 | ops.U4 | ops.I2 | ops.U2, W wide](dst []W, src *ops.Tensor, from, step int) {
	s, _ := ops.Data[T](src)
	for i := range dst {
		dst[i] = W(s[from])
		from += step
	}
}

// store is the inverse of load. If the destination is an integer type, integers keep their
// low bits, floating-point numbers are truncated and clamped to the type's range, and NaN
// becomes 0. Formats of 8 and fewer bits take their largest number for those beyond it.
func store[W wide](dst *ops.Tensor, to, step int, src []W) {
	switch dst.DType() {
	case ops.Float32:
		storeSingles(dst, to, step, src)
	case ops.Float64:
		storeTo[float64](dst, to, step, src)
	case ops.Int8:
		storeInteger[int8](dst, to, step, src, math.MinInt8, math.MaxInt8)
	case ops.Int16:
		storeInteger[int16](dst, to, step, src, math.MinInt16, math.MaxInt16)
	case ops.Int32:
		storeInteger[int32](dst, to, step, src, math.MinInt32, math.MaxInt32)
	case ops.Int64:
		storeInteger[int64](dst, to, step, src, math.MinInt64, math.MaxInt64)
	case ops.Uint8:
		storeInteger[uint8](dst, to, step, src, 0, math.MaxUint8)
	case ops.Uint16:
		storeInteger[uint16](dst, to, step, src, 0, math.MaxUint16)
	case ops.Uint32:
		storeInteger[uint32](dst, to, step, src, 0, math.MaxUint32)
	case ops.Uint64:
		storeInteger[uint64](dst, to, step, src, 0, math.MaxUint64)
	case ops.Bool:
		d, _ := ops.Data[bool](dst)
		for _, v := range src {
			d[to] = v != 0
			to += step
		}
	default:
		storeSmall(dst, to, step, src, true, minifloat.Up)
	}
}

func storeSingles[W wide](dst *ops.Tensor, to, step int, src []W) {
	d, _ := ops.Data[float32](dst)
	for _, v := range src {
		d[to] = portmath.Single(v)
		to += step
	}
}

func storeTo[T integerOrFloat, W wide](dst *ops.Tensor, to, step int, src []W) {
	d, _ := ops.Data[T](dst)
	for _, v := range src {
		d[to] = T(v)
		to += step
	}
}

func storeInteger[T integerOrFloat, W wide](dst *ops.Tensor, to, step int, src []W, lowest int64, highest uint64) {
	floats, ok := any(src).([]float64)
	if !ok {
		storeTo[T](dst, to, step, src)
		return
	}
	d, _ := ops.Data[T](dst)
	for _, v := range floats {
		switch {
		case v != v:
			d[to] = 0
		case v <= float64(lowest):
			d[to] = T(lowest)
		case v >= float64(highest):
			d[to] = T(highest)
		default:
			d[to] = T(v)
		}
		to += step
	}
}

// firstElement returns the first element of a tensor, which must have one.
func firstElement[W wide](x *ops.Tensor) W {
	var v [1]W
	load(v[:], x, 0, 1)
	return v[0]
}

// Lists of element types.
var (
	floatTypes   = []ops.DType{ops.Float32, ops.Float64}
	integerTypes = []ops.DType{ops.Int8, ops.Int16, ops.Int32, ops.Int64, ops.Uint8, ops.Uint16, ops.Uint32, ops.Uint64}
	numericTypes = slices.Concat(floatTypes, integerTypes)
	allTypes     = append(slices.Clone(numericTypes), ops.Bool)
	indexTypes   = []ops.DType{ops.Int32, ops.Int64}
	halfTypes    = []ops.DType{ops.Float16, ops.BFloat16}
	float8Types  = []ops.DType{ops.Float8E4M3FN, ops.Float8E4M3FNUZ, ops.Float8E5M2, ops.Float8E5M2FNUZ}
)

// isFloat reports whether a type is one of the floating-point types, of which float64 holds
// all numbers.
func isFloat(d ops.DType) bool {
	switch d {
	case ops.Float32, ops.Float64, ops.Float8E8M0, ops.Float4E2M1:
		return true
	}
	return isHalf(d) || slices.Contains(float8Types, d)
}

// isHalf reports whether a type is float16 or bfloat16.
func isHalf(d ops.DType) bool { return d == ops.Float16 || d == ops.BFloat16 }
