package runtime

import (
	"errors"
	"fmt"
	"sync"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/ops/std"
)

// Versions of the operator sets that the operators implement.
const (
	minOpset = 1
	maxOpset = 17
)

type opKey struct{ domain, name string }

func operators() map[opKey]ops.Operator {
	set := map[opKey]ops.Operator{}
	for _, o := range append(std.Operators(), sbs.Operator()) {
		set[opKey{o.Domain, o.Name}] = o
	}
	return set
}

// Bounds of what a file can make of itself: functions that call functions grow
// without end, subgraphs in subgraphs are inferred again and again.
const (
	maxSize      = 1 << 20 // nodes with their inputs, outputs and attributes, functions inlined
	maxSubgraphs = 16      // one in the other
	maxCalls     = 64      // of functions, one in the other
)

// compiler turns the messages of a file into a Model.
type compiler struct {
	config
	m         *Model
	operators map[opKey]ops.Operator
	functions map[functionKey]*onnxpb.FunctionProto
	tensors   map[*onnxpb.TensorProto]*ops.Tensor // those decoded: a function may be called often
	size      int
}

func compile(pb *onnxpb.ModelProto, c config) (*Model, error) {
	g := newGraph()
	k := &compiler{
		config: c,
		m: &Model{
			graph: g, inputSlots: map[string]int{}, metadata: map[string]string{}, injectable: map[string]bool{},
			weights: map[*ops.Tensor]bool{}, pool: parallel.New(c.workers), memoryLimit: c.memoryLimit, frames: sync.Pool{New: func() any { return new(frame) }},
		},
		operators: operators(), functions: map[functionKey]*onnxpb.FunctionProto{}, tensors: map[*onnxpb.TensorProto]*ops.Tensor{},
	}
	for _, p := range pb.GetMetadataProps() {
		k.m.metadata[p.GetKey()] = p.GetValue()
	}
	opsets, err := readOpsets(pb.GetOpsetImport())
	if err != nil {
		return nil, err
	}
	if err := k.readFunctions(pb.GetFunctions()); err != nil {
		return nil, err
	}
	if err := k.grow(len(pb.GetGraph().GetInput()) + len(pb.GetGraph().GetOutput())); err != nil {
		return nil, err
	}
	s := &scope{k: k, g: g, slots: map[string]int{}, opsets: opsets}
	for _, f := range []func(*onnxpb.GraphProto) error{s.readInitializers, s.readInputs, s.readNodes, s.readOutputs} {
		if err := f(pb.GetGraph()); err != nil {
			return nil, err
		}
	}
	if err := k.inferTypes(pb.GetGraph()); err != nil {
		return nil, err
	}
	g.subgraphs((*graph).planMemory)
	return k.m, nil
}

func readOpsets(imports []*onnxpb.OperatorSetIdProto) (map[string]int, error) {
	opsets := map[string]int{}
	for _, o := range imports {
		domain, v := domainOf(o.GetDomain()), o.GetVersion()
		switch {
		case domain == "" && (v < minOpset || v > maxOpset):
			return nil, fmt.Errorf("it uses version %d of the standard operators, known are %d to %d", v, minOpset, maxOpset)
		case domain == sbs.Domain && v != sbs.Version:
			return nil, fmt.Errorf("it uses version %d of the operators of %s, known is %d", v, domain, sbs.Version)
		case v < 0 || v > 1<<20:
			return nil, fmt.Errorf("it uses version %d of the operators of %q", v, domain)
		}
		opsets[domain] = int(v)
	}
	return opsets, nil
}

