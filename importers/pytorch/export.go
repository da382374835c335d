package pytorch

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// exporter turns a network's layers into a configuration.
type exporter struct {
	network    *convert.Network
	generation generation
	sizes      []convert.Size
	config     *config // decoded from Network.Training
	root       map[string]any
	generated  int // elements made by constantEpsilonXY so far
	warnings   []string
}

// newExporter makes a configuration for a network from Network.Training and the layers.
// A property that a configuration cannot express is an error that wraps ErrUnsupported if
// PyTorch-SbS would make another network, and a warning if it would run the same network
// differently.
func newExporter(n *convert.Network, order string) (*exporter, error) {
	if err := checkDialect(n); err != nil {
		return nil, err
	}
	if err := n.Check(); err != nil {
		return nil, err
	}
	sizes, err := n.Sizes()
	if err != nil {
		return nil, err
	}
	for i, l := range n.Layers {
		if err := checkFinite(l); err != nil {
			return nil, fmt.Errorf("layer %d (%s): %w", i, l.Kind(), err)
		}
	}
	e := &exporter{network: n, sizes: sizes, config: newConfig()}
	if err := e.config.mergeTraining(n); err != nil {
		return nil, err
	}
	e.root, e.generation = e.config.merged, e.config.generationOf(n, order)
	for i, l := range n.Layers {
		if err := e.possible(i, l); err != nil {
			return nil, fmt.Errorf("%w: layer %d (%s) %w", ErrUnsupported, i, l.Kind(), err)
		}
	}
	e.structure()
	e.fewNeurons()
	e.approximation()
	e.fullLayers()
	if err := e.dynamics(); err != nil {
		return nil, err
	}
	return e, e.preprocessing()
}

// checkDialect returns an error for networks without a dialect.
func checkDialect(n *convert.Network) error {
	switch {
	case n == nil:
		return errors.New("no network was given")
	case n.Dialect != 1 && n.Dialect != 2:
		return fmt.Errorf("the network has dialect %d of PyTorch-SbS, want 1 or 2", n.Dialect)
	}
	return nil
}

// checkFinite returns an error about values that Load would refuse. Network.Check has
// already checked SbS layers.
func checkFinite(l convert.Layer) error {
	tensors := map[string]*ops.Tensor{}
	switch l := l.(type) {
	case *convert.Conv:
		tensors["weights"], tensors["bias"] = l.Weights, l.Bias
	case *convert.ApproxConv:
		tensors["weights"], tensors["bias"] = l.Weights, l.Bias
	case *convert.OnOff:
		tensors["mean"] = l.Mean
	}
	for _, what := range slices.Sorted(maps.Keys(tensors)) {
		if tensors[what] == nil {
			continue
		}
		for i, v := range tensors[what].Float32s() {
			if !finite(v) {
				return fmt.Errorf("%s: element %d is %v, want a finite number", what, i, v)
			}
		}
	}
	return nil
}

func (e *exporter) warn(format string, args ...any) {
	e.warnings = append(e.warnings, fmt.Sprintf(format, args...))
}

// section returns an object of the configuration.
func (e *exporter) section(name string) map[string]any {
	s, ok := e.root[name].(map[string]any)
	if !ok {
		s = map[string]any{}
		e.root[name] = s
	}
	return s
}

// possible returns an error if the generation has no such layer. The text continues the
// words "layer 0 (SbS)".
func (e *exporter) possible(i int, l convert.Layer) error {
	g := e.generation
	if split, ok := l.(*convert.OnOff); ok && generations.typed[g] && (split.Mean != nil) != generations.onOffMean[g] {
		return fmt.Errorf("has a mean, but another layer or a key of the network is from PyTorch-SbS of %s, whose ONOFF layers have none", generations.date[july2023])
	}
	s, ok := l.(*convert.SbS)
	switch {
	case !generations.typed[g] && !ok:
		return errors.New("cannot be written for dialect 1, which has only SbS layers")
	case !ok:
		if name, _ := layerType(l); name == "" {
			return errors.New("cannot be written: folders have no such layer")
		}
		return nil
	case !generations.forgetting[g] && s.Forgetting > 0:
		return errors.New("uses forgetting, which dialect 1 does not support")
	case !generations.typed[g] && s.Local:
		return errors.New("learns locally, which dialect 1 does not support")
	case !generations.typed[g] && s.FullLayer:
		return errors.New("draws spikes from its whole input, which dialect 1 does not support")
	case !generations.epsilonFiles[g] && s.EpsilonXY != nil:
		return errors.New("has an epsilon_xy, which dialect 2 does not support")
	case !generations.alpha[g] && s.AlphaIterations > 0:
		return errors.New("has alpha iterations, which dialect 2 does not support")
	case s.Pooling && s.Weights.Shape()[1] != e.sizes[i].Channels:
		return fmt.Errorf("is a pooling layer with %d inputs and %d outputs, but the numbers must be equal", e.sizes[i].Channels, s.Weights.Shape()[1])
	}
	return nil
}

