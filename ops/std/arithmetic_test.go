package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestArithmetic_SupportsAllTypes(t *testing.T) {
	a := opstest.F32([]int{2, 2}, 6, -8, 3, 0)
	b := opstest.F32([]int{2, 2}, 2, 4, -1, 5)
	for name, want := range map[string][]float32{
		"Add": {8, -4, 2, 5},
		"Sub": {4, -12, 4, -5},
		"Mul": {12, -32, -3, 0},
		"Div": {3, -2, -3, 0},
	} {
		var i32 []int32
		var i64 []int64
		var f64 []float64
		for _, v := range want {
			i32, i64, f64 = append(i32, int32(v)), append(i64, int64(v)), append(f64, float64(v))
		}
		shape := []int{2, 2}
		opstest.Run(t, find(t, name), []opstest.Case{
			{
				Name:    name + " float32",
				Inputs:  []*ops.Tensor{a, b},
				Batch:   []int{0, 1},
				Outputs: []*ops.Tensor{opstest.F32(shape, want...)},
			}, {
				Name:    name + " float64",
				Inputs:  []*ops.Tensor{opstest.F64(shape, 6, -8, 3, 0), opstest.F64(shape, 2, 4, -1, 5)},
				Outputs: []*ops.Tensor{opstest.F64(shape, f64...)},
			}, {
				Name:    name + " int32",
				Inputs:  []*ops.Tensor{opstest.I32(shape, 6, -8, 3, 0), opstest.I32(shape, 2, 4, -1, 5)},
				Outputs: []*ops.Tensor{opstest.I32(shape, i32...)},
			}, {
				Name:    name + " int64",
				Inputs:  []*ops.Tensor{opstest.I64(shape, 6, -8, 3, 0), opstest.I64(shape, 2, 4, -1, 5)},
				Outputs: []*ops.Tensor{opstest.I64(shape, i64...)},
			},
			{Name: name + " types differ", Inputs: []*ops.Tensor{a, opstest.I32([]int{1}, 1)}, WantErr: "A is float32(2, 2) but B is int32(1)"},
			{Name: name + " bool", Inputs: []*ops.Tensor{opstest.Tensor(nil, true), opstest.Tensor(nil, true)}, WantErr: "A is bool(), want float32 or"},
			{Name: name + " shapes", Inputs: []*ops.Tensor{a, opstest.F32([]int{3}, 1, 2, 3)}, WantErr: "do not broadcast: A is float32(2, 2), B is float32(3)"},
		})
	}
}

func TestSub_Broadcasts(t *testing.T) {
	row := opstest.F32([]int{3}, 1, 2, 3)
	column := opstest.F32([]int{2, 1}, 10, 20)
	opstest.Run(t, find(t, "Sub"), []opstest.Case{
		{
			Name:    "both inputs broadcast",
			Inputs:  []*ops.Tensor{row, column},
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 3}, -9, -8, -7, -19, -18, -17)},
		}, {
			Name:    "scalar",
			Inputs:  []*ops.Tensor{opstest.F32(nil, 1), column},
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 1}, -9, -19)},
		}, {
			Name:    "scalars",
			Inputs:  []*ops.Tensor{opstest.F32(nil, 1), opstest.F32(nil, 3)},
			Outputs: []*ops.Tensor{opstest.F32(nil, -2)},
		}, {
			Name:    "middle dimension",
			Inputs:  []*ops.Tensor{opstest.F32([]int{2, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8), opstest.F32([]int{2, 1, 2}, 1, 2, 3, 4)},
			Batch:   []int{0, 1},
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 2, 2}, 0, 0, 2, 2, 2, 2, 4, 4)},
		}, {
			Name:    "empty",
			Inputs:  []*ops.Tensor{row, opstest.F32([]int{0, 1})},
			Outputs: []*ops.Tensor{opstest.F32([]int{0, 3})},
		},
		{Name: "too many elements", Inputs: []*ops.Tensor{constantTensor(1, 1<<16, 1), constantTensor(1, 1<<16)}, WantErr: "more than"},
	})
	n := 3 * grain / 2 // two rows in three parts
	var a, want []float32
	for i := range 2 * n {
		a = append(a, float32(i))
		want = append(want, float32(i-i/n))
	}
	opstest.Run(t, find(t, "Sub"), []opstest.Case{{
		Name:    "large",
		Inputs:  []*ops.Tensor{opstest.F32([]int{2, n}, a...), opstest.F32([]int{2, 1}, 0, 1)},
		Batch:   []int{0, 1},
		Outputs: []*ops.Tensor{opstest.F32([]int{2, n}, want...)},
	}})
}

func TestDiv_RoundsAndDividesByZero(t *testing.T) {
	zero := opstest.F32([]int{1}, 0)
	opstest.Run(t, find(t, "Div"), []opstest.Case{
		{
			Name:    "floats by zero",
			Inputs:  []*ops.Tensor{opstest.F32([]int{3}, 1, -1, 0), zero},
			Outputs: []*ops.Tensor{opstest.F32([]int{3}, inf, -inf, float32(math.NaN()))},
		}, {
			Name:    "integers round towards zero and wrap",
			Inputs:  []*ops.Tensor{opstest.Ints(-7, 7, math.MinInt64), opstest.Ints(2, -2, -1)},
			Outputs: []*ops.Tensor{opstest.Ints(-3, -3, math.MinInt64)},
		},
		{Name: "integers by zero", Inputs: []*ops.Tensor{opstest.Ints(1, 2), opstest.Ints(1, 0)}, WantRunErr: "integer division by zero"},
	})
}

func TestMul_InfersBroadcastShapes(t *testing.T) {
	n, m, free := opstest.Unknown("N"), opstest.Unknown("M"), opstest.Unknown("")
	one, three := opstest.Known(1), opstest.Known(3)
	var cases []opstest.InferCase
	for _, c := range []struct {
		name       string
		a, b, want ops.Dim
	}{
		{"symbol and 1", n, one, n},
		{"1 and symbol", one, n, n},
		{"same symbol", n, n, n},
		{"different symbols", n, m, free},
		{"symbol and unnamed", n, free, free},
		{"size and symbol", three, n, three},
		{"symbol and size", n, three, three},
		{"both unnamed", free, free, free},
	} {
		cases = append(cases, opstest.InferCase{
			Name:   c.name,
			Inputs: []*ops.Input{opstest.Typed(ops.Int32, m, c.a), opstest.Typed(ops.Int32, c.b)},
			Want:   []ops.Type{{DType: ops.Int32, Shape: []ops.Dim{m, c.want}}},
		})
	}
	cases = append(cases, opstest.InferCase{
		Name:    "sizes differ after an unknown dimension",
		Inputs:  []*ops.Input{opstest.Typed(ops.Int32, n, three), opstest.Typed(ops.Int32, opstest.Known(2))},
		WantErr: "A is int32(N, 3), B is int32(2)",
	})
	opstest.Infer(t, find(t, "Mul"), cases)
}
