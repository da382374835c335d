package sbs_test

import (
	"context"
	"fmt"
	"log"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// A layer with two inputs and three neurons. Each neuron expects another share of the
// first input: 90%, 50% and 10%. The image has 90%, so h of the first neuron grows.
func Example() {
	op, err := sbs.Operator().New(ops.Node{Opset: sbs.Version, NumInputs: 2, Attributes: sbs.Params{
		Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1},
		Spikes: 100, Epsilon0: 1, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(100),
		Sampler: sbs.LowDiscrepancy,
	}.Attributes()})
	if err != nil {
		log.Fatal(err)
	}
	image, err := ops.NewTensor([]int{1, 2, 1, 1}, []float32{0.9, 0.1})
	if err != nil {
		log.Fatal(err)
	}
	weights, err := ops.NewTensor([]int{2, 3}, []float32{
		0.9, 0.5, 0.1,
		0.1, 0.5, 0.9,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := ops.NewContext(context.Background(), 0)
	defer ctx.Close()
	out, err := ops.Run(op, ctx, []*ops.Tensor{image, weights})
	if err != nil {
		log.Fatal(err)
	}
	h := out[0].Float32s()
	fmt.Println(out[0].Shape())
	fmt.Println("the first neuron:", h[0] > 0.9)
	// Output:
	// [1 3 1 1]
	// the first neuron: true
}

// Prefix stops the operator after some of its spikes.
func ExamplePrefix() {
	op, err := sbs.Operator().New(ops.Node{Opset: sbs.Version, NumInputs: 3, Attributes: sbs.Params{
		Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1},
		Spikes: 2, Epsilon0: 1, EpsilonT: []float32{1, 1},
	}.Attributes()})
	if err != nil {
		log.Fatal(err)
	}
	image, err := ops.NewTensor([]int{1, 2, 1, 1}, []float32{1, 0}) // every spike is the first input
	if err != nil {
		log.Fatal(err)
	}
	weights, err := ops.NewTensor([]int{2, 2}, []float32{0.75, 0.25, 0.25, 0.75})
	if err != nil {
		log.Fatal(err)
	}
	ctx := ops.NewContext(context.Background(), 0)
	defer ctx.Close()
	for n := 1; n <= 2; n++ {
		prefix, err := sbs.Prefix(op, n)
		if err != nil {
			log.Fatal(err)
		}
		out, err := ops.Run(prefix, ctx, []*ops.Tensor{image, weights})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%.3f\n", out[0].Float32s())
	}
	// Output:
	// [0.625 0.375]
	// [0.729 0.271]
}

func ExampleSchedule_EpsilonT() {
	schedule, err := sbs.ParseSchedule("inverse-sqrt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v %.2f\n", schedule, schedule.EpsilonT(4))
	constant := sbs.Schedule{}
	fmt.Printf("%v %.2f\n", constant, constant.EpsilonT(4))
	// Output:
	// inverse-sqrt [1.00 0.71 0.58 0.50]
	// constant [1.00 1.00 1.00 1.00]
}

// Over combines the values for one layer with the values for all layers.
func ExampleDynamics_Over() {
	all := sbs.Dynamics{Spikes: 200, Sampler: sbs.LowDiscrepancy}
	first := sbs.Dynamics{Spikes: 50}.Over(all)
	fmt.Println(first.Spikes, first.Sampler)

	fmt.Println(sbs.Dynamics{Epsilon0: -1}.Check() != nil)
	// Output:
	// 50 low_discrepancy
	// true
}
