package std

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// operatorCase is a case of the named operator.
type operatorCase struct {
	operator string
	opstest.Case
}

// runCases runs cases of several operators. The default name of a case is its operator.
func runCases(t *testing.T, cases []operatorCase) {
	t.Helper()
	for _, c := range cases {
		if c.Name == "" {
			c.Name = c.operator
		}
		opstest.Run(t, find(t, c.operator), []opstest.Case{c.Case})
	}
}

type (
	tensors = []*ops.Tensor
	attrs   = ops.Attributes
)

func f32(v ...float32) *ops.Tensor { return opstest.F32([]int{len(v)}, v...) }

func bools(v ...bool) *ops.Tensor { return opstest.Tensor([]int{len(v)}, v...) }

// TestUnaryOperators_ComputeExamples covers the operators on single elements in float32 and
// float64.
func TestUnaryOperators_ComputeExamples(t *testing.T) {
	e := float32(math.E)
	for name, c := range map[string]struct{ in, want []float32 }{
		"Abs": {[]float32{-2, 3}, []float32{2, 3}}, "Acos": {[]float32{1, 0}, []float32{0, math.Pi / 2}}, "Acosh": {[]float32{1}, []float32{0}},
		"Asin": {[]float32{1}, []float32{math.Pi / 2}}, "Asinh": {[]float32{0, 1}, []float32{0, 0.8813736}}, "Atan": {[]float32{1}, []float32{math.Pi / 4}},
		"Atanh": {[]float32{0, 0.5}, []float32{0, 0.54930615}}, "Ceil": {[]float32{-1.5, 1.2}, []float32{-1, 2}}, "Celu": {[]float32{2, -1}, []float32{2, -0.63212055}},
		"Cos": {[]float32{0, math.Pi}, []float32{1, -1}}, "Cosh": {[]float32{0, 1}, []float32{1, 1.5430807}}, "Elu": {[]float32{2, -1}, []float32{2, -0.63212055}},
		"Erf": {[]float32{0, 1}, []float32{0, 0.8427008}}, "Exp": {[]float32{0, 1}, []float32{1, e}}, "Floor": {[]float32{-1.5, 1.2}, []float32{-2, 1}},
		"HardSigmoid": {[]float32{-3, 0, 1, 3}, []float32{0, 0.5, 0.7, 1}}, "HardSwish": {[]float32{-3, 0, 3, 1}, []float32{0, 0, 3, 2. / 3}},
		"LeakyRelu": {[]float32{-1, 2}, []float32{-0.01, 2}}, "Log": {[]float32{1, e}, []float32{0, 1}}, "Reciprocal": {[]float32{4, -0.5}, []float32{0.25, -2}},
		"Round": {[]float32{0.5, 1.5, -2.5, 2.6}, []float32{0, 2, -2, 3}}, "Selu": {[]float32{1, -1}, []float32{1.0507009, -1.1113307}},
		"Shrink": {[]float32{-1, 0.2, 1}, []float32{-1, 0, 1}}, "Sigmoid": {[]float32{0, 2, -2}, []float32{0.5, 0.880797, 0.119202922}},
		"Sign": {[]float32{-3, 0, 2}, []float32{-1, 0, 1}}, "Sin": {[]float32{0, math.Pi / 2}, []float32{0, 1}}, "Sinh": {[]float32{0, 1}, []float32{0, 1.1752012}},
		"Softplus": {[]float32{0, 100, -100}, []float32{math.Ln2, 100, 0}}, "Softsign": {[]float32{1, -3}, []float32{0.5, -0.75}}, "Sqrt": {[]float32{4}, []float32{2}},
		"Tan": {[]float32{0, 1}, []float32{0, 1.5574077}}, "Tanh": {[]float32{0, 1}, []float32{0, 0.7615942}}, "ThresholdedRelu": {[]float32{1, 1.5}, []float32{0, 1.5}},
	} {
		double := make([]float64, len(c.in))
		for i, v := range c.in {
			double[i] = float64(v)
		}
		wide := make([]float64, len(c.want))
		for i, v := range c.want {
			wide[i] = float64(v)
		}
		opstest.Run(t, find(t, name), []opstest.Case{
			{Name: name, Inputs: tensors{f32(c.in...)}, Batch: []int{0}, Outputs: tensors{f32(c.want...)}, Tolerance: 1e-6},
			{Name: name + " float64", Inputs: tensors{opstest.Tensor([]int{len(double)}, double...)}, Outputs: tensors{opstest.Tensor([]int{len(wide)}, wide...)}, Tolerance: 1e-6},
			{Name: name + " to bool", Inputs: tensors{bools(true)}, WantErr: "unsupported element type"},
		})
	}
}

