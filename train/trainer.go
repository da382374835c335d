package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// ErrTrain is wrapped by errors about a model that cannot be trained with its Config.
var ErrTrain = errors.New("cannot train")

// Batch is a sub-batch of images for one Step.
type Batch struct {
	// Images is the input of the model: float32 (images, channels, height, width).
	Images *runtime.Tensor

	// Labels holds the class of each image, from 0. Instead of Labels, Target can hold the
	// desired output, in the shape of the model's output. A model that ends with a
	// reconstruction needs neither: its target is the input that it reconstructs.
	Labels []int
	Target *runtime.Tensor

	// Spikes and Uniforms replace the random numbers of nodes, by layer: see
	// runtime.InjectSpikes and runtime.InjectUniforms.
	Spikes, Uniforms map[string]*runtime.Tensor
}

// Result is the result of one Step.
type Result struct {
	Loss         float64 // value of the loss function for the sub-batch
	LossPerImage float64 // mean loss per image of the sub-batch

	Images  int     // number of images
	Correct int     // number of images that are classified correctly; 0 without Labels
	Update  *Update // nil if the sub-batch did not complete an update
}

// Update is the result of one update, over all its sub-batches.
type Update struct {
	Number int // of the update, from 0
	// LossPerImage is the mean loss per image.
	LossPerImage float64

	// PlateauLoss is the sum of the losses of the sub-batches, divided by the number of
	// images. The plateau schedules follow it, as in PyTorch-SbS. If the loss is a mean
	// over the images (CrossEntropy, or a Mixture without Sum), PlateauLoss depends on the
	// size of the sub-batches: use LossPerImage to compare updates.
	PlateauLoss float64

	Images, Correct      int     // sums over the sub-batches; see Result
	RateW, RateEpsilonXY float64 // learning rates of the next update

	Faults []Fault // layers that did not learn
}

// Trainer trains a model. Open and New return one. A Trainer is not safe for concurrent
// use. Close ends its goroutines.
type Trainer struct {
	program *graph.Program
	source  []byte // the file with the initial parameters and the dynamics of the Config
	config  Config
	output  int // slot of the output of the model

	params []*param
	bySlot map[int]*param
	layers []layer // by step
	state  trainerState
	frame  frame
	noise  noise.Mix
	pixels []float32 // of the images with noise
}

// param is a parameter: an initializer that is trained.
type param struct {
	slot      int
	name      string
	layer     string // such as "L0"
	running   bool   // a running mean, which has no gradient
	epsilonXY bool
	mean      bool // see Config.MeanEpsilonXY
	columns   int  // number of columns of W of an SbS or NNMF layer, 0 for other parameters
	channels  int  // number of input channels of that layer
	step      int  // the parameter is an input of this step

	value   *ops.Tensor
	grad    *ops.Tensor // for one sub-batch
	sum     []float32   // of the gradients of the update in progress
	moments moments
	fault   FaultKind // of the last update; "" if there was none
}

// layer holds the settings of training for one step of the program.
type layer struct {
	sbs      bool
	scaled   bool   // see Config.NoGradientScale
	divides  bool   // the gradient of W is divided by the number of output positions, in dialect 2
	active   bool   // a gradient passes through the step
	wants    []bool // by input: its gradient is needed
	local    bool   // see Config.Local
	last     bool   // the step belongs to the last layer of the network
	gradient ops.Differentiable
}

// Open returns a Trainer for the model in a file. See New.
func Open(path string, cfg Config) (*Trainer, error) {
	pb, err := onnx.ReadModel(cfg.context(), path)
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // not wrapped: it is about the file itself
		return nil, fmt.Errorf("train: %w", e)
	}
	t, err := newTrainer(pb, err, cfg)
	if err != nil {
		return nil, fmt.Errorf("train: %s: %w", path, err)
	}
	return t, nil
}

// New returns a Trainer for the model in data, the contents of an ONNX file that package
// convert wrote. Such a model has one input and one output, and the names of its nodes
// identify the layers. It must not have stages: convert.ExtractStage returns one of them.
// New does not keep data.
func New(data []byte, cfg Config) (*Trainer, error) {
	pb, err := onnx.Unmarshal(cfg.context(), data)
	t, err := newTrainer(pb, err, cfg)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return t, nil
}

