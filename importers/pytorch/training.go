package pytorch

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
)

// Training is the training configuration of a network: the keys of PyTorch-SbS's
// configuration that the layers and the preprocessing do not express.
//
// The comment of each field gives the key, the section of the key (if it is not
// learning_parameters), the default (if it is not the zero value), and the meaning.
type Training struct {
	Dialect int // 1 or 2, from Network.Dialect

	// Keys at the top level.
	DataMode      string  // data_mode: the data set; "MNIST", "MNIST_FASHION", "CIFAR10", one of these after "MIX_", or any other text
	DataPath      string  // data_path, default "./": the folder of the data
	BatchSize     int     // batch_size, default 500: number of images in one sub-batch
	Processes     int     // number_of_cpu_processes, default -1: all processors
	UpdateAfter   float64 // update_after_x_batch, default 1: sub-batches per update in the version of May 1st 2022
	Step          int     // learning_step (dialect 1) or epoch_id (dialect 2): the first step
	StepMax       int     // learning_step_max or epoch_id_max, default 10000: the last step
	WeightPath    string  // weight_path, default "./Weights/" in dialect 1, "Parameters" in dialect 2: the folder of the arrays
	EpsilonXYPath string  // eps_xy_path, default "./EpsXY/": the folder of the EpsXY files
	ResultsPath   string  // results_path, default "./Results": the folder of results
	LogPath       string  // log_path, default "Log": the folder of logs

	// The cooldown of epsilon_t, also at the top level. The EpsilonT of the layers
	// includes it.
	CooldownAfter     int     // cooldown_after_number_of_spikes, default -1: no cooldown
	ReductionCooldown float64 // reduction_cooldown, default 25: divides epsilon_t from that spike on

	// The loss and the optimizer.
	LossMode   int     // loss_mode: 0 is a mixture of MSE and KL divergence, 1 (dialect 2 only) the cross entropy of softmax(h)
	LossGiven  bool    // whether the configuration has the key loss_mode
	LossMSE    float64 // loss_coeffs_mse, default 0.5: coefficient of the mean squared error
	LossKLDiv  float64 // loss_coeffs_kldiv, default 1: coefficient of the Kullback-Leibler divergence
	Active     bool    // learning_active, default true: whether to train at all
	Optimizer  string  // optimizer_name, default "Adam"; dialect 2 also has "SGD"
	W          Rate    // of the weights: the keys that end in _w
	EpsilonXY  Rate    // of epsilon_xy: the keys that end in _eps_xy; dialect 1 only
	Schedule   string  // lr_schedule_name, default "ReduceLROnPlateau"; or "SbSLRScheduler" or "None"
	ByAccuracy bool    // lr_scheduler_use_performance, default true in dialect 1: the schedule follows 100 - accuracy in percent instead of the loss

	BatchesPerUpdate int    // number_of_batches_for_one_update, default 1: sub-batches whose gradients are added for an update
	OverloadPath     string // overload_path, default "./Previous": see Start.Overload
	Test             bool   // test_during_learning, default true: whether to test during training
	TestEvery        int    // test_every_x_learning_steps, default 50: steps from one test to the next

	// Gradients in dialect 2.
	ScaleGradient       bool // the opposite of disable_scale_grade, default true: gradients are divided by a scale per layer
	KeepGradientScale   bool // kepp_last_grad_scale (the original's spelling), default true: whether the scales are kept
	AdaptAfterMinibatch bool // adapt_learning_rate_after_minibatch, default true: the schedule advances per update instead of per epoch

	Augmentation Augmentation
	Layers       []LayerTraining // one entry per layer of the network
}

// Rate is the learning rate of one kind of parameter and its schedule. Each key in the
// comments is followed by _w or _eps_xy.
//
// The fields hold the values of the configuration. If Factor or Patience is not positive,
// PyTorch-SbS uses PyTorch's defaults for both, 0.1 and 10, and does not use
// SbSLRScheduler.
type Rate struct {
	Gamma     float64 // learning_rate_gamma, default -1: the learning rate; see LearningRate
	Threshold float64 // learning_rate_threshold, default 1e-5: the lower bound of the parameters
	Factor    float64 // lr_scheduler_factor, default 0.75: multiplies the learning rate without progress
	Patience  int     // lr_scheduler_patience, default -1: scheduler steps without progress before that
	Tau       float64 // lr_scheduler_tau, default 10: time constant of SbSLRScheduler's low-pass filter
}

