package pytorch

import (
	"fmt"
	"maps"
	"strings"

	"github.com/tailscale/hujson"
)

// config holds the values of a network's configuration files. Later files take
// precedence, key by key.
type config struct {
	// The top level.
	dataMode     string
	epsilonPath  string // eps_xy_path
	learningStep int
	spikes       []int
	cooldown     int
	reduction    float64
	epsilon0     float64
	forgetting   float64
	fullLayer    []bool // spike_full_layer_input_distribution
	noisy        bool   // extract_noisy_pictures

	// network_structure.
	outputs   int
	layerType []string
	neurons   [][]int
	pooling   []bool
	kernel    [][]int
	strides   [][]int
	dilation  [][]int
	padding   [][]int
	epsTrain  []bool

	// approximation_setting.
	approximate         []bool
	truncBits, fracBits []int

	// learning_parameters. The default of epsilonXY is the generation's.
	epsilonXY  float64
	noise      float64
	noiseRange []float64
	alpha      int
	overload   string // overload_path

	// augmentation and image_statistics.
	crop      int
	onOff     bool
	imageMean []float64

	training *trainingKeys  // the values that only training needs; nil if they are not needed
	merged   map[string]any // all values of the files, as encoding/json represents them

	files    []string          // in merge order
	sums     [][]byte          // SHA-256 of each file
	given    map[string]string // key -> the last file that gives it
	lengths  map[string]int    // key -> number of entries, for lists
	warnings []string
}

func newConfig() *config {
	return &config{
		epsilonPath: "./EpsXY/",
		cooldown:    -1,
		reduction:   25,
		epsilon0:    1,
		forgetting:  -1,
		noise:       0.01,
		noiseRange:  []float64{1, 1.1},
		crop:        2,
		onOff:       true,
		merged:      map[string]any{},
		lengths:     map[string]int{},
		given:       map[string]string{},
	}
}

// perLayer is the target of a list with an entry per layer. Only its length is checked,
// because its values are for training.
type perLayer struct{}

// keys returns the target of each known key, by section ("" is the top level). The target
// is nil for keys that matter only for training, whose values are checked only if the
// training configuration is read, and for keys that matter only to PyTorch-SbS itself.
func (c *config) keys() map[string]map[string]any {
	keys := map[string]map[string]any{
		"": {
			"data_mode":                       &c.dataMode,
			"eps_xy_path":                     &c.epsilonPath,
			"learning_step":                   &c.learningStep,
			"number_of_spikes":                &c.spikes,
			"cooldown_after_number_of_spikes": &c.cooldown,
			"reduction_cooldown":              &c.reduction,
			"epsilon_0":                       &c.epsilon0,
			"forgetting_offset":               &c.forgetting,

			"spike_full_layer_input_distribution": &c.fullLayer,
			"extract_noisy_pictures":              &c.noisy,
			"force_forward_h_dynamic_on_cpu":      new(bool), // changes no number

			"batch_size": nil, "data_path": nil, "enable_cpu_thread_balacing": nil, "epoch_id": nil,
			"epoch_id_max": nil, "learning_step_max": nil, "log_path": nil, "number_of_cpu_processes": nil, "results_path": nil,
			"simulation_id": nil, "stage_id": nil, "update_after_x_batch": nil, "weight_path": nil,
		},
		"network_structure": {
			"number_of_output_neurons": &c.outputs,
			"layer_type":               &c.layerType,
			"forward_neuron_numbers":   &c.neurons,
			"is_pooling_layer":         &c.pooling,
			"forward_kernel_size":      &c.kernel,
			"strides":                  &c.strides,
			"dilation":                 &c.dilation,
			"padding":                  &c.padding,
			"eps_xy_trainable":         &c.epsTrain,
			"w_trainable":              perLayer{},
			"eps_xy_mean":              perLayer{},
		},
		"learning_parameters": {
			"eps_xy_intitial":               &c.epsilonXY,
			"weight_noise_amplitude":        &c.noise,
			"weight_noise_range":            &c.noiseRange,
			"alpha_number_of_iterations":    &c.alpha,
			"overload_path":                 &c.overload,
			"w_trainable":                   perLayer{},
			"sbs_skip_gradient_calculation": perLayer{},

			"adapt_learning_rate_after_minibatch": nil, "disable_scale_grade": nil, "kepp_last_grad_scale": nil,
			"learning_active": nil, "learning_rate_gamma_eps_xy": nil, "learning_rate_gamma_w": nil,
			"learning_rate_threshold_eps_xy": nil, "learning_rate_threshold_w": nil, "loss_coeffs_kldiv": nil,
			"loss_coeffs_mse": nil, "loss_mode": nil, "lr_schedule_name": nil, "lr_scheduler_factor": nil,
			"lr_scheduler_factor_eps_xy": nil, "lr_scheduler_factor_w": nil, "lr_scheduler_patience": nil,
			"lr_scheduler_patience_eps_xy": nil, "lr_scheduler_patience_w": nil, "lr_scheduler_tau_eps_xy": nil,
			"lr_scheduler_tau_w": nil, "lr_scheduler_use_performance": nil, "number_of_batches_for_one_update": nil,
			"optimizer_name": nil, "test_during_learning": nil, "test_every_x_learning_steps": nil,
		},
		"augmentation": {
			"crop_width_in_pixel": &c.crop,
			"use_on_off_filter":   &c.onOff,

			"flip_p": nil, "jitter_brightness": nil, "jitter_contrast": nil, "jitter_hue": nil, "jitter_saturation": nil,
		},
		"image_statistics": {"mean": &c.imageMean, "the_size": nil},
		"approximation_setting": {
			"approximation_enable": &c.approximate,
			"number_of_frac_bits":  &c.fracBits,
			"number_of_trunc_bits": &c.truncBits,
		},
	}
	if c.training != nil {
		for section, targets := range c.training.keys() {
			maps.Copy(keys[section], targets)
		}
	}
	return keys
}