// layerType returns the layer_type of a layer, and its window, nil if it has none. The layer_type is
// "" if a folder cannot hold the layer.
func layerType(l convert.Layer) (string, *convert.Window) {
	switch l := l.(type) {
	case *convert.SbS:
		name := string(kindSbS)
		if l.Pooling {
			name = string(kindSbSPooling)
		}
		if l.Local {
			name += " LOCAL"
		}
		return name, &l.Window
	case *convert.AveragePool:
		return string(kindAveragePool), &l.Window
	case *convert.MaxPool:
		return string(kindMaxPool), &l.Window
	case *convert.Conv:
		return string(kindConv), &l.Window
	case *convert.ApproxConv:
		return string(kindApproxConv), &l.Window
	case *convert.NNMF:
		if l.Gradient == sbs.GradientClosedForm {
			return string(kindBPSbSNNMF), &l.Window
		}
		return string(kindNNMF), &l.Window
	case *convert.Poisson:
		return string(kindPoisson), nil
	case *convert.SpikeImage:
		return string(kindSpikeImage), nil
	case *convert.ReLU:
		return string(kindReLU), nil
	case *convert.OnOff:
		return string(kindOnOff), nil
	case *convert.Reconstruction:
		return string(kindReconstruction), nil
	}
	return "", nil
}

// structure sets the section network_structure.
func (e *exporter) structure() {
	var types []string
	var pooling []bool
	none := []int{}
	var neurons, kernel, strides, dilation, padding [][]int
	plain := true // neither dilation nor padding
	for i, l := range e.network.Layers {
		name, w := layerType(l)
		types = append(types, name)
		s, ok := l.(*convert.SbS)
		pooling = append(pooling, ok && s.Pooling)
		if w == nil {
			// PyTorch-SbS accepts no empty lists for the others.
			neurons, kernel, strides = append(neurons, none), append(kernel, []int{1, 1}), append(strides, none)
			dilation, padding = append(dilation, []int{1, 1}), append(padding, []int{0, 0})
			continue
		}
		neurons = append(neurons, []int{e.sizes[i].Channels, e.sizes[i+1].Channels})
		kernel, strides = append(kernel, w.Kernel[:]), append(strides, w.Strides[:])
		dilation, padding = append(dilation, w.Dilations[:]), append(padding, w.Pads[:])
		plain = plain && w.Dilations == [2]int{1, 1} && w.Pads == [2]int{}
	}
	s := e.section("network_structure")
	s["number_of_output_neurons"] = e.sizes[len(e.sizes)-1].Channels
	s["forward_neuron_numbers"], s["forward_kernel_size"], s["strides"] = neurons, kernel, strides
	typed := generations.typed[e.generation]
	if typed {
		s["layer_type"] = types
	} else {
		s["is_pooling_layer"] = pooling
	}
	if !typed || !plain {
		s["dilation"], s["padding"] = dilation, padding
	}
}

// fewNeurons warns of layers that PyTorch-SbS refuses.
func (e *exporter) fewNeurons() {
	for i, l := range e.network.Layers {
		switch l.(type) {
		case *convert.SbS, *convert.NNMF:
			if n := e.sizes[i+1].Channels; n <= 2 && generations.typed[e.generation] {
				e.warn("layer %d (%s) has %d neurons; PyTorch-SbS refuses layers with fewer than 3", i, l.Kind(), n)
			}
		}
	}
}

// approximation sets the section approximation_setting. Equal settings of all layers that have
// them need one entry.
func (e *exporter) approximation() {
	var enabled []bool
	var trunc, frac []int
	var used []convert.ApproxConv
	for _, l := range e.network.Layers {
		setting := convert.ApproxConv{TruncBits: -1, FracBits: -1}
		if a, ok := l.(*convert.ApproxConv); ok {
			setting = convert.ApproxConv{TruncBits: a.TruncBits, FracBits: a.FracBits, Enabled: a.Enabled}
			used = append(used, setting)
		}
		enabled = append(enabled, setting.Enabled)
		trunc, frac = append(trunc, setting.TruncBits), append(frac, setting.FracBits)
	}
	if len(used) == 0 {
		return
	}
	if same(used) {
		enabled, trunc, frac = []bool{used[0].Enabled}, []int{used[0].TruncBits}, []int{used[0].FracBits}
	}
	s := e.section("approximation_setting")
	s["approximation_enable"], s["number_of_trunc_bits"], s["number_of_frac_bits"] = enabled, trunc, frac
}

