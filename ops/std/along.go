package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// checkZeroPoint checks a quantized input and its zero point, which may be a vector along
// an axis.
func checkZeroPoint(name string, in []*ops.Input, x, zero, axis int) error {
	t := in[x].Type
	if err := t.CheckDType(name, quantizedTypes...); err != nil {
		return err
	}
	if zero >= len(in) || in[zero] == nil {
		return nil
	}
	z := in[zero].Type
	if err := z.CheckDType("the zero point of "+name, t.DType); err != nil {
		return err
	}
	if !fitsAlong(t.Shape, z.Shape, axis) {
		return fmt.Errorf("%w: %s is %v but its zero point is %v", ops.ErrShape, name, t, z)
	}
	return nil
}

// fitsAlong reports whether scales or zero points of a shape fit elements of the shape x: they
// are scalars, or vectors along an axis, or have the dimensions of x or 1.
func fitsAlong(x, shape []ops.Dim, axis int) bool {
	switch len(shape) {
	case 0:
		return true
	case 1:
		if shape[0].Size == 1 {
			return true
		}
		at, err := axisOf(int64(axis), len(x))
		if err != nil {
			return false
		}
		_, ok := mergeDims(shape[0], x[at])
		return ok
	}
	ok := len(shape) == len(x)
	for i := 0; ok && i < len(x); i++ {
		if _, ok = mergeDims(shape[i], x[i]); !ok {
			ok = shape[i].Size == 1
		}
	}
	return ok
}

// stridesAlong returns the strides that walk through scales or zero points that fit elements
// of the shape x. See fitsAlong.
func stridesAlong(x, shape []int, axis int) []int {
	if len(shape) == 1 && shape[0] == 1 {
		shape = nil
	}
	if len(shape) == 1 {
		at := axis
		if at < 0 {
			at += len(x)
		}
		size := shape[0]
		shape = slices.Repeat([]int{1}, len(x))
		shape[at] = size
	}
	return broadcastStrides(shape, len(x))
}

// subtractZeroPoint returns the elements of x minus their zero point, which may be nil.
func subtractZeroPoint(t *temporary, x, zero *ops.Tensor, axis int) []int64 {
	v := copyOf[int64](t, x)
	if zero == nil || t.err != nil {
		return v
	}
	combineAlong(t, v, x.Shape(), elementsOf[int64](t, zero), zero.Shape(), axis, func(v, zero int64) int64 { return v - zero })
	return v
}

// combineAlong replaces each element of v, whose shape is given, by f of it and its scale or
// zero point.
func combineAlong[W wide](t *temporary, v []W, shape []int, list []W, listShape []int, axis int, f func(v, p W) W) {
	if t.err != nil || len(v) == 0 {
		return
	}
	strides := rowMajor(shape)
	n := newNest(shape, strides, stridesAlong(shape, listShape, axis))
	step := n.inner()
	t.err = t.ctx.For(n.total, grain, func(lo, hi int) error {
		return n.walk(lo, hi, func(at [maxOperands]int, count int) error {
			for i := range count {
				v[at[0]+i*step[0]] = f(v[at[0]+i*step[0]], list[at[1]+i*step[1]])
			}
			return nil
		})
	})
}
