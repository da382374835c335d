package std

import (
	kernels "github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newRelu makes Relu (opsets 6, 13, 14): Y = max(X, 0), element by element; NaN
// stays NaN. It has no attributes. X is float32, float64, int32 or int64 of any
// shape.
func newRelu(n ops.Node) (kernel, error) {
	return unary{
		ops.Float32: each(kernels.Relu),
		ops.Float64: each(relu[float64]),
		ops.Int32:   each(relu[int32]),
		ops.Int64:   each(relu[int64]),
	}, n.Attributes.Only()
}

// newNeg makes Neg (opsets 6, 13): Y = -X, element by element. It has no
// attributes. X is float32, float64, int32 or int64 of any shape; integers wrap
// around.
func newNeg(n ops.Node) (kernel, error) {
	return unary{
		ops.Float32: each(neg[float32]),
		ops.Float64: each(neg[float64]),
		ops.Int32:   each(neg[int32]),
		ops.Int64:   each(neg[int64]),
	}, n.Attributes.Only()
}

// unary holds what computes the elements lo to hi for each element type.
type unary map[ops.DType]func(lo, hi int, out, x *ops.Tensor)

func (k unary) infer(in []*ops.Input) (ops.Type, error) {
	return in[0].Type, checkDType("X", in[0].Type, ops.Float32, ops.Float64, ops.Int32, ops.Int64)
}

func (k unary) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	l := ops.Scratch[unaryLoop](ctx)
	*l = unaryLoop{out: out, x: in[0], compute: k[out.DType()]}
	return ctx.Do(out.Len(), grain, l)
}

type unaryLoop struct {
	out, x  *ops.Tensor
	compute func(lo, hi int, out, x *ops.Tensor)
}

func (l *unaryLoop) Part(lo, hi int) error { l.compute(lo, hi, l.out, l.x); return nil }

func each[T number](f func(out, x []T)) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[T](out)
		d, _ := ops.Data[T](x)
		f(o[lo:hi], d[lo:hi])
	}
}

func relu[T number](out, x []T) {
	for i, v := range x {
		out[i] = max(v, 0)
	}
}

func neg[T number](out, x []T) {
	for i, v := range x {
		out[i] = -v
	}
}
