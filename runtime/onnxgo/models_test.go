package onnxgo_test

import (
	"context"
	"testing"

	"github.com/owulveryck/onnx-go"
	"github.com/stretchr/testify/require"
	"gorgonia.org/tensor"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	sbsonnx "github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/runtime/onnxgo"
)

func value(name string, dtype ops.DType, shape ...int64) *onnxpb.ValueInfoProto {
	s := &onnxpb.TensorShapeProto{}
	for _, d := range shape {
		s.Dim = append(s.Dim, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d}})
	}
	tt := &onnxpb.TypeProto_Tensor{ElemType: int32(dtype), Shape: s}
	return &onnxpb.ValueInfoProto{Name: name, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: tt}}}
}

func operation(op string, inputs, outputs []string, attributes map[string]any) *onnxpb.NodeProto {
	n := &onnxpb.NodeProto{OpType: op, Input: inputs, Output: outputs}
	if err := sbsonnx.SetAttributes(n, attributes); err != nil {
		panic(err) // the test is wrong
	}
	return n
}

func marshal(t *testing.T, opset int64, g *onnxpb.GraphProto) []byte {
	t.Helper()
	g.Name = "test"
	data, err := sbsonnx.Marshal(&onnxpb.ModelProto{IrVersion: 8, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: opset}}, Graph: g})
	require.NoError(t, err)
	return data
}

// sameAsRuntime runs a model with one input, of 2x3 elements, with package runtime and with
// a Backend.
func sameAsRuntime(t *testing.T, data []byte) {
	t.Helper()
	reference, err := runtime.New(data)
	require.NoError(t, err)
	elements := []float32{1, -2, 3, -4, 5, -6}
	x, err := ops.NewTensor([]int{2, 3}, elements)
	require.NoError(t, err)
	want, err := reference.Run(context.Background(), map[string]*ops.Tensor{"x": x})
	require.NoError(t, err)

	b := onnxgo.New()
	m, err := b.Decode(data)
	require.NoError(t, err)
	require.NoError(t, m.SetInput(0, tensor.New(tensor.WithShape(2, 3), tensor.WithBacking(elements))))
	require.NoError(t, b.Run())
	out, err := m.GetOutputTensors()
	require.NoError(t, err)
	require.Len(t, out, len(reference.Outputs()))
	for i, v := range reference.Outputs() {
		require.Equal(t, want[v.Name].Shape(), []int(out[i].Shape()))
		require.Equal(t, want[v.Name].Float32s(), out[i].Data())
	}
}