// fullLayers sets spike_full_layer_input_distribution if the layers differ from the
// configuration.
func (e *exporter) fullLayers() {
	full, given := make([]bool, len(e.network.Layers)), make([]bool, len(e.network.Layers))
	copy(given, e.config.fullLayer)
	differ := false
	for i, l := range e.network.Layers {
		if s, ok := l.(*convert.SbS); ok {
			full[i] = s.FullLayer
			differ = differ || given[i] != full[i]
		}
	}
	if differ || len(e.config.fullLayer) > len(full) {
		e.root["spike_full_layer_input_distribution"] = full
	}
}

// dynamics sets the parameters of the updates of h.
func (e *exporter) dynamics() error {
	n, c := e.network, e.config
	spikes := make([]int, len(n.Layers))
	var used []int // number of spikes or iterations of each layer that has them
	var forgetting, fixed, folded, steps []float32
	var alpha []int
	schedules, samplers := 0, 0
	for i, l := range n.Layers {
		count, ok := countOf(l)
		if !ok {
			continue
		}
		spikes[i] = count
		used = append(used, count)
		if l, ok := l.(*convert.NNMF); ok {
			steps = append(steps, max(l.Epsilon0, 0))
		}
		s, ok := l.(*convert.SbS)
		if !ok {
			continue
		}
		forgetting, alpha = append(forgetting, max(s.Forgetting, 0)), append(alpha, s.AlphaIterations)
		if s.EpsilonXY != nil {
			fixed = append(fixed, s.Epsilon0)
		} else if !e.needsEpsilonXY(i) {
			folded = append(folded, s.Epsilon0)
		}
		if len(s.EpsilonT) < s.Spikes || !slices.Equal(s.EpsilonT[:s.Spikes], c.epsilonT(e.generation, s.Spikes)) {
			schedules++
		}
		if s.Sampler == sbs.LowDiscrepancy {
			samplers++
		}
	}
	if len(used) == 0 {
		return nil
	}
	if schedules > 0 {
		e.warn("the epsilon_t of %d of the %d SbS layers cannot be expressed in a configuration; PyTorch-SbS will use its own", schedules, len(alpha))
	}
	if samplers > 0 {
		e.warn("%d of the %d SbS layers draw low-discrepancy spikes; PyTorch-SbS will draw independent ones", samplers, len(alpha))
	}
	switch {
	case !same(used):
		e.root["number_of_spikes"] = spikes
	case !generations.typed[e.generation]:
		e.root["number_of_spikes"] = used[0] // dialect 1 has no list
	default:
		e.root["number_of_spikes"] = used[:1]
	}
	if !generations.typed[e.generation] && !same(used) {
		e.warn("the layers have different numbers of spikes; PyTorch-SbS of dialect 1 supports one number for all layers")
	}
	folded = append(folded, steps...) // in a network with NNMF layers, eps_xy_intitial has no effect
	if !same(forgetting) || !same(alpha) || !same(fixed) || !same(folded) {
		which := "SbS"
		if len(steps) > 0 {
			which = "SbS and NNMF"
		}
		return fmt.Errorf("%w: the %s layers have different forgetting, epsilon_0 or alpha iterations; PyTorch-SbS supports one value for all layers", ErrUnsupported, which)
	}
	if len(alpha) == 0 {
		return e.epsilon(fixed, folded, false)
	}
	if forgetting[0] > 0 {
		e.root["forgetting_offset"] = forgetting[0]
	}
	if alpha[0] > 0 {
		e.section("learning_parameters")["alpha_number_of_iterations"] = alpha[0]
	}
	return e.epsilon(fixed, folded, true)
}

// countOf returns the entry of a layer in number_of_spikes, false if it has none.
func countOf(l convert.Layer) (int, bool) {
	switch l := l.(type) {
	case *convert.SbS:
		return l.Spikes, true
	case *convert.NNMF:
		return l.Iterations, true
	case *convert.Poisson:
		return l.Spikes, true
	case *convert.SpikeImage:
		return l.Spikes, true
	}
	return 0, false
}

