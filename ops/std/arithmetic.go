package std

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

var errDivision = errors.New("integer division by zero")

// newAdd returns Add (opsets 1, 6, 7, 13, 14): C = A + B for each element.
//
// Add, Sub, Mul and Div have no attributes since opset 7; see newBroadcasting. A and B have the same type, any but bool. Their
// shapes broadcast as in numpy: they are aligned at the last dimension, and a dimension of
// size 1 or a missing dimension is repeated. Integers wrap around.
func newAdd(n ops.Node) (operation, error) {
	return newArithmetic(n, arithmetic{
		ops.Float32:  pairRows(kernel.Add),
		ops.Float16:  halfRows(kernel.Add),
		ops.BFloat16: halfRows(kernel.Add),
		ops.Float64:  typedRows(add[float64]),
		ops.Int32:    typedRows(add[int32]),
	}.integers(add[int64], nil))
}

// newSub returns Sub (opsets 1, 6, 7, 13, 14): C = A - B. See newAdd.
func newSub(n ops.Node) (operation, error) {
	return newArithmetic(n, arithmetic{
		ops.Float32:  pairRows(kernel.Sub),
		ops.Float16:  halfRows(kernel.Sub),
		ops.BFloat16: halfRows(kernel.Sub),
		ops.Float64:  typedRows(sub[float64]),
		ops.Int32:    typedRows(sub[int32]),
	}.integers(sub[int64], nil))
}

// newMul returns Mul (opsets 1, 6, 7, 13, 14): C = A * B. See newAdd.
func newMul(n ops.Node) (operation, error) {
	return newArithmetic(n, arithmetic{
		ops.Float32:  pairRows(kernel.Mul),
		ops.Float16:  halfRows(kernel.Mul),
		ops.BFloat16: halfRows(kernel.Mul),
		ops.Float64:  typedRows(mul[float64]),
		ops.Int32:    typedRows(mul[int32]),
	}.integers(mul[int64], nil))
}

// newDiv returns Div (opsets 1, 6, 7, 13, 14): C = A / B. Integers are rounded toward zero, and
// dividing them by zero is an error. See newAdd.
func newDiv(n ops.Node) (operation, error) {
	return newArithmetic(n, arithmetic{
		ops.Float32:  pairRows(kernel.Div),
		ops.Float16:  halfRows(kernel.Div),
		ops.BFloat16: halfRows(kernel.Div),
		ops.Float64:  typedRows(div[float64]),
	}.integers(divInt[int64], divInt[uint64]))
}

// rowFunc computes the iterations lo to hi-1 of a nest over the output and two inputs.
type rowFunc func(n *nest, lo, hi int, out, a, b *ops.Tensor) error

// arithmetic holds a rowFunc for each supported element type of A.
type arithmetic map[ops.DType]rowFunc

// integers adds the integer types that k does not have yet. They are computed by signed or,
// for uint64, by unsigned; unsigned may be nil if the sign makes no difference.
func (k arithmetic) integers(signed func(out, a, b []int64, stepA, stepB int) error, unsigned func(out, a, b []uint64, stepA, stepB int) error) arithmetic {
	for _, d := range integerTypes {
		switch {
		case k[d] != nil:
		case d == ops.Int64:
			k[d] = typedRows(signed)
		case d == ops.Uint64 && unsigned != nil:
			k[d] = typedRows(unsigned)
		default:
			k[d] = convertedRows(signed)
		}
	}
	return k
}

func newArithmetic(n ops.Node, k arithmetic) (operation, error) {
	return newBroadcasting(n, k)
}

func (k arithmetic) infer(in []*ops.Input) (ops.Type, error) {
	a, b := in[0].Type, in[1].Type
	if err := a.CheckDType("A", sortedTypes(k)...); err != nil {
		return ops.Type{}, err
	}
	if a.DType != b.DType {
		return ops.Type{}, fmt.Errorf("%w: A is %v but B is %v", ops.ErrDType, a, b)
	}
	return broadcastType(a.DType, a, b)
}

// broadcastType returns the type of the result of an operation on A and B.
func broadcastType(d ops.DType, a, b ops.Type) (ops.Type, error) {
	shape, err := broadcast(a.Shape, b.Shape)
	if err != nil {
		return ops.Type{}, fmt.Errorf("%w: A is %v, B is %v", err, a, b)
	}
	return ops.Type{DType: d, Shape: shape}, nil
}

func (k arithmetic) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return elementwise(ctx, k[in[0].DType()], out, in[0], in[1])
}

// elementwise computes an operation on a and b, which broadcast to the shape of the output.
func elementwise(ctx *ops.Context, compute rowFunc, out, a, b *ops.Tensor) error {
	l := ops.Scratch[arithmeticLoop](ctx)
	l.out, l.a, l.b = out, a, b
	if l.compute == nil {
		shape := out.Shape()
		l.compute = compute
		l.nest = newNest(shape, rowMajor(shape), broadcastStrides(l.a.Shape(), len(shape)), broadcastStrides(l.b.Shape(), len(shape)))
	}
	return ctx.Do(l.nest.total, grain, l)
}