// LearningRate returns the initial learning rate: Gamma if it is positive, otherwise
// PyTorch's default of 0.001.
func (r Rate) LearningRate() float64 {
	if r.Gamma > 0 {
		return r.Gamma
	}
	return 0.001
}

// Augmentation is the random variation of training images: the keys of the section
// augmentation. PyTorch-SbS crops the images of all data sets. It flips and jitters only
// the images of Fashion-MNIST and CIFAR-10.
type Augmentation struct {
	Crop       int     // crop_width_in_pixel, default 2: the image shrinks by this on each side, at a random position
	FlipP      float64 // flip_p, default 0.5: probability of a horizontal flip
	Brightness float64 // jitter_brightness, default 0.5
	Contrast   float64 // jitter_contrast, default 0.1
	Saturation float64 // jitter_saturation, default 0.1
	Hue        float64 // jitter_hue, default 0.15
	OnOff      bool    // use_on_off_filter, default true; dialect 1 only
}

// LayerTraining says which parameters of a layer are trained. Fields for parameters that
// the layer does not have are false. convert.SbS.Local marks layers that learn locally.
type LayerTraining struct {
	// Weights is w_trainable. In dialect 1 the key is in network_structure, and the
	// default is true except for pooling layers. In dialect 2 it is in
	// learning_parameters, and the default is false. A value of true trains pooling
	// layers too, as in PyTorch-SbS.
	Weights bool

	EpsilonXY     bool // network_structure.eps_xy_trainable, default true; dialect 1 only
	EpsilonXYMean bool // network_structure.eps_xy_mean: after each update, all entries are set to their mean
	SkipGradient  bool // sbs_skip_gradient_calculation: no gradient reaches the layers before; dialect 2 only
}

// DataSet returns the data set of DataMode: DataMode without "MIX_".
func (t *Training) DataSet() string { return unmixed(t.DataMode) }

// newTraining returns the defaults that do not depend on the generation.
func newTraining() *Training {
	rate := Rate{Gamma: -1, Threshold: 1e-5, Factor: 0.75, Patience: -1, Tau: 10}
	return &Training{
		DataPath: "./", BatchSize: 500, Processes: -1, UpdateAfter: 1,
		EpsilonXYPath: "./EpsXY/", ResultsPath: "./Results", LogPath: "Log",
		LossMSE: 0.5, LossKLDiv: 1, Active: true, Optimizer: "Adam", W: rate, EpsilonXY: rate, Schedule: "ReduceLROnPlateau",
		BatchesPerUpdate: 1, OverloadPath: "./Previous", Test: true, TestEvery: 50,
		AdaptAfterMinibatch: true, KeepGradientScale: true,
		Augmentation: Augmentation{FlipP: 0.5, Brightness: 0.5, Contrast: 0.1, Saturation: 0.1, Hue: 0.15},
	}
}

// learning is the section of most keys of the training.
const learning = "learning_parameters."

// trainingKeys holds the values of the training keys before the dialect and the layers
// are known.
type trainingKeys struct {
	*Training
	stepMax, epoch, epochMax int
	weights, weights2        []bool // w_trainable of network_structure and of learning_parameters
	mean, skip               []bool
	noScale                  bool
}

func newTrainingKeys() *trainingKeys {
	return &trainingKeys{Training: newTraining(), stepMax: 10000, epochMax: 10000}
}

