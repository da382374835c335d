package pytorch

import (
	"errors"
	"fmt"
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
)

func (k kind) sbs() bool { return k == kindSbS || k == kindSbSPooling }

func (k kind) windowed() bool {
	return k.sbs() || k == kindAveragePool || k == kindMaxPool || k == kindConv
}

// layer is the configuration of one layer.
type layer struct {
	index     int
	kind      kind
	window    convert.Window
	in, out   convert.Size
	spikes    int  // 0 unless SbS
	given     int  // the number of spikes in the configuration
	local     bool // the layer learns by its local rule
	epsilonXY bool // the layer has trained values, so an EpsXY file is required
}

func (l layer) String() string { return fmt.Sprintf("layer %d (%s)", l.index, l.kind) }

// places returns K, the number of inputs to one output position.
func (l layer) places() int {
	return l.in.Channels * l.window.Kernel[0] * l.window.Kernel[1]
}

// plan is a checked configuration.
type plan struct {
	dialect       int
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
}

func (p *plan) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// newPlan checks everything that can be checked without reading arrays.
func newPlan(c *config, opt Options) (*plan, error) {
	p := &plan{dialect: 1}
	if c.layerType != nil {
		p.dialect = 2
	}
	n, err := c.layers(p)
	if err != nil {
		return nil, err
	}
	first, err := p.preprocess(c, opt)
	if err != nil {
		return nil, err
	}
	size, most := first, 0
	for i := range n {
		l, err := c.layer(p, opt, i, size)
		if err != nil {
			return nil, err
		}
		p.layers = append(p.layers, l)
		size, most = l.out, max(most, l.spikes)
	}
	if c.outputs != 0 && c.outputs != size.Channels {
		return nil, fmt.Errorf("%s is %d, but the last layer has %d outputs",
			c.where("network_structure.number_of_output_neurons"), c.outputs, size.Channels)
	}
	if len(p.classes) != size.Channels {
		p.classes = nil
	}
	return p, p.dynamics(c, most)
}

