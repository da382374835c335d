// Package training is the command sbs-train: it fine-tunes models, and trains networks from
// PyTorch-SbS configurations. Tuning is a training that another command makes.
package training

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/train"
)

const long = `Trains a Spike-By-Spike network.

MODEL.onnx is a model that sbs-convert or sbs-train wrote. The training starts
from its weights and trains all layers except those given with --freeze. The
trained model is written to MODEL-tuned.onnx. The folder MODEL-tuned-log receives
the metrics, a picture of their curves, event files for TensorBoard, and the
checkpoint.

CONFIG.json is a PyTorch-SbS configuration, or a folder that contains one. A new
network is built and trained as the configuration describes; flags take
precedence over the configuration. The weights (folders Weights or Parameters,
and EpsXY), model.onnx and the folder Log are written to the folder of the
configuration, or to the folder given with --output.

--data is a folder that contains the training set and the test set, or only the
training set. These formats are supported:
  - IDX files, such as those of MNIST, and their label files (also .gz)
  - TrainPatternStorage.npy and TrainLabelStorage.npy, TestPatternStorage.npy and
    TestLabelStorage.npy
  - the batch files of CIFAR-10
  - one folder of images per class, or folders train and test that contain them

To train a model for other classes, also pass --new-classes, as in the third
example. The names of the class folders become the classes of the new model.
--freeze rest trains only the new layer. Without it, all layers are trained.

To fine-tune for far fewer spikes, also pass --sampler low-discrepancy and
--epsilon-schedule auto, as in the second example: training alone cannot
compensate for so few spikes.

--noise gaussian=0:0.6 adds noise to half of the training images, so that the
network copes better with noise. --noise-share changes that share.

If the loss explodes or becomes NaN, or if weights die, the training stops. The
output is then the best model so far. If fine-tuning makes a model worse, the
command ends with an error after it has written the model.

To resume a training that was interrupted or killed, run the same command with
--resume. The result is bit-identical to the result of an uninterrupted training,
with any number of workers and on any processor. If there is nothing to resume
yet, --resume starts the training, so that a script can always pass it.`

const programName = "sbs-train"

const example = `  sbs-train model.onnx --data MNIST/
  sbs-train model.onnx --data MNIST/ -o fast.onnx --spikes 50 \
      --sampler low-discrepancy --epsilon-schedule auto
  sbs-train model.onnx --data photos/ --resize --new-classes --freeze rest
  sbs-train cnn.onnx --data MNIST/ --noise gaussian=0:0.6 --noise contrast=0:0.5
  sbs-train network.json --data MNIST/ --output run1/
  sbs-train network.json --data MNIST/ --output run1/ --resume`

const (
	flagTestSpikes = "test-spikes"
	flagNewClasses = "new-classes"
	flagNoise      = "noise"
	flagNoiseShare = "noise-share"
	flagSet        = "set"
	flagNeurons    = "neurons"
)

// flags holds the values of the command line.
type flags struct {
	data           []string
	labels         string
	order          string
	generation     string
	changes        []string // of the configuration
	neurons        []int
	test           string
	testLabels     string
	noTest         bool
	resize         bool
	invert         string
	output         string
	epochs         cli.OptionalInt
	batch          cli.OptionalInt
	subBatches     cli.OptionalInt
	rateW          float64
	rateEpsilonXY  float64
	schedule       string
	loss           string
	freeze         []string
	newClasses     bool
	noAugmentation bool
	noise          []string
	noiseShare     float64 // 0 for the default
	holdout        cli.OptionalInt
	testSpikes     cli.SpikesFlag
	cli.DynamicsFlags
	testEvery cli.OptionalInt
	saveEvery cli.OptionalInt
	seed      uint64
	workers   cli.OptionalInt
	resume    bool
	force     bool

	ignoreChecksum bool
	quiet          bool

	set       *pflag.FlagSet
	program   string           // what the user calls
	gradients Gradients        // nil if this process computes them
	path      string           // of the model or configuration
	images    *dataset.Samples // the training images of a Tuning, instead of data
	known     *Images          // that were read before, may be nil
}

