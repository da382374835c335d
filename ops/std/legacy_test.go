package std

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// TestOldOpsets_ComputeExamples covers what changed after opsets 1 to 8.
func TestOldOpsets_ComputeExamples(t *testing.T) {
	x := opstest.F32([]int{2, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8)
	row := f32(10, 20)
	hints := []int64{0, 0}
	aligned := func(axis int64) ops.Attributes { return attrs{"broadcast": int64(1), "axis": axis} }
	image := opstest.F32([]int{1, 2, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8)
	two := opstest.F32([]int{2, 1}, 1, 3)
	runCases(t, []operatorCase{
		{"Add", opstest.Case{Opset: 6, Inputs: tensors{row, row}, Outputs: tensors{f32(20, 40)}}},
		{"Add", opstest.Case{Name: "hints", Opset: 1, Attributes: attrs{"consumed_inputs": hints}, Inputs: tensors{row, row}, Outputs: tensors{f32(20, 40)}}},
		{"Add", opstest.Case{Name: "hints are old", Opset: 6, Attributes: attrs{"consumed_inputs": hints}, Inputs: tensors{row, row}, WantErr: "unknown consumed_inputs"}},
		{"Add", opstest.Case{Name: "last axis", Opset: 6, Attributes: attrs{"broadcast": int64(1)}, Inputs: tensors{x, row}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2, 2}, 11, 22, 13, 24, 15, 26, 17, 28)}}},
		{"Add", opstest.Case{Name: "middle axis", Opset: 1, Attributes: aligned(1), Inputs: tensors{x, row}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2, 2}, 11, 12, 23, 24, 15, 16, 27, 28)}}},
		{"Mul", opstest.Case{Name: "first axes", Opset: 6, Attributes: aligned(0), Inputs: tensors{x, opstest.F32([]int{2, 2}, 1, 2, 3, 4)}, Outputs: tensors{opstest.F32([]int{2, 2, 2}, 1, 2, 6, 8, 15, 18, 28, 32)}}},
		{"Sub", opstest.Case{Name: "number", Opset: 6, Attributes: attrs{"broadcast": int64(1)}, Inputs: tensors{row, opstest.F32(nil, 1)}, Outputs: tensors{f32(9, 19)}}},
		{"Sub", opstest.Case{Name: "number anywhere", Opset: 6, Attributes: aligned(3), Inputs: tensors{row, f32(1)}, Outputs: tensors{f32(9, 19)}}},
		{"Div", opstest.Case{Name: "no broadcast", Opset: 6, Inputs: tensors{x, row}, WantErr: "A is float32(2, 2, 2), B is float32(2) (broadcast false)"}},
		{"Div", opstest.Case{Name: "beyond the last axis", Opset: 6, Attributes: aligned(2), Inputs: tensors{x, opstest.F32([]int{2, 2}, 1, 2, 3, 4)}, WantErr: "of some consecutive axes"}},
		{"Pow", opstest.Case{Opset: 1, Attributes: attrs{"broadcast": int64(1)}, Inputs: tensors{row, f32(2)}, Outputs: tensors{f32(100, 400)}}},
		{"Less", opstest.Case{Opset: 1, Attributes: aligned(0), Inputs: tensors{opstest.F32([]int{2, 1}, 1, 9), f32(5, 5)}, Outputs: tensors{opstest.Tensor([]int{2, 1}, true, false)}}},
		{"And", opstest.Case{Opset: 1, Attributes: attrs{"broadcast": int64(1)}, Inputs: tensors{bools(true, false), bools(true)}, Outputs: tensors{bools(true, false)}}},
		{"PRelu", opstest.Case{Name: "slope per channel", Opset: 6, Inputs: tensors{opstest.F32([]int{1, 2, 2}, -1, 2, -3, -4), f32(10, 100)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 2, 2}, -10, 2, -300, -400)}}},
		{"PRelu", opstest.Case{Name: "one slope", Opset: 1, Inputs: tensors{f32(-1, 2), f32(10)}, Outputs: tensors{f32(-10, 2)}}},
		{"Sum", opstest.Case{Opset: 6, Inputs: tensors{row, row}, Outputs: tensors{f32(20, 40)}}},
		{"Max", opstest.Case{Name: "broadcast", Opset: 6, Inputs: tensors{row, f32(1)}, WantErr: "shapes broadcast since opset 8 only"}},
		{"Concat", opstest.Case{Name: "default axis", Opset: 1, Inputs: tensors{two, two}, Outputs: tensors{opstest.F32([]int{2, 2}, 1, 1, 3, 3)}}},
		{"Concat", opstest.Case{Name: "no default axis", Opset: 4, Inputs: tensors{two, two}, WantErr: "axis is missing"}},
		{"Reshape", opstest.Case{Opset: 1, Attributes: attrs{"shape": []int64{0, -1}}, Inputs: tensors{x}, Outputs: tensors{opstest.F32([]int{2, 4}, 1, 2, 3, 4, 5, 6, 7, 8)}}},
		{"Reshape", opstest.Case{Name: "shape as an input", Opset: 4, Inputs: tensors{x, opstest.Ints(8)}, WantErr: "the shape is an attribute before opset 5"}},
		{"Tile", opstest.Case{Opset: 1, Constants: []int{1, 2}, Inputs: tensors{two, opstest.Tensor(nil, int64(2)), opstest.Tensor(nil, int64(1))}, Outputs: tensors{opstest.F32([]int{2, 2}, 1, 1, 3, 3)}}},
		{"Selu", opstest.Case{Opset: 1, Inputs: tensors{f32(2)}, Outputs: tensors{f32(2.1014)}, Tolerance: 1e-6}},
		{"Clip", opstest.Case{Opset: 1, Attributes: attrs{"max": float32(15), "consumed_inputs": hints}, Inputs: tensors{row}, Outputs: tensors{f32(10, 15)}}},
		{"Gemm", opstest.Case{Name: "broadcast", Opset: 6, Attributes: attrs{"broadcast": int64(1)}, Inputs: tensors{two, opstest.F32([]int{1, 2}, 1, 2), f32(10, 20)}, Outputs: tensors{opstest.F32([]int{2, 2}, 11, 22, 13, 26)}}},
		{"Gemm", opstest.Case{Name: "no broadcast", Opset: 6, Inputs: tensors{two, opstest.F32([]int{1, 2}, 1, 2), f32(10, 20)}, WantErr: "does not broadcast"}},
		{"Dropout", opstest.Case{Opset: 6, Attributes: attrs{"is_test": int64(1), "ratio": float32(0.9)}, Inputs: tensors{row}, Outputs: tensors{row, f32(1, 1)}}},
		{"BatchNormalization", opstest.Case{Name: "test", Opset: 1, Attributes: attrs{"is_test": int64(1), "epsilon": float32(0), "consumed_inputs": hints}, Inputs: tensors{two, f32(2), f32(1), f32(1), f32(4)}, Outputs: tensors{opstest.F32([]int{2, 1}, 1, 3)}}},
		{"BatchNormalization", opstest.Case{Name: "training", Opset: 6, Attributes: attrs{"epsilon": float32(0), "momentum": float32(0.5)}, Inputs: tensors{two, f32(2), f32(1), f32(0), f32(0)}, Outputs: tensors{opstest.F32([]int{2, 1}, -1, 3), f32(1), f32(0.5), f32(2), f32(1)}}},
		{"BatchNormalization", opstest.Case{Name: "training by outputs", Opset: 9, Attributes: attrs{"epsilon": float32(0), "momentum": float32(0.5)}, Inputs: tensors{two, f32(2), f32(1), f32(0), f32(0)}, Outputs: tensors{opstest.F32([]int{2, 1}, -1, 3), f32(1), f32(0.5)}}},
		{"BatchNormalization", opstest.Case{Name: "too many outputs", Opset: 14, Attributes: attrs{"training_mode": int64(1)}, Inputs: tensors{two, f32(2), f32(1), f32(0), f32(0)}, Outputs: tensors{two, two, two, two}, WantErr: "the number of outputs is 4"}},
		{"BatchNormalization", opstest.Case{
			Name: "per element", Opset: 7, Attributes: attrs{"spatial": int64(0), "epsilon": float32(0)}, Batch: []int{0},
			Inputs:  tensors{opstest.F32([]int{1, 1, 2}, 1, 2), opstest.F32([]int{1, 2}, 1, 2), opstest.F32([]int{1, 2}, 0, 0), opstest.F32([]int{1, 2}, 1, 1), opstest.F32([]int{1, 2}, 1, 4)},
			Outputs: tensors{opstest.F32([]int{1, 1, 2}, 0, 1)},
		}},
		{"MeanVarianceNormalization", opstest.Case{Name: "only the mean", Opset: 1, Attributes: attrs{"normalize_variance": int64(0)}, Inputs: tensors{image}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 2, 2, 2}, -1.5, -0.5, 0.5, 1.5, -1.5, -0.5, 0.5, 1.5)}}},
		{"Affine", opstest.Case{Opset: 1, Attributes: attrs{"alpha": float32(2), "beta": float32(1)}, Inputs: tensors{row}, Outputs: tensors{f32(21, 41)}}},
		{"Scale", opstest.Case{Opset: 1, Attributes: attrs{"scale": float32(2)}, Inputs: tensors{row}, Outputs: tensors{f32(20, 40)}}},
		{"ScaledTanh", opstest.Case{Opset: 1, Attributes: attrs{"alpha": float32(2), "beta": float32(0.5)}, Inputs: tensors{f32(2)}, Outputs: tensors{f32(1.5231884)}, Tolerance: 1e-6}},
		{"ParametricSoftplus", opstest.Case{Opset: 1, Attributes: attrs{"alpha": float32(2), "beta": float32(0.5)}, Inputs: tensors{f32(2)}, Outputs: tensors{f32(2.6265233)}, Tolerance: 1e-6}},
		{"ThresholdedRelu", opstest.Case{Opset: 1, Inputs: tensors{f32(1, 2)}, Outputs: tensors{f32(0, 2)}}},
		{"ImageScaler", opstest.Case{Opset: 1, Attributes: attrs{"scale": float32(2), "bias": []float32{0, 1}}, Inputs: tensors{image}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 2, 2, 2}, 2, 4, 6, 8, 11, 13, 15, 17)}}},
		{"Crop", opstest.Case{Opset: 1, Attributes: attrs{"border": []int64{1, 0, 0, 1}}, Inputs: tensors{image}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 2, 1, 1}, 2, 6)}}},
		{"Crop", opstest.Case{Name: "size", Opset: 1, Attributes: attrs{"border": []int64{0, 1, 0, 0}, "scale": []int64{1, 1}}, Inputs: tensors{image}, Outputs: tensors{opstest.F32([]int{1, 2, 1, 1}, 3, 7)}}},
		{"Crop", opstest.Case{Name: "too much", Opset: 1, Attributes: attrs{"border": []int64{1, 0, 2, 0}}, Inputs: tensors{image}, WantErr: "do not fit"}},
		{"DynamicSlice", opstest.Case{Opset: 1, Constants: []int{1, 2}, Inputs: tensors{row, opstest.Ints(1), opstest.Ints(9)}, Outputs: tensors{f32(20)}}},
		{"ConstantFill", opstest.Case{Opset: 1, Attributes: attrs{"shape": []int64{2}, "value": float32(3), "dtype": int64(ops.Int64)}, Outputs: tensors{opstest.Ints(3, 3)}}},
		{"ConstantFill", opstest.Case{Name: "shape as an input", Opset: 1, Attributes: attrs{"input_as_shape": int64(1), "extra_shape": []int64{1}}, Constants: []int{0}, Inputs: tensors{opstest.Ints(2)}, Outputs: tensors{opstest.F32([]int{2, 1}, 0, 0)}}},
		{"GivenTensorFill", opstest.Case{Opset: 1, Attributes: attrs{"shape": []int64{1, 2}, "values": []float32{1, 2}}, Outputs: tensors{opstest.F32([]int{1, 2}, 1, 2)}}},
		{"GivenTensorFill", opstest.Case{Name: "shape of the input", Opset: 1, Attributes: attrs{"values": []float32{1}}, Inputs: tensors{row}, WantErr: "the shape has 2 elements, but values has 1"}},
	})
}

// TestDropout_DropsBeforeOpset7UnlessInTest also checks that gradients do not pass through
// shapes that are aligned in the old way.
func TestDropout_DropsBeforeOpset7UnlessInTest(t *testing.T) {
	op, err := find(t, "Dropout").New(ops.Node{Name: "d", Opset: 6, NumInputs: 1, NumOutputs: 2})
	require.NoError(t, err)
	out, err := ops.Run(op, &ops.Context{Context: t.Context(), Pool: parallel.New(1)}, tensors{constantTensor(1, 1, 1000)})
	require.NoError(t, err)
	kept := 0
	for i, v := range out[0].Float32s() {
		require.Equal(t, 2*out[1].Float32s()[i], v)
		kept += int(v / 2)
	}
	require.InDelta(t, 500, kept, 80)

	op, err = find(t, "Add").New(ops.Node{Opset: 6, NumInputs: 2})
	require.NoError(t, err)
	_, ok := op.(ops.Differentiable)
	require.False(t, ok)
}
