package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// newSoftmax makes Softmax (opsets 1, 11, 13): exp(x) over the sum of exp(x)
// along an axis. Before opset 13 the sum is over that axis and all behind it.
// The input is float32 or float64 of any shape.
//
// Attributes: axis (-1; 1 before opset 13), -rank to rank-1; negative since
// opset 11.
func newSoftmax(n ops.Node) (kernel, error) {
	if err := n.Attributes.Only("axis"); err != nil {
		return nil, err
	}
	k := softmax{toEnd: n.Opset < 13}
	standard := int64(-1)
	if k.toEnd {
		standard = 1
	}
	var err error
	if k.axis, err = ops.Attr(n.Attributes, "axis", standard); err != nil {
		return nil, err
	}
	if k.axis < 0 && n.Opset < 11 {
		return nil, fmt.Errorf("%w: axis %d is negative before opset 11", ops.ErrAttribute, k.axis)
	}
	return &k, nil
}

type softmax struct {
	axis  int64
	toEnd bool // over all axes from this one
}

func (k *softmax) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := checkDType("input", x, ops.Float32, ops.Float64); err != nil {
		return ops.Type{}, err
	}
	if _, err := axisOf(k.axis, len(x.Shape)); err != nil {
		return ops.Type{}, fmt.Errorf("%w: input is %v", err, x)
	}
	return x, nil
}

func (k *softmax) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	shape := out.Shape()
	axis, err := axisOf(k.axis, len(shape))
	if err != nil || out.Len() == 0 {
		return err
	}
	l := ops.Scratch[softmaxLoop](ctx)
	*l = softmaxLoop{out: out, x: in[0], size: shape[axis], step: 1, row: softmaxRow[float32]}
	for _, s := range shape[axis+1:] {
		l.step *= s
	}
	if k.toEnd {
		l.size, l.step = l.size*l.step, 1
	}
	if out.DType() == ops.Float64 {
		l.row = softmaxRow[float64]
	}
	return ctx.Do(out.Len()/l.size, max(1, grain/16/l.size), l)
}

type softmaxLoop struct {
	out, x     *ops.Tensor
	size, step int // of a row
	row        func(out, x *ops.Tensor, first, size, step int)
}

func (l *softmaxLoop) Part(lo, hi int) error {
	for row := lo; row < hi; row++ {
		l.row(l.out, l.x, row/l.step*l.step*l.size+row%l.step, l.size, l.step)
	}
	return nil
}

// softmaxRow computes size elements from the first one, step apart.
func softmaxRow[T float32 | float64](out, x *ops.Tensor, first, size, step int) {
	o, _ := ops.Data[T](out)
	d, _ := ops.Data[T](x)
	end := first + size*step
	// The largest exponent becomes 0, so that nothing overflows.
	top := math.Inf(-1)
	for i := first; i < end; i += step {
		top = max(top, float64(d[i]))
	}
	total := 0.0
	for i := first; i < end; i += step {
		total += math.Exp(float64(d[i]) - top)
	}
	for i := first; i < end; i += step {
		o[i] = T(math.Exp(float64(d[i])-top) / total)
	}
}
