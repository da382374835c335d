package convert

import (
	"maps"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// body writes a layer in standard operators. There are two forms: inline, for one layer
// whose sizes and parameters are known, and as the body of a function, which gets its sizes
// and parameters from the call.
type body struct {
	features                // of an SbS layer
	layer    *SbS           // nil in a function, and for other layers
	own      ops.Attributes // of the layer; nil in a function
	types    attributeTypes // of the operator's attributes
	w        *writer        // for the graph around an inline body; nil in a function
	sizes    sizes          // of an inline body; zero in a function

	number string // name of the value that holds the number of spikes

	nodes []*onnxpb.NodeProto  // of a function
	inner *[]*onnxpb.NodeProto // of the subgraph under construction, or nil
	err   error
}

// sizes are the sizes of one layer.
type sizes struct {
	batch, channels, height, width extent
	k, n, oh, ow                   extent
	places                         extent // kernel height times kernel width
	spikes                         extent
	positions                      extent // batch times output height times output width
}

// extent is the size of one dimension: n, or a symbol if n is 0.
type extent struct {
	n      int
	symbol string
}

var one = extent{n: 1}

// attributeTypes holds the types of the attributes of an operator.
type attributeTypes map[string]onnxpb.AttributeProto_AttributeType

// windowTypes are the types of the attributes of a window.
var windowTypes = attributeTypes{
	sbs.AttrKernelShape: onnxpb.AttributeProto_INTS, sbs.AttrStrides: onnxpb.AttributeProto_INTS,
	sbs.AttrDilations: onnxpb.AttributeProto_INTS, sbs.AttrPads: onnxpb.AttributeProto_INTS,
}

// with returns the types together with others.
func (t attributeTypes) with(others attributeTypes) attributeTypes {
	all := maps.Clone(t)
	maps.Copy(all, others)
	return all
}

// attribute returns the value of an attribute of the operator: the layer's value in an
// inline body, a reference to the attribute of the call in a function.
func (b *body) attribute(name string) any {
	if b.own != nil {
		return b.own[name]
	}
	return onnx.Ref{Name: name, Type: b.types[name]}
}

// attributes returns the named attributes, for a node that has the same ones.
func (b *body) attributes(names ...string) ops.Attributes {
	a := ops.Attributes{}
	for _, name := range names {
		a[name] = b.attribute(name)
	}
	return a
}

// shaped is the type of a value. The shape is not used in a function.
type shaped struct {
	dtype ops.DType
	shape []extent
}

func float(shape ...extent) shaped   { return shaped{ops.Float32, shape} }
func double(shape ...extent) shaped  { return shaped{ops.Float64, shape} }
func int32s(shape ...extent) shaped  { return shaped{ops.Int32, shape} }
func int64s(shape ...extent) shaped  { return shaped{ops.Int64, shape} }
func boolean(shape ...extent) shaped { return shaped{ops.Bool, shape} }

func (t shaped) info(name string) *onnxpb.ValueInfoProto {
	v := valueInfo(name, nil)
	tensor := v.GetType().GetTensorType()
	tensor.ElemType = int32(t.dtype)
	for _, e := range t.shape {
		d := &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: e.symbol}}
		if e.n > 0 {
			d = dims([]int{e.n})[0]
		}
		tensor.Shape.Dim = append(tensor.Shape.Dim, d)
	}
	return v
}

// step returns the name of a node and its output.
func (b *body) step(name string) string {
	if b.w != nil {
		return b.w.name(name)
	}
	return name
}

// add adds a node with one output and returns the name of the output.
func (b *body) add(step, op string, t shaped, attrs ops.Attributes, inputs ...string) string {
	name := b.step(step)
	return b.addNamed(name, name, op, t, attrs, inputs...)
}

// last adds the node whose output is the output of the layer.
func (b *body) last(op string, t shaped, attrs ops.Attributes, inputs ...string) string {
	if b.w != nil {
		return b.addNamed(b.w.group, b.w.out, op, t, attrs, inputs...)
	}
	return b.addNamed("Y", "Y", op, t, attrs, inputs...)
}

func (b *body) addNamed(name, out, op string, t shaped, attrs ops.Attributes, inputs ...string) string {
	n := &onnxpb.NodeProto{Name: name, OpType: op, Input: inputs, Output: []string{out}}
	if err := onnx.SetAttributes(n, attrs); err != nil && b.err == nil {
		b.err = err
	}
	switch {
	case b.inner != nil:
		*b.inner = append(*b.inner, n)
	case b.w != nil:
		b.w.graph.Node = append(b.w.graph.Node, n)
		b.w.graph.ValueInfo = append(b.w.graph.ValueInfo, t.info(out))
	default:
		b.nodes = append(b.nodes, n)
	}
	return out
}

// explain sets the doc string of the node that was added last.
func (b *body) explain(doc string) {
	nodes := b.nodes
	if b.w != nil {
		nodes = b.w.graph.Node
	}
	nodes[len(nodes)-1].DocString = doc
}

// output adds a second output to the node that was added last.
func (b *body) output(step string, t shaped) {
	if b.w != nil {
		n := b.w.graph.Node[len(b.w.graph.Node)-1]
		n.Output = append(n.Output, b.step(step))
		b.w.graph.ValueInfo = append(b.w.graph.ValueInfo, t.info(b.step(step)))
		return
	}
	n := b.nodes[len(b.nodes)-1]
	n.Output = append(n.Output, step)
}

