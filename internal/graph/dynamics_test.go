package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

func node(domain, operator, name string) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{Domain: domain, OpType: operator, Name: name, Output: []string{name}}
}

func model(nodes ...*onnxpb.NodeProto) *onnxpb.ModelProto {
	return &onnxpb.ModelProto{Graph: &onnxpb.GraphProto{Node: nodes}}
}

func TestSetDynamics_ChangesSbSNodesOnly(t *testing.T) {
	pb := model(node(sbs.Domain, "SbS", "L0/SbS"), node(sbs.Domain, "Other", "L1/Other"), node("", "Relu", "L2/Relu"), node(sbs.Domain, "SbS", "L3/SbS"))
	require.NoError(t, graph.SetDynamics(pb, graph.Dynamics{All: sbs.Dynamics{Spikes: 5}, Layers: map[string]sbs.Dynamics{"L3": {Spikes: 7}}}))
	for i, want := range []any{int64(5), nil, nil, int64(7)} {
		attrs, err := onnx.Attributes(pb.GetGraph().GetNode()[i])
		require.NoError(t, err)
		require.Equal(t, want, attrs[sbs.AttrSpikes], "node %d", i)
	}
}

func TestSetDynamics_RefusesUnknownLayers(t *testing.T) {
	pb := model(node(sbs.Domain, "SbS", "L0/SbS"))
	for range 20 { // the order of a map must not show
		err := graph.SetDynamics(pb, graph.Dynamics{Layers: map[string]sbs.Dynamics{"L2": {Spikes: 7}, "L1": {Spikes: 7}, "L3": {Spikes: 7}}})
		require.ErrorIs(t, err, graph.ErrOption)
		require.ErrorContains(t, err, `there is no SbS layer "L1"; the SbS layers of the model are L0/SbS`)
	}
	err := graph.SetDynamics(model(), graph.Dynamics{Layers: map[string]sbs.Dynamics{"L2": {Spikes: 7}}})
	require.ErrorContains(t, err, "the model has no SbS operator")
	err = graph.SetDynamics(model(), graph.Dynamics{All: sbs.Dynamics{Spikes: 7}})
	require.ErrorContains(t, err, "the model has no SbS operator")
}

// TestSetDynamics_RefusesSbSInFunctions has an SbS node in a function next to one in the
// main graph: changing only one of them would train another network than asked for.
func TestSetDynamics_RefusesSbSInFunctions(t *testing.T) {
	pb := model(node(sbs.Domain, "SbS", "L0/SbS"), node("f", "Block", "L1/Block"))
	pb.Functions = []*onnxpb.FunctionProto{{Domain: "f", Name: "Block", Node: []*onnxpb.NodeProto{node(sbs.Domain, "SbS", "h")}}}
	err := graph.SetDynamics(pb, graph.Dynamics{All: sbs.Dynamics{Spikes: 5}})
	require.ErrorIs(t, err, graph.ErrOption)
	require.ErrorContains(t, err, `function "Block" has SbS nodes`)
	require.NoError(t, graph.SetDynamics(pb, graph.Dynamics{}), "nothing to change")
}
