package convert

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// value is a tensor of the graph under construction, float32 (batch, size).
type value struct {
	name string
	size Size
}

// writer builds a graph. The first error sticks and makes the rest moot.
type writer struct {
	graph    *onnxpb.GraphProto
	options  Options
	features features // of all SbS layers together

	group string // the layer being written, a prefix of the names of its nodes
	index int    // its number
	out   string // the name of its output
	last  *SbS   // the SbS layer before it, if there is one
	lastW string // and the name of its weights
	err   error

	neutral int // elements of neutralEpsilonXY so far
}

// nodeSpec is a node to be added. Without step it is the layer's only or last
// node, and its output is the layer's; else the step is part of its name and
// names its output.
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

// addConst adds a node whose output does not depend on the image and is of the
// given shape, and returns its name.
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
