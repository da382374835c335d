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

// functionKey identifies a function.
type functionKey struct{ domain, name, overload string }

// Bounds that keep a small file from expanding without end: functions that call
// functions multiply, and nested subgraphs are inferred again and again.
const (
	maxSize      = 1 << 20 // nodes with their inputs, outputs and attributes, functions inlined
	maxSubgraphs = 16      // nested
	maxCalls     = 64      // of functions, nested
)

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

// agree returns an error if a declared type contradicts the inferred one.
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

func (k *compiler) readFunctions(functions []*onnxpb.FunctionProto) error {
	for _, f := range functions {
		key := functionKey{domainOf(f.GetDomain()), f.GetName(), f.GetOverload()}
		if _, ok := k.functions[key]; ok {
			return fmt.Errorf("two functions are named %q, of domain %q", f.GetName(), f.GetDomain())
		}
		k.functions[key] = f
	}
	return nil
}

// nodeName returns the name of a node, or of its first output, or else its index.
func nodeName(n *onnxpb.NodeProto, i int) string {
	switch {
	case n.GetName() != "":
		return n.GetName()
	case len(n.GetOutput()) > 0 && n.GetOutput()[0] != "":
		return n.GetOutput()[0]
	}
	return fmt.Sprintf("#%d", i)
}
