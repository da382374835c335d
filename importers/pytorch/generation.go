package pytorch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// generation is a state of PyTorch-SbS.
type generation int

const (
	may2022     generation = iota // dialect 1
	january2023                   // dialect 2
	july2023                      // dialect 2, the last state
)

// each holds a value for each generation.
type each[T any] [july2023 + 1]T

// The types of the rows of the table.
type (
	texts     = each[string]
	flags     = each[bool]
	ints      = each[int]
	floats    = each[float64]
	lists     = each[[]string]
	kindLists = each[[]kind]
	schedules = each[sbs.Schedule]
)

// generations holds everything that the generations do differently.
var generations = struct {
	date    texts
	name    texts // the value of Options.Generation
	dialect ints

	// January and July 2023 differ in these rows.
	onOffMean     flags     // ONOFF layers subtract a mean, and divide by the sum over the channels
	initialXY     floats    // default of eps_xy_intitial
	usesInitialXY flags     // eps_xy_intitial has an effect
	losesCooldown flags     // the cooldown of epsilon_t has no effect, by mistake; this package applies it in any case
	newKeys       lists     // keys at the top level that no earlier generation has
	newKinds      kindLists // types of layers that no earlier generation has, among those of layer_type
	mixed         flags     // data modes can begin with MIX_
	orders        flags     // the names of arrays can end with an order

	// May 2022 differs from both in these rows.
	typed        flags     // layer_type gives the types of the layers, instead of is_pooling_layer
	files        lists     // the names of the configuration files; nil is one file with any name
	broadcast    flags     // one kernel size, stride, dilation or padding serves all layers, not only layer 0
	split        flags     // use_on_off_filter splits the channels of the image
	offset       floats    // added to every pixel that is not split, so that no patch of an image is all zeros
	epsilonFiles flags     // epsilon_xy can be trained and has files
	epsilonT     schedules // before the cooldown
	alpha        flags     // alpha_number_of_iterations has an effect
	forgetting   flags     // forgetting_offset and LOCAL have an effect
	step         texts     // key of the first step of a training
	lastStep     texts     // key of the last step
	weightPath   texts     // default of weight_path
	trainable    texts     // key of the layers whose weights are trained
	trainDefault flags     // default of that key, except for pooling layers
	noise        texts     // key of the range of untrained weights
	lossModes    ints
	optimizers   lists
	byAccuracy   flags // default of lr_scheduler_use_performance
}{
	date:    texts{"May 2022", "January 2023", "July 2023"},
	name:    texts{"2022-05", "2023-01", "2023-07"},
	dialect: ints{1, 2, 2},

	onOffMean:     flags{false, true, false},
	initialXY:     floats{0.1, 0.1, 1},
	usesInitialXY: flags{true, true, false},
	losesCooldown: flags{false, false, true},
	newKeys:       lists{nil, nil, {"spike_full_layer_input_distribution", "force_forward_h_dynamic_on_cpu", "extract_noisy_pictures"}},
	newKinds:      kindLists{nil, nil, {kindNNMF, kindBPSbSNNMF, kindPoisson, kindSpikeImage}},
	mixed:         flags{false, false, true},
	orders:        flags{false, false, true},

	typed:        flags{false, true, true},
	files:        lists{nil, threeFiles, threeFiles},
	broadcast:    flags{true, false, false},
	split:        flags{true, false, false},
	offset:       floats{1.1920929e-07, 1e-20, 1e-20}, // the first is the float32 epsilon
	epsilonFiles: flags{true, false, false},
	epsilonT:     schedules{{}, {Power: -0.5}, {Power: -0.5}},
	alpha:        flags{true, false, false},
	forgetting:   flags{false, true, true},
	step:         texts{"learning_step", "epoch_id", "epoch_id"},
	lastStep:     texts{"learning_step_max", "epoch_id_max", "epoch_id_max"},
	weightPath:   texts{"./Weights/", "Parameters", "Parameters"},
	trainable:    texts{"network_structure.w_trainable", "learning_parameters.w_trainable", "learning_parameters.w_trainable"},
	trainDefault: flags{true, false, false},
	noise:        texts{"learning_parameters.weight_noise_amplitude", noiseRangeKey, noiseRangeKey},
	lossModes:    ints{1, 2, 2},
	optimizers:   lists{{"Adam"}, {"Adam", "SGD"}, {"Adam", "SGD"}},
	byAccuracy:   flags{true, false, false},
}

// mixedMode is the beginning of the data modes that mix the images of a data set.
const mixedMode = "MIX_"

// unmixed returns the data set of a data mode.
func unmixed(mode string) string { return strings.TrimPrefix(mode, mixedMode) }

// Generations returns the values of Options.Generation.
func Generations() []string { return slices.Clone(generations.name[january2023:]) }

// generation returns the generation of a configuration whose arrays have the given order, ""
// for none, and what shows that it is July 2023 and not January 2023. Without such a sign, the
// files of both are the same.
func (c *config) generation(order string) (g generation, sign string) {
	if c.layerType == nil {
		return may2022, ""
	}
	if sign := c.julySign(order); sign != "" {
		return july2023, sign
	}
	return january2023, ""
}

