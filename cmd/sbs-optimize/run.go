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
	"github.com/spike-by-spike/sbs/internal/calibrate"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/lock"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

// run runs the command.
func (f *flags) run(ctx context.Context, stdout, stderr io.Writer) error {
	defer cli.IgnoreBrokenPipes()()
	err := f.optimize(ctx, stdout, stderr)
	if errors.Is(err, context.Canceled) || errors.Is(err, cli.ErrInterrupted) {
		if f.resumable {
			_, _ = fmt.Fprintf(stderr, "to resume, run\n  %s\n", cli.ResumeCommand("sbs-optimize", f.paths, f.set))
		}
		if !errors.Is(err, cli.ErrInterrupted) {
			return cli.ErrInterrupted
		}
	}
	return err // which may also say what could not be saved
}

func (f *flags) optimize(ctx context.Context, stdout, stderr io.Writer) error {
	if err := f.checkOutput(); err != nil {
		return err
	}
	if len(f.paths) > 1 {
		return f.combine(ctx, stdout, stderr)
	}
	network, form, err := f.open(ctx, f.paths[0])
	if err != nil {
		return err
	}
	if err := cli.NeedSbS(network, "sbs-optimize"); err != nil {
		return fmt.Errorf("%s: %w", f.paths[0], err)
	}
	o := &optimizer{flags: f, form: searched(form), written: form, folder: strings.TrimSuffix(f.outputPath(), ".onnx") + "-log", log: stderr, warnings: stderr, sums: map[*dataset.Samples]string{}}
	if f.quiet {
		o.log = io.Discard
	}
	if o.given, err = newCandidate(network, o.form); err != nil {
		return fmt.Errorf("%s: %w", f.paths[0], err)
	}
	if o.images, err = f.load(ctx, network, network.Holdout, f.trainings.Or(defaultTrainings) > 0); err != nil {
		return err
	}
	cli.PrintWarnings(o.warnings, o.images.notes...)
	if f.loss > 0 {
		if err := f.checkStages([]*convert.Network{network, network}, o.form, o.images); err != nil {
			return err
		}
	}
	o.quick = spread(o.images.search, quickImages)
	if err := o.openFolder(); err != nil {
		return err
	}
	c, err := o.search(ctx)
	if err == nil {
		err = o.conclude(ctx, c, stdout)
	}
	return errors.Join(err, o.store.close(), o.lock.Release())
}

