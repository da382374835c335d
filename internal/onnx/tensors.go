package onnx

import "github.com/spike-by-spike/sbs/internal/onnx/onnxpb"

// eachTensor calls f for every tensor of a model: the initializers and attributes of its graph,
// its functions and all their subgraphs, and the parts of sparse tensors.
func eachTensor(m *onnxpb.ModelProto, f func(t *onnxpb.TensorProto)) {
	w := tensorWalk{f}
	w.graph(m.GetGraph())
	for _, f := range m.GetFunctions() {
		w.attributes(f.GetAttributeProto())
		w.nodes(f.GetNode())
	}
}

type tensorWalk struct{ f func(t *onnxpb.TensorProto) }

func (w tensorWalk) graph(g *onnxpb.GraphProto) {
	w.tensors(g.GetInitializer()...)
	w.sparse(g.GetSparseInitializer()...)
	w.nodes(g.GetNode())
}

func (w tensorWalk) nodes(nodes []*onnxpb.NodeProto) {
	for _, n := range nodes {
		w.attributes(n.GetAttribute())
	}
}

func (w tensorWalk) attributes(attrs []*onnxpb.AttributeProto) {
	for _, a := range attrs {
		w.tensors(a.GetTensors()...)
		w.tensors(a.GetT())
		w.sparse(a.GetSparseTensors()...)
		w.sparse(a.GetSparseTensor())
		w.graph(a.GetG())
		for _, g := range a.GetGraphs() {
			w.graph(g)
		}
	}
}

func (w tensorWalk) sparse(list ...*onnxpb.SparseTensorProto) {
	for _, t := range list {
		w.tensors(t.GetValues(), t.GetIndices())
	}
}

func (w tensorWalk) tensors(list ...*onnxpb.TensorProto) {
	for _, t := range list {
		if t != nil {
			w.f(t)
		}
	}
}
