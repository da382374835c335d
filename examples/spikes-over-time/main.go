// Spikes-over-time shows what happens to one image as spikes arrive: how h of every layer
// settles, and the answer of the whole network for different numbers of spikes.
//
// Run it from the root of the repository:
//
//	go run ./examples/spikes-over-time
//	go run ./examples/spikes-over-time models/fashion-mnist/Weights models/fashion-mnist/images/4/00006.png
//
// The first argument is an ONNX model or a folder of PyTorch-SbS weights, the second is an
// image.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"strings"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/runtime"
)

// counts are the numbers of spikes to look at. The layers of the networks in models/ have
// 200 or 400 spikes.
var counts = []int{1, 2, 5, 10, 20, 50, 100, 200, 400}

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
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
	classifier, err := classify.New(model, classify.Resize())
	if err != nil {
		return err
	}
	defer classifier.Close()
	img, err := readImage(cmp.Or(args[1], "models/mnist/images/7/00000.png"))
	if err != nil {
		return err
	}
	input, err := classifier.Tensor(img)
	if err != nil {
		return err
	}

	// One run of the model: Watch reports h of every layer after some of its spikes, and
	// Observe reports all values, with the final h of layer i under the name L{i}.
	var snapshots []runtime.Snapshot
	values := map[string]*runtime.Tensor{}
	results, err := classifier.Run(ctx, input,
		runtime.Watch(runtime.Watcher{After: counts, Snapshot: func(s runtime.Snapshot) bool {
			snapshots = append(snapshots, s)
			return true // continue the run
		}}),
		runtime.Observe(func(name string, value *runtime.Tensor) { values[name] = value }))
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "Distance between h and the final h of the layer, by spikes (0: equal, 1: nothing in common):")
	most := math.MaxInt // the largest count that all layers have reached
	for i, s := range snapshots {
		if i == 0 || s.Layer != snapshots[i-1].Layer {
			fmt.Fprintf(stdout, "\n%s\n", s.Layer)
		}
		layer, _, _ := strings.Cut(s.Layer, "/")
		final := values[layer]
		if final == nil {
			return fmt.Errorf("the output of the layer %s is not named %s: the model was not written by sbs-convert", s.Layer, layer)
		}
		printBar(stdout, s.Spikes, distance(s.H, final), "")
		if i+1 == len(snapshots) || s.Layer != snapshots[i+1].Layer {
			most = min(most, s.Spikes)
		}
	}

	// Every number of spikes in all layers needs a separate run.
	fmt.Fprintf(stdout, "\nAnswer of the network and its probability, by spikes per layer (with all spikes: %s):\n\n", results[0].Name)
	for _, n := range counts {
		if n > most {
			break
		}
		results, err := classifier.Run(ctx, input, runtime.Spikes(n))
		if err != nil {
			return err
		}
		printBar(stdout, n, float64(results[0].Probability), results[0].Name)
	}
	return nil
}

func printBar(w io.Writer, spikes int, value float64, text string) {
	bar := strings.Repeat("#", int(math.Round(40*min(value, 1))))
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%6d  %.3f  %-40s %s", spikes, value, bar, text), " "))
}

// distance returns the total variation distance between h of one image after some spikes
// and its final h, the mean over the positions.
func distance(h, final *runtime.Tensor) float64 {
	sum := 0.
	for i, v := range h.Float32s() {
		sum += math.Abs(float64(v - final.Float32s()[i]))
	}
	shape := h.Shape() // 1, neurons, height, width
	return sum / 2 / float64(shape[2]*shape[3])
}
