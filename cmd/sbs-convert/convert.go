package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

const long = `Turns a folder of PyTorch-SbS weights (Weight_L*_S*.npy, and the network's
JSON configuration in it or in the folder above) into one ONNX file, and prints
what it found.

The model takes images of the size of the data set, pixels from 0 to 1; cropping
and on/off split are part of it. It runs in sbs-run and, with the body in standard
operators that it brings for Spike-By-Spike layers, in onnxruntime 1.16 and later.

Given a model and a folder, it goes the other way: the .npy files are written
into the folder, EpsXY beside it, and the JSON configuration above it. An array
that was not changed comes back bit by bit. Files that are there already, with
something else in them, are replaced only with --force.`

const example = `  sbs-convert ./Weights model.onnx
  sbs-convert model.onnx ./Weights
  sbs-convert ./Weights model.onnx --config network.json --config dataset.json
  sbs-convert ./Weights model.onnx --decompose
  sbs-convert --info model.onnx
  sbs-convert --dot model.onnx | dot -Tsvg > model.svg`

// flags are the values of the command line.
type flags struct {
	pytorch.Options
	cli.DynamicsFlags
	pytorch.SaveOptions
	input     string
	info, dot bool

	model                 convert.Options
	inject                string
	decompose, noFunction bool
}

func newCommand([]string) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:     "sbs-convert WEIGHTS MODEL.onnx | MODEL.onnx WEIGHTS",
		Short:   "Turns a folder of PyTorch-SbS weights into an ONNX model, and back",
		Long:    long,
		Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			return checkArgs(&f, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.info || f.dot {
				return f.show(cmd, args[0])
			}
			if cmd.Flags().Changed("step") && f.Step < 0 {
				return fmt.Errorf("--step %d: want at least 0", f.Step)
			}
			if isModel(args[0]) {
				if err := onlyFlags(cmd, "of the way to ONNX", "step", "force", "arrays-only"); err != nil {
					return err
				}
				return f.save(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], args[1])
			}
			if f.Force || f.ArraysOnly {
				return errors.New("--force and --arrays-only are of the way from ONNX to PyTorch-SbS")
			}
			return f.convert(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], args[1])
		},
	}
	s := cmd.Flags()
	s.BoolVar(&f.info, "info", false, "describe a model instead: sbs-convert --info MODEL.onnx")
	s.BoolVar(&f.dot, "dot", false, "print a model's graph for Graphviz instead: sbs-convert --dot MODEL.onnx | dot -Tsvg > model.svg")
	s.StringArrayVar(&f.Config, "config", nil, "configuration `file`; given several times, later ones override (default: looked for in the folder, then above it)")
	s.StringVar(&f.EpsilonXY, "eps-xy", "", "`folder` of the EpsXY files (default: the weights folder, then EpsXY beside it)")
	s.IntVar(&f.Step, "step", -1, "training `step` to read (default: learning_step, then the highest with all files), or to write (default: the model's)")
	s.BoolVar(&f.AllowUntrained, "allow-untrained", false, "give layers without a weight file the values training starts from")
	s.Float32SliceVar(&f.Mean, "mean", nil, "the data set's mean for each channel, pixels 0..1, for the on/off split")
	s.StringVar(&f.input, "input", "", "image `size` as CHANNELSxHEIGHTxWIDTH (default: by the configuration's data_mode)")
	s.IntVar(&f.Spikes, "spikes", 0, "number of spikes of every layer (default: the configuration's)")
	f.Register(s)
	s.BoolVar(&f.NoPreprocessing, "no-preprocessing", false, "leave cropping and on/off split out of the model")
	s.IntVar(&f.model.Batch, "batch", 0, "fix the batch size (default: any)")
	s.BoolVar(&f.decompose, "decompose", false, "write SbS layers as standard operators, for runtimes and tools that know no functions; sbs-run is far slower with it")
	s.BoolVar(&f.noFunction, "no-function", false, "leave out the body in standard operators: only sbs-run and the like can run the model")
	s.StringVar(&f.inject, "inject", "", "`what` SbS layers take as inputs of the model in place of random numbers, for verification: spikes or uniforms")
	s.Int64Var(&f.model.Seed, "seed", 0, "added to each layer's number, the seed of its random numbers")
	s.BoolVar(&f.Force, "force", false, "from ONNX: replace files that hold something else")
	s.BoolVar(&f.ArraysOnly, "arrays-only", false, "from ONNX: write the .npy files and leave the configuration alone")
	return cmd
}

func checkArgs(f *flags, args []string) error {
	info := f.info || f.dot
	switch {
	case f.info && len(args) != 1:
		return fmt.Errorf("--info takes one model: sbs-convert --info MODEL.onnx (got %d arguments)", len(args))
	case f.dot && len(args) != 1:
		return fmt.Errorf("--dot takes one model: sbs-convert --dot MODEL.onnx (got %d arguments)", len(args))
	case !info && len(args) == 1 && strings.HasSuffix(args[0], ".onnx"):
		return fmt.Errorf("the weights folder is missing: sbs-convert WEIGHTS %s, or the other way round to write it (to describe that model: sbs-convert --info %s)", args[0], args[0])
	case !info && len(args) != 2:
		return fmt.Errorf("it takes the weights folder and the model to write: sbs-convert WEIGHTS MODEL.onnx (got %d arguments; see --help)", len(args))
	case !info && isModel(args[0]) && isModel(args[1]):
		return fmt.Errorf("%s and %s are both models; one argument is the weights folder", args[0], args[1])
	}
	return nil
}

