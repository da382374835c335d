package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestPad_ComputesExamples(t *testing.T) {
	mode := func(m string) attrs { return attrs{"mode": m} }
	x := f32(1, 2, 3)
	runCases(t, []operatorCase{
		{"Pad", opstest.Case{Name: "wrap", Opset: 19, Attributes: mode("wrap"), Inputs: tensors{x, opstest.Ints(4, 2)}, Constants: []int{1}, Outputs: tensors{f32(3, 1, 2, 3, 1, 2, 3, 1, 2)}}},
		{"Pad", opstest.Case{Name: "wrap after removing", Opset: 19, Attributes: mode("wrap"), Inputs: tensors{x, opstest.Ints(-1, 3)}, Constants: []int{1}, Outputs: tensors{f32(2, 3, 2, 3, 2)}}},
		{"Pad", opstest.Case{Name: "reflect more than once", Attributes: mode("reflect"), Inputs: tensors{x, opstest.Ints(3, 4)}, Constants: []int{1}, Outputs: tensors{f32(2, 3, 2, 1, 2, 3, 2, 1, 2, 3)}}},
		{"Pad", opstest.Case{Name: "reflect a single element", Attributes: mode("reflect"), Inputs: tensors{f32(5), opstest.Ints(1, 2)}, Constants: []int{1}, Outputs: tensors{f32(5, 5, 5, 5)}}},
		{"Pad", opstest.Case{Name: "axes", Opset: 18, Inputs: tensors{opstest.F32([]int{2, 1}, 1, 2), opstest.Ints(1, 0, 0, 2), f32(9), opstest.I32([]int{2}, -1, 0)}, Constants: []int{1, 3}, Outputs: tensors{opstest.F32([]int{4, 2}, 9, 1, 9, 2, 9, 9, 9, 9)}}},
		{"Pad", opstest.Case{Name: "constant entries removed again", Inputs: tensors{x, opstest.Ints(2, -4)}, Constants: []int{1}, Outputs: tensors{f32(0)}}},
		{"Pad", opstest.Case{Name: "booleans", Inputs: tensors{opstest.Tensor([]int{1}, true), opstest.Ints(1, 0)}, Constants: []int{1}, Outputs: tensors{opstest.Tensor([]int{2}, false, true)}}},
		{"Pad", opstest.Case{Name: "opset 1", Opset: 1, Attributes: attrs{"paddings": []int64{1, 1}, "value": float32(7)}, Inputs: tensors{x}, Outputs: tensors{f32(7, 1, 2, 3, 7)}}},
		{"Pad", opstest.Case{Name: "axis given twice", Opset: 18, Inputs: tensors{x, opstest.Ints(1, 1, 1, 1), nil, opstest.Ints(0, -1)}, Constants: []int{1, 3}, WantErr: "axes [0 -1] name axis 0 twice"}},
		{"Pad", opstest.Case{Name: "wrap before opset 19", Opset: 18, Attributes: mode("wrap"), Inputs: tensors{x, opstest.Ints(1, 1)}, WantErr: `mode "wrap"`}},
		{"Pad", opstest.Case{Name: "axes before opset 18", Opset: 13, Inputs: tensors{x, opstest.Ints(1, 1), nil, opstest.Ints(0)}, WantErr: "axes exists since opset 18"}},
		{"Pad", opstest.Case{Name: "nothing to copy", Attributes: mode("edge"), Inputs: tensors{x, opstest.Ints(-3, 1)}, Constants: []int{1}, WantErr: "pads [-3 1] with mode edge do not fit dimension 0"}},
	})
}

