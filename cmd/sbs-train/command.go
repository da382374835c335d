package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
)

const long = `Trains a Spike-By-Spike network.

Given a model that sbs-convert or sbs-train wrote, it trains that further, all
layers but those named with --freeze, and writes MODEL-tuned.onnx. Beside it is
the folder MODEL-tuned-log with the metrics, their curves, TensorBoard's event
files and the checkpoint.

Given a configuration of PyTorch-SbS, a file or the folder with it, it trains a
new network as that says. Into its folder, or the one given with --output, go
the weights (Weights or Parameters, EpsXY), model.onnx and the folder Log. Flags
take precedence over the configuration.

--data is a folder with the training and the test set, or the training set alone:
  - IDX files as of MNIST (also .gz), with the labels in a file beside them
  - TrainPatternStorage.npy with TrainLabelStorage.npy, and Test... beside them
  - the batches of CIFAR-10
  - a folder of images for each class; or train and test with such folders

A model that is to do with far fewer spikes than before (--spikes) needs
--sampler low-discrepancy and larger steps, as in the second example: training
makes up for less than that.

Training goes on where it was interrupted, by Ctrl-C or otherwise, when the same
command is given again with --resume. The result is the same, bit by bit, as
without the interruption, and whatever the number of workers.`

const example = `  sbs-train model.onnx --data MNIST/
  sbs-train model.onnx --data MNIST/ -o fast.onnx --spikes 50 \
      --sampler low-discrepancy --epsilon-schedule power:-0.2 --epsilon-0 3
  sbs-train model.onnx --data photos/ --freeze L0,L2 --lr 0.003
  sbs-train network.json --data MNIST/ --output run1/
  sbs-train network.json --data MNIST/ --output run1/ --resume`

// flags are the values of the command line.
type flags struct {
	data           []string
	test           string
	noTest         bool
	resize         bool
	output         string
	epochs         int
	batch          int
	perUpdate      int
	rate           float64
	rateEpsilonXY  float64
	schedule       string
	loss           string
	freeze         []string
	noAugmentation bool
	spikes         int
	testSpikes     int
	cli.DynamicsFlags
	testEvery int
	saveEvery int
	seed      uint64
	workers   int
	resume    bool
	force     bool
	quiet     bool

	set  *pflag.FlagSet
	args []string // the whole command line, to say how to resume
}

