package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/train"
)

// How a model is trained further, unless flags say otherwise. The configuration
// that it may carry was for training from scratch.
const (
	tuneEpochs        = 1
	tuneBatch         = 24
	tunePerUpdate     = 4
	tuneRate1         = 0.001 // dialect 1 and networks of standard layers: steps are added
	tuneRate2         = 0.03  // dialect 2: a step is a factor
	tuneRateEpsilonXY = 0.0005
)

const (
	lossCrossEntropy = "cross-entropy"
	lossMixture      = "mixture"

	scheduleConstant = "constant"
	scheduleCosine   = "cosine"
	schedulePlateau  = "plateau"
)

var (
	lossNames     = []string{lossCrossEntropy, lossMixture}
	scheduleNames = []string{scheduleConstant, scheduleCosine, schedulePlateau}
)

// settle decides how the network is trained.
func (f *flags) settle(j *job) error {
	t := j.training
	scratch := j.places.weights != ""
	c := &j.config
	*c = train.Config{
		Dialect: t.Dialect, Optimizer: train.Optimizer(t.Optimizer), NoGradientScale: !t.ScaleGradient, Seed: f.seed,
		ThresholdW: cmp.Or(t.W.Threshold, math.SmallestNonzeroFloat64), ThresholdEpsilonXY: cmp.Or(t.EpsilonXY.Threshold, math.SmallestNonzeroFloat64),
		RateW: t.W.LearningRate(), RateEpsilonXY: t.EpsilonXY.LearningRate(), SubBatches: t.BatchesPerUpdate,
	}
	if t.BatchesPerUpdate == 1 && t.UpdateAfter > 1 {
		c.SubBatches = int(t.UpdateAfter)
	}
	if !t.KeepGradientScale {
		j.note("kepp_last_grad_scale false is not followed: the scale of the gradients is kept after the second update")
	}
	j.batch, j.testEvery, j.saveEvery = t.BatchSize, 1, cmp.Or(f.saveEvery, 1)
	j.steps = t.StepMax - t.Step
	if j.byUpdates {
		j.testEvery = t.TestEvery
	}
	if !scratch {
		c.RateW, c.RateEpsilonXY, c.SubBatches = tuneRate2, tuneRateEpsilonXY, tunePerUpdate
		if t.Dialect == 1 || !cli.Spiking(j.network) {
			c.RateW = tuneRate1
		}
		c.Optimizer, j.batch, j.steps = train.Adam, tuneBatch, tuneEpochs
	}
	c.RateW, c.RateEpsilonXY = cmp.Or(f.rate, c.RateW), cmp.Or(f.rateEpsilonXY, c.RateEpsilonXY)
	c.SubBatches, j.batch = cmp.Or(f.perUpdate, c.SubBatches), cmp.Or(f.batch, j.batch)
	j.testEvery, j.testSpikes = cmp.Or(f.testEvery, j.testEvery), f.testSpikes
	if scratch && !t.Test && f.test == "" && !f.set.Changed("test-every") && !f.set.Changed("test-spikes") {
		f.noTest = true
	}
	j.batch = min(j.batch, j.images.Len())
	if n := j.perEpoch(); c.SubBatches > n {
		j.note("an update takes %d sub-batches and not %d: all images are in so few", n, c.SubBatches)
		c.SubBatches = n
	}
	if f.epochs > 0 && j.byUpdates {
		j.steps = (f.epochs*j.perEpoch() + c.SubBatches - 1) / c.SubBatches
	} else if f.epochs > 0 {
		j.steps = f.epochs
	}
	if j.steps < 1 {
		return fmt.Errorf("the configuration's training is at step %d, its end is %d: there is nothing to do, or give --epochs", t.Step, t.StepMax)
	}
	if err := j.setAugmentation(f.noAugmentation); err != nil {
		return err
	}
	if err := j.setLayers(f.freeze, scratch); err != nil {
		return err
	}
	if f.spikes > 0 || f.testSpikes > 0 {
		if err := cli.NeedSbS(j.network, "--spikes and --test-spikes"); err != nil {
			return err
		}
	}
	if f.rateEpsilonXY > 0 && !j.trainsEpsilonXY() {
		return errors.New("--lr-epsilon-xy is of no use: no layer has an epsilon_xy that is trained")
	}
	if err := j.setLoss(f.loss); err != nil {
		return err
	}
	return f.setSchedule(j, scratch)
}

// setAugmentation takes over what PyTorch-SbS does to the images of the data
// set, unless there is to be none of it. It crops all of them, and flips and
// jitters those that are no digits.
func (j *job) setAugmentation(none bool) error {
	a := j.training.Augmentation
	j.augment = dataset.Augmentation{Crop: j.network.Preprocessing.Crop, Center: none}
	if m := j.training.DataMode; !none && (m == "MNIST_FASHION" || m == "CIFAR10") {
		j.augment.FlipP, j.augment.Brightness, j.augment.Contrast = a.FlipP, a.Brightness, a.Contrast
		j.augment.Saturation, j.augment.Hue = a.Saturation, a.Hue
	}
	if _, err := j.augment.Output(j.images.Size()); err != nil {
		return fmt.Errorf("the augmentation of the configuration: %w (--no-augmentation leaves it out)", err)
	}
	return nil
}