type arithmeticLoop struct {
	nest      nest
	out, a, b *ops.Tensor
	compute   rowFunc
}

func (l *arithmeticLoop) Part(lo, hi int) error { return l.compute(&l.nest, lo, hi, l.out, l.a, l.b) }

// broadcast returns the shape that two shapes broadcast to.
func broadcast(a, b []ops.Dim) ([]ops.Dim, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	shape := append([]ops.Dim{}, a...)
	for i, y := range b {
		d := &shape[len(a)-len(b)+i]
		switch x := *d; {
		case y.Size == 1:
		case x.Size == 1:
			*d = y
		case x.Known() && y.Known() && x.Size != y.Size:
			return nil, fmt.Errorf("%w: the shapes do not broadcast", ops.ErrShape)
		case x.Known():
		case y.Known(): // x is either y or 1
			*d = y
		case x.Symbol != y.Symbol: // either of them may be 1
			*d = unknown
		}
	}
	return shape, nil
}

// broadcastStrides returns the strides that walk through a tensor of the given shape as if
// it had been broadcast to a shape of the given rank.
func broadcastStrides(shape []int, rank int) []int {
	strides := append(make([]int, rank-len(shape)), rowMajor(shape)...)
	for i, size := range shape {
		if size == 1 {
			strides[rank-len(shape)+i] = 0
		}
	}
	return strides
}

// typedRows returns a rowFunc that calls f for each row of the nest. The elements of the
// output are consecutive; elements of the inputs are stepA and stepB apart.
func typedRows[T, O ops.Element](f func(out []O, a, b []T, stepA, stepB int) error) rowFunc {
	return func(n *nest, lo, hi int, out, a, b *ops.Tensor) error {
		o, _ := ops.Data[O](out)
		x, _ := ops.Data[T](a)
		y, _ := ops.Data[T](b)
		step := n.inner()
		return n.walk(lo, hi, func(at [maxOperands]int, count int) error {
			return f(o[at[0]:at[0]+count], x[at[1]:], y[at[2]:], step[1], step[2])
		})
	}
}

// pairRows returns a rowFunc of float32 elements.
func pairRows(op kernel.Pair) rowFunc {
	return typedRows(func(out, a, b []float32, stepA, stepB int) error {
		kernel.Combine(op, out, a, b, stepA, stepB)
		return nil
	})
}

// convertedRows is typedRows for elements that are converted to W and back.
func convertedRows[W wide](f func(out, a, b []W, stepA, stepB int) error) rowFunc {
	return func(n *nest, lo, hi int, out, a, b *ops.Tensor) error {
		var x, y, z [chunk]W
		step := n.inner()
		return n.walk(lo, hi, func(at [maxOperands]int, count int) error {
			for i := 0; i < count; i += chunk {
				m := min(chunk, count-i)
				load(x[:m], a, at[1]+i*step[1], step[1])
				load(y[:m], b, at[2]+i*step[2], step[2])
				if err := f(z[:m], x[:m], y[:m], 1, 1); err != nil {
					return err
				}
				store(out, at[0]+i, 1, z[:m])
			}
			return nil
		})
	}
}

// add and mul have special loops for consecutive elements and for a single number with many
// elements. The general loop takes three times as long.
func add[T nativeNumber](out, a, b []T, stepA, stepB int) error {
	if stepA == 0 {
		a, b, stepA, stepB = b, a, stepB, stepA
	}
	switch {
	case stepA == 1 && stepB == 1:
		a, b = a[:len(out)], b[:len(out)]
		for i := range out {
			out[i] = a[i] + b[i]
		}
	case stepA == 1 && stepB == 0 && len(out) > 0:
		v, a := b[0], a[:len(out)]
		for i := range out {
			out[i] = a[i] + v
		}
	default:
		for i := range out {
			out[i] = a[i*stepA] + b[i*stepB]
		}
	}
	return nil
}

func sub[T nativeNumber](out, a, b []T, stepA, stepB int) error {
	for i := range out {
		out[i] = a[i*stepA] - b[i*stepB]
	}
	return nil
}

func mul[T nativeNumber](out, a, b []T, stepA, stepB int) error {
	if stepA == 0 {
		a, b, stepA, stepB = b, a, stepB, stepA
	}
	switch {
	case stepA == 1 && stepB == 1:
		a, b = a[:len(out)], b[:len(out)]
		for i := range out {
			out[i] = a[i] * b[i]
		}
	case stepA == 1 && stepB == 0 && len(out) > 0:
		v, a := b[0], a[:len(out)]
		for i := range out {
			out[i] = a[i] * v
		}
	default:
		for i := range out {
			out[i] = a[i*stepA] * b[i*stepB]
		}
	}
	return nil
}

func div[T float32 | float64](out, a, b []T, stepA, stepB int) error {
	for i := range out {
		out[i] = a[i*stepA] / b[i*stepB]
	}
	return nil
}

func divInt[T int64 | uint64](out, a, b []T, stepA, stepB int) error {
	for i := range out {
		d := b[i*stepB]
		if d == 0 {
			return errDivision
		}
		out[i] = a[i*stepA] / d
	}
	return nil
}
