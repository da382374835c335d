package training

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
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/train"
)

// settle determines all settings of a training whose network and images are known.
func (f *flags) settle(j *job) error {
	t := j.training
	j.plan = defaultsFor(j.kind, t, j.network)
	if j.newLayer != "" {
		j.plan = j.withNewLayer(j.network)
	}
	j.plan = j.override(f)
	if err := j.fit(f.epochs); err != nil {
		return err
	}
	j.config = train.Config{
		Dialect: t.Dialect, Optimizer: j.optimizer, NoGradientScale: !t.ScaleGradient, NewGradientScales: !t.KeepGradientScale, Seed: f.seed,
		ThresholdW:         cmp.Or(t.W.Threshold, math.SmallestNonzeroFloat64),
		ThresholdEpsilonXY: cmp.Or(t.EpsilonXY.Threshold, math.SmallestNonzeroFloat64),
		RateW:              j.rateW, RateEpsilonXY: j.rateEpsilonXY, SubBatches: j.subBatches,
	}
	if t.Dialect == 2 && !t.KeepGradientScale && t.ScaleGradient && slices.ContainsFunc(j.network.Layers, scaled) {
		j.note("kepp_last_grad_scale is false: the scales of the gradients are measured anew for every sub-batch (PyTorch-SbS divides all gradients by -1)")
	}
	if err := j.setAugmentation(f.noAugmentation); err != nil {
		return err
	}
	if err := f.setNoise(j); err != nil {
		return err
	}
	if err := j.setLayers(f.freeze); err != nil {
		return err
	}
	if err := f.setTestSpikes(j); err != nil {
		return err
	}
	if f.rateEpsilonXY > 0 && !j.trainsEpsilonXY() {
		return errors.New("--lr-epsilon-xy has no effect: no layer has an epsilon_xy that is trained")
	}
	if err := f.setLoss(j); err != nil {
		return err
	}
	return j.setSchedule()
}

// setTestSpikes sets the spikes of the tests. A layer whose epsilon_0 fits the spikes of the
// training has one that fits those of the tests, too: it starts from the same network.
func (f *flags) setTestSpikes(j *job) error {
	list, err := f.testSpikes.Dynamics(flagTestSpikes)
	if err != nil || len(list) == 0 {
		return err
	}
	if err := cli.NeedSbS(j.network, "--"+flagTestSpikes); err != nil {
		return err
	}
	if j.reconstructs() {
		return fmt.Errorf("--%s is not supported for a network that ends with a reconstruction", flagTestSpikes)
	}
	if err := cli.FitsLayers(len(list), j.network); err != nil {
		return fmt.Errorf("--%s: %w", flagTestSpikes, err)
	}
	trained, err := f.Dynamics()
	if err != nil {
		return err
	}
	if len(trained) > 0 {
		if list, err = cli.FitTests(list, trained, j.own, j.network); err != nil {
			return fmt.Errorf("--%s: %w", flagTestSpikes, err)
		}
	}
	j.testSpikes = list
	return nil
}

// fit adapts the plan to the number of training images, and sets the number of steps
// if --epochs was given.
func (j *job) fit(epochs cli.OptionalInt) error {
	j.batch = min(j.batch, j.images.Len())
	if n := j.perEpoch(); j.subBatches > n {
		j.note("using %d sub-batches per update instead of %d: there are only %d per epoch", n, j.subBatches, n)
		j.subBatches = n
	}
	if j.newLayer != "" {
		j.steps = newLayerEpochs(j.perEpoch() / j.subBatches)
	}
	if epochs.Set && j.kind == byUpdates {
		j.steps = (epochs.Value*j.perEpoch() + j.subBatches - 1) / j.subBatches
	} else {
		j.steps = epochs.Or(j.steps)
	}
	if j.steps < 1 {
		return fmt.Errorf("the configuration starts at step %d and ends at step %d, so there is nothing to train: give --epochs", j.training.Step, j.training.StepMax)
	}
	return nil
}

// setAugmentation sets the augmentation of the training images. PyTorch-SbS crops all
// images at random positions. It flips and jitters the images of some data modes only,
// which do not show digits.
func (j *job) setAugmentation(none bool) error {
	a := j.training.Augmentation
	j.augment = dataset.Augmentation{Crop: j.network.Preprocessing.Crop, Center: none}
	// The data mode does not describe images of new classes, which may be digits or arrows.
	if m := j.training.DataSet(); !none && j.newLayer == "" && (m == "MNIST_FASHION" || m == "CIFAR10") {
		j.augment.FlipP, j.augment.Brightness, j.augment.Contrast = a.FlipP, a.Brightness, a.Contrast
		j.augment.Saturation, j.augment.Hue = a.Saturation, a.Hue
	}
	if _, err := j.augment.Output(j.images.Size()); err != nil {
		return fmt.Errorf("augmentation in the configuration: %w (or disable it with --no-augmentation)", err)
	}
	return nil
}

