package onnx

import (
	"iter"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// AnyNode reports whether f holds for a node of a model: in its graph, its functions, or a
// subgraph of one of these.
func AnyNode(m *onnxpb.ModelProto, f func(n *onnxpb.NodeProto) bool) bool {
	lists := [][]*onnxpb.NodeProto{m.GetGraph().GetNode()}
	for _, function := range m.GetFunctions() {
		lists = append(lists, function.GetNode())
	}
	for _, nodes := range lists {
		for _, n := range AllNodes(nodes) {
			if f(n) {
				return true
			}
		}
	}
	return false
}

// AllNodes returns nodes and those of their subgraphs, after the node that has the subgraph,
// with the number of subgraphs around each.
func AllNodes(nodes []*onnxpb.NodeProto) iter.Seq2[int, *onnxpb.NodeProto] {
	return func(yield func(int, *onnxpb.NodeProto) bool) { allNodes(nodes, 0, yield) }
}

func allNodes(nodes []*onnxpb.NodeProto, depth int, yield func(int, *onnxpb.NodeProto) bool) bool {
	for _, n := range nodes {
		if !yield(depth, n) {
			return false
		}
		for _, g := range Subgraphs(n) {
			if !allNodes(g.GetNode(), depth+1, yield) {
				return false
			}
		}
	}
	return true
}

// Subgraphs returns the graphs among the attributes of a node, with the names of the
// attributes.
func Subgraphs(n *onnxpb.NodeProto) iter.Seq2[string, *onnxpb.GraphProto] {
	return func(yield func(string, *onnxpb.GraphProto) bool) {
		for _, a := range n.GetAttribute() {
			if g := a.GetG(); g != nil && !yield(a.GetName(), g) {
				return
			}
			for _, g := range a.GetGraphs() {
				if !yield(a.GetName(), g) {
					return
				}
			}
		}
	}
}
