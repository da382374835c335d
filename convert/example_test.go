package convert_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// tensor returns a float32 tensor in which all values are equal.
func tensor(value float32, shape ...int) *ops.Tensor {
	t, err := ops.Zeros(ops.Float32, shape)
	if err != nil {
		panic(err)
	}
	for i := range t.Float32s() {
		t.Float32s()[i] = value
	}
	return t
}

// classifier returns a network for images of 6x6 pixels and two classes.
func classifier() *convert.Network {
	square := func(size, stride int) convert.Window {
		return convert.Window{Kernel: [2]int{size, size}, Strides: [2]int{stride, stride}, Dilations: [2]int{1, 1}}
	}
	const spikes = 20
	epsilonT := sbs.Schedule{Power: -0.5}.EpsilonT(spikes)
	return &convert.Network{
		Name:    "example",
		Step:    -1,
		Input:   convert.Size{Channels: 1, Height: 6, Width: 6},
		Classes: []string{"left", "right"},
		Layers: []convert.Layer{
			// 9 inputs (one channel, 3x3 pixels) and 4 neurons at each of 4x4 positions.
			&convert.SbS{Window: square(3, 1), Weights: tensor(1.0/9, 9, 4), Spikes: spikes, Epsilon0: 1, EpsilonT: epsilonT},
			&convert.AveragePool{Window: square(2, 2)},
			// 16 inputs (four channels, 2x2 positions) and 2 neurons at one position.
			&convert.SbS{Window: square(2, 1), Weights: tensor(1.0/16, 16, 2), Spikes: spikes, Epsilon0: 1, EpsilonT: epsilonT},
		},
	}
}

// A program makes a network itself and writes it as an ONNX model.
func ExampleToONNX() {
	square := func(size, stride int) convert.Window {
		return convert.Window{Kernel: [2]int{size, size}, Strides: [2]int{stride, stride}, Dilations: [2]int{1, 1}}
	}
	weights, err := ops.NewTensor([]int{4, 2}, []float32{
		0.4, 0.1, // upper left pixel: neuron 0, neuron 1
		0.1, 0.4, // upper right
		0.4, 0.1, // lower left
		0.1, 0.4, // lower right
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	n := &convert.Network{
		Name:    "left or right",
		Step:    -1, // unknown
		Input:   convert.Size{Channels: 1, Height: 2, Width: 2},
		Classes: []string{"left", "right"},
		Layers: []convert.Layer{
			&convert.SbS{
				Window:   square(2, 1),
				Weights:  weights,
				Spikes:   10,
				Epsilon0: 1,
				EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(10),
			},
		},
	}
	model, err := convert.ToONNX(n, convert.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := convert.ToONNX(n, convert.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("equal networks give equal bytes:", bytes.Equal(model, again))

	// Output:
	// equal networks give equal bytes: true
}

// FromONNX restores the network from a model.
func ExampleFromONNX() {
	model, err := convert.ToONNX(classifier(), convert.Options{Body: convert.BodyInline, Batch: 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := convert.FromONNX(model)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n.Name, n.Input, n.Classes)
	for i, l := range n.Layers {
		fmt.Println(i, l.Kind())
	}
	first := n.Layers[0].(*convert.SbS)
	fmt.Println(first.Spikes, "spikes, weights", first.Weights.Shape())

	// Output:
	// example 1x6x6 [left right]
	// 0 SbS
	// 1 AveragePool
	// 2 SbS
	// 20 spikes, weights [9 4]
}

// Errors about a model that ToONNX did not write wrap ErrNotConverted.
func ExampleFromONNX_foreign() {
	n := classifier()
	model, err := convert.ToONNX(n, convert.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	model = bytes.ReplaceAll(model, []byte("L0/SbS"), []byte("conv_1"))
	_, err = convert.FromONNX(model, convert.IgnoreChecksum())
	fmt.Println(errors.Is(err, convert.ErrNotConverted))
	fmt.Println(err)

	// Output:
	// true
	// convert: not a model written by this converter: node "conv_1" does not belong to a layer
}

// Sizes follows an image through the network.
func ExampleNetwork_Sizes() {
	n := classifier()
	n.Input = convert.Size{Channels: 1, Height: 10, Width: 10}
	n.Preprocessing.Crop = 2
	sizes, err := n.Sizes()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("image:", sizes[0])
	for i, l := range n.Layers {
		fmt.Printf("layer %d (%s): %v\n", i, l.Kind(), sizes[i+1])
	}

	// Output:
	// image: 1x6x6
	// layer 0 (SbS): 4x4x4
	// layer 1 (AveragePool): 4x2x2
	// layer 2 (SbS): 2x1x1
}

// Check names the layer that cannot be written, and why.
func ExampleNetwork_Check() {
	n := classifier()
	fmt.Println(n.Check())

	n.Layers[2].(*convert.SbS).Kernel = [2]int{3, 3}
	fmt.Println(n.Check())

	n = classifier()
	n.Layers[0].(*convert.SbS).Weights.Float32s()[5] = -1
	fmt.Println(n.Check())

	// Output:
	// <nil>
	// convert: layer 2 (SbS): a kernel of 3x3 (dilation 1x1, padding 0x0) does not fit into 2x2
	// convert: layer 0 (SbS): weights: [1 1] is -1, want a finite number of at least 0
}

// A model whose spikes are injected is deterministic in every runtime.
func ExampleInjectedName() {
	n := classifier()
	for i := range n.Layers {
		fmt.Printf("layer %d: %q\n", i, convert.InjectedName(n, i, convert.InjectSpikes))
	}

	// Output:
	// layer 0: "L0/SbS/spikes"
	// layer 1: ""
	// layer 2: "L2/SbS/spikes"
}

// The on/off split doubles the channels of the cropped image.
func ExamplePreprocessing_Output() {
	p := convert.Preprocessing{Crop: 2, OnOffMean: []float32{0.13}}
	out, err := p.Output(convert.Size{Channels: 1, Height: 28, Width: 28})
	fmt.Println(out, err)

	// Output:
	// 2x24x24 <nil>
}

// The first stage has fewer spikes than the last one. Images whose two most probable classes
// are at least 0.9 apart leave after it.
func ExampleStagesToONNX() {
	few, many := classifier(), classifier()
	for _, l := range few.Layers {
		if l, ok := l.(*convert.SbS); ok {
			l.Spikes = 2
		}
	}
	s := &convert.Staged{Stages: []convert.Stage{{Network: few, Threshold: 0.9}, {Network: many}}}
	data, err := convert.StagesToONNX(s, convert.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	back, err := convert.StagesFromONNX(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, stage := range back.Stages {
		fmt.Printf("stage %d: %d spikes, threshold %v\n", i+1, stage.Network.Layers[0].(*convert.SbS).Spikes, stage.Threshold)
	}
	one, err := convert.ExtractStage(data, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	first, err := convert.ToONNX(few, convert.Options{})
	fmt.Println(bytes.Equal(one, first), err)

	// Output:
	// stage 1: 2 spikes, threshold 0.9
	// stage 2: 20 spikes, threshold 0
	// true <nil>
}
