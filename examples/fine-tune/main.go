// Fine-tune continues the training of a network with the images of a folder, and saves
// the new model. The folder has one folder per class, named by the number of the class.
//
// Run it from the root of the repository:
//
//	go run ./examples/fine-tune fine-tuned.onnx
//	go run ./examples/fine-tune fine-tuned.onnx model.onnx my/images
//
// The second argument is an ONNX model that sbs-convert has written or a folder of
// PyTorch-SbS weights. The default is models/mnist-prototypes/Weights, a network that
// was never trained. The example trains with 30 images and tests with the same images; a
// real training needs many more, and other images for testing. The command sbs-train does
// all of this.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/train"
)

const (
	epochs    = 8
	batchSize = 10
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: fine-tune OUTPUT.onnx [MODEL [IMAGES]]")
	}
	args = append(args, "", "")
	trainer, err := open(cmp.Or(args[1], "models/mnist-prototypes/Weights"), train.Config{
		RateW: 0.01, // the default, 0.001, is a better choice for more images
		// Low-discrepancy spikes give gradients with less noise. The saved model uses them too.
		Dynamics: sbs.Dynamics{Sampler: sbs.LowDiscrepancy},
	})
	if err != nil {
		return err
	}
	defer trainer.Close()

	images, labels, err := readFolder(cmp.Or(args[2], "models/mnist/images"))
	if err != nil {
		return err
	}
	model, err := trainer.Model() // with the current weights
	if err != nil {
		return err
	}
	defer model.Close()
	classifier, err := classify.New(model, classify.Resize())
	if err != nil {
		return err
	}
	defer classifier.Close()
	if err := printAccuracy(ctx, stdout, "before", classifier, images, labels); err != nil {
		return err
	}

	// The classifier turns images into inputs of the model.
	data := batches(classifier.Tensor, images, labels)
	loss, seen := 0., 0
	err = trainer.Fit(ctx, data, func(r train.Result) error {
		loss, seen = loss+r.LossPerImage*float64(r.Images), seen+r.Images
		if seen == len(images) { // the end of an epoch
			fmt.Fprintf(stdout, "after %d images: loss %.4f\n", trainer.Position().Images, loss/float64(seen))
			loss, seen = 0, 0
		}
		return nil
	})
	if err != nil {
		return err
	}

	// Save replaces an existing file atomically.
	if err := trainer.Save(args[0]); err != nil {
		return err
	}
	tuned, err := classify.Open(args[0], classify.Resize())
	if err != nil {
		return err
	}
	defer tuned.Close()
	return printAccuracy(ctx, stdout, "after", tuned, images, labels)
}
