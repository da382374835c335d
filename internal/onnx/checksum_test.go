package onnx

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// stamped returns a model with all kinds of contents, and its checksum.
func stamped(t *testing.T) *onnxpb.ModelProto {
	t.Helper()
	node := func(name string, attrs map[string]any) *onnxpb.NodeProto {
		n := &onnxpb.NodeProto{Name: name, OpType: "Op", Domain: "d", Input: []string{"a", "b"}, Output: []string{name}}
		require.NoError(t, SetAttributes(n, attrs))
		return n
	}
	shaped := &onnxpb.ValueInfoProto{Name: "a", Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{
		ElemType: 1, Shape: &onnxpb.TensorShapeProto{Dim: []*onnxpb.TensorShapeProto_Dimension{{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 3}}}},
	}}}}
	inner := &onnxpb.GraphProto{Initializer: []*onnxpb.TensorProto{Int64Tensor("i", 4)}, Node: []*onnxpb.NodeProto{node("in", nil)}}
	m := &onnxpb.ModelProto{
		IrVersion: 8, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}, {Domain: "d", Version: 2}},
		MetadataProps: []*onnxpb.StringStringEntryProto{{Key: metadata.Name, Value: "net"}, {Key: metadata.Classes, Value: "[]"}, {Key: "author", Value: "x"}},
		Graph: &onnxpb.GraphProto{
			Input: []*onnxpb.ValueInfoProto{shaped}, Output: []*onnxpb.ValueInfoProto{{Name: "n"}},
			Initializer: []*onnxpb.TensorProto{Float32Tensor("b", []int{2}, []float32{1, 2}), Int64Tensor("c", 1, 2, 3)},
			Node: []*onnxpb.NodeProto{
				node("m", map[string]any{"f": float32(1), "i": int64(2), "s": "text", "fs": []float32{1, 2}, "is": []int64{1, 2}, "ss": []string{"x", "y"}}),
				node("n", map[string]any{"t": Float32Tensor("t", nil, []float32{5}), "g": inner}),
			},
		},
		Functions: []*onnxpb.FunctionProto{
			{Name: "F", Domain: "d", Input: []string{"x"}, Output: []string{"y"}, Attribute: []string{"p"}, Node: []*onnxpb.NodeProto{node("y", map[string]any{"p": Ref{"p", onnxpb.AttributeProto_INT}})}},
			{Name: "G", Domain: "d"},
		},
	}
	require.NoError(t, Stamp(m))
	require.NoError(t, Verify(t.Context(), m))
	return m
}

func TestVerify_FindsEveryChange(t *testing.T) {
	for name, change := range map[string]func(m *onnxpb.ModelProto){
		"IR version":       func(m *onnxpb.ModelProto) { m.IrVersion = 9 },
		"operator set":     func(m *onnxpb.ModelProto) { m.OpsetImport[1].Version = 3 },
		"metadata":         func(m *onnxpb.ModelProto) { m.MetadataProps[1].Value = "[1]" },
		"metadata removed": func(m *onnxpb.ModelProto) { m.MetadataProps = m.MetadataProps[1:] },
		"checksum":         func(m *onnxpb.ModelProto) { m.MetadataProps[3].Value += "0" },
		"weight":           func(m *onnxpb.ModelProto) { m.Graph.Initializer[0].RawData[3] ^= 1 },
		"integer":          func(m *onnxpb.ModelProto) { m.Graph.Initializer[1].RawData[8]++ },
		"shape":            func(m *onnxpb.ModelProto) { m.Graph.Initializer[0].Dims = []int64{2, 1} },
		"type":             func(m *onnxpb.ModelProto) { m.Graph.Initializer[0].DataType = 6 },
		"initializer":      func(m *onnxpb.ModelProto) { m.Graph.Initializer = m.Graph.Initializer[1:] },
		"name":             func(m *onnxpb.ModelProto) { m.Graph.Initializer[0].Name = "d" },
		"input":            func(m *onnxpb.ModelProto) { m.Graph.Input[0].Name = "d" },
		"size of an input": func(m *onnxpb.ModelProto) { m.Graph.Input[0].GetType().GetTensorType().Shape.Dim = nil },
		"output":           func(m *onnxpb.ModelProto) { m.Graph.Output = nil },
		"node":             func(m *onnxpb.ModelProto) { m.Graph.Node = m.Graph.Node[:1] },
		"order of nodes":   func(m *onnxpb.ModelProto) { slices.Reverse(m.Graph.Node) },
		"operator":         func(m *onnxpb.ModelProto) { m.Graph.Node[0].OpType = "Add" },
		"input of a node":  func(m *onnxpb.ModelProto) { slices.Reverse(m.Graph.Node[0].Input) },
		"float":            func(m *onnxpb.ModelProto) { m.Graph.Node[0].Attribute[0].F = proto.Float32(2) },
		"floats":           func(m *onnxpb.ModelProto) { m.Graph.Node[0].Attribute[1].Floats[1] = 3 },
		"int":              func(m *onnxpb.ModelProto) { m.Graph.Node[0].Attribute[2].I = proto.Int64(1) },
		"ints":             func(m *onnxpb.ModelProto) { m.Graph.Node[0].Attribute[3].Ints = []int64{1} },
		"string":           func(m *onnxpb.ModelProto) { m.Graph.Node[0].Attribute[4].S = nil },
		"strings":          func(m *onnxpb.ModelProto) { m.Graph.Node[0].Attribute[5].Strings[0] = nil },
		"subgraph":         func(m *onnxpb.ModelProto) { m.Graph.Node[1].Attribute[0].G.Initializer[0].RawData[0] = 9 },
		"constant":         func(m *onnxpb.ModelProto) { m.Graph.Node[1].Attribute[1].T.RawData[0] = 9 },
		"function":         func(m *onnxpb.ModelProto) { m.Functions = m.Functions[:1] },
		"node of function": func(m *onnxpb.ModelProto) { m.Functions[0].Node[0].Attribute[0].RefAttrName = "q" },
		"lost elements":    func(m *onnxpb.ModelProto) { m.Graph.Initializer[0].RawData = nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := stamped(t)
			change(m)
			require.ErrorIs(t, Verify(t.Context(), m), ErrChecksum)
			if name != "lost elements" {
				require.NoError(t, Stamp(m))
				require.NoError(t, Verify(t.Context(), m))
			}
		})
	}
}