// TestBackend_RunsGraphsLikeRuntime has graphs that onnx-go passes on in special ways.
func TestBackend_RunsGraphsLikeRuntime(t *testing.T) {
	x, y := value("x", ops.Float32, 2, 3), value("y", ops.Float32, 2, 3)
	w := sbsonnx.Float32Tensor("w", []int{3}, []float32{1, 2, 3})
	input := []*onnxpb.ValueInfoProto{x}
	for name, g := range map[string]*onnxpb.GraphProto{
		"the same input twice": {
			Input: input, Output: []*onnxpb.ValueInfoProto{y},
			Node: []*onnxpb.NodeProto{operation("Mul", []string{"x", "x"}, []string{"y"}, nil)},
		},
		"no input": {
			Input: input, Output: []*onnxpb.ValueInfoProto{y},
			Node: []*onnxpb.NodeProto{
				operation("Constant", nil, []string{"c"}, map[string]any{"value": w}),
				operation("Constant", nil, []string{"d"}, map[string]any{"value_float": float32(2)}),
				operation("Add", []string{"x", "c"}, []string{"z"}, nil),
				operation("Mul", []string{"z", "d"}, []string{"y"}, nil),
			},
		},
		"omitted inputs": {
			Input: input, Output: []*onnxpb.ValueInfoProto{y},
			Initializer: []*onnxpb.TensorProto{{Name: "most", DataType: int32(ops.Float32), FloatData: []float32{2}}},
			Node:        []*onnxpb.NodeProto{operation("Clip", []string{"x", "", "most"}, []string{"y"}, nil)},
		},
		"bools": {
			Input: input, Output: []*onnxpb.ValueInfoProto{y},
			Initializer: []*onnxpb.TensorProto{w, {Name: "c", Dims: []int64{3}, DataType: int32(ops.Bool), Int32Data: []int32{1, 0, 1}}},
			Node:        []*onnxpb.NodeProto{operation("Where", []string{"c", "x", "w"}, []string{"y"}, nil)},
		},
		"several outputs": {
			Input: input, Output: []*onnxpb.ValueInfoProto{value("b", ops.Float32, 2, 2), value("a", ops.Float32, 2, 1)},
			Initializer: []*onnxpb.TensorProto{sbsonnx.Int64Tensor("sizes", 1, 2)},
			Node:        []*onnxpb.NodeProto{operation("Split", []string{"x", "sizes"}, []string{"a", "b"}, map[string]any{"axis": int64(1)})},
		},
		"an omitted output": {
			Input: input, Output: []*onnxpb.ValueInfoProto{y},
			Initializer: []*onnxpb.TensorProto{sbsonnx.Int64Tensor("k", 3), w},
			Node: []*onnxpb.NodeProto{
				operation("TopK", []string{"x", "k"}, []string{"z", ""}, nil),
				operation("Sub", []string{"z", "w"}, []string{"y"}, nil),
			},
		},
		"an output that is used": {
			Input: input, Output: []*onnxpb.ValueInfoProto{value("z", ops.Float32, 2, 3), y},
			ValueInfo: []*onnxpb.ValueInfoProto{value("z", ops.Float32, 2, 3)},
			Node: []*onnxpb.NodeProto{
				operation("Neg", []string{"x"}, []string{"z"}, nil), operation("Relu", []string{"z"}, []string{"y"}, nil),
			},
		},
		"an initializer declared as an input": {
			Input: []*onnxpb.ValueInfoProto{x, value("w", ops.Float32, 3)}, Output: []*onnxpb.ValueInfoProto{y},
			Initializer: []*onnxpb.TensorProto{w},
			Node:        []*onnxpb.NodeProto{operation("Sub", []string{"x", "w"}, []string{"y"}, nil)},
		},
		"an initializer declared as a value": {
			Input: input, Output: []*onnxpb.ValueInfoProto{y},
			ValueInfo:   []*onnxpb.ValueInfoProto{value("w", ops.Float32, 3)},
			Initializer: []*onnxpb.TensorProto{w},
			Node:        []*onnxpb.NodeProto{operation("Sub", []string{"x", "w"}, []string{"y"}, nil)},
		},
	} {
		t.Run(name, func(t *testing.T) { sameAsRuntime(t, marshal(t, 17, g)) })
	}
}

// TestDecode_UsesTheOperatorSetOfTheFile has an operator that changed its meaning with
// version 13.
func TestDecode_UsesTheOperatorSetOfTheFile(t *testing.T) {
	g := &onnxpb.GraphProto{
		Input: []*onnxpb.ValueInfoProto{value("x", ops.Float32, 2, 3)}, Output: []*onnxpb.ValueInfoProto{value("y", ops.Float32, 2, 3)},
		Node: []*onnxpb.NodeProto{operation("Softmax", []string{"x"}, []string{"y"}, map[string]any{"axis": int64(0)})},
	}
	sameAsRuntime(t, marshal(t, 11, g))
	sameAsRuntime(t, marshal(t, 13, g))
}

func TestBackend_InitializerAmongTheInputsCannotBeSet(t *testing.T) {
	b := onnxgo.New()
	m, err := b.Decode(marshal(t, 17, &onnxpb.GraphProto{
		Input:       []*onnxpb.ValueInfoProto{value("w", ops.Float32, 3), value("x", ops.Float32, 3)},
		Output:      []*onnxpb.ValueInfoProto{value("y", ops.Float32, 3)},
		Initializer: []*onnxpb.TensorProto{sbsonnx.Float32Tensor("w", []int{3}, []float32{1, 2, 3})},
		Node:        []*onnxpb.NodeProto{operation("Sub", []string{"x", "w"}, []string{"y"}, nil)},
	}))
	require.NoError(t, err)
	x := tensor.New(tensor.WithBacking([]float32{2, 2, 2}))
	require.ErrorContains(t, m.SetInput(0, x), "GetNodeByName")
	node, _ := m.GetNodeByName("x")
	require.NoError(t, node.(onnx.DataCarrier).SetTensor(x))
	require.NoError(t, b.Run())
	out, err := m.GetOutputTensors()
	require.NoError(t, err)
	require.Equal(t, []float32{1, 0, -1}, out[0].Data())
}