// merge merges a document.
func (c *config) merge(d *document) error {
	c.files = append(c.files, d.name)
	c.sums = append(c.sums, d.sum)
	keys := c.keys()
	if err := c.mergeSection(d, "", d.root, keys); err != nil {
		return err
	}
	values, err := d.plain()
	if err != nil {
		return err
	}
	for key, value := range values {
		into, ok := c.merged[key].(map[string]any)
		from, isSection := value.(map[string]any)
		if ok && isSection && key != "" && keys[key] != nil {
			maps.Copy(into, from)
			continue
		}
		c.merged[key] = value
	}
	return nil
}

func (c *config) mergeSection(d *document, section string, object *hujson.Object, keys map[string]map[string]any) error {
	seen := map[string]bool{}
	for _, m := range object.Members {
		name, key := nameOfMember(m), nameOfMember(m)
		if section != "" {
			key = section + "." + name
		}
		if seen[name] {
			c.warn("%s: %q occurs more than once; the last value is used", d.at(m.Name), key)
		}
		seen[name] = true

		if _, ok := keys[name]; ok && section == "" && name != "" {
			o, ok := m.Value.Value.(*hujson.Object)
			if !ok {
				return fmt.Errorf("%s: %s: want an object, found %s", d.at(m.Value), key, describe(m.Value))
			}
			if err := c.mergeSection(d, name, o, keys); err != nil {
				return err
			}
			continue
		}
		target, ok := keys[section][name]
		if !ok {
			c.warn("%s: unknown key %q is ignored", d.at(m.Name), key)
			continue
		}
		if err := c.set(target, key, d, m.Value); err != nil {
			return err
		}
		c.given[key] = d.name
	}
	return nil
}

// set decodes a value and stores it in target.
func (c *config) set(target any, key string, d *document, v hujson.Value) (err error) {
	switch t := target.(type) {
	case *string:
		*t, err = text(d, key, v)
	case *bool:
		*t, err = boolean(d, key, v)
	case *int:
		*t, err = integer(d, key, v)
	case *float64:
		*t, err = number(d, key, v)
	case *[]string:
		*t, err = list(d, key, v, "strings", text)
	case *[]bool:
		*t, err = list(d, key, v, "true and false", boolean)
	case *[]float64:
		*t, err = list(d, key, v, "numbers", number)
	case *[][]int:
		*t, err = list(d, key, v, "pairs of whole numbers", pair)
	case *[]int:
		if _, ok := v.Value.(*hujson.Array); ok || key != "number_of_spikes" {
			*t, err = list(d, key, v, "whole numbers", integer)
			break
		}
		var n int
		n, err = integer(d, key, v)
		*t = []int{n}
		c.lengths[key] = 1
	case perLayer:
	}
	if err != nil {
		return err
	}
	if a, ok := v.Value.(*hujson.Array); ok {
		c.lengths[key] = len(a.Elements)
	} else if _, ok := target.(perLayer); ok {
		return fmt.Errorf("%s: %s: want a list, found %s", d.at(v), key, describe(v))
	}
	return nil
}

func (c *config) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// where returns the key preceded by the file that gives it, or by all files if none does,
// for errors about its value.
func (c *config) where(key string) string {
	if file, ok := c.given[key]; ok {
		return file + ": " + key
	}
	return strings.Join(c.files, ", ") + ": " + key
}
