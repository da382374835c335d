package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/internal/dynamics"
)

const long = `Classifies images with an ONNX model that sbs-convert wrote, or another model
that takes one batch of images and gives one vector for each.

IMAGES is any number of
  - PNG, JPEG, GIF, BMP, TIFF or WebP files, or folders of them; with a folder
    for each class the accuracy is printed too
  - IDX files as of MNIST (also .gz), with the labels in a file beside them
  - .npy files of images, (n, height, width) or with channels
  - batches of CIFAR-10, binary (data_batch_1.bin) or pickled (data_batch_1)

A line is printed for each image: its name, the class, the class's probability,
and the most probable classes. When labels are known, accuracy and confusion
matrix follow. An image that cannot be read is reported and the others go on;
the exit status is 1 then.`

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
	spikes int
	dynamics.Flags
	seed    uint64
	workers int
	quiet   bool
}

func newCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:           "sbs-run MODEL.onnx IMAGES...",
		Short:         "Classifies images with an ONNX model",
		Long:          long,
		Example:       example,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("it takes a model and images: sbs-run MODEL.onnx IMAGES... (see --help)")
			}
			return f.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.classify(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], args[1:])
		},
	}
	s := cmd.Flags()
	s.SortFlags = false
	s.StringVar(&f.format, "format", "text", "output format: "+strings.Join(formats, ", "))
	s.IntVar(&f.top, "top", 3, "number of most probable classes to print")
	s.IntVar(&f.limit, "limit", 0, "classify only the first `n` images")
	s.StringVar(&f.labels, "labels", "", "`file` with the labels of all images: IDX, .npy, or text with one a line")
	s.BoolVar(&f.resize, "resize", false, "scale images to the size of the network's input, and convert colours to gray or gray to colours")
	s.IntVar(&f.spikes, "spikes", 0, "number of spikes of every SbS layer (default: the model's)")
	f.Flags.Register(s)
	s.Uint64Var(&f.seed, "seed", 0, "selects the random numbers")
	s.IntVar(&f.workers, "workers", 0, "number of CPU cores to use (default: all)")
	s.BoolVar(&f.quiet, "quiet", false, "no progress bar, and no lines for images that could be classified")
	return cmd
}

var formats = []string{"text", "json", "csv"}

func (f *flags) check() error {
	if !slices.Contains(formats, f.format) {
		return fmt.Errorf("--format %q: want one of %s", f.format, strings.Join(formats, ", "))
	}
	for _, v := range []struct {
		name  string
		value int
		least int
	}{{"top", f.top, 1}, {"limit", f.limit, 0}, {"spikes", f.spikes, 0}, {"workers", f.workers, 0}} {
		if v.value < v.least {
			return fmt.Errorf("--%s %d: want at least %d", v.name, v.value, v.least)
		}
	}
	return nil
}
