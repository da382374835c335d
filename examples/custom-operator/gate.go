package main

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// NoiseGate returns an operator that replaces the standard operator Relu: it sets every
// element that is below a threshold to 0.
func NoiseGate(threshold float32) ops.Operator {
	return ops.Operator{
		Domain: "", Name: "Relu",
		MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) { return gate(threshold), n.Attributes.Only() },
	}
}

type gate float32

func (g gate) Infer(in []*ops.Input) ([]ops.Type, error) {
	if in[0].DType != ops.Float32 {
		return nil, fmt.Errorf("%w: %v, want float32", ops.ErrDType, in[0].DType)
	}
	return []ops.Type{in[0].Type}, nil
}

func (g gate) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, y := in[0].Float32s(), out[0].Float32s()
	return ctx.For(len(x), 1<<14, func(lo, hi int) error {
		for i, v := range x[lo:hi] {
			if v < float32(g) {
				v = 0
			}
			y[lo+i] = v
		}
		return nil
	})
}
