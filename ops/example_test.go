package ops_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/spike-by-spike/sbs/ops"
)

// scaleOperator describes an operator that multiplies its input by its attribute factor.
func scaleOperator() ops.Operator {
	return ops.Operator{
		Domain: "example.com", Name: "Scale",
		MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			if err := n.Attributes.Only("factor"); err != nil {
				return nil, err
			}
			factor, err := ops.Attr[float32](n.Attributes, "factor", 1)
			return scale{factor}, err
		},
	}
}

type scale struct{ factor float32 }

func (s scale) Infer(in []*ops.Input) ([]ops.Type, error) {
	if in[0].DType != ops.Float32 {
		return nil, fmt.Errorf("%w: %v, want float32", ops.ErrDType, in[0].DType)
	}
	return []ops.Type{in[0].Type}, nil
}

func (s scale) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, y := in[0].Float32s(), out[0].Float32s()
	return ctx.For(len(x), 1<<12, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			y[i] = s.factor * x[i]
		}
		return nil
	})
}

// Backward makes scale an ops.Differentiable.
func (s scale) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := ops.CheckGradients(in, out, gradOut, gradIn); err != nil || gradIn[0] == nil {
		return err
	}
	gradY, gradX := gradOut[0].Float32s(), gradIn[0].Float32s()
	return ctx.For(len(gradX), 1<<12, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			gradX[i] += s.factor * gradY[i]
		}
		return nil
	})
}

// Example defines an operator and runs it. A model can use it after
// runtime.WithOperators(scaleOperator()).
func Example() {
	op, err := scaleOperator().New(ops.Node{Opset: 1, NumInputs: 1, Attributes: ops.Attributes{"factor": float32(3)}})
	if err != nil {
		log.Fatal(err)
	}
	x, err := ops.NewTensor([]int{2, 2}, []float32{1, 2, 3, 4})
	if err != nil {
		log.Fatal(err)
	}
	ctx := ops.NewContext(context.Background(), 0)
	defer ctx.Close()
	out, err := ops.Run(op, ctx, []*ops.Tensor{x})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out[0].DType(), out[0].Shape(), out[0].Float32s())

	_, err = scaleOperator().New(ops.Node{Attributes: ops.Attributes{"factor": "three"}})
	fmt.Println(errors.Is(err, ops.ErrAttribute))
	// Output:
	// float32 [2 2] [3 6 9 12]
	// true
}