// setNoise sets the noise of the training images.
func (f *flags) setNoise(j *job) (err error) {
	if j.noise, err = f.noiseMix(); err != nil || j.noise.Empty() {
		return err
	}
	if j.reconstructs() {
		return fmt.Errorf("--%s: the network ends with a reconstruction of its input, which would include the noise: train it without noise", flagNoise)
	}
	size := j.images.Size()
	if err := j.noise.Fits(size.Height, size.Width, j.network.Preprocessing.Crop); err != nil {
		return fmt.Errorf("--%s: %w", flagNoise, err)
	}
	return nil
}

// noiseMix returns the noise that the flags describe.
func (f *flags) noiseMix() (noise.Mix, error) {
	m, err := noise.ParseMix(f.noise, cmp.Or(f.noiseShare, train.DefaultNoiseShare))
	if err != nil {
		err = fmt.Errorf("--%w", err)
	}
	return m, err
}

// setLayers sets which parameters of which layers are trained, and how.
func (j *job) setLayers(freeze []string) error {
	c := &j.config
	freeze, err := j.expand(freeze)
	if err != nil {
		return err
	}
	for _, name := range freeze {
		var i int
		if _, err := fmt.Sscanf(name, "L%d", &i); err != nil || i < 0 || i >= len(j.network.Layers) || layerName(i) != name {
			return fmt.Errorf("--freeze %s: there is no such layer; the layers are L0 to L%d, and rest stands for all except the last one with weights", name, len(j.network.Layers)-1)
		}
	}
	scratch := j.kind != fineTuning
	c.FreezeW, c.FreezeEpsilonXY = slices.Clone(freeze), slices.Clone(freeze)
	for i, l := range j.training.Layers {
		name := layerName(i)
		_, split := j.network.Layers[i].(*convert.OnOff) // no key of the configuration freezes its mean
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
			j.note("w_trainable is ignored for layer %s: the weights of pooling layers are never trained", name)
		}
	}
	return j.checkStops()
}

// checkStops returns an error if the layers that stop the gradient leave nothing to train.
func (j *job) checkStops() error {
	stops := j.config.StopGradient
	if len(stops) == 0 {
		return nil
	}
	after := false
	for i, l := range j.network.Layers {
		name := layerName(i)
		switch {
		case name == stops[len(stops)-1]:
			after = true
		case after && weightsOf(l).trained() && !slices.Contains(j.config.FreezeW, name):
			return nil
		}
	}
	return fmt.Errorf("nothing is left to train: learning_parameters.sbs_skip_gradient_calculation is true for %s, so that neither these layers nor those before them are trained, and no layer after them has weights that are trained; change that key",
		strings.Join(stops, ", "))
}

// freezeRest is the value of --freeze for all layers except the last one with weights.
const freezeRest = "rest"

