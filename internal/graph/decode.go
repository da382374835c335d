package graph

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// The versions of the standard operators that package ops/std implements.
const (
	minOpset = 1
	maxOpset = 17
)

// Bounds that keep a small file from expanding without end: functions that call
// functions multiply, and nested subgraphs are inferred again and again.
const (
	maxSize      = 1 << 20 // nodes with their inputs, outputs and attributes, functions inlined
	maxSubgraphs = 16      // nested
	maxCalls     = 64      // of functions, nested
)

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

func readOpsets(imports []*onnxpb.OperatorSetIdProto) (map[string]int, error) {
	opsets := map[string]int{}
	for _, o := range imports {
		domain, v := domainOf(o.GetDomain()), o.GetVersion()
		switch {
		case domain == "" && (v < minOpset || v > maxOpset):
			return nil, fmt.Errorf("the model uses version %d of the standard operators (opset_import); supported are %d to %d", v, minOpset, maxOpset)
		case domain == sbs.Domain && v != sbs.Version:
			return nil, fmt.Errorf("the model uses version %d of the operators of %s (opset_import); supported is %d", v, domain, sbs.Version)
		case v < 0 || v > 1<<20:
			return nil, fmt.Errorf("the model imports version %d of the operators of %q, which is no version", v, domain)
		}
		opsets[domain] = int(v)
	}
	return opsets, nil
}

// domainOf maps both names of the standard domain to "".
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
	p.RawData = nil // the decoded copy is enough
	return t, nil
}

// grow counts n more nodes, inputs, outputs or attributes.
func (k *compiler) grow(n int) error {
	if k.size += n; k.size > maxSize {
		return fmt.Errorf("with all function calls expanded, the model has more than %d nodes, inputs, outputs and attributes", maxSize)
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
		s.g.Consts[slot] = t
		if t.DType() == ops.Float32 || t.DType() == ops.Float64 {
			s.k.p.weights[t] = true
		}
	}
	return nil
}

// readInputs reads the inputs of the model.
func (s *scope) readInputs(g *onnxpb.GraphProto) error {
	p, defaults := s.k.p, 0
	for _, in := range g.GetInput() {
		if slot, ok := s.slots[in.GetName()]; ok && s.g.Consts[slot] != nil {
			defaults++
			continue
		}
		t, err := typeOf(in)
		if err == nil && t.DType == 0 {
			err = errors.New("only tensors of known rank are supported")
		}
		if err != nil {
			return fmt.Errorf("input %q: %w", in.GetName(), err)
		}
		slot, err := s.define(in.GetName())
		if err != nil {
			return fmt.Errorf("inputs: %w", err)
		}
		p.Inputs = append(p.Inputs, ValueInfo{in.GetName(), t})
		p.inputSlots[in.GetName()] = slot
		s.g.Inputs = append(s.g.Inputs, slot)
	}
	// Files of IR version 3 had to list all initializers as inputs.
	if defaults > 0 && s.k.irVersion > 3 {
		p.warn("%d inputs of the graph have initializers as default values and are treated as constants: a run cannot set them", defaults)
	}
	return nil
}

// typeOf returns a declared type, or the zero Type if the file does not declare it
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

// dtypeOf returns a declared element type, or 0 if there is none.
func dtypeOf(v *onnxpb.ValueInfoProto) (ops.DType, error) {
	switch v.GetType().GetValue().(type) {
	case nil:
		return 0, nil
	case *onnxpb.TypeProto_TensorType:
	default:
		return 0, errNotTensor
	}
	d := ops.DType(v.GetType().GetTensorType().GetElemType())
	if d != 0 && d.Size() == 0 {
		return 0, fmt.Errorf("%v is not supported", d)
	}
	return d, nil
}

var errNotTensor = errors.New("sequences, maps, optional values and sparse tensors are not supported, only tensors are")

func (s *scope) readOutputs(g *onnxpb.GraphProto) error {
	if len(g.GetOutput()) == 0 {
		return errors.New("the graph has no output")
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
			s.k.p.Outputs = append(s.k.p.Outputs, ValueInfo{Name: out.GetName()})
		}
		s.g.Outputs = append(s.g.Outputs, slot)
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
		return fmt.Errorf("%w: declared as %v, but computed as %v", ops.ErrShape, declared, inferred)
	}
	return nil
}
