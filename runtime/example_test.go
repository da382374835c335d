package runtime_test

import (
	"context"
	"fmt"
	"image"
	_ "image/png"
	"log"
	"os"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/runtime"
)

// A folder of PyTorch-SbS weights becomes a model, and the model classifies an
// image. Programs that have a model file start at runtime.Open.
func Example() {
	network, _, err := pytorch.Load(pytorch.Options{Weights: "../models/mnist-prototypes/Weights", Step: -1})
	if err != nil {
		log.Fatal(err)
	}
	data, err := convert.ToONNX(network, convert.Options{})
	if err != nil {
		log.Fatal(err)
	}
	model, err := runtime.New(data)
	if err != nil {
		log.Fatal(err)
	}

	pixels, err := gray("../models/mnist/images/7/00000.png")
	if err != nil {
		log.Fatal(err)
	}
	in, err := runtime.NewTensor([]int{1, 1, 28, 28}, pixels)
	if err != nil {
		log.Fatal(err)
	}
	out, err := model.Run(context.Background(), map[string]*runtime.Tensor{"image": in})
	if err != nil {
		log.Fatal(err)
	}
	for class, p := range out["probabilities"].Float32s() {
		if p > 0.5 {
			fmt.Printf("It is a %s (%.0f %%).\n", network.Classes[class], 100*p)
		}
	}
	// Output: It is a 7 (100 %).
}

// gray returns the pixels of a gray picture, from 0 to 1.
func gray(path string) ([]float32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
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