func TestPools_OfNewerOpsets(t *testing.T) {
	x := opstest.F32([]int{1, 1, 5}, 1, 2, 3, 4, 5)
	kernel := func(more attrs, sizes ...int64) attrs {
		a := attrs{"kernel_shape": sizes}
		for name, v := range more {
			a[name] = v
		}
		return a
	}
	image := func(values ...float32) *ops.Tensor { return opstest.F32([]int{1, 1, len(values)}, values...) }
	apart := attrs{"dilations": []int64{2}}
	ceil := attrs{"ceil_mode": int64(1), "strides": []int64{2}}
	runCases(t, []operatorCase{
		{"AveragePool", opstest.Case{Name: "dilations", Opset: 19, Attributes: kernel(apart, 2), Inputs: tensors{x}, Outputs: tensors{image(2, 3, 4)}}},
		{"AveragePool", opstest.Case{Name: "dilations, 2-D", Opset: 22, Attributes: kernel(attrs{"dilations": []int64{2, 2}}, 2, 2), Inputs: tensors{opstest.F32([]int{1, 1, 3, 3}, 1, 2, 3, 4, 5, 6, 7, 8, 9)}, Outputs: tensors{opstest.F32([]int{1, 1, 1, 1}, 5)}}},
		{"AveragePool", opstest.Case{Name: "dilations that miss the image", Opset: 19, Attributes: kernel(attrs{"dilations": []int64{3}, "pads": []int64{1, 1}}, 2), Inputs: tensors{image(1, 2)}, Outputs: tensors{image(0)}}},
		{"LpPool", opstest.Case{Name: "dilations", Opset: 18, Attributes: kernel(apart, 2), Inputs: tensors{image(3, 9, 4)}, Outputs: tensors{image(5)}}},
		{"LpPool", opstest.Case{Name: "ceil_mode", Opset: 18, Attributes: kernel(attrs{"ceil_mode": int64(1), "strides": []int64{2}, "p": int64(1)}, 2), Inputs: tensors{x}, Outputs: tensors{image(3, 7, 5)}}},
		{"LpPool", opstest.Case{Name: "opset 1", Opset: 1, Attributes: kernel(attrs{"p": float32(1)}, 2), Inputs: tensors{image(1, -2)}, Outputs: tensors{image(3)}}},
		{"LpPool", opstest.Case{Name: "p of another type", Opset: 2, Attributes: kernel(attrs{"p": float32(1)}, 2), Inputs: tensors{x}, WantErr: "p"}},
		{"LpPool", opstest.Case{Name: "dilations before opset 18", Opset: 11, Attributes: kernel(apart, 2), Inputs: tensors{x}, WantErr: "dilations exists since opset 18"}},
		{"GlobalLpPool", opstest.Case{Name: "opset 1", Opset: 1, Attributes: attrs{"p": float32(3)}, Inputs: tensors{image(-3, 4, 5)}, Outputs: tensors{image(6)}}},
		{"MaxPool", opstest.Case{Name: "image smaller than the window, ceil_mode", Attributes: kernel(ceil, 3), Inputs: tensors{image(1, 2)}, Outputs: tensors{image(2)}}},
		{"AveragePool", opstest.Case{Name: "image smaller than the window, ceil_mode", Attributes: kernel(ceil, 3), Inputs: tensors{image(1, 2)}, Outputs: tensors{image(1.5)}}},
		{"MaxPool", opstest.Case{Name: "image much smaller than the window, ceil_mode", Attributes: kernel(ceil, 4), Inputs: tensors{image(1, 2)}, WantErr: "a window of 4 pixels does not fit"}},
		{"MaxPool", opstest.Case{Name: "ceil_mode before opset 10", Opset: 8, Attributes: kernel(ceil, 3), Inputs: tensors{x}, WantErr: "ceil_mode exists since opset 10"}},
	})
}