// expand replaces the value freezeRest by the names of the layers.
func (j *job) expand(freeze []string) ([]string, error) {
	if !slices.Contains(freeze, freezeRest) {
		return freeze, nil
	}
	last, err := pytorch.LastLayer(j.network)
	if err != nil {
		return nil, fmt.Errorf("--freeze %s: %w", freezeRest, err)
	}
	list := slices.DeleteFunc(slices.Clone(freeze), func(name string) bool { return name == freezeRest })
	for i := range j.network.Layers {
		if name := layerName(i); i != last && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list, nil
}

// setLoss sets the loss that is minimized.
func (f *flags) setLoss(j *job) error {
	if i, last := outputLayer(j.network); f.loss == "" && j.training.LossGiven && j.training.LossMode == 0 && signed(j.network) {
		j.note("loss_mode is 0, which compares probabilities, but the outputs of layer %s (%s) can be negative: the loss is the cross entropy, loss_mode 1", layerName(i), last.Kind())
	}
	if j.loss == lossCrossEntropy {
		if j.reconstructs() {
			return fmt.Errorf("--loss %s compares classes, but the network ends with a reconstruction of its input: use --loss %s", lossCrossEntropy, lossMixture)
		}
		j.config.Loss = train.Loss{Kind: train.CrossEntropy}
		return nil
	}
	if i, last := outputLayer(j.network); signed(j.network) {
		return fmt.Errorf("--loss %s compares probabilities, but layer %s (%s) is a convolution, whose outputs can be negative: use --loss %s",
			lossMixture, layerName(i), last.Kind(), lossCrossEntropy)
	}
	t := j.training
	j.config.Loss = train.Loss{Kind: train.Mixture, MSE: t.LossMSE, KL: t.LossKLDiv, Sum: t.Dialect == 2}
	return nil
}

// setSchedule sets the schedules of the learning rates.
func (j *job) setSchedule() error {
	c, t := &j.config, j.training
	switch j.schedule {
	case scheduleConstant:
	case scheduleCosine:
		c.ScheduleW = train.Schedule{Kind: train.Cosine, Length: j.totalSubBatches() / j.subBatches}
		c.ScheduleEpsilonXY = c.ScheduleW
	default:
		c.ScheduleByError = t.ByAccuracy
		c.ScheduleByEpoch = t.Dialect == 2 && !t.AdaptAfterMinibatch
		name := t.Schedule
		if j.schedule == schedulePlateau {
			name = string(train.Plateau)
		}
		c.ScheduleW, c.ScheduleEpsilonXY = schedule(name, t.W), schedule(name, t.EpsilonXY)
	}
	return errors.Join(c.ScheduleW.Check(), c.ScheduleEpsilonXY.Check())
}

// schedule returns the schedule that PyTorch-SbS uses. If the factor or the patience of
// the configuration is not above 0, PyTorch-SbS uses the defaults of PyTorch, and no
// low-pass schedule.
func schedule(name string, r pytorch.Rate) train.Schedule {
	configured := r.Factor > 0 && r.Patience > 0
	switch {
	case name == string(train.Plateau) && configured:
		return train.Schedule{Kind: train.Plateau, Factor: r.Factor, Patience: r.Patience}
	case name == string(train.Plateau):
		return train.Schedule{Kind: train.Plateau, Factor: 0.1, Patience: 10}
	case name == string(train.LowPassPlateau) && configured && r.Tau > 0:
		return train.Schedule{Kind: train.LowPassPlateau, Factor: r.Factor, Patience: r.Patience, Tau: max(r.Tau, 1)}
	}
	return train.Schedule{}
}

// perEpoch returns the number of sub-batches per epoch. The last one may have fewer
// images.
func (j *job) perEpoch() int { return (j.images.Len() + j.batch - 1) / j.batch }

// totalSubBatches returns the number of sub-batches of the whole training. The last of
// them completes an update, since the gradients of an incomplete update have no effect.
func (j *job) totalSubBatches() int {
	n := j.subBatches
	if j.kind == byUpdates {
		return j.steps * n
	}
	return max(j.steps*j.perEpoch()/n, 1) * n
}

// settings describes everything that determines the result. A training resumes only if
// its settings have not changed. The number of epochs is a setting only if the learning
// rate depends on it. start identifies the network at the start.
func (j *job) settings(start string) (map[string]string, error) {
	config, err := json.Marshal(struct {
		Train   train.Config
		Augment dataset.Augmentation
	}{j.config, j.augment})
	if err != nil {
		return nil, err
	}
	noAugmentation := ""
	if j.augment.Center {
		noAugmentation = "given"
	}
	share := ""
	if !j.noise.Empty() {
		share = fmt.Sprint(j.noise.Share())
	}
	holdout := ""
	if h := j.network.Holdout; h != nil {
		holdout = fmt.Sprint(h.Images)
	}
	return map[string]string{
		settingStart:           start,
		"the training images":  fingerprint(j.images),
		"--batch":              fmt.Sprint(j.batch),
		"--batches-per-update": fmt.Sprint(j.config.SubBatches),
		"--lr":                 fmt.Sprint(j.config.RateW),
		"--lr-epsilon-xy":      fmt.Sprint(j.config.RateEpsilonXY),
		"--lr-schedule (or, with cosine, --epochs)": fmt.Sprint(j.config.ScheduleW, j.config.ScheduleEpsilonXY),
		"--loss":            fmt.Sprint(j.config.Loss),
		"--freeze":          strings.Join(j.config.FreezeW, ","),
		"--no-augmentation": noAugmentation,
		"--noise":           j.noise.String(),
		"--noise-share":     share,
		"--holdout":         holdout,
		"--seed":            fmt.Sprint(j.config.Seed),
		settingConfig:       string(config),
	}, nil
}

// settingStart is the setting that identifies the network at the start.
const settingStart = "the model or configuration, or its --new-classes, --spikes, --sampler, --epsilon-schedule or --epsilon-0"

// settingConfig is the setting that contains the values of all other settings except
// the network and the images.
const settingConfig = "the training configuration"
