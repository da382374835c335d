// Classify-folder classifies all images of a folder and prints the class and the
// probability of each, and the accuracy.
//
// Run it from the root of the repository:
//
//	go run ./examples/classify-folder
//	go run ./examples/classify-folder models/fashion-mnist/Weights models/fashion-mnist/images
//	go run ./examples/classify-folder model.onnx my/images
//
// The first argument is an ONNX model or a folder of PyTorch-SbS weights. If the images
// are sorted into one folder per class, these folders are the labels.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	args = append(args, "", "")
	model, err := load(cmp.Or(args[0], "models/mnist/Weights"))
	if err != nil {
		return err
	}
	defer model.Close()

	// Resize accepts images of any size, in color or gray.
	classifier, err := classify.New(model, classify.Resize())
	if err != nil {
		return err
	}
	defer classifier.Close()

	files, err := classifier.OpenFiles([]string{cmp.Or(args[1], "models/mnist/images")}, "")
	if err != nil {
		return err
	}
	defer files.Close() //nolint:errcheck // the files are only read

	labeled, correct := 0, 0
	for result, err := range classifier.All(ctx, files, 0) {
		switch {
		case err != nil: // the run has failed or was interrupted
			return err
		case result.Err != nil: // this image cannot be read; the next ones may be fine
			fmt.Fprintln(stdout, result.Err)
			continue
		}
		fmt.Fprintf(stdout, "%s\t%s\t%.1f%%\n", result.File, result.Name, 100*result.Probability)
		if result.Label != classify.Unlabeled {
			labeled++
			if result.Class == result.Label {
				correct++
			}
		}
	}
	if labeled > 0 {
		fmt.Fprintf(stdout, "accuracy: %d of %d images (%.1f%%)\n", correct, labeled, 100*float64(correct)/float64(labeled))
	}
	return nil
}

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
