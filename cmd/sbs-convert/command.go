package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/sniff"
)

const long = `Converts a folder of PyTorch-SbS weights to an ONNX model, or a model back to
such a folder, or a model to a C file, or describes a model, or writes one stage
of a model, or a model that normalizes its images.

From PyTorch-SbS to ONNX: WEIGHTS is the folder with the files Weight_L*_S*.npy,
or the folder above it. The JSON configuration of the network is in the same
folder as the files or in its parent folder. MODEL.onnx can be -, the standard
output. The model takes images of the size of the data set, with pixels from 0
to 1, and does the cropping and the on/off split itself. The model runs in
sbs-run. It also contains a definition of the Spike-By-Spike operator in
standard operators, so that it runs in onnxruntime 1.16 or later.

From ONNX to PyTorch-SbS: the .npy files are written to the folder WEIGHTS, the
EpsXY files to the folder EpsXY next to it, and the JSON configuration to the
parent folder. An array that was not changed is written with exactly the same
bytes as the file that it was read from.

From ONNX to C: a name that ends with .c stands for one file in C99 for
microcontrollers and other programs. It holds the weights and the code of all
stages, allocates no memory, needs no library, and computes the results of
sbs-run, bit for bit. A comment at its beginning says how it is used.
--weights int8 stores the weights with 8 bits; with a name that ends with .onnx,
it writes the model that has these weights.

A model may have stages, from few spikes to many: sbs-run classifies an image
with the first stage whose two most probable classes are far enough apart.
--stage N writes one stage as a model without stages, or as a folder. --info
lists the stages.

--check says whether any ONNX model can run in sbs-run, and --info describes it.
If it cannot run, all operators, attributes and element types that are missing
are listed with their nodes, also those in subgraphs and functions.

--normalize-images writes a model that subtracts the mean from every image,
after the crop, and divides it by its standard deviation. Changes of brightness
and contrast then have no effect, as long as no value is clipped. The weights
stay the same: train the model with sbs-train before you use it. The first layer
must not be an SbS layer, which takes no negative values.

A file with different content is replaced only with --force.`

const example = `  sbs-convert ./Weights model.onnx
  sbs-convert ./Weights model.onnx --spikes 400 --force
  sbs-convert ./Weights - | sbs-run - images/
  sbs-convert ./Weights model.onnx --config network.json --config dataset.json
  sbs-convert model.onnx ./Weights
  sbs-convert model.onnx model.c --weights int8
  sbs-convert --info model.onnx
  sbs-convert staged.onnx --stage 1 few.onnx
  sbs-convert cnn.onnx --normalize-images normalized.onnx
  sbs-convert --dot model.onnx | dot -Tsvg > model.svg
  sbs-convert --check any.onnx`

const use = `sbs-convert [flags] WEIGHTS MODEL.onnx
sbs-convert [flags] MODEL.onnx WEIGHTS
sbs-convert [flags] MODEL.onnx FILE.c
sbs-convert --weights int8 MODEL.onnx QUANTIZED.onnx
sbs-convert --stage N MODEL.onnx ONE.onnx
sbs-convert --normalize-images MODEL.onnx NORMALIZED.onnx
sbs-convert --info MODEL.onnx
sbs-convert --dot MODEL.onnx
sbs-convert --check MODEL.onnx`

// flags are the values of the command line.
type flags struct {
	// From PyTorch-SbS to ONNX.
	load pytorch.Options
	cli.DynamicsFlags
	model                 convert.Options
	batch                 cli.OptionalInt
	inject                string
	decompose, noFunction bool

	// From ONNX to PyTorch-SbS.
	arraysOnly bool

	// In both directions.
	step  cli.OptionalInt
	force bool

	info, dot      bool
	canRun         bool
	ignoreChecksum bool

	stage     cli.OptionalInt
	normalize bool

	// From ONNX to C.
	weights string
	prefix  string
}

