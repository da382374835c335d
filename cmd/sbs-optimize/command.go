package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
)

const long = `Finds out how few spikes a network needs.

With one model, the command searches for the numbers of spikes and the epsilon
of each SbS layer, and fine-tunes the most promising networks. It writes the
network with the fewest updates that has at least the accuracy of
--min-accuracy, or the most accurate network with at most --max-updates updates.
(An update is the effect of one spike on one output position.) It prints a table
of the networks that no other one beats in both updates and accuracy, with their
accuracy under noise. The folder MODEL-fast-log, or the one beside --output,
receives the table of all networks as a CSV file, pictures of accuracy over
updates, and what is needed to resume.

The search uses images that no weight of the model has seen. If the model was
trained with sbs-train --holdout N, these are the images that were held back.
Other models need --validation. One half of the images is for the search. The
other half and the test images are not used in the search. They show the
accuracy at the end.

With --max-accuracy-loss, the model that is written has two stages: images about
which the network with few spikes is not sure go on to the model given. An image
is lost if the network with few spikes is wrong, the image does not go on, and
the model given is right. The threshold is calibrated so that the share of lost
images is at most --max-accuracy-loss, with the confidence of --confidence. This
holds for images like those of the calibration, but not under noise.

With several models, from the fastest to the most accurate, the command makes
them the stages of one model and calibrates the thresholds, without a search.

If --max-updates is given too, the thresholds are as high as it allows. More
images go on then, which keeps more of the robustness of the last stage.`

const example = `  sbs-optimize model.onnx --data MNIST/ --min-accuracy 99.3 -o fast.onnx
  sbs-optimize model.onnx --data MNIST/ --max-updates 20000 --keep-robustness 1
  sbs-optimize model.onnx --data photos/ --validation more-photos/ --min-accuracy 90
  sbs-optimize fast.onnx model.onnx --data MNIST/ --max-accuracy-loss 0.1 -o stages.onnx`

// The names of flags that errors mention.
const (
	flagMinAccuracy = "min-accuracy"
	flagMaxUpdates  = "max-updates"
	flagRobustness  = "keep-robustness"
	flagLoss        = "max-accuracy-loss"
	flagConfidence  = "confidence"
)

// flags holds the values of the command line.
type flags struct {
	data           []string
	validation     string
	test           string
	resize         bool
	invert         string
	output         string
	minAccuracy    float64
	maxUpdates     cli.OptionalInt
	robustness     float64
	loss           float64
	confidence     float64
	trainings      cli.OptionalInt
	epochs         cli.OptionalInt
	subBatches     cli.OptionalInt
	rate           float64
	noAugmentation bool
	seed           uint64
	workers        cli.OptionalInt
	resume         bool
	force          bool
	ignoreChecksum bool
	quiet          bool

	set   *pflag.FlagSet
	paths []string // of the models

	resumable bool // the search has begun
}

// newCommand returns the command. Flags and arguments come from cobra.
func newCommand([]string) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:     "sbs-optimize MODEL.onnx... --data PATH",
		Short:   "Finds out how few spikes a network needs",
		Long:    long,
		Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			f.paths = args
			return f.check()
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// The defaults of fine-tuning.
const (
	defaultTrainings  = 5
	defaultEpochs     = 3
	defaultSubBatches = 8
	defaultRate       = 0.01
)

