package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/png"
	"log"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/runtime"
)

// A folder of PyTorch-SbS weights becomes a model, and the model classifies an image. A
// program that has a model file needs only Open and Run.
func Example() {
	network, _, err := pytorch.Load(pytorch.Options{Weights: "../models/mnist/Weights"})
	if err != nil {
		log.Fatal(err)
	}
	data, err := convert.ToONNX(network, convert.Options{})
	if err != nil {
		log.Fatal(err)
	}
	model, err := runtime.New(data, runtime.WithSampler(runtime.LowDiscrepancy))
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()

	pixels, err := readGray("../models/mnist/images/7/00000.png")
	if err != nil {
		log.Fatal(err)
	}
	images, err := runtime.NewTensor([]int{1, 1, 28, 28}, pixels)
	if err != nil {
		log.Fatal(err)
	}
	out, err := model.Run(context.Background(), map[string]*runtime.Tensor{"image": images})
	if err != nil {
		log.Fatal(err)
	}
	for class, p := range out["probabilities"].Float32s() {
		if p > 0.5 {
			fmt.Printf("%s (%.0f%%)\n", network.Classes[class], 100*p)
		}
	}
	// Output: 7 (100%)
}

func ExampleOpen() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	path := filepath.Join(folder, "model.onnx")
	if err := os.WriteFile(path, mnist(), 0o600); err != nil {
		log.Fatal(err)
	}

	model, err := runtime.Open(path, runtime.Workers(2))
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	for _, in := range model.Inputs() {
		fmt.Println("input", in.Name, in.Type)
	}
	for _, out := range model.Outputs() {
		fmt.Println("output", out.Name, out.Type)
	}
	for _, layer := range model.SbSLayers() {
		fmt.Println("layer", layer.Name, "with", layer.Spikes, "spikes")
	}
	// Output:
	// input image float32(batch, 1, 28, 28)
	// output probabilities float32(batch, 10)
	// layer L0/SbS with 200 spikes
	// layer L2/SbS with 200 spikes
	// layer L4/SbS with 200 spikes
	// layer L5/SbS with 200 spikes
}

