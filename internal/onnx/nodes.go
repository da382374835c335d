package onnx

import "github.com/spike-by-spike/sbs/internal/onnx/onnxpb"

// AnyNode reports whether f holds for a node of a model: in its graph, its functions, or a
// subgraph of one of these.
func AnyNode(m *onnxpb.ModelProto, f func(n *onnxpb.NodeProto) bool) bool {
	found := anyNode(m.GetGraph().GetNode(), f)
	for _, function := range m.GetFunctions() {
		found = found || anyNode(function.GetNode(), f)
	}
	return found
}

func anyNode(nodes []*onnxpb.NodeProto, f func(n *onnxpb.NodeProto) bool) bool {
	for _, n := range nodes {
		if f(n) {
			return true
		}
		for _, a := range n.GetAttribute() {
			if anyNode(a.GetG().GetNode(), f) {
				return true
			}
			for _, g := range a.GetGraphs() {
				if anyNode(g.GetNode(), f) {
					return true
				}
			}
		}
	}
	return false
}
