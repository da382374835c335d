package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// quantize returns x/scale, rounded half to even, plus the zero point. Storing the result
// saturates it.
func quantize(x, scale, zero float64) float64 { return math.RoundToEven(x/scale) + zero }

// newDynamicQuantizeLinear returns DynamicQuantizeLinear (opset 11): x, float32, as uint8,
// with the smallest scale for which the values of x and 0 fit, and its zero point. There
// are no attributes.
func newDynamicQuantizeLinear(n ops.Node) (multiOperation, error) {
	return dynamicQuantizeLinear{}, n.Attributes.Only()
}

type dynamicQuantizeLinear struct{}

func (dynamicQuantizeLinear) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	return []ops.Type{{DType: ops.Uint8, Shape: x.Shape}, {DType: ops.Float32}, {DType: ops.Uint8}}, checkDType("x", x, ops.Float32)
}

func (dynamicQuantizeLinear) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	var low, high float32
	x := in[0].Float32s()
	err := inPieces(ctx, len(x), func(lo, hi int) {
		for _, v := range x[lo:hi] {
			low, high = min(low, v), max(high, v)
		}
	})
	if err != nil {
		return err
	}
	scale := (high - low) / 255
	if high == low { // all are 0
		scale = 1
	}
	zero := 0.0
	if scale != 0 {
		zero = math.RoundToEven(float64(min(max(-low/scale, 0), 255)))
	}
	if len(out) > 1 {
		store(out[1], 0, 1, []float64{float64(scale)})
	}
	if len(out) > 2 {
		store(out[2], 0, 1, []float64{zero})
	}
	compute := eachWide(func(x float64) float64 {
		if scale == 0 {
			return zero
		}
		return quantize(float64(float32(x)/scale), 1, zero)
	})
	return ctx.Do(out[0].Len(), grain, &unaryLoop{out: out[0], x: in[0], compute: compute})
}

// quantizedTypes lists the types of quantized numbers.
var quantizedTypes = []ops.DType{ops.Int8, ops.Uint8}

// newMatMulInteger returns MatMulInteger (opset 10): the product of A and B, int8 or uint8,
// as int32. See newMatMul. The optional zero points are subtracted first. They are scalars, or
// vectors with one number per row of A and per column of B, or have the dimensions of A or B,
// or 1. There are no attributes.
func newMatMulInteger(n ops.Node) (operation, error) { return matMulInteger{}, n.Attributes.Only() }

type matMulInteger struct{}

func (matMulInteger) infer(in []*ops.Input) (ops.Type, error) {
	if err := checkZeroPoint("A", in, 0, 2, -2); err != nil {
		return ops.Type{}, err
	}
	if err := checkZeroPoint("B", in, 1, 3, -1); err != nil {
		return ops.Type{}, err
	}
	return matMulType(ops.Int32, in[0].Type, in[1].Type)
}

// checkZeroPoint checks a quantized input and its zero point, which may be a vector along
// an axis.
func checkZeroPoint(name string, in []*ops.Input, x, zero, axis int) error {
	t := in[x].Type
	if err := checkDType(name, t, quantizedTypes...); err != nil {
		return err
	}
	if zero >= len(in) || in[zero] == nil {
		return nil
	}
	z := in[zero].Type
	if err := checkDType("the zero point of "+name, z, t.DType); err != nil {
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

// optionalInput returns input i, or nil if it is omitted.
func optionalInput[T any](in []*T, i int) *T {
	if i < len(in) {
		return in[i]
	}
	return nil
}

func (matMulInteger) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	t := temporary{ctx: ctx}
	a, b := subtractZeroPoint(&t, in[0], optionalInput(in, 2), -2), subtractZeroPoint(&t, in[1], optionalInput(in, 3), -1)
	if t.err != nil {
		return t.err
	}
	return matrixProducts(ctx, in[0].Shape(), in[1].Shape(), a, b, func(at int, c []int64) { store(out, at, 1, c) })
}