// keys returns the targets of the training keys, like config.keys.
func (t *trainingKeys) keys() map[string]map[string]any {
	return map[string]map[string]any{
		"": {
			"data_path": &t.DataPath, "batch_size": &t.BatchSize, "number_of_cpu_processes": &t.Processes,
			"update_after_x_batch": &t.UpdateAfter, "learning_step_max": &t.stepMax,
			"epoch_id": &t.epoch, "epoch_id_max": &t.epochMax,
			"weight_path": &t.WeightPath, "results_path": &t.ResultsPath, "log_path": &t.LogPath,
		},
		"network_structure": {"w_trainable": &t.weights, "eps_xy_mean": &t.mean},
		"learning_parameters": {
			"w_trainable": &t.weights2, "sbs_skip_gradient_calculation": &t.skip,
			"learning_active": &t.Active, "loss_mode": &t.LossMode, "loss_coeffs_mse": &t.LossMSE, "loss_coeffs_kldiv": &t.LossKLDiv,
			"optimizer_name": &t.Optimizer, "lr_schedule_name": &t.Schedule, "lr_scheduler_use_performance": &t.ByAccuracy,
			"learning_rate_gamma_w": &t.W.Gamma, "learning_rate_gamma_eps_xy": &t.EpsilonXY.Gamma,
			"learning_rate_threshold_w": &t.W.Threshold, "learning_rate_threshold_eps_xy": &t.EpsilonXY.Threshold,
			"lr_scheduler_factor_w": &t.W.Factor, "lr_scheduler_factor_eps_xy": &t.EpsilonXY.Factor,
			"lr_scheduler_patience_w": &t.W.Patience, "lr_scheduler_patience_eps_xy": &t.EpsilonXY.Patience,
			"lr_scheduler_tau_w": &t.W.Tau, "lr_scheduler_tau_eps_xy": &t.EpsilonXY.Tau,
			"number_of_batches_for_one_update": &t.BatchesPerUpdate,
			"test_during_learning":             &t.Test, "test_every_x_learning_steps": &t.TestEvery,
			"disable_scale_grade": &t.noScale, "kepp_last_grad_scale": &t.KeepGradientScale,
			"adapt_learning_rate_after_minibatch": &t.AdaptAfterMinibatch,
		},
		"augmentation": {
			"flip_p": &t.Augmentation.FlipP, "jitter_brightness": &t.Augmentation.Brightness, "jitter_contrast": &t.Augmentation.Contrast,
			"jitter_saturation": &t.Augmentation.Saturation, "jitter_hue": &t.Augmentation.Hue,
		},
	}
}

// expressed lists, by section, the keys that the layers of a network express, and those
// that PyTorch-SbS computes.
var expressed = map[string][]string{
	"":                      {"number_of_spikes", "forgetting_offset", "image_statistics"},
	"approximation_setting": {"approximation_enable", "number_of_trunc_bits", "number_of_frac_bits"},
	"network_structure": {
		"number_of_output_neurons", "layer_type", "forward_neuron_numbers", "is_pooling_layer",
		"forward_kernel_size", "strides", "dilation", "padding",
	},
	"learning_parameters": {"alpha_number_of_iterations"},
}

// trainingJSON returns the value of convert.Network.Training: all merged keys except
// those in expressed. The keys of the preprocessing are kept, because a network may have
// none.
func (c *config) trainingJSON() (json.RawMessage, error) {
	out := maps.Clone(c.merged)
	for section, keys := range expressed {
		into := out
		if section != "" {
			from, ok := out[section].(map[string]any)
			if !ok {
				continue
			}
			into = maps.Clone(from)
			out[section] = into
		}
		for _, key := range keys {
			delete(into, key)
		}
	}
	b, err := json.Marshal(out) // with sorted keys
	if err == nil && len(b) > maxConfig {
		err = fmt.Errorf("%s: %d bytes are too many for a configuration (at most %d)", strings.Join(c.files, ", "), len(b), maxConfig)
	}
	return b, err
}

// TrainingOf returns the training configuration of a network from Load, NewNetwork or
// convert.FromONNX, and warnings. Keys that the configuration does not give have the
// defaults of PyTorch-SbS. Errors name the key and the configuration files.
func TrainingOf(n *convert.Network) (*Training, []string, error) {
	t, warnings, err := trainingOf(n)
	if err != nil {
		return nil, nil, fmt.Errorf("pytorch: %w", err)
	}
	return t, warnings, nil
}

func trainingOf(n *convert.Network) (*Training, []string, error) {
	if err := checkDialect(n); err != nil {
		return nil, nil, err
	}
	for i, l := range n.Layers {
		if v := reflect.ValueOf(l); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, nil, fmt.Errorf("layer %d is nil", i)
		}
	}
	c := newConfig()
	c.training = newTrainingKeys()
	if err := c.mergeTraining(n); err != nil {
		return nil, nil, err
	}
	t, err := c.trainingOf(n)
	return t, c.warnings, err
}

// mergeTraining merges Network.Training.
func (c *config) mergeTraining(n *convert.Network) error {
	if n.Training == nil {
		c.files = []string{"the network's training configuration, which is empty"}
		return nil
	}
	var names []string
	for _, s := range n.Sources {
		if strings.HasSuffix(s.Path, ".json") {
			names = append(names, s.Path)
		}
	}
	name := strings.Join(names, ", ")
	if name == "" {
		name = "the network's training configuration"
	}
	d, err := parse(name, n.Training)
	if err != nil {
		return err
	}
	return c.merge(d)
}

