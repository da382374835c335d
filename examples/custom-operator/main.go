// Custom-operator runs a model with an operator that ONNX does not have, Sharpen of the
// domain example.com, and replaces a standard operator, Relu. It is a separate module, like
// any program that uses this project.
//
// Run it and its tests from the folder examples/custom-operator of the repository:
//
//	go run .
//	go test ./...
//
// The model is model.onnx: an image of 2x2 pixels passes through Relu, a Spike-By-Spike
// layer with three neurons, and Sharpen. model_test.go writes the file; any program that
// writes ONNX can do the same.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

//go:embed model.onnx
var modelFile []byte

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, stdout io.Writer) error {
	// The upper row is bright; the lower row is noise.
	image, err := runtime.NewTensor([]int{1, 1, 2, 2}, []float32{
		0.9, 0.6,
		0.1, 0.2,
	})
	if err != nil {
		return err
	}
	for _, c := range []struct {
		title     string
		operators []ops.Operator
	}{
		{"with Sharpen", []ops.Operator{Sharpen()}},
		{"with Sharpen and a Relu that removes noise", []ops.Operator{Sharpen(), NoiseGate(0.25)}},
	} {
		result, err := classifyImage(ctx, image, c.operators)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s:\n", c.title)
		for _, guess := range result.Top(3) {
			fmt.Fprintf(stdout, "\t%s\t%.2f\n", guess.Name, guess.Probability)
		}
	}
	return nil
}

func classifyImage(ctx context.Context, image *runtime.Tensor, operators []ops.Operator) (classify.Result, error) {
	model, err := runtime.New(modelFile, runtime.WithOperators(operators...))
	if err != nil {
		return classify.Result{}, err
	}
	defer model.Close()
	classifier, err := classify.New(model)
	if err != nil {
		return classify.Result{}, err
	}
	defer classifier.Close()
	results, err := classifier.Run(ctx, image)
	if err != nil {
		return classify.Result{}, err
	}
	return results[0], nil
}