// Command returns the command. Flags and arguments come from cobra.
func Command([]string) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:     "sbs-train MODEL.onnx|CONFIG.json --data PATH",
		Short:   "Trains a Spike-By-Spike network",
		Long:    long,
		Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			return f.checkArgs(programName, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.train(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// register defines the flags of the command in s.
func (f *flags) register(s *pflag.FlagSet) {
	f.set = s
	s.StringArrayVar(&f.data, "data", nil, "`path` of the training images, a file or a folder; may be given several times")
	s.StringVar(&f.test, "test", "", "`path` of the test images (default: the test set in the folder of --data)")
	s.StringVar(&f.labels, "labels", "", "`file` with the labels of the training images: IDX, .npy, .npz, or text with one label per line or with the name or number of an image and its label")
	s.StringVar(&f.testLabels, "test-labels", "", "`file` with the labels of the test images, in the same formats")
	s.StringVarP(&f.output, "output", "o", "", "`path` of the model to write, or of the output folder when training from a configuration")
	s.BoolVar(&f.resize, "resize", false, "scale images to the input size of the model, and convert between color and gray")
	cli.InvertVar(s, &f.invert)
	s.Uint64Var(&f.seed, "seed", 0, "`number` that selects the random numbers")
	cli.IntVar(s, &f.workers, "workers", 0, "`number` of CPU cores to use (default: all)")
	s.BoolVar(&f.resume, "resume", false, "resume an interrupted training, or start one if there is nothing to resume")
	s.BoolVar(&f.force, "force", false, "start again and replace the files of an existing training")
	cli.ChecksumVar(s, &f.ignoreChecksum)
	s.BoolVar(&f.quiet, "quiet", false, "print only warnings and the result")

	cli.IntVar(s, &f.epochs, "epochs", 1, fmt.Sprintf("`number` of passes over all training images (default: %d, or the value in CONFIG.json; with --new-classes, enough for %d updates, from %d to %d)", tuneEpochs, newLayerUpdates, newLayerLeast, newLayerMost))
	cli.IntVar(s, &f.batch, "batch", 1, fmt.Sprintf("`number` of images per sub-batch (default: %d, or the value in CONFIG.json)", tuneBatch))
	cli.IntVar(s, &f.subBatches, "batches-per-update", 1, fmt.Sprintf("`number` of sub-batches per update of the weights (default: %d, or the value in CONFIG.json)", tuneSubBatches))
	s.Float64Var(&f.rateW, "lr", 0, fmt.Sprintf("initial learning `rate` of the weights (default: %v, or %v for a new last layer; %v in dialect 1 and for networks without SbS or NNMF layers; or the value in CONFIG.json)", tuneRate2, newLayerRate2, tuneRate1))
	s.Float64Var(&f.rateEpsilonXY, "lr-epsilon-xy", 0, fmt.Sprintf("initial learning `rate` of epsilon_xy, dialect 1 only (default: %v, or the value in CONFIG.json)", tuneRateEpsilonXY))
	s.StringVar(&f.schedule, "lr-schedule", "", "`name` of the learning rate schedule: constant, cosine (falls to 0) or plateau (falls if there is no progress) (default: cosine, or the value in CONFIG.json)")
	s.StringVar(&f.loss, "loss", "", "`name` of the loss: "+strings.Join(lossNames, " or ")+" (default: the loss in the configuration; without one, mixture if the last layer with weights is an SbS or NNMF layer, and cross-entropy otherwise; a network that ends with RECONSTRUCTION needs mixture)")
	s.StringSliceVar(&f.freeze, "freeze", nil, "`layers` that are not trained, such as L0,L2, or rest for all layers except the last one with weights")
	s.BoolVar(&f.newClasses, flagNewClasses, false, "replace the last layer by an untrained one for the classes of the training images, which may be other classes than those of MODEL.onnx")
	s.BoolVar(&f.noAugmentation, "no-augmentation", false, "prepare training images like test images: no random crops, flips or colors")
	s.StringArrayVar(&f.noise, flagNoise, nil, "noise in training images, `KIND=FROM:TO`, whose level is drawn between the bounds for every image and epoch, or KIND=LEVEL; may be given several times: an image gets one of the kinds. sbs-run --help lists the kinds and their levels")
	s.Float64Var(&f.noiseShare, flagNoiseShare, 0, fmt.Sprintf("`share` of the training images that get noise, up to 1; the others stay clean (default: %v)", train.DefaultNoiseShare))
	cli.IntVar(s, &f.holdout, "holdout", 0, "hold back `N` training images, which no weight will see, for sbs-optimize (default: 0, or as many as the training of MODEL.onnx held back)")
	cli.Group(s, "Learning", "epochs", "batch", "batches-per-update", "lr", "lr-epsilon-xy", "lr-schedule", "loss", "freeze", flagNewClasses, "no-augmentation", flagNoise, flagNoiseShare, "holdout")

	f.Register(s, "unchanged")
	cli.Group(s, "Spikes (for training and in the resulting model)", cli.DynamicsFlagNames()...)

	s.StringVar(&f.order, "order", "", "`number` of spikes of layer 0 per value of its input, as in PyTorch-SbS; the names of the weight files, of the model and of the log folder end with it; or none to start from weights without one")
	cli.GenerationVar(s, &f.generation, pytorch.Generations())
	s.StringArrayVar(&f.changes, flagSet, nil, "`KEY=VALUE` that replaces a value of the configuration, such as learning_parameters.learning_rate_threshold_w=0.01 or number_of_spikes=[100]; may be given several times")
	s.IntSliceVar(&f.neurons, flagNeurons, nil, "`numbers` of neurons of the layers that have some, apart from the last one, such as 32,64,96; poolings between them follow (default: forward_neuron_numbers in CONFIG.json)")
	cli.Group(s, "Only for a configuration", "order", "generation", flagSet, flagNeurons)

	s.BoolVar(&f.noTest, "no-test", false, "do not test")
	cli.SpikesVar(s, &f.testSpikes, flagTestSpikes, "`number` of spikes in tests, for all SbS layers or one per SbS layer; in layers with --epsilon-schedule auto, also the epsilon_0 for them (default: as in training)")
	cli.IntVar(s, &f.testEvery, "test-every", 1, "test every `N` epochs (updates, for a dialect 1 configuration) (default: 1, or the value in CONFIG.json)")
	cli.IntVar(s, &f.saveEvery, "save-every", 1, "save the weights and the model every `N` epochs (updates, for a dialect 1 configuration) (default: 1)")
	cli.Group(s, "Tests and saved files", "no-test", flagTestSpikes, "test-every", "save-every")
}

// checkArgs returns an error about arguments and flags of a program that are invalid.
func (f *flags) checkArgs(program string, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected one model or configuration, got %d arguments: %s MODEL.onnx --data PATH (see --help)", len(args), program)
	}
	f.program, f.path = program, args[0]
	return f.check()
}

// check returns an error about flags that are invalid or contradict each other.
func (f *flags) check() error {
	if len(f.data) == 0 {
		return errors.New("the training images are missing: give their file or folder with --data PATH")
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"lr", f.rateW}, {"lr-epsilon-xy", f.rateEpsilonXY}} {
		if f.set.Changed(v.name) && !(v.value > 0 && v.value <= 1e4) {
			return fmt.Errorf("--%s %v: want a number above 0, at most 10000", v.name, v.value)
		}
	}
	if f.set.Changed(flagNoiseShare) && !(f.noiseShare > 0 && f.noiseShare <= 1) {
		return fmt.Errorf("--%s %v: want a number above 0, at most 1", flagNoiseShare, f.noiseShare)
	}
	if f.set.Changed(flagNoiseShare) && len(f.noise) == 0 {
		return fmt.Errorf("--%s needs --%s, the noise that the images get", flagNoiseShare, flagNoise)
	}
	if _, err := f.noiseMix(); err != nil {
		return err
	}
	if _, err := f.testSpikes.Dynamics(flagTestSpikes); err != nil {
		return err
	}
	switch {
	case f.loss != "" && !slices.Contains(lossNames, f.loss):
		return fmt.Errorf("--loss %s: want one of %s", f.loss, strings.Join(lossNames, ", "))
	case f.schedule != "" && !slices.Contains(scheduleNames, f.schedule):
		return fmt.Errorf("--lr-schedule %s: want one of %s", f.schedule, strings.Join(scheduleNames, ", "))
	case f.noTest && (f.test != "" || f.testLabels != "" || f.testSpikes.Set() || f.testEvery.Set):
		return errors.New("--no-test cannot be combined with --test, --test-labels, --test-spikes or --test-every")
	case f.resume && f.force:
		return errors.New("--resume and --force cannot be combined: --resume continues a training, and --force starts again")
	}
	return nil
}

// IsModel reports whether a path leads to an ONNX file and not to a configuration.
func IsModel(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return !info.IsDir() && !strings.HasSuffix(strings.ToLower(path), ".json"), nil
}
