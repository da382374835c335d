package preview

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// op is an optimizer with its attributes bound. It implements ops.Op.
type op struct {
	rule    rule
	kinds   []string // of the inputs that belong to a trained tensor
	count   int      // the number of trained tensors
	outputs int      // of the node
}

// Infer implements ops.Op.
func (o *op) Infer(in []*ops.Input) ([]ops.Type, error) {
	if want := 2 + o.count*len(o.kinds); len(in) != want {
		return nil, fmt.Errorf("the number of inputs is %d, want %d", len(in), want)
	}
	for i, x := range in {
		if x == nil {
			return nil, fmt.Errorf("input %d is missing", i)
		}
		integer := i == 1
		switch {
		case integer && x.DType != ops.Int64:
			return nil, fmt.Errorf("%w: T is %v, want int64", ops.ErrDType, x.Type)
		case !integer && x.DType != ops.Float32 && x.DType != ops.Float64:
			return nil, fmt.Errorf("%w: input %d is %v, want float32 or float64", ops.ErrDType, i, x.Type)
		}
		for _, d := range x.Shape {
			if i < 2 && d.Known() && d.Size != 1 {
				return nil, fmt.Errorf("%w: %s is %v, want one number", ops.ErrShape, [2]string{"R", "T"}[i], x.Type)
			}
		}
	}
	types := make([]ops.Type, 0, o.count*(len(o.kinds)-1))
	for kind, name := range o.kinds {
		for i := range o.count {
			x, other := in[2+i], in[2+kind*o.count+i]
			if err := match(name, x.Type, other.Type); err != nil {
				return nil, fmt.Errorf("trained tensor %d: %w", i, err)
			}
			if kind != 1 {
				types = append(types, x.Type)
			}
		}
	}
	return types[:o.outputs], nil
}

// match returns an error unless a tensor may have the type of the trained tensor x.
func match(name string, x, other ops.Type) error {
	if x.DType != other.DType {
		return fmt.Errorf("%w: X is %v but %s is %v", ops.ErrDType, x, name, other)
	}
	ok := len(x.Shape) == len(other.Shape)
	for i := 0; ok && i < len(x.Shape); i++ {
		a, b := x.Shape[i], other.Shape[i]
		ok = !a.Known() || !b.Known() || a.Size == b.Size
	}
	if !ok {
		return fmt.Errorf("%w: X is %v but %s is %v", ops.ErrShape, x, name, other)
	}
	return nil
}

// Run implements ops.Op.
func (o *op) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for i := range 2 {
		if in[i].Len() != 1 {
			return fmt.Errorf("%w: input %d is %v, want one number", ops.ErrShape, i, ops.TypeOf(in[i]))
		}
	}
	step := o.rule(rateOf(in[0]), in[1].Int64s()[0])
	for i := range o.count {
		given, updated := make([]*ops.Tensor, len(o.kinds)), make([]*ops.Tensor, len(o.kinds))
		for kind := range o.kinds {
			given[kind] = in[2+kind*o.count+i]
			if at := max(0, kind-1)*o.count + i; kind != 1 && at < len(out) {
				updated[kind] = out[at]
			}
		}
		var err error
		if given[0].DType() == ops.Float64 {
			err = update[float64](ctx, step, given, updated)
		} else {
			err = update[float32](ctx, step, given, updated)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rateOf returns the learning rate in a tensor.
func rateOf(x *ops.Tensor) float64 {
	if v, ok := ops.Data[float64](x); ok {
		return v[0]
	}
	return float64(x.Float32s()[0])
}

// grain is the number of elements in a part of a parallel loop.
const grain = 1 << 12

// update applies a step to all elements of a tensor. Nil tensors in updated are not needed.
func update[T float32 | float64](ctx *ops.Context, step func(v *[4]float64), given, updated []*ops.Tensor) error {
	var from, to [4][]T
	for kind, x := range given {
		from[kind], _ = ops.Data[T](x)
		if updated[kind] != nil {
			to[kind], _ = ops.Data[T](updated[kind])
		}
	}
	return ctx.For(given[0].Len(), grain, func(lo, hi int) error {
		var v [4]float64
		for i := lo; i < hi; i++ {
			for kind := range given {
				v[kind] = float64(from[kind][i])
			}
			step(&v)
			for kind, t := range to {
				if t != nil {
					t[i] = T(v[kind])
				}
			}
		}
		return nil
	})
}
