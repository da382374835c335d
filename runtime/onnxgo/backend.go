package onnxgo

import (
	"fmt"
	"math"
	"slices"

	"github.com/owulveryck/onnx-go"
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gorgonia.org/tensor"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// defaultOpset is the version of the standard operators in the files of this module.
const defaultOpset = 17

// Backend holds one model and runs it. New returns a Backend that can be passed to
// onnx.NewModel; the zero Backend cannot be used. A Backend and its onnx.Model are not
// safe for concurrent use.
//
// As onnx-go requires, a Backend is a graph. Its nodes are the values of the model, and an
// edge leads from each output of an operation to each of its inputs.
type Backend struct {
	view  // the methods that read the graph
	graph *simple.WeightedDirectedGraph

	options []runtime.Option
	opset   int64

	values     []*value // in the order in which onnx-go named them
	byName     map[string]*value
	pending    []graph.WeightedEdge // edges of the next operation
	operations []*onnxpb.NodeProto
	computed   int // the index in values of the first one that an operation computes

	model  *runtime.Model      // of the last run
	inputs map[string]ops.Type // the types that model is compiled for
}

type view interface{ graph.WeightedDirected }

// value is a value of the model. A value that the file declares twice has two nodes.
type value struct {
	name        string
	index       int           // in Backend.values
	decoded     tensor.Tensor // zeros of the declared type, or an initializer; nil if an operation computes it
	tensor      tensor.Tensor // the input, or the result of the last run
	declared    bool          // the file declares the type of this computed value
	initializer bool          // it is certainly an initializer; see Backend.isInitializer
	computed    bool          // an operation computes it
	used        bool          // an operation uses it
}

// node is the node of a value in the graph of onnx-go.
type node struct {
	*value
	id      int64
	backend *Backend
	filled  bool // SetTensor has been called while decoding
}

var (
	_ onnx.Backend     = (*Backend)(nil)
	_ onnx.Namer       = (*node)(nil)
	_ onnx.DataCarrier = (*node)(nil)
)

// New returns a Backend without a model. The options apply when the model is loaded, which
// happens in the first run: Run returns the errors about options.
func New(opts ...runtime.Option) *Backend {
	g := simple.NewWeightedDirectedGraph(0, 0)
	return &Backend{view: g, graph: g, options: slices.Clone(opts), opset: defaultOpset, byName: map[string]*value{}, computed: math.MaxInt}
}

// NewNode implements graph.NodeAdder. The IDs of nodes start at 0, because onnx-go uses
// the number of an input as the ID of its node.
func (b *Backend) NewNode() graph.Node {
	return &node{id: b.graph.NewNode().ID(), backend: b, value: &value{}}
}

// AddNode implements graph.NodeAdder.
func (b *Backend) AddNode(n graph.Node) { b.graph.AddNode(n) }

// NewWeightedEdge implements graph.WeightedEdgeAdder.
func (b *Backend) NewWeightedEdge(from, to graph.Node, weight float64) graph.WeightedEdge {
	return b.graph.NewWeightedEdge(from, to, weight)
}

// SetWeightedEdge implements graph.WeightedEdgeAdder. The edge says that the next
// operation has an output (from) and an input (to).
func (b *Backend) SetWeightedEdge(e graph.WeightedEdge) {
	b.pending = append(b.pending, e)
	if e.From().ID() == e.To().ID() {
		return // gonum would panic; the model is refused when it is compiled
	}
	b.graph.SetWeightedEdge(e)
}

// ApplyOperation implements onnx.OperationCarrier.
func (b *Backend) ApplyOperation(o onnx.Operation, outputs ...graph.Node) error {
	edges := b.pending
	b.pending = nil
	n, err := newOperation(o)
	if err != nil {
		return err
	}
	for _, out := range outputs {
		v, ok := out.(*node)
		if !ok {
			return fmt.Errorf("onnxgo: operation %s: an output is not a node of this Backend", o.Name)
		}
		n.Output = append(n.Output, v.name)
		if n.Name == "" {
			n.Name = v.name
		}
		if v.name == "" {
			continue // onnx-go has a node for an omitted output too
		}
		v.computed, b.computed = true, min(b.computed, v.index)
		v.declared, v.decoded = v.declared || v.decoded != nil, nil
	}
	if n.Name == "" {
		return fmt.Errorf("onnxgo: operation %s has no output", o.Name)
	}
	// There is an edge from every output to every input. The edges of the first output
	// are enough.
	for _, e := range edges[:len(edges)/len(outputs)] {
		v, ok := e.To().(*node)
		if !ok {
			return fmt.Errorf("onnxgo: node %q (%s): an input is not a node of this Backend", n.Name, o.Name)
		}
		v.used = true
		n.Input = append(n.Input, v.name)
	}
	if len(n.Input) == 1 && b.invented(n.Input[0]) {
		n.Input = nil
	}
	b.operations = append(b.operations, n)
	return nil
}