// open reads the network of a model that sbs-convert or sbs-train wrote, and the form in which
// models are written.
func (f *flags) open(ctx context.Context, path string) (*convert.Network, convert.Options, error) {
	m, data, err := cli.ReadModel(ctx, path, f.ignoreChecksum)
	if err != nil {
		return nil, convert.Options{}, err
	}
	var n *convert.Network
	var form convert.Options
	if err = onnx.RefuseStages(m); err == nil {
		n, err = convert.FromONNX(data)
	}
	if errors.Is(err, convert.ErrNotConverted) {
		err = fmt.Errorf("%w; only models written by sbs-convert or sbs-train can be optimized", err)
	}
	if err == nil {
		form, err = convert.OptionsOf(data)
	}
	if err != nil {
		return nil, form, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := cli.Classes(n); err != nil {
		return nil, form, fmt.Errorf("%s: %w", path, err)
	}
	if f.loss > 0 {
		form.Batch = 0 // images leave the batch
	}
	return n, form, nil
}

// searched returns the form of the models that the command measures, for a model that is to be
// written in the given form: they have SbS operators, of which the spikes are known, and draw
// random numbers themselves.
func searched(form convert.Options) convert.Options {
	form.Inject = convert.InjectNothing
	if form.Body == convert.BodyInline {
		form.Body = convert.BodyFunction
	}
	return form
}

// checkOutput returns an error if the result cannot be written.
func (f *flags) checkOutput() error {
	out := f.outputPath()
	if info, err := os.Stat(filepath.Dir(out)); err != nil || !info.IsDir() {
		return fmt.Errorf("--output %s: the folder %s does not exist", out, filepath.Dir(out))
	}
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

// openFolder locks and opens the folder of the search, which must not have a search unless this
// one resumes it.
func (o *optimizer) openFolder() error {
	measured := filepath.Join(o.folder, "measurements.jsonl")
	if exists(measured) && !o.force && !o.resume {
		return fmt.Errorf("%s already exists: resume its search with --resume, start again with --force, or give another --output", measured)
	}
	if !exists(measured) && o.resume && exists(o.outputPath()) {
		return fmt.Errorf("%s already exists, but there is no search in %s to resume: give another --output, or replace it with --force", o.outputPath(), o.folder)
	}
	var err error
	if o.lock, err = lock.Folder(o.folder); errors.Is(err, lock.ErrUnsupported) {
		cli.PrintWarnings(o.warnings, err.Error()+": make sure that no other search writes to the same folder")
	} else if err != nil {
		return err
	}
	if o.force {
		err = os.RemoveAll(filepath.Join(o.folder, "trainings"))
		if exists(measured) {
			err = errors.Join(err, os.Remove(measured))
		}
		if err != nil {
			return errors.Join(err, o.lock.Release())
		}
	}
	if o.resume && !exists(measured) {
		o.printf("%s has no search yet: it starts from the beginning\n", o.folder)
	}
	if o.store, err = openStore(measured); err != nil {
		return errors.Join(err, o.lock.Release())
	}
	if n := o.store.damaged; n > 0 {
		cli.PrintWarnings(o.warnings, fmt.Sprintf("%s: removed damaged or incomplete lines (%d): their results are measured again", measured, n))
	}
	o.resumable = true
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
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
	model, err := o.result(ctx, c.chosen)
	if errors.Is(err, calibrate.ErrNone) {
		cli.PrintWarnings(o.warnings, fmt.Sprintf("the model given was written without stages: on the images of the calibration, %v", err))
		c.chosen, model = c.given, c.given.model
		c.met, err = o.meets(ctx, c, c.given)
	}
	if err != nil {
		return err
	}
	if err := o.write(c.chosen, model); err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	if err := o.writeFiles(c); err != nil {
		return err
	}
	if err := o.table(stdout, c); err != nil {
		return err
	}
	models := []named{{o.paths[0], o.given.model}}
	if c.chosen != c.given {
		models = append(models, named{o.outputPath(), model})
	}
	answers, err := o.final(ctx, stdout, models, o.images)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "wrote %s\nwrote %s\n", o.outputPath(), o.folder); err != nil {
		return err
	}
	if !c.met {
		return o.unmet(c)
	}
	if accuracy := answers.Accuracy(); accuracy < o.minAccuracy {
		cli.PrintWarnings(o.warnings, fmt.Sprintf("%s classifies %.2f%% of the search images correctly, but only %.2f%% of the other half, "+
			"below --%s: with so few images, the difference may be chance", o.outputPath(), c.chosen.accuracy, accuracy, flagMinAccuracy))
	}
	if updates := answers.Updates(); o.maxUpdates.Set && updates > float64(o.maxUpdates.Value) {
		cli.PrintWarnings(o.warnings, fmt.Sprintf("%s takes %.0f updates per image for the search images and %.0f for the other half, "+
			"more than --%s: lower thresholds would lose more images than --%s allows", o.outputPath(), c.chosen.updates, updates, flagMaxUpdates, flagLoss))
	}
	return nil
}

// write writes the model of a row, in the form of the model given if it has no stages.
func (o *optimizer) write(r *row, model []byte) (err error) {
	switch {
	case o.written.Body == o.form.Body:
	case o.loss > 0 && r.candidate != o.given:
		cli.PrintWarnings(o.warnings, fmt.Sprintf("%s has SbS operators, unlike %s, which sbs-convert wrote with --decompose: models with stages need them", o.outputPath(), o.paths[0]))
	default:
		if model, err = convert.ToONNX(r.network, o.written); err != nil {
			return err
		}
	}
	return onnx.WriteFile(o.outputPath(), model)
}

// unmet returns the error about a goal that no network meets.
func (o *optimizer) unmet(c *choice) error {
	goal, advice := fmt.Sprintf("--%s %v", flagMinAccuracy, o.minAccuracy), "try more --trainings or --epochs, or a model that is more accurate itself"
	if o.maxUpdates.Set {
		goal, advice = fmt.Sprintf("--%s %d", flagMaxUpdates, o.maxUpdates.Value), "allow more updates"
	}
	if o.set.Changed(flagRobustness) {
		goal += fmt.Sprintf(" --%s %v", flagRobustness, o.robustness)
		advice += ", or a larger loss of robustness"
	}
	return fmt.Errorf("no network meets %s: %s comes closest, with %.2f%% and %.0f updates per image; %s", goal, o.outputPath(), c.chosen.accuracy, c.chosen.updates, advice)
}
