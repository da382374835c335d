package convert

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// reader looks up the nodes and initializers of one layer of a model.
type reader struct {
	nodes        map[string]*onnxpb.NodeProto   // by name
	initializers map[string]*onnxpb.TensorProto // by name
	group        string                         // the layer being read, like writer.group
	last         *SbS                           // the layer before it if that is an SbS layer, else nil
}

func newReader(g *onnxpb.GraphProto) (*reader, error) {
	r := &reader{nodes: map[string]*onnxpb.NodeProto{}, initializers: map[string]*onnxpb.TensorProto{}}
	for _, n := range g.GetNode() {
		if r.nodes[n.GetName()] != nil {
			return nil, fmt.Errorf("convert: %w: two nodes are named %q", ErrNotConverted, n.GetName())
		}
		r.nodes[n.GetName()] = n
	}
	for _, t := range g.GetInitializer() {
		r.initializers[t.GetName()] = t
	}
	return r, nil
}

// node returns the layer's node of the given step and its attributes. An empty step
// stands for the node with the name of the layer.
func (r *reader) node(step string) (*onnxpb.NodeProto, ops.Attributes, error) {
	name := r.name(step)
	n := r.nodes[name]
	if n == nil {
		return nil, nil, fmt.Errorf("%w: node %q is missing", ErrNotConverted, name)
	}
	attrs, err := onnx.Attributes(n)
	return n, attrs, err
}

func (r *reader) name(step string) string {
	if step == "" {
		return r.group
	}
	return r.group + "/" + step
}

// floats returns the float32 initializer of the given step.
func (r *reader) floats(step string) (*ops.Tensor, error) {
	return r.tensor(r.name(step), ops.Float32)
}

// input returns the float32 initializer that is input i of a node, or nil if the node
// has no such input.
func (r *reader) input(n *onnxpb.NodeProto, i int) (*ops.Tensor, error) {
	if i >= len(n.GetInput()) || n.GetInput()[i] == "" {
		return nil, nil
	}
	return r.tensor(n.GetInput()[i], ops.Float32)
}

func (r *reader) tensor(name string, dtype ops.DType) (*ops.Tensor, error) {
	p := r.initializers[name]
	if p == nil {
		return nil, fmt.Errorf("%w: initializer %q is missing", ErrNotConverted, name)
	}
	shape, data, err := onnx.TensorData(context.Background(), p)
	if err != nil {
		return nil, err
	}
	t, err := ops.FromSlice(shape, data)
	if err != nil {
		return nil, err
	}
	if t.DType() != dtype {
		return nil, fmt.Errorf("%w: initializer %q is %v, want %v", ErrNotConverted, name, t.DType(), dtype)
	}
	return t, nil
}

// window decodes the attributes that windowAttributes writes. Missing attributes have
// their defaults in ONNX.
func window(a ops.Attributes) (Window, error) {
	var w Window
	for _, f := range []struct {
		name string
		dst  *[2]int
		def  []int64
	}{
		{"kernel_shape", &w.Kernel, nil},
		{"strides", &w.Strides, []int64{1, 1}},
		{"dilations", &w.Dilations, []int64{1, 1}},
		{"pads", &w.Pads, []int64{0, 0, 0, 0}},
	} {
		v, err := ops.Attr(a, f.name, f.def)
		if err != nil {
			return w, err
		}
		symmetric := len(v) == 2 || len(v) == 4 && v[0] == v[2] && v[1] == v[3]
		if !symmetric {
			return w, fmt.Errorf("%w: attribute %s is %v", ErrNotConverted, f.name, v)
		}
		f.dst[0], f.dst[1] = int(v[0]), int(v[1])
	}
	return w, nil
}

// layerGroups returns the groups of the layers in order. A node that ToONNX does not
// write is an error, because FromONNX would lose it.
func layerGroups(g *onnxpb.GraphProto) ([]string, error) {
	var groups []string
	for _, n := range g.GetNode() {
		prefix, rest, _ := strings.Cut(n.GetName(), "/")
		if prefix == groupPreprocessing || prefix == groupOutput {
			continue
		}
		digits, ok := strings.CutPrefix(prefix, "L")
		i, err := strconv.Atoi(digits)
		if !ok || err != nil {
			return nil, fmt.Errorf("convert: %w: node %q does not belong to a layer", ErrNotConverted, n.GetName())
		}
		kind, _, _ := strings.Cut(rest, "/")
		group := prefix + "/" + kind
		switch {
		case i == len(groups):
			groups = append(groups, group)
		case i != len(groups)-1 || groups[i] != group:
			return nil, fmt.Errorf("convert: %w: node %q is out of order", ErrNotConverted, n.GetName())
		}
	}
	return groups, nil
}