// TestVerify_AcceptsOtherEncodings changes what a program may change that writes the same
// model again.
func TestVerify_AcceptsOtherEncodings(t *testing.T) {
	for name, change := range map[string]func(m *onnxpb.ModelProto){
		"producer":      func(m *onnxpb.ModelProto) { m.ProducerName, m.DocString = "other", "text" },
		"value info":    func(m *onnxpb.ModelProto) { m.Graph.ValueInfo = m.Graph.Input },
		"comments":      func(m *onnxpb.ModelProto) { m.Graph.Node[0].DocString, m.Graph.Initializer[0].DocString = "x", "y" },
		"own metadata":  func(m *onnxpb.ModelProto) { m.MetadataProps[2].Value = "y" },
		"name of graph": func(m *onnxpb.ModelProto) { m.Graph.Name = "g" },
		"order": func(m *onnxpb.ModelProto) {
			slices.Reverse(m.MetadataProps)
			slices.Reverse(m.OpsetImport)
			slices.Reverse(m.Functions)
			slices.Reverse(m.Graph.Initializer)
			slices.Reverse(m.Graph.Node[0].Attribute)
		},
		"numbers instead of bytes": func(m *onnxpb.ModelProto) {
			m.Graph.Initializer[0].RawData, m.Graph.Initializer[0].FloatData = nil, []float32{1, 2}
			m.Graph.Initializer[1].RawData, m.Graph.Initializer[1].Int64Data = nil, []int64{1, 2, 3}
		},
		"no checksum": func(m *onnxpb.ModelProto) {
			m.MetadataProps = m.MetadataProps[:3]
			m.Graph.Initializer[0].RawData[0] = 77
		},
		"a later method": func(m *onnxpb.ModelProto) { m.MetadataProps[3].Value = "sha512:00" },
	} {
		t.Run(name, func(t *testing.T) {
			m := stamped(t)
			change(m)
			require.NoError(t, Verify(t.Context(), m))
		})
	}
}

// TestUnmarshal_DecodesFieldsInAnyOrder encodes the fields of a model in reverse order.
func TestUnmarshal_DecodesFieldsInAnyOrder(t *testing.T) {
	m := stamped(t)
	m.Graph.Initializer = append(m.Graph.Initializer, Float32Tensor("large", []int{3 << 20}, make([]float32, 3<<20)))
	require.NoError(t, Stamp(m))
	reversed := func(data []byte) []byte {
		var fields [][]byte
		for len(data) > 0 {
			_, _, n := protowire.ConsumeField(data)
			require.Positive(t, n)
			fields, data = append(fields, data[:n]), data[n:]
		}
		slices.Reverse(fields)
		return slices.Concat(fields...)
	}
	data, err := Marshal(m)
	require.NoError(t, err)
	back, err := Unmarshal(t.Context(), data)
	require.NoError(t, err)
	require.True(t, proto.Equal(m, back))
	graph, err := proto.Marshal(m.Graph)
	require.NoError(t, err)
	rest := proto.Clone(m).(*onnxpb.ModelProto)
	rest.Graph = nil
	data, err = proto.Marshal(rest)
	require.NoError(t, err)
	graph = reversed(graph)
	data = append(protowire.AppendBytes(protowire.AppendTag(nil, graphField, protowire.BytesType), graph), reversed(data)...)
	back, err = Unmarshal(t.Context(), data)
	require.NoError(t, err)
	require.Equal(t, "large", back.GetGraph().GetInitializer()[0].GetName())
	require.Len(t, back.GetGraph().GetNode(), 2)
	slices.Reverse(back.GetGraph().GetNode()) // their order means something
	slices.Reverse(back.GetFunctions())
	require.NoError(t, Verify(t.Context(), back))
	_, err = Unmarshal(t.Context(), data[:len(data)-1])
	require.ErrorIs(t, err, ErrFormat)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Unmarshal(ctx, data)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, Verify(ctx, back), context.Canceled)
}

// BenchmarkVerify reports the speed of the checksum.
func BenchmarkVerify(b *testing.B) {
	m := &onnxpb.ModelProto{Graph: &onnxpb.GraphProto{Initializer: []*onnxpb.TensorProto{Float32Tensor("w", []int{1 << 24}, make([]float32, 1<<24))}}}
	if err := Stamp(m); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4 << 24)
	for b.Loop() {
		if err := Verify(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}