func newCommand([]string) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:     use,
		Short:   "Converts PyTorch-SbS weights to an ONNX model, and back",
		Long:    long,
		Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			return f.check(cmd.Flags(), args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stdout, stderr := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			switch {
			case f.canRun:
				return f.checkModel(ctx, stdout, stderr, args[0])
			case f.dot:
				return f.draw(ctx, stdout, args[0], f.stage.Or(0))
			case f.info:
				return f.describe(ctx, stdout, args[0], f.stage.Or(0))
			case f.normalize:
				return f.toNormalized(ctx, stdout, args[0], args[1])
			case isC(args[1]):
				return f.toC(ctx, stdout, args[0], args[1])
			case f.weights == weightsInt8:
				return f.toQuantized(ctx, stdout, args[0], args[1])
			case isModel(args[0]) && isModel(args[1]):
				return f.toStage(ctx, stdout, args[0], args[1])
			case isModel(args[0]):
				return f.toPyTorch(ctx, stdout, stderr, args[0], args[1])
			}
			return f.toONNX(ctx, stdout, stderr, args[0], args[1])
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// toPyTorchFlags are the flags for converting from ONNX to PyTorch-SbS.
var toPyTorchFlags = []string{"step", "force", "arrays-only", "stage", cli.ChecksumFlag}

func (f *flags) register(s *pflag.FlagSet) {
	const (
		headingToONNX    = "From PyTorch-SbS to ONNX"
		headingVerify    = "From PyTorch-SbS to ONNX, to verify a runtime"
		headingToPyTorch = "From ONNX to PyTorch-SbS"
		headingDescribe  = "To describe a model"
		headingStages    = "For a model with stages"
		headingNormalize = "To change a model"
		headingC         = "From ONNX to C"
	)
	cli.IntVar(s, &f.step, "step", 0, "training step to read (default: learning_step of the configuration, or else the highest step with all files), or to write (default: the step of the model)")
	cli.ChecksumVar(s, &f.ignoreChecksum)
	s.BoolVar(&f.force, "force", false, "replace files with different content")

	s.StringArrayVar(&f.load.Config, "config", nil, "configuration `file`; repeat the flag for several files, later ones take precedence (default: files in WEIGHTS or in its parent folder)")
	s.StringVar(&f.load.EpsilonXY, "eps-xy", "", "`folder` with the EpsXY files (default: WEIGHTS, or else EpsXY next to it)")
	s.StringVar(&f.load.Order, "order", "", "`order` of the arrays to read, which ends their names, as in Weight_L0_S5_0.5.npy, or none for arrays without one (default: the only one in WEIGHTS)")
	cli.GenerationVar(s, &f.load.Generation, pytorch.Generations())
	s.BoolVar(&f.load.AllowUntrained, "allow-untrained", false, "if the weight file of a layer is missing, use the initial values of a training")
	cli.FloatsVar(s, &f.load.Mean, "mean", "`means` of the channels of the data set, for the on/off split; separated by commas, for pixels from 0 to 1")
	s.Var((*sizeValue)(&f.load.Input), "input", "image `size` as CHANNELSxHEIGHTxWIDTH (default: the size for data_mode of the configuration)")
	f.Register(s, "from the configuration")
	s.BoolVar(&f.load.NoPreprocessing, "no-preprocessing", false, "leave the cropping and the on/off split out of the model")
	cli.IntVar(s, &f.batch, "batch", 0, "fixed batch size (default: any batch size)")
	s.BoolVar(&f.decompose, "decompose", false, "write SbS layers, and others of PyTorch-SbS, as standard operators, for runtimes and tools without support for functions; much slower in sbs-run")
	s.BoolVar(&f.noFunction, "no-function", false, "do not define the operators of this project in standard operators; only sbs-run and Go programs using this module can run the model")
	cli.Group(s, headingToONNX, slices.Concat([]string{"config", "eps-xy", "order", "generation", "allow-untrained", "mean", "input"}, cli.DynamicsFlagNames(),
		[]string{"no-preprocessing", "batch", "decompose", "no-function"})...)

	cli.ChoiceVar(s, &f.inject, "inject", []string{string(convert.InjectSpikes), string(convert.InjectUniforms)},
		"add inputs to the model that replace the random numbers of its layers; the `kind` is spikes or uniforms")
	s.Int64Var(&f.model.Seed, "seed", 0, "`number` to add to the seed of every layer; the seed of a layer is otherwise the number of the layer")
	cli.Group(s, headingVerify, "inject", "seed")

	s.BoolVar(&f.arraysOnly, "arrays-only", false, "write the .npy files, but not the configuration")
	cli.Group(s, headingToPyTorch, "arrays-only")

	f.weights = weightsFloat32
	cli.ChoiceVar(s, &f.weights, "weights", []string{weightsFloat32, weightsInt8},
		"`type` of the weights in the C file or in the new model: float32, or int8 for weights of 8 bits, scaled for each row or filter")
	s.StringVar(&f.prefix, "prefix", "", "`beginning` of the names in the C file (default: the name of the file)")
	cli.Group(s, headingC, "weights", "prefix")

	s.BoolVar(&f.info, "info", false, "print the layers, the size and the origin of a model")
	s.BoolVar(&f.dot, "dot", false, "print the graph of a model in the DOT language of Graphviz")
	s.BoolVar(&f.canRun, "check", false, "say whether any ONNX model can run here, and list all operators, attributes and element types that are missing; the exit code is 1 if it cannot")
	cli.Group(s, headingDescribe, "info", "dot", "check")

	cli.IntVar(s, &f.stage, "stage", 1, "`number` of the stage to write or to describe (default: none to write, all to describe with --info, the last for --dot)")
	cli.Group(s, headingStages, "stage")

	s.BoolVar(&f.normalize, "normalize-images", false, "write a model that normalizes every image by its mean and its standard deviation")
	cli.Group(s, headingNormalize, "normalize-images")
}

// check checks the arguments and the combination of flags.
func (f *flags) check(set *pflag.FlagSet, args []string) error {
	switch {
	case f.info && f.dot || f.canRun && (f.info || f.dot):
		return errors.New("--info, --dot and --check cannot be combined")
	case f.info || f.dot || f.canRun:
		return f.checkDescription(set, args)
	}
	if len(args) == 2 && isC(args[1]) {
		return f.checkC(set, args[0])
	}
	if err := checkPaths(args, f.stage.Set || f.normalize || f.weights != weightsFloat32); err != nil {
		return err
	}
	if f.normalize {
		if !isModel(args[0]) || !isModel(args[1]) {
			return errors.New("--normalize-images changes a model: sbs-convert --normalize-images MODEL.onnx NORMALIZED.onnx; convert a weights folder to a model first")
		}
		return onlyFlags(set, "without --normalize-images", []string{"normalize-images", "force", cli.ChecksumFlag})
	}
	if isModel(args[0]) && isModel(args[1]) {
		return onlyFlags(set, "when converting from or to PyTorch-SbS", []string{"stage", "weights", "force", cli.ChecksumFlag})
	}
	if isModel(args[0]) {
		return onlyFlags(set, "when converting from PyTorch-SbS to ONNX", toPyTorchFlags)
	}
	switch {
	case f.stage.Set:
		return errors.New("--stage applies only to a model")
	case f.ignoreChecksum:
		return errors.New("--" + cli.ChecksumFlag + " applies only to a model")
	case set.Changed("weights"), set.Changed("prefix"):
		return errors.New("--weights and --prefix apply only to a model: convert the weights folder to a model first")
	case f.arraysOnly:
		return errors.New("--arrays-only applies only when converting from ONNX to PyTorch-SbS")
	case f.model.Seed < 0 || f.model.Seed > math.MaxInt32:
		return fmt.Errorf("--seed %d: want a whole number from 0 to %d", f.model.Seed, math.MaxInt32)
	case f.decompose && f.noFunction:
		return errors.New("--decompose and --no-function cannot be combined")
	}
	return nil
}

// checkDescription checks the command line of --info, --dot or --check.
func (f *flags) checkDescription(set *pflag.FlagSet, args []string) error {
	flag, flags := "--info", []string{"info", "dot", "stage", cli.ChecksumFlag}
	switch {
	case f.dot:
		flag = "--dot"
	case f.canRun:
		flag, flags = "--check", []string{"check", cli.ChecksumFlag}
	}
	if len(args) != 1 {
		return fmt.Errorf("%s takes one model: sbs-convert %s MODEL.onnx (number of arguments: %d)", flag, flag, len(args))
	}
	if f.canRun && f.stage.Set {
		return errors.New("--check checks all stages: leave out --stage")
	}
	return onlyFlags(set, "when converting", flags)
}

// checkPaths checks that the arguments are a folder and a model, in any order, or two models
// if a stage was chosen.
func checkPaths(args []string, stage bool) error {
	switch {
	case len(args) == 1 && isModel(args[0]):
		return fmt.Errorf("the weights folder is missing: sbs-convert WEIGHTS %s to write the model, sbs-convert %s WEIGHTS to read it, or sbs-convert --info %s to describe it",
			args[0], args[0], args[0])
	case len(args) != 2:
		return fmt.Errorf("expected the weights folder and the model to write: sbs-convert WEIGHTS MODEL.onnx (number of arguments: %d; see --help)", len(args))
	case args[0] == standardOutput, args[1] == standardOutput && isModel(args[0]):
		return errors.New("- (the standard output) is possible only for the model that is written from a weights folder: sbs-convert WEIGHTS -")
	case isModel(args[0]) && isModel(args[1]) && !stage:
		if what := notAModel(args[0]); what != "" {
			return fmt.Errorf("%s is %s; want the weights folder, with a file Weight_L*_S*.npy for each layer", args[0], what)
		}
		return fmt.Errorf("%s and %s are both files; one argument must be the weights folder, or else --stage must choose a stage of the first model", args[0], args[1])
	case isFolder(args[0]) && isFolder(args[1]):
		return fmt.Errorf("%s and %s are both folders; one argument must be the model file", args[0], args[1])
	}
	return nil
}

// isModel reports whether an argument is an ONNX file and not a weights folder. A file
// that does not exist yet is recognized by its name.
func isModel(path string) bool {
	if path == standardOutput {
		return true
	}
	if info, err := os.Stat(path); err == nil {
		return !info.IsDir()
	}
	return strings.HasSuffix(path, ".onnx")
}

// notAModel says what a file is if that is known, and it is no ONNX model.
func notAModel(path string) string {
	head, err := sniff.ReadHead(path)
	if err != nil || sniff.IsONNX(head) {
		return ""
	}
	return sniff.Known(head)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// onlyFlags returns an error if flags are given that are not among names. The error says
// when they apply.
func onlyFlags(set *pflag.FlagSet, when string, names []string) error {
	var others []string
	set.Visit(func(f *pflag.Flag) {
		if !slices.Contains(names, f.Name) {
			others = append(others, "--"+f.Name)
		}
	})
	switch len(others) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s applies only %s", others[0], when)
	}
	return fmt.Errorf("%s apply only %s", strings.Join(others, ", "), when)
}

// sizeValue is the value of --input.
type sizeValue convert.Size

// Set implements pflag.Value.
func (v *sizeValue) Set(s string) error {
	parts := strings.Split(s, "x")
	var sizes [3]int
	ok := len(parts) == len(sizes)
	for i := 0; ok && i < len(sizes); i++ {
		n, err := strconv.Atoi(parts[i])
		sizes[i], ok = n, err == nil && n > 0
	}
	if !ok {
		return errors.New("want CHANNELSxHEIGHTxWIDTH, such as 1x28x28")
	}
	*v = sizeValue{Channels: sizes[0], Height: sizes[1], Width: sizes[2]}
	return nil
}

// String implements pflag.Value.
func (v *sizeValue) String() string {
	if v == nil || *v == (sizeValue{}) {
		return ""
	}
	return convert.Size(*v).String()
}

// Type implements pflag.Value.
func (*sizeValue) Type() string { return "size" }