// A program can contain its model: an embed.FS is a file system, too.
func ExampleOpenFS() {
	files := fstest.MapFS{"models/mnist.onnx": {Data: mnist()}}
	model, err := runtime.OpenFS(files, "models/mnist.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	fmt.Println(model.Metadata()["ai.sbs.name"])
	// Output: mnist
}

func ExampleModel_String() {
	model, err := runtime.New(mnist())
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	fmt.Println(model)
	// Output: 9 nodes (4 SbS), inputs: image float32(batch, 1, 28, 28), outputs: probabilities float32(batch, 10)
}

// The results for an image depend on its seed and its number, but not on the batch.
func ExampleFirstImage() {
	model, images := mnistAndImages("7/00000.png", "2/00001.png")
	defer model.Close()
	ctx := context.Background()
	both, err := model.Run(ctx, map[string]*runtime.Tensor{"image": images}, runtime.Seed(5))
	if err != nil {
		log.Fatal(err)
	}
	second, err := runtime.NewTensor([]int{1, 1, 28, 28}, images.Float32s()[28*28:])
	if err != nil {
		log.Fatal(err)
	}
	alone, err := model.Run(ctx, map[string]*runtime.Tensor{"image": second}, runtime.Seed(5), runtime.FirstImage(1))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(both["probabilities"].Float32s()[10+2] == alone["probabilities"].Float32s()[2])
	// Output: true
}

// Fewer spikes are faster and less certain. Spikes is an option for one run here; as an
// Option of Open it is the default for all runs.
func ExampleSpikes() {
	model, images := mnistAndImages("7/00000.png")
	defer model.Close()
	for _, n := range []int{20, 200} {
		out, err := model.Run(context.Background(), map[string]*runtime.Tensor{"image": images}, runtime.Spikes(n))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d spikes: more than 90%% certain: %t\n", n, out["probabilities"].Float32s()[7] > 0.9)
	}
	// Output:
	// 20 spikes: more than 90% certain: false
	// 200 spikes: more than 90% certain: true
}

// A few low-discrepancy spikes are enough if epsilon falls more slowly than in training.
func ExampleEpsilonSchedule() {
	model, images := mnistAndImages("7/00000.png")
	defer model.Close()
	inputs := map[string]*runtime.Tensor{"image": images}

	out, err := model.Run(context.Background(), inputs, runtime.Spikes(50), runtime.WithSampler(runtime.LowDiscrepancy),
		runtime.EpsilonSchedule(runtime.Schedule{Power: -0.2}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("it is a 7:", out["probabilities"].Float32s()[7] > 0.9)
	// Output: it is a 7: true
}

// The first layer has most of the positions, so it needs most of the time. Half of the
// spikes are enough for it.
func ExampleLayer() {
	model, images := mnistAndImages("7/00000.png")
	defer model.Close()
	out, err := model.Run(context.Background(), map[string]*runtime.Tensor{"image": images},
		runtime.Layer("L0", runtime.Dynamics{Spikes: 100}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out["probabilities"].Float32s()[7] > 0.9)
	// Output: true
}

// h of the last layer starts with equal values. The more spikes arrive, the more of it
// belongs to the neuron of the class 7.
func ExampleWatch() {
	model, images := mnistAndImages("7/00000.png")
	defer model.Close()
	_, err := model.Run(context.Background(), map[string]*runtime.Tensor{"image": images},
		runtime.Watch(runtime.Watcher{
			Layers: []string{"L5"},
			After:  []int{1, 20, 100},
			Snapshot: func(s runtime.Snapshot) bool {
				h := s.H.Float32s() // (1, 10, 1, 1)
				fmt.Printf("%s after %d: above 50%%: %t, above 90%%: %t\n", s.Layer, s.Spikes, h[7] > 0.5, h[7] > 0.9)
				return true // continue the run
			},
		}))
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// L5/SbS after 1: above 50%: false, above 90%: false
	// L5/SbS after 20: above 50%: true, above 90%: false
	// L5/SbS after 100: above 50%: true, above 90%: true
}

func ExampleObserve() {
	model, images := mnistAndImages("7/00000.png")
	defer model.Close()
	_, err := model.Run(context.Background(), map[string]*runtime.Tensor{"image": images},
		runtime.Observe(func(name string, t *runtime.Tensor) { fmt.Println(name, t.Shape()) }))
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// preprocessing/crop [1 1 24 24]
	// preprocessing/offset_pixels [1 1 24 24]
	// L0 [1 32 20 20]
	// L1 [1 32 10 10]
	// L2 [1 64 6 6]
	// L3 [1 64 3 3]
	// L4 [1 96 1 1]
	// L5 [1 10 1 1]
	// probabilities [1 10]
}

// A layer with two inputs, two neurons and one spike, the first input: h starts at
// (0.5, 0.5) and becomes (h + h*w/q)/2 with w = (0.75, 0.25) and q = sum(h*w) = 0.5.
func ExampleInjectSpikes() {
	weights, err := runtime.NewTensor([]int{2, 2}, []float32{0.75, 0.25, 0.25, 0.75})
	if err != nil {
		log.Fatal(err)
	}
	one := [2]int{1, 1}
	data, err := convert.ToONNX(&convert.Network{
		Input: convert.Size{Channels: 2, Height: 1, Width: 1},
		Layers: []convert.Layer{&convert.SbS{
			Window:  convert.Window{Kernel: one, Strides: one, Dilations: one},
			Weights: weights, Spikes: 1, Epsilon0: 1, EpsilonT: []float32{1},
		}},
	}, convert.Options{})
	if err != nil {
		log.Fatal(err)
	}
	model, err := runtime.New(data)
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()

	pixels, err := runtime.NewTensor([]int{1, 2, 1, 1}, []float32{0.5, 0.5})
	if err != nil {
		log.Fatal(err)
	}
	spikes, err := runtime.NewTensor([]int{1, 1, 1, 1}, []int64{0})
	if err != nil {
		log.Fatal(err)
	}
	out, err := model.Run(context.Background(), map[string]*runtime.Tensor{"image": pixels},
		runtime.InjectSpikes(map[string]*runtime.Tensor{"L0/SbS": spikes}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.3f\n", out["probabilities"].Float32s())
	// Output: [0.625 0.375]
}

// A service that stops waiting passes its context to Run, which then stops soon.
func ExampleModel_Run_canceled() {
	model, images := mnistAndImages("7/00000.png")
	defer model.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := model.Run(ctx, map[string]*runtime.Tensor{"image": images})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output: true
}

// Errors about the inputs of Run wrap ErrInput, and errors about options wrap ErrOption.
func Example_errors() {
	model, images := mnistAndImages("7/00000.png")
	defer model.Close()
	ctx := context.Background()

	_, err := model.Run(ctx, map[string]*runtime.Tensor{"picture": images})
	fmt.Println(errors.Is(err, runtime.ErrInput))

	_, err = model.Run(ctx, map[string]*runtime.Tensor{"image": images}, runtime.Spikes(-1))
	fmt.Println(errors.Is(err, runtime.ErrOption))

	_, err = runtime.New([]byte("not an ONNX file"))
	fmt.Println(errors.Is(err, runtime.ErrModel))

	_, err = runtime.Open("missing.onnx")
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output:
	// true
	// true
	// true
	// true
}

// mnist returns the ONNX file of the network in models/mnist.
func mnist() []byte {
	network, _, err := pytorch.Load(pytorch.Options{Weights: "../models/mnist/Weights"})
	if err != nil {
		log.Fatal(err)
	}
	data, err := convert.ToONNX(network, convert.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return data
}

// mnistAndImages returns the model of the network in models/mnist, and images from there.
func mnistAndImages(names ...string) (*runtime.Model, *runtime.Tensor) {
	model, err := runtime.New(mnist(), runtime.WithSampler(runtime.LowDiscrepancy))
	if err != nil {
		log.Fatal(err)
	}
	var pixels []float32
	for _, name := range names {
		p, err := readGray("../models/mnist/images/" + name)
		if err != nil {
			log.Fatal(err)
		}
		pixels = append(pixels, p...)
	}
	images, err := runtime.NewTensor([]int{len(names), 1, 28, 28}, pixels)
	if err != nil {
		log.Fatal(err)
	}
	return model, images
}

// readGray returns the pixels of a gray image, from 0 to 1.
func readGray(path string) ([]float32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // the file is only read
	m, _, err := image.Decode(f)
	if err != nil {
		return nil, err
	}
	var pixels []float32
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			r, _, _, _ := m.At(x, y).RGBA()
			pixels = append(pixels, float32(r)/0xffff)
		}
	}
	return pixels, nil
}
