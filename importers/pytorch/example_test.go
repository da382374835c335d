package pytorch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
)

// A folder of PyTorch-SbS becomes an ONNX model.
func ExampleLoad() {
	n, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist/Weights"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n.Name, "for images of", n.Input)
	for i, l := range n.Layers {
		fmt.Println(i, l.Kind())
	}
	model, err := convert.ToONNX(n, convert.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("an ONNX model of more than 400 kB:", len(model) > 400_000)

	// Output:
	// mnist for images of 1x28x28
	// 0 SbS
	// 1 AveragePool
	// 2 SbS
	// 3 AveragePool
	// 4 SbS
	// 5 SbS
	// an ONNX model of more than 400 kB: true
}

// The report tells which files were read.
func ExampleLoad_report() {
	_, report, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist/Weights"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("dialect %d, step %d (%s)\n", report.Dialect, report.Step, report.StepChoice)
	fmt.Println("configuration:", filepath.Base(report.Configuration[0]))
	for _, l := range report.Layers {
		for _, f := range l.Files {
			fmt.Printf("layer %d (%s): %s\n", l.Index, l.Kind, filepath.Base(f))
		}
	}
	fmt.Println(len(report.Warnings), "warnings")

	// Output:
	// dialect 2, step 4 (highest with all files)
	// configuration: network.json
	// layer 0 (SbS): Weight_L0_S4.npy
	// layer 2 (SbS): Weight_L2_S4.npy
	// layer 4 (SbS): Weight_L4_S4.npy
	// layer 5 (SbS): Weight_L5_S4.npy
	// 0 warnings
}

// The dynamics of a layer: how many spikes it draws and how much each changes h.
func ExampleLoad_dynamics() {
	n, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist/Weights", Spikes: 50})
	if err != nil {
		fmt.Println(err)
		return
	}
	l := n.Layers[0].(*convert.SbS)
	fmt.Println(l.Spikes, "spikes")
	fmt.Println("epsilon_0:", l.Epsilon0)
	fmt.Println("epsilon_t of the spikes 0, 3 and 24:", l.EpsilonT[0], l.EpsilonT[3], l.EpsilonT[24])

	// Output:
	// 50 spikes
	// epsilon_0: 1
	// epsilon_t of the spikes 0, 3 and 24: 1 0.5 0.2
}

// A missing file is an error, which errors.Is recognizes.
func ExampleLoad_missing() {
	_, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist/Weights", Step: new(7)})
	fmt.Println(errors.Is(err, pytorch.ErrMissing))

	// Output:
	// true
}

// NewNetwork makes an untrained network from a configuration.
func ExampleNewNetwork() {
	files, err := pytorch.FindConfiguration("../../models/mnist")
	if err != nil {
		fmt.Println(err)
		return
	}
	n, training, _, err := pytorch.NewNetwork(pytorch.Options{Config: files}, pytorch.Start{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(n.Layers), "layers, step", n.Step)
	fmt.Println(training)

	// Output:
	// 6 layers, step 0
	// MNIST, 4 of 6 layers trainable, 4 batches of 24 per update, cross entropy, Adam with learning rate 0.2, schedule ReduceLROnPlateau
}

// A model stores the training configuration of its network.
func ExampleTrainingOf() {
	n, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist/Weights"})
	if err != nil {
		fmt.Println(err)
		return
	}
	model, err := convert.ToONNX(n, convert.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if n, err = convert.FromONNX(model); err != nil {
		fmt.Println(err)
		return
	}
	training, warnings, err := pytorch.TrainingOf(n)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(training.DataMode, training.BatchSize, training.W.LearningRate(), training.W.Threshold)
	fmt.Println(len(warnings), "warnings")

	// Output:
	// MNIST 24 0.2 0.001
	// 0 warnings
}

// Save writes a folder that PyTorch-SbS reads.
func ExampleSave() {
	n, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist/Weights"})
	if err != nil {
		fmt.Println(err)
		return
	}
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()

	n.Step = 5
	report, err := pytorch.Save(filepath.Join(folder, "Weights"), n, pytorch.SaveOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Files {
		path, err := filepath.Rel(folder, f.Path)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(filepath.ToSlash(path), "as before:", f.AsSource)
	}

	// Output:
	// Weights/Weight_L0_S5.npy as before: true
	// Weights/Weight_L2_S5.npy as before: true
	// Weights/Weight_L4_S5.npy as before: true
	// Weights/Weight_L5_S5.npy as before: true
	// dataset.json as before: false
	// def.json as before: false
	// network.json as before: false
}

// CheckSave finds out before a long training whether its result can be saved.
func ExampleCheckSave() {
	n, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist/Weights"})
	if err != nil {
		fmt.Println(err)
		return
	}
	n.Step = 5
	fmt.Println(pytorch.CheckSave("../../models/mnist/Weights", n, pytorch.SaveOptions{ArraysOnly: true}, nil))

	n.Layers[0].(*convert.SbS).Forgetting = 0.5
	err = pytorch.CheckSave("../../models/mnist/Weights", n, pytorch.SaveOptions{ArraysOnly: true}, nil)
	fmt.Println(err)

	// Output:
	// <nil>
	// pytorch: not supported: the SbS layers have different forgetting, epsilon_0 or alpha iterations; PyTorch-SbS supports one value for all layers
}