// damaged returns a model with other weights than its checksum is about.
func damaged(t *testing.T) []byte {
	m, err := sbsonnx.Unmarshal(t.Context(), write(t, converttest.Digits(), convert.Options{Batch: 1}))
	require.NoError(t, err)
	for _, w := range m.Graph.Initializer {
		clear(w.RawData)
	}
	data, err := sbsonnx.Marshal(m)
	require.NoError(t, err)
	return data
}

// TestDecode_RefusesWhatOnnxGoCannotLoad has models that must give errors, and not panics.
func TestDecode_RefusesWhatOnnxGoCannotLoad(t *testing.T) {
	change := func(f func(m *onnxpb.ModelProto)) []byte {
		m, err := sbsonnx.Unmarshal(t.Context(), write(t, converttest.Digits(), convert.Options{Batch: 1}))
		require.NoError(t, err)
		f(m)
		data, err := sbsonnx.MarshalStamped(m)
		require.NoError(t, err)
		return data
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"subgraphs": {write(t, converttest.Digits(), convert.Options{Body: convert.BodyInline}), "GRAPH not handled"},
		"damaged":   {damaged(t), "the contents of the model do not match its checksum"},
		"nothing":   {nil, "this is an empty file"},
		"a large declaration": {change(func(m *onnxpb.ModelProto) {
			m.Graph.ValueInfo = append(m.Graph.ValueInfo, value("large", ops.Float32, 1<<15, 1<<14))
		}), "elements: leave out value_info"},
		"a huge declaration": {change(func(m *onnxpb.ModelProto) {
			m.Graph.ValueInfo = append(m.Graph.ValueInfo, value("huge", ops.Float32, 1<<30, 1<<30))
		}), "huge"},
		"a declaration of 0": {change(func(m *onnxpb.ModelProto) { m.Graph.Input[0] = value("image", ops.Float32, 0, 1) }), "a dimension is 0"},
		"too little data":    {change(func(m *onnxpb.ModelProto) { w := m.Graph.Initializer[0]; w.RawData = w.RawData[:4] }), "takes"},
		"a constant of too little data": {change(func(m *onnxpb.ModelProto) {
			m.Graph.Node[0].Attribute = append(m.Graph.Node[0].Attribute, &onnxpb.AttributeProto{
				Name: "t", Type: onnxpb.AttributeProto_TENSOR, T: &onnxpb.TensorProto{Name: "t", Dims: []int64{1 << 30}, DataType: int32(ops.Bool), RawData: []byte{1}},
			})
		}), "takes"},
		"bools as bytes": {change(func(m *onnxpb.ModelProto) {
			m.Graph.Initializer = append(m.Graph.Initializer, &onnxpb.TensorProto{Name: "c", Dims: []int64{8}, DataType: int32(ops.Bool), RawData: make([]byte, 8)})
		}), "onnx-go cannot load the file"}, // onnx-go panics
		"an unknown domain":                        {change(func(m *onnxpb.ModelProto) { m.Graph.Node[0].Domain = "com.example" }), "com.example"},
		"an unknown operator of the domain ai.sbs": {change(func(m *onnxpb.ModelProto) { m.Graph.Node[0].Domain = "ai.sbs" }), "unknown operator"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := onnxgo.New().Decode(c.data)
			require.ErrorIs(t, err, runtime.ErrModel)
			require.ErrorContains(t, err, c.want)
		})
	}
	run := func(t *testing.T, data []byte, x tensor.Tensor) error {
		b := onnxgo.New()
		m, err := b.Decode(data)
		require.NoError(t, err)
		require.NoError(t, m.SetInput(0, x))
		return b.Run()
	}
	image := tensor.New(tensor.WithShape(1, 1, 12, 12), tensor.Of(tensor.Float32))
	var node *runtime.NodeError
	require.ErrorAs(t, run(t, change(func(m *onnxpb.ModelProto) { m.Graph.Node[0].OpType = "Nonsense" }), image), &node)
	require.Equal(t, "Nonsense", node.Operator)
	require.ErrorIs(t, node, runtime.ErrUnknownOperator)

	err := run(t, change(func(m *onnxpb.ModelProto) {
		for _, w := range m.Graph.Initializer {
			if w.GetName() == "L0/SbS/W" {
				w.Dims = []int64{5, 9}
			}
		}
	}), image)
	require.ErrorAs(t, err, &node)
	require.Equal(t, "L0", node.Node)
	require.ErrorContains(t, err, "(5, 9)")

	// With a node that takes its own output gonum would panic.
	x := tensor.New(tensor.WithShape(2, 3), tensor.Of(tensor.Float32))
	err = run(t, marshal(t, 17, &onnxpb.GraphProto{
		Input: []*onnxpb.ValueInfoProto{value("x", ops.Float32, 2, 3)}, Output: []*onnxpb.ValueInfoProto{value("y", ops.Float32, 2, 3)},
		Node: []*onnxpb.NodeProto{operation("Add", []string{"x", "y"}, []string{"y"}, nil)},
	}), x)
	require.ErrorIs(t, err, runtime.ErrModel)
}

