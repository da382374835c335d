package runtime_test

import (
	"cmp"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// info declares a float32 value; a dimension of -1 is unknown.
func info(name string, dims ...int64) *onnxpb.ValueInfoProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range dims {
		dim := &onnxpb.TensorShapeProto_Dimension{}
		if d >= 0 {
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d}
		}
		shape.Dim = append(shape.Dim, dim)
	}
	return &onnxpb.ValueInfoProto{Name: name, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{ElemType: int32(ops.Float32), Shape: shape},
	}}}
}

// node returns a node with one output.
func node(op string, out string, in ...string) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{OpType: op, Input: in, Output: []string{out}}
}

// addModel returns the model y = x + c, with x and y of shape (batch, 2).
func addModel() *onnxpb.ModelProto {
	return &onnxpb.ModelProto{
		IrVersion:   8,
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}},
		Graph: &onnxpb.GraphProto{
			Input:       []*onnxpb.ValueInfoProto{info("x", -1, 2)},
			Output:      []*onnxpb.ValueInfoProto{info("y", -1, 2)},
			Initializer: []*onnxpb.TensorProto{onnx.Float32Tensor("c", []int{2}, []float32{1, 2})},
			Node:        []*onnxpb.NodeProto{node("Add", "y", "x", "c")},
		},
	}
}

