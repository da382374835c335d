package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// backward computes the gradient of an operator. It adds to the elements of gradIn that are
// not nil. All tensors are float32 and have the right shape.
type backward func(ctx *ops.Context, k operation, in []*ops.Tensor, out *ops.Tensor, g []float32, gradIn [][]float32) error

// gradientOf returns the gradient of an operator, or nil if gradients cannot pass through
// the operator.
func gradientOf(name string) backward {
	switch name {
	case "Add":
		return arithmeticGradient(partials{partSame, partSame})
	case "Sub":
		return arithmeticGradient(partials{partSame, partMinus})
	case "Mul":
		return arithmeticGradient(partials{partTimesB, partTimesA})
	case "Div":
		return arithmeticGradient(partials{partOver, partUnder})
	case "Conv":
		return convGradient
	case "AveragePool":
		return averagePoolGradient
	case "MaxPool":
		return maxPoolGradient
	case "Concat":
		return concatGradient
	case "Slice":
		return sliceGradient
	case "Flatten", "Identity", "Reshape":
		return sameGradient
	case "Neg":
		return negGradient
	case "Relu":
		return reluGradient
	case "ReduceSum":
		return reduceSumGradient
	case "Softmax":
		return softmaxGradient
	}
	return nil
}

var errSpatial = fmt.Errorf("%w: training with more than two spatial axes is not supported", ops.ErrShape)

// differentiable is an op through which gradients can pass.
type differentiable struct {
	*op
	gradient backward
}

// Backward implements ops.Differentiable.
func (d *differentiable) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := ops.CheckGradients(in, out, gradOut, gradIn); err != nil {
		return err
	}
	types, err := d.Infer(inputs(in))
	if err != nil {
		return err
	}
	if err := types[0].Check(out[0]); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	grads, wanted := make([][]float32, len(gradIn)), false
	for i, g := range gradIn {
		if g != nil {
			grads[i], wanted = g.Float32s(), true
		}
	}
	if !wanted || out[0].Len() == 0 {
		return nil
	}
	return d.gradient(ctx, d.single, in, out[0], gradOut[0].Float32s(), grads)
}

// addElements adds src times a factor to dst. Both have the same length.
func addElements(ctx *ops.Context, dst, src []float32, factor float32) error {
	return ctx.For(len(dst), grain, func(lo, hi int) error {
		for i, v := range src[lo:hi] {
			dst[lo+i] += float32(factor * v)
		}
		return nil
	})
}

func sameGradient(ctx *ops.Context, _ operation, _ []*ops.Tensor, _ *ops.Tensor, g []float32, gradIn [][]float32) error {
	return addElements(ctx, gradIn[0], g, 1)
}

func negGradient(ctx *ops.Context, _ operation, _ []*ops.Tensor, _ *ops.Tensor, g []float32, gradIn [][]float32) error {
	return addElements(ctx, gradIn[0], g, -1)
}

func reluGradient(ctx *ops.Context, _ operation, in []*ops.Tensor, _ *ops.Tensor, g []float32, gradIn [][]float32) error {
	x, grad := in[0].Float32s(), gradIn[0]
	return ctx.For(len(grad), grain, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			if x[i] > 0 {
				grad[i] += g[i]
			}
		}
		return nil
	})
}

// addNest adds the elements of src that a nest walks through to elements of dst, which is
// the first array of the nest. The places in dst count from to, and the places in src count
// from from. The nest must reach no element of dst twice.
func addNest(ctx *ops.Context, n *nest, dst []float32, to int, src []float32, from int) error {
	step := n.inner()
	return ctx.For(n.total, grain, func(lo, hi int) error {
		return n.walk(lo, hi, func(at [maxOperands]int, count int) error {
			i, j := to+at[0], from+at[1]
			for range count {
				dst[i] += src[j]
				i += step[0]
				j += step[1]
			}
			return nil
		})
	})
}

func concatGradient(ctx *ops.Context, k operation, in []*ops.Tensor, out *ops.Tensor, g []float32, gradIn [][]float32) error {
	c := k.(concat)
	axis, err := axisOf(c.axis, len(out.Shape()))
	if err != nil {
		return err
	}
	strides := rowMajor(out.Shape())
	from := 0
	for i, x := range in {
		if gradIn[i] != nil {
			n := newNest(x.Shape(), rowMajor(x.Shape()), strides)
			if err := addNest(ctx, &n, gradIn[i], 0, g, from); err != nil {
				return err
			}
		}
		from += x.Shape()[axis] * strides[axis]
	}
	return nil
}

func sliceGradient(ctx *ops.Context, k operation, in []*ops.Tensor, out *ops.Tensor, g []float32, gradIn [][]float32) error {
	to, strides, err := k.(slicing).source(in)
	if err != nil {
		return err
	}
	n := newNest(out.Shape(), strides, rowMajor(out.Shape()))
	return addNest(ctx, &n, gradIn[0], to, g, 0)
}

func reduceSumGradient(ctx *ops.Context, k operation, in []*ops.Tensor, _ *ops.Tensor, g []float32, gradIn [][]float32) error {
	r := k.(*reduction)
	axes := r.axes
	if len(in) > 1 && in[1] != nil {
		axes = in[1].Int64s()
	}
	shape := in[0].Shape()
	reduced, err := r.reduced(axes, len(shape))
	if err != nil {
		return err
	}
	kept := slices.Clone(shape)
	for i := range kept {
		if reduced[i] {
			kept[i] = 1
		}
	}
	n := newNest(shape, rowMajor(shape), broadcastStrides(kept, len(shape)))
	return addNest(ctx, &n, gradIn[0], 0, g, 0)
}

func softmaxGradient(ctx *ops.Context, k operation, _ []*ops.Tensor, out *ops.Tensor, g []float32, gradIn [][]float32) error {
	s := k.(*softmax)
	shape, y, grad := out.Shape(), out.Float32s(), gradIn[0]
	axis, err := axisOf(s.axis, len(shape))
	if err != nil {
		return err
	}
	size, step := shape[axis], rowMajor(shape)[axis]
	if s.toEnd {
		size, step = size*step, 1
	}
	return ctx.For(len(y)/size, max(1, grain/16/size), func(lo, hi int) error {
		for row := lo; row < hi; row++ {
			first := row/step*step*size + row%step
			var overlap float64
			for i := first; i < first+size*step; i += step {
				overlap += float64(float64(y[i]) * float64(g[i]))
			}
			for i := first; i < first+size*step; i += step {
				grad[i] += float32(float64(y[i]) * (float64(g[i]) - overlap))
			}
		}
		return nil
	})
}