// domainOf maps the two names of the standard domain to one.
func domainOf(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// tensorOf decodes a tensor, once.
func (k *compiler) tensorOf(p *onnxpb.TensorProto) (*ops.Tensor, error) {
	if t := k.tensors[p]; t != nil {
		return t, nil
	}
	shape, data, err := onnx.TensorData(p)
	if err != nil {
		return nil, err
	}
	t, err := ops.FromSlice(shape, data)
	if err != nil {
		return nil, err
	}
	k.tensors[p] = t
	p.RawData = nil // the decoded copy is enough: a large file is in memory often enough
	return t, nil
}

// grow counts what has been read.
func (k *compiler) grow(n int) error {
	if k.size += n; k.size > maxSize {
		return fmt.Errorf("with all functions in the place of their calls the model has more than %d nodes, inputs, outputs and attributes", maxSize)
	}
	return nil
}

func (s *scope) readInitializers(g *onnxpb.GraphProto) error {
	if len(g.GetSparseInitializer()) > 0 {
		return errors.New("sparse initializers are not supported")
	}
	if err := s.k.grow(len(g.GetInitializer())); err != nil {
		return err
	}
	for _, p := range g.GetInitializer() {
		t, err := s.k.tensorOf(p)
		if err != nil {
			return err
		}
		slot, err := s.define(p.GetName())
		if err != nil {
			return fmt.Errorf("initializers: %w", err)
		}
		s.g.consts[slot] = t
		if t.DType() == ops.Float32 || t.DType() == ops.Float64 {
			s.k.m.weights[t] = true
		}
	}
	return nil
}

// readInputs reads the inputs of the model.
func (s *scope) readInputs(g *onnxpb.GraphProto) error {
	m := s.k.m
	for _, in := range g.GetInput() {
		if slot, ok := s.slots[in.GetName()]; ok && s.g.consts[slot] != nil {
			continue // files of IR version 3 list initializers as inputs
		}
		t, err := typeOf(in)
		if err == nil && t.DType == 0 {
			err = errors.New("it is not a tensor of known rank, and anything else is not supported")
		}
		if err != nil {
			return fmt.Errorf("input %q: %w", in.GetName(), err)
		}
		slot, err := s.define(in.GetName())
		if err != nil {
			return fmt.Errorf("inputs: %w", err)
		}
		m.inputs = append(m.inputs, ValueInfo{in.GetName(), t})
		m.inputSlots[in.GetName()] = slot
		s.g.inputs = append(s.g.inputs, slot)
	}
	return nil
}

// typeOf returns a declared type, the zero Type when the file does not declare it
// completely.
func typeOf(v *onnxpb.ValueInfoProto) (ops.Type, error) {
	dtype, err := dtypeOf(v)
	if err != nil {
		return ops.Type{}, err
	}
	tt := v.GetType().GetTensorType()
	if tt.GetShape() == nil {
		return ops.Type{}, nil
	}
	t := ops.Type{DType: dtype}
	for _, d := range tt.GetShape().GetDim() {
		switch v := d.GetValue().(type) {
		case *onnxpb.TensorShapeProto_Dimension_DimValue:
			if v.DimValue < 0 || v.DimValue > ops.MaxElements {
				return t, fmt.Errorf("%w: a dimension is %d", ops.ErrShape, v.DimValue)
			}
			t.Shape = append(t.Shape, ops.Dim{Size: int(v.DimValue)})
		default:
			t.Shape = append(t.Shape, ops.Dim{Size: -1, Symbol: d.GetDimParam()})
		}
	}
	return t, nil
}

// dtypeOf returns a declared element type, 0 when there is none.
func dtypeOf(v *onnxpb.ValueInfoProto) (ops.DType, error) {
	switch v.GetType().GetValue().(type) {
	case nil:
		return 0, nil
	case *onnxpb.TypeProto_TensorType:
	default:
		return 0, fmt.Errorf("%w: only tensors are", errNotTensor)
	}
	d := ops.DType(v.GetType().GetTensorType().GetElemType())
	if d != 0 && d.Size() == 0 {
		return 0, fmt.Errorf("%v is not supported", d)
	}
	return d, nil
}

var errNotTensor = errors.New("sequences, maps, optional values and sparse tensors are not supported")

func (s *scope) readOutputs(g *onnxpb.GraphProto) error {
	if len(g.GetOutput()) == 0 {
		return errors.New("it has no output")
	}
	named := map[string]bool{}
	for _, out := range g.GetOutput() {
		slot, ok := s.lookup(out.GetName())
		if !ok || slot < 0 {
			return fmt.Errorf("output %q is not computed by any node", out.GetName())
		}
		if s.outer == nil {
			if named[out.GetName()] {
				return fmt.Errorf("two outputs are named %q", out.GetName())
			}
			named[out.GetName()] = true
			s.k.m.outputs = append(s.k.m.outputs, ValueInfo{Name: out.GetName()})
		}
		s.g.outputs = append(s.g.outputs, slot)
	}
	return nil
}

// inferTypes infers all types of the main graph, and compares those of the
// outputs with what the file says.
func (k *compiler) inferTypes(g *onnxpb.GraphProto) error {
	in := make([]*ops.Input, len(k.m.inputs))
	for i, v := range k.m.inputs {
		in[i] = &ops.Input{Type: v.Type}
	}
	types, err := k.newInference().graph(k.m.graph, in)
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
		k.m.outputs[i].Type = declared
		if t := types[k.m.graph.outputs[i]]; t != nil {
			// The declared type may be vaguer than the inferred one, not different.
			err := agree(declared, t.Type)
			if err == nil && dtype != 0 && dtype != t.DType {
				err = fmt.Errorf("%w: declared %v, but it is %v", ops.ErrDType, dtype, t.Type)
			}
			if err != nil {
				return fmt.Errorf("output %q: %w", out.GetName(), err)
			}
			k.m.outputs[i].Type = t.Type
		}
	}
	k.m.graph.subgraphs((*graph).applyFolded)
	return nil
}

func agree(declared, inferred ops.Type) error {
	if declared.DType == 0 {
		return nil
	}
	ok := declared.DType == inferred.DType && len(declared.Shape) == len(inferred.Shape)
	for i := 0; ok && i < len(declared.Shape); i++ {
		d, f := declared.Shape[i], inferred.Shape[i]
		ok = !d.Known() || !f.Known() || d.Size == f.Size
	}
	if !ok {
		return fmt.Errorf("%w: declared %v, but it is %v", ops.ErrShape, declared, inferred)
	}
	return nil
}