// newTrainer returns a Trainer for a model, or the error of reading the model.
func newTrainer(pb *onnxpb.ModelProto, err error, cfg Config) (*Trainer, error) {
	if done := cfg.context().Err(); done != nil {
		return nil, done
	}
	if err == nil && !cfg.IgnoreChecksum {
		err = onnx.Verify(cfg.context(), pb)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", runtime.ErrModel, err)
	}
	if err := onnx.RefuseStages(pb); err != nil {
		return nil, fmt.Errorf("%w: %w", runtime.ErrModel, err)
	}
	if err := graph.CheckEnvironment(); err != nil {
		return nil, err
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrain, err)
	}
	loading := cfg.context()
	cfg.LoadContext = nil
	cfg.EachLayer, cfg.Noise = slices.Clone(cfg.EachLayer), slices.Clone(cfg.Noise) // the caller may change them later
	if err := graph.SetDynamics(pb, graph.Dynamics{All: cfg.Dynamics, Each: cfg.EachLayer, Layers: cfg.Layers}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrain, err)
	}
	t := &Trainer{config: cfg, bySlot: map[int]*param{}}
	if t.source, err = onnx.Marshal(pb); err != nil {
		return nil, err
	}
	t.program, err = graph.Compile(pb, graph.Options{Context: loading, Workers: cfg.Workers, MemoryLimit: cfg.MemoryLimit, Operators: cfg.Operators, FixDefaults: true})
	if errors.Is(err, runtime.ErrOption) {
		return nil, fmt.Errorf("%w: %w", ErrTrain, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", runtime.ErrModel, err)
	}
	if err := t.setUp(); err != nil {
		t.program.Pool.Close()
		return nil, fmt.Errorf("%w: %w", ErrTrain, err)
	}
	return t, nil
}

// Close ends the goroutines of the Trainer. It must not be called during a Step. Close
// always returns nil.
func (t *Trainer) Close() error {
	if t.made() {
		t.program.Pool.Close()
	}
	return nil
}

func (t *Trainer) made() bool { return t != nil && t.program != nil }

// errNoTrainer reports the use of a Trainer that was not made by Open or New.
var errNoTrainer = fmt.Errorf("train: %w: the Trainer was not made by Open or New", ErrTrain)

// setUp completes a Trainer whose program is compiled.
func (t *Trainer) setUp() error {
	p, c := t.program, &t.config
	if len(p.Inputs) != 1 || len(p.Outputs) != 1 {
		return fmt.Errorf("the model has %d inputs and %d outputs, want 1 of each", len(p.Inputs), len(p.Outputs))
	}
	if shape := p.Outputs[0].Shape; len(shape) < 2 || p.Outputs[0].DType != ops.Float32 {
		return fmt.Errorf("the model's output is %v, want float32(batch, classes)", p.Outputs[0].Type)
	}
	if i := slices.IndexFunc(p.Main.Steps, func(s graph.Step) bool { return s.HasSubgraphs() }); i >= 0 {
		s := p.Main.Steps[i]
		return &ops.NodeError{Node: s.Name, Operator: s.Operator, Err: errors.New("a model with subgraphs cannot be trained")}
	}
	t.output = p.Main.Outputs[0]
	if err := c.complete(p); err != nil {
		return err
	}
	if err := c.checkLayers(p); err != nil {
		return err
	}
	if err := t.setNoise(); err != nil {
		return err
	}
	if err := t.findParams(); err != nil {
		return err
	}
	if err := t.findPath(); err != nil {
		return err
	}
	t.state = trainerState{
		Rates:  [2]rate{{Value: c.RateW}, {Value: c.RateEpsilonXY}},
		Scales: make([]float32, len(p.Main.Steps)), Contributions: make([]int64, len(p.Main.Steps)),
	}
	for i := range t.state.Scales {
		t.state.Scales[i] = -1 // not measured
	}
	return nil
}

