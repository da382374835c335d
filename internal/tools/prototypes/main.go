// Command prototypes makes the weights of models/mnist-prototypes from the training images
// of MNIST, without training. The neurons of the first layer are typical images of each
// digit, found by k-means. The second layer adds up the neurons of each digit.
//
//	go run ./internal/tools/prototypes train-images-idx3-ubyte models/mnist-prototypes/Weights
package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/npy"
)

const (
	classes     = 10
	prototypes  = 8 // per class
	side, crop  = 28, 2
	inner       = side - 2*crop
	pixels      = inner * inner
	iterations  = 12
	perClass    = 3000 // images
	floor       = 1e-4 // smallest weight of the first layer, so that no pixel excludes a neuron
	spread      = 1e-3 // smallest weight of the second layer, for the wrong classes
	weightsName = "Weight_L%d_S0.npy"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: prototypes TRAIN-IMAGES FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "prototypes:", err)
		os.Exit(1)
	}
}

// run reads the images and writes the weights.
func run(images, folder string) error {
	byClass, err := load(images)
	if err != nil {
		return err
	}
	const neurons = classes * prototypes
	first := make([]float32, pixels*neurons)   // (K, N)
	second := make([]float32, neurons*classes) // (K, N)
	for c, examples := range byClass {
		for i, p := range kMeans(examples, rand.New(rand.NewPCG(uint64(c), 0))) {
			n := c*prototypes + i
			for k, v := range normalized(p, floor) {
				first[k*neurons+n] = v
			}
			second[n*classes+c] = 1
		}
	}
	for c := range classes {
		column := make([]float32, neurons)
		for k := range column {
			column[k] = second[k*classes+c]
		}
		for k, v := range normalized(column, spread) {
			second[k*classes+c] = v
		}
	}
	if err := write(filepath.Join(folder, fmt.Sprintf(weightsName, 0)), []int{pixels, neurons}, first); err != nil {
		return err
	}
	return write(filepath.Join(folder, fmt.Sprintf(weightsName, 1)), []int{neurons, classes}, second)
}

// load returns the first perClass images of each class, cropped.
func load(path string) (byClass [classes][][]float32, err error) {
	images, err := dataset.Open([]string{path}, dataset.Options{Size: dataset.Size{Channels: 1, Height: side, Width: side}})
	if err != nil {
		return byClass, err
	}
	defer func() { err = errors.Join(err, images.Close()) }()
	for i := range images.Len() {
		m := images.At(i)
		if m.Err != nil {
			return byClass, m.Err
		}
		if m.Label < 0 || m.Label >= classes {
			return byClass, fmt.Errorf("%s: label %d, want 0 to %d", m.Name, m.Label, classes-1)
		}
		if len(byClass[m.Label]) == perClass {
			continue
		}
		p := make([]float32, 0, pixels)
		for y := crop; y < side-crop; y++ {
			p = append(p, m.Pixels[y*side+crop:(y+1)*side-crop]...)
		}
		byClass[m.Label] = append(byClass[m.Label], p)
	}
	for c, e := range byClass {
		if len(e) < prototypes {
			return byClass, fmt.Errorf("class %d has only %d images, want at least %d", c, len(e), prototypes)
		}
	}
	return byClass, nil
}

// kMeans returns the centers of the clusters of the examples.
func kMeans(examples [][]float32, r *rand.Rand) [][]float32 {
	centers := make([][]float32, prototypes)
	for i, e := range r.Perm(len(examples))[:prototypes] {
		centers[i] = examples[e]
	}
	for range iterations {
		sums, counts := make([][]float32, prototypes), make([]float32, prototypes)
		for i := range sums {
			sums[i] = make([]float32, pixels)
		}
		for _, e := range examples {
			n := nearest(centers, e)
			counts[n]++
			for k, v := range e {
				sums[n][k] += v
			}
		}
		for i := range centers {
			if counts[i] > 0 {
				for k := range sums[i] {
					sums[i][k] /= counts[i]
				}
				centers[i] = sums[i]
			}
		}
	}
	return centers
}

// nearest returns the index of the center that is nearest to e.
func nearest(centers [][]float32, e []float32) int {
	best, least := 0, float32(-1)
	for i, c := range centers {
		var d float32
		for k, v := range e {
			d += (v - c[k]) * (v - c[k])
		}
		if least < 0 || d < least {
			best, least = i, d
		}
	}
	return best
}

// normalized returns v, divided by its sum, with floor added to every entry, and divided
// by the new sum.
func normalized(v []float32, floor float64) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x)
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32((float64(x)/sum + floor) / (1 + floor*float64(len(v))))
	}
	return out
}

// write writes a .npy file.
func write(path string, shape []int, data []float32) error {
	var b bytes.Buffer
	if err := npy.Write(&b, &npy.Array{Shape: shape, Data: data}); err != nil {
		return err
	}
	return atomicfile.Write(path, b.Bytes())
}
