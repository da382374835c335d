package std

import (
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestIdentity_CopiesInput(t *testing.T) {
	x := opstest.Tensor([]int{2, 1}, true, false)
	opstest.Run(t, find(t, "Identity"), []opstest.Case{
		{Name: "bool", Inputs: []*ops.Tensor{x}, Batch: []int{0}, Outputs: []*ops.Tensor{x}},
		{Name: "scalar", Inputs: []*ops.Tensor{opstest.F64(nil, 3)}, Outputs: []*ops.Tensor{opstest.F64(nil, 3)}},
	})
}

func TestFlatten_MultipliesDimensions(t *testing.T) {
	x := opstest.Random(1, 2, 3, 4)
	flat := func(rows, columns int) []*ops.Tensor {
		return []*ops.Tensor{opstest.F32([]int{rows, columns}, x.Float32s()...)}
	}
	opstest.Run(t, find(t, "Flatten"), []opstest.Case{
		{Name: "default", Inputs: []*ops.Tensor{x}, Batch: []int{0}, Outputs: flat(2, 12)},
		{Name: "axis 0", Attributes: ops.Attributes{"axis": int64(0)}, Inputs: []*ops.Tensor{x}, Outputs: flat(1, 24)},
		{Name: "axis 3", Attributes: ops.Attributes{"axis": int64(3)}, Inputs: []*ops.Tensor{x}, Outputs: flat(24, 1)},
		{Name: "axis -1", Attributes: ops.Attributes{"axis": int64(-1)}, Inputs: []*ops.Tensor{x}, Outputs: flat(6, 4)},
		{Name: "axis -3", Attributes: ops.Attributes{"axis": int64(-3)}, Inputs: []*ops.Tensor{x}, Outputs: flat(1, 24)},
		{Name: "scalar", Attributes: ops.Attributes{"axis": int64(0)}, Inputs: []*ops.Tensor{opstest.F32(nil, 7)}, Outputs: []*ops.Tensor{opstest.F32([]int{1, 1}, 7)}},
		{Name: "no images", Inputs: []*ops.Tensor{opstest.F32([]int{0, 3, 2})}, Outputs: []*ops.Tensor{opstest.F32([]int{0, 6})}},
		{Name: "axis 4", Attributes: ops.Attributes{"axis": int64(4)}, Inputs: []*ops.Tensor{x}, WantErr: "axis 4 is out of range for rank 3: input is float32(2, 3, 4)"},
		{Name: "axis -4", Attributes: ops.Attributes{"axis": int64(-4)}, Inputs: []*ops.Tensor{x}, WantErr: "axis -4 is out of range for rank 3"},
		{Name: "negative in opset 9", Attributes: ops.Attributes{"axis": int64(-1)}, Opset: 9, Inputs: []*ops.Tensor{x}, WantErr: "negative axes are not supported before opset 11"},
	})
	n, free := opstest.Unknown("N"), opstest.Unknown("")
	opstest.Infer(t, find(t, "Flatten"), []opstest.InferCase{
		{
			Name:   "unknown batch",
			Inputs: []*ops.Input{opstest.Typed(ops.Bool, n, opstest.Known(3), opstest.Known(4))},
			Want:   []ops.Type{{DType: ops.Bool, Shape: []ops.Dim{n, opstest.Known(12)}}},
		}, {
			Name:       "unknown batch beside a 1",
			Attributes: ops.Attributes{"axis": int64(2)},
			Inputs:     []*ops.Input{opstest.Typed(ops.Bool, n, opstest.Known(1), free, opstest.Known(2))},
			Want:       []ops.Type{{DType: ops.Bool, Shape: []ops.Dim{n, free}}},
		}, {
			Name:       "unknown beside a 0",
			Attributes: ops.Attributes{"axis": int64(0)},
			Inputs:     []*ops.Input{opstest.Typed(ops.Bool, n, free, opstest.Known(0))},
			Want:       []ops.Type{{DType: ops.Bool, Shape: ops.Dims(1, 0)}},
		},
	})
}