func (f *flags) register(s *pflag.FlagSet) {
	f.set = s
	s.StringArrayVar(&f.data, "data", nil, "`path` of the training images, a file or a folder, and of the test images, if it is a folder that has them; may be given several times")
	s.StringVar(&f.validation, "validation", "", "`path` of labeled images that no weight of the model has seen (default: the images that sbs-train --holdout held back)")
	s.StringVar(&f.test, "test", "", "`path` of the test images (default: the test set in the folder of --data)")
	s.BoolVar(&f.resize, "resize", false, "scale images to the input size of the model, and convert between color and gray")
	cli.InvertVar(s, &f.invert)
	s.StringVarP(&f.output, "output", "o", "", "`path` of the model to write (default: MODEL-fast.onnx, or MODEL-stages.onnx with several models)")
	s.Uint64Var(&f.seed, "seed", 0, "`number` that selects the random numbers (default: 0)")
	cli.IntVar(s, &f.workers, "workers", 0, "`number` of CPU cores to use (default: all)")
	s.BoolVar(&f.resume, "resume", false, "resume an interrupted search, or start one if there is nothing to resume")
	s.BoolVar(&f.force, "force", false, "start again and replace the files of an existing search")
	cli.ChecksumVar(s, &f.ignoreChecksum)
	s.BoolVar(&f.quiet, "quiet", false, "print only warnings and the result")

	s.Float64Var(&f.minAccuracy, flagMinAccuracy, 0, "write the network with the fewest updates that classifies at least this `percentage` of the images correctly")
	cli.IntVar(s, &f.maxUpdates, flagMaxUpdates, 1, "write the most accurate network with at most `N` updates per image")
	s.Float64Var(&f.robustness, flagRobustness, 0, "allow only networks whose mean accuracy under noise is at most this `number` of percentage points below that of the model given")
	cli.Group(s, "Goal", flagMinAccuracy, flagMaxUpdates, flagRobustness)

	s.Float64Var(&f.loss, flagLoss, 0, "write a model with stages that loses at most this `percentage` of the images because they leave early, such as 0.1")
	s.Float64Var(&f.confidence, flagConfidence, 95, "probability, in `percent`, that the loss is at most --max-accuracy-loss (default: 95)")
	cli.Group(s, "Stages", flagLoss, flagConfidence)

	cli.IntVar(s, &f.trainings, "trainings", 0, fmt.Sprintf("largest `number` of networks to fine-tune (default: %d)", defaultTrainings))
	cli.IntVar(s, &f.epochs, "epochs", 1, fmt.Sprintf("`number` of passes over all training images for each of them (default: %d)", defaultEpochs))
	cli.IntVar(s, &f.subBatches, "batches-per-update", 1, fmt.Sprintf("`number` of sub-batches of 24 images per update of the weights (default: %d)", defaultSubBatches))
	s.Float64Var(&f.rate, "lr", defaultRate, fmt.Sprintf("initial learning `rate` of the weights (default: %v)", defaultRate))
	s.BoolVar(&f.noAugmentation, "no-augmentation", false, "prepare training images like test images: no random crops, flips or colors")
	for _, name := range []string{flagConfidence, "lr"} {
		s.Lookup(name).DefValue = "0" // not printed: the text has the default
	}
	cli.Group(s, "Fine-tuning", "trainings", "epochs", "batches-per-update", "lr", "no-augmentation")
}

// check returns an error about flags that are invalid or contradict each other.
func (f *flags) check() error {
	given := f.set.Changed
	switch {
	case len(f.paths) == 0:
		return errors.New("the model is missing: sbs-optimize MODEL.onnx --data PATH --min-accuracy PERCENT (see --help)")
	case len(f.data) == 0 && f.validation == "":
		return errors.New("the images are missing: give their file or folder with --data PATH")
	case given(flagMinAccuracy) && !(f.minAccuracy > 0 && f.minAccuracy <= 100):
		return fmt.Errorf("--%s %v: want a percentage above 0, at most 100", flagMinAccuracy, f.minAccuracy)
	case given(flagRobustness) && !(f.robustness >= 0 && f.robustness <= 100):
		return fmt.Errorf("--%s %v: want percentage points from 0 to 100", flagRobustness, f.robustness)
	case given(flagLoss) && !(f.loss > 0 && f.loss < 100):
		return fmt.Errorf("--%s %v: want a percentage between 0 and 100", flagLoss, f.loss)
	case !(f.confidence > 0 && f.confidence < 100):
		return fmt.Errorf("--%s %v: want a percentage between 0 and 100", flagConfidence, f.confidence)
	case !(f.rate > 0 && f.rate <= 1e4):
		return fmt.Errorf("--lr %v: want a number above 0, at most 10000", f.rate)
	case given(flagConfidence) && !given(flagLoss):
		return fmt.Errorf("--%s has no effect without --%s", flagConfidence, flagLoss)
	case f.resume && f.force:
		return errors.New("--resume and --force cannot be combined: --resume continues a search, and --force starts again")
	}
	if len(f.paths) > 1 {
		if !given(flagLoss) {
			return fmt.Errorf("several models become the stages of one: say with --%s which share of the images may be lost", flagLoss)
		}
		for _, name := range []string{flagMinAccuracy, flagRobustness, "trainings", "epochs", "batches-per-update", "lr", "no-augmentation", "resume"} {
			if given(name) {
				return fmt.Errorf("--%s is for the search with one model: there are %d models, which become stages as they are", name, len(f.paths))
			}
		}
		return nil
	}
	if f.trainings.Or(defaultTrainings) == 0 {
		for _, name := range []string{"epochs", "batches-per-update", "lr", "no-augmentation"} {
			if given(name) {
				return fmt.Errorf("--%s has no effect with --trainings 0", name)
			}
		}
	}
	switch {
	case given(flagMinAccuracy) == f.maxUpdates.Set:
		return fmt.Errorf("say what to look for: either --%s PERCENT or --%s N", flagMinAccuracy, flagMaxUpdates)
	case len(f.data) == 0 && f.trainings.Or(defaultTrainings) > 0:
		return errors.New("the training images for fine-tuning are missing: give them with --data PATH, or search without fine-tuning with --trainings 0")
	}
	return nil
}

// outputPath returns the path of the model to write.
func (f *flags) outputPath() string {
	if f.output != "" {
		return f.output
	}
	base := strings.TrimSuffix(f.paths[len(f.paths)-1], ".onnx")
	if len(f.paths) > 1 {
		return base + "-stages.onnx"
	}
	return base + "-fast.onnx"
}
