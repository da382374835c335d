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

// defaultOpset is the version of the standard operators that our files use.
const defaultOpset = 17

// Backend holds one model and runs it. It is what onnx.NewModel takes, and also the
// graph of the model's values, with an edge from each output of an operation to each
// input of it. A Backend, as its onnx.Model, is not safe for concurrent use.
type Backend struct {
	view  // reading the graph
	graph *simple.WeightedDirectedGraph

	options []runtime.Option
	opset   int64

	values     []*value // in the order in which onnx-go named them
	byName     map[string]*value
	pending    []graph.WeightedEdge // of the operation that comes next
	operations []*onnxpb.NodeProto
	computed   int // the first place in values of one that an operation computes

	// What ran last, and the types of the inputs that it is compiled for.
	model  *runtime.Model
	inputs map[string]ops.Type
}

type view interface{ graph.WeightedDirected }

// value is a value of the model. Where a file declares it twice there are two nodes of it.
type value struct {
	name        string
	place       int           // in Backend.values
	decoded     tensor.Tensor // zeros of the declared type, or an initializer; nil once computed
	tensor      tensor.Tensor // what SetInput gave, or what the last run computed
	declared    bool          // and computed
	initializer bool          // surely: the rest is told by Backend.isInitializer
	computed    bool          // by an operation
	used        bool          // by an operation
}

// node is what onnx-go sees of a value.
type node struct {
	*value
	id      int64
	backend *Backend
	filled  bool // by a declaration or an initializer
}

var (
	_ onnx.Backend     = (*Backend)(nil)
	_ onnx.Namer       = (*node)(nil)
	_ onnx.DataCarrier = (*node)(nil)
)

// New returns a Backend without a model. The options are those that the model will be
// loaded with.
func New(opts ...runtime.Option) *Backend {
	g := simple.NewWeightedDirectedGraph(0, 0)
	return &Backend{view: g, graph: g, options: slices.Clone(opts), opset: defaultOpset, byName: map[string]*value{}, computed: math.MaxInt}
}

// NewNode implements graph.NodeAdder. Nodes count from 0: onnx-go takes the number of an
// input for the ID of its node.
func (b *Backend) NewNode() graph.Node {
	return &node{id: b.graph.NewNode().ID(), backend: b, value: &value{}}
}

// AddNode implements graph.NodeAdder.
func (b *Backend) AddNode(n graph.Node) { b.graph.AddNode(n) }

// NewWeightedEdge implements graph.WeightedEdgeAdder.
func (b *Backend) NewWeightedEdge(from, to graph.Node, weight float64) graph.WeightedEdge {
	return b.graph.NewWeightedEdge(from, to, weight)
}

// SetWeightedEdge implements graph.WeightedEdgeAdder. It tells that an operation which
// makes from will have to as an input.
func (b *Backend) SetWeightedEdge(e graph.WeightedEdge) {
	b.pending = append(b.pending, e)
	if e.From().ID() != e.To().ID() { // for which gonum panics; compiling the model refuses it
		b.graph.SetWeightedEdge(e)
	}
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
			return fmt.Errorf("onnxgo: operation %s: an output is a %T, not a node of this backend", o.Name, out)
		}
		n.Output = append(n.Output, v.name)
		if n.Name == "" {
			n.Name = v.name
		}
		if v.name == "" { // omitted: onnx-go makes a node of these too
			continue
		}
		v.computed, b.computed = true, min(b.computed, v.place)
		v.declared, v.decoded = v.declared || v.decoded != nil, nil
	}
	if n.Name == "" {
		return fmt.Errorf("onnxgo: operation %s has no output", o.Name)
	}
	// There is an edge from every output to every input; those of the first are enough.
	for _, e := range edges[:len(edges)/len(outputs)] {
		v, ok := e.To().(*node)
		if !ok {
			return fmt.Errorf("onnxgo: node %q (%s): an input is a %T, not a node of this backend", n.Name, o.Name, e.To())
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
