package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// opstest checks the numbers, and that the operator keeps the contract of ops.Op.
func TestSharpen_PassesTheHarness(t *testing.T) {
	power := func(p float32) ops.Attributes { return ops.Attributes{"power": p} }
	x := opstest.F32([]int{2, 3}, .2, .3, .5, 0, 1, 1)
	opstest.Run(t, Sharpen(), []opstest.Case{
		{
			Name: "power 1 normalizes", Batch: []int{0}, Tolerance: 1e-6,
			Inputs:  []*ops.Tensor{x},
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 3}, .2, .3, .5, 0, .5, .5)},
		},
		{
			Name: "power 2", Batch: []int{0}, Tolerance: 1e-6, Attributes: power(2),
			Inputs:  []*ops.Tensor{x},
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 3}, .04/.38, .09/.38, .25/.38, 0, .5, .5)},
		},
		{
			Name: "positions", Batch: []int{0}, Tolerance: 1e-6, Attributes: power(2),
			Inputs:  []*ops.Tensor{opstest.F32([]int{1, 2, 1, 3}, 1, 2, 0, 3, 1, 0)},
			Outputs: []*ops.Tensor{opstest.F32([]int{1, 2, 1, 3}, .1, .8, 0, .9, .2, 0)},
		},
		{Name: "no images", Inputs: []*ops.Tensor{opstest.F32([]int{0, 3})}, Outputs: []*ops.Tensor{opstest.F32([]int{0, 3})}},
		{Name: "small power", Attributes: power(.5), Inputs: []*ops.Tensor{x}, WantErr: "power is 0.5"},
		{Name: "infinite power", Attributes: power(float32(math.Inf(1))), Inputs: []*ops.Tensor{x}, WantErr: "power is +Inf"},
		{Name: "integer power", Attributes: ops.Attributes{"power": int64(2)}, Inputs: []*ops.Tensor{x}, WantErr: "power"},
		{Name: "unknown attribute", Attributes: ops.Attributes{"Power": float32(2)}, Inputs: []*ops.Tensor{x}, WantErr: "Power"},
		{Name: "unknown version", Opset: 2, Inputs: []*ops.Tensor{x}, WantErr: "version 2"},
		{Name: "vector", Inputs: []*ops.Tensor{opstest.F32([]int{2}, 1, 1)}, WantErr: "at least 2 dimensions"},
		{Name: "integers", Inputs: []*ops.Tensor{opstest.I64([]int{1, 1}, 1)}, WantErr: "want float32"},
		{Name: "negative", Inputs: []*ops.Tensor{opstest.F32([]int{1, 2}, 1, -1)}, WantRunErr: "negative"},
	})
}

func TestSharpen_HasTheRightGradient(t *testing.T) {
	opstest.Gradient(t, Sharpen(), []opstest.GradientCase{
		{
			Case: opstest.Case{
				Name: "power 3", Attributes: ops.Attributes{"power": float32(3)}, Tolerance: 1e-2,
				Inputs: []*ops.Tensor{opstest.F32([]int{2, 3, 1, 2}, .5, .3, .2, .4, .3, .3, 1, .7, .2, .4, .6, .8)},
			},
			Trained: []int{0},
		},
		{
			Case: opstest.Case{
				Name: "power 1", Tolerance: 1e-5,
				Inputs: []*ops.Tensor{opstest.F32([]int{1, 2}, 1, 3)},
			},
			Trained: []int{0},
			GradOut: opstest.F32([]int{1, 2}, 1, 0),
			Want:    []*ops.Tensor{opstest.F32([]int{1, 2}, 3./16, -1./16)},
		},
	})
}

func TestNoiseGate_PassesTheHarness(t *testing.T) {
	opstest.Run(t, NoiseGate(.5), []opstest.Case{{
		Name: "threshold", Batch: []int{0},
		Inputs:  []*ops.Tensor{opstest.F32([]int{2, 2}, -1, .4, .5, 2)},
		Outputs: []*ops.Tensor{opstest.F32([]int{2, 2}, 0, 0, .5, 2)},
	}, {
		Name: "integers", Inputs: []*ops.Tensor{opstest.I64([]int{1}, 1)}, WantErr: "want float32",
	}})
}

// A single operator runs without a model.
func TestSharpen_RunsAlone(t *testing.T) {
	op, err := Sharpen().New(ops.Node{Opset: 1, NumInputs: 1, Attributes: ops.Attributes{"power": float32(2)}})
	require.NoError(t, err)
	ctx := ops.NewContext(t.Context(), 0)
	defer ctx.Close()
	x, err := ops.NewTensor([]int{1, 2}, []float32{1, 2})
	require.NoError(t, err)
	out, err := ops.Run(op, ctx, []*ops.Tensor{x})
	require.NoError(t, err)
	require.InDeltaSlice(t, []float32{.2, .8}, out[0].Float32s(), 1e-6)
}