func same[T comparable](list []T) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return v != list[0] })
}

// epsilon sets epsilon_0 and eps_xy_intitial if the layers differ from the configuration.
// fixed holds the Epsilon0 of layers with an epsilon_xy, which are all equal. folded
// holds the Epsilon0 of layers without an epsilon_xy, which are products of epsilon_0 and
// eps_xy_intitial; those of NNMF layers are among them if eps_xy_intitial has no effect. spiking
// reports whether there are SbS layers, for which epsilon_0 must be greater than 0.
func (e *exporter) epsilon(fixed, folded []float32, spiking bool) error {
	e0, xy := e.config.epsilon0, e.config.initialXY(e.generation)
	if len(fixed) > 0 && float32(e0) != fixed[0] {
		e0 = shortest(fixed[0])
		e.root["epsilon_0"], e.config.epsilon0 = e0, e0
	}
	if len(folded) > 0 && float32(max(e0*xy, 0)) != folded[0] {
		if !generations.usesInitialXY[e.generation] {
			e0 = shortest(folded[0])
			e.root["epsilon_0"], e.config.epsilon0 = e0, e0
			return nil
		}
		if len(fixed) == 0 {
			e0, xy = shortest(folded[0]), 1
		} else {
			xy = float64(folded[0]) / e0
		}
		e.root["epsilon_0"], e.config.epsilon0 = e0, e0
		e.section("learning_parameters")["eps_xy_intitial"] = xy
		e.config.epsilonXY, e.config.given[initialXYKey] = xy, ""
	}
	if spiking && float32(e0) <= 0 {
		return fmt.Errorf("%w: epsilon_0 is %v, but PyTorch-SbS requires more than 0", ErrUnsupported, e0)
	}
	return nil
}

// shortest returns the number with the fewest digits that float32 rounds to v.
func shortest(v float32) float64 {
	f, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	return f
}

// needsEpsilonXY reports whether PyTorch-SbS requires an EpsXY file for layer i, even
// if the layer has no epsilon_xy of its own: dialect 1 requires one for every layer
// whose epsilon_xy is trainable.
func (e *exporter) needsEpsilonXY(i int) bool {
	return generations.epsilonFiles[e.generation] && at(e.config.epsTrain, i, true)
}

// preprocessing sets the keys of the preprocessing. A network without preprocessing keeps
// the keys of its configuration.
func (e *exporter) preprocessing() error {
	p, g := e.network.Preprocessing, e.generation
	if p.OnOffMean == nil && p.Crop == 0 && p.Offset == 0 {
		return nil
	}
	s := e.section("augmentation")
	s["crop_width_in_pixel"] = p.Crop
	switch {
	case generations.split[g]:
		s["use_on_off_filter"] = p.OnOffMean != nil
	case p.OnOffMean != nil:
		return fmt.Errorf("%w: the preprocessing has an on/off split, for which dialect 2 uses an ONOFF layer", ErrUnsupported)
	}
	if want := float32(generations.offset[g]); p.OnOffMean == nil && p.Offset != want {
		e.warn("%v is added to every pixel; PyTorch-SbS will add %v", p.Offset, want)
	}
	return nil
}

// paths sets the step and the folders of the arrays, relative to the folder of the
// configuration.
func (e *exporter) paths(step int, weights, epsilonXY string) {
	_, given := e.root["learning_step"]
	if given || generations.dialect[e.generation] == 1 && step > 0 {
		e.root["learning_step"] = step
	}
	e.root["weight_path"] = weights
	if generations.epsilonFiles[e.generation] {
		e.root["eps_xy_path"] = epsilonXY
	}
}

// documents returns the configuration files by name: those of the generation, or one with the
// given name.
func (e *exporter) documents(name string) (map[string][]byte, error) {
	parts := map[string]map[string]any{name: e.root}
	if files := generations.files[e.generation]; files != nil {
		parts = map[string]map[string]any{}
		for _, f := range files {
			parts[f] = map[string]any{}
		}
		for key, value := range e.root {
			f := "def.json"
			switch key {
			case "network_structure":
				f = "network.json"
			case "data_mode", "data_path":
				f = "dataset.json"
			}
			parts[f][key] = value
		}
	}
	out := map[string][]byte{}
	for f, part := range parts {
		b, err := json.MarshalIndent(part, "", "    ")
		if err != nil {
			return nil, err
		}
		out[f] = append(b, '\n')
	}
	return out, nil
}
