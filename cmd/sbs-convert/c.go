package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/c99"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// The values of --weights.
const (
	weightsFloat32 = "float32"
	weightsInt8    = "int8"
)

// isC reports whether an argument is the name of a C file.
func isC(path string) bool { return strings.HasSuffix(path, ".c") && !isFolder(path) }

// checkC checks the command line for writing a C file.
func (f *flags) checkC(set *pflag.FlagSet, from string) error {
	switch {
	case from == standardOutput:
		return fmt.Errorf("- is not a model: sbs-convert MODEL.onnx FILE.c")
	case !isModel(from):
		return fmt.Errorf("%s is not a model: sbs-convert MODEL.onnx FILE.c; convert a weights folder to a model first", from)
	case f.prefix != "" && c99.NameOf(f.prefix) != f.prefix:
		return fmt.Errorf("--prefix %q: want %s, such as %s", f.prefix, c99.Names, c99.NameOf(f.prefix))
	}
	return onlyFlags(set, "when not writing C", []string{"stage", "weights", "prefix", "force", cli.ChecksumFlag})
}

// stageOf returns the model in a file, or the stage of it that a flag chooses, and how to name it.
func (f *flags) stageOf(ctx context.Context, path string) (data []byte, name string, err error) {
	_, data, err = cli.ReadModel(ctx, path, f.ignoreChecksum)
	if err != nil || !f.stage.Set {
		return data, filepath.ToSlash(path), err
	}
	data, err = extractStage(path, data, f.stage.Value)
	return data, fmt.Sprintf("stage %d of %s", f.stage.Value, filepath.ToSlash(path)), err
}

// toC writes a model as a C file.
func (f *flags) toC(ctx context.Context, stdout io.Writer, from, path string) error {
	data, name, err := f.stageOf(ctx, from)
	if err != nil {
		return err
	}
	base := filepath.Base(path)
	o := c99.Options{Name: f.prefix, File: base, Source: strings.Replace(name, filepath.ToSlash(from), filepath.Base(from), 1), Int8: f.weights == weightsInt8}
	if o.Name == "" {
		o.Name = c99.NameOf(strings.TrimSuffix(base, ".c"))
	}
	file, err := c99.Generate(data, o, convert.IgnoreChecksum()) // ReadModel has compared it
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return f.writeFrom(ctx, stdout, from, path, file.Code,
		fmt.Sprintf("%s: %s of constants, %s of memory", name, byteCount(file.Constants), byteCount(file.Memory)))
}

// toQuantized writes a model with weights of 8 bits.
func (f *flags) toQuantized(ctx context.Context, stdout io.Writer, from, path string) error {
	data, name, err := f.stageOf(ctx, from)
	if err != nil {
		return err
	}
	if data, err = quantize(data); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return f.writeFrom(ctx, stdout, from, path, data, name+" with weights of 8 bits")
}

// quantize returns a model with weights of 8 bits, in the form of the given one.
func quantize(data []byte) ([]byte, error) {
	s, err := convert.StagesFromONNX(data, convert.IgnoreChecksum())
	if err != nil {
		return nil, err
	}
	form, err := convert.OptionsOf(data)
	if err != nil {
		return nil, err
	}
	s.Calibration = nil // of the thresholds, for other weights
	for i := range s.Stages {
		if s.Stages[i].Network, err = c99.Quantize(s.Stages[i].Network); err != nil {
			return nil, err
		}
	}
	return convert.StagesToONNX(s, form)
}
