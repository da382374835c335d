package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newWhere returns Where (opsets 9, 16): X where the condition, a bool tensor, is true, and
// Y elsewhere. X and Y have the same type, which may be any. The three shapes broadcast as
// for Add. There are no attributes.
func newWhere(n ops.Node) (operation, error) { return where{}, n.Attributes.Only() }

type where struct{}

func (where) infer(in []*ops.Input) (ops.Type, error) {
	c, x, y := in[0].Type, in[1].Type, in[2].Type
	if err := c.CheckDType("condition", ops.Bool); err != nil {
		return x, err
	}
	if x.DType != y.DType {
		return x, fmt.Errorf("%w: X is %v but Y is %v", ops.ErrDType, x, y)
	}
	shape, err := broadcast(x.Shape, y.Shape)
	if err == nil {
		shape, err = broadcast(c.Shape, shape)
	}
	if err != nil {
		return x, fmt.Errorf("%w: condition is %v, X is %v, Y is %v", err, c, x, y)
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

func (where) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	l := ops.Scratch[whereLoop](ctx)
	if l.mover == nil {
		shape := out.Shape()
		rank := len(shape)
		l.nest = newNest(shape, rowMajor(shape), broadcastStrides(in[0].Shape(), rank), broadcastStrides(in[1].Shape(), rank), broadcastStrides(in[2].Shape(), rank))
		l.mover = movers[out.DType()]
	}
	l.condition, _ = ops.Data[bool](in[0])
	l.out, l.x, l.y = out, in[1], in[2]
	return ctx.Do(l.nest.total, grain, l)
}

type whereLoop struct {
	nest      nest
	condition []bool
	out, x, y *ops.Tensor
	mover     mover
}

func (l *whereLoop) Part(lo, hi int) error { return l.mover.choose(l, lo, hi) }

func (moverOf[T]) choose(l *whereLoop, lo, hi int) error {
	o, _ := ops.Data[T](l.out)
	x, _ := ops.Data[T](l.x)
	y, _ := ops.Data[T](l.y)
	step := l.nest.inner()
	if o32, ok := any(o).([]float32); ok && step[0] == 1 && step[1] <= 1 {
		return l.chooseSingles(lo, hi, o32)
	}
	return l.nest.walk(lo, hi, func(at [maxOperands]int, count int) error {
		for i := range count {
			from := y[at[3]+i*step[3]]
			if l.condition[at[1]+i*step[1]] {
				from = x[at[2]+i*step[2]]
			}
			o[at[0]+i*step[0]] = from
		}
		return nil
	})
}

// chooseSingles is choose for float32 elements.
func (l *whereLoop) chooseSingles(lo, hi int, out []float32) error {
	x, y := l.x.Float32s(), l.y.Float32s()
	step := l.nest.inner()
	return l.nest.walk(lo, hi, func(at [maxOperands]int, count int) error {
		o, a, b := out[at[0]:at[0]+count], x[at[2]:], y[at[3]:]
		if step[1] == 1 {
			kernel.Select(o, l.condition[at[1]:], a, b, step[2], step[3])
			return nil
		}
		stepA := step[2]
		if !l.condition[at[1]] {
			a, stepA = b, step[3]
		}
		for i := range o {
			o[i] = a[i*stepA]
		}
		return nil
	})
}
