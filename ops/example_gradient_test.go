package ops_test

import (
	"context"
	"fmt"
	"log"

	"github.com/spike-by-spike/sbs/ops"
)

// Backward adds to the gradients that the caller asks for.
func ExampleDifferentiable() {
	op, err := scaleOperator().New(ops.Node{Opset: 1, NumInputs: 1, Attributes: ops.Attributes{"factor": float32(3)}})
	if err != nil {
		log.Fatal(err)
	}
	x, err := ops.NewTensor([]int{2}, []float32{1, 2})
	if err != nil {
		log.Fatal(err)
	}
	ctx := ops.NewContext(context.Background(), 0)
	defer ctx.Close()
	in := []*ops.Tensor{x}
	out, err := ops.Run(op, ctx, in)
	if err != nil {
		log.Fatal(err)
	}
	gradOut, err := ops.NewTensor([]int{2}, []float32{1, 10})
	if err != nil {
		log.Fatal(err)
	}
	gradIn, err := ops.Zeros(ops.Float32, []int{2})
	if err != nil {
		log.Fatal(err)
	}
	err = op.(ops.Differentiable).Backward(ctx, in, out, []*ops.Tensor{gradOut}, []*ops.Tensor{gradIn})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(gradIn.Float32s())
	// Output: [3 30]
}
