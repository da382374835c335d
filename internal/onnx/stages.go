package onnx

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// Stage is one stage of a model.
type Stage struct {
	// Model is the stage as an ordinary model, without shapes of intermediate values. It
	// refers to the nodes and tensors of the model that it is part of.
	Model *onnxpb.ModelProto

	// Threshold is the margin at which an image leaves, 0 for the last stage.
	Threshold float64

	// OwnBytes is the size of the tensors that the stage does not share with the last
	// stage; for the last stage, of all its tensors.
	OwnBytes int
}

// Stages returns the stages of a model in their order, and what the thresholds were
// calibrated on, which may be nil. It returns no stages if the model has none. The model
// is not changed. Errors wrap ErrFormat and name the stage and its function.
func Stages(m *onnxpb.ModelProto) ([]Stage, *metadata.Calibration, error) {
	list, err := stageList(m)
	if list == nil || err != nil {
		return nil, nil, err
	}
	g := m.GetGraph()
	if len(g.GetInput()) != 1 || len(g.GetOutput()) != 1 {
		return nil, nil, fmt.Errorf("%w: the model has %d inputs and %d outputs, but a model with stages has one of each", ErrFormat, len(g.GetInput()), len(g.GetOutput()))
	}
	x := &extraction{model: m, initializers: map[string]*onnxpb.TensorProto{}, functions: map[string]*onnxpb.FunctionProto{}}
	for _, t := range g.GetInitializer() {
		x.initializers[t.GetName()] = t
	}
	for _, f := range m.GetFunctions() {
		if f.GetDomain() != metadata.StageDomain {
			x.others = append(x.others, f)
			continue
		}
		if x.functions[f.GetName()] != nil {
			return nil, nil, fmt.Errorf("%w: two functions of domain %s are named %q", ErrFormat, f.GetDomain(), f.GetName())
		}
		x.functions[f.GetName()] = f
	}
	var stages []Stage
	for i, s := range list.Stages {
		stage, err := x.stage(s)
		if err != nil {
			return nil, nil, fmt.Errorf("stage %d: function %q: %w", i+1, s.Function, err)
		}
		stages = append(stages, stage)
	}
	return append(stages, x.last()), list.Calibration, nil
}

