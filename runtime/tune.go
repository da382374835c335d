package runtime

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/train"
)

// TuneConfig says how a model is trained. The zero value trains every layer as
// the original does by default.
type TuneConfig struct {
	// Dialect of PyTorch-SbS, 1 or 2, whose training is followed; 0 means the one
	// that the model's metadata says, and 2 if they say none.
	Dialect int

	// Loss; without a Kind it is the mixture of the dialect, or the cross entropy
	// when the model's output are logits.
	Loss train.Loss

	// Optimizer of the weights and of epsilon_xy; "" means train.Adam.
	Optimizer train.Optimizer

	// RateW and RateEpsilonXY are the learning rates at the start; 0 means 0.001.
	RateW, RateEpsilonXY float64

	// ScheduleW and ScheduleEpsilonXY change them. After every update they are
	// given the loss for each image, or with ScheduleByError the percentage of
	// wrong answers.
	ScheduleW, ScheduleEpsilonXY train.Schedule
	ScheduleByError              bool

	// ScheduleByEpoch lets the schedules take a step when EndEpoch is called, with
	// what is known of the epoch, and not after every update.
	ScheduleByEpoch bool

	// ThresholdW and ThresholdEpsilonXY are the smallest values that an update
	// leaves; 0 means 1e-5. In dialect 2 the weights' is divided by the number of
	// input channels.
	ThresholdW, ThresholdEpsilonXY float64

	// SubBatches is the number of calls of Step whose gradients one update takes
	// together; 0 means 1.
	SubBatches int

	// FreezeW and FreezeEpsilonXY name layers, such as "L2", whose weights (and
	// bias, and the running mean of an on/off split) or epsilon_xy stay as they
	// are. The weights of SbS pooling layers always do, and epsilon_xy in dialect 2.
	FreezeW, FreezeEpsilonXY []string

	// MeanEpsilonXY names layers of which all entries of epsilon_xy are kept equal:
	// the mean.
	MeanEpsilonXY []string

	// Local names SbS layers that learn locally: the gradient of their weights is
	// that of the distance between the input distribution and its reconstruction
	// from h, or in the last layer from the wanted output. Nil means those that
	// the model's metadata names.
	Local []string

	// StopGradient names layers from which no gradient goes further back.
	StopGradient []string

	// NoGradientScale leaves out what dialect 2 does at every SbS layer: the
	// gradient that comes in is divided by the largest absolute value that it had
	// in the first update and the first sub-batch of the second.
	NoGradientScale bool

	// Seed selects the random numbers.
	Seed uint64
}

// ErrTune is wrapped by errors about a model that cannot be trained as asked.
var ErrTune = errors.New("cannot tune")

// Batch is what one Step learns from.
type Batch struct {
	// Images is the model's input.
	Images *Tensor

	// Labels holds the class of each image. Target, of the shape of the model's
	// output, can be given in its place: what the output should be. A model that
	// ends with a reconstruction needs neither: its target is what it
	// reconstructs.
	Labels []int
	Target *Tensor

	// Spikes and Uniforms, by node, replace random numbers: see InjectSpikes and
	// InjectUniforms.
	Spikes, Uniforms map[string]*Tensor
}

// StepResult is what a Step found.
type StepResult struct {
	Loss    float64 // of the sub-batch
	Images  int
	Correct int     // images whose largest output is the label's; 0 without Labels
	Update  *Update // nil when the sub-batch did not complete an update
}

// Update is what is known of all sub-batches of an update, after it.
type Update struct {
	Number               int // counts from 0
	LossPerImage         float64
	Images, Correct      int
	RateW, RateEpsilonXY float64 // for the next update
}

// Tuner trains a model. It is not safe for concurrent use; the Model that it was
// made of stays as it was.
type Tuner struct {
	model  *Model
	config TuneConfig
	output int // slot of what the loss is of

	params []*param
	bySlot map[int]*param
	layers []tuneLayer // of each step
	state  tuneState
	frame  tuneFrame
}

// param is an initializer that is trained.
type param struct {
	slot      int
	name      string
	running   bool // a running mean, which has no gradient
	epsilonXY bool
	mean      bool
	columns   int // of the weights of an SbS layer, 0 for others
	channels  int // of its input
	step      int // of the node that it is an input of

	value   *ops.Tensor
	grad    *ops.Tensor // of one sub-batch
	sum     []float32   // of an update
	moments train.Moments
}

// tuneLayer says what training does at a step.
type tuneLayer struct {
	sbs      bool
	active   bool   // a gradient goes through it
	wants    []bool // by input: the gradient is needed
	local    bool
	last     bool // the last SbS layer
	gradient ops.Differentiable
}

