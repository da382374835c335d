package std

import (
	"context"
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// newSoftmax returns Softmax (opsets 1, 11, 13): exp(x) divided by the sum of exp(x) along
// an axis. Before opset 13 the sum runs over this axis and all axes after it. The input is
// float32 or float64 and has any shape.
//
// Attributes: axis (default -1; 1 before opset 13), from -rank to rank-1. Negative values
// are allowed since opset 11.
func newSoftmax(n ops.Node) (operation, error) {
	return newNormalizing(n, softmax{row64: softmaxRow, lists: true})
}

// newLogSoftmax returns LogSoftmax (opsets 1, 11, 13): the logarithm of Softmax, with the
// same attributes.
func newLogSoftmax(n ops.Node) (operation, error) {
	return newNormalizing(n, softmax{row64: logSoftmaxRow, lists: true, logarithm: true})
}

// newHardmax returns Hardmax (opsets 1, 11, 13): 1 for the first of the largest elements
// along an axis, and 0 for the others. The attributes are the same as for Softmax.
func newHardmax(n ops.Node) (operation, error) {
	return newNormalizing(n, softmax{row32: hardmaxRow[float32], row64: hardmaxRow[float64]})
}

// rowOf computes size elements that are step apart.
type rowOf func(ctx context.Context, out, x *ops.Tensor, first, size, step int) error

func newNormalizing(n ops.Node, k softmax) (operation, error) {
	k.toEnd = n.Opset < 13
	standard := int64(-1)
	if k.toEnd {
		standard = 1
	}
	var err error
	k.axis, err = axisAttr(n, standard)
	return &k, err
}

type softmax struct {
	axis  int64
	toEnd bool // the sum runs over this axis and all axes after it

	row32, row64 rowOf
	lists        bool // float32 is computed by softmaxLists instead of row32
	logarithm    bool // of softmaxLists
}

func (k *softmax) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("input", ops.Float32, ops.Float64); err != nil {
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
	*l = softmaxLoop{ctx: ctx, out: out, x: in[0], size: shape[axis], step: 1, row: k.row32}
	for _, s := range shape[axis+1:] {
		l.step *= s
	}
	if k.toEnd {
		l.size, l.step = l.size*l.step, 1
	}
	defer func() { l.ctx = nil }()
	switch {
	case out.DType() == ops.Float64:
		l.row = k.row64
	case k.lists:
		return k.runLists(ctx, l)
	}
	return ctx.Do(out.Len()/l.size, max(1, grain/16/l.size), l)
}

type softmaxLoop struct {
	ctx        *ops.Context // of the run
	out, x     *ops.Tensor
	size, step int // of the elements of a row
	row        rowOf
}

func (l *softmaxLoop) Part(lo, hi int) error {
	for row := lo; row < hi; row++ {
		if err := l.row(l.ctx, l.out, l.x, row/l.step*l.step*l.size+row%l.step, l.size, l.step); err != nil {
			return err
		}
	}
	return nil
}

func softmaxRow(ctx context.Context, out, x *ops.Tensor, first, size, step int) error {
	o, _ := ops.Data[float64](out)
	d, _ := ops.Data[float64](x)
	top, total, err := exponentials(ctx, d, first, size, step)
	if err != nil {
		return err
	}
	return inPieces(ctx, size, func(lo, hi int) {
		for i := first + lo*step; i < first+hi*step; i += step {
			o[i] = portmath.Exp(d[i]-top) / total
		}
	})
}

// exponentials returns the largest element and the sum of exp(x - largest). Subtracting the
// maximum makes the largest exponent 0, so that nothing overflows.
func exponentials(ctx context.Context, d []float64, first, size, step int) (top, total float64, err error) {
	top = math.Inf(-1)
	err = inPieces(ctx, size, func(lo, hi int) {
		for i := first + lo*step; i < first+hi*step; i += step {
			top = max(top, d[i])
		}
	})
	if err != nil {
		return 0, 0, err
	}
	err = inPieces(ctx, size, func(lo, hi int) {
		for i := first + lo*step; i < first+hi*step; i += step {
			total += portmath.Exp(d[i] - top)
		}
	})
	return top, total, err
}

func logSoftmaxRow(ctx context.Context, out, x *ops.Tensor, first, size, step int) error {
	o, _ := ops.Data[float64](out)
	d, _ := ops.Data[float64](x)
	top, total, err := exponentials(ctx, d, first, size, step)
	if err != nil {
		return err
	}
	log := portmath.Log(total)
	return inPieces(ctx, size, func(lo, hi int) {
		for i := first + lo*step; i < first+hi*step; i += step {
			o[i] = d[i] - top - log
		}
	})
}

func hardmaxRow[T float32 | float64](ctx context.Context, out, x *ops.Tensor, first, size, step int) error {
	o, _ := ops.Data[T](out)
	d, _ := ops.Data[T](x)
	top := first
	err := inPieces(ctx, size, func(lo, hi int) {
		for i := first + lo*step; i < first+hi*step; i += step {
			if d[i] > d[top] {
				top = i
			}
			o[i] = 0
		}
	})
	o[top] = 1
	return err
}
