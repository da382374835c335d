package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestSoftmax_ComputesExamples(t *testing.T) {
	ln := func(v ...float64) []float32 { // softmax normalizes the arguments of the logarithm
		l := make([]float32, len(v))
		for i, x := range v {
			l[i] = float32(math.Log(x))
		}
		return l
	}
	axis := func(i int64) ops.Attributes { return ops.Attributes{"axis": i} }
	x := opstest.F32([]int{2, 2, 2}, ln(1, 3, 4, 2, 2, 3, 3, 2)...)
	opstest.Run(t, find(t, "Softmax"), []opstest.Case{
		{
			Name: "last axis", Inputs: []*ops.Tensor{x}, Batch: []int{0}, Tolerance: 1e-6,
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 2, 2}, .25, .75, 2./3, 1./3, .4, .6, .6, .4)},
		}, {
			Name: "middle axis", Attributes: axis(1), Inputs: []*ops.Tensor{x}, Batch: []int{0}, Tolerance: 1e-6,
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 2, 2}, .2, .6, .8, .4, .4, .6, .6, .4)},
		}, {
			Name: "all axes after the axis before opset 13", Opset: 12, Inputs: []*ops.Tensor{x}, Batch: []int{0}, Tolerance: 1e-6,
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 2, 2}, .1, .3, .4, .2, .2, .3, .3, .2)},
		}, {
			Name: "large numbers", Attributes: axis(-1), Inputs: []*ops.Tensor{opstest.F64([]int{1, 3}, 1e4, 1e4, -1e4)},
			Outputs: []*ops.Tensor{opstest.F64([]int{1, 3}, .5, .5, 0)},
		}, {
			Name: "several parts", Attributes: axis(0), Inputs: []*ops.Tensor{constantTensor(1, 4, 3000)},
			Outputs: []*ops.Tensor{constantTensor(.25, 4, 3000)},
		}, {
			Name: "empty", Inputs: []*ops.Tensor{opstest.F32([]int{0, 3})}, Outputs: []*ops.Tensor{opstest.F32([]int{0, 3})},
		},
		{Name: "scalar", Inputs: []*ops.Tensor{opstest.F32(nil, 1)}, WantErr: "axis -1 is out of range for rank 0: input is float32()"},
		{Name: "int64", Inputs: []*ops.Tensor{opstest.Ints(1)}, WantErr: "input is int64(1), want float32 or float64"},
		{Name: "negative in opset 10", Opset: 10, Attributes: axis(-1), Inputs: []*ops.Tensor{x}, WantErr: "negative axes are not supported before opset 11"},
	})
}