// julySign returns what shows that a configuration whose arrays have the given order is from July
// 2023, "" for nothing.
func (c *config) julySign(order string) string {
	const g = july2023
	for _, key := range generations.newKeys[g] {
		if _, ok := c.given[key]; ok {
			return "key " + key
		}
	}
	if generations.mixed[g] && strings.HasPrefix(c.dataMode, mixedMode) {
		return "data_mode " + c.dataMode
	}
	for _, t := range c.layerType {
		if k, ok := kindOfType(t); ok && slices.Contains(generations.newKinds[g], k) {
			return "layer type " + string(k)
		}
	}
	if generations.orders[g] && order != "" {
		return "order " + order + " in the file names"
	}
	return ""
}

// setGeneration sets the generation that the configuration shows, or that was requested.
func (p *plan) setGeneration(c *config, opt Options) error {
	p.generation, p.sign = c.generation(opt.Order)
	if opt.Generation == "" {
		return nil
	}
	requested := generation(slices.Index(generations.name[:], opt.Generation))
	switch {
	case requested < january2023:
		return fmt.Errorf("the generation is %q, want one of %q", opt.Generation, Generations())
	case p.generation == may2022:
		return fmt.Errorf("the generation %s was requested, but without a layer_type the configuration is from %s", opt.Generation, generations.date[may2022])
	case p.generation > requested:
		return fmt.Errorf("the generation %s was requested, but the network is from PyTorch-SbS of %s (%s)", opt.Generation, generations.date[p.generation], p.sign)
	case p.sign == "":
		p.generation, p.sign = requested, "as requested"
	}
	return nil
}

// generationOf returns the generation of a network, whose training configuration was merged.
// It is the one that Load finds in a folder that Save wrote with the order.
func (c *config) generationOf(n *convert.Network, order string) generation {
	if n.Dialect == 1 {
		return may2022
	}
	if c.julySign(order) != "" {
		return july2023
	}
	for _, l := range n.Layers {
		switch l := l.(type) {
		case *convert.NNMF, *convert.Poisson, *convert.SpikeImage:
			return july2023
		case *convert.SbS:
			if l.FullLayer {
				return july2023
			}
		case *convert.OnOff:
			if l.Mean == nil {
				return july2023
			}
		}
	}
	return january2023
}

// settle decides what only the files of a network show: whether ONOFF layers have a mean. It
// notes what the configuration leaves open.
func (p *plan) settle(c *config, means bool) {
	split := slices.IndexFunc(p.layers, func(l layer) bool { return l.kind == kindOnOff })
	january, july := generations.date[january2023], generations.date[july2023]
	switch {
	case p.generation == july2023 && split >= 0 && means:
		p.warn("the Mean files are ignored, and are not written back: ONOFF layers of %s (%s) have no mean", july, p.sign)
	case p.generation == july2023 || split < 0 || p.sign != "":
	case means:
		p.sign = "Mean file"
	case p.generation == january2023:
		p.generation, p.sign, p.guessed = july2023, "no Mean file", true
		p.assume("%v has no Mean file: assumed PyTorch-SbS of %s, which splits around 0.5 and does not divide by the sum; if the network is from %s, which splits around a mean, use --generation %s",
			p.layers[split], july, january, generations.name[january2023])
	}
	p.noteEpsilonXY(c)
	if spikes := p.most(); generations.losesCooldown[p.generation] && c.cooldown >= 0 && c.cooldown < spikes {
		p.warn("%s is %d: the cooldown is applied, although PyTorch-SbS of %s ignores it by mistake",
			c.where("cooldown_after_number_of_spikes"), c.cooldown, generations.date[p.generation])
	}
}

// noteEpsilonXY notes what was assumed about the initial epsilon_xy, if a layer uses it.
func (p *plan) noteEpsilonXY(c *config) {
	if p.most() == 0 || p.generation == may2022 {
		return
	}
	_, given := c.given[initialXYKey]
	january, july := generations.date[january2023], generations.date[july2023]
	switch {
	case p.generation == july2023 && given && c.epsilonXY != 1:
		p.warn("%s is %v, but PyTorch-SbS of %s (%s) ignores it: its value is always 1", c.where(initialXYKey), c.epsilonXY, july, p.sign)
	case p.generation == january2023 && p.sign == "" && c.initialXY(january2023) != 1:
		p.guessed = true
		what := fmt.Sprintf("is %v: assumed PyTorch-SbS of %s, which uses it", c.epsilonXY, january)
		if !given {
			what = fmt.Sprintf("is not given: assumed PyTorch-SbS of %s, where it is %v", january, generations.initialXY[january2023])
		}
		p.assume("%s %s; nothing in the configuration shows whether the network is from %s, where it is always 1: if it is, set it to 1, or use --generation %s",
			c.where(initialXYKey), what, july, generations.name[july2023])
	}
}

// generationText describes the generation for a report.
func (p *plan) generationText() string {
	date := generations.date[p.generation]
	switch {
	case p.guessed && p.sign != "":
		return date + " (assumed: " + p.sign + ")"
	case p.guessed:
		return date + " (assumed)"
	case p.sign != "":
		return date + " (" + p.sign + ")"
	case p.generation == january2023:
		return date + " or later"
	}
	return date
}
