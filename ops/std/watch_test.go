package std

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// TestRun_StopsSoonAfterCancellation runs operators whose whole work is one call from a
// parallel loop, in which they must check the context themselves.
func TestRun_StopsSoonAfterCancellation(t *testing.T) {
	const looks = 8
	image := constantTensor(1, 1, 1, 100, 100)
	small, large := []int64{2, 2}, []int64{50, 50}
	for _, c := range []operatorCase{
		{"MaxPool", opstest.Case{Attributes: attrs{"kernel_shape": large}, Inputs: tensors{image}}},
		{"AveragePool", opstest.Case{Attributes: attrs{"kernel_shape": large}, Inputs: tensors{image}}},
		{"MaxPool", opstest.Case{Name: "three axes", Attributes: attrs{"kernel_shape": []int64{20, 20, 10}}, Inputs: tensors{constantTensor(1, 1, 1, 40, 40, 10)}}},
		{"LpPool", opstest.Case{Attributes: attrs{"kernel_shape": []int64{30, 30}}, Inputs: tensors{constantTensor(1, 1, 1, 60, 60)}}},
		{"Conv", opstest.Case{Name: "float64", Inputs: tensors{ones(ops.Float64, 1, 1, 80, 80), ones(ops.Float64, 1, 1, 40, 40)}}},
		{"ConvTranspose", opstest.Case{Inputs: tensors{constantTensor(1, 1, 1, 40, 40), constantTensor(1, 1, 1, 40, 40)}}},
		{"ConvInteger", opstest.Case{Inputs: tensors{ones(ops.Uint8, 1, 1, 80, 80), ones(ops.Uint8, 1, 1, 40, 40)}}},
		{"Det", opstest.Case{Inputs: tensors{opstest.Random(1, 160, 160)}}},
	} {
		op, err := find(t, c.operator).New(ops.Node{Opset: 17, NumInputs: len(c.Inputs), Attributes: c.Attributes})
		require.NoError(t, err, c.operator)
		_, err = ops.Run(op, contextCanceledAfter(t, looks), c.Inputs)
		require.ErrorIs(t, err, context.Canceled, "%s %s", c.operator, c.Name)
	}
	for _, c := range []operatorCase{
		{"MaxPool", opstest.Case{Attributes: attrs{"kernel_shape": large}, Inputs: tensors{image}}},
		{"AveragePool", opstest.Case{Attributes: attrs{"kernel_shape": large}, Inputs: tensors{image}}},
		{"Conv", opstest.Case{Attributes: attrs{"dilations": small}, Inputs: tensors{image, constantTensor(1, 1, 1, 2, 2)}}},
	} {
		op, err := find(t, c.operator).New(ops.Node{Opset: 17, NumInputs: len(c.Inputs), Attributes: c.Attributes})
		require.NoError(t, err, c.operator)
		out, err := ops.Run(op, &ops.Context{Context: t.Context(), Pool: parallel.New(1)}, c.Inputs)
		require.NoError(t, err, c.operator)
		grads := make(tensors, len(c.Inputs))
		grads[0] = constantTensor(0, c.Inputs[0].Shape()...)
		err = op.(ops.Differentiable).Backward(contextCanceledAfter(t, looks), c.Inputs, out, out, grads)
		require.ErrorIs(t, err, context.Canceled, "gradient of %s", c.operator)
	}
}

// contextCanceledAfter returns a context that is canceled once it was checked a number of
// times.
func contextCanceledAfter(t *testing.T, looks int) *ops.Context {
	return &ops.Context{Context: opstest.CanceledAfter(t.Context(), looks), Pool: parallel.New(1)}
}
