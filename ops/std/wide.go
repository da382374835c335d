package std

import (
	"math"

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
	}
}

func loadFrom[T integerOrFloat, W wide](dst []W, src *ops.Tensor, from, step int) {
	s, _ := ops.Data[T](src)
	for i := range dst {
		dst[i] = W(s[from])
		from += step
	}
}

// store is the inverse of load. If the destination is an integer type, integers keep their
// low bits, floating-point numbers are truncated and clamped to the type's range, and NaN
// becomes 0.
func store[W wide](dst *ops.Tensor, to, step int, src []W) {
	switch dst.DType() {
	case ops.Float32:
		storeTo[float32](dst, to, step, src)
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
	numericTypes = append(append([]ops.DType{}, floatTypes...), integerTypes...)
	allTypes     = append(append([]ops.DType{}, numericTypes...), ops.Bool)
	indexTypes   = []ops.DType{ops.Int32, ops.Int64}
)

func isFloat(d ops.DType) bool { return d == ops.Float32 || d == ops.Float64 }
