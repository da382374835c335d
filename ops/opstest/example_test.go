package opstest_test

import (
	"fmt"
	"log"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// double multiplies a float32 tensor by 2.
type double struct{}

func newDouble(n ops.Node) (ops.Op, error) { return double{}, n.Attributes.Only() }

func (double) Infer(in []*ops.Input) ([]ops.Type, error) {
	if in[0].DType != ops.Float32 {
		return nil, ops.ErrDType
	}
	return []ops.Type{in[0].Type}, nil
}

func (double) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, y := in[0].Float32s(), out[0].Float32s()
	return ctx.For(len(x), 1<<12, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			y[i] = 2 * x[i]
		}
		return nil
	})
}

// A test gives the inputs and the expected outputs of an operator. Run checks more than
// these numbers, for example that the results for a batch are the same as for its
// parts.
func ExampleRun() {
	operator := ops.Operator{
		Domain: "example.com", Name: "Double",
		MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
		New: newDouble,
	}
	// In a test file, this is func TestDouble(t *testing.T).
	_ = func(t *testing.T) {
		opstest.Run(t, operator, []opstest.Case{{
			Name: "matrix", Batch: []int{0},
			Inputs:  []*ops.Tensor{opstest.F32([]int{2, 2}, 1, -2, -3, 4)},
			Outputs: []*ops.Tensor{opstest.F32([]int{2, 2}, 2, -4, -6, 8)},
		}, {
			Name: "unknown attribute", Attributes: ops.Attributes{"factor": float32(1)},
			Inputs:  []*ops.Tensor{opstest.F32([]int{1}, 1)},
			WantErr: "factor",
		}})
	}

	op, err := operator.New(ops.Node{NumInputs: 1})
	if err != nil {
		log.Fatal(err)
	}
	out, err := ops.Run(op, &ops.Context{}, []*ops.Tensor{opstest.F32([]int{2, 2}, 1, -2, -3, 4)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out[0], out[0].Float32s())
	// Output: float32(2, 2) [2 -4 -6 8]
}