// stageList returns the value of the metadata key, or nil if the model has no stages.
func stageList(m *onnxpb.ModelProto) (*metadata.StageList, error) {
	var list *metadata.StageList
	for _, p := range m.GetMetadataProps() {
		if p.GetKey() != metadata.Stages {
			continue
		}
		if list != nil {
			return nil, fmt.Errorf("%w: the metadata has the key %s more than once", ErrFormat, metadata.Stages)
		}
		var err error
		if list, err = metadata.ParseStages(p.GetValue()); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	return list, nil
}

// RefuseStages returns an error that says what to do if a model has stages.
func RefuseStages(m *onnxpb.ModelProto) error {
	for _, p := range m.GetMetadataProps() {
		if p.GetKey() == metadata.Stages {
			return ErrStages
		}
	}
	return nil
}

// ErrStages is the error of RefuseStages.
var ErrStages = errors.New("the model has stages (metadata " + metadata.Stages + "): choose one, and write it to a model of its own with sbs-convert STAGED.onnx --stage N ONE.onnx")

// extraction makes models of the stages of a model.
type extraction struct {
	model        *onnxpb.ModelProto
	initializers map[string]*onnxpb.TensorProto   // of the graph
	functions    map[string]*onnxpb.FunctionProto // of the stages
	others       []*onnxpb.FunctionProto          // the other functions of the model
}

// last returns the last stage: the model without the others.
func (x *extraction) last() Stage {
	m := x.model
	last := &onnxpb.ModelProto{
		IrVersion: m.GetIrVersion(), ProducerName: m.GetProducerName(), ProducerVersion: m.GetProducerVersion(),
		Domain: m.GetDomain(), ModelVersion: m.GetModelVersion(), DocString: m.GetDocString(),
		Graph: m.GetGraph(), Functions: x.others,
	}
	for _, o := range m.GetOpsetImport() {
		if o.GetDomain() != metadata.StageDomain {
			last.OpsetImport = append(last.OpsetImport, o)
		}
	}
	for _, p := range m.GetMetadataProps() {
		if p.GetKey() != metadata.Stages {
			last.MetadataProps = append(last.MetadataProps, p)
		}
	}
	return Stage{Model: last, OwnBytes: bytesOf(m.GetGraph().GetInitializer())}
}

// stage returns an early stage.
func (x *extraction) stage(s metadata.Stage) (Stage, error) {
	f := x.functions[s.Function]
	if f == nil {
		return Stage{}, fmt.Errorf("%w: the model has no such function in domain %s", ErrFormat, metadata.StageDomain)
	}
	main := x.model.GetGraph()
	input, output := main.GetInput()[0].GetName(), main.GetOutput()[0].GetName()
	switch {
	case len(f.GetAttribute())+len(f.GetAttributeProto()) > 0:
		return Stage{}, fmt.Errorf("%w: it has attributes, but nothing sets them", ErrFormat)
	case len(f.GetInput()) == 0 || f.GetInput()[0] != input:
		return Stage{}, fmt.Errorf("%w: its inputs are %q, but the first one must be the input of the model, %q", ErrFormat, f.GetInput(), input)
	case !slices.Equal(f.GetOutput(), []string{output}):
		return Stage{}, fmt.Errorf("%w: its outputs are %q, but its only output must have the name of the output of the model, %q", ErrFormat, f.GetOutput(), output)
	}
	g := &onnxpb.GraphProto{Name: f.GetName(), DocString: f.GetDocString(), Input: main.GetInput(), Output: main.GetOutput()}
	seen := map[string]bool{}
	for _, name := range f.GetInput()[1:] {
		t := x.initializers[name]
		switch {
		case t == nil:
			return Stage{}, fmt.Errorf("%w: its input %q is not an initializer of the model", ErrFormat, name)
		case seen[name]:
			return Stage{}, fmt.Errorf("%w: two of its inputs are named %q", ErrFormat, name)
		}
		seen[name] = true
		g.Initializer = append(g.Initializer, t)
	}
	shared := len(g.GetInitializer())
	for _, n := range f.GetNode() {
		if t := constantOf(n); t != nil {
			g.Initializer = append(g.Initializer, t)
		} else {
			g.Node = append(g.Node, n)
		}
	}
	m := &onnxpb.ModelProto{
		IrVersion: x.model.GetIrVersion(), ProducerName: x.model.GetProducerName(), ProducerVersion: x.model.GetProducerVersion(),
		Domain: x.model.GetDomain(), Graph: g, OpsetImport: f.GetOpsetImport(), Functions: x.others,
	}
	for _, key := range slices.Sorted(maps.Keys(s.Metadata)) {
		m.MetadataProps = append(m.MetadataProps, &onnxpb.StringStringEntryProto{Key: key, Value: s.Metadata[key]})
	}
	return Stage{Model: m, Threshold: s.Threshold, OwnBytes: bytesOf(g.GetInitializer()[shared:])}, nil
}

// constantOf returns the tensor of a node that StageFunction has made of an initializer,
// or nil for any other node.
func constantOf(n *onnxpb.NodeProto) *onnxpb.TensorProto {
	if n.GetOpType() != "Constant" || n.GetDomain() != "" || len(n.GetAttribute()) != 1 || len(n.GetOutput()) != 1 {
		return nil
	}
	t := n.GetAttribute()[0].GetT()
	if n.GetAttribute()[0].GetName() != "value" || t.GetName() == "" || t.GetName() != n.GetOutput()[0] {
		return nil
	}
	return t
}

// StageFunction returns the graph of an early stage as a function: the graph has one
// input and one output. Its initializers become inputs of the function where the graph of
// the last stage has an equal initializer of the same name, and otherwise constants.
func StageFunction(name string, g, last *onnxpb.GraphProto, opsets []*onnxpb.OperatorSetIdProto) (*onnxpb.FunctionProto, error) {
	f := &onnxpb.FunctionProto{
		Name: name, Domain: metadata.StageDomain, DocString: g.GetDocString(), OpsetImport: opsets,
		Input: []string{g.GetInput()[0].GetName()}, Output: []string{g.GetOutput()[0].GetName()},
	}
	common := map[string]*onnxpb.TensorProto{}
	for _, t := range last.GetInitializer() {
		common[t.GetName()] = t
	}
	for _, t := range g.GetInitializer() {
		if proto.Equal(t, common[t.GetName()]) {
			f.Input = append(f.Input, t.GetName())
			continue
		}
		n := &onnxpb.NodeProto{Name: t.GetName(), OpType: "Constant", Output: []string{t.GetName()}}
		if err := SetAttributes(n, map[string]any{"value": t}); err != nil {
			return nil, err
		}
		f.Node = append(f.Node, n)
	}
	f.Node = append(f.Node, g.GetNode()...)
	return f, nil
}

// bytesOf returns the size of tensors in a file.
func bytesOf(tensors []*onnxpb.TensorProto) int {
	total := 0
	for _, t := range tensors {
		total += proto.Size(t)
	}
	return total
}
