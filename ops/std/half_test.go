package std

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// TestHalf_KeepsConstantWeights compares nodes with constant float16 weights with nodes whose
// weights may change.
func TestHalf_KeepsConstantWeights(t *testing.T) {
	half := func(x *ops.Tensor) *ops.Tensor {
		h, err := ops.Zeros(ops.Float16, x.Shape())
		require.NoError(t, err)
		castElements[float64](0, x.Len(), h, x)
		return h
	}
	for name, shapes := range map[string][2][]int{"Conv": {{2, 4, 7, 7}, {9, 4, 3, 3}}, "MatMul": {{3, 5}, {5, 20}}} {
		t.Run(name, func(t *testing.T) {
			newOp := func() ops.Op {
				op, err := find(t, name).New(ops.Node{Opset: 17, NumInputs: 2, NumOutputs: 1})
				require.NoError(t, err)
				return op
			}
			kept, x := newOp(), half(opstest.Random(1, shapes[0]...))
			weights := []*ops.Tensor{half(opstest.Random(2, shapes[1]...)), half(opstest.Random(3, shapes[1]...))}
			for run := range 6 {
				in := []*ops.Tensor{x, weights[run/2%2]} // each of them twice, and the first again
				want, err := ops.Run(newOp(), new(ops.Context), in)
				require.NoError(t, err)
				got, err := ops.Run(kept, &ops.Context{Constants: []bool{false, true}}, in)
				require.NoError(t, err)
				require.Equal(t, want, got, "run %d", run)
			}
		})
	}
}
