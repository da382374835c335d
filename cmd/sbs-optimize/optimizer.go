package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/lock"
	"github.com/spike-by-spike/sbs/internal/measure"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/training"
	"github.com/spike-by-spike/sbs/runtime"
)

// optimizer is a search in progress.
type optimizer struct {
	*flags
	images *images
	quick  *dataset.Samples // a part of images.search
	given  *candidate       // the model given
	form   convert.Options  // of the models that are measured

	written convert.Options // form of the model to write, if it has no stages

	store  *store
	folder string
	lock   *lock.Lock // of the folder
	log    io.Writer  // for progress

	warnings io.Writer

	sums map[*dataset.Samples]string
}

// quickImages is the number of images with which the search compares networks. All images of
// the search decide about the most promising ones.
const quickImages = 2000

// spread returns at most count images of s, evenly spread: the images of a folder may be
// sorted by class.
func spread(s *dataset.Samples, count int) *dataset.Samples {
	n := s.Len()
	if n <= count {
		return s
	}
	numbers := make([]int, count)
	for i := range numbers {
		numbers[i] = int(int64(i) * int64(n) / int64(count))
	}
	return s.Subset(numbers)
}

func (o *optimizer) sumOf(s *dataset.Samples) string {
	if o.sums[s] == "" {
		sum := s.Sum()
		o.sums[s] = hex.EncodeToString(sum[:12])
	}
	return o.sums[s]
}

// answers returns the answers of a network to images with noise.
func (o *optimizer) answers(ctx context.Context, c *candidate, s *dataset.Samples, disturbance string) (measure.Answers, error) {
	key := fmt.Sprintf("%s %s %q %d", c.sum, o.sumOf(s), disturbance, o.seed)
	return o.store.get(ctx, key, func(ctx context.Context) (measure.Answers, error) {
		return o.measure(ctx, c.model, s, disturbance)
	})
}

// answersOf returns the answers of several networks.
func (o *optimizer) answersOf(ctx context.Context, networks []*candidate, s *dataset.Samples, disturbance string) ([]measure.Answers, error) {
	var all []measure.Answers
	for _, c := range networks {
		a, err := o.answers(ctx, c, s, disturbance)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func (f *flags) measure(ctx context.Context, model []byte, s *dataset.Samples, disturbance string) (a measure.Answers, err error) {
	opt := measure.Options{Seed: f.seed, Workers: f.workers.Value}
	if disturbance != "" {
		if opt.Noise, err = noise.Parse(disturbance); err != nil {
			return nil, err
		}
	}
	m, err := runtime.New(model, runtime.Workers(f.workers.Value))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	return measure.Model(ctx, m, s, opt)
}

// The kinds of noise in the table, with their levels. See docs/robustness.md.
var disturbances = []struct {
	name   string
	levels []string
}{
	{"gaussian", []string{"gaussian=0.2", "gaussian=0.4", "gaussian=0.6"}},
	{"uniform", []string{"uniform=0.25", "uniform=0.5"}},
	{"contrast", []string{"contrast=0.3", "contrast=0.6"}},
}

// row is a line of the table.
type row struct {
	*candidate
	updates  float64 // per image, on average over the stages
	accuracy float64 // in percent

	// Accuracy under noise in percent: the mean of each kind, and of all levels of all kinds.
	noisy     []float64 // nil if it was not measured
	noisyMean float64

	goesOn float64 // share of the images that go on to the last stage, in percent
}

// newRow measures a network.
func (o *optimizer) newRow(ctx context.Context, c *candidate) (*row, error) {
	r := &row{candidate: c}
	return r, o.evaluate(ctx, r, "", o.images.search, func(updates, accuracy, goesOn float64) {
		r.updates, r.accuracy, r.goesOn = updates, accuracy, goesOn
	})
}

// addNoise measures a network under noise.
func (o *optimizer) addNoise(ctx context.Context, r *row) error {
	if r.noisy != nil {
		return nil
	}
	total, levels := 0.0, 0
	var kinds []float64
	for _, d := range disturbances {
		sum := 0.0
		for _, level := range d.levels {
			err := o.evaluate(ctx, r, level, o.quick, func(_, accuracy, _ float64) { sum += accuracy })
			if err != nil {
				return err
			}
		}
		kinds = append(kinds, sum/float64(len(d.levels)))
		total += sum
		levels += len(d.levels)
	}
	r.noisy, r.noisyMean = kinds, total/float64(levels)
	return nil
}

// evaluate reports the mean updates, the accuracy and the share of images that go on to the
// last stage.
func (o *optimizer) evaluate(ctx context.Context, r *row, disturbance string, s *dataset.Samples, report func(updates, accuracy, goesOn float64)) error {
	if o.loss == 0 || r.candidate == o.given {
		answers, err := o.answers(ctx, r.candidate, s, disturbance)
		if err == nil {
			report(float64(r.candidate.updates), answers.Accuracy(), 0)
		}
		return err
	}
	thresholds, err := o.provisional(ctx, r.candidate)
	if err != nil {
		return err
	}
	networks := []*candidate{r.candidate, o.given}
	both, err := o.answersOf(ctx, networks, s, disturbance)
	if err != nil {
		return err
	}
	stages := stageOf(both, thresholds)
	right, goOn := 0, 0
	for i, stage := range stages {
		goOn += stage
		if both[stage][i].Right {
			right++
		}
	}
	n := float64(len(stages))
	report(meanUpdates(networks, stages), 100*float64(right)/n, 100*float64(goOn)/n)
	return nil
}

// fineTune trains a network further. The file that it writes is also the place where an
// interrupted training resumes.
func (o *optimizer) fineTune(ctx context.Context, n *convert.Network) (*candidate, error) {
	if o.images.forget {
		n.Holdout = nil
	}
	start, err := newCandidate(n, o.form)
	if err != nil {
		return nil, err
	}
	settings := fmt.Sprintf("%s %s %d %d %v %v %d", start.sum, o.sumOf(o.images.training),
		o.epochs.Or(defaultEpochs), o.subBatches.Or(defaultSubBatches), o.rate, o.noAugmentation, o.seed)
	sum := sha256.Sum256([]byte(settings))
	base := filepath.Join(o.folder, "trainings", hex.EncodeToString(sum[:8]))
	from, to := base+"-start.onnx", base+".onnx"
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return nil, err
	}
	if err := onnx.WriteFile(from, start.model); err != nil {
		return nil, err
	}
	err = training.Tuning{
		Model: from, Output: to, Images: o.images.training, Epochs: o.epochs.Or(defaultEpochs), SubBatches: o.subBatches.Or(defaultSubBatches),
		Rate: o.rate, NoAugmentation: o.noAugmentation, Seed: o.seed, Workers: o.workers.Value,
		Progress: o.log, Warnings: o.warnings,
	}.Run(ctx)
	if errors.Is(err, training.ErrStopped) {
		cli.PrintWarnings(o.warnings, fmt.Sprintf("fine-tuning of the network with %d updates: %v", start.updates, err))
		if !exists(to) {
			return start, nil
		}
		err = nil
	}
	if err != nil {
		return nil, err
	}
	_, data, err := onnx.ReadFile(ctx, to)
	if err != nil {
		return nil, err
	}
	trained, err := convert.FromONNX(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", to, err)
	}
	c, err := newCandidate(trained, o.form)
	if err != nil {
		return nil, err
	}
	c.trained = true
	return c, nil
}
