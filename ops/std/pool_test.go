package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

var inf = float32(math.Inf(1))

func TestMaxPool_ComputesExamples(t *testing.T) {
	x := opstest.F32([]int{1, 1, 3, 3}, 1, 9, 3, 4, 5, 6, 7, 8, 2)
	two := []int64{2, 2}
	opstest.Run(t, find(t, "MaxPool"), []opstest.Case{
		{
			Name:       "different strides",
			Attributes: ops.Attributes{"kernel_shape": two, "strides": []int64{1, 2}},
			Inputs:     []*ops.Tensor{x},
			Batch:      []int{0},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 2, 1}, 9, 8)},
		}, {
			Name:       "padding is never the maximum",
			Attributes: ops.Attributes{"kernel_shape": two, "strides": two, "pads": []int64{1, 1, 0, 0}},
			Inputs:     []*ops.Tensor{opstest.F32([]int{1, 1, 3, 3}, -1, -9, -3, -4, -5, -6, -7, -8, -2)},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 2, 2}, -1, -3, -4, -2)},
		}, {
			Name:       "ceil_mode",
			Attributes: ops.Attributes{"kernel_shape": two, "strides": two, "ceil_mode": int64(1)},
			Inputs:     []*ops.Tensor{x},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 2, 2}, 9, 6, 8, 2)},
		}, {
			Name:       "ceil_mode drops a window beyond the image",
			Attributes: ops.Attributes{"kernel_shape": []int64{2}, "strides": []int64{3}, "pads": []int64{1, 1}, "ceil_mode": int64(1)},
			Inputs:     []*ops.Tensor{opstest.F32([]int{1, 1, 5}, 1, 2, 3, 4, 5)},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 2}, 1, 4)},
		}, {
			Name:       "dilations that miss the image",
			Attributes: ops.Attributes{"kernel_shape": []int64{2}, "dilations": []int64{3}, "pads": []int64{1, 1}},
			Inputs:     []*ops.Tensor{opstest.F32([]int{1, 1, 2}, 1, 2)},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 1}, -inf)},
		}, {
			Name:       "auto_pad SAME_LOWER",
			Attributes: ops.Attributes{"kernel_shape": two, "auto_pad": "SAME_LOWER"},
			Inputs:     []*ops.Tensor{x},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 3, 3}, 1, 9, 9, 4, 9, 9, 7, 8, 8)},
		}, {
			Name:       "NaN",
			Attributes: ops.Attributes{"kernel_shape": []int64{3}},
			Inputs:     []*ops.Tensor{opstest.F64([]int{1, 1, 4}, 1, math.NaN(), 2, 3)},
			Outputs:    []*ops.Tensor{opstest.F64([]int{1, 1, 2}, math.NaN(), math.NaN())},
		}, {
			Name:       "small integers",
			Attributes: ops.Attributes{"kernel_shape": []int64{2}},
			Inputs:     []*ops.Tensor{opstest.Tensor([]int{1, 1, 3}, int8(-3), -2, -5)},
			Outputs:    []*ops.Tensor{opstest.Tensor([]int{1, 1, 2}, int8(-2), -2)},
		},
		{Name: "kernel_shape missing", Inputs: []*ops.Tensor{x}, WantErr: "kernel_shape is missing"},
		{Name: "unsupported type", Attributes: ops.Attributes{"kernel_shape": two}, Inputs: []*ops.Tensor{opstest.I64([]int{1, 1, 1, 1}, 1)}, WantErr: "want float32 or uint8 or int8 or float64"},
		{Name: "too few dimensions", Attributes: ops.Attributes{"kernel_shape": two}, Inputs: []*ops.Tensor{opstest.Random(1, 1, 2)}, WantErr: "want at least 3 dimensions"},
		{Name: "one number for two axes", Attributes: ops.Attributes{"kernel_shape": []int64{2}}, Inputs: []*ops.Tensor{x}, WantErr: "the length of kernel_shape [2] is 1, want 2 (spatial axes: 2)"},
		{Name: "padding only", Attributes: ops.Attributes{"kernel_shape": two, "pads": []int64{0, 2, 0, 0}}, Inputs: []*ops.Tensor{x}, WantErr: "pads [0 2 0 0] must be less than kernel_shape [2 2]"},
		{Name: "empty images", Attributes: ops.Attributes{"kernel_shape": two, "pads": []int64{1, 1, 1, 1}}, Inputs: []*ops.Tensor{opstest.F32([]int{1, 1, 0, 3})}, WantErr: "which has no pixels"},
		{Name: "window larger than the image", Attributes: ops.Attributes{"kernel_shape": []int64{4, 1}}, Inputs: []*ops.Tensor{x}, WantErr: "does not fit into an image of size 3"},
	})
}

func TestAveragePool_ComputesExamples(t *testing.T) {
	x := opstest.F32([]int{1, 1, 3, 3}, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	two := []int64{2, 2}
	opstest.Run(t, find(t, "AveragePool"), []opstest.Case{
		{
			Name:       "no padding",
			Attributes: ops.Attributes{"kernel_shape": two},
			Inputs:     []*ops.Tensor{x},
			Batch:      []int{0},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 2, 2}, 3, 4, 6, 7)},
		}, {
			Name:       "padding ignored",
			Attributes: ops.Attributes{"kernel_shape": two, "strides": two, "pads": []int64{1, 1, 0, 0}},
			Inputs:     []*ops.Tensor{x},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 2, 2}, 1, 2.5, 5.5, 7)},
		}, {
			Name:       "padding counted",
			Attributes: ops.Attributes{"kernel_shape": two, "strides": two, "pads": []int64{1, 1, 0, 0}, "count_include_pad": int64(1)},
			Inputs:     []*ops.Tensor{x},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 2, 2}, 0.25, 1.25, 2.75, 7)},
		}, {
			Name:       "pixels beyond the padding ignored",
			Attributes: ops.Attributes{"kernel_shape": []int64{3}, "strides": []int64{3}, "pads": []int64{0, 1}, "count_include_pad": int64(1), "ceil_mode": int64(1)},
			Inputs:     []*ops.Tensor{opstest.F64([]int{1, 1, 4}, 1, 2, 3, 4)},
			Outputs:    []*ops.Tensor{opstest.F64([]int{1, 1, 2}, 2, 2)},
		}, {
			Name:       "many channels",
			Attributes: ops.Attributes{"kernel_shape": []int64{32, 32}},
			Inputs:     []*ops.Tensor{constantTensor(1, 4, 16, 32, 32)},
			Batch:      []int{0},
			Outputs:    []*ops.Tensor{constantTensor(1, 4, 16, 1, 1)},
		},
		{Name: "dilations before opset 19", Attributes: ops.Attributes{"kernel_shape": two, "dilations": two}, Inputs: []*ops.Tensor{x}, WantErr: "dilations exists since opset 19, and the model uses opset 17"},
		{Name: "unknown attribute", Attributes: ops.Attributes{"kernel_shape": two, "storage_order": int64(0)}, Inputs: []*ops.Tensor{x}, WantErr: "unknown storage_order"},
	})
	batch, free := opstest.Unknown("N"), opstest.Unknown("")
	opstest.Infer(t, find(t, "AveragePool"), []opstest.InferCase{{
		Name:       "unknown batch and width",
		Attributes: ops.Attributes{"kernel_shape": two, "strides": two},
		Inputs:     []*ops.Input{opstest.Typed(ops.Float32, batch, opstest.Known(3), opstest.Known(8), free)},
		Want:       []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{batch, opstest.Known(3), opstest.Known(4), free}}},
	}})
}