func TestNew_RefusesMalformedGraphs(t *testing.T) {
	g := func(f func(g *onnxpb.GraphProto)) func(*onnxpb.ModelProto) {
		return func(m *onnxpb.ModelProto) { f(m.Graph) }
	}
	for _, c := range []struct {
		name   string
		change func(m *onnxpb.ModelProto)
		want   string
	}{
		{"unknown operator", g(func(g *onnxpb.GraphProto) { g.Node[0].OpType = "Frobnicate" }), `node "y" (Frobnicate): unknown operator`},
		{"unknown domain", g(func(g *onnxpb.GraphProto) { g.Node[0].Domain = "com.example" }), `node "y" (com.example.Add): unknown operator`},
		{"opset is missing", func(m *onnxpb.ModelProto) { m.OpsetImport = nil }, "the version of the operators of domain \"\" is missing"},
		{"opset above 27", func(m *onnxpb.ModelProto) { m.OpsetImport[0].Version = 99 }, "version 99 of the standard operators (opset_import) is not supported: export the model with a version from 1 to 27"},
		{
			"version of ai.sbs", func(m *onnxpb.ModelProto) {
				m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: "ai.sbs", Version: 2})
			},
			"version 2 of the operators of ai.sbs (opset_import) is not supported: want version 1",
		},
		{"no output", g(func(g *onnxpb.GraphProto) { g.Output = nil }), "no output"},
		{"output without a node", g(func(g *onnxpb.GraphProto) { g.Output[0].Name = "z" }), `output "z" is not computed`},
		{"declared type of an output", g(func(g *onnxpb.GraphProto) { g.Output[0] = typed("y", ops.Int64, -1, 2) }), `output "y": unsupported element type: declared as int64(?, 2), but computed as float32(?, 2)`},
		{"input of strings", g(func(g *onnxpb.GraphProto) { g.Input[0].GetType().GetTensorType().ElemType = 8 }), `unsupported element type: A is string(?, 2)`},
		{"dimension too large", g(func(g *onnxpb.GraphProto) { g.Input[0] = info("x", 1<<40, 2) }), "a dimension is declared as 1099511627776, want at most 2147483647"},
		{"too many elements", g(func(g *onnxpb.GraphProto) { g.Input[0] = info("x", 1<<30, 2) }), "has more than 2147483647 elements"},
		{"element types", g(func(g *onnxpb.GraphProto) { g.Input[0] = typed("x", ops.Int64, -1, 2) }), `node "y" (Add): `},
		{"sequence as input", g(func(g *onnxpb.GraphProto) {
			g.Input[0].Type = &onnxpb.TypeProto{Value: &onnxpb.TypeProto_SequenceType{}}
		}), `input "x": unsupported element type: the type of the items of a value is not declared`},
		{"no IR version", func(m *onnxpb.ModelProto) { m.IrVersion = 0 }, "IR version 0 is not supported, want 1 to 14"},
		{"IR version above 14", func(m *onnxpb.ModelProto) { m.IrVersion = 15 }, "IR version 15 is not supported, want 1 to 14"},
		{"unnamed input", g(func(g *onnxpb.GraphProto) { g.Input[0].Name = "" }), "a value has no name"},
		{"undefined input", g(func(g *onnxpb.GraphProto) { g.Node[0].Input[1] = "d" }), `input 1, "d", is neither an input, nor an initializer, nor an output of a node`},
		{"cycle", g(func(g *onnxpb.GraphProto) {
			g.Node = []*onnxpb.NodeProto{node("Add", "y", "x", "z"), node("Relu", "z", "y")}
		}), `the nodes form a cycle, in which each node needs the output of the next: "y", "z", "y"`},
		{"two nodes with one output", g(func(g *onnxpb.GraphProto) { g.Node = append(g.Node, node("Relu", "y", "x")) }), `two values are named "y"`},
		{"output named like an input", g(func(g *onnxpb.GraphProto) { g.Node[0].Output[0] = "x" }), `two values are named "x"`},
		{"initializer and input of other types", func(m *onnxpb.ModelProto) { m.Graph.Input = append(m.Graph.Input, typed("c", ops.Int64, 2)) }, `input "c": unsupported element type: declared as int64(2), but the initializer of this name is float32(2)`},
		{"too many inputs", g(func(g *onnxpb.GraphProto) { g.Node[0].Input = []string{"x", "c", "c"} }), "the node has 3 inputs, want 2"},
		{"omitted required input", g(func(g *onnxpb.GraphProto) { g.Node[0].Input = []string{"", "c"} }), "input 0 is missing"},
		{"too many outputs", g(func(g *onnxpb.GraphProto) { g.Node[0].Output = []string{"y", "z"} }), "the node has 2 outputs, want 1"},
		{"node without output", g(func(g *onnxpb.GraphProto) { g.Node[0].Output = nil }), `node "#0" (Add): the node has 0 outputs`},
		{"unknown attribute", g(func(g *onnxpb.GraphProto) {
			g.Node[0].Attribute = []*onnxpb.AttributeProto{{Name: "axis", Type: onnxpb.AttributeProto_INT}}
		}), "unknown axis"},
		{"initializer without data", g(func(g *onnxpb.GraphProto) { g.Initializer[0].RawData = nil }), `tensor "c"`},
		{"sparse initializer without values", g(func(g *onnxpb.GraphProto) { g.SparseInitializer = []*onnxpb.SparseTensorProto{{}} }), `sparse tensor "": not a valid ONNX model: it has no values`},
		{"index of a sparse initializer", g(func(g *onnxpb.GraphProto) { g.SparseInitializer = []*onnxpb.SparseTensorProto{sparse("s", 4)} }), `sparse tensor "s": not a valid ONNX model: the index of element 1 is outside of the shape [2 2]`},
		{"huge sparse initializer", g(func(g *onnxpb.GraphProto) {
			s := sparse("s", 3)
			s.Dims = []int64{1 << 29, 3}
			g.SparseInitializer = []*onnxpb.SparseTensorProto{s}
		}), "take 6442450944 bytes"},
		{"shapes of the inputs of a node", g(func(g *onnxpb.GraphProto) {
			g.Initializer[0] = onnx.Float32Tensor("c", []int{3}, []float32{1, 2, 3})
		}), `node "y" (Add): `},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := addModel()
			c.change(m)
			data, err := onnx.Marshal(m)
			require.NoError(t, err)
			_, err = runtime.New(data)
			require.ErrorIs(t, err, runtime.ErrModel)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestNew_AcceptsInitializersListedAsInputs(t *testing.T) {
	m := addModel()
	m.Graph.Input = append(m.Graph.Input, info("c", 2)) // as in files of IR version 3
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	r, err := runtime.New(data)
	require.NoError(t, err)
	require.Len(t, r.Inputs(), 1)
	x, err := runtime.NewTensor([]int{1, 2}, []float32{10, 20})
	require.NoError(t, err)
	out, err := r.Run(t.Context(), map[string]*runtime.Tensor{"x": x})
	require.NoError(t, err)
	require.Equal(t, []float32{11, 22}, out["y"].Float32s())
}

