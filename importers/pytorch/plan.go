package pytorch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Limits of a configuration. They are far above the numbers in any trained network and
// keep every product well inside 63 bits.
const (
	maxLayers   = 1000
	maxSpikes   = sbs.MaxSpikes
	maxNeurons  = 1 << 20
	maxChannels = 1 << 24 // a reconstruction has as many channels as its SbS layer has places
	maxWindow   = 1 << 12 // kernel, stride, dilation, padding
	maxImage    = 1 << 14
	maxAlpha    = 1000
	maxBits     = 32 // number_of_frac_bits, number_of_trunc_bits
)

// kind is the name of a layer type in PyTorch-SbS.
type kind string

const (
	kindSbS            kind = "SbS"
	kindSbSPooling     kind = "SbS POOLING"
	kindAveragePool    kind = "Average POOLING"
	kindMaxPool        kind = "MAX POOLING"
	kindConv           kind = "CONV2D"
	kindReLU           kind = "RELU"
	kindOnOff          kind = "ONOFF"
	kindReconstruction kind = "RECONSTRUCTION"
	kindApproxConv     kind = "APPROX CONV2D"
	kindSpikeImage     kind = "INPUT SPIKE IMAGE"
	kindNNMF           kind = "NNMF"
	kindBPSbSNNMF      kind = "BP SBS NNMF"
	kindPoisson        kind = "POISSON"
)

// kinds are the types of layers in the order in which PyTorch-SbS compares them with the
// beginning of a name.
var kinds = []kind{
	kindSbS, kindReconstruction, kindOnOff, kindConv, kindReLU, kindMaxPool, kindAveragePool,
	kindApproxConv, kindSpikeImage, kindNNMF, kindBPSbSNNMF, kindPoisson,
}

// kindOfType returns the type that an entry of layer_type names, false if it is unknown.
func kindOfType(name string) (kind, bool) {
	t := strings.ToUpper(name)
	for _, k := range kinds {
		if strings.HasPrefix(t, strings.ToUpper(string(k))) {
			if k == kindSbS && strings.Contains(t, "POOLING") {
				return kindSbSPooling, true
			}
			return k, true
		}
	}
	return "", false
}

func (k kind) sbs() bool { return k == kindSbS || k == kindSbSPooling }

func (k kind) nnmf() bool { return k == kindNNMF || k == kindBPSbSNNMF }

func (k kind) conv() bool { return k == kindConv || k == kindApproxConv }

// weighted reports whether the layer has its own number of neurons.
func (k kind) weighted() bool { return k.sbs() || k.nnmf() || k.conv() }

func (k kind) windowed() bool { return k.weighted() || k == kindAveragePool || k == kindMaxPool }

// counted reports whether number_of_spikes has an effect on the layer.
func (k kind) counted() bool {
	return k.sbs() || k.nnmf() || k == kindPoisson || k == kindSpikeImage
}

// layer is the configuration of one layer.
type layer struct {
	index     int
	kind      kind
	window    convert.Window
	in, out   convert.Size
	spikes    int  // the number of spikes, or of iterations of an NNMF layer; 0 for other layers
	given     int  // that number in the configuration
	local     bool // the layer learns by its local rule
	fullLayer bool // the spikes come from the whole input
	epsilonXY bool // the layer has trained values, so an EpsXY file is required
}

func (l layer) String() string { return fmt.Sprintf("layer %d (%s)", l.index, l.kind) }

// places returns K, the number of inputs to one output position.
func (l layer) places() int {
	return l.in.Channels * l.window.Kernel[0] * l.window.Kernel[1]
}

// plan is a checked configuration.
type plan struct {
	generation    generation
	sign          string       // what shows that it is this generation; "" if nothing does, or in dialect 1
	guessed       bool         // the generation is an assumption that matters
	input         convert.Size // the value of Network.Input
	preprocessing convert.Preprocessing
	split         bool // the first layer gets the channels of the on/off split
	classes       []string
	borders       *convert.Borders
	layers        []layer

	epsilonT   []float32 // for the layer with most spikes; the other layers use a prefix
	epsilon0   float32
	forgetting float32
	alpha      int
	warnings   []string
	assumed    []string // what the configuration leaves open
}

func (p *plan) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

func (p *plan) assume(format string, args ...any) {
	p.assumed = append(p.assumed, fmt.Sprintf(format, args...))
}

