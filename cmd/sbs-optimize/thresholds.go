package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/calibrate"
	"github.com/spike-by-spike/sbs/internal/measure"
)

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

// thresholds returns the threshold of each stage but the last, calibrated with the answers of each
// network to the same images. With --max-updates, they are as high as the updates allow: the limit of
// the loss still holds, and more of the robustness is kept.
func (f *flags) thresholds(networks []*candidate, answers []measure.Answers) ([]float64, error) {
	loss, confidence := f.shares(len(networks))
	last := len(networks) - 1
	lowest := make([]float64, last)
	for i := range lowest {
		var err error
		if lowest[i], err = calibrate.Threshold(lossOf(answers[i], answers[last]), loss, confidence); err != nil {
			return nil, fmt.Errorf("stage %d: %w", i+1, err)
		}
	}
	if !f.maxUpdates.Set {
		return lowest, nil
	}
	for _, t := range calibrate.Thresholds() {
		raised := make([]float64, last)
		for i, v := range lowest {
			raised[i] = max(v, t)
		}
		if meanUpdates(networks, stageOf(answers, raised)) <= float64(f.maxUpdates.Value) {
			return raised, nil
		}
	}
	return lowest, nil
}

// stageOf returns the number of the stage at which each image leaves, from 0.
func stageOf(answers []measure.Answers, thresholds []float64) []int {
	stages := make([]int, len(answers[0]))
	for i := range stages {
		for stages[i] < len(thresholds) && !(answers[stages[i]][i].Margin >= thresholds[stages[i]]) { // true for NaN
			stages[i]++
		}
	}
	return stages
}

// meanUpdates returns the mean number of updates of images that leave at the given stages.
func meanUpdates(networks []*candidate, stages []int) float64 {
	total := 0
	for _, s := range stages {
		for _, c := range networks[:s+1] {
			total += c.updates
		}
	}
	return float64(total) / float64(len(stages))
}

// stages returns a model with stages, whose thresholds are calibrated with the answers of each
// network to the images for that, and its mean updates.
func (f *flags) stages(networks []*candidate, answers []measure.Answers, form convert.Options, set *images) (model []byte, updates float64, err error) {
	thresholds, err := f.thresholds(networks, answers)
	if err != nil {
		return nil, 0, err
	}
	last := len(networks) - 1
	s := &convert.Staged{Calibration: f.calibration(set)}
	s.Calibration.Left, s.Calibration.Losses = make([]int, last), make([]float64, last)
	leave := stageOf(answers, thresholds)
	for i, stage := range leave {
		if stage == last {
			continue
		}
		s.Calibration.Left[stage]++
		if !answers[stage][i].Right && answers[last][i].Right {
			s.Calibration.Losses[stage]++
		}
	}
	for i := range s.Calibration.Losses {
		s.Calibration.Losses[i] *= 100 / float64(set.check.Len())
	}
	for i, c := range networks {
		stage := convert.Stage{Network: c.network}
		if i < last {
			stage.Threshold = thresholds[i]
		}
		s.Stages = append(s.Stages, stage)
	}
	model, err = convert.StagesToONNX(s, form)
	return model, meanUpdates(networks, leave), err
}

// provisional returns the threshold of a network as the first stage, calibrated with the images
// of the search. It decides about networks only.
func (o *optimizer) provisional(ctx context.Context, c *candidate) ([]float64, error) {
	networks := []*candidate{c, o.given}
	answers, err := o.answersOf(ctx, networks, o.images.search, "")
	if err != nil {
		return nil, err
	}
	t, err := o.thresholds(networks, answers)
	if errors.Is(err, calibrate.ErrNone) {
		return []float64{convert.NoImageLeaves}, nil
	}
	return t, err
}
