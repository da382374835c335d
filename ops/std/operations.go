package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// elementPairs returns a function of rows that applies f to each pair of elements.
func elementPairs[T any, O any](f func(a, b T) O) func(out []O, a, b []T, stepA, stepB int) error {
	return func(out []O, a, b []T, stepA, stepB int) error {
		for i := range out {
			out[i] = f(a[i*stepA], b[i*stepB])
		}
		return nil
	}
}

// inFloat64 returns the arithmetic of float32 and float64 elements, both computed in
// float64.
func inFloat64(f func(a, b float64) float64) arithmetic {
	return arithmetic{ops.Float32: convertedRows(elementPairs(f)), ops.Float64: typedRows(elementPairs(f))}
}

// newMod returns Mod (opsets 10, 13): the remainder of A / B. It has the sign of B, or with
// fmod the sign of A. The remainder of an integer divided by zero is an error. See newAdd
// for the inputs.
//
// Attributes: fmod (default 0; must be 1 for float32 and float64).
func newMod(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("fmod"); err != nil {
		return nil, err
	}
	fmod, err := ops.Attr(n.Attributes, "fmod", int64(0))
	if err != nil {
		return nil, err
	}
	if fmod != 0 {
		return inFloat64(math.Mod).integers(remainder[int64], remainder[uint64]), nil
	}
	return arithmetic{}.integers(func(out, a, b []int64, stepA, stepB int) error {
		err := remainder(out, a, b, stepA, stepB)
		for i := range out {
			if d := b[i*stepB]; err == nil && out[i] != 0 && out[i] < 0 != (d < 0) {
				out[i] += d
			}
		}
		return err
	}, remainder[uint64]), nil
}

func remainder[T int64 | uint64](out, a, b []T, stepA, stepB int) error {
	for i := range out {
		d := b[i*stepB]
		if d == 0 {
			return errDivision
		}
		out[i] = a[i*stepA] % d
	}
	return nil
}

// newBitShift returns BitShift (opset 11): X shifted by Y bits. Both have the same unsigned
// integer type. See newAdd for the shapes.
//
// Attributes: direction (required): LEFT or RIGHT.
func newBitShift(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("direction"); err != nil {
		return nil, err
	}
	direction, err := ops.Attr(n.Attributes, "direction", "")
	if err != nil {
		return nil, err
	}
	f := func(a, b uint64) uint64 { return a << b }
	switch direction {
	case "LEFT":
	case "RIGHT":
		f = func(a, b uint64) uint64 { return a >> b }
	default:
		return nil, fmt.Errorf("%w: direction %q, want LEFT or RIGHT", ops.ErrAttribute, direction)
	}
	k := arithmetic{}
	for _, d := range []ops.DType{ops.Uint8, ops.Uint16, ops.Uint32, ops.Uint64} {
		k[d] = convertedRows(elementPairs(f))
	}
	return k, nil
}

// newPow returns Pow (opsets 1, 7, 12, 13, 15): X to the power of Y for each element, in the
// type of X. The shapes broadcast as for Add. X and Y may have any types but bool. Integers
// to the power of integers wrap around; everything else is computed in float64. There are
// no attributes since opset 7; see newBroadcasting.
func newPow(n ops.Node) (operation, error) { return newBroadcasting(n, pow{}) }

type pow struct{}

func (pow) infer(in []*ops.Input) (ops.Type, error) {
	for i, name := range []string{"X", "Y"} {
		if err := in[i].Type.CheckDType(name, numericTypes...); err != nil {
			return ops.Type{}, err
		}
	}
	return broadcastType(in[0].DType, in[0].Type, in[1].Type)
}

func (pow) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if compute := powerOf(in); compute != nil {
		return ctx.Do(out.Len(), grain, &unaryLoop{out: out, x: in[0], compute: compute})
	}
	compute := convertedRows(elementPairs(portmath.Pow))
	if in[0].DType() == ops.Float32 && in[1].DType() == ops.Float32 {
		compute = singlePowers
	}
	if !isFloat(in[0].DType()) && !isFloat(in[1].DType()) {
		compute = convertedRows(elementPairs(powInt))
	}
	return elementwise(ctx, compute, out, in[0], in[1])
}