func TestElementwiseOperators_ComputeExamples(t *testing.T) {
	nan := float32(math.NaN())
	a, b := f32(1, -5, 3), f32(2)
	small := opstest.Tensor([]int{3}, int8(-7), int8(7), int8(-128))
	large := opstest.Tensor([]int{2}, uint64(math.MaxUint64), uint64(5))
	runCases(t, []operatorCase{
		{"Add", opstest.Case{Name: "int8 wraps", Inputs: tensors{small, small}, Outputs: tensors{opstest.Tensor([]int{3}, int8(-14), int8(14), int8(0))}}},
		{"Div", opstest.Case{Name: "uint64", Inputs: tensors{large, opstest.Tensor([]int{1}, uint64(2))}, Outputs: tensors{opstest.Tensor([]int{2}, uint64(math.MaxInt64), uint64(2))}}},
		{"Mod", opstest.Case{Name: "sign of the divisor", Inputs: tensors{small, opstest.Tensor([]int{1}, int8(3))}, Outputs: tensors{opstest.Tensor([]int{3}, int8(2), int8(1), int8(1))}}},
		{"Mod", opstest.Case{Name: "fmod has the sign of the dividend", Attributes: attrs{"fmod": int64(1)}, Inputs: tensors{f32(-7.5), f32(2)}, Outputs: tensors{f32(-1.5)}}},
		{"Mod", opstest.Case{Name: "integer by zero", Inputs: tensors{opstest.Ints(1), opstest.Ints(0)}, WantRunErr: "division by zero"}},
		{"Mod", opstest.Case{Name: "float without fmod", Inputs: tensors{a, b}, WantErr: "unsupported element type"}},
		{"Pow", opstest.Case{Name: "float to an integer power", Inputs: tensors{f32(2, -3), opstest.Ints(3)}, Batch: []int{0}, Outputs: tensors{f32(8, -27)}}},
		{"Pow", opstest.Case{Name: "integers", Inputs: tensors{opstest.Ints(2, -1, 3, 1), opstest.Ints(62, -3, -1, -5)}, Outputs: tensors{opstest.Ints(1<<62, -1, 0, 1)}}},
		{"BitShift", opstest.Case{Attributes: attrs{"direction": "LEFT"}, Inputs: tensors{opstest.Tensor([]int{2}, uint8(3), uint8(255)), opstest.Tensor([]int{2}, uint8(2), uint8(9))}, Outputs: tensors{opstest.Tensor([]int{2}, uint8(12), uint8(0))}}},
		{"BitShift", opstest.Case{Name: "direction missing", Inputs: tensors{large, large}, WantErr: "want LEFT or RIGHT"}},
		{"PRelu", opstest.Case{Inputs: tensors{opstest.F32([]int{2, 2}, -1, 2, -3, 4), f32(0.5, 2)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, -0.5, 2, -1.5, 4)}}},
		{"PRelu", opstest.Case{Name: "slope larger than X", Inputs: tensors{b, a}, WantErr: "does not broadcast"}},
		{"Equal", opstest.Case{Inputs: tensors{bools(true, false), bools(true)}, Batch: []int{0}, Outputs: tensors{bools(true, false)}}},
		{"Equal", opstest.Case{Name: "NaN", Inputs: tensors{f32(nan, 1), f32(nan, 1)}, Outputs: tensors{bools(false, true)}}},
		{"Greater", opstest.Case{Inputs: tensors{a, b}, Batch: []int{0}, Outputs: tensors{bools(false, false, true)}}},
		{"Greater", opstest.Case{Name: "uint64", Inputs: tensors{large, opstest.Tensor([]int{1}, uint64(5))}, Outputs: tensors{bools(true, false)}}},
		{"GreaterOrEqual", opstest.Case{Inputs: tensors{opstest.Ints(1, 2, 3), opstest.Ints(2)}, Outputs: tensors{bools(false, true, true)}}},
		{"Less", opstest.Case{Inputs: tensors{opstest.Ints(1, 2, 3), opstest.Ints(2)}, Outputs: tensors{bools(true, false, false)}}},
		{"LessOrEqual", opstest.Case{Inputs: tensors{opstest.Ints(1, 2, 3), opstest.Ints(2)}, Outputs: tensors{bools(true, true, false)}}},
		{"And", opstest.Case{Inputs: tensors{bools(true, true, false), bools(true, false, false)}, Outputs: tensors{bools(true, false, false)}}},
		{"Or", opstest.Case{Inputs: tensors{bools(true, true, false), bools(true, false, false)}, Outputs: tensors{bools(true, true, false)}}},
		{"Xor", opstest.Case{Inputs: tensors{bools(true, true, false), bools(true, false, false)}, Outputs: tensors{bools(false, true, false)}}},
		{"Not", opstest.Case{Inputs: tensors{bools(true, false)}, Batch: []int{0}, Outputs: tensors{bools(false, true)}}},
		{"IsNaN", opstest.Case{Inputs: tensors{f32(nan, 1)}, Outputs: tensors{bools(true, false)}}},
		{"IsInf", opstest.Case{Attributes: attrs{"detect_negative": int64(0)}, Inputs: tensors{f32(float32(inf), -float32(inf), 1)}, Outputs: tensors{bools(true, false, false)}}},
		{"Max", opstest.Case{Inputs: tensors{a, b, opstest.F32([]int{2, 1}, 0, 9)}, Outputs: tensors{opstest.F32([]int{2, 3}, 2, 2, 3, 9, 9, 9)}}},
		{"Min", opstest.Case{Inputs: tensors{opstest.Ints(4, 5), opstest.Ints(5, 4)}, Batch: []int{0, 1}, Outputs: tensors{opstest.Ints(4, 4)}}},
		{"Sum", opstest.Case{Inputs: tensors{a, a, b}, Outputs: tensors{f32(4, -8, 8)}}},
		{"Mean", opstest.Case{Inputs: tensors{a, b}, Outputs: tensors{f32(1.5, -1.5, 2.5)}}},
		{"Where", opstest.Case{Inputs: tensors{opstest.Tensor([]int{2, 1}, true, false), a, b}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 3}, 1, -5, 3, 2, 2, 2)}}},
		{"Where", opstest.Case{Name: "types differ", Inputs: tensors{bools(true), a, opstest.Ints(1)}, WantErr: "X is float32(3) but Y is int64(1)"}},
		{"Clip", opstest.Case{Inputs: tensors{a, opstest.F32(nil, -1), opstest.F32(nil, 2)}, Batch: []int{0}, Outputs: tensors{f32(1, -1, 2)}}},
		{"Clip", opstest.Case{Name: "bounds as attributes", Opset: 7, Attributes: attrs{"max": float32(0)}, Inputs: tensors{a}, Outputs: tensors{f32(0, -5, 0)}}},
		{"Clip", opstest.Case{Name: "max without min", Inputs: tensors{large, nil, opstest.Tensor(nil, uint64(1<<63))}, Outputs: tensors{opstest.Tensor([]int{2}, uint64(1<<63), uint64(5))}}},
		{"Cast", opstest.Case{Name: "out of range saturates", Attributes: attrs{"to": int64(ops.Int8)}, Inputs: tensors{f32(300, -300, 1.9, nan)}, Batch: []int{0}, Outputs: tensors{opstest.Tensor([]int{4}, int8(127), int8(-128), int8(1), int8(0))}}},
		{"Cast", opstest.Case{Name: "integers keep low bits", Attributes: attrs{"to": int64(ops.Uint8)}, Inputs: tensors{opstest.Ints(-1, 257)}, Outputs: tensors{opstest.Tensor([]int{2}, uint8(255), uint8(1))}}},
		{"Cast", opstest.Case{Name: "to bool", Attributes: attrs{"to": int64(ops.Bool)}, Inputs: tensors{f32(0, 0.5)}, Outputs: tensors{bools(false, true)}}},
		{"Cast", opstest.Case{Name: "complex64 is unsupported", Attributes: attrs{"to": int64(14)}, Inputs: tensors{a}, WantErr: "complex64"}},
		{"CastLike", opstest.Case{Inputs: tensors{bools(true, false), b}, Batch: []int{0}, Outputs: tensors{f32(1, 0)}}},
	})
}

