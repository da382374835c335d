package onnxgo

import (
	"errors"
	"fmt"

	"github.com/owulveryck/onnx-go"

	sbsonnx "github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// maxDeclared bounds the elements of the values that a file declares: onnx-go takes
// memory for all of them.
const maxDeclared = 1 << 28

// Decode is onnx.NewModel and UnmarshalBinary for files that may be anything. It reads
// the version of the operator set, which onnx-go does not tell a backend; refuses what
// would be run wrongly because onnx-go leaves it out; and where onnx-go panics, or
// would take memory without bound, returns an error. The Backend must be new.
func (b *Backend) Decode(data []byte) (model *onnx.Model, err error) {
	defer func() {
		if r := recover(); r != nil {
			model, err = nil, fmt.Errorf("onnxgo: %w: onnx-go does not stand it: %v", runtime.ErrModel, r)
		}
	}()
	if len(b.values) > 0 {
		return nil, errors.New("onnxgo: the backend has a model: use a new one")
	}
	m, err := sbsonnx.Unmarshal(data)
	if err != nil {
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

func standard(domain string) bool { return domain == "" || domain == "ai.onnx" }

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
				return fmt.Errorf("the values that it declares have more than %d elements: leave out its value_info, or make its batch smaller", maxDeclared)
			}
		}
	}
	for _, t := range g.GetInitializer() {
		if _, _, err := sbsonnx.TensorData(t); err != nil {
			return err
		}
	}
	for _, n := range g.GetNode() {
		if !standard(n.GetDomain()) && (n.GetDomain() != sbs.Domain || n.GetOpType() != sbs.Operator().Name) {
			return fmt.Errorf("node %q: %w: %s of domain %q. onnx-go tells no domains, and no functions", n.GetName(), runtime.ErrUnknownOperator, n.GetOpType(), n.GetDomain())
		}
		for _, a := range n.GetAttribute() {
			if a.GetT() == nil {
				continue
			}
			if _, _, err := sbsonnx.TensorData(a.GetT()); err != nil {
				return fmt.Errorf("node %q: attribute %s: %w", n.GetName(), a.GetName(), err)
			}
		}
	}
	return nil
}

// declared returns the number of elements of what onnx-go makes of a declaration.
func declared(v *onnxpb.ValueInfoProto) (int, error) {
	var shape []int
	for _, d := range v.GetType().GetTensorType().GetShape().GetDim() {
		size, ok := d.GetValue().(*onnxpb.TensorShapeProto_Dimension_DimValue)
		if !ok {
			continue
		}
		if size.DimValue < 1 || size.DimValue > ops.MaxElements {
			return 0, fmt.Errorf("%w: a dimension is %d, which onnx-go does not stand", ops.ErrShape, size.DimValue)
		}
		shape = append(shape, int(size.DimValue))
	}
	return ops.Len(shape)
}