func TestGridSample_ComputesExamples(t *testing.T) {
	row := opstest.F32([]int{1, 1, 1, 4}, 1, 2, 3, 4)
	places := func(x ...float32) *ops.Tensor {
		v := make([]float32, 0, 2*len(x))
		for _, p := range x {
			v = append(v, p, 0)
		}
		return opstest.F32([]int{1, 1, len(x), 2}, v...)
	}
	result := func(v ...float32) *ops.Tensor { return opstest.F32([]int{1, 1, 1, len(v)}, v...) }
	cubic := attrs{"mode": "bicubic", "padding_mode": "reflection", "align_corners": int64(1)}
	runCases(t, []operatorCase{
		// One period of the reflections is 6 pixels, or 4 in the units of the grid.
		{"GridSample", opstest.Case{Name: "cubic, far outside", Attributes: cubic, Inputs: tensors{row, places(-1, 39, 1+400, 1.0/3, 1.0/3-8)}, Outputs: tensors{result(1, 1, 4, 3, 3)}, Tolerance: 1e-5}},
		{"GridSample", opstest.Case{Name: "nearest rounds before it reflects", Attributes: attrs{"mode": "nearest", "padding_mode": "reflection"}, Inputs: tensors{row, places(-1.25, -1.5)}, Outputs: tensors{result(1, 2)}}},
		{"GridSample", opstest.Case{Name: "nearest, booleans", Opset: 20, Attributes: attrs{"mode": "nearest"}, Inputs: tensors{opstest.Tensor([]int{1, 1, 2}, false, true), opstest.F32([]int{1, 3, 1}, -0.5, 0.5, 3)}, Outputs: tensors{opstest.Tensor([]int{1, 1, 3}, false, true, false)}}},
		{"GridSample", opstest.Case{Name: "three spatial axes", Opset: 20, Attributes: attrs{"align_corners": int64(1)}, Inputs: tensors{opstest.F32([]int{1, 1, 2, 2, 2}, 0, 1, 2, 3, 4, 5, 6, 7), opstest.F32([]int{1, 1, 1, 2, 3}, 0, 0, 0, 1, -1, 1)}, Batch: []int{0, 1}, Outputs: tensors{opstest.F32([]int{1, 1, 1, 1, 2}, 3.5, 5)}}},
		{"GridSample", opstest.Case{Name: "integers", Attributes: attrs{"align_corners": int64(1)}, Inputs: tensors{opstest.I64([]int{1, 1, 1, 2}, 10, 20), opstest.F32([]int{1, 1, 1, 2}, 0.5, 0)}, Outputs: tensors{opstest.I64([]int{1, 1, 1, 1}, 17)}}},
		{"GridSample", opstest.Case{Name: "NaN", Inputs: tensors{row, places(float32(math.NaN()))}, Outputs: tensors{result(0)}}},
		{"GridSample", opstest.Case{Name: "name of opset 20", Opset: 16, Attributes: attrs{"mode": "linear"}, Inputs: tensors{row, places(0)}, WantErr: `mode "linear", want one of [bilinear nearest bicubic]`}},
		{"GridSample", opstest.Case{Name: "three spatial axes before opset 20", Opset: 16, Inputs: tensors{opstest.Random(1, 1, 1, 2, 2, 2), opstest.Random(2, 1, 1, 1, 1, 3)}, WantErr: "at most 2 spatial axes"}},
	})
}