// newPlan checks everything that can be checked without reading arrays.
// opt.Order is the order of the arrays that are read.
func newPlan(c *config, opt Options) (*plan, error) {
	p := new(plan)
	if err := p.setGeneration(c, opt); err != nil {
		return nil, err
	}
	n, err := c.layers(p)
	if err != nil {
		return nil, err
	}
	first, err := p.preprocess(c, opt)
	if err != nil {
		return nil, err
	}
	size := first
	for i := range n {
		l, err := c.layer(p, opt, i, size)
		if err != nil {
			return nil, err
		}
		p.layers = append(p.layers, l)
		size = l.out
	}
	reconstruction := p.layers[n-1].kind == kindReconstruction // its outputs are no classes
	if c.outputs != 0 && c.outputs != size.Channels && !reconstruction {
		return nil, fmt.Errorf("%s is %d, but the last layer has %d outputs",
			c.where("network_structure.number_of_output_neurons"), c.outputs, size.Channels)
	}
	if len(p.classes) != size.Channels || reconstruction {
		p.classes = nil
	}
	if !generations.typed[p.generation] && slices.Contains(c.fullLayer, true) {
		p.warn("%s belongs to dialect 2 and is ignored", c.where("spike_full_layer_input_distribution"))
	}
	if c.noisy {
		p.warn("%s is ignored: use the flag --noise of sbs-run to measure a network with noisy images", c.where("extract_noisy_pictures"))
	}
	return p, p.dynamics(c)
}

// layers checks the length of all lists and returns the number of layers.
func (c *config) layers(p *plan) (int, error) {
	const section = "network_structure."
	required := []string{section + "layer_type"}
	typed, broadcast := generations.typed[p.generation], generations.broadcast[p.generation]
	if !typed {
		required = []string{section + "is_pooling_layer", section + "forward_neuron_numbers", section + "forward_kernel_size"}
	}
	n, longest := 0, ""
	for _, key := range required {
		if c.lengths[key] == 0 {
			return 0, fmt.Errorf("%s: the list is missing or empty (dialect 2 requires layer_type; dialect 1 requires "+
				"is_pooling_layer, forward_neuron_numbers and forward_kernel_size)", c.where(key))
		}
		if m := c.lengths[key]; m > n {
			n, longest = m, key
		}
	}
	if key := section + "forward_neuron_numbers"; typed && n == 1 && c.lengths[key] > 1 {
		n, longest = c.lengths[key], key // all layers have the same type
	}
	if n > maxLayers {
		return 0, fmt.Errorf("%s: %d layers are too many (at most %d)", c.where(longest), n, maxLayers)
	}
	for _, key := range []string{
		section + "layer_type", section + "is_pooling_layer", section + "w_trainable",
		section + "eps_xy_trainable", section + "eps_xy_mean",
		"learning_parameters.w_trainable", "learning_parameters.sbs_skip_gradient_calculation",
		"approximation_setting.approximation_enable", "approximation_setting.number_of_trunc_bits", "approximation_setting.number_of_frac_bits",
		"number_of_spikes",
	} {
		if m := c.lengths[key]; m != 0 && m != 1 && m != n {
			return 0, fmt.Errorf("%s has %d entries, the network has %d layers; give one entry per layer or one for all",
				c.where(key), m, n)
		}
	}
	for _, key := range []string{"forward_neuron_numbers", "forward_kernel_size", "strides", "dilation", "padding"} {
		m, all, def := c.lengths[section+key], "", "[1, 1]"
		switch key {
		case "padding":
			def = "[0, 0]"
		case "forward_neuron_numbers":
			def = "none"
		}
		if broadcast {
			all = " or one for all"
		}
		if m > n || broadcast && m > 1 && m < n {
			return 0, fmt.Errorf("%s has %d entries, the network has %d layers; give one entry per layer%s", c.where(section+key), m, n, all)
		}
		if !broadcast && m > 0 && m < n {
			p.warn("%s has entries for %d of the %d layers; the others have %s, as in PyTorch-SbS", c.where(section+key), m, n, def)
		}
	}
	if m := c.lengths["spike_full_layer_input_distribution"]; m > n {
		return 0, fmt.Errorf("%s has %d entries, the network has %d layers; give one entry per layer (layers without an entry have false)",
			c.where("spike_full_layer_input_distribution"), m, n)
	}
	return n, nil
}

// at returns the entry of layer i in a list. A single entry applies to all layers; def is
// the default of layers without an entry.
func at[T any](list []T, i int, def T) T {
	switch {
	case i < len(list):
		return list[i]
	case len(list) == 1:
		return list[0]
	}
	return def
}

// entry returns the entry of layer i in a list of pairs, nil if there is none.
func entry(g generation, list [][]int, i int) []int {
	if i >= len(list) && !generations.broadcast[g] {
		return nil
	}
	return at(list, i, nil)
}

