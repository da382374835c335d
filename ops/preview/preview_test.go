package preview

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

type (
	attrs   = ops.Attributes
	tensors = []*ops.Tensor
)

func find(t *testing.T, name string) ops.Operator {
	t.Helper()
	for _, o := range Operators() {
		if o.Name == name {
			return o
		}
	}
	t.Fatalf("no operator %s", name)
	return ops.Operator{}
}

func f64(v ...float64) *ops.Tensor { return opstest.F64([]int{len(v)}, v...) }

func TestOptimizers_ComputeExamples(t *testing.T) {
	momentum := func(mode string) attrs {
		return attrs{"alpha": float32(0.5), "beta": float32(2), "norm_coefficient": float32(1), "mode": mode}
	}
	rate, first, third := opstest.F64(nil, 0.5), opstest.I64(nil, 0), opstest.I64(nil, 2)
	r := math.Sqrt(1-0.5*0.5) / (1 - 0.25*0.25)
	type operatorCase struct {
		operator string
		opstest.Case
	}
	for _, c := range []operatorCase{
		{"Adagrad", opstest.Case{Name: "defaults", Inputs: tensors{rate, first, f64(1, 2), f64(3, 0), f64(16, 1)}, Outputs: tensors{f64(0.7, 2)}}},
		{"Adagrad", opstest.Case{
			Name: "all attributes", Attributes: attrs{"decay_factor": float32(0.5), "epsilon": float32(1), "norm_coefficient": float32(2)},
			Inputs: tensors{rate, third, f64(1), f64(1), f64(16)}, Outputs: tensors{f64(1 - 0.25*3/6)},
		}},
		{"Adam", opstest.Case{
			Name: "bias correction", Attributes: attrs{"alpha": float32(0.25), "beta": float32(0.5), "norm_coefficient_post": float32(0.5)},
			Inputs: tensors{rate, third, f64(1), f64(4), f64(8), f64(16)}, Outputs: tensors{f64(0.5 * (1 - 0.5*r*5/4))}, Tolerance: 1e-14,
		}},
		{"Adam", opstest.Case{
			Name: "first update", Attributes: attrs{"alpha": float32(0.25), "beta": float32(0.5), "epsilon": float32(1)},
			Inputs: tensors{rate, first, f64(1), f64(4), f64(8), f64(16)}, Outputs: tensors{f64(1 - 0.5*5/5)},
		}},
		{"Momentum", opstest.Case{Name: "first update", Attributes: momentum("standard"), Inputs: tensors{rate, first, f64(1), f64(2), f64(4)}, Outputs: tensors{f64(1 - 0.5*5)}}},
		{"Momentum", opstest.Case{Name: "standard", Attributes: momentum("standard"), Inputs: tensors{rate, third, f64(1), f64(2), f64(4)}, Outputs: tensors{f64(1 - 0.5*8)}}},
		{"Momentum", opstest.Case{Name: "nesterov", Attributes: momentum("nesterov"), Inputs: tensors{rate, third, f64(1), f64(2), f64(4)}, Outputs: tensors{f64(1 - 0.5*7)}}},
		{"Momentum", opstest.Case{Name: "mode", Attributes: momentum("fast"), Inputs: tensors{rate, third, f64(1), f64(2), f64(4)}, WantErr: `mode "fast"`}},
		{"Momentum", opstest.Case{Name: "missing attribute", Attributes: attrs{"mode": "standard"}, Inputs: tensors{rate, third, f64(1), f64(2), f64(4)}, WantErr: "alpha is missing"}},
		{"Adagrad", opstest.Case{Name: "inputs", Inputs: tensors{rate, third, f64(1), f64(2), f64(4), f64(1)}, WantErr: "the number of inputs is 6"}},
		{"Adagrad", opstest.Case{Name: "shapes", Inputs: tensors{rate, third, f64(1), f64(2, 1), f64(4)}, WantErr: "X is float64(1) but gradient is float64(2)"}},
		{"Adagrad", opstest.Case{Name: "types", Inputs: tensors{rate, third, f64(1), f64(1), opstest.F32([]int{1}, 1)}, WantErr: "accumulated squared gradient is float32(1)"}},
		{"Adagrad", opstest.Case{Name: "T", Inputs: tensors{rate, rate, f64(1), f64(1), f64(1)}, WantErr: "T is float64()"}},
		{"Adagrad", opstest.Case{Name: "R", Inputs: tensors{f64(1, 2), third, f64(1), f64(1), f64(1)}, WantErr: "R is float64(2), want one number"}},
	} {
		t.Run(c.operator, func(t *testing.T) { opstest.Run(t, find(t, c.operator), []opstest.Case{c.Case}) })
	}
}

// TestOptimizers_UpdateSeveralTensors checks that each of several tensors, of different types
// and shapes, is updated as if it were alone, and that the outputs have the right order.
func TestOptimizers_UpdateSeveralTensors(t *testing.T) {
	required := attrs{"alpha": float32(0.5), "beta": float32(2), "norm_coefficient": float32(1), "mode": "standard"}
	for _, c := range []struct {
		operator string
		attrs    attrs
		kinds    int
	}{{"Adagrad", nil, 3}, {"Adam", nil, 4}, {"Momentum", required, 3}} {
		t.Run(c.operator, func(t *testing.T) {
			rate, updates := opstest.F32([]int{1}, 0.5), opstest.I64(nil, 3)
			both, alone := tensors{rate, updates}, [2]tensors{{rate, updates}, {rate, updates}}
			for kind := range c.kinds {
				k := float32(kind)
				trained := tensors{opstest.F32([]int{3, 2}, k, k+1, k+2, 5, 6, 7), f64(float64(kind)+1, 7)}
				for i, x := range trained {
					both, alone[i] = append(both, x), append(alone[i], x)
				}
			}
			run := func(in tensors, outputs int) tensors {
				op, err := find(t, c.operator).New(ops.Node{Attributes: c.attrs, Opset: 1, NumInputs: len(in), NumOutputs: outputs})
				require.NoError(t, err)
				out, err := ops.Run(op, &ops.Context{}, in)
				require.NoError(t, err)
				return out
			}
			all := run(both, 2*(c.kinds-1))
			for i, in := range alone {
				for kind, want := range run(in, c.kinds-1) {
					require.Equal(t, want, all[2*kind+i])
				}
			}
		})
	}
}
