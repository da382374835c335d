package main

import (
	"context"
	"fmt"
	"image"
	_ "image/jpeg" // a format that the images can have
	_ "image/png"  // a format that the images can have
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// open prepares the training of an ONNX model, or of a folder of weights.
func open(path string, cfg train.Config) (*train.Trainer, error) {
	if filepath.Ext(path) == ".onnx" {
		return train.Open(path, cfg)
	}
	network, _, err := pytorch.Load(pytorch.Options{Weights: path})
	if err != nil {
		return nil, err
	}
	data, err := convert.ToONNX(network, convert.Options{})
	if err != nil {
		return nil, err
	}
	return train.New(data, cfg)
}

// readFolder reads the images CLASS/NAME.png or .jpg of a folder.
func readFolder(folder string) (images []image.Image, labels []int, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*", "*.[pj][np]g"))
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		label, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: the folder is not the number of a class", path)
		}
		img, err := readImage(path)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		images, labels = append(images, img), append(labels, label)
	}
	if len(images) == 0 {
		return nil, nil, fmt.Errorf("%s has no images in folders of classes", folder)
	}
	return images, labels, nil
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

// batches yields the images of all epochs, in a different random order in each epoch.
func batches(tensor func(...image.Image) (*runtime.Tensor, error), images []image.Image, labels []int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		random := rand.New(rand.NewPCG(1, 0))
		for range epochs {
			order := random.Perm(len(images))
			for first := 0; first < len(order); first += batchSize {
				var part []image.Image
				var b train.Batch
				for _, i := range order[first:min(first+batchSize, len(order))] {
					part, b.Labels = append(part, images[i]), append(b.Labels, labels[i])
				}
				var err error
				b.Images, err = tensor(part...)
				if !yield(b, err) || err != nil {
					return
				}
			}
		}
	}
}

func printAccuracy(ctx context.Context, stdout io.Writer, when string, c *classify.Classifier, images []image.Image, labels []int) error {
	results, err := c.Images(ctx, images...)
	if err != nil {
		return err
	}
	correct := 0
	for i, r := range results {
		if r.Class == labels[i] {
			correct++
		}
	}
	fmt.Fprintf(stdout, "%s: %d of %d images are correct\n", when, correct, len(results))
	return nil
}
