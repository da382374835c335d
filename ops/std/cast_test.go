package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func textTensor(v ...string) *ops.Tensor { return opstest.Tensor([]int{len(v)}, v...) }

func TestCast_ConvertsBetweenAllKindsOfTypes(t *testing.T) {
	nan := float32(math.NaN())
	to := func(d ops.DType, more ...any) ops.Attributes {
		a := attrs{"to": int64(d)}
		for i := 0; i < len(more); i += 2 {
			a[more[i].(string)] = more[i+1]
		}
		return a
	}
	opstest.Run(t, find(t, "Cast"), []opstest.Case{
		{Name: "type by name", Opset: 1, Attributes: attrs{"to": "INT32"}, Inputs: tensors{f32(1.5, -2)}, Outputs: tensors{opstest.I32([]int{2}, 1, -2)}},
		{Name: "unknown name", Opset: 1, Attributes: attrs{"to": "STRING"}, Inputs: tensors{f32(1)}, WantErr: `to: unsupported element type: "STRING"`},
		{Name: "number instead of a name", Opset: 1, Attributes: attrs{"to": int64(1)}, Inputs: tensors{f32(1)}, WantErr: "to has type INT, want STRING"},
		{Name: "float16", Attributes: to(ops.Float16), Inputs: tensors{f32(1, 65504, 1e6, nan)}, Outputs: tensors{opstest.Tensor([]int{4}, ops.F16(0x3c00), ops.F16(0x7bff), ops.F16(0x7c00), ops.F16(0x7e00))}},
		{Name: "from bfloat16", Attributes: to(ops.Int64), Inputs: tensors{opstest.Tensor([]int{2}, ops.ToBF16(-3.5), ops.ToBF16(1e3))}, Outputs: tensors{opstest.Ints(-3, 1000)}},
		{Name: "saturating", Opset: 19, Attributes: to(ops.Float8E4M3FN), Inputs: tensors{f32(1, 1e6, -1e6)}, Outputs: tensors{opstest.Tensor([]int{3}, ops.F8E4M3FN(0x38), ops.F8E4M3FN(0x7e), ops.F8E4M3FN(0xfe))}},
		{Name: "not saturating", Opset: 19, Attributes: to(ops.Float8E5M2, "saturate", int64(0)), Inputs: tensors{f32(1e6, -1e6)}, Outputs: tensors{opstest.Tensor([]int{2}, ops.F8E5M2(0x7c), ops.F8E5M2(0xfc))}},
		{Name: "integer not saturating", Opset: 19, Attributes: to(ops.Float8E5M2, "saturate", int64(0)), Inputs: tensors{opstest.Ints(1 << 40)}, Outputs: tensors{opstest.Tensor([]int{1}, ops.F8E5M2(0x7c))}},
		{Name: "saturate is new", Opset: 18, Attributes: to(ops.Float8E5M2, "saturate", int64(0)), Inputs: tensors{f32(1)}, WantErr: "unknown saturate"},
		{Name: "up to a power of two", Opset: 24, Attributes: to(ops.Float8E8M0), Inputs: tensors{f32(1, 3)}, Outputs: tensors{opstest.Tensor([]int{2}, ops.F8E8M0(127), ops.F8E8M0(129))}},
		{Name: "down to a power of two", Opset: 24, Attributes: to(ops.Float8E8M0, "round_mode", "down"), Inputs: tensors{f32(3)}, Outputs: tensors{opstest.Tensor([]int{1}, ops.F8E8M0(128))}},
		{Name: "unknown rounding", Opset: 24, Attributes: to(ops.Float8E8M0, "round_mode", "even"), Inputs: tensors{f32(3)}, WantErr: `round_mode "even"`},
		{Name: "4 bits keep low bits", Attributes: to(ops.Int4), Inputs: tensors{f32(-9, -8.9, 7, 8, 17, nan, 1e30)}, Outputs: tensors{opstest.Tensor([]int{7}, ops.I4(7), ops.I4(-8), ops.I4(7), ops.I4(-8), ops.I4(1), ops.I4(0), ops.I4(0))}},
		{Name: "2 bits keep low bits", Attributes: to(ops.Uint2), Inputs: tensors{opstest.Ints(-1, 3, 6)}, Outputs: tensors{opstest.Tensor([]int{3}, ops.U2(3), ops.U2(3), ops.U2(2))}},
		{Name: "4-bit floats", Attributes: to(ops.Float4E2M1), Inputs: tensors{f32(0.4, -100, 2.5, nan)}, Outputs: tensors{opstest.Tensor([]int{4}, ops.F4E2M1(1), ops.F4E2M1(15), ops.F4E2M1(4), ops.F4E2M1(8))}},
		{Name: "strings to numbers", Attributes: to(ops.Float32), Inputs: tensors{textTensor("0.5", "-1e3", " 7 ", "+inf", "-INF", "NaN", "1e99")}, Outputs: tensors{f32(0.5, -1000, 7, float32(inf), -float32(inf), nan, float32(inf))}},
		{Name: "strings to integers", Attributes: to(ops.Int8), Inputs: tensors{textTensor("12", "100.5", "-3")}, Outputs: tensors{opstest.Tensor([]int{3}, int8(12), int8(100), int8(-3))}},
		{Name: "strings to large integers", Attributes: to(ops.Uint64), Inputs: tensors{textTensor("18446744073709551615")}, Outputs: tensors{opstest.Tensor([]int{1}, uint64(math.MaxUint64))}},
		{Name: "strings to bool", Attributes: to(ops.Bool), Inputs: tensors{textTensor("True", "0", "false", "2")}, Outputs: tensors{bools(true, false, false, true)}},
		{Name: "no number", Attributes: to(ops.Float32), Inputs: tensors{textTensor("1", "one")}, WantRunErr: `element 1 is "one", which is no number that fits float32`},
		{Name: "infinity is no integer", Attributes: to(ops.Int32), Inputs: tensors{textTensor("INF")}, WantRunErr: "no number that fits int32"},
		{Name: "hexadecimal", Attributes: to(ops.Float32), Inputs: tensors{textTensor("0x1p4")}, WantRunErr: "no number"},
		{Name: "floats to strings", Attributes: to(ops.String), Inputs: tensors{f32(0.1, -2.5, 100, 1e-7, 1e20, nan, -float32(inf))}, Outputs: tensors{textTensor("0.1", "-2.5", "100", "1e-07", "1e+20", "NaN", "-INF")}},
		{Name: "integers to strings", Attributes: to(ops.String), Inputs: tensors{opstest.Ints(-5, 1<<62)}, Outputs: tensors{textTensor("-5", "4611686018427387904")}},
		{Name: "strings stay", Attributes: to(ops.String), Inputs: tensors{textTensor("a", "")}, Outputs: tensors{textTensor("a", "")}},
	})
	opstest.Run(t, find(t, "CastLike"), []opstest.Case{
		{Name: "to strings", Inputs: tensors{opstest.Ints(7), textTensor()}, Outputs: tensors{textTensor("7")}},
		{Name: "not saturating", Opset: 19, Attributes: attrs{"saturate": int64(0)}, Inputs: tensors{f32(1e6), opstest.Tensor([]int{1}, ops.F8E4M3FN(0))}, Outputs: tensors{opstest.Tensor([]int{1}, ops.F8E4M3FN(0x7f))}},
	})
}

