package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestRelu_SupportsAllTypes(t *testing.T) {
	nan := math.NaN()
	opstest.Run(t, find(t, "Relu"), []opstest.Case{
		{
			Name:    "float32",
			Inputs:  []*ops.Tensor{opstest.F32([]int{4, 1}, -1, 0, 2, inf)},
			Batch:   []int{0},
			Outputs: []*ops.Tensor{opstest.F32([]int{4, 1}, 0, 0, 2, inf)},
		}, {
			Name:    "float64",
			Inputs:  []*ops.Tensor{opstest.F64([]int{3}, -1, nan, 2)},
			Outputs: []*ops.Tensor{opstest.F64([]int{3}, 0, nan, 2)},
		}, {
			Name:    "int32 scalar",
			Inputs:  []*ops.Tensor{opstest.I32(nil, -5)},
			Outputs: []*ops.Tensor{opstest.I32(nil, 0)},
		}, {
			Name:    "empty",
			Inputs:  []*ops.Tensor{opstest.I64([]int{0})},
			Outputs: []*ops.Tensor{opstest.I64([]int{0})},
		},
		{Name: "bool", Inputs: []*ops.Tensor{opstest.Tensor([]int{1}, true)}, WantErr: "X is bool(1), want float32 or"},
	})
}

func TestNeg_SupportsAllTypes(t *testing.T) {
	opstest.Run(t, find(t, "Neg"), []opstest.Case{
		{
			Name:    "float32",
			Inputs:  []*ops.Tensor{opstest.F32([]int{3}, -1, 0.5, inf)},
			Batch:   []int{0},
			Outputs: []*ops.Tensor{opstest.F32([]int{3}, 1, -0.5, -inf)},
		}, {
			Name:    "float64",
			Inputs:  []*ops.Tensor{opstest.F64([]int{1}, -1)},
			Outputs: []*ops.Tensor{opstest.F64([]int{1}, 1)},
		}, {
			Name:    "int64",
			Inputs:  []*ops.Tensor{opstest.Ints(3, math.MinInt64)},
			Outputs: []*ops.Tensor{opstest.Ints(-3, math.MinInt64)},
		}, {
			Name:    "int32",
			Inputs:  []*ops.Tensor{opstest.I32([]int{1, 2}, 3, -4)},
			Outputs: []*ops.Tensor{opstest.I32([]int{1, 2}, -3, 4)},
		},
	})
}

func TestPeriodic_AreAccurateForLargeAngles(t *testing.T) {
	angles := []float64{1, 3e4, 4e4, 1 << 20, 3e6, 1e15, 1e30, -1e22}
	for name, f := range map[string]func(float64) float64{"Sin": math.Sin, "Cos": math.Cos} {
		wide := make([]float64, len(angles))
		single, want := make([]float32, len(angles)), make([]float32, len(angles))
		for i, x := range angles {
			wide[i], single[i] = f(x), float32(x)
			want[i] = float32(f(float64(single[i])))
		}
		opstest.Run(t, find(t, name), []opstest.Case{
			{Name: "float64", Inputs: []*ops.Tensor{opstest.F64([]int{8}, angles...)}, Outputs: []*ops.Tensor{opstest.F64([]int{8}, wide...)}},
			{Name: "float32", Inputs: []*ops.Tensor{opstest.F32([]int{8}, single...)}, Outputs: []*ops.Tensor{opstest.F32([]int{8}, want...)}, Tolerance: 1e-6},
		})
	}
}
