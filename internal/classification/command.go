// Package classification classifies the images of files with a model and prints the results, also
// in shards. It is the code of sbs-run.
package classification

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/tensors"
)

const long = `Classifies images with an ONNX model that sbs-convert or sbs-train wrote, or
with another model that takes a batch of images and returns one vector per
image. With --input or --random, it runs any ONNX model.

IMAGES is any number of
  - PNG, JPEG, GIF, BMP, TIFF or WebP files, or folders of such files; with one
    folder per class, the accuracy is printed too
  - IDX files such as those of MNIST (also .gz), with the labels in a file
    next to them
  - .npy files of images, (n, height, width), (n, pixels) or with channels, and
    .npz files; mnist.npz:x_test names an array of one
  - CSV files with the pixels of an image in each row, such as those of Kaggle
  - batches of CIFAR-10, binary (data_batch_1.bin) or pickled (data_batch_1)
  - folders that contain one of these, up to three levels down

A model or an image can be -, the standard input.

Pictures are turned as their orientation tag says, and transparent pixels are
white. Pictures that are dark on light, such as ink on paper, are inverted for
a model that learned light on dark, and the other way round: see --invert.

With --noise, noise is added to every image before it is classified, to measure
how robust the model is. The same --seed gives the same noise.

The output has one line per image: its name, the class, the probability of the
class, and the most probable classes. If labels are known, the accuracy and the
confusion matrix follow.

A model may have stages, from few spikes to many. An image leaves at the first
stage whose two most probable classes are far enough apart. The output then has
the stage of each image, and the summary has the images, the accuracy and the
spike updates of each stage. --stage runs only one stage. The spikes, the
sampler and epsilon of a model with stages can be changed only together with
--stage.

An image that cannot be read is reported, and the others are classified anyway;
the exit code is 1 in that case.

--shard i/n classifies part i of n of the images, for example on one of several
machines, and writes a part of the results. "sbs-run merge" makes the output of
the whole run from all parts: see "sbs-run merge --help".

--input gives the inputs of any model as NumPy's arrays, by name: .npy files, or
an .npz file with all of them. Their element types and shapes must be those of
the model. --output names a folder for one .npy file per output, an .npz file
for all of them, or a .npy file for the only one; without it, the first elements
of every output are printed. Element types that NumPy lacks, such as bfloat16
and int4, are stored as larger ones that it has.

The items of a sequence s are the values of --input s=FILE.npy in their order,
or have the names s.0, s.1 and so on, as in the outputs. The keys and values of
a map m are m.keys and m.values. --input s= is a sequence without items, or an
optional value that is absent.

--random runs a model on random numbers and measures it: from 0 to 1 for
floating-point inputs, and 0 or 1 for others. --size sets the dimensions that
the model leaves open. --profile also prints the time of every node;
nodes that run as one are joined by +, such as Conv+Relu.`

const example = `  sbs-run model.onnx images/
  sbs-run model.onnx t10k-images-idx3-ubyte.gz --limit 1000 --spikes 400
  sbs-run model.onnx t10k-images-idx3-ubyte.gz --quiet --noise contrast=0.6
  sbs-run model.onnx photo.jpg --resize --format json
  sbs-run model.onnx images/ --shard 2/8 -o part2.jsonl
  sbs-run merge part*.jsonl -o all.txt
  curl -s https://example.org/7.png | sbs-run model.onnx -
  sbs-run any.onnx --input x=x.npy --input ids=ids.npy --output out/
  sbs-run any.onnx --input inputs.npz --output outputs.npz
  sbs-run any.onnx --input frames=1.npy --input frames=2.npy --output out.npz
  sbs-run any.onnx --random --size batch=4 --size x=4x3x224x224 --profile`

// Flags holds the values of the command line of sbs-run.
type Flags struct {
	Labels  string          // path of the file with the labels, "" for those that come with the images
	Workers cli.OptionalInt // number of CPU cores, all if it is 0 or not set

	format string
	top    cli.OptionalInt
	limit  cli.OptionalInt
	resize bool
	invert string
	noise  string
	stage  cli.OptionalInt
	cli.DynamicsFlags
	seed  uint64
	quiet bool
	shard cli.Shard
	output

	ignoreChecksum bool
	set            *pflag.FlagSet
}

// isShard reports whether the run is a part of a run.
func (f *Flags) isShard() bool { return f.shard != (cli.Shard{}) }

