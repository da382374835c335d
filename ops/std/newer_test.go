package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// Operators and attributes since opset 18.
func TestOperatorsSinceOpset18_ComputeExamples(t *testing.T) {
	bytes := func(v ...uint8) *ops.Tensor { return opstest.Tensor([]int{len(v)}, v...) }
	x := f32(1, 2, 3, 4)
	cache := opstest.F32([]int{2, 3, 1}, 1, 2, 3, 4, 5, 6)
	update := opstest.F32([]int{2, 2, 1}, -1, -2, -3, -4)
	empty := opstest.Tensor[int8]([]int{0, 2})
	runCases(t, []operatorCase{
		{"BitwiseAnd", opstest.Case{Opset: 18, Inputs: tensors{bytes(12, 255), bytes(10)}, Batch: []int{0}, Outputs: tensors{bytes(8, 10)}}},
		{"BitwiseOr", opstest.Case{Opset: 18, Inputs: tensors{opstest.Ints(-8), opstest.Ints(3)}, Outputs: tensors{opstest.Ints(-5)}}},
		{"BitwiseXor", opstest.Case{Opset: 18, Inputs: tensors{opstest.Tensor([]int{1}, uint64(math.MaxUint64)), opstest.Tensor([]int{1}, uint64(1))}, Outputs: tensors{opstest.Tensor([]int{1}, uint64(math.MaxUint64-1))}}},
		{"BitwiseXor", opstest.Case{Name: "floats", Opset: 18, Inputs: tensors{x, x}, WantErr: "unsupported element type"}},
		{"BitwiseNot", opstest.Case{Opset: 18, Inputs: tensors{bytes(0, 170)}, Batch: []int{0}, Outputs: tensors{bytes(255, 85)}}},
		{"CumProd", opstest.Case{Opset: 26, Inputs: tensors{x, opstest.Tensor(nil, int64(0))}, Outputs: tensors{f32(1, 2, 6, 24)}}},
		{"CumProd", opstest.Case{Name: "exclusive", Opset: 26, Attributes: attrs{"exclusive": int64(1)}, Inputs: tensors{x, opstest.Tensor(nil, int32(-1))}, Outputs: tensors{f32(1, 1, 2, 6)}}},
		{"CumProd", opstest.Case{Name: "both", Opset: 26, Attributes: attrs{"exclusive": int64(1), "reverse": int64(1)}, Inputs: tensors{opstest.Ints(2, 3, 4), opstest.Tensor(nil, int64(0))}, Outputs: tensors{opstest.Ints(12, 4, 1)}}},
		{"TensorScatter", opstest.Case{Opset: 24, Inputs: tensors{cache, update}, Batch: []int{0, 1}, Outputs: tensors{opstest.F32([]int{2, 3, 1}, -1, -2, 3, -3, -4, 6)}}},
		{"TensorScatter", opstest.Case{Name: "places", Opset: 24, Inputs: tensors{cache, update, opstest.Ints(1, 0)}, Batch: []int{0, 1, 2}, Outputs: tensors{opstest.F32([]int{2, 3, 1}, 1, -1, -2, -3, -4, 6)}}},
		{"TensorScatter", opstest.Case{Name: "circular", Opset: 24, Attributes: attrs{"mode": "circular"}, Inputs: tensors{cache, update, opstest.Ints(2, 5)}, Outputs: tensors{opstest.F32([]int{2, 3, 1}, -2, 2, -1, -4, 5, -3)}}},
		{"TensorScatter", opstest.Case{Name: "strings", Opset: 24, Attributes: attrs{"axis": int64(1)}, Inputs: tensors{opstest.Tensor([]int{1, 2}, "a", "b"), opstest.Tensor([]int{1, 1}, "c"), opstest.Ints(1)}, Outputs: tensors{opstest.Tensor([]int{1, 2}, "a", "c")}}},
		{"TensorScatter", opstest.Case{Name: "beyond the end", Opset: 24, Inputs: tensors{cache, update, opstest.Ints(0, 2)}, WantRunErr: "write index 2: an update of size 2 does not fit a cache of size 3"}},
		{"TensorScatter", opstest.Case{Name: "batch as axis", Opset: 24, Attributes: attrs{"axis": int64(0)}, Inputs: tensors{cache, cache}, WantErr: "axis 0 is the batch"}},
		{"TensorScatter", opstest.Case{Name: "update too long", Opset: 24, Inputs: tensors{update, cache}, WantErr: "past_cache is float32(2, 2, 1) but update is float32(2, 3, 1)"}},
		{"Split", opstest.Case{Name: "smaller last part", Opset: 18, Attributes: attrs{"num_outputs": int64(3)}, Inputs: tensors{f32(1, 2, 3, 4, 5)}, Outputs: tensors{f32(1, 2), f32(3, 4), f32(5)}}},
		{"Split", opstest.Case{Name: "some outputs of more", Opset: 18, Attributes: attrs{"num_outputs": int64(3)}, Inputs: tensors{f32(1, 2, 3, 4, 5)}, Outputs: tensors{f32(1, 2), f32(3, 4)}}},
		{"Split", opstest.Case{Name: "too many parts", Opset: 18, Attributes: attrs{"num_outputs": int64(4)}, Inputs: tensors{f32(1, 2, 3, 4, 5)}, Outputs: tensors{x, x, x, x}, WantErr: "cannot be split into 3 parts of size 2 and a smaller one"}},
		{"Split", opstest.Case{Name: "sizes and a number", Opset: 18, Attributes: attrs{"num_outputs": int64(2)}, Inputs: tensors{x, opstest.Ints(2, 2)}, Outputs: tensors{x, x}, WantErr: "must not both be given"}},
		{"Split", opstest.Case{Name: "sizes of opset 1", Opset: 1, Inputs: tensors{x, f32(1, 3)}, Constants: []int{1}, Outputs: tensors{f32(1), f32(2, 3, 4)}}},
		{"ScatterElements", opstest.Case{Name: "max", Opset: 18, Attributes: attrs{"reduction": "max"}, Inputs: tensors{x, opstest.Ints(0, 0, 3), f32(7, 6, 1)}, Outputs: tensors{f32(7, 2, 3, 4)}}},
		{"ScatterElements", opstest.Case{Name: "max is new", Opset: 16, Attributes: attrs{"reduction": "max"}, Inputs: tensors{x, opstest.Ints(0), f32(7)}, WantErr: `reduction "max"`}},
		{"ScatterElements", opstest.Case{Name: "strings", Inputs: tensors{texts("a", "b"), opstest.Ints(1), texts("c")}, Outputs: tensors{texts("a", "c")}}},
		{"ScatterND", opstest.Case{Name: "min", Opset: 18, Constants: []int{1}, Attributes: attrs{"reduction": "min"}, Inputs: tensors{x, opstest.I64([]int{2, 1}, 1, 2), f32(1, 9)}, Outputs: tensors{f32(1, 1, 3, 4)}}},
		{"ReduceMax", opstest.Case{Name: "bool", Opset: 20, Attributes: attrs{"keepdims": int64(0)}, Inputs: tensors{opstest.Tensor([]int{2, 2}, true, false, false, false), opstest.Ints(1)}, Constants: []int{1}, Outputs: tensors{bools(true, false)}}},
		{"ReduceMin", opstest.Case{Name: "bool", Opset: 20, Attributes: attrs{"keepdims": int64(0)}, Inputs: tensors{opstest.Tensor([]int{2, 2}, true, false, true, true), opstest.Ints(1)}, Constants: []int{1}, Outputs: tensors{bools(false, true)}}},
		{"ReduceMax", opstest.Case{Name: "nothing", Opset: 20, Attributes: attrs{"keepdims": int64(0)}, Inputs: tensors{empty, opstest.Ints(0)}, Constants: []int{1}, Outputs: tensors{opstest.Tensor([]int{2}, int8(-128), int8(-128))}}},
		{"ReduceMin", opstest.Case{Name: "nothing", Opset: 20, Attributes: attrs{"keepdims": int64(0)}, Inputs: tensors{empty, opstest.Ints(0)}, Constants: []int{1}, Outputs: tensors{opstest.Tensor([]int{2}, int8(127), int8(127))}}},
		{"ReduceL2", opstest.Case{Name: "integers", Opset: 18, Inputs: tensors{opstest.I32([]int{3}, 1, 2, 2)}, Outputs: tensors{opstest.I32([]int{1}, 3)}}},
		{"Equal", opstest.Case{Name: "strings", Opset: 19, Inputs: tensors{texts("a", "b"), texts("a")}, Batch: []int{0}, Outputs: tensors{bools(true, false)}}},
		{"IsNaN", opstest.Case{Name: "float8", Opset: 20, Inputs: tensors{opstest.Tensor([]int{2}, ops.F8E4M3FN(0x7f), ops.F8E4M3FN(1))}, Outputs: tensors{bools(true, false)}}},
		{"IsInf", opstest.Case{Name: "float16", Opset: 20, Inputs: tensors{opstest.Tensor([]int{2}, ops.F16(0x7c00), ops.F16(1))}, Outputs: tensors{bools(true, false)}}},
		{"NonZero", opstest.Case{Name: "strings", OpenSizes: true, Inputs: tensors{texts("a", "", "b")}, Outputs: tensors{opstest.I64([]int{1, 2}, 0, 2)}}},
		{"Unique", opstest.Case{Name: "strings", OpenSizes: true, Inputs: tensors{texts("b", "a", "b")}, Outputs: tensors{texts("a", "b"), opstest.Ints(1, 0), opstest.Ints(1, 0, 1), opstest.Ints(1, 2)}}},
		{"ScatterND", opstest.Case{Name: "bool", Opset: 18, Constants: []int{1}, Attributes: attrs{"reduction": "add"}, Inputs: tensors{bools(true, false), opstest.I64([]int{2, 1}, 0, 1), bools(true, false)}, Outputs: tensors{bools(true, false)}}},
		{"Erf", opstest.Case{Name: "integers", Inputs: tensors{opstest.Ints(-9, 0, 9)}, Outputs: tensors{opstest.Ints(-1, 0, 1)}}},
		{"Dropout", opstest.Case{Name: "float8", Opset: 22, Inputs: tensors{opstest.Tensor([]int{1}, ops.F8E5M2(0x3c))}, Outputs: tensors{opstest.Tensor([]int{1}, ops.F8E5M2(0x3c)), bools(true)}}},
		{"RandomUniform", opstest.Case{Name: "float16", Attributes: attrs{"shape": []int64{1}, "low": float32(2), "high": float32(2), "dtype": int64(ops.Float16)}, Outputs: tensors{opstest.Tensor([]int{1}, ops.ToF16(2))}}},
		{"Bernoulli", opstest.Case{Name: "to bfloat16", Attributes: attrs{"dtype": int64(ops.BFloat16)}, Inputs: tensors{f32(1, 0)}, Outputs: tensors{opstest.Tensor([]int{2}, ops.ToBF16(1), ops.ToBF16(0))}}},
		{"Bernoulli", opstest.Case{Name: "to strings", Attributes: attrs{"dtype": int64(ops.String)}, Inputs: tensors{f32(1, 0)}, WantErr: "the output is string(2)"}},
		{"EyeLike", opstest.Case{Name: "of strings", Inputs: tensors{opstest.Tensor([]int{1, 1}, "a")}, WantErr: "output is string(1, 1)"}},
		{"Constant", opstest.Case{Name: "string", Attributes: attrs{"value_string": "a"}, Outputs: tensors{opstest.Tensor(nil, "a")}}},
		{"Constant", opstest.Case{Name: "strings", Attributes: attrs{"value_strings": []string{"a", "b"}}, Outputs: tensors{texts("a", "b")}}},
		{"Range", opstest.Case{Name: "bfloat16", Opset: 27, Attributes: attrs{"stash_type": int64(1)}, Inputs: tensors{opstest.Tensor(nil, ops.ToBF16(1)), opstest.Tensor(nil, ops.ToBF16(3)), opstest.Tensor(nil, ops.ToBF16(1))}, Constants: []int{0, 1, 2}, Outputs: tensors{opstest.Tensor([]int{2}, ops.ToBF16(1), ops.ToBF16(2))}}},
		{"Range", opstest.Case{Name: "stash_type", Opset: 27, Attributes: attrs{"stash_type": int64(7)}, Inputs: tensors{x, x, x}, WantErr: "stash_type 7"}},
	})
}
