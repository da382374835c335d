package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newMax returns Max (opsets 1, 6, 8, 12, 13): the largest of the corresponding elements of
// all inputs. NaN counts as larger than all numbers. There is at least one input, and all
// have the same type, any but bool. The shapes broadcast as for Add; before opset 8 they are
// equal. There are no attributes.
func newMax(n ops.Node) (operation, error) {
	return variadic{equal: n.Opset < 8, step: arithmetic{
		ops.Float32: pairRows(kernel.Max),
		ops.Float64: typedRows(elementPairs(func(a, b float64) float64 { return max(a, b) })),
	}.integers(elementPairs(func(a, b int64) int64 { return max(a, b) }), elementPairs(func(a, b uint64) uint64 { return max(a, b) }))}, n.Attributes.Only()
}

// newMin returns Min (opsets 1, 6, 8, 12, 13): the smallest of the corresponding elements. NaN
// counts as smaller than all numbers. See newMax.
func newMin(n ops.Node) (operation, error) {
	return variadic{equal: n.Opset < 8, step: arithmetic{
		ops.Float32: pairRows(kernel.Min),
		ops.Float64: typedRows(elementPairs(func(a, b float64) float64 { return min(a, b) })),
	}.integers(elementPairs(func(a, b int64) int64 { return min(a, b) }), elementPairs(func(a, b uint64) uint64 { return min(a, b) }))}, n.Attributes.Only()
}

// newSum returns Sum (opsets 1, 6, 8, 13): the sum of float32 or float64 inputs. See newMax.
func newSum(n ops.Node) (operation, error) {
	return variadic{equal: n.Opset < 8, step: arithmetic{ops.Float32: pairRows(kernel.Add), ops.Float64: typedRows(add[float64])}}, n.Attributes.Only()
}

// newMean returns Mean (opsets 1, 6, 8, 13): the mean of float32 or float64 inputs. See
// newMax.
func newMean(n ops.Node) (operation, error) {
	return variadic{
		equal: n.Opset < 8,
		step:  arithmetic{ops.Float32: pairRows(kernel.Add), ops.Float64: typedRows(add[float64])},
		mean:  true,
	}, n.Attributes.Only()
}

// variadic combines the result so far with one input after the other.
type variadic struct {
	step  arithmetic
	mean  bool
	equal bool // the shapes must be equal
}

func (k variadic) infer(in []*ops.Input) (ops.Type, error) {
	t := in[0].Type
	if err := t.CheckDType("input 0", sortedTypes(k.step)...); err != nil {
		return t, err
	}
	for i, x := range in[1:] {
		if x.DType != t.DType {
			return t, fmt.Errorf("%w: input 0 is %v but input %d is %v", ops.ErrDType, t, i+1, x.Type)
		}
		shape, err := broadcast(t.Shape, x.Shape)
		if err == nil && k.equal && !mayBeEqual(t.Shape, x.Shape) {
			err = fmt.Errorf("%w: shapes broadcast since opset 8 only", ops.ErrShape)
		}
		if err != nil {
			return t, fmt.Errorf("%w: input %d is %v, the inputs before it broadcast to %v", err, i+1, x.Type, t)
		}
		t.Shape = shape
	}
	return t, nil
}

// mayBeEqual reports whether two shapes can be the same.
func mayBeEqual(a, b []ops.Dim) bool {
	ok := len(a) == len(b)
	for i := 0; ok && i < len(a); i++ {
		_, ok = mergeDims(a[i], b[i])
	}
	return ok
}

func (k variadic) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if k.equal {
		if err := checkValues(k, in, out); err != nil {
			return err
		}
	}
	shape := out.Shape()
	strides := rowMajor(shape)
	c := copying{nest: newNest(shape, strides, broadcastStrides(in[0].Shape(), len(shape)))}
	if err := c.run(ctx, out, in[0]); err != nil {
		return err
	}
	for _, x := range in[1:] {
		n := newNest(shape, strides, strides, broadcastStrides(x.Shape(), len(shape)))
		l := arithmeticLoop{nest: n, out: out, a: out, b: x, compute: k.step[out.DType()]}
		if err := ctx.Do(n.total, grain, &l); err != nil {
			return err
		}
	}
	if !k.mean || len(in) == 1 {
		return nil
	}
	divide := eachWide(func(x float64) float64 { return x / float64(len(in)) })
	return ctx.Do(out.Len(), grain, &unaryLoop{out: out, x: out, compute: divide})
}
