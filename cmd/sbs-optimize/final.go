package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/calibrate"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/measure"
)

// combine makes several models the stages of one.
func (f *flags) combine(ctx context.Context, stdout, stderr io.Writer) error {
	var networks []*convert.Network
	var form convert.Options // that of the last model, for all stages
	var holdout *convert.Holdout
	for i, path := range f.paths {
		n, opt, err := f.open(path)
		if err != nil {
			return err
		}
		networks, form = append(networks, n), opt
		if f.validation != "" {
			continue
		}
		h := n.Holdout
		switch {
		case h == nil:
			return fmt.Errorf("%s does not record which training images it has not seen: train it with sbs-train --holdout N, or give other labeled images with --validation PATH", path)
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
	if err := f.checkStages(networks, form, set); err != nil {
		return err
	}
	var stages []*candidate
	var answers []measure.Answers
	for i, n := range networks {
		c, err := newCandidate(n, form)
		if err != nil {
			return fmt.Errorf("%s: %w", f.paths[i], err)
		}
		if !f.quiet {
			_, _ = fmt.Fprintf(stderr, "%s: %d updates, measuring with %d images\n", f.paths[i], c.updates, set.check.Len()) // progress
		}
		a, err := f.measure(ctx, c.model, set.check, "")
		if err != nil {
			return fmt.Errorf("%s: %w", f.paths[i], err)
		}
		stages, answers = append(stages, c), append(answers, a)
	}
	model, err := f.stages(stages, answers, form, set)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(f.outputPath(), model); err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	models := []named{{f.outputPath(), model}}
	for i, c := range stages {
		models = append(models, named{f.paths[i], c.model})
	}
	if _, err := f.final(ctx, stdout, models, set, ""); err != nil {
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
			"use more of them, a larger loss, or a lower --%s", flagLoss, f.loss, f.confidence, needed, n, set.held, flagConfidence)
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

// shares returns the loss, as a share of the images, and the confidence for each of the stages
// but the last. All of them together must not lose more than --max-accuracy-loss allows, with
// the confidence of --confidence.
func (f *flags) shares(stages int) (loss, confidence float64) {
	early := float64(stages - 1)
	return f.loss / 100 / early, 1 - (1-f.confidence/100)/early
}

// lossOf describes what an early stage does with images, as its calibration needs it.
func lossOf(early, last measure.Answers) []calibrate.Image {
	images := make([]calibrate.Image, len(early))
	for i, a := range early {
		images[i] = calibrate.Image{Margin: a.Margin, Lost: !a.Right && last[i].Right}
	}
	return images
}

// stages returns a model with stages, whose thresholds are calibrated with the answers of each
// network to the images for that.
func (f *flags) stages(networks []*candidate, answers []measure.Answers, form convert.Options, set *images) ([]byte, error) {
	s := &convert.Staged{Calibration: f.calibration(set)}
	loss, confidence := f.shares(len(networks))
	last := len(networks) - 1
	stay := make([]bool, set.check.Len())
	for i := range stay {
		stay[i] = true
	}
	for i, c := range networks {
		stage := convert.Stage{Network: c.network}
		if i < last {
			var err error
			if stage.Threshold, err = calibrate.Threshold(lossOf(answers[i], answers[last]), loss, confidence); err != nil {
				return nil, fmt.Errorf("stage %d: %w", i+1, err)
			}
			left, lost := 0, 0
			for k, a := range answers[i] {
				if !stay[k] || !(a.Margin >= stage.Threshold) {
					continue
				}
				stay[k] = false
				left++
				if !a.Right && answers[last][k].Right {
					lost++
				}
			}
			s.Calibration.Left = append(s.Calibration.Left, left)
			s.Calibration.Losses = append(s.Calibration.Losses, 100*float64(lost)/float64(len(stay)))
		}
		s.Stages = append(s.Stages, stage)
	}
	return convert.StagesToONNX(s, form)
}

// provisional returns the threshold of a network as the first stage, calibrated with the images
// of the search. It decides about networks only.
func (o *optimizer) provisional(ctx context.Context, c *candidate) (float64, error) {
	early, err := o.answers(ctx, c, o.images.search, "")
	if err != nil {
		return 0, err
	}
	last, err := o.answers(ctx, o.given, o.images.search, "")
	if err != nil {
		return 0, err
	}
	loss, confidence := o.shares(2)
	threshold, err := calibrate.Threshold(lossOf(early, last), loss, confidence)
	if errors.Is(err, calibrate.ErrNone) {
		return convert.NoImageLeaves, nil
	}
	return threshold, err
}

// result returns the model to write.
func (o *optimizer) result(ctx context.Context, r *row) ([]byte, error) {
	if o.loss == 0 || r.candidate == o.given {
		return r.model, nil
	}
	networks := []*candidate{r.candidate, o.given}
	var answers []measure.Answers
	for _, c := range networks {
		a, err := o.answers(ctx, c, o.images.check, "")
		if err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return o.stages(networks, answers, o.form, o.images)
}

// named is a model with a name for the table of results.
type named struct {
	name  string
	model []byte
}

// final measures the models with the images that the search has not used, and prints the results.
// Of the images that were held back, it returns the accuracy of the model called name.
func (f *flags) final(ctx context.Context, w io.Writer, models []named, set *images, name string) (accuracy float64, err error) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\nmodel\timages\tnumber\taccuracy %\tupdates") // a tabwriter reports errors when it is flushed
	held := "held back"
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
				return 0, errors.Join(err, t.Flush())
			}
			if m.name == name && s.images == set.check {
				accuracy = a.Accuracy()
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
	return accuracy, t.Flush()
}

func line(w io.Writer, model, images string, a measure.Answers) {
	_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%.2f\t%.0f\n", model, images, len(a), a.Accuracy(), a.Updates())
}
