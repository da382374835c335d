package graph

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// opKey identifies an operator.
type opKey struct{ domain, name string }

// compiler turns the message of a file into a Program.
type compiler struct {
	Options
	p         *Program
	operators map[opKey]ops.Operator
	functions map[functionKey]*onnxpb.FunctionProto
	tensors   map[*onnxpb.TensorProto]*ops.Tensor // decoded so far: the calls of a function share its tensors
	layers    map[string]bool                     // the keys of Dynamics.Layers that name an SbS node
	fewSpikes []string                            // the SbS nodes with far fewer spikes than in the file
	newest    map[string]bool                     // the domains without an imported version, of which the newest one is used
	irVersion int64
	size      int   // see maxSize
	dense     int64 // bytes of the sparse tensors of the file, which are stored as dense ones

	problems map[string]bool // reported so far, to report each once
	checked  map[*Step]bool  // the steps whose types were inferred, with Options.Problem

	// With Options.Problem, the types of values that a graph declares, which all calls of a
	// function share.
	declared map[*onnxpb.GraphProto]map[string]*ops.Input
}

// functionKey identifies a function.
type functionKey struct{ domain, name, overload string }

// Bounds on what a small file can expand to: the nodes of functions that call functions
// multiply, and the types of nested subgraphs are inferred several times per level.
const (
	maxSize      = 1 << 20 // nodes, inputs, outputs and attributes, with all calls of functions expanded
	maxSubgraphs = 16      // nested subgraphs
	maxCalls     = 64      // nested calls of functions
)

// tolerate returns the error of a problem, or nil after reporting it to Options.Problem.
func (k *compiler) tolerate(p Problem) error {
	switch {
	case p.Err == nil:
		return nil
	case k.Problem == nil || k.Context.Err() != nil:
		return p.error()
	}
	if text := p.error().Error(); !k.problems[text] {
		k.problems[text] = true
		k.Problem(p)
	}
	return nil
}

