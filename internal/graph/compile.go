package graph

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/ops/std"
)

type opKey struct{ domain, name string }

// compiler turns the message of a file into a Program.
type compiler struct {
	Options
	p         *Program
	operators map[opKey]ops.Operator
	functions map[functionKey]*onnxpb.FunctionProto
	tensors   map[*onnxpb.TensorProto]*ops.Tensor // decoded so far: a function may be called often
	layers    map[string]bool                     // the keys of Options.Layers that name a node
	irVersion int64
	size      int
}

// Compile makes a Program of the message of a file. It may take the raw data of
// tensors out of the message.
func Compile(pb *onnxpb.ModelProto, o Options) (*Program, error) {
	if err := kernel.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOption, err)
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = DefaultMemoryLimit
	}
	p := &Program{
		Main: newGraph(), Metadata: map[string]string{}, Pool: parallel.New(o.Workers), MemoryLimit: o.MemoryLimit,
		inputSlots: map[string]int{}, injectable: map[string]bool{}, weights: map[*ops.Tensor]bool{},
	}
	p.frames.New = func() any { return new(Frame) }
	k := &compiler{
		Options: o, p: p, irVersion: pb.GetIrVersion(), functions: map[functionKey]*onnxpb.FunctionProto{},
		tensors: map[*onnxpb.TensorProto]*ops.Tensor{}, layers: map[string]bool{},
	}
	for _, step := range []func(*onnxpb.ModelProto) error{k.readOperators, k.readModel, k.infer} {
		if err := step(pb); err != nil {
			return nil, err
		}
	}
	if err := k.checkLayers(); err != nil {
		return nil, err
	}
	p.Main.subgraphs((*Graph).planFrees)
	p.Main.subgraphs(p.collectSbS)
	p.shared = p.Main.sharedOutputs()
	return p, nil
}

// sharedOutputs reports for each output of a graph whether it may share memory with a
// constant, an input or another output. A node with subgraphs may return such a value
// unchanged.
func (g *Graph) sharedOutputs() []bool {
	shared := make([]bool, len(g.Outputs))
	for i, slot := range g.Outputs {
		shared[i] = g.Consts[slot] != nil || slices.Contains(g.Inputs, slot) || slices.Contains(g.Outputs[:i], slot) ||
			slices.ContainsFunc(g.Steps, func(s Step) bool { return s.control != nil && slices.Contains(s.Outputs, slot) })
	}
	return shared
}

// readOperators collects the built-in operators and those of the options, which take
// precedence.
func (k *compiler) readOperators(*onnxpb.ModelProto) error {
	k.operators = map[opKey]ops.Operator{}
	for _, o := range append(std.Operators(), sbs.Operator()) {
		k.operators[opKey{o.Domain, o.Name}] = o
	}
	for _, o := range k.Options.Operators {
		key := opKey{domainOf(o.Domain), o.Name}
		switch {
		case o.Name == "" || o.New == nil:
			return fmt.Errorf("%w: operator %q of domain %q: an operator needs a name and New", ErrOption, o.Name, o.Domain)
		case o.MinInputs < 0 || o.MinOutputs < 0 ||
			o.MaxInputs != ops.Variadic && o.MaxInputs < o.MinInputs || o.MaxOutputs != ops.Variadic && o.MaxOutputs < max(o.MinOutputs, 1):
			return fmt.Errorf("%w: operator %q of domain %q takes %d to %d inputs and has %d to %d outputs, which no node can match",
				ErrOption, o.Name, o.Domain, o.MinInputs, o.MaxInputs, o.MinOutputs, o.MaxOutputs)
		case controlOf(key.domain, o.Name) != nil:
			return fmt.Errorf("%w: operator %q has subgraphs and cannot be replaced", ErrOption, o.Name)
		}
		k.operators[key] = o
	}
	return nil
}

// infer infers all types and computes what is known without inputs.
func (k *compiler) infer(pb *onnxpb.ModelProto) error { return k.inferTypes(pb.GetGraph()) }

// checkLayers returns an error for dynamics that no SbS node took.
func (k *compiler) checkLayers() error {
	for name := range k.Layers {
		if !k.layers[name] {
			return k.p.noLayer(name)
		}
	}
	if (k.Dynamics != sbs.Dynamics{}) && len(k.p.sbsNodes) == 0 {
		return fmt.Errorf("%w: spikes, sampler, epsilon_0 and schedule can be set for SbS operators only, and the model has none "+
			"(a model converted with --decompose has SbS layers as standard operators: set them when converting)", ErrOption)
	}
	return nil
}

func (p *Program) collectSbS(g *Graph) {
	for i := range g.Steps {
		if s := &g.Steps[i]; s.Operator == SbSOperator {
			p.sbsSteps = append(p.sbsSteps, s)
		}
	}
}