// onnx-go ignores the functions of a file, so that the last stage of a model with stages runs.
func TestDecode_RunsTheLastStage(t *testing.T) {
	s := converttest.Staged()
	staged, err := convert.StagesToONNX(s, convert.Options{})
	require.NoError(t, err)
	last, err := convert.ToONNX(s.Stages[2].Network, convert.Options{})
	require.NoError(t, err)
	var want tensor.Tensor
	for _, data := range [][]byte{last, staged} {
		b := onnxgo.New()
		m, err := b.Decode(data)
		require.NoError(t, err)
		pixels := make([]float32, 2*12*12)
		for i := range pixels {
			pixels[i] = float32(i%7) / 7
		}
		require.NoError(t, m.SetInput(0, tensor.New(tensor.WithShape(2, 1, 12, 12), tensor.WithBacking(pixels))))
		require.NoError(t, b.Run())
		out, err := m.GetOutputTensors()
		require.NoError(t, err)
		require.Len(t, out, 1)
		if want == nil {
			want = out[0]
		}
		require.Equal(t, want.Data(), out[0].Data())
		require.NoError(t, b.Close())
	}
}

// FuzzDecode checks that neither Decode nor Run panics for any file.
func FuzzDecode(f *testing.F) {
	const largest = 4 << 10
	maker := converttest.New(3)
	tiny := &convert.Network{
		Name: "t", Dialect: 2, Step: -1, Input: convert.Size{Channels: 1, Height: 3, Width: 3},
		Layers: []convert.Layer{maker.SbS(converttest.Window(2, 1), 1, 2, 2), maker.SbS(converttest.Window(2, 1), 2, 2, 2)},
	}
	data, err := convert.ToONNX(tiny, convert.Options{Batch: 1, Body: convert.BodyNone})
	require.NoError(f, err)
	m, err := sbsonnx.Unmarshal(f.Context(), data)
	require.NoError(f, err)
	m.MetadataProps = nil // with a checksum, every changed input would be refused at once
	data, err = sbsonnx.Marshal(m)
	require.NoError(f, err)
	require.Less(f, len(data), largest)
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Fuzz(func(_ *testing.T, data []byte) {
		if len(data) > largest {
			return
		}
		b := onnxgo.New(runtime.MemoryLimit(1<<16), runtime.Workers(1))
		m, err := b.Decode(data)
		if err != nil {
			return
		}
		defer func() { _ = b.Close() }() // Close returns nil
		for i, x := range m.GetInputTensors() {
			_ = m.SetInput(i, x) // Run reports inputs that could not be set
		}
		_ = b.Run()
	})
}
