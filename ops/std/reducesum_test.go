package std

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestReduceSum_ComputesExamples(t *testing.T) {
	x := opstest.F32([]int{2, 3, 2}, 1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60)
	drop := ops.Attributes{"keepdims": int64(0)}
	cases := []opstest.Case{
		{Name: "all axes", Inputs: []*ops.Tensor{x}, Outputs: []*ops.Tensor{opstest.F32([]int{1, 1, 1}, 231)}},
		{Name: "all axes, empty input", Attributes: drop, Inputs: []*ops.Tensor{x, opstest.Ints()}, Outputs: []*ops.Tensor{opstest.F32(nil, 231)}},
		{Name: "axes omitted", Attributes: drop, Inputs: []*ops.Tensor{x, nil}, Outputs: []*ops.Tensor{opstest.F32(nil, 231)}},
		{Name: "noop_with_empty_axes", Attributes: ops.Attributes{"noop_with_empty_axes": int64(1)}, Inputs: []*ops.Tensor{x}, Outputs: []*ops.Tensor{x}},
		{Name: "middle axis", Inputs: []*ops.Tensor{x, opstest.Ints(1)}, Batch: []int{0}, Outputs: []*ops.Tensor{opstest.F32([]int{2, 1, 2}, 9, 12, 90, 120)}},
		{Name: "outer and inner", Attributes: drop, Inputs: []*ops.Tensor{x, opstest.Ints(-1, 0)}, Outputs: []*ops.Tensor{opstest.F32([]int{3}, 33, 77, 121)}},
		{
			Name: "axes as attribute", Opset: 11, Attributes: ops.Attributes{"axes": []int64{1, 2}, "keepdims": int64(0)},
			Inputs: []*ops.Tensor{x}, Batch: []int{0}, Outputs: []*ops.Tensor{opstest.F32([]int{2}, 21, 210)},
		},
		{Name: "int32", Inputs: []*ops.Tensor{opstest.I32([]int{2}, 1, 2)}, Outputs: []*ops.Tensor{opstest.I32([]int{1}, 3)}},
		{Name: "int64", Inputs: []*ops.Tensor{opstest.Ints(1<<62, 1, 1<<53)}, Outputs: []*ops.Tensor{opstest.Ints(1<<62 + 1 + 1<<53)}},
		{Name: "float64", Inputs: []*ops.Tensor{opstest.F64([]int{2}, 0.5, 2)}, Outputs: []*ops.Tensor{opstest.F64([]int{1}, 2.5)}},
		{Name: "scalar", Inputs: []*ops.Tensor{opstest.F64(nil, 2)}, Outputs: []*ops.Tensor{opstest.F64(nil, 2)}},
		{Name: "no summands", Attributes: drop, Inputs: []*ops.Tensor{opstest.F32([]int{2, 0}), opstest.Ints(1)}, Outputs: []*ops.Tensor{opstest.F32([]int{2}, 0, 0)}},
		{Name: "float32 keeps small summands", Inputs: []*ops.Tensor{opstest.F32([]int{4}, 1<<24, 1, 1, -1<<24)}, Outputs: []*ops.Tensor{opstest.F32([]int{1}, 2)}},
		{Name: "several parts", Attributes: drop, Inputs: []*ops.Tensor{constantTensor(1, 6, 20, 500), opstest.Ints(1)}, Batch: []int{0}, Outputs: []*ops.Tensor{constantTensor(20, 6, 500)}},
		{Name: "axis 3", Inputs: []*ops.Tensor{x, opstest.Ints(3)}, WantErr: "axis 3 is out of range for rank 3: data is float32(2, 3, 2)"},
		{Name: "axis twice", Inputs: []*ops.Tensor{x, opstest.Ints(2, -1)}, WantErr: "axes [2 -1] contain axis 2 twice"},
		{Name: "int32 axes", Inputs: []*ops.Tensor{x, opstest.I32([]int{1}, 0)}, WantErr: "axes is int32(1), want int64"},
		{Name: "bool", Inputs: []*ops.Tensor{opstest.Tensor(nil, true)}, WantErr: "data is bool()"},
		{Name: "axes as input in opset 12", Opset: 12, Inputs: []*ops.Tensor{x, opstest.Ints(0)}, WantErr: "the axes must be an attribute"},
		{Name: "axes as attribute in opset 13", Opset: 13, Attributes: ops.Attributes{"axes": []int64{0}}, Inputs: []*ops.Tensor{x}, WantErr: "unknown axes"},
	}
	for i := range cases {
		cases[i].Constants = []int{1}
	}
	opstest.Run(t, find(t, "ReduceSum"), cases)
}

// TestReduceSum_FollowsChangedAxes changes the axes from run to run without changing the
// type of the output: a vector is summed over axis 0, then axis -1, then an invalid axis.
func TestReduceSum_FollowsChangedAxes(t *testing.T) {
	op, err := find(t, "ReduceSum").New(ops.Node{Attributes: ops.Attributes{"keepdims": int64(0)}, Opset: 17, NumInputs: 2})
	require.NoError(t, err)
	ctx := &ops.Context{Context: t.Context(), Pool: parallel.New(1)}
	x, out := opstest.F32([]int{3}, 1, 2, 3), opstest.F32(nil, 0)
	for _, axis := range []int64{0, -1} {
		require.NoError(t, op.Run(ctx, []*ops.Tensor{x, opstest.Ints(axis)}, []*ops.Tensor{out}))
		require.Equal(t, []float32{6}, out.Float32s())
	}
	require.ErrorContains(t, op.Run(ctx, []*ops.Tensor{x, opstest.Ints(1)}, []*ops.Tensor{out}), "axis 1 is out of range for rank 1")
}

func TestReduceSum_InfersUnknownAxes(t *testing.T) {
	n, free := opstest.Unknown("N"), opstest.Unknown("")
	data := opstest.Typed(ops.Float32, n, opstest.Known(8), free)
	drop := ops.Attributes{"keepdims": int64(0)}
	want := func(dims ...ops.Dim) []ops.Type { return []ops.Type{{DType: ops.Float32, Shape: dims}} }
	opstest.Infer(t, find(t, "ReduceSum"), []opstest.InferCase{
		{Name: "known axes", Inputs: []*ops.Input{data, opstest.Const(opstest.Ints(2))}, Want: want(n, opstest.Known(8), opstest.Known(1))},
		{Name: "unknown axes", Inputs: []*ops.Input{data, opstest.Typed(ops.Int64, free)}, Want: want(free, free, free)},
		{Name: "unknown axes of known number", Attributes: drop, Inputs: []*ops.Input{data, opstest.Typed(ops.Int64, opstest.Known(1))}, Want: want(free, free)},
		{Name: "unknown number of axes", Attributes: drop, Inputs: []*ops.Input{data, opstest.Typed(ops.Int64, free)}, Want: []ops.Type{{}}},
		{Name: "too many axes", Attributes: drop, Inputs: []*ops.Input{data, opstest.Typed(ops.Int64, opstest.Known(4))}, WantErr: "the number of axes is 4, but data is float32(N, 8, ?)"},
		{Name: "no axes", Attributes: drop, Inputs: []*ops.Input{data, opstest.Typed(ops.Int64, opstest.Known(0))}, Want: want()},
	})
}
