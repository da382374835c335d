package onnxgo

import (
	"context"
	"errors"
	"fmt"

	"github.com/owulveryck/onnx-go"

	sbsonnx "github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// maxDeclared is the largest number of elements of all values that a file declares,
// because onnx-go allocates all of them.
const maxDeclared = 1 << 28

// Decode does the work of onnx.NewModel and UnmarshalBinary for the bytes of any ONNX file.
// It reads the version of the operator set, which onnx-go does not pass on. Decode returns
// an error that wraps runtime.ErrModel for a file that would give wrong results because
// onnx-go ignores a part of it, and for a file with which onnx-go panics or allocates too
// much memory. The Backend must be a new one from New, without a model.
func (b *Backend) Decode(data []byte) (model *onnx.Model, err error) {
	if b == nil || b.graph == nil {
		return nil, errNotNew
	}
	if len(b.values) > 0 {
		return nil, errors.New("onnxgo: the Backend has a model: use a new one")
	}
	defer func() {
		if r := recover(); r != nil {
			model, err = nil, fmt.Errorf("onnxgo: %w: onnx-go cannot load the file: %v", runtime.ErrModel, r)
		}
	}()
	m, err := sbsonnx.Unmarshal(context.Background(), data)
	if err != nil {
		return nil, fmt.Errorf("onnxgo: %w: %w", runtime.ErrModel, err)
	}
	if err := sbsonnx.Verify(context.Background(), m); err != nil {
		return nil, fmt.Errorf("onnxgo: %w: %w", runtime.ErrModel, err)
	}
	if err := check(m); err != nil {
		return nil, fmt.Errorf("onnxgo: %w: %w", runtime.ErrModel, err)
	}
	for _, o := range m.GetOpsetImport() {
		if standard(o.GetDomain()) {
			b.opset = o.GetVersion()
		}
	}
	model = onnx.NewModel(b)
	if err := model.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("onnxgo: %w: onnx-go: %w", runtime.ErrModel, err)
	}
	return model, nil
}

// errNotNew reports the use of a nil or zero Backend.
var errNotNew = errors.New("onnxgo: the Backend is nil or zero: use New")

// standard reports whether a domain is the domain of the standard operators.
func standard(domain string) bool { return domain == "" || domain == "ai.onnx" }

// check returns an error if onnx-go cannot load the model, or would leave out a part of it
// without which the results are wrong.
func check(m *onnxpb.ModelProto) error {
	g := m.GetGraph()
	left := maxDeclared
	for _, list := range [][]*onnxpb.ValueInfoProto{g.GetInput(), g.GetValueInfo(), g.GetOutput()} {
		for _, v := range list {
			n, err := declared(v)
			if err != nil {
				return fmt.Errorf("value %q: %w", v.GetName(), err)
			}
			if left -= n; left < 0 {
				return fmt.Errorf("the declared values have more than %d elements: leave out value_info, or choose a smaller batch", maxDeclared)
			}
		}
	}
	for _, t := range g.GetInitializer() {
		if _, _, err := sbsonnx.TensorData(context.Background(), t); err != nil {
			return err
		}
	}
	for _, n := range g.GetNode() {
		if !standard(n.GetDomain()) && (n.GetDomain() != sbs.Domain || !sbs.Known(n.GetOpType())) {
			return fmt.Errorf("node %q: %w: %s of domain %q: onnx-go does not pass on domains and functions, use package runtime", n.GetName(), runtime.ErrUnknownOperator, n.GetOpType(), n.GetDomain())
		}
		for _, a := range n.GetAttribute() {
			if a.GetT() == nil {
				continue
			}
			if _, _, err := sbsonnx.TensorData(context.Background(), a.GetT()); err != nil {
				return fmt.Errorf("node %q: attribute %s: %w", n.GetName(), a.GetName(), err)
			}
		}
	}
	return nil
}

// declared returns the number of elements that onnx-go allocates for a declaration.
func declared(v *onnxpb.ValueInfoProto) (int, error) {
	var shape []int
	for _, d := range v.GetType().GetTensorType().GetShape().GetDim() {
		size, ok := d.GetValue().(*onnxpb.TensorShapeProto_Dimension_DimValue)
		if !ok {
			continue
		}
		if size.DimValue < 1 || size.DimValue > ops.MaxElements {
			return 0, fmt.Errorf("%w: a dimension is %d, which onnx-go cannot load", ops.ErrShape, size.DimValue)
		}
		shape = append(shape, int(size.DimValue))
	}
	return ops.Len(shape)
}