// NewTuner prepares the training of a model that convert.ToONNX has written: one
// input, one output, layers by the names of their nodes.
func NewTuner(model *Model, cfg TuneConfig) (*Tuner, error) {
	t := &Tuner{model: model, config: cfg, bySlot: map[int]*param{}}
	if err := t.setUp(); err != nil {
		return nil, fmt.Errorf("runtime: %w: %w", ErrTune, err)
	}
	return t, nil
}

func (t *Tuner) setUp() error {
	m, c := t.model, &t.config
	if len(m.inputs) != 1 || len(m.outputs) != 1 {
		return fmt.Errorf("the model has %d inputs and %d outputs, want 1 of each", len(m.inputs), len(m.outputs))
	}
	if shape := m.outputs[0].Shape; len(shape) < 2 || m.outputs[0].DType != ops.Float32 {
		return fmt.Errorf("the model's output is %v, want float32(batch, classes)", m.outputs[0].Type)
	}
	if i := slices.IndexFunc(m.graph.steps, func(s step) bool { return s.control != nil }); i >= 0 {
		s := m.graph.steps[i]
		return &NodeError{Node: s.name, Operator: s.operator, Err: errors.New("a model with subgraphs cannot be trained")}
	}
	t.output = m.graph.outputs[0]
	if err := c.complete(m); err != nil {
		return err
	}
	if err := t.findParams(); err != nil {
		return err
	}
	if err := t.findPath(); err != nil {
		return err
	}
	t.state = tuneState{
		Rates:  [2]train.Rate{{Value: c.RateW}, {Value: c.RateEpsilonXY}},
		Scales: make([]float32, len(m.graph.steps)), Contributions: make([]int64, len(m.graph.steps)),
	}
	for i := range t.state.Scales {
		t.state.Scales[i] = -1 // below every measured one
	}
	return nil
}

// complete fills in what is left to the defaults and checks the rest.
func (c *TuneConfig) complete(m *Model) error {
	if c.Dialect == 0 {
		c.Dialect = 2
		if d, err := strconv.Atoi(m.metadata[sbs.MetaDialect]); err == nil && d != 0 {
			c.Dialect = d
		}
	}
	if c.Dialect != 1 && c.Dialect != 2 {
		return fmt.Errorf("there is no dialect %d of PyTorch-SbS: want 1 or 2", c.Dialect)
	}
	if local := m.metadata[sbs.MetaLocal]; c.Local == nil && local != "" {
		var layers []int
		if err := json.Unmarshal([]byte(local), &layers); err != nil {
			return fmt.Errorf("metadata %s: %w", sbs.MetaLocal, err)
		}
		for _, i := range layers {
			c.Local = append(c.Local, "L"+strconv.Itoa(i))
		}
	}
	if c.Loss.Kind == "" {
		c.Loss.Kind, c.Loss.Sum = train.Mixture, c.Dialect == 2
		if m.outputs[0].Name == "logits" {
			c.Loss.Kind = train.CrossEntropy
		}
	}
	c.Optimizer = cmp.Or(c.Optimizer, train.Adam)
	c.RateW, c.RateEpsilonXY = cmp.Or(c.RateW, 0.001), cmp.Or(c.RateEpsilonXY, 0.001)
	c.ThresholdW, c.ThresholdEpsilonXY = cmp.Or(c.ThresholdW, 1e-5), cmp.Or(c.ThresholdEpsilonXY, 1e-5)
	c.SubBatches = cmp.Or(c.SubBatches, 1)
	for _, n := range []struct {
		name  string
		value float64
	}{{"RateW", c.RateW}, {"RateEpsilonXY", c.RateEpsilonXY}, {"ThresholdW", c.ThresholdW}, {"ThresholdEpsilonXY", c.ThresholdEpsilonXY}} {
		if !(n.value > 0 && n.value <= 1e4) {
			return fmt.Errorf("%s is %v, want a number above 0, at most 10000 (or 0 for the default)", n.name, n.value)
		}
	}
	if c.SubBatches < 1 {
		return fmt.Errorf("SubBatches is %d, want at least 1 (or 0 for 1)", c.SubBatches)
	}
	return errors.Join(c.Loss.Check(), c.Optimizer.Check(), c.ScheduleW.Check(), c.ScheduleEpsilonXY.Check())
}

// layerOf splits the name of a node: "L3/SbS" is of layer "L3" and kind "SbS".
func layerOf(node string) (layer, kind string) {
	layer, rest, _ := strings.Cut(node, "/")
	kind, _, _ = strings.Cut(rest, "/")
	return layer, kind
}

