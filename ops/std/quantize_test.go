package std

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestQuantizeLinear_ComputesExamples(t *testing.T) {
	x := opstest.F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	half := func(v ...float64) *ops.Tensor {
		h := make([]ops.F16, len(v))
		for i, f := range v {
			h[i] = ops.ToF16(f)
		}
		return opstest.Tensor([]int{len(h)}, h...)
	}
	opstest.Run(t, find(t, "QuantizeLinear"), []opstest.Case{
		{Name: "ties to even", Inputs: tensors{f32(1, 3, -1, 1e9), opstest.F32(nil, 2), opstest.Tensor(nil, int8(1))}, Batch: []int{0}, Outputs: tensors{opstest.Tensor([]int{4}, int8(1), int8(3), int8(1), int8(127))}},
		{Name: "uint16", Opset: 21, Inputs: tensors{f32(-1, 70000), opstest.F32(nil, 1), opstest.Tensor(nil, uint16(5))}, Outputs: tensors{opstest.Tensor([]int{2}, uint16(4), uint16(65535))}},
		{Name: "4 bits saturate", Opset: 21, Inputs: tensors{f32(-100, 3, 100), f32(1), opstest.Tensor([]int{1}, ops.I4(0))}, Outputs: tensors{opstest.Tensor([]int{3}, ops.I4(-8), ops.I4(3), ops.I4(7))}},
		{Name: "2 bits", Opset: 25, Attributes: attrs{"output_dtype": int64(ops.Uint2)}, Inputs: tensors{f32(-1, 1, 9), opstest.F32(nil, 1)}, Outputs: tensors{opstest.Tensor([]int{3}, ops.U2(0), ops.U2(1), ops.U2(3))}},
		{Name: "float8", Opset: 19, Inputs: tensors{f32(1, 1e6), opstest.F32(nil, 1), opstest.Tensor(nil, ops.F8E4M3FN(0))}, Outputs: tensors{opstest.Tensor([]int{2}, ops.F8E4M3FN(0x38), ops.F8E4M3FN(0x7e))}},
		{Name: "float8 out of range", Opset: 19, Attributes: attrs{"saturate": int64(0)}, Inputs: tensors{f32(1e6), opstest.F32(nil, 1), opstest.Tensor(nil, ops.F8E4M3FN(0))}, Outputs: tensors{opstest.Tensor([]int{1}, ops.F8E4M3FN(0x7f))}},
		{Name: "along the last axis", Inputs: tensors{x, f32(1, 2, 4)}, Batch: []int{0}, Outputs: tensors{opstest.Tensor([]int{2, 3}, uint8(1), uint8(1), uint8(1), uint8(4), uint8(2), uint8(2))}},
		{Name: "along the first axis", Attributes: attrs{"axis": int64(-2)}, Inputs: tensors{x, f32(1, 2), opstest.Tensor([]int{2}, uint8(10), uint8(0))}, Outputs: tensors{opstest.Tensor([]int{2, 3}, uint8(11), uint8(12), uint8(13), uint8(2), uint8(2), uint8(3))}},
		{Name: "blocks", Opset: 21, Attributes: attrs{"axis": int64(1), "block_size": int64(2)}, Inputs: tensors{x, opstest.F32([]int{2, 2}, 1, 3, 2, 1), opstest.Tensor([]int{2, 2}, uint8(0), uint8(1), uint8(2), uint8(3))}, Batch: []int{0, 1, 2}, Outputs: tensors{opstest.Tensor([]int{2, 3}, uint8(1), uint8(2), uint8(2), uint8(4), uint8(4), uint8(9))}},
		{Name: "blocks of rows", Opset: 21, Attributes: attrs{"axis": int64(0), "block_size": int64(2)}, Inputs: tensors{x, opstest.F32([]int{1, 3}, 1, 2, 3)}, Outputs: tensors{opstest.Tensor([]int{2, 3}, uint8(1), uint8(1), uint8(1), uint8(4), uint8(2), uint8(2))}},
		{Name: "float16 division", Opset: 21, Inputs: tensors{half(2049, 4), half(2)}, Outputs: tensors{opstest.Tensor([]int{2}, uint8(255), uint8(2))}},
		{Name: "precision", Opset: 23, Attributes: attrs{"precision": int64(ops.Float16)}, Inputs: tensors{f32(100.51), f32(1)}, Outputs: tensors{opstest.Tensor([]int{1}, uint8(100))}},
		{Name: "scale is a power of two", Opset: 24, Inputs: tensors{f32(8), opstest.Tensor(nil, ops.F8E8M0(128))}, Outputs: tensors{opstest.Tensor([]int{1}, uint8(4))}},
		{Name: "blocks do not fit", Opset: 21, Attributes: attrs{"block_size": int64(2)}, Inputs: tensors{x, opstest.F32([]int{2, 3}, 1, 1, 1, 1, 1, 1)}, WantErr: "x is float32(2, 3) but input 1 is float32(2, 3) (axis 1, block_size 2)"},
		{Name: "no blocks", Opset: 21, Inputs: tensors{x, opstest.F32([]int{2, 3}, 1, 1, 1, 1, 1, 1)}, WantErr: "input 1 is float32(2, 3) (axis 1)"},
		{Name: "blocks are new", Opset: 20, Attributes: attrs{"block_size": int64(2)}, Inputs: tensors{x, x}, WantErr: "unknown block_size"},
		{Name: "contradicting types", Opset: 21, Attributes: attrs{"output_dtype": int64(ops.Int8)}, Inputs: tensors{x, opstest.F32(nil, 1), opstest.Tensor(nil, uint8(0))}, WantErr: "y_zero_point is uint8() but output_dtype is int8"},
		{Name: "numbers of entries differ", Inputs: tensors{x, f32(1, 2, 3), opstest.Tensor([]int{1}, uint8(0))}, WantErr: "scale is float32(3) but zero_point is uint8(1)"},
	})
}