// isModel reports whether an argument is an ONNX file: a file, or what is named
// like one and is no folder.
func isModel(path string) bool {
	if info, err := os.Stat(path); err == nil {
		return !info.IsDir()
	}
	return strings.HasSuffix(path, ".onnx")
}

// show prints what a model is.
func (f *flags) show(cmd *cobra.Command, path string) error {
	if f.info && f.dot {
		return errors.New("--info and --dot: one at a time")
	}
	if err := onlyFlags(cmd, "of the conversion", "info", "dot"); err != nil {
		return err
	}
	if f.dot {
		return draw(cmd.OutOrStdout(), path)
	}
	return describe(cmd.OutOrStdout(), path)
}

// onlyFlags refuses flags that mean nothing in this direction.
func onlyFlags(cmd *cobra.Command, whose string, names ...string) error {
	var others []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(names, f.Name) {
			others = append(others, "--"+f.Name)
		}
	})
	if len(others) > 0 {
		return fmt.Errorf("%s: a flag %s", strings.Join(others, ", "), whose)
	}
	return nil
}

// save turns a model into a folder.
func (f *flags) save(stdout, stderr io.Writer, path, weights string) error {
	_, data, err := onnx.ReadFile(path)
	if err != nil {
		return err
	}
	n, err := convert.FromONNX(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if f.Step >= 0 {
		n.Step = f.Step
	}
	report, err := pytorch.Save(weights, n, f.SaveOptions)
	if err != nil {
		return err
	}
	for _, w := range report.Warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	fmt.Fprintf(stdout, "%s: PyTorch-SbS dialect %d, step %d\n", n.Name, n.Dialect, report.Step)
	for _, s := range report.Files {
		verb, note := "wrote", ""
		if s.Kept {
			verb = "was there already:"
		}
		if s.AsSource {
			note = " (as it was before the conversion, bit by bit)"
		}
		if _, err := fmt.Fprintf(stdout, "%s %s%s\n", verb, s.Path, note); err != nil {
			return err
		}
	}
	return nil
}

func (f *flags) convert(stdout, stderr io.Writer, weights, path string) error {
	f.Weights = weights
	if f.input != "" {
		size, err := parseSize(f.input)
		if err != nil {
			return err
		}
		f.Input = size
	}
	n, report, err := pytorch.Load(f.Options)
	if err != nil {
		return err
	}
	for _, w := range report.Warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	d, err := f.Dynamics()
	if err != nil {
		return err
	}
	if err := cli.ApplyDynamics(d, n); err != nil {
		return err
	}
	if f.Spikes > 0 || f.inject != "" {
		if err := cli.NeedSbS(n, "--spikes and --inject"); err != nil {
			return err
		}
	}
	opt, err := f.options()
	if err != nil {
		return err
	}
	if err := notRead(report, path); err != nil {
		return err
	}
	data, err := convert.ToONNX(n, opt)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, data); err != nil {
		return fmt.Errorf("the model could not be written: %w", err)
	}
	fmt.Fprintf(stdout, "%s: PyTorch-SbS dialect %d, step %s (%s)\n", n.Name, report.Dialect, stepName(report.Step), report.StepChoice)
	fmt.Fprintf(stdout, "weights: %s\n", weights)
	fmt.Fprintf(stdout, "configuration: %s\n", strings.Join(report.Configuration, ", "))
	if report.EpsilonXY != "" {
		fmt.Fprintf(stdout, "epsilon_xy: %s\n", report.EpsilonXY)
	}
	if err := printNetwork(stdout, n, report); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "wrote %s (%s)\n", path, byteCount(len(data)))
	return err
}

// notRead reports whether a path is none of the files that the network was read
// from.
func notRead(report *pytorch.Report, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // there is nothing to lose
	}
	files := slices.Clone(report.Configuration)
	for _, l := range report.Layers {
		files = append(files, l.Files...)
	}
	for _, file := range files {
		if other, err := os.Stat(file); err == nil && os.SameFile(info, other) {
			return fmt.Errorf("%s is a file of the network: give another name to the model", path)
		}
	}
	return nil
}

// options says how to write the model.
func (f *flags) options() (convert.Options, error) {
	opt := f.model
	switch {
	case f.decompose && f.noFunction:
		return opt, errors.New("--decompose and --no-function: one at a time")
	case f.decompose:
		opt.Body = convert.BodyInline
	case f.noFunction:
		opt.Body = convert.BodyNone
	}
	switch opt.Inject = convert.Inject(f.inject); opt.Inject {
	case convert.InjectNothing, convert.InjectSpikes, convert.InjectUniforms:
		return opt, nil
	}
	return opt, fmt.Errorf("--inject %q: want %s or %s", f.inject, convert.InjectSpikes, convert.InjectUniforms)
}

func stepName(step int) string {
	if step < 0 {
		return "none"
	}
	return strconv.Itoa(step)
}

// parseSize reads CxHxW.
func parseSize(s string) (convert.Size, error) {
	var v [3]int
	parts := strings.Split(s, "x")
	ok := len(parts) == len(v)
	for i := 0; ok && i < len(v); i++ {
		n, err := strconv.Atoi(parts[i])
		v[i], ok = n, err == nil && n > 0
	}
	if !ok {
		return convert.Size{}, fmt.Errorf("--input %q: want CHANNELSxHEIGHTxWIDTH, such as 1x28x28", s)
	}
	return convert.Size{Channels: v[0], Height: v[1], Width: v[2]}, nil
}

func byteCount(n int) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}