// findParams finds the initializers that are trained.
func (t *Tuner) findParams() error {
	m, c := t.model, &t.config
	known := map[string]bool{}
	t.layers = make([]tuneLayer, len(m.graph.steps))
	lastSbS := -1
	for i, s := range m.graph.steps {
		layer, kind := layerOf(s.name)
		known[layer] = true
		l := &t.layers[i]
		l.sbs = s.operator == sbsOperator
		l.wants = make([]bool, len(s.inputs))
		if l.sbs {
			lastSbS = i
		}
		l.local = l.sbs && slices.Contains(c.Local, layer)
		freezeW := slices.Contains(c.FreezeW, layer) || kind == "SbSPooling"
		freezeEps := slices.Contains(c.FreezeEpsilonXY, layer) || c.Dialect == 2
		for j, slot := range s.inputs {
			running := j == 1 && s.operator == "Sub" && kind == "OnOff"
			trained := j > 0 && (l.sbs || s.operator == "Conv") || running
			epsilonXY := l.sbs && j == 2
			if epsilonXY && freezeEps || !epsilonXY && freezeW || !trained || slot < 0 || m.graph.consts[slot] == nil {
				continue
			}
			if t.bySlot[slot] != nil {
				return fmt.Errorf("node %q and another one share the weights %q", s.name, m.graph.names[slot])
			}
			if !m.weights[m.graph.consts[slot]] {
				return fmt.Errorf("node %q: input %d, %q, is no initializer, which it has to be to be trained; or freeze layer %q", s.name, j, m.graph.names[slot], layer)
			}
			p := &param{slot: slot, name: m.graph.names[slot], running: running, epsilonXY: epsilonXY, step: i}
			p.mean = epsilonXY && slices.Contains(c.MeanEpsilonXY, layer)
			if params, ok := sbs.OpParams(s.op); ok && j == 1 {
				w := m.graph.consts[slot].Shape()
				p.columns, p.channels = w[1], w[0]/(params.Kernel[0]*params.Kernel[1])
			}
			t.addParam(p, m.graph.consts[slot])
		}
	}
	if lastSbS >= 0 {
		t.layers[lastSbS].last = true
	}
	for _, list := range []struct {
		name   string
		layers []string
	}{
		{"FreezeW", c.FreezeW}, {"FreezeEpsilonXY", c.FreezeEpsilonXY}, {"MeanEpsilonXY", c.MeanEpsilonXY},
		{"Local", c.Local}, {"StopGradient", c.StopGradient},
	} {
		for _, layer := range list.layers {
			if !known[layer] {
				return fmt.Errorf("%s names layer %q, which the model does not have; layers are called L0, L1 ...", list.name, layer)
			}
		}
	}
	return nil
}

func (t *Tuner) addParam(p *param, value *ops.Tensor) {
	data := slices.Clone(value.Float32s())
	p.value, _ = ops.NewTensor(value.Shape(), data) // the shape is the data's
	p.grad, _ = ops.Zeros(ops.Float32, value.Shape())
	p.sum = make([]float32, len(data))
	t.params = append(t.params, p)
	t.bySlot[p.slot] = p
}

// findPath finds the steps that a gradient goes through: those that the output
// depends on and that depend on what is trained.
func (t *Tuner) findPath() error {
	m := t.model
	depends := map[int]bool{} // slots that depend on what is trained
	for slot, p := range t.bySlot {
		depends[slot] = !p.running
	}
	for i, s := range m.graph.steps {
		l := &t.layers[i]
		layer, _ := layerOf(s.name)
		for j, slot := range s.inputs {
			stop := j == 0 && slices.Contains(t.config.StopGradient, layer)
			l.wants[j] = slot >= 0 && depends[slot] && !stop
			l.active = l.active || l.wants[j]
		}
		for _, slot := range s.outputs {
			depends[slot] = l.active
		}
	}
	needed := map[int]bool{t.output: true}
	for i := len(m.graph.steps) - 1; i >= 0; i-- {
		s, l := &m.graph.steps[i], &t.layers[i]
		l.active = l.active && slices.ContainsFunc(s.outputs, func(slot int) bool { return needed[slot] })
		if !l.active {
			continue
		}
		for j, slot := range s.inputs {
			if l.wants[j] {
				needed[slot] = true
			}
		}
		d, ok := s.op.(ops.Differentiable)
		if !ok {
			return &NodeError{Node: s.name, Operator: s.operator, Err: errors.New("this operator has no gradient: freeze the layers before it")}
		}
		l.gradient = d
	}
	t.params = slices.DeleteFunc(t.params, func(p *param) bool { return !p.running && !needed[p.slot] })
	if !slices.ContainsFunc(t.params, func(p *param) bool { return !p.running }) {
		return errors.New("nothing is left to train: there are no weights that are not frozen and reach the output")
	}
	return nil
}

// Fit calls Step for every batch and report, which may be nil, with what it
// found. It ends with the batches or the first error of either of the three.
func (t *Tuner) Fit(ctx context.Context, batches iter.Seq2[Batch, error], report func(StepResult) error) error {
	for b, err := range batches {
		if err != nil {
			return err
		}
		r, err := t.Step(ctx, b)
		if err == nil && report != nil {
			err = report(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