// layerKind returns the type of layer i.
func (c *config) layerKind(p *plan, i int) (kind, error) {
	if !generations.typed[p.generation] {
		if at(c.pooling, i, false) {
			return kindSbSPooling, nil
		}
		return kindSbS, nil
	}
	given := at(c.layerType, i, "")
	if k, ok := kindOfType(given); ok {
		return k, nil
	}
	return "", fmt.Errorf("%w: %s is %q for layer %d; known types begin with %q, in upper or lower case (an SbS type that contains POOLING has fixed pooling weights)",
		ErrUnsupported, c.where("network_structure.layer_type"), given, i, kinds)
}

// layer checks the configuration of layer i, whose input has the given size.
func (c *config) layer(p *plan, opt Options, i int, in convert.Size) (layer, error) {
	l := layer{index: i, in: in}
	var err error
	if l.kind, err = c.layerKind(p, i); err != nil {
		return l, err
	}
	if generations.typed[p.generation] && l.kind.sbs() {
		l.local = strings.Contains(strings.ToUpper(at(c.layerType, i, "")), "LOCAL")
		l.fullLayer = i < len(c.fullLayer) && c.fullLayer[i] // a single entry is for layer 0
	}
	if err := c.channels(p, &l); err != nil {
		return l, err
	}
	l.out.Height, l.out.Width = in.Height, in.Width
	if l.kind.windowed() {
		if err := c.window(p, &l); err != nil {
			return l, err
		}
	}
	if l.kind.counted() {
		if err := c.count(p, opt, &l); err != nil {
			return l, err
		}
	}
	switch {
	case l.kind.sbs() || l.kind.nnmf():
		// Without the list, a missing file may hold trained values.
		l.epsilonXY = generations.epsilonFiles[p.generation] && at(c.epsTrain, i, true)
		if _, err := ops.Len([]int{l.places(), l.out.Channels}); err != nil {
			return l, fmt.Errorf("%v: too many weights: %d inputs (channels times kernel places) and %d neurons", l, l.places(), l.out.Channels)
		}
	case l.kind == kindApproxConv:
		if err := c.approximation(l); err != nil {
			return l, err
		}
	case l.kind == kindReconstruction:
		if i == 0 {
			return l, fmt.Errorf("%v must come directly after an SbS layer", l)
		}
		before := p.layers[i-1]
		if !before.kind.sbs() {
			return l, fmt.Errorf("%v must come directly after an SbS layer, not after %v", l, before)
		}
		l.out.Channels = before.places()
		return l, nil // its number of neurons plays no part
	}
	if l.out.Channels > maxChannels {
		return l, fmt.Errorf("%v has %d output channels, want at most %d", l, l.out.Channels, maxChannels)
	}
	if given := entry(p.generation, c.neurons, i); len(given) == 2 && given[1] != l.out.Channels {
		return l, fmt.Errorf("%s[%d] says that %v has %d outputs, but with %d inputs it has %d",
			c.where("network_structure.forward_neuron_numbers"), i, l, given[1], in.Channels, l.out.Channels)
	}
	return l, nil
}

// count sets the number of spikes or iterations of a layer.
func (c *config) count(p *plan, opt Options, l *layer) error {
	const key = "number_of_spikes"
	l.given = at(c.spikes, l.index, 0)
	where := c.where(key)
	if l.index == 0 && opt.Order != "" && (l.kind.sbs() || l.kind == kindSpikeImage) {
		spikes, err := spikesOfOrder(opt.Order, l.in)
		if err != nil {
			return fmt.Errorf("%v: %w", l, err)
		}
		l.given, where = spikes, "the number of spikes by the order "+opt.Order
		why := "the arrays have the order " + opt.Order
		if opt.Weights == "" {
			why = "because of --order " + opt.Order
		}
		p.assume("%v has %d spikes instead of %s: %s, and the input has %d values",
			l, spikes, key, why, l.in.Channels*l.in.Height*l.in.Width)
	}
	l.spikes = l.given
	least, what, advice := 1, "", ""
	switch {
	case l.kind == kindSpikeImage:
		l.spikes = max(l.spikes, 0)
		least, what = 0, " (0 or less draws no spikes)"
	case l.kind.nnmf():
		what = " iterations"
	case l.kind.sbs():
		advice = "; give a number with --spikes"
		if opt.Spikes > 0 {
			l.spikes = opt.Spikes
		}
	}
	if l.spikes < least || l.spikes > maxSpikes {
		return fmt.Errorf("%s is %d for %v, want %d to %d%s%s", where, l.spikes, l, least, maxSpikes, what, advice)
	}
	return nil
}

