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

// Training is how a network is to be trained: the part of PyTorch-SbS's
// configuration that its layers and its preprocessing do not hold. The comments
// give the keys, and the defaults where they are not the zero value; keys
// without a section are of learning_parameters.
type Training struct {
	Dialect int // 1 or 2, of the network

	// The top level.
	DataMode      string  // data_mode: "MNIST", "MNIST_FASHION", "CIFAR10" or something else
	DataPath      string  // data_path, "./": the folder of the data
	BatchSize     int     // batch_size, 500: images in one sub-batch
	Processes     int     // number_of_cpu_processes, -1: all
	UpdateAfter   float64 // update_after_x_batch, 1: May 1st 2022's number of sub-batches for one update
	Step          int     // learning_step (dialect 1) or epoch_id (dialect 2): where training starts
	StepMax       int     // learning_step_max or epoch_id_max, 10000: and where it ends
	WeightPath    string  // weight_path, "./Weights/" in dialect 1, "Parameters" in dialect 2
	EpsilonXYPath string  // eps_xy_path, "./EpsXY/"
	ResultsPath   string  // results_path, "./Results"
	LogPath       string  // log_path, "Log"

	// The schedule of epsilon_t, which the layers' EpsilonT holds for their
	// number of spikes.
	CooldownAfter     int     // cooldown_after_number_of_spikes, -1: no cooldown
	ReductionCooldown float64 // reduction_cooldown, 25: divides epsilon_t from that spike on

	// The loss.
	LossMode   int     // loss_mode: 0 is the mixture of both, 1 (dialect 2 only) the cross entropy of softmax(h)
	LossMSE    float64 // loss_coeffs_mse, 0.5
	LossKLDiv  float64 // loss_coeffs_kldiv, 1
	Active     bool    // learning_active, true
	Optimizer  string  // optimizer_name, "Adam"; dialect 2 has "SGD" too
	W          Rate    // the keys that end in _w
	EpsilonXY  Rate    // those that end in _eps_xy; dialect 1 only
	Schedule   string  // lr_schedule_name, "ReduceLROnPlateau"; or "None", "SbSLRScheduler"
	ByAccuracy bool    // lr_scheduler_use_performance, true in dialect 1: the schedule follows 100 - accuracy in %, not the loss

	BatchesPerUpdate int    // number_of_batches_for_one_update, 1
	OverloadPath     string // overload_path, "./Previous"; see Start.Overload
	Test             bool   // test_during_learning, true
	TestEvery        int    // test_every_x_learning_steps, 50

	// Dialect 2.
	ScaleGradient       bool // not disable_scale_grade, true
	KeepGradientScale   bool // kepp_last_grad_scale (their spelling), true
	AdaptAfterMinibatch bool // adapt_learning_rate_after_minibatch, true

	Augmentation Augmentation
	Layers       []LayerTraining // one for each layer of the network
}

// Rate is how fast one kind of parameter is trained. See LearningRate for Gamma.
// Factor, Patience and Tau are as the file has them: the original takes
// PyTorch's own defaults (factor 0.1, patience 10) for both when either is not
// above 0, and no SbSLRScheduler then.
type Rate struct {
	Gamma     float64 // learning_rate_gamma, -1
	Threshold float64 // learning_rate_threshold, 1e-5: what parameters are clamped to from below
	Factor    float64 // lr_scheduler_factor, 0.75
	Patience  int     // lr_scheduler_patience, -1
	Tau       float64 // lr_scheduler_tau, 10
}

// LearningRate returns the initial learning rate: Gamma, or PyTorch's 0.001
// where that is not above 0.
func (r Rate) LearningRate() float64 {
	if r.Gamma > 0 {
		return r.Gamma
	}
	return 0.001
}

