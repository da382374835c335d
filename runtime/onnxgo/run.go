package onnxgo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/owulveryck/onnx-go"
	"gorgonia.org/tensor"

	sbsonnx "github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// Run computes the outputs of the model from the inputs that onnx.Model.SetInput has set.
// The inputs must not be modified until Run returns. The outputs belong to the caller.
// After an error, the model has no outputs.
func (b *Backend) Run() error { return b.RunContext(context.Background()) }

// RunContext is Run with a context, which must not be nil, and with options, such as
// runtime.Seed. Errors wrap the variables of package runtime, such as runtime.ErrInput
// for a wrong or missing input and runtime.ErrOption for a wrong option.
func (b *Backend) RunContext(ctx context.Context, opts ...runtime.RunOption) error {
	if b == nil || b.graph == nil {
		return errNotNew
	}
	for _, v := range b.values {
		if v.computed {
			v.tensor = nil
		}
	}
	if len(b.operations) == 0 {
		return errors.New("onnxgo: there is no model: call Decode or UnmarshalBinary first")
	}
	inputs, err := b.given()
	if err != nil {
		return err
	}
	if err := b.compile(inputs); err != nil {
		return err
	}
	outputs, err := b.model.Run(ctx, inputs, opts...)
	if err != nil {
		return fmt.Errorf("onnxgo: %w", err)
	}
	for name, out := range outputs {
		if t := toGorgonia(out); t != nil {
			b.byName[name].tensor = t
		}
	}
	return nil
}

// Close ends the goroutines that runs have started. The Backend remains usable: the next
// run compiles the model again. Close must not be called during a run.
func (b *Backend) Close() error {
	if b == nil || b.model == nil {
		return nil
	}
	m := b.model
	b.model = nil
	return m.Close()
}

// given returns those inputs of the model that operations use.
func (b *Backend) given() (map[string]*ops.Tensor, error) {
	inputs := map[string]*ops.Tensor{}
	for _, v := range b.values {
		if !v.used || v.computed || v.decoded == nil || b.isInitializer(v) {
			continue
		}
		declared, err := typeOf(v.decoded)
		if err != nil {
			return nil, fmt.Errorf("onnxgo: %w: input %q: %w", runtime.ErrModel, v.name, err)
		}
		if v.tensor == nil {
			return nil, fmt.Errorf("onnxgo: %w: %q, %v, is not set: call SetInput", runtime.ErrInput, v.name, declared)
		}
		t, err := fromGorgonia(v.tensor.(*tensor.Dense)) // SetTensor accepts no other type
		if err != nil {
			return nil, fmt.Errorf("onnxgo: %w: %q: %w", runtime.ErrInput, v.name, err)
		}
		if !fits(declared, t) {
			return nil, fmt.Errorf("onnxgo: %w: %q: %w: want %v and any symbolic dimensions of the file, got %v", runtime.ErrInput, v.name, ops.ErrShape, declared, ops.TypeOf(t))
		}
		inputs[v.name] = t
	}
	return inputs, nil
}

// fits reports whether t can have the type that the file declares. onnx-go has left out
// symbolic dimensions, so t may have further dimensions at any place.
func fits(declared ops.Type, t *ops.Tensor) bool {
	left := declared.Shape
	for _, size := range t.Shape() {
		if len(left) > 0 && left[0].Size == size {
			left = left[1:]
		}
	}
	return declared.DType == t.DType() && len(left) == 0
}

// compile makes a model for inputs of these types, unless the last run left one.
func (b *Backend) compile(inputs map[string]*ops.Tensor) error {
	types := map[string]ops.Type{}
	for name, t := range inputs {
		types[name] = ops.TypeOf(t)
	}
	same := func(a, b ops.Type) bool { return a.String() == b.String() }
	if b.model != nil && maps.EqualFunc(types, b.inputs, same) {
		return nil
	}
	if err := b.Close(); err != nil { // the last run had other shapes
		return fmt.Errorf("onnxgo: %w", err)
	}
	m, err := b.message(types)
	if err != nil {
		return err
	}
	data, err := sbsonnx.Marshal(m)
	if err != nil {
		return fmt.Errorf("onnxgo: %w", err)
	}
	model, err := runtime.New(data, b.options...)
	if err != nil {
		return fmt.Errorf("onnxgo: %w", err)
	}
	b.model, b.inputs = model, types
	return nil
}

// message returns the model that onnx-go has passed on. onnx-go does not say which values
// are outputs, so every value that may be an output becomes one: every computed value
// that the file declares, or that no operation uses.
func (b *Backend) message(inputs map[string]ops.Type) (*onnxpb.ModelProto, error) {
	g := &onnxpb.GraphProto{Name: "onnx-go", Node: b.operations}
	for _, v := range b.values {
		t, input := inputs[v.name]
		switch {
		case input:
			g.Input = append(g.Input, info(v.name, t))
		case v.computed && (v.declared || !v.used):
			g.Output = append(g.Output, &onnxpb.ValueInfoProto{Name: v.name})
		case v.used && b.isInitializer(v):
			p, err := constant(v.name, v.decoded)
			if err != nil {
				return nil, fmt.Errorf("onnxgo: %w: initializer %q: %w", runtime.ErrModel, v.name, err)
			}
			g.Initializer = append(g.Initializer, p)
		}
	}
	return &onnxpb.ModelProto{
		IrVersion: 8, Graph: g,
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: b.opset}, {Domain: sbs.Domain, Version: sbs.Version}},
	}, nil
}

// info returns the declaration of a value.
func info(name string, t ops.Type) *onnxpb.ValueInfoProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range t.Shape {
		shape.Dim = append(shape.Dim, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d.Size)}})
	}
	tt := &onnxpb.TypeProto_Tensor{ElemType: int32(t.DType), Shape: shape}
	return &onnxpb.ValueInfoProto{Name: name, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: tt}}}
}

// newOperation returns the node of an operation, without inputs and outputs.
func newOperation(o onnx.Operation) (*onnxpb.NodeProto, error) {
	n := &onnxpb.NodeProto{OpType: o.Name}
	if sbs.Known(o.Name) {
		n.Domain = sbs.Domain
	}
	attributes := maps.Clone(o.Attributes)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		t, ok := attributes[name].(tensor.Tensor)
		if !ok {
			continue
		}
		p, err := constant(name, t)
		if err != nil {
			return nil, fmt.Errorf("onnxgo: %w: operation %s: attribute %s: %w", runtime.ErrModel, o.Name, name, err)
		}
		attributes[name] = p
	}
	if err := sbsonnx.SetAttributes(n, attributes); err != nil {
		return nil, fmt.Errorf("onnxgo: %w: operation %s: %w", runtime.ErrModel, o.Name, err)
	}
	return n, nil
}