// Command returns the command sbs-run, or its subcommand merge.
func Command(args []string) *cobra.Command {
	if len(args) > 0 && args[0] == mergeWord {
		return newMerge()
	}
	var f Flags
	var model tensors.Flags
	cmd := &cobra.Command{
		Use:     "sbs-run [flags] MODEL.onnx IMAGES...\nsbs-run [flags] MODEL.onnx --input NAME=FILE.npy...\nsbs-run [flags] MODEL.onnx --random\nsbs-run merge [flags] PART...",
		Short:   "Classifies images with an ONNX model, or runs any model on arrays",
		Long:    long,
		Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] == mergeWord {
				return errors.New("merge must be the first word: sbs-run merge [flags] PART... (write ./merge for a model of this name)")
			}
			if i := slices.Index(args, standardInput); i >= 0 && slices.Contains(args[i+1:], standardInput) {
				return errors.New("- (the standard input) can be given only once")
			}
			if err := model.Check(cmd.Flags()); err != nil {
				return err
			}
			if model.Used() {
				return f.checkTensors(&model, args)
			}
			if len(args) == 1 && !f.isShard() {
				return errors.New("expected a model and at least one image: sbs-run MODEL.onnx IMAGES..., or, for a model of anything else, " +
					"sbs-run MODEL.onnx --input NAME=FILE.npy (see --help)")
			}
			return CheckArgs("sbs-run", args, f.isShard())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if model.Used() {
				return f.runTensors(cmd, &model, args)
			}
			return f.run(cmd, args)
		},
	}
	f.Register(cmd.Flags())
	model.Register(cmd.Flags())
	cli.ShardVar(cmd.Flags(), &f.shard, "classify only part `i/n` of the images, such as 2/8, and write a part of the results, for sbs-run merge")
	return cmd
}

// CheckArgs returns an error unless the arguments of a command are a model and images. The shards of
// a run cannot read the standard input.
func CheckArgs(command string, args []string, shards bool) error {
	if len(args) < 2 {
		return fmt.Errorf("expected a model and at least one image: %s MODEL.onnx IMAGES... (see --help)", command)
	}
	if shards && slices.Contains(args, standardInput) {
		return errors.New("shards cannot read - (the standard input): all of them read the same model and images, so give their files")
	}
	return checkModel(args[0])
}

// checkModel returns an error if the model is a folder.
func checkModel(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder: the first argument must be the model", path)
	}
	return nil
}

// Register defines the flags, apart from --shard.
func (f *Flags) Register(s *pflag.FlagSet) {
	f.set = s
	f.format = formatText
	formatVar(s, &f.format)
	cli.IntVar(s, &f.top, "top", 1, fmt.Sprintf("`number` of most probable classes to print (default: %d)", defaultTop))
	cli.IntVar(s, &f.limit, "limit", 1, "`number` of images to classify: the first ones, or an equal share of every class folder (default: all)")
	s.StringVar(&f.Labels, "labels", "", "`file` with the labels of all images: IDX, .npy, .npz, or text with one label per line or with the name or number of an image and its label")
	s.BoolVar(&f.resize, "resize", false, "scale images to the input size of the model, and convert between color and gray")
	cli.InvertVar(s, &f.invert)
	cli.NoiseVar(s, &f.noise, flagNoise)
	cli.IntVar(s, &f.stage, "stage", 1, "`number` of the only stage to run, of a model with stages (default: all)")
	f.DynamicsFlags.Register(s, "from the model")
	s.Uint64Var(&f.seed, "seed", 0, "`number` that selects the random numbers (default: 0)")
	cli.IntVar(s, &f.Workers, "workers", 0, "`number` of CPU cores to use (default: all)")
	cli.ChecksumVar(s, &f.ignoreChecksum)
	f.output.register(s)
	s.BoolVar(&f.quiet, "quiet", false, quietUsage)
}

// defaultTop is the default of --top.
const defaultTop = 3

// The output formats.
const (
	formatText = "text"
	formatJSON = "json"
	formatCSV  = "csv"
)

var formats = []string{formatText, formatJSON, formatCSV}

// formatVar defines the flag --format. The default is *format.
func formatVar(s *pflag.FlagSet, format *string) {
	cli.ChoiceVar(s, format, flagFormat, formats, "output `format`: "+strings.Join(formats, ", "))
}

const quietUsage = "print only the summary and errors: no progress bar and no results of single images"