func TestImageOperators_ComputeExamples(t *testing.T) {
	square := opstest.F32([]int{1, 1, 2, 2}, 1, 2, 3, 4)
	identity := opstest.F32([]int{1, 2, 3}, 1, 0, 0, 0, 1, 0.5)
	filter := opstest.F32([]int{1, 1, 1, 1}, 2)
	cases := []operatorCase{
		{"CenterCropPad", opstest.Case{Inputs: tensors{opstest.F32([]int{4, 1}, 1, 2, 3, 4), opstest.Ints(3, 4)}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{3, 4}, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0)}}},
		{"CenterCropPad", opstest.Case{Name: "axes", Attributes: attrs{"axes": []int64{-1}}, Inputs: tensors{opstest.I64([]int{1, 4}, 1, 2, 3, 4), opstest.I32([]int{1}, 2)}, Constants: []int{1}, Outputs: tensors{opstest.I64([]int{1, 2}, 2, 3)}}},
		{"CenterCropPad", opstest.Case{Name: "too many sizes", Inputs: tensors{f32(1), opstest.Ints(1, 1)}, WantErr: "the length of shape is 2, want 1"}},
		{"AffineGrid", opstest.Case{Inputs: tensors{identity, opstest.Ints(1, 1, 1, 2)}, Constants: []int{1}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 2}, -0.5, 0.5, 0.5, 0.5)}}},
		{"AffineGrid", opstest.Case{Name: "align_corners", Attributes: attrs{"align_corners": int64(1)}, Inputs: tensors{identity, opstest.Ints(1, 1, 1, 3)}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{1, 1, 3, 2}, -1, -0.5, 0, -0.5, 1, -0.5)}}},
		{"AffineGrid", opstest.Case{Name: "theta of other images", Inputs: tensors{identity, opstest.Ints(1, 1, 1, 2, 2)}, Constants: []int{1}, WantErr: "theta is float32(1, 2, 3)"}},
		{"Col2Im", opstest.Case{Inputs: tensors{opstest.F32([]int{1, 2, 2}, 1, 2, 3, 4), opstest.Ints(1, 3), opstest.Ints(1, 2)}, Constants: []int{1, 2}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 1, 1, 3}, 1, 5, 4)}}},
		{"Col2Im", opstest.Case{Name: "pads, strides, dilations, integers", Attributes: attrs{"pads": []int64{1, 0}, "strides": []int64{2}, "dilations": []int64{2}}, Inputs: tensors{opstest.I64([]int{1, 2, 2}, 1, 2, 3, 4), opstest.Ints(4), opstest.Ints(2)}, Constants: []int{1, 2}, Outputs: tensors{opstest.I64([]int{1, 1, 4}, 0, 5, 0, 4)}}},
		{"Col2Im", opstest.Case{Name: "wrong number of blocks", Inputs: tensors{opstest.F32([]int{1, 2, 2}, 1, 2, 3, 4), opstest.Ints(1, 4), opstest.Ints(1, 2)}, Constants: []int{1, 2}, WantErr: "has 3 blocks"}},
		{"MaxRoiPool", opstest.Case{Attributes: attrs{"pooled_shape": []int64{1, 2}}, Inputs: tensors{square, opstest.F32([]int{2, 5}, 0, 0, 0, 1, 1, 0, 5, 5, 6, 6)}, Outputs: tensors{opstest.F32([]int{2, 1, 1, 2}, 3, 4, 0, 0)}}},
		{"MaxRoiPool", opstest.Case{Name: "no such image", Attributes: attrs{"pooled_shape": []int64{1, 1}}, Inputs: tensors{square, opstest.F32([]int{1, 5}, 1, 0, 0, 1, 1)}, WantRunErr: "the image index 1, and there are 1 images"}},
		{"DeformConv", opstest.Case{Inputs: tensors{square, filter, opstest.F32([]int{1, 2, 2, 2}, 0, 0.5, 0, 0, 0.5, 0, 0, 0.5), f32(10)}, Batch: []int{0, 2}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 2}, 13, 16, 16, 14)}}},
		{"DeformConv", opstest.Case{Name: "mask, float64", Inputs: tensors{opstest.F64([]int{1, 1, 1, 2}, 1, 2), opstest.F64([]int{1, 1, 1, 1}, 3), opstest.F64([]int{1, 2, 1, 2}, 0, 0, 0, 0), nil, opstest.F64([]int{1, 1, 1, 2}, 0.5, 2)}, Outputs: tensors{opstest.F64([]int{1, 1, 1, 2}, 1.5, 12)}}},
		{"DeformConv", opstest.Case{Name: "offset of another size", Inputs: tensors{square, filter, opstest.Random(1, 1, 2, 1, 1)}, WantErr: "offset is float32(1, 2, 1, 1)"}},
	}
	for i := range cases {
		cases[i].Opset = 22
	}
	runCases(t, cases)
}
