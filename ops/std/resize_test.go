package std

import (
	"slices"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestResize_OfNewerOpsets(t *testing.T) {
	with := func(mode string, more attrs) attrs {
		a := attrs{"mode": mode}
		for name, v := range more {
			a[name] = v
		}
		return a
	}
	ten := f32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	square := opstest.F32([]int{1, 1, 2, 2}, 1, 2, 3, 4)
	floor := attrs{"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
	soft := attrs{"antialias": int64(1)}
	keep := func(policy string) attrs {
		return attrs{"axes": []int64{-1, 2}, "keep_aspect_ratio_policy": policy}
	}
	runCases(t, []operatorCase{
		// In float64, 6 divided by the float32 number 1.2 is just below 5.
		{"Resize", opstest.Case{Name: "scale 1.2", Attributes: with("nearest", floor), Inputs: tensors{ten, nil, f32(1.2)}, Constants: []int{2}, Outputs: tensors{f32(0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9)}}},
		{"Resize", opstest.Case{Name: "scale 1.1", Attributes: with("nearest", floor), Inputs: tensors{ten, nil, f32(1.1)}, Constants: []int{2}, Outputs: tensors{f32(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)}}},
		{"Resize", opstest.Case{Name: "antialias, linear", Opset: 18, Attributes: with("linear", soft), Inputs: tensors{f32(0, 8, 0, 0), nil, nil, opstest.Ints(2)}, Constants: []int{3}, Outputs: tensors{f32(3, 1)}, Tolerance: 1e-6}},
		{"Resize", opstest.Case{Name: "antialias changes nothing where X grows", Opset: 18, Attributes: with("linear", soft), Inputs: tensors{f32(0, 4), nil, nil, opstest.Ints(4)}, Constants: []int{3}, Outputs: tensors{f32(0, 1, 3, 4)}}},
		{"Resize", opstest.Case{Name: "antialias, cubic, constant", Opset: 18, Attributes: with("cubic", soft), Inputs: tensors{constantTensor(3, 9), nil, nil, opstest.Ints(4)}, Constants: []int{3}, Outputs: tensors{constantTensor(3, 4)}, Tolerance: 1e-6}},
		{"Resize", opstest.Case{Name: "antialias, cubic, to one element", Opset: 18, Attributes: with("cubic", attrs{"antialias": int64(1), "coordinate_transformation_mode": "align_corners"}), Inputs: tensors{f32(1, 5, -2, 8), nil, nil, opstest.Ints(1)}, Constants: []int{3}, Outputs: tensors{f32(1.48144531)}, Tolerance: 1e-6}},
		{"Resize", opstest.Case{Name: "antialias rounds integers", Opset: 18, Attributes: with("linear", soft), Inputs: tensors{opstest.Tensor([]int{4}, uint8(0), 6, 0, 0), nil, nil, opstest.Ints(2)}, Constants: []int{3}, Outputs: tensors{opstest.Tensor([]int{2}, uint8(2), 1)}}},
		{"Resize", opstest.Case{Name: "axes", Opset: 18, Attributes: with("nearest", attrs{"axes": []int64{3, 2}}), Inputs: tensors{square, nil, f32(2, 1)}, Constants: []int{2}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 4}, 1, 1, 2, 2, 3, 3, 4, 4)}}},
		{"Resize", opstest.Case{Name: "not_larger", Opset: 18, Attributes: with("nearest", keep("not_larger")), Inputs: tensors{square, nil, nil, opstest.Ints(4, 7)}, Constants: []int{3}, Outputs: tensors{opstest.F32([]int{1, 1, 4, 4}, 1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4)}}},
		{"Resize", opstest.Case{Name: "not_smaller", Opset: 18, Attributes: with("nearest", keep("not_smaller")), Inputs: tensors{square, nil, nil, opstest.Ints(1, 2)}, Constants: []int{3}, Outputs: tensors{square}}},
		{"Resize", opstest.Case{Name: "half_pixel_symmetric", Opset: 19, Attributes: with("linear", attrs{"coordinate_transformation_mode": "half_pixel_symmetric"}), Inputs: tensors{f32(1, 2, 3), nil, f32(0.5)}, Constants: []int{2}, Outputs: tensors{f32(2)}}},
		{"Resize", opstest.Case{Name: "integers keep their value beyond the ends", Attributes: with("linear", attrs{"coordinate_transformation_mode": "asymmetric"}), Inputs: tensors{opstest.Tensor([]int{1}, uint8(12)), nil, nil, opstest.Ints(11)}, Constants: []int{3}, Outputs: tensors{opstest.Tensor([]int{11}, slices.Repeat([]uint8{12}, 11)...)}}},
		{"Resize", opstest.Case{Name: "integers are not one less because a place is rounded", Attributes: with("linear", attrs{"coordinate_transformation_mode": "asymmetric"}), Inputs: tensors{opstest.I32([]int{2}, 3, 0), nil, f32(1.5)}, Constants: []int{2}, Outputs: tensors{opstest.I32([]int{3}, 3, 1, 0)}}},
		{"Resize", opstest.Case{Name: "bytes are not one less because weights are rounded", Attributes: with("linear", attrs{"coordinate_transformation_mode": "asymmetric"}), Inputs: tensors{opstest.Tensor([]int{2}, uint8(3), 0), nil, f32(1.5)}, Constants: []int{2}, Outputs: tensors{opstest.Tensor([]int{3}, uint8(3), 1, 0)}}},
		{"Resize", opstest.Case{Name: "booleans", Attributes: with("nearest", floor), Inputs: tensors{opstest.Tensor([]int{2}, true, false), nil, f32(2)}, Constants: []int{2}, Outputs: tensors{opstest.Tensor([]int{4}, true, true, false, false)}}},
		{"Resize", opstest.Case{Name: "opset 10 rounds up where X shrinks", Opset: 10, Inputs: tensors{opstest.F32([]int{2, 4}, 1, 2, 3, 4, 5, 6, 7, 8), f32(0.6, 0.6)}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{1, 2}, 1, 3)}}},
		{"Upsample", opstest.Case{Name: "opset 1", Opset: 1, Attributes: attrs{"mode": "bilinear", "height_scale": float32(1), "width_scale": float32(2)}, Inputs: tensors{square}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 4}, 1, 1.5, 2, 2, 3, 3.5, 4, 4)}}},
		{"Upsample", opstest.Case{Name: "opset 1 without a scale", Opset: 1, Attributes: attrs{"width_scale": float32(2)}, Inputs: tensors{square}, WantErr: "scale 0 is not a positive number (dimension 2 of X)"}},
		{"Resize", opstest.Case{Name: "antialias, nearest", Opset: 18, Attributes: with("nearest", soft), Inputs: tensors{ten, nil, f32(1)}, WantErr: "antialias needs mode linear or cubic"}},
		{"Resize", opstest.Case{Name: "antialias before opset 18", Opset: 13, Attributes: with("linear", soft), Inputs: tensors{ten, nil, f32(1)}, WantErr: "unknown antialias"}},
		{"Resize", opstest.Case{Name: "half_pixel_symmetric before opset 19", Opset: 18, Attributes: attrs{"coordinate_transformation_mode": "half_pixel_symmetric"}, Inputs: tensors{ten, nil, f32(1)}, WantErr: "half_pixel_symmetric"}},
		{"Resize", opstest.Case{Name: "axis given twice", Opset: 18, Attributes: attrs{"axes": []int64{0, -1}}, Inputs: tensors{ten, nil, f32(1, 1)}, Constants: []int{2}, WantErr: "name axis 0 twice"}},
	})
	unknownWidth := opstest.Typed(ops.Float32, opstest.Known(1), opstest.Known(1), opstest.Known(2), opstest.Unknown("W"))
	opstest.Infer(t, find(t, "Resize"), []opstest.InferCase{
		{Name: "not_larger, unknown width", Opset: 18, Attributes: with("nearest", keep("not_larger")), Inputs: []*ops.Input{unknownWidth, nil, nil, opstest.Const(opstest.Ints(4, 7))}, Want: []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{opstest.Known(1), opstest.Known(1), opstest.Unknown(""), opstest.Unknown("")}}}},
		{Name: "sizes, unknown width", Opset: 18, Attributes: attrs{"axes": []int64{3}}, Inputs: []*ops.Input{unknownWidth, nil, nil, opstest.Const(opstest.Ints(7))}, Want: []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{opstest.Known(1), opstest.Known(1), opstest.Known(2), opstest.Known(7)}}}},
	})
}
