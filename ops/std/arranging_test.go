package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestRearrangingOperators_ComputeExamples(t *testing.T) {
	x := opstest.F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	axis1 := attrs{"axis": int64(1)}
	runCases(t, []operatorCase{
		{"Transpose", opstest.Case{Inputs: tensors{x}, Outputs: tensors{opstest.F32([]int{3, 2}, 1, 4, 2, 5, 3, 6)}}},
		{"Transpose", opstest.Case{Name: "given perm", Attributes: attrs{"perm": []int64{0, 2, 1}}, Inputs: tensors{opstest.F32([]int{2, 2, 1}, 1, 2, 3, 4)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1, 2}, 1, 2, 3, 4)}}},
		{"Transpose", opstest.Case{Name: "perm with a repeated axis", Attributes: attrs{"perm": []int64{0, 0}}, Inputs: tensors{x}, WantErr: "perm [0 0] is not a permutation of the axes (rank 2)"}},
		{"Squeeze", opstest.Case{Inputs: tensors{opstest.F32([]int{2, 1, 3}, 1, 2, 3, 4, 5, 6), opstest.Ints(-2)}, Constants: []int{1}, Batch: []int{0}, Outputs: tensors{x}}},
		{"Squeeze", opstest.Case{Name: "size is not 1", Opset: 11, Attributes: attrs{"axes": []int64{0}}, Inputs: tensors{x}, WantErr: "dimension 0 of float32(2, 3) does not have size 1"}},
		{"Unsqueeze", opstest.Case{Inputs: tensors{x, opstest.Ints(-1, 1)}, Constants: []int{1}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1, 3, 1}, 1, 2, 3, 4, 5, 6)}}},
		{"Unsqueeze", opstest.Case{Name: "axes as attribute", Opset: 9, Attributes: attrs{"axes": []int64{0}}, Inputs: tensors{f32(1, 2)}, Outputs: tensors{opstest.F32([]int{1, 2}, 1, 2)}}},
		{"Expand", opstest.Case{Inputs: tensors{opstest.F32([]int{2, 1}, 1, 2), opstest.Ints(2, 1, 3)}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{2, 2, 3}, 1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2)}}},
		{"Expand", opstest.Case{Name: "negative size", Inputs: tensors{x, opstest.Ints(-1)}, Constants: []int{1}, WantErr: "-1 is not a valid size"}},
		{"Tile", opstest.Case{Inputs: tensors{opstest.F32([]int{1, 2}, 1, 2), opstest.Ints(2, 2)}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{2, 4}, 1, 2, 1, 2, 1, 2, 1, 2)}}},
		{"Tile", opstest.Case{Name: "too many elements", Inputs: tensors{x, opstest.Ints(1<<30, 1<<30)}, Constants: []int{1}, WantErr: "too many elements"}},
		{"Gather", opstest.Case{Attributes: axis1, Inputs: tensors{x, opstest.I32([]int{1, 2}, -1, 0)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1, 2}, 3, 1, 6, 4)}}},
		{"Gather", opstest.Case{Name: "index out of range", Inputs: tensors{x, opstest.Ints(2)}, WantRunErr: "index 2 is out of range for size 2"}},
		{"GatherElements", opstest.Case{Attributes: axis1, Inputs: tensors{x, opstest.I64([]int{2, 2}, 2, 0, 1, -3)}, Batch: []int{0, 1}, Outputs: tensors{opstest.F32([]int{2, 2}, 3, 1, 5, 4)}}},
		{"GatherND", opstest.Case{Inputs: tensors{x, opstest.I64([]int{2, 2}, 1, 0, 0, -1)}, Constants: []int{1}, Outputs: tensors{f32(4, 3)}}},
		{"GatherND", opstest.Case{Name: "batch_dims", Attributes: attrs{"batch_dims": int64(1)}, Inputs: tensors{x, opstest.I64([]int{2, 1}, 1, 2)}, Constants: []int{1}, Outputs: tensors{f32(2, 6)}}},
		{"Compress", opstest.Case{Attributes: axis1, Inputs: tensors{x, bools(true, false, true)}, Constants: []int{1}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, 1, 3, 4, 6)}}},
		{"Compress", opstest.Case{Name: "condition too long", Inputs: tensors{f32(1), bools(false, true)}, Constants: []int{1}, WantErr: "selects index 1, but the size is 1"}},
		{"ScatterElements", opstest.Case{Attributes: axis1, Inputs: tensors{x, opstest.I64([]int{2, 1}, 0, -1), opstest.F32([]int{2, 1}, 7, 8)}, Batch: []int{0, 1, 2}, Outputs: tensors{opstest.F32([]int{2, 3}, 7, 2, 3, 4, 5, 8)}}},
		{"Scatter", opstest.Case{Opset: 9, Inputs: tensors{f32(1, 2), opstest.Ints(1), f32(5)}, Outputs: tensors{f32(1, 5)}}},
		{"ScatterElements", opstest.Case{Name: "reduction add", Attributes: attrs{"reduction": "add"}, Inputs: tensors{opstest.Ints(1, 2), opstest.Ints(1, 1), opstest.Ints(3, 4)}, Outputs: tensors{opstest.Ints(1, 9)}}},
		{"ScatterND", opstest.Case{Attributes: attrs{"reduction": "mul"}, Inputs: tensors{x, opstest.I64([]int{1, 1}, 1), opstest.F32([]int{1, 3}, 2, 3, 4)}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{2, 3}, 1, 2, 3, 8, 15, 24)}}},
		{"Split", opstest.Case{Attributes: axis1, Inputs: tensors{x, opstest.Ints(1, 2)}, Constants: []int{1}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1}, 1, 4), opstest.F32([]int{2, 2}, 2, 3, 5, 6)}}},
		{"Split", opstest.Case{Name: "equal parts", Opset: 11, Inputs: tensors{x}, Outputs: tensors{opstest.F32([]int{1, 3}, 1, 2, 3), opstest.F32([]int{1, 3}, 4, 5, 6)}}},
		{"Pad", opstest.Case{Inputs: tensors{f32(1, 2, 3), opstest.Ints(1, -1), opstest.F32(nil, 9)}, Constants: []int{1}, Outputs: tensors{f32(9, 1, 2)}}},
		{"Pad", opstest.Case{Name: "reflect", Attributes: attrs{"mode": "reflect"}, Inputs: tensors{f32(1, 2, 3), opstest.Ints(2, 1)}, Constants: []int{1}, Outputs: tensors{f32(3, 2, 1, 2, 3, 2)}}},
		{"Pad", opstest.Case{Name: "empty pads attribute", Opset: 10, Attributes: attrs{"pads": []int64(nil)}, Inputs: tensors{f32(1, 2)}, WantErr: "the number of pads is 0, want 2 for 1 dimensions (data is float32(2))"}},
		{"Pad", opstest.Case{Name: "empty pads attribute for a scalar", Opset: 10, Attributes: attrs{"pads": []int64(nil)}, Inputs: tensors{opstest.F32(nil, 1)}, Outputs: tensors{opstest.F32(nil, 1)}}},
		{"Pad", opstest.Case{Name: "pads as attribute, edge", Opset: 10, Attributes: attrs{"mode": "edge", "pads": []int64{1, 1}}, Inputs: tensors{opstest.Ints(4, 5)}, Outputs: tensors{opstest.Ints(4, 4, 5, 5)}}},
		{"DepthToSpace", opstest.Case{Attributes: attrs{"blocksize": int64(2)}, Inputs: tensors{opstest.F32([]int{1, 4, 1, 1}, 1, 2, 3, 4)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 2}, 1, 2, 3, 4)}}},
		{"SpaceToDepth", opstest.Case{Attributes: attrs{"blocksize": int64(2)}, Inputs: tensors{opstest.F32([]int{1, 1, 2, 4}, 1, 2, 3, 4, 5, 6, 7, 8)}, Outputs: tensors{opstest.F32([]int{1, 4, 1, 2}, 1, 3, 2, 4, 5, 7, 6, 8)}}},
		{"Shape", opstest.Case{Inputs: tensors{x}, Outputs: tensors{opstest.Ints(2, 3)}}},
		{"Size", opstest.Case{Inputs: tensors{x}, Outputs: tensors{opstest.I64(nil, 6)}}},
		{"Constant", opstest.Case{Attributes: attrs{"value_floats": []float32{1, 2}}, Outputs: tensors{f32(1, 2)}}},
		{"ConstantOfShape", opstest.Case{Attributes: attrs{"value": opstest.Ints(3)}, Inputs: tensors{opstest.Ints(2, 1)}, Constants: []int{0}, Outputs: tensors{opstest.I64([]int{2, 1}, 3, 3)}}},
		{"OneHot", opstest.Case{Inputs: tensors{opstest.Ints(1, -1, 5), opstest.I64(nil, 3), opstest.Ints(7, 8)}, Constants: []int{1}, Batch: []int{0}, Outputs: tensors{opstest.I64([]int{3, 3}, 7, 8, 7, 7, 7, 8, 7, 7, 7)}}},
		{"Trilu", opstest.Case{Inputs: tensors{opstest.Tensor([]int{2, 2}, int8(1), int8(2), int8(3), int8(4)), opstest.I64(nil, 1)}, Outputs: tensors{opstest.Tensor([]int{2, 2}, int8(0), int8(2), int8(0), int8(0))}}},
		{"EyeLike", opstest.Case{Attributes: attrs{"k": int64(1), "dtype": int64(ops.Bool)}, Inputs: tensors{x}, Outputs: tensors{opstest.Tensor([]int{2, 3}, false, true, false, false, false, true)}}},
		{"Range", opstest.Case{Inputs: tensors{opstest.I64(nil, 5), opstest.I64(nil, 0), opstest.I64(nil, -2)}, Constants: []int{0, 1, 2}, Outputs: tensors{opstest.Ints(5, 3, 1)}}},
		{"Range", opstest.Case{Name: "delta 0", Inputs: tensors{opstest.F32(nil, 5), opstest.F32(nil, 0), opstest.F32(nil, 0)}, Constants: []int{0, 1, 2}, WantErr: "the range from 5 to 0 in steps of 0 is endless or too long"}},
		{"ReverseSequence", opstest.Case{Attributes: attrs{"time_axis": int64(1), "batch_axis": int64(0)}, Inputs: tensors{x, opstest.Ints(2, 3)}, Batch: []int{0, 1}, Outputs: tensors{opstest.F32([]int{2, 3}, 2, 1, 3, 6, 5, 4)}}},
		{"NonZero", opstest.Case{OpenSizes: true, Inputs: tensors{opstest.F32([]int{2, 2}, 1, 0, 0, 2)}, Outputs: tensors{opstest.I64([]int{2, 2}, 0, 1, 0, 1)}}},
		{"Unique", opstest.Case{OpenSizes: true, Inputs: tensors{f32(2, 1, 2)}, Outputs: tensors{f32(1, 2), opstest.Ints(1, 0), opstest.Ints(1, 0, 1), opstest.Ints(1, 2)}}},
		{"Unique", opstest.Case{Name: "unsorted along an axis", OpenSizes: true, Attributes: attrs{"sorted": int64(0), "axis": int64(0)}, Inputs: tensors{opstest.I64([]int{3, 1}, 4, 3, 4)}, Outputs: tensors{opstest.I64([]int{2, 1}, 4, 3), opstest.Ints(0, 1), opstest.Ints(0, 1, 0)}}},
		{"NonMaxSuppression", opstest.Case{
			OpenSizes: true,
			Inputs:    tensors{opstest.F32([]int{1, 3, 4}, 0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 5, 1, 6), opstest.F32([]int{1, 1, 3}, 0.9, 0.95, 0.5), opstest.I64(nil, 3), opstest.F32(nil, 0.5)},
			Outputs:   tensors{opstest.I64([]int{2, 3}, 0, 0, 1, 0, 0, 2)},
		}},
	})
}

