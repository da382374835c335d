package main

import (
	"image"
	_ "image/jpeg" // a format that the image can have
	_ "image/png"  // a format that the image can have
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/runtime"
)

// load loads an ONNX model, or converts a folder of weights.
func load(path string) (*runtime.Model, error) {
	// The networks of this repository are made for low-discrepancy spikes.
	sampler := runtime.WithSampler(runtime.LowDiscrepancy)
	if filepath.Ext(path) == ".onnx" {
		return runtime.Open(path, sampler)
	}
	network, _, err := pytorch.Load(pytorch.Options{Weights: path})
	if err != nil {
		return nil, err
	}
	data, err := convert.ToONNX(network, convert.Options{})
	if err != nil {
		return nil, err
	}
	return runtime.New(data, sampler)
}

func readImage(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // the file is only read
	img, _, err := image.Decode(f)
	return img, err
}
