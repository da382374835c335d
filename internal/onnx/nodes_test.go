package onnx_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

func TestAnyNode_LooksIntoFunctionsAndSubgraphs(t *testing.T) {
	node := func(name string) *onnxpb.NodeProto { return &onnxpb.NodeProto{OpType: name} }
	graph := func(name string) *onnxpb.GraphProto { return &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{node(name)}} }
	outer := node("outer")
	outer.Attribute = []*onnxpb.AttributeProto{{G: graph("one")}, {Graphs: []*onnxpb.GraphProto{graph("first"), graph("second")}}}
	m := &onnxpb.ModelProto{
		Graph:     &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{node("plain"), outer}},
		Functions: []*onnxpb.FunctionProto{{Node: []*onnxpb.NodeProto{node("function")}}},
	}
	for name, want := range map[string]bool{"plain": true, "outer": true, "one": true, "first": true, "second": true, "function": true, "other": false} {
		require.Equal(t, want, onnx.AnyNode(m, func(n *onnxpb.NodeProto) bool { return n.GetOpType() == name }), name)
	}
}
