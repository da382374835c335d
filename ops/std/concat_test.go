package std

import (
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestConcat_JoinsInputs(t *testing.T) {
	a := opstest.F32([]int{2, 2}, 1, 2, 3, 4)
	b := opstest.F32([]int{2, 1}, 5, 6)
	axis := func(i int64) ops.Attributes { return ops.Attributes{"axis": i} }
	opstest.Run(t, find(t, "Concat"), []opstest.Case{
		{Name: "last axis", Attributes: axis(-1), Inputs: []*ops.Tensor{a, b, a}, Batch: []int{0, 1, 2}, Outputs: []*ops.Tensor{opstest.F32([]int{2, 5}, 1, 2, 5, 1, 2, 3, 4, 6, 3, 4)}},
		{Name: "first axis", Attributes: axis(0), Inputs: []*ops.Tensor{a, a}, Outputs: []*ops.Tensor{opstest.F32([]int{4, 2}, 1, 2, 3, 4, 1, 2, 3, 4)}},
		{Name: "single input", Attributes: axis(0), Inputs: []*ops.Tensor{b}, Outputs: []*ops.Tensor{b}},
		{Name: "bool and empty input", Attributes: axis(0), Inputs: []*ops.Tensor{opstest.Tensor[bool]([]int{0}), opstest.Tensor([]int{1}, true)}, Outputs: []*ops.Tensor{opstest.Tensor([]int{1}, true)}},
		{Name: "no axis", Inputs: []*ops.Tensor{a}, WantErr: "axis is missing"},
		{Name: "axis 2", Attributes: axis(2), Inputs: []*ops.Tensor{a}, WantErr: "axis 2 is out of range for rank 2: input 0 is float32(2, 2)"},
		{Name: "scalars", Attributes: axis(0), Inputs: []*ops.Tensor{opstest.F32(nil, 1)}, WantErr: "axis 0 is out of range for rank 0"},
		{Name: "negative in opset 10", Attributes: axis(-1), Opset: 10, Inputs: []*ops.Tensor{a}, WantErr: "negative axes are not supported before opset 11"},
		{Name: "types differ", Attributes: axis(0), Inputs: []*ops.Tensor{a, opstest.F64([]int{1, 2}, 1, 2)}, WantErr: "input 0 is float32(2, 2) but input 1 is float64(1, 2)"},
		{Name: "ranks differ", Attributes: axis(0), Inputs: []*ops.Tensor{a, opstest.F32([]int{2}, 1, 2)}, WantErr: "input 1 is float32(2) but the inputs before it are float32(2, 2)"},
		{Name: "sizes differ", Attributes: axis(0), Inputs: []*ops.Tensor{a, a, b}, WantErr: "input 2 is float32(2, 1) but the inputs before it are float32(4, 2) (axis 0)"},
	})
	opstest.Run(t, find(t, "Concat"), []opstest.Case{
		elementTypeCase[float32](1, 2), elementTypeCase[float64](1, 2), elementTypeCase[int8](1, 2), elementTypeCase[int16](1, 2), elementTypeCase[int32](1, 2), elementTypeCase[int64](1, 2),
		elementTypeCase[uint8](1, 2), elementTypeCase[uint16](1, 2), elementTypeCase[uint32](1, 2), elementTypeCase[uint64](1, 2), elementTypeCase(false, true),
	})
	n, free := opstest.Unknown("N"), opstest.Unknown("")
	opstest.Infer(t, find(t, "Concat"), []opstest.InferCase{
		{
			Name: "sizes known from one input", Attributes: axis(1),
			Inputs: []*ops.Input{opstest.Typed(ops.Int8, free, opstest.Known(1), free), opstest.Typed(ops.Int8, n, opstest.Known(2), opstest.Known(5))},
			Want:   []ops.Type{{DType: ops.Int8, Shape: []ops.Dim{n, opstest.Known(3), opstest.Known(5)}}},
		}, {
			Name: "unknown along the axis", Attributes: axis(0),
			Inputs: []*ops.Input{opstest.Typed(ops.Int8, n), opstest.Typed(ops.Int8, n)},
			Want:   []ops.Type{{DType: ops.Int8, Shape: []ops.Dim{free}}},
		}, {
			Name: "sizes differ", Attributes: axis(0),
			Inputs:  []*ops.Input{opstest.Typed(ops.Int8, n, opstest.Known(2)), opstest.Typed(ops.Int8, free, opstest.Known(3))},
			WantErr: "input 1 is int8(?, 3) but the inputs before it are int8(N, 2)",
		},
	})
}

// elementTypeCase returns a case that copies elements of type T one by one.
func elementTypeCase[T ops.Element](a, b T) opstest.Case {
	x, y := opstest.Tensor([]int{2, 1}, a, b), opstest.Tensor([]int{2, 1}, b, a)
	return opstest.Case{
		Name:       x.DType().String(),
		Attributes: ops.Attributes{"axis": int64(1)},
		Inputs:     []*ops.Tensor{x, y},
		Batch:      []int{0, 1},
		Outputs:    []*ops.Tensor{opstest.Tensor([]int{2, 2}, a, b, b, a)},
	}
}
