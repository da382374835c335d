package onnxgo_test

import (
	"fmt"
	"image/png"
	"log"
	"os"

	"github.com/owulveryck/onnx-go"
	"gorgonia.org/tensor"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/runtime/onnxgo"
)

func Example() {
	network, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist-prototypes/Weights"})
	if err != nil {
		log.Fatal(err)
	}
	data, err := convert.ToONNX(network, convert.Options{Batch: 1})
	if err != nil {
		log.Fatal(err)
	}
	pixels, err := gray("../../models/mnist/images/7/00000.png")
	if err != nil {
		log.Fatal(err)
	}

	backend := onnxgo.New()
	model := onnx.NewModel(backend)
	if err := model.UnmarshalBinary(data); err != nil {
		log.Fatal(err)
	}
	if err := model.SetInput(0, tensor.New(tensor.WithShape(1, 1, 28, 28), tensor.WithBacking(pixels))); err != nil {
		log.Fatal(err)
	}
	if err := backend.Run(); err != nil {
		log.Fatal(err)
	}
	out, err := model.GetOutputTensors()
	if err != nil {
		log.Fatal(err)
	}
	class, err := tensor.Argmax(out[0], 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out[0].Shape(), out[0].Dtype(), "It is a", class.Data())
	// Output: (1, 10) float32 It is a [7]
}

// gray returns the pixels of a gray picture, from 0 to 1.
func gray(path string) ([]float32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	m, err := png.Decode(f)
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