// TestBits_OfLongIntegersThatBecomeFloat32 has an integer of 47 bits, which processors of 32 bits need help with.
func TestBits_OfLongIntegersThatBecomeFloat32(t *testing.T) {
	const n = 12864518 * 8856928
	to := attrs{"to": int64(ops.Float32)}
	opstest.Run(t, find(t, "Cast"), []opstest.Case{
		{Name: "int64", Attributes: to, Inputs: tensors{opstest.Ints(n, -n)}, Outputs: tensors{f32(float32(n), -float32(n))}},
		{Name: "uint64", Attributes: to, Inputs: tensors{opstest.Tensor([]int{1}, uint64(n))}, Outputs: tensors{f32(float32(n))}},
	})
}

func TestBitCast_KeepsBits(t *testing.T) {
	to := func(d ops.DType) ops.Attributes { return attrs{"to": int64(d)} }
	opstest.Run(t, find(t, "BitCast"), []opstest.Case{
		{Name: "float32 to int32", Opset: 26, Attributes: to(ops.Int32), Inputs: tensors{f32(1, -0.5)}, Batch: []int{0}, Outputs: tensors{opstest.I32([]int{2}, 0x3f800000, -0x41000000)}},
		{Name: "int64 to float64", Opset: 26, Attributes: to(ops.Float64), Inputs: tensors{opstest.Ints(0x3ff0000000000000)}, Outputs: tensors{opstest.F64([]int{1}, 1)}},
		{Name: "uint8 to bool", Opset: 26, Attributes: to(ops.Bool), Inputs: tensors{opstest.Tensor([]int{3}, uint8(0), uint8(1), uint8(7))}, Outputs: tensors{bools(false, true, true)}},
		{Name: "bfloat16 to float16", Opset: 26, Attributes: to(ops.Float16), Inputs: tensors{opstest.Tensor([]int{1}, ops.BF16(0x3c00))}, Outputs: tensors{opstest.Tensor([]int{1}, ops.F16(0x3c00))}},
		{Name: "uint4 to int4", Opset: 26, Attributes: to(ops.Int4), Inputs: tensors{opstest.Tensor([]int{3}, ops.U4(15), ops.U4(8), ops.U4(7))}, Outputs: tensors{opstest.Tensor([]int{3}, ops.I4(-1), ops.I4(-8), ops.I4(7))}},
		{Name: "int2 to uint2", Opset: 26, Attributes: to(ops.Uint2), Inputs: tensors{opstest.Tensor([]int{2}, ops.I2(-2), ops.I2(1))}, Outputs: tensors{opstest.Tensor([]int{2}, ops.U2(2), ops.U2(1))}},
		{Name: "other width", Opset: 26, Attributes: to(ops.Int16), Inputs: tensors{f32(1)}, WantErr: "want the same number of bits"},
		{Name: "from strings", Opset: 26, Attributes: to(ops.Int16), Inputs: tensors{textTensor("a")}, WantErr: "want the same number of bits"},
		{Name: "to strings", Opset: 26, Attributes: to(ops.String), Inputs: tensors{f32(1)}, WantErr: "strings have no fixed number of bits"},
	})
}
