package convert

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// value is a float32 tensor of the graph under construction. Its shape is the batch
// followed by size.
type value struct {
	name string
	size Size
}

// writer builds a graph. It keeps the first error and ignores everything after it.
type writer struct {
	graph    *onnxpb.GraphProto
	options  Options
	features sharedFeatures

	// The layer that is being written.
	group string // prefix of the names of its nodes
	index int
	out   string // name of its output
	lastW string // name of the weights of the SbS layer before it

	neutral int // elements in all neutralEpsilonXY initializers so far
	err     error
}

// nodeSpec is a node to be added. A node with a step is named after the step, and so
// is its output. A node without a step is the last of its layer and has the layer's
// name and output.
type nodeSpec struct {
	op, domain string
	step       string
	inputs     []string
	attrs      ops.Attributes
	doc        string
}

// add adds a node whose output has the given size and returns the output.
func (w *writer) add(n nodeSpec, size Size) value {
	return value{w.addShaped(n, size.Channels, size.Height, size.Width), size}
}

// addShaped adds a node whose output is (batch, shape...) and returns its name.
func (w *writer) addShaped(n nodeSpec, shape ...int) string {
	return w.addInfo(n, func(name string) *onnxpb.ValueInfoProto { return w.batched(name, shape...) })
}

// addConst adds a node whose output has exactly the given shape, without a batch
// dimension, and returns its name.
func (w *writer) addConst(n nodeSpec, shape ...int) string {
	return w.addInfo(n, func(name string) *onnxpb.ValueInfoProto { return valueInfo(name, dims(shape)) })
}

func (w *writer) addInfo(n nodeSpec, info func(name string) *onnxpb.ValueInfoProto) string {
	name, out := w.group, w.out
	if n.step != "" {
		name = w.name(n.step)
		out = name
	}
	node := &onnxpb.NodeProto{
		Name: name, OpType: n.op, Domain: n.domain, Input: n.inputs, Output: []string{out}, DocString: n.doc,
	}
	if err := onnx.SetAttributes(node, n.attrs); err != nil && w.err == nil {
		w.err = fmt.Errorf("convert: node %s: %w", name, err)
	}
	w.graph.Node = append(w.graph.Node, node)
	w.graph.ValueInfo = append(w.graph.ValueInfo, info(out))
	return out
}

func (w *writer) name(step string) string { return w.group + "/" + step }

// batched describes a float32 value (batch, shape...).
func (w *writer) batched(name string, shape ...int) *onnxpb.ValueInfoProto {
	batch := &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "batch"}}
	if w.options.Batch > 0 {
		batch = dims([]int{w.options.Batch})[0]
	}
	return valueInfo(name, append([]*onnxpb.TensorShapeProto_Dimension{batch}, dims(shape)...))
}

func valueInfo(name string, dims []*onnxpb.TensorShapeProto_Dimension) *onnxpb.ValueInfoProto {
	return &onnxpb.ValueInfoProto{Name: name, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{
			ElemType: int32(ops.Float32),
			Shape:    &onnxpb.TensorShapeProto{Dim: dims},
		},
	}}}
}

func dims(shape []int) []*onnxpb.TensorShapeProto_Dimension {
	out := make([]*onnxpb.TensorShapeProto_Dimension, len(shape))
	for i, n := range shape {
		out[i] = &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(n)}}
	}
	return out
}

// floats adds a float32 initializer and returns its name.
func (w *writer) floats(step string, shape []int, data []float32) string {
	name := w.name(step)
	w.graph.Initializer = append(w.graph.Initializer, onnx.Float32Tensor(name, shape, data))
	return name
}

func (w *writer) tensor(step string, t *ops.Tensor) string {
	return w.floats(step, t.Shape(), t.Float32s())
}

// ints adds a one-dimensional int64 initializer and returns its name.
func (w *writer) ints(step string, data ...int64) string {
	name := w.name(step)
	w.graph.Initializer = append(w.graph.Initializer, onnx.Int64Tensor(name, data...))
	return name
}

// windowAttributes returns the ONNX attributes of a window.
func windowAttributes(w Window) ops.Attributes {
	pair := func(v [2]int) []int64 { return []int64{int64(v[0]), int64(v[1])} }
	p := pair(w.Pads)
	return ops.Attributes{
		"kernel_shape": pair(w.Kernel),
		"strides":      pair(w.Strides),
		"dilations":    pair(w.Dilations),
		"pads":         append(p, p...),
	}
}
