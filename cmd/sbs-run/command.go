package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/internal/cli"
)

const long = `Classifies images with an ONNX model that sbs-convert has written, or with
another model that takes a batch of images and gives one vector per image.

IMAGES is any number of
  - PNG, JPEG, GIF, BMP, TIFF or WebP files, or folders of them; with one folder
    per class, the accuracy is printed too
  - IDX files as of MNIST (also .gz), with the labels in a file beside them
  - .npy files of images, (n, height, width) or with channels
  - batches of CIFAR-10, binary (data_batch_1.bin) or pickled (data_batch_1)

The output has one line per image: its name, the class, the probability of the
class, and the most probable classes. If labels are known, the accuracy and the
confusion matrix follow. An image that cannot be read is reported and does not
stop the others; the exit status is 1 in that case.`

const example = `  sbs-run model.onnx images/
  sbs-run model.onnx t10k-images-idx3-ubyte.gz --limit 1000 --spikes 400
  sbs-run model.onnx photo.jpg --resize --format json`

// flags are the values of the command line.
type flags struct {
	format string
	top    int
	limit  int
	labels string
	resize bool
	spikes cli.OptionalInt
	cli.DynamicsFlags
	seed    uint64
	workers cli.OptionalInt
	quiet   bool
}

func newCommand([]string) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:     "sbs-run MODEL.onnx IMAGES...",
		Short:   "Classifies images with an ONNX model",
		Long:    long,
		Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("expected a model and at least one image: sbs-run MODEL.onnx IMAGES... (see --help)")
			}
			return f.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.classify(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], args[1:])
		},
	}
	s := cmd.Flags()
	s.StringVar(&f.format, "format", "text", "output `format`: "+strings.Join(formats, ", "))
	s.IntVar(&f.top, "top", 3, "number of most probable classes to print")
	s.IntVar(&f.limit, "limit", 0, "classify only the first `n` images")
	s.StringVar(&f.labels, "labels", "", "`file` with the labels of all images: IDX, .npy, or text with one label per line")
	s.BoolVar(&f.resize, "resize", false, "scale images to the size of the network's input, and convert colors to gray or gray to colors")
	cli.IntVar(s, &f.spikes, "spikes", 1, "`number` of spikes of every SbS layer (default: the model's)")
	f.Register(s)
	s.Uint64Var(&f.seed, "seed", 0, "`number` that selects the random numbers (default 0)")
	cli.IntVar(s, &f.workers, "workers", 0, "`number` of CPU cores to use (default: all)")
	s.BoolVar(&f.quiet, "quiet", false, "print neither a progress bar nor lines for images that could be classified")
	return cmd
}

var formats = []string{"text", "json", "csv"}

func (f *flags) check() error {
	switch {
	case !slices.Contains(formats, f.format):
		return fmt.Errorf("--format %q: want one of %s", f.format, strings.Join(formats, ", "))
	case f.top < 1:
		return fmt.Errorf("--top %d: want at least 1", f.top)
	case f.limit < 0:
		return fmt.Errorf("--limit %d: want at least 0", f.limit)
	}
	return nil
}