// trainingOf completes and checks the training configuration.
func (c *config) trainingOf(n *convert.Network) (*Training, error) {
	keys, g := c.training, c.generationOf(n, orderOf(n))
	t := *keys.Training
	t.Dialect = n.Dialect
	t.DataMode, t.EpsilonXYPath = c.dataMode, c.epsilonPath
	t.CooldownAfter, t.ReductionCooldown = c.cooldown, c.reduction
	t.Augmentation.Crop, t.Augmentation.OnOff = c.crop, c.onOff && generations.split[g]
	t.ScaleGradient = !keys.noScale
	if _, ok := c.given[keyOverload]; ok {
		t.OverloadPath = c.overload
	}
	t.Step, t.StepMax = c.learningStep, keys.stepMax
	if generations.dialect[g] == 2 {
		t.Step, t.StepMax = keys.epoch, keys.epochMax
	}
	t.WeightPath = c.weightPath(g)
	_, t.LossGiven = c.given[learning+"loss_mode"]
	if _, ok := c.given["learning_parameters.lr_scheduler_use_performance"]; !ok {
		t.ByAccuracy = generations.byAccuracy[g]
	}
	if n.Preprocessing.Crop > 0 {
		t.Augmentation.Crop = n.Preprocessing.Crop
	}
	if err := c.checkTraining(&t, g, n.Layers); err != nil {
		return nil, err
	}
	for i, l := range n.Layers {
		t.Layers = append(t.Layers, keys.layer(c, g, i, l))
	}
	trains := func(l LayerTraining) bool { return l.Weights || l.EpsilonXY }
	if !slices.ContainsFunc(t.Layers, trains) {
		c.warn("%s: no layer is trainable", c.where(generations.trainable[g]))
	}
	return &t, nil
}

// weightPath returns the key weight_path, or its default.
func (c *config) weightPath(g generation) string {
	if _, ok := c.given["weight_path"]; ok {
		return c.training.WeightPath
	}
	return generations.weightPath[g]
}

// layer returns which parameters of layer i are trained.
func (t *trainingKeys) layer(c *config, g generation, i int, l convert.Layer) LayerTraining {
	var out LayerTraining
	list, def := t.weights, generations.trainDefault[g]
	if generations.dialect[g] == 2 {
		list = t.weights2
	}
	switch l := l.(type) {
	case *convert.SbS:
		out.Weights = at(list, i, def && !l.Pooling)
		if generations.epsilonFiles[g] {
			out.EpsilonXY, out.EpsilonXYMean = at(c.epsTrain, i, true), at(t.mean, i, false)
		} else {
			out.SkipGradient = at(t.skip, i, false)
		}
	case *convert.Conv, *convert.ApproxConv, *convert.NNMF:
		out.Weights = at(list, i, def)
	}
	return out
}

