package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestSlice_ComputesExamples(t *testing.T) {
	x := opstest.F32([]int{3, 4}, 0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23)
	lists := []int{1, 2, 3, 4}
	one := opstest.Ints(1)
	cases := []opstest.Case{
		{
			Name:    "first axes by default",
			Inputs:  []*ops.Tensor{x, opstest.Ints(1, 1), opstest.Ints(3, 3)},
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 2}, 11, 12, 21, 22)},
		}, {
			Name:    "negative axis, starts and ends",
			Inputs:  []*ops.Tensor{x, opstest.Ints(-3), opstest.Ints(-1), opstest.Ints(-1)},
			Batch:   []int{0},
			Outputs: []*ops.Tensor{opstest.F32([]int{3, 2}, 1, 2, 11, 12, 21, 22)},
		}, {
			Name:    "steps, int32",
			Inputs:  []*ops.Tensor{x, opstest.I32([]int{2}, 0, 3), opstest.I32([]int{2}, 9, -9), opstest.I32([]int{2}, 0, 1), opstest.I32([]int{2}, 2, -2)},
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 2}, 3, 1, 23, 21)},
		}, {
			Name: "whole data",
			Inputs: []*ops.Tensor{x, opstest.Ints(0, math.MinInt64), opstest.Ints(math.MaxInt64, math.MaxInt32),
				nil, opstest.Ints(1, 1)},
			Outputs: []*ops.Tensor{x},
		}, {
			Name:    "reversed",
			Inputs:  []*ops.Tensor{x, opstest.Ints(math.MaxInt64), opstest.Ints(math.MinInt64), one, opstest.Ints(-1)},
			Batch:   []int{0},
			Outputs: []*ops.Tensor{opstest.F32([]int{3, 4}, 3, 2, 1, 0, 13, 12, 11, 10, 23, 22, 21, 20)},
		}, {
			Name:    "start before the data",
			Inputs:  []*ops.Tensor{x, opstest.Ints(-10, -10), opstest.Ints(-20, 9), opstest.Ints(0, 1), opstest.Ints(-1, 1)},
			Outputs: []*ops.Tensor{opstest.F32([]int{1, 4}, 0, 1, 2, 3)},
		}, {
			Name:    "start and end before the data",
			Inputs:  []*ops.Tensor{x, opstest.Ints(-10), opstest.Ints(0), opstest.Ints(0), opstest.Ints(-1)},
			Outputs: []*ops.Tensor{opstest.F32([]int{0, 4})},
		}, {
			Name:    "longest steps",
			Inputs:  []*ops.Tensor{x, opstest.Ints(1, -1), opstest.Ints(3, -9), opstest.Ints(0, 1), opstest.Ints(math.MaxInt64, math.MinInt64)},
			Outputs: []*ops.Tensor{opstest.F32([]int{1, 1}, 13)},
		}, {
			Name:    "empty result",
			Inputs:  []*ops.Tensor{x, opstest.Ints(2, 4), opstest.Ints(1, 9)},
			Outputs: []*ops.Tensor{opstest.F32([]int{0, 0})},
		}, {
			Name:    "empty data",
			Inputs:  []*ops.Tensor{opstest.F32([]int{0}), opstest.Ints(-1), opstest.Ints(-5), opstest.Ints(0), opstest.Ints(-1)},
			Outputs: []*ops.Tensor{opstest.F32([]int{0})},
		}, {
			Name:    "no axes",
			Inputs:  []*ops.Tensor{opstest.Tensor(nil, true), opstest.Ints(), opstest.Ints()},
			Outputs: []*ops.Tensor{opstest.Tensor(nil, true)},
		},
		{
			Name: "attributes in opset 9", Opset: 9, Attributes: ops.Attributes{"starts": []int64{1}, "ends": []int64{-1}, "axes": []int64{1}},
			Inputs: []*ops.Tensor{x}, Batch: []int{0}, Outputs: []*ops.Tensor{opstest.F32([]int{3, 2}, 1, 2, 11, 12, 21, 22)},
		},
		{Name: "no ends in opset 9", Opset: 9, Attributes: ops.Attributes{"starts": []int64{1}}, Inputs: []*ops.Tensor{x}, WantErr: "ends is missing"},
		{Name: "inputs in opset 9", Opset: 9, Attributes: ops.Attributes{"starts": []int64{0}, "ends": []int64{1}}, Inputs: []*ops.Tensor{x, one, one}, WantErr: "must be attributes"},
		{Name: "no ends", Inputs: []*ops.Tensor{x, one}, WantErr: "starts and ends are required"},
		{Name: "step 0", Inputs: []*ops.Tensor{x, one, one, one, opstest.Ints(0)}, WantErr: "step 0 for axis 1 of float32(3, 4)"},
		{Name: "axis twice", Inputs: []*ops.Tensor{x, opstest.Ints(0, 0), opstest.Ints(1, 1), opstest.Ints(1, -1)}, WantErr: "axes [1 -1] contain axis 1 twice"},
		{Name: "axis 2", Inputs: []*ops.Tensor{x, one, one, opstest.Ints(2)}, WantErr: "axis 2 is out of range for rank 2: data is float32(3, 4)"},
		{Name: "lengths differ", Inputs: []*ops.Tensor{x, one, opstest.Ints(1, 2)}, WantErr: "the length of ends is 2, but the length of another list is 1"},
		{Name: "more starts than axes", Inputs: []*ops.Tensor{x, opstest.Ints(0, 0, 0), opstest.Ints(1, 1, 1)}, WantErr: "the number of starts is 3, but data is float32(3, 4)"},
		{Name: "float starts", Inputs: []*ops.Tensor{x, opstest.F32([]int{1}, 1), one}, WantErr: "starts is float32(1), want int32 or int64"},
		{Name: "matrix of ends", Inputs: []*ops.Tensor{x, one, opstest.I64([]int{1, 1}, 1)}, WantErr: "ends is int64(1, 1), want a vector"},
	}
	for i := range cases {
		cases[i].Constants = lists
	}
	opstest.Run(t, find(t, "Slice"), cases)
}

