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

// CheckEnvironment returns an error if the environment asks for an instruction set that
// is not available.
func CheckEnvironment() error {
	if err := kernel.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrOption, err)
	}
	return nil
}

// Compile makes a Program of the message of a file. It may take the raw data of
// tensors out of the message.
func Compile(pb *onnxpb.ModelProto, o Options) (*Program, error) {
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

// readModel reads the message.
func (k *compiler) readModel(pb *onnxpb.ModelProto) error {
	for _, m := range pb.GetMetadataProps() {
		if _, ok := k.p.Metadata[m.GetKey()]; ok {
			k.p.warn("the metadata has the key %q more than once; the last value counts", m.GetKey())
		}
		k.p.Metadata[m.GetKey()] = m.GetValue()
	}
	opsets, err := readOpsets(pb.GetOpsetImport())
	if err != nil {
		return err
	}
	if err := k.readFunctions(pb.GetFunctions()); err != nil {
		return err
	}
	if err := k.grow(len(pb.GetGraph().GetInput()) + len(pb.GetGraph().GetOutput())); err != nil {
		return err
	}
	s := &scope{k: k, g: k.p.Main, slots: map[string]int{}, opsets: opsets}
	for _, f := range []func(*onnxpb.GraphProto) error{s.readInitializers, s.readInputs, s.readNodes, s.readOutputs} {
		if err := f(pb.GetGraph()); err != nil {
			return err
		}
	}
	return nil
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

// inferTypes infers all types of the main graph, and compares the types of the
// outputs with those that the file declares.
func (k *compiler) inferTypes(g *onnxpb.GraphProto) error {
	in := make([]*ops.Input, len(k.p.Inputs))
	for i, v := range k.p.Inputs {
		in[i] = &ops.Input{Type: v.Type}
	}
	types, err := k.newInference().graph(k.p.Main, in)
	if err != nil {
		return err
	}
	for i, out := range g.GetOutput() {
		dtype, err := dtypeOf(out)
		if err != nil {
			return fmt.Errorf("output %q: %w", out.GetName(), err)
		}
		declared, err := typeOf(out)
		if err != nil {
			return fmt.Errorf("output %q: %w", out.GetName(), err)
		}
		k.p.Outputs[i].Type = declared
		if t := types[k.p.Main.Outputs[i]]; t != nil {
			// The declared type may be less specific than the inferred one, but not different.
			err := agree(declared, t.Type)
			if err == nil && dtype != 0 && dtype != t.DType {
				err = fmt.Errorf("%w: declared as %v, but computed as %v", ops.ErrDType, dtype, t.Type)
			}
			if err != nil {
				return fmt.Errorf("output %q: %w", out.GetName(), err)
			}
			k.p.Outputs[i].Type = t.Type
		}
	}
	k.p.Main.subgraphs((*Graph).applyFolded)
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