// constant adds a constant: an initializer or, in a function, which cannot have
// initializers, a node.
func (b *body) constant(t *onnxpb.TensorProto) string {
	if b.w != nil {
		t.Name = b.step(t.GetName())
		b.w.graph.Initializer = append(b.w.graph.Initializer, t)
		return t.GetName()
	}
	name := t.GetName()
	t.Name = ""
	return b.outside(func() string { return b.add(name, "Constant", shaped{}, ops.Attributes{"value": t}) })
}

// outside adds a node to the graph around the subgraph under construction, before the
// node that the subgraph belongs to.
func (b *body) outside(add func() string) string {
	inner := b.inner
	b.inner = nil
	defer func() { b.inner = inner }()
	return add()
}

func (b *body) ints(step string, v ...int64) string { return b.constant(onnx.Int64Tensor(step, v...)) }

// scalar adds an int64 constant without dimensions.
func (b *body) scalar(step string, v int64) string {
	t := onnx.Int64Tensor(step, v)
	t.Dims = nil
	return b.constant(t)
}

func (b *body) doubles(step string, v ...float64) string {
	t := onnx.Float64Tensor(step, v...)
	if len(v) == 1 {
		t.Dims = nil
	}
	return b.constant(t)
}

func (b *body) float(step string, v float32) string {
	return b.constant(onnx.Float32Tensor(step, nil, []float32{v}))
}

// graph builds a subgraph. build adds its nodes and returns its outputs.
func (b *body) graph(name string, inputs []*onnxpb.ValueInfoProto, build func() []*onnxpb.ValueInfoProto) *onnxpb.GraphProto {
	g := &onnxpb.GraphProto{Name: name, Input: inputs}
	b.inner = &g.Node
	g.Output = build()
	b.inner = nil
	return g
}

// loopState returns the first two inputs of the body of every Loop: the iteration number
// and the condition. onnxruntime requires that they are declared as scalars.
func (b *body) loopState(step, on string) []*onnxpb.ValueInfoProto {
	return []*onnxpb.ValueInfoProto{int64s().info(b.step(step)), boolean().info(b.step(on))}
}

// matrix describes a two-dimensional value of a subgraph.
func (b *body) matrix(step string, dtype ops.DType) *onnxpb.ValueInfoProto {
	v := b.inside(step, dtype)
	v.GetType().GetTensorType().Shape = &onnxpb.TensorShapeProto{Dim: []*onnxpb.TensorShapeProto_Dimension{{}, {}}}
	return v
}

// inside describes a value of a subgraph without its shape.
func (b *body) inside(step string, dtype ops.DType) *onnxpb.ValueInfoProto {
	v := shaped{dtype: dtype}.info(b.step(step))
	v.GetType().GetTensorType().Shape = nil
	return v
}

// vector is a list of sizes: known numbers, or the name of a value of the graph.
type vector struct {
	known []int64
	name  string
}

func sizesOf(v ...int64) vector { return vector{known: v} }

// input returns the name of a vector's value. A known vector becomes a constant.
func (b *body) input(step string, v vector) string {
	if v.name != "" {
		return v.name
	}
	return b.ints(step, v.known...)
}

// shapeOf returns dimensions from to to-1 of a value. If the sizes in known are all
// numbers, it returns them and adds no node.
func (b *body) shapeOf(step, value string, from, to int64, known ...extent) vector {
	var v vector
	for _, e := range known {
		if e.n > 0 {
			v.known = append(v.known, int64(e.n))
		}
	}
	if len(v.known) == int(to-from) {
		return v
	}
	return vector{name: b.add(step, "Shape", int64s(extent{n: int(to - from)}), ops.Attributes{"start": from, "end": to}, value)}
}

// join concatenates vectors.
func (b *body) join(step string, parts ...vector) vector {
	if !slices.ContainsFunc(parts, func(v vector) bool { return v.name != "" }) {
		var all vector
		for _, p := range parts {
			all.known = append(all.known, p.known...)
		}
		return all
	}
	names := make([]string, len(parts))
	length := 0
	for i, p := range parts {
		names[i] = b.input(step+"_"+string(rune('a'+i)), p)
		length += len(p.known)
		if p.name != "" {
			length++ // unknown vectors of an inline body have one entry
		}
	}
	return vector{name: b.add(step, "Concat", int64s(extent{n: length}), ops.Attributes{"axis": int64(0)}, names...)}
}

// attributeInts returns an attribute that is a list of integers.
func (b *body) attributeInts(step, name string) vector {
	switch v := b.attribute(name).(type) {
	case []int64:
		return vector{known: v}
	case int64:
		return vector{known: []int64{v}}
	default:
		return vector{name: b.add(step, "Constant", shaped{}, ops.Attributes{"value_ints": v})}
	}
}

// attributeFloats returns a float attribute, a scalar, or a list of floats.
func (b *body) attributeFloats(name string) string {
	switch v := b.attribute(name).(type) {
	case float32:
		return b.float(name, v)
	case []float32:
		return b.constant(onnx.Float32Tensor(name, []int{len(v)}, v))
	case onnx.Ref:
		key := "value_float"
		if v.Type == onnxpb.AttributeProto_FLOATS {
			key = "value_floats"
		}
		return b.add(name, "Constant", shaped{}, ops.Attributes{key: v})
	}
	return ""
}

// attributeInt returns an integer attribute, a scalar.
func (b *body) attributeInt(name string) string {
	v, ok := b.attribute(name).(int64)
	if !ok {
		return b.add(name, "Constant", shaped{}, ops.Attributes{"value_int": b.attribute(name)})
	}
	return b.scalar(name, v)
}
