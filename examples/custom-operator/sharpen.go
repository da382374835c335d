package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// Sharpen returns the operator Sharpen of the domain example.com:
//
//	Y[b,n,...] = X[b,n,...]^power / sum_m X[b,m,...]^power
//
// X is float32 (batch, neurons, ...) and not negative, such as h of a Spike-By-Spike
// layer. Y has the same shape. If all X of a sum are 0, so are their Y. The attribute power
// is a float of at least 1, the default.
func Sharpen() ops.Operator {
	return ops.Operator{
		Domain: "example.com", Name: "Sharpen",
		MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
		New: newSharpen,
	}
}

func newSharpen(n ops.Node) (ops.Op, error) {
	if n.Opset != 1 {
		return nil, fmt.Errorf("version %d of the domain is not supported, only version 1", n.Opset)
	}
	if err := n.Attributes.Only("power"); err != nil {
		return nil, err
	}
	power, err := ops.Attr[float32](n.Attributes, "power", 1)
	if err != nil {
		return nil, err
	}
	if !(power >= 1) || math.IsInf(float64(power), 1) { // NaN is not at least 1
		return nil, fmt.Errorf("%w: power is %v, want a finite number of at least 1", ops.ErrAttribute, power)
	}
	return sharpen{float64(power)}, nil
}

type sharpen struct{ power float64 }

var _ ops.Differentiable = sharpen{}

func (s sharpen) Infer(in []*ops.Input) ([]ops.Type, error) {
	switch x := in[0].Type; {
	case x.DType != ops.Float32:
		return nil, fmt.Errorf("%w: %v, want float32", ops.ErrDType, x.DType)
	case len(x.Shape) < 2:
		return nil, fmt.Errorf("%w: X is %v, want at least 2 dimensions", ops.ErrShape, x)
	}
	return []ops.Type{in[0].Type}, nil
}

func (s sharpen) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, y := in[0].Float32s(), out[0].Float32s()
	return eachSum(ctx, in[0], func(first, step, end int) error {
		sum := 0.
		for i := first; i < end; i += step {
			if !(x[i] >= 0) {
				return errors.New("X has an element that is negative or not a number")
			}
			sum += math.Pow(float64(x[i]), s.power)
		}
		for i := first; i < end; i += step {
			y[i] = 0
			if sum > 0 {
				y[i] = float32(math.Pow(float64(x[i]), s.power) / sum)
			}
		}
		return nil
	})
}

// Backward adds to the gradient of X[j] the sum over n of gradOut[n] * dY[n]/dX[j], with
//
//	dY[n]/dX[j] = power * X[j]^(power-1) / sum_m X[m]^power * ((n == j) - Y[n])
func (s sharpen) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := ops.CheckGradients(in, out, gradOut, gradIn); err != nil || gradIn[0] == nil {
		return err
	}
	x, y, gradY, gradX := in[0].Float32s(), out[0].Float32s(), gradOut[0].Float32s(), gradIn[0].Float32s()
	return eachSum(ctx, in[0], func(first, step, end int) error {
		sum, mean := 0., 0.
		for i := first; i < end; i += step {
			sum += math.Pow(float64(x[i]), s.power)
			mean += float64(gradY[i]) * float64(y[i])
		}
		for i := first; i < end && sum > 0; i += step {
			gradX[i] += float32(s.power * math.Pow(float64(x[i]), s.power-1) / sum * (float64(gradY[i]) - mean))
		}
		return nil
	})
}

// eachSum calls f for every sum over the neurons, on all workers of the context. The
// elements of the sum are at first, first+step, ... below end.
func eachSum(ctx *ops.Context, x *ops.Tensor, f func(first, step, end int) error) error {
	shape, positions := x.Shape(), 1
	for _, size := range shape[2:] {
		positions *= size
	}
	const grain = 256 // sums that one worker computes at a time
	return ctx.For(shape[0]*positions, grain, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			image, position := i/positions, i%positions
			size := shape[1] * positions // of an image
			if err := f(image*size+position, positions, (image+1)*size); err != nil {
				return err
			}
		}
		return nil
	})
}
