package std

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

var errDivision = errors.New("integer division by zero")

// newAdd makes Add (opsets 7, 13, 14): C = A + B, element by element.
//
// Add, Sub, Mul and Div have no attributes. A and B are of one type: float32,
// float64, int32 or int64. Their shapes broadcast as in numpy: aligned at the
// last dimension, a size of 1 or a missing dimension is repeated. Integers wrap
// around.
func newAdd(n ops.Node) (kernel, error) {
	return newArithmetic(n, arithmetic{
		ops.Float32: rows(add[float32]),
		ops.Float64: rows(add[float64]),
		ops.Int32:   rows(add[int32]),
		ops.Int64:   rows(add[int64]),
	})
}

// newSub makes Sub (opsets 7, 13, 14): C = A - B; see newAdd.
func newSub(n ops.Node) (kernel, error) {
	return newArithmetic(n, arithmetic{
		ops.Float32: rows(sub[float32]),
		ops.Float64: rows(sub[float64]),
		ops.Int32:   rows(sub[int32]),
		ops.Int64:   rows(sub[int64]),
	})
}

// newMul makes Mul (opsets 7, 13, 14): C = A * B; see newAdd.
func newMul(n ops.Node) (kernel, error) {
	return newArithmetic(n, arithmetic{
		ops.Float32: rows(mul[float32]),
		ops.Float64: rows(mul[float64]),
		ops.Int32:   rows(mul[int32]),
		ops.Int64:   rows(mul[int64]),
	})
}

// newDiv makes Div (opsets 7, 13, 14): C = A / B; see newAdd. Integers are
// rounded towards zero, and dividing them by zero is an error.
func newDiv(n ops.Node) (kernel, error) {
	return newArithmetic(n, arithmetic{
		ops.Float32: rows(div[float32]),
		ops.Float64: rows(div[float64]),
		ops.Int32:   rows(divInt[int32]),
		ops.Int64:   rows(divInt[int64]),
	})
}

// arithmetic holds what computes the iterations lo to hi for each element type.
type arithmetic map[ops.DType]func(n *nest, lo, hi int, out, a, b *ops.Tensor) error

func newArithmetic(n ops.Node, k arithmetic) (kernel, error) {
	return k, n.Attributes.Only()
}

func (k arithmetic) infer(in []*ops.Input) (ops.Type, error) {
	a, b := in[0].Type, in[1].Type
	if err := checkDType("A", a, ops.Float32, ops.Float64, ops.Int32, ops.Int64); err != nil {
		return ops.Type{}, err
	}
	if a.DType != b.DType {
		return ops.Type{}, fmt.Errorf("%w: A is %v but B is %v", ops.ErrDType, a, b)
	}
	shape, err := broadcast(a.Shape, b.Shape)
	if err != nil {
		return ops.Type{}, fmt.Errorf("%w: A is %v, B is %v", err, a, b)
	}
	return ops.Type{DType: a.DType, Shape: shape}, nil
}

func (k arithmetic) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	l := ops.Scratch[arithmeticLoop](ctx)
	l.out, l.a, l.b = out, in[0], in[1]
	if l.compute == nil {
		shape := out.Shape()
		l.compute = k[out.DType()]
		l.nest = newNest(shape, rowMajor(shape), repeated(l.a.Shape(), len(shape)), repeated(l.b.Shape(), len(shape)))
	}
	return ctx.Do(l.nest.total, grain, l)
}

type arithmeticLoop struct {
	nest      nest
	out, a, b *ops.Tensor
	compute   func(n *nest, lo, hi int, out, a, b *ops.Tensor) error
}

func (l *arithmeticLoop) Part(lo, hi int) error { return l.compute(&l.nest, lo, hi, l.out, l.a, l.b) }

// broadcast returns the shape of an operation on two shapes.
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

// repeated returns the strides that walk through a tensor of the given shape as
// if it had been broadcast to a number of dimensions.
func repeated(shape []int, rank int) []int {
	strides := append(make([]int, rank-len(shape)), rowMajor(shape)...)
	for i, size := range shape {
		if size == 1 {
			strides[rank-len(shape)+i] = 0
		}
	}
	return strides
}

// rows applies f, which computes one row of a nest. The output's elements are
// consecutive, those of the inputs stepA and stepB apart.
func rows[T number](f func(out, a, b []T, stepA, stepB int) error) func(n *nest, lo, hi int, out, a, b *ops.Tensor) error {
	return func(n *nest, lo, hi int, out, a, b *ops.Tensor) error {
		o, _ := ops.Data[T](out)
		x, _ := ops.Data[T](a)
		y, _ := ops.Data[T](b)
		step := n.inner()
		return n.walk(lo, hi, func(at [maxOperands]int, count int) error {
			return f(o[at[0]:at[0]+count], x[at[1]:], y[at[2]:], step[1], step[2])
		})
	}
}

// add and mul have loops of their own for elements side by side and for one number
// with many: the general one takes three times as long.
func add[T number](out, a, b []T, stepA, stepB int) error {
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

func sub[T number](out, a, b []T, stepA, stepB int) error {
	for i := range out {
		out[i] = a[i*stepA] - b[i*stepB]
	}
	return nil
}

func mul[T number](out, a, b []T, stepA, stepB int) error {
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

func divInt[T int32 | int64](out, a, b []T, stepA, stepB int) error {
	for i := range out {
		d := b[i*stepB]
		if d == 0 {
			return errDivision
		}
		out[i] = a[i*stepA] / d
	}
	return nil
}