func TestDequantizeLinear_ComputesExamples(t *testing.T) {
	opstest.Run(t, find(t, "DequantizeLinear"), []opstest.Case{
		{Name: "int16", Opset: 21, Inputs: tensors{opstest.Tensor([]int{2}, int16(-300), int16(2)), opstest.F32(nil, 0.5), opstest.Tensor(nil, int16(2))}, Batch: []int{0}, Outputs: tensors{f32(-151, 0)}},
		{Name: "int32", Inputs: tensors{opstest.I32([]int{1}, 1<<24+1), opstest.F32(nil, 1)}, Outputs: tensors{f32(1 << 24)}},
		{Name: "4 bits in blocks", Opset: 21, Attributes: attrs{"axis": int64(0), "block_size": int64(2)}, Inputs: tensors{opstest.Tensor([]int{3}, ops.I4(1), ops.I4(-8), ops.I4(7)), f32(1, 2), opstest.Tensor([]int{2}, ops.I4(1), ops.I4(2))}, Outputs: tensors{f32(0, -9, 10)}},
		{Name: "float8 to float16", Opset: 19, Inputs: tensors{opstest.Tensor([]int{1}, ops.F8E5M2(0x3c)), opstest.Tensor(nil, ops.ToF16(2))}, Outputs: tensors{opstest.Tensor([]int{1}, ops.ToF16(2))}},
		{Name: "type of the output", Opset: 23, Attributes: attrs{"output_dtype": int64(ops.BFloat16)}, Inputs: tensors{opstest.Tensor([]int{1}, int8(3)), opstest.F32(nil, 2)}, Outputs: tensors{opstest.Tensor([]int{1}, ops.ToBF16(6))}},
		{Name: "scale is a power of two", Opset: 24, Attributes: attrs{"output_dtype": int64(ops.Float32)}, Inputs: tensors{opstest.Tensor([]int{1}, ops.F4E2M1(7)), opstest.Tensor(nil, ops.F8E8M0(128))}, Outputs: tensors{f32(12)}},
		{Name: "no type for the output", Opset: 24, Inputs: tensors{opstest.Tensor([]int{1}, ops.F4E2M1(7)), opstest.Tensor(nil, ops.F8E8M0(128))}, WantErr: "output_dtype must say"},
		{Name: "type of the zero point", Inputs: tensors{opstest.Tensor([]int{1}, int8(7)), opstest.F32(nil, 1), opstest.Tensor(nil, uint8(0))}, WantErr: "x_zero_point is uint8(), want int8"},
	})
}

