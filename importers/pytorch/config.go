package pytorch

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// config holds what a network's configuration files say, later files winning
// key by key.
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

	// learning_parameters. The default of epsilonXY is the dialect's.
	epsilonXY  float64
	noise      float64
	noiseRange []float64
	alpha      int
	overload   string // overload_path

	// augmentation and image_statistics.
	crop      int
	onOff     bool
	imageMean []float64

	files    []string          // in the order they were merged
	sums     [][]byte          // their SHA-256, likewise
	given    map[string]string // key -> the file that said it last
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
		lengths:     map[string]int{},
		given:       map[string]string{},
	}
}

// perLayer is a list with an entry for each layer, of which only the length
// matters here: its values are for training.
type perLayer struct{}

// keys returns where the value of every known key goes, by section ("" is the
// top level). nil stands for keys that only training or the original's machine
// needs; their values are not looked at.
func (c *config) keys() map[string]map[string]any {
	return map[string]map[string]any{
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

			"batch_size": nil, "data_path": nil, "enable_cpu_thread_balacing": nil, "epoch_id": nil,
			"epoch_id_max": nil, "extract_noisy_pictures": nil, "force_forward_h_dynamic_on_cpu": nil,
			"learning_step_max": nil, "log_path": nil, "number_of_cpu_processes": nil, "results_path": nil,
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
			"approximation_enable": perLayer{},
			"number_of_frac_bits":  perLayer{},
			"number_of_trunc_bits": perLayer{},
		},
	}
}

// document is a parsed configuration file.
type document struct {
	name  string
	sum   []byte // SHA-256 of the file
	root  *hujson.Object
	lines []int // offset of the end of every line
}

const (
	maxConfig = 1 << 20 // bytes of one configuration file
	// maxBrackets bounds how deep the parser recurses. No network needs more:
	// a layer takes six or seven.
	maxBrackets = 50_000
)

// parse reads JSON with comments and trailing commas.
func parse(name string, data []byte) (*document, error) {
	if len(data) > maxConfig {
		return nil, fmt.Errorf("%s: %d bytes are too many for a configuration (at most %d)", name, len(data), maxConfig)
	}
	if n := bytes.Count(data, []byte("[")) + bytes.Count(data, []byte("{")); n > maxBrackets {
		return nil, fmt.Errorf("%s: %d brackets are too many for a configuration (at most %d)", name, n, maxBrackets)
	}
	sum := sha256.Sum256(data)
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	// A line comment must end with a newline, the last one too.
	data = append(slices.Clone(data), '\n')
	v, err := hujson.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	root, ok := v.Value.(*hujson.Object)
	if !ok {
		return nil, fmt.Errorf("%s: want an object, found %s", name, describe(v))
	}
	d := &document{name: name, sum: sum[:], root: root}
	for i, b := range data {
		if b == '\n' {
			d.lines = append(d.lines, i)
		}
	}
	return d, nil
}

// describesNetwork reports whether the document has a network_structure object.
func (d *document) describesNetwork() bool {
	return slices.ContainsFunc(d.root.Members, func(m hujson.ObjectMember) bool {
		_, ok := m.Value.Value.(*hujson.Object)
		return ok && nameOfMember(m) == "network_structure"
	})
}

// merge takes over what the document says.
func (c *config) merge(d *document) error {
	c.files = append(c.files, d.name)
	c.sums = append(c.sums, d.sum)
	return c.mergeSection(d, "", d.root, c.keys())
}

func (c *config) mergeSection(d *document, section string, object *hujson.Object, keys map[string]map[string]any) error {
	seen := map[string]bool{}
	for _, m := range object.Members {
		name, key := nameOfMember(m), nameOfMember(m)
		if section != "" {
			key = section + "." + name
		}
		if seen[name] {
			c.warn("%s: %q is there more than once; the last one counts", d.at(m.Name), key)
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

// set stores a value where target points to.
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
		*t, err = list(d, key, v, "texts", text)
	case *[]bool:
		*t, err = list(d, key, v, "true and false", boolean)
	case *[]float64:
		*t, err = list(d, key, v, "numbers", number)
	case *[][]int:
		*t, err = list(d, key, v, "pairs of whole numbers", pair)
	case *[]int:
		if _, ok := v.Value.(*hujson.Array); ok {
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

// at returns the file and line of a value.
func (d *document) at(v hujson.Value) string {
	line, _ := slices.BinarySearch(d.lines, v.StartOffset)
	return fmt.Sprintf("%s:%d", d.name, line+1)
}

func (c *config) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// where names the key and the file that gives it, or all files if none does,
// for errors about its value.
func (c *config) where(key string) string {
	if file, ok := c.given[key]; ok {
		return file + ": " + key
	}
	return strings.Join(c.files, ", ") + ": " + key
}

func wrong(d *document, key string, v hujson.Value, want string) error {
	return fmt.Errorf("%s: %s: want %s, found %s", d.at(v), key, want, describe(v))
}

func kindOf(v hujson.Value) hujson.Kind {
	if v.Value == nil {
		return 0
	}
	return v.Value.Kind()
}

func text(d *document, key string, v hujson.Value) (string, error) {
	if kindOf(v) != '"' {
		return "", wrong(d, key, v, "a text")
	}
	return v.Value.(hujson.Literal).String(), nil
}

func boolean(d *document, key string, v hujson.Value) (bool, error) {
	if k := kindOf(v); k != 't' && k != 'f' {
		return false, wrong(d, key, v, "true or false")
	}
	return v.Value.(hujson.Literal).Bool(), nil
}

func number(d *document, key string, v hujson.Value) (float64, error) {
	var f float64
	if kindOf(v) != '0' || json.Unmarshal(v.Value.(hujson.Literal), &f) != nil {
		return 0, wrong(d, key, v, "a number")
	}
	return f, nil
}

func integer(d *document, key string, v hujson.Value) (int, error) {
	f, err := number(d, key, v)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return 0, wrong(d, key, v, "a whole number")
	}
	return int(f), nil
}

// pair is an entry of a list for all layers: a pair, or nothing for a layer
// that needs none.
func pair(d *document, key string, v hujson.Value) ([]int, error) {
	p, err := list(d, key, v, "two whole numbers", integer)
	if err == nil && len(p) != 0 && len(p) != 2 {
		return nil, fmt.Errorf("%s: %s: want two whole numbers or none, found %d", d.at(v), key, len(p))
	}
	return p, err
}

func list[T any](d *document, key string, v hujson.Value, of string, item func(*document, string, hujson.Value) (T, error)) ([]T, error) {
	a, ok := v.Value.(*hujson.Array)
	if !ok {
		return nil, wrong(d, key, v, "a list of "+of)
	}
	out := make([]T, len(a.Elements))
	for i, e := range a.Elements {
		var err error
		if out[i], err = item(d, fmt.Sprintf("%s[%d]", key, i), e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// describe names a value in an error.
func describe(v hujson.Value) string {
	switch k := kindOf(v); k {
	case '{':
		return "an object"
	case '[':
		return "a list"
	default:
		s := fmt.Sprint(v.Value)
		if l, ok := v.Value.(hujson.Literal); ok {
			s = string(l)
		}
		if len(s) > 40 {
			s = s[:40] + "..."
		}
		switch k {
		case '"':
			return "the text " + s
		case '0':
			return "the number " + s
		}
		return s
	}
}

func nameOfMember(m hujson.ObjectMember) string {
	l, _ := m.Name.Value.(hujson.Literal)
	return l.String()
}
