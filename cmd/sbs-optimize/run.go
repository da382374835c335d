package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/calibrate"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

// run runs the command.
func (f *flags) run(ctx context.Context, stdout, stderr io.Writer) error {
	err := f.optimize(ctx, stdout, stderr)
	if errors.Is(err, context.Canceled) || errors.Is(err, cli.ErrInterrupted) {
		if len(f.paths) == 1 {
			_, _ = fmt.Fprintf(stderr, "to resume, run\n  %s\n", cli.ResumeCommand("sbs-optimize", f.paths, f.set))
		}
		return cli.ErrInterrupted
	}
	return err
}

func (f *flags) optimize(ctx context.Context, stdout, stderr io.Writer) error {
	if err := f.checkOutput(); err != nil {
		return err
	}
	if len(f.paths) > 1 {
		return f.combine(ctx, stdout, stderr)
	}
	given, err := f.open(f.paths[0])
	if err != nil {
		return err
	}
	if err := cli.NeedSbS(given.network, "sbs-optimize"); err != nil {
		return fmt.Errorf("%s: %w", f.paths[0], err)
	}
	o := &optimizer{flags: f, given: given, folder: strings.TrimSuffix(f.outputPath(), ".onnx") + "-log", log: stderr, sums: map[*dataset.Samples]string{}}
	if f.quiet {
		o.log = io.Discard
	}
	if o.images, err = f.load(ctx, given.network, given.network.Holdout, f.trainings.Or(defaultTrainings) > 0); err != nil {
		return err
	}
	if err := f.enough(o.images); err != nil {
		return err
	}
	o.quick = spread(o.images.search, quickImages)
	if err := o.openFolder(); err != nil {
		return err
	}
	c, err := o.search(ctx)
	if err == nil {
		err = o.conclude(ctx, c, stdout)
	}
	return errors.Join(err, o.store.close())
}

// enough returns an error if there are too few images to calibrate stages.
func (f *flags) enough(i *images) error {
	if f.loss == 0 {
		return nil
	}
	needed := calibrate.Needed(f.shares(max(len(f.paths), 2)))
	if n := i.check.Len(); n < needed {
		return fmt.Errorf("--%s %v with a confidence of %v%% takes at least %d images for the calibration, but there are %d, one half of the %s: "+
			"use more of them, a larger loss, or a lower --%s", flagLoss, f.loss, f.confidence, needed, n, i.held, flagConfidence)
	}
	return nil
}

// open reads a model that sbs-convert or sbs-train wrote.
func (f *flags) open(path string) (*candidate, error) {
	m, data, err := onnx.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := onnx.RefuseStages(m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n, err := convert.FromONNX(data)
	if err != nil {
		if errors.Is(err, convert.ErrNotConverted) {
			err = fmt.Errorf("%w; only models written by sbs-convert or sbs-train can be optimized", err)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c, err := newCandidate(n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// checkOutput returns an error if the result cannot be written.
func (f *flags) checkOutput() error {
	out := f.outputPath()
	info, err := os.Stat(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("--output %s is a folder: give the path of the model to write, such as %s", out, filepath.Join(out, "fast.onnx"))
	}
	for _, path := range f.paths {
		if given, err := os.Stat(path); err == nil && os.SameFile(info, given) {
			return fmt.Errorf("--output %s is the model to optimize: give another path", out)
		}
	}
	if !f.force && !f.resume {
		return fmt.Errorf("%s already exists: give another --output, or replace it with --force", out)
	}
	return nil
}

// openFolder opens the folder of the search, which must not exist unless the search resumes.
func (o *optimizer) openFolder() error {
	measured := filepath.Join(o.folder, "measurements.jsonl")
	_, err := os.Stat(measured)
	switch exists := err == nil; {
	case exists && o.force:
		if err := errors.Join(os.Remove(measured), os.RemoveAll(filepath.Join(o.folder, "trainings"))); err != nil {
			return err
		}
	case exists && !o.resume:
		return fmt.Errorf("%s already exists: resume its search with --resume, start again with --force, or give another --output", measured)
	case !exists && o.resume:
		return fmt.Errorf("%s does not exist, so there is no search to resume: give the --output of the search, or start one without --resume", measured)
	}
	if err := os.MkdirAll(o.folder, 0o755); err != nil {
		return err
	}
	o.store, err = openStore(measured)
	return err
}

func (o *optimizer) search(ctx context.Context) (*choice, error) {
	path, err := o.descend(ctx)
	if err != nil {
		return nil, err
	}
	return o.choose(ctx, path)
}

// conclude writes and prints the result.
func (o *optimizer) conclude(ctx context.Context, c *choice, stdout io.Writer) error {
	if err := o.writeFiles(c); err != nil {
		return err
	}
	if err := o.table(stdout, c); err != nil {
		return err
	}
	model, err := o.result(ctx, c.chosen)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(o.outputPath(), model); err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	models := []named{{filepath.Base(o.paths[0]), o.given.model}}
	if c.chosen != c.given {
		models = append(models, named{filepath.Base(o.outputPath()), model})
	}
	if err := o.final(ctx, stdout, models, o.images); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "wrote %s\nwrote %s\n", o.outputPath(), o.folder)
	if !c.met {
		return o.unmet(c)
	}
	return nil
}

// unmet returns the error about a wish that does not hold for any network.
func (o *optimizer) unmet(c *choice) error {
	wish := fmt.Sprintf("--%s %v", flagMinAccuracy, o.minAccuracy)
	if o.maxUpdates.Set {
		wish = fmt.Sprintf("--%s %d", flagMaxUpdates, o.maxUpdates.Value)
	}
	if o.set.Changed(flagRobustness) {
		wish += fmt.Sprintf(" --%s %v", flagRobustness, o.robustness)
	}
	return fmt.Errorf("no network was found for %s: %s has the best, with %.2f%% and %.0f updates per image. "+
		"Try more --trainings or --epochs, or a model that is more accurate itself", wish, o.outputPath(), c.chosen.accuracy, c.chosen.updates)
}