func TestQuantizedProducts_TakeScalesOfRowsAndColumns(t *testing.T) {
	bytes := func(shape []int, v ...uint8) *ops.Tensor { return opstest.Tensor(shape, v...) }
	zero, one := bytes(nil, 0), opstest.F32(nil, 1)
	a, b := bytes([]int{2, 1}, 3, 4), bytes([]int{1, 2}, 1, 2)
	opstest.Run(t, find(t, "QLinearMatMul"), []opstest.Case{
		{Name: "columns", Inputs: tensors{a, one, zero, b, f32(1, 10), bytes([]int{2}, 0, 1), one, bytes(nil, 5)}, Outputs: tensors{bytes([]int{2, 2}, 8, 35, 9, 45)}},
		{Name: "rows", Inputs: tensors{a, f32(1, 10), bytes([]int{2}, 2, 3), b, one, zero, one, zero}, Outputs: tensors{bytes([]int{2, 2}, 1, 2, 10, 20)}},
		{Name: "dimensions of the matrix", Inputs: tensors{a, opstest.F32([]int{2, 1}, 1, 10), bytes([]int{1, 1}, 3), b, one, zero, one, zero}, Outputs: tensors{bytes([]int{2, 2}, 0, 0, 10, 20)}},
		{
			Name: "float8", Opset: 21, Outputs: tensors{opstest.Tensor([]int{1, 1}, ops.F8E4M3FN(0x40))},
			Inputs: tensors{
				opstest.Tensor([]int{1, 1}, ops.F8E4M3FN(0x38)), one, opstest.Tensor(nil, ops.F8E4M3FN(0)), opstest.Tensor([]int{1, 1}, ops.F8E4M3FN(0x38)), opstest.F32(nil, 2),
				opstest.Tensor(nil, ops.F8E4M3FN(0)), one, opstest.Tensor(nil, ops.F8E4M3FN(0)),
			},
		},
		{Name: "scales do not fit", Inputs: tensors{a, f32(1, 2, 3), zero, b, one, zero, one, zero}, WantErr: "a is uint8(2, 1), its scale is float32(3)"},
	})
	opstest.Run(t, find(t, "MatMulInteger"), []opstest.Case{
		{Name: "rows", Inputs: tensors{a, b, bytes([]int{2}, 3, 1)}, Outputs: tensors{opstest.I32([]int{2, 2}, 0, 0, 3, 6)}},
		{Name: "batches", Inputs: tensors{bytes([]int{2, 1, 1}, 3, 4), bytes([]int{2, 1, 1}, 1, 2), bytes([]int{2, 1, 1}, 1, 2), bytes([]int{2, 1, 1}, 0, 1)}, Outputs: tensors{opstest.I32([]int{2, 1, 1}, 2, 2)}},
	})
	opstest.Run(t, find(t, "DynamicQuantizeLinear"), []opstest.Case{
		{Name: "zeros", Inputs: tensors{f32(0, 0)}, Outputs: tensors{bytes([]int{2}, 0, 0), one, zero}},
	})
}

// TestQuantizeLinear_FindsTheScaleOfEachElement compares large tensors with the definition.
func TestQuantizeLinear_FindsTheScaleOfEachElement(t *testing.T) {
	shape := []int{5, 70, 9}
	x := opstest.Random(1, shape...)
	for _, c := range []struct {
		axis, block int
		scales      []int
	}{{0, 0, []int{5}}, {1, 0, []int{70}}, {2, 0, []int{9}}, {0, 2, []int{3, 70, 9}}, {1, 32, []int{5, 3, 9}}, {2, 4, []int{5, 70, 3}}} {
		scale := opstest.Random(2, c.scales...)
		for i := range scale.Float32s() {
			scale.Float32s()[i] += 0.01
		}
		op, err := find(t, "QuantizeLinear").New(ops.Node{Opset: 21, NumInputs: 2, Attributes: attrs{"axis": int64(c.axis), "block_size": int64(c.block)}})
		require.NoError(t, err)
		out, err := ops.Run(op, &ops.Context{Context: t.Context(), Pool: parallel.New(2)}, tensors{x, scale})
		require.NoError(t, err)
		got, _ := ops.Data[uint8](out[0])
		for i, v := range x.Float32s() {
			at := coordinatesAt(i, shape).at
			number := at[c.axis]
			if c.block > 0 {
				at[c.axis] /= c.block
				number = (at[0]*c.scales[1]+at[1])*c.scales[2] + at[2]
			}
			want := math.RoundToEven(float64(v / scale.Float32s()[number]))
			require.Equal(t, uint8(max(0, min(want, 255))), got[i], "element %d of %v", i, c)
		}
	}
}