// approximation checks the settings of an APPROX CONV2D layer.
func (c *config) approximation(l layer) error {
	const section = "approximation_setting."
	for _, v := range []struct {
		key         string
		list        []int
		least, most int
	}{
		{section + "number_of_frac_bits", c.fracBits, 1, maxBits},
		{section + "number_of_trunc_bits", c.truncBits, 0, maxBits},
	} {
		switch n := at(v.list, l.index, -1); {
		case n == -1:
			return fmt.Errorf("%s is missing for %v, which needs it even if its approximation is disabled; want %d to %d",
				c.where(v.key), l, v.least, v.most)
		case n < v.least || n > v.most:
			return fmt.Errorf("%s is %d for %v, want %d to %d", c.where(v.key), n, l, v.least, v.most)
		}
	}
	return nil
}

// channels checks the numbers of neurons of a layer and sets the output channels.
func (c *config) channels(p *plan, l *layer) error {
	key := fmt.Sprintf("%s[%d]", c.where("network_structure.forward_neuron_numbers"), l.index)
	given := entry(p.generation, c.neurons, l.index)
	if len(given) == 2 && l.kind != kindReconstruction {
		if given[0] < 1 || given[0] > maxNeurons || given[1] < 1 || given[1] > maxNeurons {
			return fmt.Errorf("%s: %v has %d inputs and %d outputs, want 1 to %d", key, l, given[0], given[1], maxNeurons)
		}
		if given[0] != l.in.Channels {
			if l.index == 0 && p.split {
				return fmt.Errorf("%s: %v expects %d input channels, but the image has %d after the on/off split; "+
					"change --input, or set \"use_on_off_filter\": false under \"augmentation\" if the network was trained without the split",
					key, l, given[0], l.in.Channels)
			}
			if l.index == 0 {
				return fmt.Errorf("%s: %v expects %d input channels, but the image has %d; change --input", key, l, given[0], l.in.Channels)
			}
			return fmt.Errorf("%s: %v expects %d input channels, but %v gives %d", key, l, given[0], p.layers[l.index-1], l.in.Channels)
		}
	}
	l.out.Channels = l.in.Channels
	switch {
	case l.kind.weighted():
		if len(given) != 2 {
			return fmt.Errorf("%s is missing or empty, and %v needs its [inputs, outputs]", key, l)
		}
		if l.kind == kindSbSPooling && given[0] != given[1] {
			return fmt.Errorf("%s: %v has %d inputs and %d outputs; a pooling layer needs as many outputs as inputs", key, l, given[0], given[1])
		}
		l.out.Channels = given[1]
	case l.kind == kindOnOff:
		l.out.Channels = 2 * l.in.Channels
	}
	return nil
}

// window sets the geometry of a layer and the height and width of its output.
func (c *config) window(p *plan, l *layer) error {
	const section = "network_structure."
	pick := func(key string, list [][]int, def int) ([2]int, error) {
		e := entry(p.generation, list, l.index)
		if len(e) != 2 {
			e = []int{def, def}
		}
		for _, v := range e {
			if v < 0 || v > maxWindow {
				return [2]int{}, fmt.Errorf("%s[%d] is %v for %v, want entries from 0 to %d", c.where(section+key), l.index, e, l, maxWindow)
			}
		}
		return [2]int(e), nil
	}
	w := &l.window
	var errs [4]error
	w.Kernel, errs[0] = pick("forward_kernel_size", c.kernel, 1)
	w.Strides, errs[1] = pick("strides", c.strides, 1)
	w.Dilations, errs[2] = pick("dilation", c.dilation, 1)
	w.Pads, errs[3] = pick("padding", c.padding, 0)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if missing := l.index >= len(c.kernel) && !generations.broadcast[p.generation]; len(entry(p.generation, c.kernel, l.index)) != 2 && !missing {
		return fmt.Errorf("%s[%d] is empty, and %v needs a kernel size", c.where(section+"forward_kernel_size"), l.index, l)
	}
	for i, d := range w.Dilations {
		w.Dilations[i] = max(d, 1) // PyTorch-SbS documents 0 as the default but uses 1
	}
	if l.kind == kindAveragePool && w.Dilations != [2]int{1, 1} {
		p.warn("%s[%d] is %v, but %v ignores it, as PyTorch-SbS does", c.where(section+"dilation"), l.index, w.Dilations, l)
		w.Dilations = [2]int{1, 1}
	}
	if l.kind == kindAveragePool || l.kind == kindMaxPool {
		if w.Pads[0] > w.Kernel[0]/2 || w.Pads[1] > w.Kernel[1]/2 {
			return fmt.Errorf("%s[%d] is %v for %v, want at most half its kernel %v", c.where(section+"padding"), l.index, w.Pads, l, w.Kernel)
		}
	}
	var err error
	if l.out.Height, l.out.Width, err = w.Output(l.in.Height, l.in.Width); err != nil {
		return fmt.Errorf("%v with input %v: %w; check forward_kernel_size, strides, dilation and padding, and the size of the image", l, l.in, err)
	}
	return nil
}
