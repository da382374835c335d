package runtime_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

type nodes = []*onnxpb.NodeProto

// op returns the node that a line describes, such as "y, z = domain.Operator(a, , b)".
func op(line string, attrs ...*onnxpb.AttributeProto) *onnxpb.NodeProto {
	left, right, _ := strings.Cut(line, "=")
	name, in, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(right), ")"), "(")
	n := &onnxpb.NodeProto{OpType: strings.TrimSpace(name), Output: splitNames(left), Input: splitNames(in), Attribute: attrs}
	if i := strings.LastIndex(n.OpType, "."); i >= 0 {
		n.Domain, n.OpType = n.OpType[:i], n.OpType[i+1:]
	}
	return n
}

func splitNames(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	w := strings.Split(s, ",")
	for i := range w {
		w[i] = strings.TrimSpace(w[i])
	}
	return w
}

// subgraph returns an attribute with a graph. inputs and outputs are names without declared
// types.
func subgraph(name, inputs, outputs string, list nodes, initializers ...*onnxpb.TensorProto) *onnxpb.AttributeProto {
	g := &onnxpb.GraphProto{Node: list, Initializer: initializers}
	for _, w := range splitNames(inputs) {
		g.Input = append(g.Input, &onnxpb.ValueInfoProto{Name: w})
	}
	for _, w := range splitNames(outputs) {
		g.Output = append(g.Output, &onnxpb.ValueInfoProto{Name: w})
	}
	return &onnxpb.AttributeProto{Name: name, Type: onnxpb.AttributeProto_GRAPH, G: g}
}

func intAttr(name string, v int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: name, Type: onnxpb.AttributeProto_INT, I: proto.Int64(v)}
}

func intsAttr(name string, v ...int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: name, Type: onnxpb.AttributeProto_INTS, Ints: v}
}

func refAttr(name, ref string) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: name, RefAttrName: ref, Type: onnxpb.AttributeProto_INT}
}

// typed declares a value of the given element type; a dimension of -1 is unknown.
func typed(name string, dtype ops.DType, dims ...int64) *onnxpb.ValueInfoProto {
	v := info(name, dims...)
	v.GetType().GetTensorType().ElemType = int32(dtype)
	return v
}

func scalarInt(name string, v int64) *onnxpb.TensorProto {
	return &onnxpb.TensorProto{Name: name, DataType: int32(ops.Int64), Int64Data: []int64{v}}
}

func scalarFloat(name string, v float32) *onnxpb.TensorProto {
	return &onnxpb.TensorProto{Name: name, DataType: int32(ops.Float32), FloatData: []float32{v}}
}

func scalarBool(name string, v bool) *onnxpb.TensorProto {
	p := &onnxpb.TensorProto{Name: name, DataType: int32(ops.Bool), Int32Data: []int32{0}}
	if v {
		p.Int32Data[0] = 1
	}
	return p
}

// network returns a model of opset 17 with the initializers that the tests use. The outputs
// have no declared types.
func network(inputs []*onnxpb.ValueInfoProto, outputs string, list nodes) *onnxpb.ModelProto {
	m := &onnxpb.ModelProto{
		IrVersion: 8, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}, {Domain: "f", Version: 1}},
		Graph: &onnxpb.GraphProto{
			Input: inputs, Node: list,
			Initializer: []*onnxpb.TensorProto{
				scalarBool("true", true), scalarBool("false", false), scalarInt("none", 0), scalarInt("three", 3), scalarInt("two", 2),
				scalarFloat("one", 1), scalarFloat("ten", 10), onnx.Float32Tensor("pair", []int{2}, []float32{1, 2}),
			},
		},
	}
	for _, w := range splitNames(outputs) {
		m.Graph.Output = append(m.Graph.Output, &onnxpb.ValueInfoProto{Name: w})
	}
	return m
}

// load returns the model of a message.
func load(t testing.TB, m *onnxpb.ModelProto, opts ...runtime.Option) *runtime.Model {
	t.Helper()
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	r, err := runtime.New(data, opts...)
	require.NoError(t, err)
	return r
}

// loadError returns the error of loading a message, which must wrap ErrModel.
func loadError(t testing.TB, m *onnxpb.ModelProto, opts ...runtime.Option) error {
	t.Helper()
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	_, err = runtime.New(data, opts...)
	require.ErrorIs(t, err, runtime.ErrModel)
	return err
}

// requireSame compares the types of two tensors and their numbers, float32 or int64.
func requireSame(t *testing.T, want, got *runtime.Tensor, message ...any) {
	t.Helper()
	require.NoError(t, ops.TypeOf(want).Check(got), message...)
	if want.Len() == 0 {
		return
	}
	if v := want.Float32s(); v != nil {
		require.InDeltaSlice(t, v, got.Float32s(), 1e-6, message...)
		return
	}
	require.Equal(t, want.Int64s(), got.Int64s(), message...)
}

// errBroken is the error of operator broken.
var errBroken = errors.New("the operator fails on purpose")

func marshal(t testing.TB, m *onnxpb.ModelProto) []byte {
	t.Helper()
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	return data
}