// Augmentation is what is done to training images; the section augmentation.
type Augmentation struct {
	Crop       int     // crop_width_in_pixel, 2: a random crop by twice as much in height and width
	FlipP      float64 // flip_p, 0.5: probability of a horizontal flip; this and the rest not for MNIST
	Brightness float64 // jitter_brightness, 0.5
	Contrast   float64 // jitter_contrast, 0.1
	Saturation float64 // jitter_saturation, 0.1
	Hue        float64 // jitter_hue, 0.15
	OnOff      bool    // use_on_off_filter, true; dialect 1 only
}

// LayerTraining says what of a layer is trained. A layer that has no such values
// has false. Whether an SbS layer learns locally is its Local.
type LayerTraining struct {
	// Weights is w_trainable: of network_structure in dialect 1, where the
	// default is true except for pooling layers, and of learning_parameters in
	// dialect 2, where it is false. As in the original, true counts for pooling
	// layers too.
	Weights bool

	EpsilonXY     bool // network_structure.eps_xy_trainable, true; dialect 1 only
	EpsilonXYMean bool // network_structure.eps_xy_mean: every entry becomes the mean
	SkipGradient  bool // sbs_skip_gradient_calculation: no gradient passes to the layers before; dialect 2 only
}

// newTraining returns the defaults that do not depend on the dialect.
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

// trainingKeys is what a configuration says of training before it is known which
// dialect and which layers it is about.
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

// keys is config.keys for the keys of training.
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

// expressed lists the keys, by section, whose values a network's layers hold, and
// those that the original computes.
var expressed = map[string][]string{
	"": {"number_of_spikes", "forgetting_offset", "image_statistics"},
	"network_structure": {
		"number_of_output_neurons", "layer_type", "forward_neuron_numbers", "is_pooling_layer",
		"forward_kernel_size", "strides", "dilation", "padding",
	},
	"learning_parameters": {"alpha_number_of_iterations"},
}

// trainingJSON returns convert.Network.Training: what was merged less the keys
// that are expressed elsewhere. Those of the preprocessing stay, because a
// network can be without it.
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

// TrainingOf returns how a network from Load, NewNetwork or convert.FromONNX is
// to be trained, and warnings. Where the configuration does not say it, and for
// a network without any, it is the original's default. Errors name the key and
// the files of the configuration.
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

