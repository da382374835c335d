package runtime_test

import (
	"context"
	"fmt"
	"log"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// squaredRelu computes max(x, 0)^2.
type squaredRelu struct{}

func (squaredRelu) Infer(in []*ops.Input) ([]ops.Type, error) {
	if in[0].DType != ops.Float32 {
		return nil, ops.ErrDType
	}
	return []ops.Type{in[0].Type}, nil
}

func (squaredRelu) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, y := in[0].Float32s(), out[0].Float32s()
	return ctx.For(len(x), 1<<12, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			y[i] = max(x[i], 0) * max(x[i], 0)
		}
		return nil
	})
}

// The operator squaredRelu replaces the standard operator Relu.
func ExampleWithOperators() {
	data, err := convert.ToONNX(&convert.Network{
		Input:  convert.Size{Channels: 3, Height: 1, Width: 1},
		Layers: []convert.Layer{&convert.ReLU{}},
	}, convert.Options{})
	if err != nil {
		log.Fatal(err)
	}
	model, err := runtime.New(data, runtime.WithOperators(ops.Operator{
		Name:      "Relu", // of the domain "", the standard operators
		MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
		New: func(ops.Node) (ops.Op, error) { return squaredRelu{}, nil },
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	pixels, err := runtime.NewTensor([]int{1, 3, 1, 1}, []float32{-1, 0.5, 3})
	if err != nil {
		log.Fatal(err)
	}
	out, err := model.Run(context.Background(), map[string]*runtime.Tensor{"image": pixels})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out["logits"].Float32s())
	// Output: [0 0.25 9]
}
