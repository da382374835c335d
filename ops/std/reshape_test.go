package std

import (
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestReshape_KeepsElements(t *testing.T) {
	x := opstest.Random(1, 2, 3, 4)
	to := func(shape ...int) []*ops.Tensor { return []*ops.Tensor{opstest.F32(shape, x.Float32s()...)} }
	none := opstest.F32([]int{0, 3})
	allowZero := ops.Attributes{"allowzero": int64(1)}
	cases := []opstest.Case{
		{Name: "sizes", Inputs: []*ops.Tensor{x, opstest.Ints(4, 6)}, Outputs: to(4, 6)},
		{Name: "-1", Inputs: []*ops.Tensor{x, opstest.Ints(3, -1, 2)}, Outputs: to(3, 4, 2)},
		{Name: "0 and -1", Inputs: []*ops.Tensor{x, opstest.Ints(0, -1)}, Batch: []int{0}, Outputs: to(2, 12)},
		{Name: "-1 is 1", Inputs: []*ops.Tensor{x, opstest.Ints(2, 3, 4, -1)}, Outputs: to(2, 3, 4, 1)},
		{Name: "scalar", Inputs: []*ops.Tensor{opstest.F32([]int{1, 1}, 5), opstest.Ints()}, Outputs: []*ops.Tensor{opstest.F32(nil, 5)}},
		{Name: "no images", Inputs: []*ops.Tensor{none, opstest.Ints(0, -1)}, Outputs: []*ops.Tensor{none}},
		{Name: "no images, -1 first", Inputs: []*ops.Tensor{none, opstest.Ints(-1, 3)}, Outputs: []*ops.Tensor{none}},
		{Name: "0 is a size", Attributes: allowZero, Inputs: []*ops.Tensor{none, opstest.Ints(5, 0)}, Outputs: []*ops.Tensor{opstest.F32([]int{5, 0})}},
		{Name: "0 and -1 are sizes", Attributes: allowZero, Inputs: []*ops.Tensor{none, opstest.Ints(0, -1)}, WantErr: "the size for -1 is ambiguous: float32(0, 3) cannot be reshaped to [0 -1]"},
		{Name: "allowzero in opset 13", Opset: 13, Attributes: allowZero, Inputs: []*ops.Tensor{none, opstest.Ints(0)}, WantErr: "unknown allowzero"},
		{Name: "other number of elements", Inputs: []*ops.Tensor{x, opstest.Ints(23)}, WantErr: "float32(2, 3, 4) cannot be reshaped to [23]"},
		{Name: "-1 not an integer", Inputs: []*ops.Tensor{x, opstest.Ints(-1, 5)}, WantErr: "cannot be reshaped to [-1 5]"},
		{Name: "two -1", Inputs: []*ops.Tensor{x, opstest.Ints(-1, -1)}, WantErr: "-1 is not a valid size"},
		{Name: "-2", Inputs: []*ops.Tensor{x, opstest.Ints(-2)}, WantErr: "-2 is not a valid size"},
		{Name: "0 beyond the data", Inputs: []*ops.Tensor{x, opstest.Ints(2, 3, 4, 0)}, WantErr: "the 0 at index 3 has no dimension to copy"},
		{Name: "too many elements", Inputs: []*ops.Tensor{x, opstest.Ints(1<<30, 1<<30, 1<<30, -1)}, WantErr: "more than"},
		{Name: "int32 shape", Inputs: []*ops.Tensor{x, opstest.I32([]int{1}, 24)}, WantErr: "shape is int32(1), want int64"},
		{Name: "scalar shape", Inputs: []*ops.Tensor{x, opstest.I64(nil, 24)}, Outputs: to(24)},
		{Name: "matrix", Inputs: []*ops.Tensor{x, opstest.I64([]int{1, 1}, 24)}, WantErr: "shape is int64(1, 1), want a vector"},
	}
	for i := range cases {
		cases[i].Constants = []int{1}
	}
	opstest.Run(t, find(t, "Reshape"), cases)
}

func TestReshape_InfersUnknownSizes(t *testing.T) {
	n, free := opstest.Unknown("N"), opstest.Unknown("")
	data := opstest.Typed(ops.Float32, n, opstest.Known(8), opstest.Known(3))
	ints := func(v ...int64) *ops.Input { return opstest.Const(opstest.Ints(v...)) }
	want := func(dims ...ops.Dim) []ops.Type { return []ops.Type{{DType: ops.Float32, Shape: dims}} }
	opstest.Infer(t, find(t, "Reshape"), []opstest.InferCase{
		{Name: "batch copied", Inputs: []*ops.Input{data, ints(0, -1)}, Want: want(n, opstest.Known(24))},
		{Name: "batch inferred", Inputs: []*ops.Input{data, ints(-1, 24)}, Want: want(n, opstest.Known(24))},
		{Name: "only batch inferred", Inputs: []*ops.Input{data, ints(-1, 0, 0)}, Want: want(n, opstest.Known(8), opstest.Known(3))},
		{Name: "batch divided", Inputs: []*ops.Input{data, ints(-1, 12)}, Want: want(free, opstest.Known(12))},
		{Name: "batch fixed", Inputs: []*ops.Input{data, ints(5, 24)}, Want: want(opstest.Known(5), opstest.Known(24))},
		{Name: "unknown shape", Inputs: []*ops.Input{data, opstest.Typed(ops.Int64, opstest.Known(2))}, Want: want(free, free)},
		{Name: "empty shape", Inputs: []*ops.Input{opstest.Typed(ops.Float32, n), opstest.Typed(ops.Int64, opstest.Known(0))}, Want: want()},
		{
			Name: "empty shape for several elements", Inputs: []*ops.Input{opstest.Typed(ops.Float32, opstest.Known(3)), opstest.Typed(ops.Int64, opstest.Known(0))},
			WantErr: "float32(3) cannot be reshaped to []",
		},
		{Name: "unknown rank", Inputs: []*ops.Input{data, opstest.Typed(ops.Int64, free)}, Want: []ops.Type{{}}},
		{Name: "remaining sizes do not fit", Inputs: []*ops.Input{data, ints(0, 25)}, WantErr: "float32(N, 8, 3) cannot be reshaped to [0 25]"},
	})
}