// TestNew_NeverMisreadsTruncatedFile truncates a model after every byte. Either New returns
// an error, or only metadata is lost and the outputs are the same.
func TestNew_NeverMisreadsTruncatedFile(t *testing.T) {
	data := modeltest.Write(t, converttest.Digits(), convert.Options{})
	whole, err := runtime.New(data)
	require.NoError(t, err)
	image := modeltest.Pixels(1, 1, converttest.Digits().Input)
	want := run(t, whole, image)
	for i := range data {
		m, err := runtime.New(data[:i])
		if err == nil { // only metadata is lost
			require.Equal(t, want, run(t, m, image), "cut at %d", i)
		}
	}
}

// fuzzed is the largest file that FuzzNew tries. Small files are the ones that differ from each
// other after few changes.
const fuzzed = 4 << 10

// tiny is a network with the smallest layers.
func tiny() *convert.Network {
	m := converttest.New(3)
	return &convert.Network{
		Name: "t", Dialect: 2, Step: -1, Input: convert.Size{Channels: 1, Height: 3, Width: 3},
		Layers: []convert.Layer{m.SbS(converttest.Window(2, 1), 1, 2, 2), m.SbS(converttest.Window(2, 1), 2, 2, 2)},
	}
}

// FuzzNew checks that New neither panics nor takes unbounded memory for any input, and that
// a model with small inputs runs without a panic if New loads it. A run ends after some
// looks at its context, because a loop may be endless.
func FuzzNew(f *testing.F) {
	seeds := [][]byte{modeltest.Write(f, tiny(), convert.Options{Body: convert.BodyNone}), marshal(f, addModel())}
	staged := &convert.Staged{Stages: []convert.Stage{{Network: tiny(), Threshold: 0.5}, {Network: tiny()}}}
	data, err := convert.StagesToONNX(staged, convert.Options{Body: convert.BodyNone})
	require.NoError(f, err)
	seeds = append(seeds, data)
	for _, m := range append(flowModels(), functionModels()...) {
		seeds = append(seeds, marshal(f, m))
	}
	seeds = append(seeds, marshal(f, gradientNetwork([]*onnxpb.ValueInfoProto{info("a", -1)}, "da", nodes{op("y = Mul(a, a)"), gradientOp("da = (a)", "a", "", "y")})))
	seeds = append(seeds, marshal(f, batchSums("y, z = Scan(n, s, x)", intsAttr("directions", 1))))
	for _, m := range foreignModels() {
		seeds = append(seeds, marshal(f, m.model))
	}
	for _, data := range seeds {
		require.Less(f, len(data), fuzzed)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > fuzzed {
			return
		}
		options := []runtime.Option{runtime.Workers(1), runtime.MemoryLimit(1 << 16), runtime.IgnoreChecksum()}
		if len(data)%2 == 1 {
			options = append(options, runtime.PreferFunctions())
		}
		m, err := runtime.New(data, append(options, runtime.Spikes(1))...)
		if errors.Is(err, runtime.ErrStages) {
			m, err = runtime.New(data, options...)
		}
		if err != nil {
			return
		}
		defer func() { _ = m.Close() }() // Close returns nil
		in := map[string]*runtime.Tensor{}
		for _, i := range m.Inputs() {
			shape := make([]int, len(i.Shape))
			for d, dim := range i.Shape {
				shape[d] = max(dim.Size, 1)
				if !dim.Known() {
					shape[d] = 1
				}
			}
			if n, err := ops.Len(shape); err != nil || n > 1<<12 {
				return
			}
			if i.DType.IsContainer() {
				return
			}
			x, err := ops.Zeros(cmp.Or(i.DType, ops.Float32), shape)
			if err != nil {
				t.Fatal(err)
			}
			in[i.Name] = x
		}
		_, _ = m.Run(opstest.CanceledAfter(t.Context(), 500), in)
	})
}
