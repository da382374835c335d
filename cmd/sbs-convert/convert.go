package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// toONNX converts the weights folder to a model and prints what it read and wrote.
func (f *flags) toONNX(ctx context.Context, stdout, stderr io.Writer, weights, path string) error {
	dynamics, err := f.Dynamics()
	if err != nil {
		return err
	}
	load := f.load
	load.Weights, load.Step, load.Spikes = weights, f.step.Pointer(), cli.MaxSpikes(dynamics)
	n, report, err := pytorch.Load(load)
	if err != nil {
		return err
	}
	cli.PrintWarnings(stderr, slices.Concat(report.Warnings, report.Assumed)...)
	own := report.ConfiguredSpikes()
	if err := f.change(n, own, dynamics); err != nil {
		return err
	}
	if warning := cli.FewSpikes(own, n); warning != "" {
		cli.PrintWarnings(stderr, warning)
	}
	if err := notAnInput(path, report); err != nil {
		return err
	}
	data, err := convert.ToONNX(n, f.modelOptions())
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if path == standardOutput {
		if _, err := stdout.Write(data); err != nil {
			return fmt.Errorf("the model could not be written: %w", err)
		}
		return nil
	}
	written, err := writeModel(path, data, f.force)
	if err != nil {
		return fmt.Errorf("the model could not be written: %w", err)
	}
	fmt.Fprintf(stdout, "%s: PyTorch-SbS dialect %d, step %s (%s)\n", n.Name, report.Dialect, stepName(report.Step), report.StepChoice)
	fmt.Fprintf(stdout, "generation: %s\n", report.Generation)
	fmt.Fprintf(stdout, "weights: %s\n", filepath.ToSlash(report.Weights))
	fmt.Fprintf(stdout, "configuration: %s\n", filepath.ToSlash(strings.Join(report.Configuration, ", ")))
	if report.EpsilonXY != "" {
		fmt.Fprintf(stdout, "epsilon_xy: %s\n", filepath.ToSlash(report.EpsilonXY))
	}
	if err := printNetwork(stdout, n, report); err != nil {
		return err
	}
	verb := "wrote"
	if !written {
		verb = "unchanged:"
	}
	_, err = fmt.Fprintf(stdout, "%s %s (%s)\n", verb, filepath.ToSlash(path), byteCount(len(data)))
	return err
}

// standardOutput is the argument that stands for the standard output.
const standardOutput = "-"

// change applies the flags that change the SbS layers of a network, and returns an error
// if a flag for layers that draw random numbers is given, but there is none.
func (f *flags) change(n *convert.Network, own []sbs.Params, d []sbs.Dynamics) error {
	if err := cli.ApplyDynamics(d, own, n); err != nil {
		return err
	}
	if f.inject != "" && !injectable(n) {
		return errors.New("--inject cannot be used: no layer draws random numbers")
	}
	return nil
}

// injectable reports whether a network has a layer that draws random numbers.
func injectable(n *convert.Network) bool {
	for i := range n.Layers {
		if convert.InjectedName(n, i, convert.InjectSpikes) != "" {
			return true
		}
	}
	return false
}

// modelOptions returns the options for writing the model.
func (f *flags) modelOptions() convert.Options {
	opt := f.model
	opt.Batch, opt.Inject = f.batch.Value, convert.Inject(f.inject)
	switch {
	case f.decompose:
		opt.Body = convert.BodyInline
	case f.noFunction:
		opt.Body = convert.BodyNone
	}
	return opt
}

// notAnInput returns an error if path is one of the files that the network was read from.
func notAnInput(path string, report *pytorch.Report) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // the file does not exist: nothing can be overwritten
	}
	inputs := slices.Clone(report.Configuration)
	for _, l := range report.Layers {
		inputs = append(inputs, l.Files...)
	}
	for _, input := range inputs {
		if other, err := os.Stat(input); err == nil && os.SameFile(info, other) {
			return fmt.Errorf("%s is a file of the network: choose another name for the model", path)
		}
	}
	return nil
}

// writeModel writes a model file atomically. It reports false if the file had the same
// content already. It replaces a file with other content only if force is set.
func writeModel(path string, data []byte, force bool) (written bool, err error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return false, fmt.Errorf("%s is a folder: name a file, such as %s", path, filepath.Join(path, "model.onnx"))
	}
	// Write reports a path that is not a regular file. Reading a pipe could block.
	if err == nil && info.Mode().IsRegular() {
		same, err := hasContent(path, info.Size(), data)
		switch {
		case same:
			return false, nil
		case err != nil && !force:
			return false, err
		case !force:
			return false, fmt.Errorf("%s already exists with different content: choose another name, or replace the file with --force", path)
		}
	}
	return true, onnx.WriteFile(path, data)
}

// hasContent reports whether a file of the given size contains data, or the model that data
// encodes if it is too large for one file.
func hasContent(path string, size int64, data []byte) (bool, error) {
	if len(data) > onnx.MaxFile {
		_, old, err := onnx.ReadFile(context.Background(), path)
		return err == nil && bytes.Equal(old, data), nil // it need not be a model
	}
	if size != int64(len(data)) {
		return false, nil
	}
	old, err := os.ReadFile(path)
	return err == nil && bytes.Equal(old, data), err
}

// toPyTorch converts a model to a weights folder and prints which files it wrote.
func (f *flags) toPyTorch(ctx context.Context, stdout, stderr io.Writer, path, weights string) error {
	_, data, err := cli.ReadModel(ctx, path, f.ignoreChecksum)
	if err != nil {
		return err
	}
	n, err := f.network(path, data)
	if err != nil {
		return err
	}
	n.Step = f.step.Or(n.Step)
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	report, err := pytorch.Save(weights, n, pytorch.SaveOptions{Force: f.force, ArraysOnly: f.arraysOnly})
	if err != nil {
		return err
	}
	cli.PrintWarnings(stderr, report.Warnings...)
	if _, err := fmt.Fprintf(stdout, "%s: PyTorch-SbS dialect %d, step %d\n", n.Name, n.Dialect, report.Step); err != nil {
		return err
	}
	for _, s := range report.Files {
		verb, note := "wrote", ""
		if s.Kept {
			verb = "unchanged:"
		}
		if s.AsSource {
			note = " (identical to the file that the model was converted from)"
		}
		if _, err := fmt.Fprintf(stdout, "%s %s%s\n", verb, filepath.ToSlash(s.Path), note); err != nil {
			return err
		}
	}
	return nil
}

// stepName returns the name of a training step, which is -1 if no file has one.
func stepName(step int) string {
	if step < 0 {
		return "none"
	}
	return strconv.Itoa(step)
}

// byteCount returns a size with a unit.
func byteCount(n int) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}
