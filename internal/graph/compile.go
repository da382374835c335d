package graph

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/ml"
	"github.com/spike-by-spike/sbs/ops/preview"
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

// Compile makes a Program from the message of an ONNX file. It may remove the raw data of
// tensors from the message.
func Compile(pb *onnxpb.ModelProto, o Options) (*Program, error) {
	if o.Context == nil {
		o.Context = context.Background()
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = DefaultMemoryLimit
	}
	if o.Shared == nil {
		o.Shared = NewShared(o.Workers)
	}
	p := &Program{
		Main: newGraph(), Metadata: map[string]string{}, Pool: o.Shared.pool, MemoryLimit: o.MemoryLimit,
		fixed: o.FixWeights, inputSlots: map[string]int{}, injectable: map[string]bool{}, weights: map[*ops.Tensor]bool{},
	}
	p.frames.New = func() any { return new(frame) }
	k := &compiler{
		Options: o, p: p, irVersion: pb.GetIrVersion(), functions: map[functionKey]*onnxpb.FunctionProto{},
		tensors: o.Shared.tensors, layers: map[string]bool{}, newest: map[string]bool{}, problems: map[string]bool{}, checked: map[*Step]bool{},
		declared: map[*onnxpb.GraphProto]map[string]*ops.Input{},
	}
	for _, phase := range []func(*onnxpb.ModelProto) error{k.readOperators, k.readModel, k.infer} {
		if err := phase(pb); err != nil {
			return nil, err
		}
	}
	if err := k.checkDynamics(); err != nil {
		return nil, err
	}
	p.Main.walk((*Graph).planFrees)
	if p.fused != nil {
		p.fused.planFrees()
	}
	p.Main.walk(p.collectSbS)
	p.shared = p.Main.sharedOutputs()
	return p, nil
}

// builtIn returns the built-in operators without subgraphs.
func builtIn() []ops.Operator {
	return slices.Concat(std.Operators(), ml.Operators(), preview.Operators(), sbs.Operators())
}

// Operators describes all built-in operators. Those with subgraphs have no New.
func Operators() []ops.Operator { return append(builtIn(), controlOperators()...) }

// Opsets returns the first and the last version of the standard operators that models may
// import.
func Opsets() (first, last int) { return minOpset, maxOpset }

// readOperators collects the built-in operators and the operators of the options. The
// latter take precedence.
func (k *compiler) readOperators(*onnxpb.ModelProto) error {
	k.operators = map[opKey]ops.Operator{}
	for _, o := range builtIn() {
		k.operators[opKey{o.Domain, o.Name}] = o
	}
	for _, o := range k.Options.Operators {
		key := opKey{domainOf(o.Domain), o.Name}
		switch {
		case o.Name == "" || o.New == nil:
			return fmt.Errorf("%w: operator %q of domain %q is incomplete: set Name and New", ErrOption, o.Name, o.Domain)
		case o.MinInputs < 0 || o.MinOutputs < 0 ||
			o.MaxInputs != ops.Variadic && o.MaxInputs < o.MinInputs || o.MaxOutputs != ops.Variadic && o.MaxOutputs < max(o.MinOutputs, 1):
			return fmt.Errorf("%w: operator %q of domain %q takes %d to %d inputs and has %d to %d outputs: no node can have such numbers",
				ErrOption, o.Name, o.Domain, o.MinInputs, o.MaxInputs, o.MinOutputs, o.MaxOutputs)
		case controlOf(key.domain, o.Name) != nil:
			return fmt.Errorf("%w: operator %q has subgraphs and cannot be replaced", ErrOption, o.Name)
		}
		k.operators[key] = o
	}
	return nil
}