// checkTraining returns an error about values with which no network can be trained.
func (c *config) checkTraining(t *Training, g generation, layers []convert.Layer) error {
	const augmentation = "augmentation."
	for _, key := range []string{
		"network_structure.w_trainable", "network_structure.eps_xy_trainable", "network_structure.eps_xy_mean",
		learning + "w_trainable", learning + "sbs_skip_gradient_calculation",
	} {
		if m := c.lengths[key]; m > 1 && m != len(layers) {
			return fmt.Errorf("%s has %d entries, the network has %d layers; give one entry per layer or one for all", c.where(key), m, len(layers))
		}
	}
	inf := math.Inf(1)
	for _, v := range []struct {
		key         string
		value       float64
		least, most float64 // the range, both ends included
	}{
		{"batch_size", float64(t.BatchSize), 1, inf},
		{generations.step[g], float64(t.Step), 0, inf},
		{generations.lastStep[g], float64(t.StepMax), 0, inf},
		{"update_after_x_batch", t.UpdateAfter, math.SmallestNonzeroFloat64, inf},
		{learning + "loss_mode", float64(t.LossMode), 0, float64(generations.lossModes[g] - 1)},
		{learning + "loss_coeffs_mse", t.LossMSE, 0, inf},
		{learning + "loss_coeffs_kldiv", t.LossKLDiv, 0, inf},
		{learning + "learning_rate_gamma_w", t.W.Gamma, -inf, math.MaxFloat32},
		{learning + "learning_rate_gamma_eps_xy", t.EpsilonXY.Gamma, -inf, math.MaxFloat32},
		{learning + "learning_rate_threshold_w", t.W.Threshold, 0, 1},
		{learning + "learning_rate_threshold_eps_xy", t.EpsilonXY.Threshold, 0, 1},
		{learning + "lr_scheduler_factor_w", t.W.Factor, -inf, 1},
		{learning + "lr_scheduler_factor_eps_xy", t.EpsilonXY.Factor, -inf, 1},
		{learning + "number_of_batches_for_one_update", float64(t.BatchesPerUpdate), 1, inf},
		{learning + "test_every_x_learning_steps", float64(t.TestEvery), 1, inf},
		{augmentation + "crop_width_in_pixel", float64(t.Augmentation.Crop), 0, maxImage},
		{augmentation + "flip_p", t.Augmentation.FlipP, 0, 1},
		{augmentation + "jitter_brightness", t.Augmentation.Brightness, 0, inf},
		{augmentation + "jitter_contrast", t.Augmentation.Contrast, 0, inf},
		{augmentation + "jitter_saturation", t.Augmentation.Saturation, 0, inf},
		{augmentation + "jitter_hue", t.Augmentation.Hue, 0, 0.5},
	} {
		if v.value < v.least || v.value > v.most {
			return fmt.Errorf("%s is %v, want %s", c.where(v.key), v.value, rangeOf(v.least, v.most))
		}
	}
	if t.LossMode == 0 && t.LossMSE+t.LossKLDiv == 0 {
		return fmt.Errorf("%s and loss_coeffs_kldiv are both 0, which leaves no loss", c.where(learning+"loss_coeffs_mse"))
	}
	if err := c.checkReconstruction(t, layers); err != nil {
		return err
	}
	optimizers := generations.optimizers[g]
	if !slices.Contains(optimizers, t.Optimizer) {
		return fmt.Errorf("%s is %q, want one of %q", c.where(learning+"optimizer_name"), t.Optimizer, optimizers)
	}
	schedules := []string{"None", "ReduceLROnPlateau", "SbSLRScheduler"}
	if !slices.Contains(schedules, t.Schedule) {
		return fmt.Errorf("%s is %q, want one of %q", c.where(learning+"lr_schedule_name"), t.Schedule, schedules)
	}
	return nil
}

// checkReconstruction returns an error if the last layer is a reconstruction, whose loss compares
// it with the input of the SbS layer before, and the configuration needs classes.
func (c *config) checkReconstruction(t *Training, layers []convert.Layer) error {
	last := len(layers) - 1
	if last < 0 {
		return nil
	}
	if _, ok := layers[last].(*convert.Reconstruction); !ok {
		return nil
	}
	switch {
	case t.LossMode != 0:
		return fmt.Errorf("%s is %d, want 0: layer %d (%s), the last one, has no classes", c.where(learning+"loss_mode"), t.LossMode, last, kindReconstruction)
	case t.ByAccuracy:
		return fmt.Errorf("%s is true, want false: layer %d (%s), the last one, has no classes and no accuracy",
			c.where(learning+"lr_scheduler_use_performance"), last, kindReconstruction)
	}
	return nil
}

func rangeOf(least, most float64) string {
	switch {
	case least == math.SmallestNonzeroFloat64:
		return "more than 0"
	case math.IsInf(most, 1):
		return fmt.Sprintf("at least %v", least)
	case math.IsInf(least, -1):
		return fmt.Sprintf("at most %v", most)
	}
	return fmt.Sprintf("%v to %v", least, most)
}

// String returns a summary in one line.
func (t *Training) String() string {
	loss := fmt.Sprintf("%v MSE + %v KL", t.LossMSE, t.LossKLDiv)
	if t.LossMode == 1 {
		loss = "cross entropy"
	}
	trained := 0
	for _, l := range t.Layers {
		if l.Weights || l.EpsilonXY {
			trained++
		}
	}
	s := fmt.Sprintf("%d of %d layers trainable, %d batches of %d per update, %s, %s with learning rate %v, schedule %s",
		trained, len(t.Layers), t.BatchesPerUpdate, t.BatchSize, loss, t.Optimizer, t.W.LearningRate(), t.Schedule)
	if t.DataMode != "" {
		s = t.DataMode + ", " + s
	}
	return s
}