func TestSlice_InfersUnknownSizes(t *testing.T) {
	n, free := opstest.Unknown("N"), opstest.Unknown("")
	data := opstest.Typed(ops.Uint16, n, opstest.Known(4), opstest.Known(6))
	ints := func(v ...int64) *ops.Input { return opstest.Const(opstest.Ints(v...)) }
	list := func(d ops.Dim) *ops.Input { return opstest.Typed(ops.Int64, d) }
	want := func(dims ...ops.Dim) []ops.Type { return []ops.Type{{DType: ops.Uint16, Shape: dims}} }
	opstest.Infer(t, find(t, "Slice"), []opstest.InferCase{
		{
			Name:   "whole axis of unknown size",
			Inputs: []*ops.Input{data, ints(0, 1), ints(math.MaxInt64, 3)},
			Want:   want(n, opstest.Known(2), opstest.Known(6)),
		}, {
			Name:   "part of an axis of unknown size",
			Inputs: []*ops.Input{data, ints(0), ints(5)},
			Want:   want(free, opstest.Known(4), opstest.Known(6)),
		}, {
			Name:   "unknown starts",
			Inputs: []*ops.Input{data, list(free), ints(5), ints(2)},
			Want:   want(n, opstest.Known(4), free),
		}, {
			Name:   "unknown steps",
			Inputs: []*ops.Input{data, ints(1), ints(5), ints(2), list(opstest.Known(1))},
			Want:   want(n, opstest.Known(4), free),
		}, {
			Name:   "unknown axes",
			Inputs: []*ops.Input{data, ints(1), ints(5), list(free)},
			Want:   want(free, free, free),
		}, {
			Name:   "unknown number of axes",
			Inputs: []*ops.Input{data, list(free), list(free)},
			Want:   want(free, free, free),
		}, {
			Name:   "unknown starts of known number",
			Inputs: []*ops.Input{data, list(opstest.Known(2)), list(free)},
			Want:   want(free, free, opstest.Known(6)),
		},
	})
}