// readModel decodes the message and binds its nodes.
func (k *compiler) readModel(pb *onnxpb.ModelProto) error {
	for _, m := range pb.GetMetadataProps() {
		if _, ok := k.p.Metadata[m.GetKey()]; ok {
			k.p.warn("the metadata has the key %q more than once: the last value is used", m.GetKey())
		}
		k.p.Metadata[m.GetKey()] = m.GetValue()
	}
	opsets, err := k.modelOpsets(pb.GetOpsetImport())
	if err != nil {
		return err
	}
	if err := k.readFunctions(pb.GetFunctions()); err != nil {
		return err
	}
	if err := k.count(len(pb.GetGraph().GetInput()) + len(pb.GetGraph().GetOutput())); err != nil {
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

// infer infers the types of all values and computes the constants that follow from
// others. It compares the types of the outputs with those that the file declares. It ignores the
// declared types of other values.
func (k *compiler) infer(pb *onnxpb.ModelProto) error {
	if err := k.findBatches(); err != nil {
		return err
	}
	types, err := k.newInference().graph(k.p.Main, k.p.inputTypes())
	if err != nil {
		return err
	}
	k.countUnchecked()
	k.p.setPositions(types)
	k.p.setCrop(types)
	for i, out := range pb.GetGraph().GetOutput() {
		if k.p.Outputs[i].Type, err = k.outputType(out, types[k.p.Main.Outputs[i]]); err != nil {
			if err := k.tolerate(Problem{Err: fmt.Errorf("output %q: %w", out.GetName(), err)}); err != nil {
				return err
			}
		}
	}
	k.p.Main.walk((*Graph).applyFolded)
	if k.Problem == nil && !k.NoFusion {
		k.p.fuse(types)
	}
	return nil
}

// setPositions sets Positions and Updates of the SbS layers of the main graph, given the types
// of its values by slot.
func (p *Program) setPositions(types []*ops.Input) {
	if len(p.SbSLayers) != len(p.sbsNodes) {
		return // another operator, with other attributes, has replaced SbS
	}
	for i := range p.Main.Steps {
		s := &p.Main.Steps[i]
		if !IsSbS(s.Operator) || len(s.Outputs) == 0 || types[s.Outputs[0]] == nil {
			continue
		}
		h, l := types[s.Outputs[0]].Shape, &p.SbSLayers[s.sbsIndex]
		if len(h) != 4 || !h[2].Known() || !h[3].Known() {
			continue
		}
		l.Positions = h[2].Size * h[3].Size
		params, ok := sbs.OpParams(s.Op)
		if x := types[s.Inputs[0]]; ok && x != nil && x.Shape[2].Known() && x.Shape[3].Known() {
			l.Updates = sbs.Updates(Own(s.Operator), params, x.Shape[2].Size, x.Shape[3].Size)
		}
	}
}

// outputType returns the type of an output of the model: the inferred one if it is known, or
// else the declared one. A declared shape that contradicts the inferred one causes a warning,
// since many files have wrong ones.
func (k *compiler) outputType(out *onnxpb.ValueInfoProto, inferred *ops.Input) (ops.Type, error) {
	declared, err := typeOf(out)
	if err != nil || inferred == nil {
		return declared, err
	}
	if declared.DType != 0 && declared.DType != inferred.DType {
		return ops.Type{}, fmt.Errorf("%w: declared as %v, but computed as %v", ops.ErrDType, declared, inferred.Type)
	}
	if !fits(declared, inferred.Type) {
		k.p.warn("output %q is declared as %v, but computed as %v: the declared shape is ignored", out.GetName(), declared, inferred.Type)
	}
	return inferred.Type, nil
}

// checkDynamics returns an error for dynamics that no SbS node has used.
func (k *compiler) checkDynamics() error {
	if err := k.Dynamics.check(k.layers, k.p.sbsNodes); err != nil {
		return err
	}
	if k.fewSpikes != nil {
		k.p.warn("%s: epsilon is too small for so few spikes, which lowers the accuracy. Use the epsilon schedule auto and low-discrepancy spikes, or fine-tune the model", strings.Join(k.fewSpikes, ", "))
	}
	if !k.Dynamics.IsZero() && len(k.p.sbsNodes) == 0 {
		return fmt.Errorf("%w: spikes, sampler, epsilon_0 and schedule can be set for SbS operators only, but the model has none "+
			"(a model converted with --decompose has standard operators instead: set these values when converting)", ErrOption)
	}
	return nil
}

// collectSbS adds the SbS steps of a graph to the program.
func (p *Program) collectSbS(g *Graph) {
	for i := range g.Steps {
		if s := &g.Steps[i]; IsSbS(s.Operator) {
			p.sbsSteps = append(p.sbsSteps, s)
		}
	}
}

// sharedOutputs reports, for each output of a graph, whether it may share memory with a
// constant, an input or another output. The outputs of a node with subgraphs may, since a
// subgraph may return a value of the enclosing graph.
func (g *Graph) sharedOutputs() []bool {
	shared := make([]bool, len(g.Outputs))
	for i, slot := range g.Outputs {
		shared[i] = g.Consts[slot] != nil || slices.Contains(g.Inputs, slot) || slices.Contains(g.Outputs[:i], slot) ||
			slices.ContainsFunc(g.Steps, func(s Step) bool { return s.control != nil && slices.Contains(s.Outputs, slot) })
	}
	return shared
}
