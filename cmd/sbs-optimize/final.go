package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/calibrate"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/measure"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

// combine makes several models the stages of one.
func (f *flags) combine(ctx context.Context, stdout, stderr io.Writer) error {
	var networks []*convert.Network
	var form convert.Options // that of the last model, for all stages
	var holdout *convert.Holdout
	for i, path := range f.paths {
		n, opt, err := f.open(ctx, path)
		if err != nil {
			return err
		}
		networks, form = append(networks, n), searched(opt)
		if f.validation != "" {
			continue
		}
		h := n.Holdout
		switch {
		case h == nil:
			return noRecord(path)
		case i > 0 && (h.Data != holdout.Data || h.Of != holdout.Of):
			return fmt.Errorf("%s and %s were trained with different images: give labeled images that neither has seen with --validation PATH", f.paths[0], path)
		case i == 0 || h.Images < holdout.Images:
			holdout = h
		}
	}
	set, err := f.load(ctx, networks[0], holdout, false)
	if err != nil {
		return err
	}
	cli.PrintWarnings(stderr, set.notes...)
	if err := f.checkStages(networks, form, set); err != nil {
		return err
	}
	var stages []*candidate
	for i, n := range networks {
		c, err := newCandidate(n, form)
		if err != nil {
			return fmt.Errorf("%s: %w", f.paths[i], err)
		}
		if i > 0 && c.updates > 0 && c.updates <= stages[i-1].updates { // a network without SbS layers has no updates
			return fmt.Errorf("%s takes %d updates per image and %s takes %d: name the models from the fastest to the most accurate, with more updates for each",
				f.paths[i-1], stages[i-1].updates, f.paths[i], c.updates)
		}
		stages = append(stages, c)
	}
	var answers []measure.Answers
	for i, c := range stages {
		if !f.quiet {
			_, _ = fmt.Fprintf(stderr, "%s: %d updates, measuring with %d images\n", f.paths[i], c.updates, set.check.Len()) // progress
		}
		a, err := f.measure(ctx, c.model, set.check, "")
		if err != nil {
			return fmt.Errorf("%s: %w", f.paths[i], err)
		}
		answers = append(answers, a)
	}
	model, updates, err := f.stages(stages, answers, form, set)
	if err != nil {
		return err
	}
	if f.maxUpdates.Set && updates > float64(f.maxUpdates.Value) {
		cli.PrintWarnings(stderr, fmt.Sprintf("the model takes %.0f updates per image, more than --%s: lower thresholds would lose more images than --%s allows",
			updates, flagMaxUpdates, flagLoss))
	}
	if err := onnx.WriteFile(f.outputPath(), model); err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	var models []named
	for i, c := range stages {
		models = append(models, named{f.paths[i], c.model})
	}
	models = append(models, named{f.outputPath(), model})
	if _, err := f.final(ctx, stdout, models, set); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "wrote %s\n", f.outputPath())
	return err
}

// checkStages returns an error if the networks cannot be the stages of a model, or if there are
// too few images for the calibration.
func (f *flags) checkStages(networks []*convert.Network, form convert.Options, set *images) error {
	loss, confidence := f.shares(len(networks))
	needed := calibrate.Needed(loss, confidence)
	if n := set.check.Len(); n < needed {
		return fmt.Errorf("--%s %v with a confidence of %v%% takes at least %d images for the calibration, but there are %d, one half of the %s: "+
			"hold back more with sbs-train --holdout or give more with --validation, or allow a larger loss or a lower --%s", flagLoss, f.loss, f.confidence, needed, n, set.held, flagConfidence)
	}
	s := &convert.Staged{Calibration: f.calibration(set)}
	for _, n := range networks {
		s.Stages = append(s.Stages, convert.Stage{Network: n})
	}
	_, err := convert.StagesToONNX(s, form)
	return err
}

// calibration describes the calibration of stages, without its results.
func (f *flags) calibration(set *images) *convert.Calibration {
	sum := set.check.Sum()
	return &convert.Calibration{
		Images: set.check.Len(), Data: hex.EncodeToString(sum[:]), Source: "the " + set.held + " (one half)",
		MaxAccuracyLoss: f.loss, Confidence: f.confidence / 100, Seed: f.seed,
	}
}

// result returns the model to write.
func (o *optimizer) result(ctx context.Context, r *row) ([]byte, error) {
	if o.loss == 0 || r.candidate == o.given {
		return r.model, nil
	}
	networks := []*candidate{r.candidate, o.given}
	answers, err := o.answersOf(ctx, networks, o.images.check, "")
	if err != nil {
		return nil, err
	}
	model, _, err := o.stages(networks, answers, o.form, o.images)
	return model, err
}

// named is a model with a name for the table of results.
type named struct {
	name  string
	model []byte
}

// final measures the models with the images that the search has not used, and prints the results.
// It returns the answers of the last model to the images that were held back.
func (f *flags) final(ctx context.Context, w io.Writer, models []named, set *images) (answers measure.Answers, err error) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\nmodel\timages\tnumber\taccuracy %\tupdates") // a tabwriter reports errors when it is flushed
	held := "check"
	if f.loss > 0 {
		held = "calibration"
	}
	for _, s := range []struct {
		name   string
		images *dataset.Samples
	}{{held, set.check}, {"test", set.test}} {
		if s.images == nil {
			continue
		}
		for _, m := range models {
			a, err := f.measure(ctx, m.model, s.images, "")
			if err != nil {
				return nil, errors.Join(err, t.Flush())
			}
			if s.images == set.check {
				answers = a
			}
			line(t, m.name, s.name, a)
			for stage := 1; stage <= convert.MaxStages; stage++ {
				var part measure.Answers
				for _, v := range a {
					if v.Stage == stage {
						part = append(part, v)
					}
				}
				if len(part) > 0 {
					line(t, fmt.Sprintf("  left at stage %d", stage), s.name, part)
				}
			}
		}
	}
	return answers, t.Flush()
}

func line(w io.Writer, model, images string, a measure.Answers) {
	_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%.2f\t%.0f\n", model, images, len(a), a.Accuracy(), a.Updates())
}
