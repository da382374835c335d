package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/calibrate"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/measure"
)

// combine makes several models the stages of one.
func (f *flags) combine(ctx context.Context, stdout, stderr io.Writer) error {
	var stages []*candidate
	var holdout *convert.Holdout
	for i, path := range f.paths {
		c, err := f.open(path)
		if err != nil {
			return err
		}
		stages = append(stages, c)
		h := c.network.Holdout
		switch {
		case f.validation != "":
		case h == nil:
			return fmt.Errorf("%s does not record which training images it has not seen: train it with sbs-train --holdout N, or give other labeled images with --validation PATH", path)
		case i > 0 && (h.Data != holdout.Data || h.Of != holdout.Of):
			return fmt.Errorf("%s and %s were trained with different images: give labeled images that neither has seen with --validation PATH", f.paths[0], path)
		}
		if i == 0 || h != nil && h.Images < holdout.Images {
			holdout = h
		}
	}
	set, err := f.load(ctx, stages[0].network, holdout, false)
	if err != nil {
		return err
	}
	if err := f.enough(set); err != nil {
		return err
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
	model, err := f.stages(stages, answers, set)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(f.outputPath(), model); err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	models := []named{{"stages", model}}
	for i, c := range stages {
		models = append(models, named{filepath.Base(f.paths[i]), c.model})
	}
	if err := f.final(ctx, stdout, models, set); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "wrote %s\n", f.outputPath())
	return err
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
func (f *flags) stages(networks []*candidate, answers []measure.Answers, set *images) ([]byte, error) {
	sum := set.check.Sum()
	s := &convert.Staged{Calibration: &convert.Calibration{
		Images: set.check.Len(), Data: hex.EncodeToString(sum[:]), Source: "the " + set.held + " (one half)",
		MaxAccuracyLoss: f.loss, Confidence: f.confidence / 100, Seed: f.seed,
	}}
	loss, confidence := f.shares(len(networks))
	last := len(networks) - 1
	stay := make([]bool, set.check.Len())
	for i := range stay {
		stay[i] = true
	}
	for i, c := range networks {
		stage := convert.Stage{Network: c.network}
		if i < last {
			r, err := calibrate.Threshold(lossOf(answers[i], answers[last]), loss, confidence)
			if err != nil {
				return nil, fmt.Errorf("stage %d: %w", i+1, err)
			}
			stage.Threshold = r.Threshold
			left, lost := 0, 0
			for k, a := range answers[i] {
				if !stay[k] || !(a.Margin >= r.Threshold) {
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
	return convert.StagesToONNX(s, convert.Options{})
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
	r, err := calibrate.Threshold(lossOf(early, last), loss, confidence)
	if err != nil { // such a network is not better than the model given
		return convert.NoImageLeaves, nil
	}
	return r.Threshold, nil
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
	return o.stages(networks, answers, o.images)
}

// named is a model with a name for the table of results.
type named struct {
	name  string
	model []byte
}

// final measures the models with the images that decided about nothing, and prints the results.
func (f *flags) final(ctx context.Context, w io.Writer, models []named, set *images) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\nmodel\timages\tnumber\taccuracy %\tupdates") // a tabwriter reports errors when it is flushed
	for _, s := range []struct {
		name   string
		images *dataset.Samples
	}{{"held back", set.check}, {"test", set.test}} {
		if s.images == nil {
			continue
		}
		for _, m := range models {
			a, err := f.measure(ctx, m.model, s.images, "")
			if err != nil {
				return errors.Join(err, t.Flush())
			}
			line(t, m.name, s.name, a)
			for stage := 1; ; stage++ {
				var part measure.Answers
				for _, v := range a {
					if v.Stage == stage {
						part = append(part, v)
					}
				}
				if len(part) > 0 {
					line(t, fmt.Sprintf("  left at stage %d", stage), s.name, part)
				} else if stage > convert.MaxStages {
					break
				}
			}
		}
	}
	return t.Flush()
}

func line(w io.Writer, model, images string, a measure.Answers) {
	_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%.2f\t%.0f\n", model, images, len(a), a.Accuracy(), a.Updates())
}
