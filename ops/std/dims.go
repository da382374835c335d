package std

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// unknown is a dimension without a known size or name.
var unknown = ops.Dim{Size: -1}

// mergeDims combines the information about two dimensions that must be equal. It returns
// false if they differ.
func mergeDims(a, b ops.Dim) (ops.Dim, bool) {
	switch {
	case a.Known() && b.Known():
		return a, a.Size == b.Size
	case b.Known() || !a.Known() && a.Symbol == "":
		return b, true
	}
	return a, true
}

// dimProduct returns the product of dimensions. If only one of them is unknown and the
// product of the others is 1, the result keeps its symbol.
func dimProduct(dims []ops.Dim) ops.Dim {
	p := ops.Dim{Size: 1}
	for _, d := range dims {
		switch {
		case p == ops.Dim{Size: 1}:
			p = d
		case d.Size == 0 || p.Size == 0:
			p = ops.Dim{}
		case d.Size == 1:
		case p.Known() && d.Known():
			p = ops.Dim{Size: p.Size * d.Size}
		default:
			p = unknown
		}
	}
	return p
}

// axisOf returns the index of an axis, which counts from the end if it is negative.
func axisOf(axis int64, rank int) (int, error) {
	if axis < -int64(rank) || axis >= int64(rank) {
		return 0, fmt.Errorf("%w: axis %d is out of range for rank %d", ops.ErrShape, axis, rank)
	}
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), nil
}

// errNotYet is the error of infer if the type of an output is not known before a run, not even
// its rank. op.Infer returns the zero Type instead.
var errNotYet = errors.New("the rank of the output is not known yet")

// checkVector returns the length of an input that must be a vector of one of the given types. A
// scalar counts as a vector of one element, as some exporters write axes and sizes.
func checkVector(name string, in *ops.Input, types ...ops.DType) (ops.Dim, error) {
	if err := in.Type.CheckDType(name, types...); err != nil {
		return unknown, err
	}
	switch len(in.Shape) {
	case 0:
		return ops.Dim{Size: 1}, nil
	case 1:
		return in.Shape[0], nil
	}
	return unknown, fmt.Errorf("%w: %s is %v, want a vector", ops.ErrShape, name, in.Type)
}

// integers returns the elements of an int32 or int64 tensor.
func integers(t *ops.Tensor) []int64 {
	narrow, ok := ops.Data[int32](t)
	if !ok {
		return t.Int64s()
	}
	elements := make([]int64, len(narrow))
	for i, v := range narrow {
		elements[i] = int64(v)
	}
	return elements
}

// rowMajor returns the strides of a tensor of this shape.
func rowMajor(shape []int) []int {
	strides := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	return strides
}

// sortedTypes returns the keys of a map in a fixed order.
func sortedTypes[V any](m map[ops.DType]V) []ops.DType { return slices.Sorted(maps.Keys(m)) }

// checkScalar returns an error unless a tensor has one of the given types and a single
// element.
func checkScalar(name string, t ops.Type, supported ...ops.DType) error {
	if err := t.CheckDType(name, supported...); err != nil {
		return err
	}
	for _, d := range t.Shape {
		if d.Known() && d.Size != 1 {
			return fmt.Errorf("%w: %s is %v, want a scalar", ops.ErrShape, name, t)
		}
	}
	return nil
}