func newCommand(args []string) *cobra.Command {
	f := flags{args: args}
	cmd := &cobra.Command{
		Use:     "sbs-train MODEL.onnx|CONFIG.json --data PATH",
		Short:   "Trains a Spike-By-Spike network",
		Long:    long,
		Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("it takes one model or configuration: sbs-train MODEL.onnx --data PATH (got %d arguments; see --help)", len(args))
			}
			return f.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.train(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
		},
	}
	s := cmd.Flags()
	f.set = s
	s.StringArrayVar(&f.data, "data", nil, "training `images`, a file or folder; can be given several times")
	s.StringVar(&f.test, "test", "", "test `images` (default: those in the folder of --data, if there are any)")
	s.BoolVar(&f.noTest, "no-test", false, "train without testing")
	s.BoolVar(&f.resize, "resize", false, "scale images to the size of the model's input, and convert colours to gray or gray to colours")
	s.StringVarP(&f.output, "output", "o", "", "the model to write, or the `folder` for a training by a configuration")
	s.IntVar(&f.epochs, "epochs", 0, fmt.Sprintf("`number` of times that training goes through all images (default: %d, or by the configuration)", tuneEpochs))
	s.IntVar(&f.batch, "batch", 0, fmt.Sprintf("number of `images` in one sub-batch (default: %d, or by the configuration)", tuneBatch))
	s.IntVar(&f.perUpdate, "batches-per-update", 0, fmt.Sprintf("`number` of sub-batches after which the weights change (default: %d, or by the configuration)", tunePerUpdate))
	s.Float64Var(&f.rate, "lr", 0, fmt.Sprintf("learning rate of the weights at the start (default: %v, in dialect 1 and without SbS layers %v, or by the configuration)", tuneRate2, tuneRate1))
	s.Float64Var(&f.rateEpsilonXY, "lr-epsilon-xy", 0, fmt.Sprintf("that of epsilon_xy, in dialect 1 (default: %v, or by the configuration)", tuneRateEpsilonXY))
	s.StringVar(&f.schedule, "lr-schedule", "", "how the learning rates change: constant, cosine (down to 0), or plateau (after updates without progress); default: cosine, or by the configuration")
	s.StringVar(&f.loss, "loss", "", "what to minimize: "+strings.Join(lossNames, " or ")+" (default: by the configuration, else cross-entropy after other than SbS layers)")
	s.StringSliceVar(&f.freeze, "freeze", nil, "`layers` that stay as they are, such as L0,L2")
	s.BoolVar(&f.noAugmentation, "no-augmentation", false, "train with the images as they are for testing: without random crops, flips and colours")
	s.IntVar(&f.spikes, "spikes", 0, "`number` of spikes of every SbS layer, in training and in the model that is written (default: as it is)")
	s.IntVar(&f.testSpikes, "test-spikes", 0, "`number` of spikes for testing (default: as for training)")
	f.Register(s)
	s.IntVar(&f.testEvery, "test-every", 0, "test after so many `epochs`, in dialect 1 by a configuration updates (default: 1, or by the configuration)")
	s.IntVar(&f.saveEvery, "save-every", 0, "save weights and model after so many `epochs`, in dialect 1 by a configuration updates (default: 1)")
	s.Uint64Var(&f.seed, "seed", 0, "selects the random numbers")
	s.IntVar(&f.workers, "workers", 0, "number of CPU cores to use (default: all)")
	s.BoolVar(&f.resume, "resume", false, "go on with the training that was interrupted")
	s.BoolVar(&f.force, "force", false, "start anew where there is a training already, and replace its files")
	s.BoolVar(&f.quiet, "quiet", false, "print nothing but the result")
	return cmd
}

func (f *flags) check() error {
	if len(f.data) == 0 {
		return errors.New("the training images are missing: give their file or folder with --data PATH")
	}
	for _, v := range []struct {
		name  string
		value int
		least int
	}{
		{"epochs", f.epochs, 1}, {"batch", f.batch, 1}, {"batches-per-update", f.perUpdate, 1}, {"spikes", f.spikes, 1},
		{"test-spikes", f.testSpikes, 1}, {"test-every", f.testEvery, 1}, {"save-every", f.saveEvery, 1}, {"workers", f.workers, 0},
	} {
		if f.set.Changed(v.name) && v.value < v.least {
			return fmt.Errorf("--%s %d: want at least %d", v.name, v.value, v.least)
		}
	}
	for name, v := range map[string]float64{"lr": f.rate, "lr-epsilon-xy": f.rateEpsilonXY} {
		if f.set.Changed(name) && !(v > 0 && v <= 1e4) {
			return fmt.Errorf("--%s %v: want a number above 0, at most 10000", name, v)
		}
	}
	switch {
	case f.loss != "" && !slices.Contains(lossNames, f.loss):
		return fmt.Errorf("--loss %q: want one of %s", f.loss, strings.Join(lossNames, ", "))
	case f.schedule != "" && !slices.Contains(scheduleNames, f.schedule):
		return fmt.Errorf("--lr-schedule %q: want one of %s", f.schedule, strings.Join(scheduleNames, ", "))
	case f.noTest && (f.test != "" || f.testSpikes > 0 || f.testEvery > 0):
		return errors.New("--no-test leaves nothing to --test, --test-spikes and --test-every")
	case f.resume && f.force:
		return errors.New("--resume goes on with a training and --force starts anew: give one of them")
	}
	return nil
}

// isModel reports whether an argument is an ONNX file and not a configuration.
func isModel(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return !info.IsDir() && !strings.HasSuffix(strings.ToLower(path), ".json"), nil
}