// powerOf returns the function that raises float32 elements to a common power for which there is a
// fast way, or nil.
func powerOf(in []*ops.Tensor) func(lo, hi int, out, x *ops.Tensor) {
	if in[0].DType() != ops.Float32 || in[1].Len() != 1 || len(in[1].Shape()) > len(in[0].Shape()) {
		return nil
	}
	return powerWith(firstElement[float64](in[1]))
}

// powerWith is powerOf for a given exponent.
func powerWith(exponent float64) func(lo, hi int, out, x *ops.Tensor) {
	switch exponent {
	case -1:
		return mapped(kernel.Reciprocal)
	case 0.5:
		return eachNative(squareRoots)
	case 1:
		return eachNative(func(out, x []float32) { copy(out, x) })
	case 2:
		return eachNative(func(out, x []float32) { kernel.Combine(kernel.Mul, out, x, x, 1, 1) })
	case 3:
		return eachNative(func(out, x []float32) {
			for ; len(x) > 0; x, out = x[min(len(x), chunk):], out[min(len(x), chunk):] {
				var squares [chunk]float32
				part := x[:min(len(x), chunk)]
				kernel.Combine(kernel.Mul, squares[:len(part)], part, part, 1, 1)
				kernel.Combine(kernel.Mul, out[:len(part)], squares[:len(part)], part, 1, 1)
			}
		})
	}
	return nil
}

// squareRoots computes Pow(x, 0.5), which is +infinity for -infinity and +0 for -0.
func squareRoots(out, x []float32) {
	kernel.Map(kernel.Sqrt, out, x, nil)
	low, _ := kernel.Bounds(x, 0, 0)
	for i, v := range x {
		switch {
		case math.IsInf(float64(low), 0) && v == low:
			out[i] = -low
		case v == 0:
			out[i] = 0
		}
	}
}

// powInt returns base to the power of exp, rounded toward zero.
func powInt(base, exp int64) int64 {
	if exp < 0 {
		switch base {
		case 1:
			return 1
		case -1:
			return 1 - exp&1*2
		}
		return 0
	}
	result := int64(1)
	for ; exp > 0; exp >>= 1 {
		if exp&1 != 0 {
			result *= base
		}
		base *= base
	}
	return result
}

// newPRelu returns PRelu (opsets 1, 6, 7, 9, 16): X where it is at least 0, and X * slope
// elsewhere. The slope has the type of X, any but bool, and broadcasts to the shape of X;
// before opset 7 it is one number, or one for each channel. There are no attributes.
func newPRelu(n ops.Node) (operation, error) {
	k := oneWay{arithmetic{
		ops.Float32: pairRows(kernel.PRelu),
		ops.Float64: typedRows(elementPairs(prelu[float64])),
	}.integers(elementPairs(prelu[int64]), elementPairs(prelu[uint64]))}
	if n.Opset < 7 {
		return perChannel{k}, n.Attributes.Only()
	}
	return k, n.Attributes.Only()
}

func prelu[T float32 | float64 | int64 | uint64](x, slope T) T {
	if x < 0 {
		return x * slope
	}
	return x
}

// oneWay is arithmetic whose output has the shape of A: only B broadcasts.
type oneWay struct{ arithmetic }

func (k oneWay) infer(in []*ops.Input) (ops.Type, error) {
	t, err := k.arithmetic.infer(in)
	if err != nil {
		return t, err
	}
	x := in[0].Type
	ok := len(t.Shape) == len(x.Shape)
	for i := 0; ok && i < len(x.Shape); i++ {
		ok = !x.Shape[i].Known() || !t.Shape[i].Known() || x.Shape[i].Size == t.Shape[i].Size
	}
	if !ok {
		return t, fmt.Errorf("%w: %v does not broadcast to %v", ops.ErrShape, in[1].Type, x)
	}
	return x, nil
}