func TestReductions_ComputeExamples(t *testing.T) {
	x := opstest.F32([]int{2, 3}, 1, -2, 3, 4, 5, -6)
	axes := attrs{"axes": []int64{1}, "keepdims": int64(0)}
	rows := func(name string, want ...float32) operatorCase {
		return operatorCase{name, opstest.Case{Attributes: axes, Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{f32(want...)}, Tolerance: 1e-6}}
	}
	ints := opstest.I64([]int{2, 2}, 1, -2, 3, 4)
	runCases(t, []operatorCase{
		rows("ReduceL1", 6, 15), rows("ReduceL2", 3.7416575, 8.774964), rows("ReduceLogSumExp", 3.132842, 5.3132777), rows("ReduceMax", 3, 5),
		rows("ReduceMean", 2./3, 1), rows("ReduceMin", -2, -6), rows("ReduceProd", -6, -120), rows("ReduceSumSquare", 14, 77),
		{"ReduceLogSum", opstest.Case{Inputs: tensors{f32(1, 2, 3)}, Outputs: tensors{f32(1.7917595)}, Tolerance: 1e-6}},
		{"ReduceMax", opstest.Case{Name: "uint64", Inputs: tensors{opstest.Tensor([]int{2}, uint64(math.MaxUint64), uint64(1))}, Outputs: tensors{opstest.Tensor([]int{1}, uint64(math.MaxUint64))}}},
		{"ReduceMean", opstest.Case{Name: "integers", Attributes: axes, Inputs: tensors{ints}, Outputs: tensors{opstest.Ints(0, 3)}}},
		{"ReduceLogSumExp", opstest.Case{Name: "large exponents", Inputs: tensors{f32(1000, 1000)}, Outputs: tensors{f32(1000.6931)}, Tolerance: 1e-6}},
		{"ReduceMean", opstest.Case{Name: "axes as input before opset 18", Opset: 17, Inputs: tensors{x, opstest.Ints(0)}, WantErr: "must be an attribute"}},
		{"ArgMax", opstest.Case{Attributes: attrs{"axis": int64(-1)}, Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.I64([]int{2, 1}, 2, 1)}}},
		{"ArgMin", opstest.Case{Attributes: attrs{"keepdims": int64(0), "select_last_index": int64(1)}, Inputs: tensors{opstest.I64([]int{3, 2}, 1, 5, 1, 2, 3, 2)}, Outputs: tensors{opstest.Ints(1, 2)}}},
		{"ArgMax", opstest.Case{Name: "empty axis", Inputs: tensors{opstest.F32([]int{0, 2})}, WantErr: "axis 0 has size 0"}},
		{"CumSum", opstest.Case{Inputs: tensors{x, opstest.I32(nil, 1)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 3}, 1, -1, 2, 4, 9, 3)}}},
		{"CumSum", opstest.Case{Name: "exclusive, reverse", Attributes: attrs{"exclusive": int64(1), "reverse": int64(1)}, Inputs: tensors{opstest.Ints(1, 2, 3), opstest.I64(nil, 0)}, Outputs: tensors{opstest.Ints(5, 3, 0)}}},
		{"TopK", opstest.Case{Inputs: tensors{x, opstest.Ints(2)}, Constants: []int{1}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, 3, 1, 5, 4), opstest.I64([]int{2, 2}, 2, 0, 1, 0)}}},
		{"TopK", opstest.Case{Name: "k larger than the axis", Inputs: tensors{x, opstest.Ints(4)}, Constants: []int{1}, WantErr: "k is 4, but X is float32(2, 3)"}},
		{"LpNormalization", opstest.Case{Inputs: tensors{opstest.F32([]int{2, 2}, 3, 4, 0, 0)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, 0.6, 0.8, 0, 0)}, Tolerance: 1e-6}},
		{"LogSoftmax", opstest.Case{Inputs: tensors{opstest.F32([]int{2, 2}, 0, 0, 1000, 0)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, -math.Ln2, -math.Ln2, 0, -1000)}, Tolerance: 1e-6}},
		{"Hardmax", opstest.Case{Inputs: tensors{opstest.F32([]int{2, 3}, 1, 3, 3, 2, 0, 1)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 3}, 0, 1, 0, 1, 0, 0)}}},
		{"GlobalAveragePool", opstest.Case{Inputs: tensors{opstest.F32([]int{2, 1, 2}, 1, 2, 3, 5)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1, 1}, 1.5, 4)}}},
		{"GlobalMaxPool", opstest.Case{Inputs: tensors{opstest.F32([]int{2, 1, 2}, 1, 2, 3, 5)}, Outputs: tensors{opstest.F32([]int{2, 1, 1}, 2, 5)}}},
		{"GlobalLpPool", opstest.Case{Inputs: tensors{opstest.F32([]int{1, 1, 2}, 3, 4)}, Outputs: tensors{opstest.F32([]int{1, 1, 1}, 5)}}},
	})
}