// mergeTraining takes over what a network carries of its configuration.
func (c *config) mergeTraining(n *convert.Network) error {
	if n.Training == nil {
		c.files = []string{"the network's training configuration (it has none)"}
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

// trainingOf fills in what depends on the dialect and the layers, and checks it.
func (c *config) trainingOf(n *convert.Network) (*Training, error) {
	keys := c.training
	t := *keys.Training
	t.Dialect = n.Dialect
	t.DataMode, t.EpsilonXYPath = c.dataMode, c.epsilonPath
	t.CooldownAfter, t.ReductionCooldown = c.cooldown, c.reduction
	t.Augmentation.Crop, t.Augmentation.OnOff = c.crop, c.onOff && n.Dialect == 1
	t.ScaleGradient = !keys.noScale
	if _, ok := c.given[keyOverload]; ok {
		t.OverloadPath = c.overload
	}
	t.Step, t.StepMax = c.learningStep, keys.stepMax
	if n.Dialect == 2 {
		t.Step, t.StepMax = keys.epoch, keys.epochMax
	}
	if _, ok := c.given["weight_path"]; !ok {
		t.WeightPath = defaultWeightPath(n.Dialect)
	}
	if _, ok := c.given["learning_parameters.lr_scheduler_use_performance"]; !ok {
		t.ByAccuracy = n.Dialect == 1
	}
	if n.Preprocessing.Crop > 0 {
		t.Augmentation.Crop = n.Preprocessing.Crop
	}
	if err := c.checkTraining(&t, len(n.Layers)); err != nil {
		return nil, err
	}
	for i, l := range n.Layers {
		t.Layers = append(t.Layers, keys.layer(c, n.Dialect, i, l))
	}
	trains := func(l LayerTraining) bool { return l.Weights || l.EpsilonXY }
	if !slices.ContainsFunc(t.Layers, trains) {
		c.warn("%s: no layer is trainable", c.where(trainableKey(n.Dialect)))
	}
	return &t, nil
}

func defaultWeightPath(dialect int) string {
	if dialect == 2 {
		return "Parameters"
	}
	return "./Weights/"
}

func trainableKey(dialect int) string {
	if dialect == 2 {
		return "learning_parameters.w_trainable"
	}
	return "network_structure.w_trainable"
}

// layer returns what of layer i is trained.
func (t *trainingKeys) layer(c *config, dialect, i int, l convert.Layer) LayerTraining {
	var out LayerTraining
	list, def := t.weights, true
	if dialect == 2 {
		list, def = t.weights2, false
	}
	switch l := l.(type) {
	case *convert.SbS:
		out.Weights = at(list, i, def && !l.Pooling)
		if dialect == 1 {
			out.EpsilonXY, out.EpsilonXYMean = at(c.epsTrain, i, true), at(t.mean, i, false)
		} else {
			out.SkipGradient = at(t.skip, i, false)
		}
	case *convert.Conv:
		out.Weights = at(list, i, def)
	}
	return out
}

// checkTraining refuses what nothing can be trained with.
func (c *config) checkTraining(t *Training, layers int) error {
	const learning, augmentation = "learning_parameters.", "augmentation."
	for _, key := range []string{
		"network_structure.w_trainable", "network_structure.eps_xy_trainable", "network_structure.eps_xy_mean",
		learning + "w_trainable", learning + "sbs_skip_gradient_calculation",
	} {
		if m := c.lengths[key]; m > 1 && m != layers {
			return fmt.Errorf("%s has %d entries, the network has %d layers; give it one for each layer or one for all", c.where(key), m, layers)
		}
	}
	step, stepMax := "learning_step", "learning_step_max"
	if t.Dialect == 2 {
		step, stepMax = "epoch_id", "epoch_id_max"
	}
	inf := math.Inf(1)
	for _, v := range []struct {
		key          string
		value        float64
		least, above float64 // the range, both ends included
	}{
		{"batch_size", float64(t.BatchSize), 1, inf},
		{step, float64(t.Step), 0, inf},
		{stepMax, float64(t.StepMax), 0, inf},
		{"update_after_x_batch", t.UpdateAfter, math.SmallestNonzeroFloat64, inf},
		{learning + "loss_mode", float64(t.LossMode), 0, float64(t.Dialect - 1)},
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
		if v.value < v.least || v.value > v.above {
			return fmt.Errorf("%s is %v, want %s", c.where(v.key), v.value, rangeOf(v.least, v.above))
		}
	}
	if t.LossMode == 0 && t.LossMSE+t.LossKLDiv == 0 {
		return fmt.Errorf("%s and loss_coeffs_kldiv are both 0: there is no loss", c.where(learning+"loss_coeffs_mse"))
	}
	optimizers := []string{"Adam", "SGD"}[:t.Dialect]
	if !slices.Contains(optimizers, t.Optimizer) {
		return fmt.Errorf("%s is %q, want one of %q", c.where(learning+"optimizer_name"), t.Optimizer, optimizers)
	}
	schedules := []string{"None", "ReduceLROnPlateau", "SbSLRScheduler"}
	if !slices.Contains(schedules, t.Schedule) {
		return fmt.Errorf("%s is %q, want one of %q", c.where(learning+"lr_schedule_name"), t.Schedule, schedules)
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

// String sums it up in one line.
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
	s := fmt.Sprintf("%d of %d layers trainable, %d batches of %d for an update, %s, %s with learning rate %v, schedule %s",
		trained, len(t.Layers), t.BatchesPerUpdate, t.BatchSize, loss, t.Optimizer, t.W.LearningRate(), t.Schedule)
	if t.DataMode != "" {
		s = t.DataMode + ", " + s
	}
	return s
}