// domainOf returns the canonical name of a domain: the standard domain has two names, ""
// and "ai.onnx".
func domainOf(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// tensorOf returns a decoded tensor. It decodes each tensor once.
func (k *compiler) tensorOf(p *onnxpb.TensorProto) (*ops.Tensor, error) {
	if t := k.tensors[p]; t != nil {
		return t, nil
	}
	shape, data, err := onnx.TensorData(k.Context, p)
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

// count adds n nodes, inputs, outputs or attributes to the size of the model. It returns the
// error of the context when that is done.
func (k *compiler) count(n int) error {
	if err := k.Context.Err(); err != nil {
		return err
	}
	if k.size += n; k.size > maxSize {
		return fmt.Errorf("the model is too large: with all calls of functions expanded, it has more than %d nodes, inputs, outputs and attributes", maxSize)
	}
	return nil
}

// typeOf returns the declared type of a value, or the zero Type if the file does not
// declare the element type.
func typeOf(v *onnxpb.ValueInfoProto) (ops.Type, error) { return typeOfProto(v.GetType(), 0) }

// roughType returns the element type and the rank that a value is declared with, or nil. The
// declared sizes are left out: files often contradict themselves there.
func roughType(v *onnxpb.ValueInfoProto) *ops.Input {
	t, err := typeOf(v)
	if err != nil || t.DType == 0 || t.Unranked {
		return nil
	}
	for i := range t.Shape {
		t.Shape[i] = ops.Dim{Size: -1}
	}
	return &ops.Input{Type: t}
}

// maxNested is the maximum number of types within each other, such as sequences of sequences.
const maxNested = 8

func typeOfProto(p *onnxpb.TypeProto, depth int) (ops.Type, error) {
	if depth > maxNested {
		return ops.Type{}, fmt.Errorf("%w: types are nested more than %d levels deep", ops.ErrDType, maxNested)
	}
	container := func(d ops.DType, elem *onnxpb.TypeProto) (ops.Type, error) {
		e, err := itemTypeOf(elem, depth+1)
		return ops.Type{DType: d, Elem: &e}, err
	}
	switch v := p.GetValue().(type) {
	case nil:
		return ops.Type{}, nil
	case *onnxpb.TypeProto_TensorType:
		return tensorTypeOf(v.TensorType)
	case *onnxpb.TypeProto_SequenceType:
		return container(ops.Sequence, v.SequenceType.GetElemType())
	case *onnxpb.TypeProto_OptionalType:
		return container(ops.Optional, v.OptionalType.GetElemType())
	case *onnxpb.TypeProto_MapType:
		t, err := container(ops.Map, v.MapType.GetValueType())
		t.Key = ops.DType(v.MapType.GetKeyType())
		return t, err
	}
	return ops.Type{}, errSparse
}

// itemTypeOf returns the type of the items of a container, of which the shape does not count.
func itemTypeOf(p *onnxpb.TypeProto, depth int) (ops.Type, error) {
	t, err := typeOfProto(p, depth)
	if err == nil && t.DType == 0 {
		t.DType, err = elementTypeOf(p)
	}
	if err == nil && t.DType == 0 {
		err = fmt.Errorf("%w: the type of the items of a value is not declared", ops.ErrDType)
	}
	t.Shape = nil
	return t, err
}

// tensorTypeOf returns a declared type. A negative size stands for an unknown one, as some
// exporters write it.
func tensorTypeOf(p *onnxpb.TypeProto_Tensor) (ops.Type, error) {
	dtype, err := checkedDType(p.GetElemType())
	if err != nil || dtype == 0 {
		return ops.Type{}, err
	}
	t := ops.Type{DType: dtype, Unranked: p.GetShape() == nil}
	for _, d := range p.GetShape().GetDim() {
		switch v := d.GetValue().(type) {
		case *onnxpb.TensorShapeProto_Dimension_DimValue:
			if v.DimValue > ops.MaxElements {
				return t, fmt.Errorf("%w: a dimension is declared as %d, want at most %d", ops.ErrShape, v.DimValue, ops.MaxElements)
			}
			t.Shape = append(t.Shape, ops.Dim{Size: int(max(v.DimValue, -1))})
		default:
			t.Shape = append(t.Shape, ops.Dim{Size: -1, Symbol: d.GetDimParam()})
		}
	}
	return t, nil
}

// dtypeOf returns the declared element type of a value, or 0 if the file does not declare
// it. For a value that is not a tensor, it is Sequence, Optional or Map.
func dtypeOf(v *onnxpb.ValueInfoProto) (ops.DType, error) { return elementTypeOf(v.GetType()) }

func elementTypeOf(p *onnxpb.TypeProto) (ops.DType, error) {
	switch v := p.GetValue().(type) {
	case nil:
		return 0, nil
	case *onnxpb.TypeProto_TensorType:
		return checkedDType(v.TensorType.GetElemType())
	case *onnxpb.TypeProto_SequenceType:
		return ops.Sequence, nil
	case *onnxpb.TypeProto_OptionalType:
		return ops.Optional, nil
	case *onnxpb.TypeProto_MapType:
		return ops.Map, nil
	}
	return 0, errSparse
}

// checkedDType returns an element type of the file, which may be 0.
func checkedDType(elem int32) (ops.DType, error) {
	d := ops.DType(elem)
	if d != 0 && d.Size() == 0 {
		return 0, fmt.Errorf("elements of type %v are not supported", onnxpb.TensorProto_DataType(elem))
	}
	return d, nil
}

var errSparse = errors.New("sparse tensors are not supported, only dense tensors are")

// fits reports whether the shape of a declared type can be that of the actual one.
func fits(declared, actual ops.Type) bool {
	if declared.DType == 0 || declared.Unranked || declared.DType.IsContainer() {
		return true
	}
	ok := len(declared.Shape) == len(actual.Shape)
	for i := 0; ok && i < len(declared.Shape); i++ {
		d, a := declared.Shape[i], actual.Shape[i]
		ok = !d.Known() || !a.Known() || d.Size == a.Size
	}
	return ok
}

// readFunctions collects the functions that the model defines. Of several functions of the
// same name, the last one counts.
func (k *compiler) readFunctions(functions []*onnxpb.FunctionProto) error {
	for _, f := range functions {
		key := functionKey{domainOf(f.GetDomain()), f.GetName(), f.GetOverload()}
		if _, ok := k.functions[key]; ok {
			k.p.warn("the model defines the function %q of domain %q more than once: the last definition is used", f.GetName(), f.GetDomain())
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