// TestFold_ComputesKnownOutputs checks the outputs that are known when a model is loaded.
func TestFold_ComputesKnownOutputs(t *testing.T) {
	fold := func(name string, a ops.Attributes, in ...*ops.Input) []*ops.Tensor {
		op, err := find(t, name).New(ops.Node{Opset: 17, NumInputs: len(in), Attributes: a})
		require.NoError(t, err)
		out, err := op.(ops.Folder).Fold(&ops.Context{Context: t.Context()}, in)
		require.NoError(t, err)
		return out
	}
	known, batch := opstest.Known, opstest.Unknown("N")
	require.Equal(t, []int64{2, 3}, fold("Shape", nil, opstest.Typed(ops.Bool, known(2), known(3)))[0].Int64s())
	require.Equal(t, []int64{3}, fold("Shape", attrs{"start": int64(1)}, opstest.Typed(ops.Bool, batch, known(3)))[0].Int64s())
	require.Nil(t, fold("Shape", nil, opstest.Typed(ops.Bool, batch, known(3))))
	require.Equal(t, []int64{6}, fold("Size", nil, opstest.Typed(ops.Bool, known(2), known(3)))[0].Int64s())
	require.Equal(t, []int64{7}, fold("Constant", attrs{"value_int": int64(7)})[0].Int64s())
	require.Nil(t, fold("RandomNormal", attrs{"shape": []int64{2}}), "depends on the seed of the run")
	require.Nil(t, fold("Expand", nil, opstest.Const(f32(1)), opstest.Const(opstest.Ints(1<<20))), "too large")
	require.Nil(t, fold("Unique", nil, opstest.Const(opstest.Ints(1))), "unknown size")
	require.Equal(t, []int64{1}, fold("NonZero", nil, opstest.Const(opstest.Ints(0, 5)))[0].Int64s())
}