// layers checks the length of all lists and returns the number of layers.
func (c *config) layers(p *plan) (int, error) {
	const section = "network_structure."
	required := []string{section + "layer_type"}
	if p.dialect == 1 {
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
	if key := section + "forward_neuron_numbers"; p.dialect == 2 && n == 1 && c.lengths[key] > 1 {
		n, longest = c.lengths[key], key // all layers have the same type
	}
	if n > maxLayers {
		return 0, fmt.Errorf("%s: %d layers are too many (at most %d)", c.where(longest), n, maxLayers)
	}
	for _, key := range []string{
		section + "layer_type", section + "forward_neuron_numbers", section + "is_pooling_layer", section + "forward_kernel_size",
		section + "strides", section + "dilation", section + "padding",
		section + "w_trainable", section + "eps_xy_trainable", section + "eps_xy_mean",
		"learning_parameters.w_trainable", "learning_parameters.sbs_skip_gradient_calculation",
		"approximation_setting.approximation_enable", "approximation_setting.number_of_trunc_bits", "approximation_setting.number_of_frac_bits",
		"number_of_spikes", "spike_full_layer_input_distribution",
	} {
		if m := c.lengths[key]; m != 0 && m != 1 && m != n {
			return 0, fmt.Errorf("%s has %d entries, the network has %d layers; give one entry per layer or one for all",
				c.where(key), m, n)
		}
	}
	if p.dialect == 2 {
		for _, key := range []string{"forward_kernel_size", "strides", "dilation", "padding"} {
			if c.lengths[section+key] == 1 && n > 1 {
				p.warn("%s has one entry, which is used for all %d layers", c.where(section+key), n)
			}
		}
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

// layerKind returns the type of layer i.
func (c *config) layerKind(p *plan, i int) (kind, error) {
	if p.dialect == 1 {
		if at(c.pooling, i, false) {
			return kindSbSPooling, nil
		}
		return kindSbS, nil
	}
	given := at(c.layerType, i, "")
	t := strings.ToUpper(given)
	if strings.HasPrefix(t, "APPROX CONV2D") {
		return "", fmt.Errorf("%w yet: layer %d has type %q (a convolution with quantized products); train or convert the network with CONV2D instead",
			ErrUnsupported, i, given)
	}
	if strings.HasPrefix(t, "SBS") && strings.Contains(t, "POOLING") {
		return kindSbSPooling, nil
	}
	known := []kind{kindSbS, kindAveragePool, kindMaxPool, kindConv, kindReLU, kindOnOff, kindReconstruction}
	for _, k := range known {
		if strings.HasPrefix(t, strings.ToUpper(string(k))) {
			return k, nil
		}
	}
	return "", fmt.Errorf("%w: %s is %q for layer %d; known types begin with %q, in upper or lower case (an SbS type that contains POOLING has fixed pooling weights)",
		ErrUnsupported, c.where("network_structure.layer_type"), given, i, known)
}

// layer checks the configuration of layer i, whose input has the given size.
func (c *config) layer(p *plan, opt Options, i int, in convert.Size) (layer, error) {
	l := layer{index: i, in: in}
	var err error
	if l.kind, err = c.layerKind(p, i); err != nil {
		return l, err
	}
	l.local = p.dialect == 2 && l.kind.sbs() && strings.Contains(strings.ToUpper(at(c.layerType, i, "")), "LOCAL")
	if at(c.fullLayer, i, false) {
		return l, fmt.Errorf("%w: spike_full_layer_input_distribution is true for %v; train the network without it", ErrUnsupported, l)
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
	switch l.kind {
	case kindSbS, kindSbSPooling:
		l.given = at(c.spikes, i, 0)
		l.spikes = l.given
		if opt.Spikes > 0 {
			l.spikes = opt.Spikes
		}
		if l.spikes < 1 || l.spikes > maxSpikes {
			return l, fmt.Errorf("%s is %d for %v, want 1 to %d; give a number with --spikes",
				c.where("number_of_spikes"), l.spikes, l, maxSpikes)
		}
		// Without the list, a missing file may hold trained values.
		l.epsilonXY = p.dialect == 1 && at(c.epsTrain, i, true)
		if _, err := ops.Len([]int{l.places(), l.out.Channels}); err != nil {
			return l, fmt.Errorf("%v: too many weights: %d inputs (channels times kernel places) and %d neurons", l, l.places(), l.out.Channels)
		}
	case kindReconstruction:
		if i == 0 || !p.layers[i-1].kind.sbs() {
			return l, fmt.Errorf("%v must come directly after an SbS layer", l)
		}
		l.out.Channels = p.layers[i-1].places()
	}
	if l.out.Channels > maxChannels {
		return l, fmt.Errorf("%v has %d output channels, want at most %d", l, l.out.Channels, maxChannels)
	}
	if given := at(c.neurons, i, nil); len(given) == 2 && given[1] != l.out.Channels {
		return l, fmt.Errorf("%s[%d] says that %v has %d outputs, but with %d inputs it has %d",
			c.where("network_structure.forward_neuron_numbers"), i, l, given[1], in.Channels, l.out.Channels)
	}
	return l, nil
}

// channels checks the numbers of neurons of a layer and sets the output channels.
func (c *config) channels(p *plan, l *layer) error {
	key := fmt.Sprintf("%s[%d]", c.where("network_structure.forward_neuron_numbers"), l.index)
	given := at(c.neurons, l.index, nil)
	if len(given) == 2 {
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
	switch l.kind {
	case kindSbS, kindSbSPooling, kindConv:
		if len(given) != 2 {
			return fmt.Errorf("%s is missing or empty, and %v needs its [inputs, outputs]", key, l)
		}
		if l.kind == kindSbSPooling && given[0] != given[1] {
			return fmt.Errorf("%s: %v has %d inputs and %d outputs; a pooling layer needs as many outputs as inputs", key, l, given[0], given[1])
		}
		l.out.Channels = given[1]
	case kindOnOff:
		l.out.Channels = 2 * l.in.Channels
	}
	return nil
}

// window sets the geometry of a layer and the height and width of its output.
func (c *config) window(p *plan, l *layer) error {
	const section = "network_structure."
	pick := func(key string, list [][]int, def int) ([2]int, error) {
		e := at(list, l.index, nil)
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
	if given := at(c.kernel, l.index, nil); len(given) != 2 && (len(c.kernel) > 0 || p.dialect == 1) {
		return fmt.Errorf("%s[%d] is empty, and %v needs a kernel size", c.where(section+"forward_kernel_size"), l.index, l)
	}
	for i, d := range w.Dilations {
		w.Dilations[i] = max(d, 1) // PyTorch-SbS documents 0 as the default but uses 1
	}
	if l.kind == kindAveragePool && w.Dilations != [2]int{1, 1} {
		return fmt.Errorf("%s[%d] is %v, but %v supports only a dilation of 1", c.where(section+"dilation"), l.index, w.Dilations, l)
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