// setLayers says which layers are trained and how.
func (j *job) setLayers(freeze []string, scratch bool) error {
	c := &j.config
	for _, name := range freeze {
		var i int
		if _, err := fmt.Sscanf(name, "L%d", &i); err != nil || i < 0 || i >= len(j.network.Layers) || layerName(i) != name {
			return fmt.Errorf("--freeze %s: the layers are called L0 to L%d", name, len(j.network.Layers)-1)
		}
	}
	c.FreezeW, c.FreezeEpsilonXY = slices.Clone(freeze), slices.Clone(freeze)
	for i, l := range j.training.Layers {
		name := layerName(i)
		_, split := j.network.Layers[i].(*convert.OnOff) // its mean always moves
		if scratch && !l.Weights && !split {
			c.FreezeW = append(c.FreezeW, name)
		}
		if scratch && !l.EpsilonXY {
			c.FreezeEpsilonXY = append(c.FreezeEpsilonXY, name)
		}
		if l.EpsilonXYMean {
			c.MeanEpsilonXY = append(c.MeanEpsilonXY, name)
		}
		if l.SkipGradient {
			c.StopGradient = append(c.StopGradient, name)
		}
		s, ok := j.network.Layers[i].(*convert.SbS)
		if ok && s.Local {
			c.Local = append(c.Local, name)
		}
		if ok && s.Pooling && scratch && l.Weights {
			j.note("w_trainable is true for layer %s: the weights of a pooling layer are not trained", name)
		}
	}
	return nil
}

// setLoss decides what is minimized.
func (j *job) setLoss(flag string) error {
	t := j.training
	last := j.network.Layers[len(j.network.Layers)-1]
	_, probabilities := last.(*convert.SbS)
	cross := t.LossMode == 1 || t.Dialect == 2 && !probabilities
	if flag != "" {
		cross = flag == lossCrossEntropy
	}
	if _, conv := last.(*convert.Conv); conv && !cross {
		return fmt.Errorf("--loss %s compares probabilities, and the network ends with a convolution, whose outputs can be negative: use --loss %s",
			lossMixture, lossCrossEntropy)
	}
	j.config.Loss = train.Loss{Kind: train.Mixture, MSE: t.LossMSE, KL: t.LossKLDiv, Sum: t.Dialect == 2}
	if cross {
		j.config.Loss = train.Loss{Kind: train.CrossEntropy}
	}
	return nil
}

// setSchedule decides how the learning rates change.
func (f *flags) setSchedule(j *job, scratch bool) error {
	c, t := &j.config, j.training
	name := f.schedule
	if name == "" && !scratch {
		name = scheduleCosine
	}
	switch name {
	case scheduleConstant:
	case scheduleCosine:
		updates := j.subBatches() / c.SubBatches
		c.ScheduleW = train.Schedule{Kind: train.Cosine, Length: updates}
		c.ScheduleEpsilonXY = c.ScheduleW
	default:
		c.ScheduleByError = t.ByAccuracy
		c.ScheduleByEpoch = t.Dialect == 2 && !t.AdaptAfterMinibatch
		kind := t.Schedule
		if name == schedulePlateau {
			kind = string(train.Plateau)
		}
		c.ScheduleW, c.ScheduleEpsilonXY = schedule(kind, t.W), schedule(kind, t.EpsilonXY)
	}
	return errors.Join(c.ScheduleW.Check(), c.ScheduleEpsilonXY.Check())
}

// schedule is the one that PyTorch-SbS takes: PyTorch's own factor and patience
// where the configuration's are not above 0, and no low pass then.
func schedule(kind string, r pytorch.Rate) train.Schedule {
	usual := r.Factor > 0 && r.Patience > 0
	switch {
	case kind == string(train.Plateau) && usual:
		return train.Schedule{Kind: train.Plateau, Factor: r.Factor, Patience: r.Patience}
	case kind == string(train.Plateau):
		return train.Schedule{Kind: train.Plateau, Factor: 0.1, Patience: 10}
	case kind == string(train.LowPassPlateau) && usual && r.Tau > 0:
		return train.Schedule{Kind: train.LowPassPlateau, Factor: r.Factor, Patience: r.Patience, Tau: max(r.Tau, 1)}
	}
	return train.Schedule{}
}

// perEpoch returns the number of sub-batches of an epoch. The last one may have
// fewer images.
func (j *job) perEpoch() int { return (j.images.Len() + j.batch - 1) / j.batch }

// subBatches returns the number of sub-batches of the whole training. It ends with
// an update: what comes after the last one would be learnt from in vain.
func (j *job) subBatches() int {
	n := j.config.SubBatches
	if j.byUpdates {
		return j.steps * n
	}
	return max(j.steps*j.perEpoch()/n, 1) * n
}

// settings describes all that decides the result, to be compared when a training
// goes on. The number of epochs does only where the learning rate follows it.
func (j *job) settings(start string) (map[string]string, error) {
	config, err := json.Marshal(struct {
		Tune    train.Config
		Augment dataset.Augmentation
	}{j.config, j.augment})
	if err != nil {
		return nil, err
	}
	noAugmentation := ""
	if j.augment.Center {
		noAugmentation = "given"
	}
	return map[string]string{
		"the model or configuration, or its --spikes, --sampler, --epsilon-schedule or --epsilon-0": start,
		"the training images":  fingerprint(j.images),
		"--batch":              fmt.Sprint(j.batch),
		"--batches-per-update": fmt.Sprint(j.config.SubBatches),
		"--lr":                 fmt.Sprint(j.config.RateW),
		"--lr-epsilon-xy":      fmt.Sprint(j.config.RateEpsilonXY),
		"--lr-schedule (or, with cosine, --epochs)": fmt.Sprint(j.config.ScheduleW, j.config.ScheduleEpsilonXY),
		"--loss":            fmt.Sprint(j.config.Loss),
		"--freeze":          strings.Join(j.config.FreezeW, ","),
		"--no-augmentation": noAugmentation,
		"--seed":            fmt.Sprint(j.config.Seed),
		settingRest:         string(config),
	}, nil
}

// settingRest is the setting that holds all others too.
const settingRest = "the training configuration"