// findParams sets the params, and the kinds of the layers.
func (t *Trainer) findParams() error {
	t.layers = make([]layer, len(t.program.Main.Steps))
	last := t.lastLayer()
	for i := range t.program.Main.Steps {
		s := &t.program.Main.Steps[i]
		name, _ := graph.LayerOf(s.Name)
		l := &t.layers[i]
		l.sbs = graph.IsSbS(s.Operator)
		nnmf, isNNMF := sbs.NNMFOpParams(s.Op)
		l.scaled, l.divides = l.sbs || isNNMF && nnmf.Gradient == sbs.GradientClosedForm, l.sbs || isNNMF
		l.last = name == last
		l.local = l.sbs && slices.Contains(t.config.Local, name)
		l.wants = make([]bool, len(s.Inputs))
		for j := range s.Inputs {
			if err := t.findParam(i, s, j); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastLayer returns the name of the last layer of the network. Nodes that only reshape the output
// belong to no layer.
func (t *Trainer) lastLayer() string {
	steps := t.program.Main.Steps
	for i := len(steps) - 1; i >= 0; i-- {
		if layer, kind := graph.LayerOf(steps[i].Name); kind != "" {
			return layer
		}
	}
	return ""
}

// findParam adds input j of step i to the params if it is a trained initializer.
func (t *Trainer) findParam(i int, s *graph.Step, j int) error {
	g, slot := t.program.Main, s.Inputs[j]
	if slot < 0 || g.Consts[slot] == nil || !t.trained(s, j) {
		return nil
	}
	layer, kind := graph.LayerOf(s.Name)
	value, name := g.Consts[slot], g.Names[slot]
	if t.bySlot[slot] != nil {
		return fmt.Errorf("node %q and another node share the weights %q, which is not supported: freeze the layers of both nodes", s.Name, name)
	}
	if !t.program.IsWeight(value) {
		return fmt.Errorf("node %q: input %d (%q) cannot be trained, since it is not an initializer: freeze layer %q", s.Name, j, name, layer)
	}
	p := &param{slot: slot, name: name, layer: layer, step: i, running: kind == kindOnOff}
	params, isSbS := sbs.OpParams(s.Op)
	p.epsilonXY = isSbS && j == inputEpsilonXY
	p.mean = p.epsilonXY && slices.Contains(t.config.MeanEpsilonXY, layer)
	window := params.Kernel
	nnmf, isNNMF := sbs.NNMFOpParams(s.Op)
	if isNNMF {
		window = nnmf.Kernel
	}
	if (isSbS || isNNMF) && j == inputW {
		w := value.Shape()
		p.columns, p.channels = w[1], w[0]/(window[0]*window[1])
	}
	t.addParam(p, value)
	return nil
}

// Inputs of an SbS node.
const (
	inputW         = 1
	inputEpsilonXY = 2
)

// Kinds of layers, as package convert names them.
const (
	kindOnOff   = "OnOff"
	kindPooling = "SbSPooling"

	kindReconstruction = "Reconstruction"
)

// trained reports whether input j of a step is trained if it is constant. Weights, biases,
// epsilon_xy and the running mean of an on/off split are, unless they are frozen.
func (t *Trainer) trained(s *graph.Step, j int) bool {
	c := &t.config
	layer, kind := graph.LayerOf(s.Name)
	frozen := slices.Contains(c.FreezeW, layer) || kind == kindPooling
	switch {
	case graph.IsSbS(s.Operator) && j == inputEpsilonXY:
		return c.Dialect == 1 && !slices.Contains(c.FreezeEpsilonXY, layer)
	case graph.IsSbS(s.Operator), graph.Own(s.Operator) == sbs.OpNNMF, graph.Own(s.Operator) == sbs.OpApproxConv, s.Operator == "Conv":
		return j > 0 && !frozen
	}
	return s.Operator == "Sub" && kind == kindOnOff && j == 1 && !frozen
}

func (t *Trainer) addParam(p *param, value *ops.Tensor) {
	data := slices.Clone(value.Float32s())
	p.value, _ = ops.NewTensor(value.Shape(), data) // no error: the shape fits data
	p.grad, _ = ops.Zeros(ops.Float32, value.Shape())
	p.sum = make([]float32, len(data))
	t.params = append(t.params, p)
	t.bySlot[p.slot] = p
}

// findPath finds the steps that a gradient passes through: the output depends on them, and
// they depend on a parameter. It removes parameters that do not affect the output.
func (t *Trainer) findPath() error {
	g := t.program.Main
	depends := map[int]bool{} // slots that depend on a parameter with a gradient
	for slot, p := range t.bySlot {
		depends[slot] = !p.running
	}
	for i, s := range g.Steps {
		l := &t.layers[i]
		layer, kind := graph.LayerOf(s.Name)
		for j, slot := range s.Inputs {
			if kind == kindReconstruction && t.bySlot[slot] != nil {
				continue // a reconstruction uses W of the layer before and does not train it
			}
			stop := slices.Contains(t.config.StopGradient, layer) || sbs.Stops(graph.Own(s.Operator))
			l.wants[j] = slot >= 0 && depends[slot] && !stop
			l.active = l.active || l.wants[j]
		}
		for _, slot := range s.Outputs {
			depends[slot] = l.active
		}
	}
	needed := map[int]bool{t.output: true}
	for i := len(g.Steps) - 1; i >= 0; i-- {
		s, l := &g.Steps[i], &t.layers[i]
		l.active = l.active && slices.ContainsFunc(s.Outputs, func(slot int) bool { return needed[slot] })
		if !l.active {
			continue
		}
		for j, slot := range s.Inputs {
			if l.wants[j] {
				needed[slot] = true
			}
		}
		d, ok := s.Op.(ops.Differentiable)
		if !ok {
			return &ops.NodeError{Node: s.Name, Operator: s.Operator, Err: errors.New("the operator has no gradient: freeze all layers before this node")}
		}
		l.gradient = d
	}
	t.params = slices.DeleteFunc(t.params, func(p *param) bool { return !p.running && !needed[p.slot] })
	if !slices.ContainsFunc(t.params, func(p *param) bool { return !p.running }) {
		return errors.New("nothing is left to train: all weights that affect the output are frozen, or belong to a layer that stops the gradient or to one before it")
	}
	return nil
}

// Fit calls Step for every batch, and report with the result, unless report is nil. Fit
// returns after the last batch or at the first error from batches, Step or report.
func (t *Trainer) Fit(ctx context.Context, batches iter.Seq2[Batch, error], report func(Result) error) error {
	if !t.made() {
		return errNoTrainer
	}
	if batches == nil {
		return fmt.Errorf("train: %w: there are no batches", ErrTrain)
	}
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