func TestResizingOperators_ComputeExamples(t *testing.T) {
	x := opstest.F32([]int{1, 1, 2, 2}, 1, 2, 3, 4)
	double, four := f32(1, 1, 1, 2), f32(10, 20, 30, 40)
	none := f32()
	var zeroTo48 []float32
	for i := range 49 {
		zeroTo48 = append(zeroTo48, float32(i))
	}
	pytorch := attrs{"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}
	crop := attrs{"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": float32(-1)}
	runCases(t, []operatorCase{
		{"Resize", opstest.Case{Inputs: tensors{x, none, double}, Constants: []int{2}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 4}, 1, 1, 2, 2, 3, 3, 4, 4)}}},
		{"Resize", opstest.Case{Name: "linear, sizes", Attributes: attrs{"mode": "linear"}, Inputs: tensors{x, nil, nil, opstest.Ints(1, 1, 2, 4)}, Constants: []int{3}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 4}, 1, 1.25, 1.75, 2, 3, 3.25, 3.75, 4)}}},
		{"Resize", opstest.Case{Name: "align_corners", Attributes: attrs{"mode": "linear", "coordinate_transformation_mode": "align_corners"}, Inputs: tensors{x, none, f32(1, 1, 1, 1.5)}, Constants: []int{2}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 3}, 1, 1.5, 2, 3, 3.5, 4)}}},
		{"Resize", opstest.Case{Name: "constant image stays constant", Attributes: attrs{"mode": "cubic"}, Inputs: tensors{constantTensor(7, 1, 1, 3, 3), none, f32(1, 1, 0.7, 3)}, Constants: []int{2}, Outputs: tensors{constantTensor(7, 1, 1, 2, 9)}, Tolerance: 1e-6}},
		{"Resize", opstest.Case{Name: "single output element", Attributes: pytorch, Inputs: tensors{f32(zeroTo48...), nil, nil, opstest.Ints(1)}, Constants: []int{3}, Outputs: tensors{f32(0)}}},
		{"Resize", opstest.Case{Name: "single output element from a scale", Attributes: pytorch, Inputs: tensors{f32(zeroTo48...), nil, f32(float32(1) / 49)}, Constants: []int{2}, Outputs: tensors{f32(0)}}},
		{"Resize", opstest.Case{Name: "single output element of a region", Attributes: crop, Inputs: tensors{f32(zeroTo48...), f32(0.5, 1), nil, opstest.Ints(1)}, Constants: []int{1, 3}, Outputs: tensors{f32(36)}}},
		{"Resize", opstest.Case{Name: "region, scale", Attributes: crop, Inputs: tensors{f32(0, 1, 2, 3), f32(0, 2), f32(0.25)}, Constants: []int{1, 2}, Outputs: tensors{f32(0, -1)}}},
		{"Resize", opstest.Case{Name: "round_prefer_floor", Inputs: tensors{four, nil, nil, opstest.Ints(2)}, Constants: []int{3}, Outputs: tensors{f32(10, 30)}}},
		{"Resize", opstest.Case{Name: "round_prefer_ceil", Attributes: attrs{"nearest_mode": "round_prefer_ceil"}, Inputs: tensors{four, nil, nil, opstest.Ints(2)}, Constants: []int{3}, Outputs: tensors{f32(20, 40)}}},
		{"Resize", opstest.Case{Name: "floor", Attributes: attrs{"nearest_mode": "floor"}, Inputs: tensors{f32(1, 2, 3), nil, nil, opstest.Ints(2)}, Constants: []int{3}, Outputs: tensors{f32(1, 2)}}},
		{"Resize", opstest.Case{Name: "ceil", Attributes: attrs{"nearest_mode": "ceil"}, Inputs: tensors{f32(1, 2, 3), nil, nil, opstest.Ints(2)}, Constants: []int{3}, Outputs: tensors{f32(2, 3)}}},
		{"Resize", opstest.Case{Name: "tf_half_pixel_for_nn", Attributes: attrs{"coordinate_transformation_mode": "tf_half_pixel_for_nn"}, Inputs: tensors{four, nil, nil, opstest.Ints(2)}, Constants: []int{3}, Outputs: tensors{f32(20, 40)}}},
		{"Resize", opstest.Case{Name: "shrinks one axis and grows another", Attributes: attrs{"mode": "linear"}, Inputs: tensors{opstest.F32([]int{2, 2}, 1, 2, 3, 4), nil, nil, opstest.Ints(1, 4)}, Constants: []int{3}, Outputs: tensors{opstest.F32([]int{1, 4}, 2, 2.25, 2.75, 3)}}},
		{"Resize", opstest.Case{Name: "same size, float64", Attributes: crop, Inputs: tensors{opstest.F64([]int{2}, 5, 6), f32(0.5, 1.5), nil, opstest.Ints(2)}, Constants: []int{1, 3}, Outputs: tensors{opstest.F64([]int{2}, 5.5, -1)}}},
		{"Resize", opstest.Case{Name: "scales and sizes", Inputs: tensors{four, nil, f32(2), opstest.Ints(2)}, Constants: []int{2, 3}, WantErr: "want either scales or sizes"}},
		{"Resize", opstest.Case{Name: "too many sizes", Inputs: tensors{four, nil, nil, opstest.Ints(2, 2)}, Constants: []int{3}, WantErr: "X is float32(4) but the length of sizes is 2"}},
		{"Resize", opstest.Case{Name: "roi missing", Attributes: crop, Inputs: tensors{four, nil, nil, opstest.Ints(2)}, Constants: []int{3}, WantErr: "roi is missing"}},
		{"Upsample", opstest.Case{Name: "too few scales", Opset: 7, Attributes: attrs{"scales": []float32{}}, Inputs: tensors{four}, WantErr: "the length of scales is 0, want 1"}},
		{"Resize", opstest.Case{Name: "huge scale", Inputs: tensors{x, none, f32(1, 1, 1e20, 1)}, Constants: []int{2}, WantErr: "size 2.0"}},
		{"Resize", opstest.Case{Name: "NaN scale", Inputs: tensors{x, none, f32(1, 1, float32(math.NaN()), 1)}, Constants: []int{2}, WantErr: "scale NaN"}},
		{"Resize", opstest.Case{Name: "opset 10", Opset: 10, Inputs: tensors{x, double}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 4}, 1, 1, 2, 2, 3, 3, 4, 4)}}},
		{"Upsample", opstest.Case{Opset: 7, Attributes: attrs{"scales": []float32{1, 1, 1, 2}}, Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 4}, 1, 1, 2, 2, 3, 3, 4, 4)}}},
		{"GridSample", opstest.Case{Attributes: attrs{"align_corners": int64(1)}, Inputs: tensors{x, opstest.F32([]int{1, 1, 2, 2}, -1, -1, 0, 0)}, Batch: []int{0, 1}, Outputs: tensors{opstest.F32([]int{1, 1, 1, 2}, 1, 2.5)}}},
		{"GridSample", opstest.Case{Name: "places outside the image", Attributes: attrs{"padding_mode": "border", "mode": "nearest"}, Inputs: tensors{x, opstest.F32([]int{1, 1, 2, 2}, 9, 9, -9, 9)}, Outputs: tensors{opstest.F32([]int{1, 1, 1, 2}, 4, 3)}}},
		{"RoiAlign", opstest.Case{Attributes: attrs{"sampling_ratio": int64(2)}, Inputs: tensors{constantTensor(3, 1, 1, 4, 4), opstest.F32([]int{1, 4}, 1, 1, 3, 3), opstest.Ints(0)}, Outputs: tensors{constantTensor(3, 1, 1, 1, 1)}}},
		{"RoiAlign", opstest.Case{Name: "huge region", Inputs: tensors{constantTensor(3, 1, 1, 4, 4), opstest.F32([]int{1, 4}, 0, 0, 1e30, 1), opstest.Ints(0)}, WantRunErr: "sampling points"}},
		// Between the pixels 1 and -8, the interpolated value is negative, but not the weighted 1.
		{"RoiAlign", opstest.Case{Name: "the maximum is that of weighted pixels", Attributes: attrs{"mode": "max", "sampling_ratio": int64(1)}, Inputs: tensors{opstest.F32([]int{1, 1, 1, 2}, 1, -8), opstest.F32([]int{1, 4}, 0.5, 0.5, 1.5, 0.5), opstest.Ints(0)}, Outputs: tensors{opstest.F32([]int{1, 1, 1, 1}, 0.5)}}},
	})
}
