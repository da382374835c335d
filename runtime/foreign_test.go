package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// sparse returns a float32 tensor of shape (2, 2) with the elements 5, 7 at 0 and at the given
// place.
func sparse(name string, second int64) *onnxpb.SparseTensorProto {
	return &onnxpb.SparseTensorProto{
		Values: onnx.Float32Tensor(name, []int{2}, []float32{5, 7}), Indices: onnx.Int64Tensor("", 0, second), Dims: []int64{2, 2},
	}
}

// changed returns a model after a change.
func changed(m *onnxpb.ModelProto, change func(m *onnxpb.ModelProto)) *onnxpb.ModelProto {
	change(m)
	return m
}

// foreignModel is a model that breaks rules of ONNX which other runtimes do not insist on. The
// results are those of onnxruntime, where it loads the model.
type foreignModel struct {
	name    string
	model   *onnxpb.ModelProto
	in      values
	want    values
	warning string // the only one, "" for none
}

func foreignModels() []foreignModel {
	x := []*onnxpb.ValueInfoProto{info("x", 2)}
	free := []*onnxpb.ValueInfoProto{info("x", -1)}
	neg := nodes{op("y = Neg(x)")}
	onX := values{"x": f32([]int{2}, 1, -2)}
	negated := f32([]int{2}, -1, 2)
	negative := func(size int64) *onnxpb.ModelProto {
		return changed(network(x, "y", neg), func(m *onnxpb.ModelProto) {
			dim := &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: size}}
			m.Graph.Input = []*onnxpb.ValueInfoProto{info("x", -1)}
			m.Graph.Input[0].GetType().GetTensorType().GetShape().Dim[0] = dim
		})
	}
	output := func(v *onnxpb.ValueInfoProto, inputs []*onnxpb.ValueInfoProto, list nodes) *onnxpb.ModelProto {
		return changed(network(inputs, "y", list), func(m *onnxpb.ModelProto) { m.Graph.Output[0] = v })
	}
	initial := func(list nodes, tensors ...*onnxpb.TensorProto) *onnxpb.ModelProto {
		return changed(network(x, "y", list), func(m *onnxpb.ModelProto) { m.Graph.Initializer = append(m.Graph.Initializer, tensors...) })
	}
	dense := changed(network(x, "y", nodes{op("y = Add(x, s)")}), func(m *onnxpb.ModelProto) {
		m.Graph.SparseInitializer = []*onnxpb.SparseTensorProto{sparse("s", 3)}
	})
	coordinates := sparse("", 0)
	coordinates.Indices = onnx.Int64Tensor("", 1, 1, 0, 1)
	coordinates.Indices.Dims = []int64{2, 2}
	twice := &onnxpb.GraphProto{
		Name:  "twice",
		Input: []*onnxpb.ValueInfoProto{typed("i", ops.Int64), typed("c", ops.Bool), info("s", 7, 7), info("k", 2)}, // s has the shape (2)
		Node:  nodes{op("s2 = Add(s, k)")}, Output: []*onnxpb.ValueInfoProto{typed("c", ops.Bool), info("s2", 9)},
		Initializer: []*onnxpb.TensorProto{onnx.Float32Tensor("k", []int{2}, []float32{10, 20})},
	}
	return []foreignModel{
		{"declared output of another size", output(info("y", 4, 8), x, neg), onX, values{"y": negated},
			`output "y" is declared as float32(4, 8), but computed as float32(2): the declared shape is ignored`},
		{"declared output of another rank", output(info("y", 1), x, nodes{op("y = ReduceSum(x)", intAttr("keepdims", 0))}), onX, values{"y": f32(nil, -1)},
			`output "y" is declared as float32(1), but computed as float32(): the declared shape is ignored`},
		{"declared size of an intermediate value", changed(network(x, "y", nodes{op("z = Abs(x)"), op("y = Neg(z)")}), func(m *onnxpb.ModelProto) {
			m.Graph.ValueInfo = []*onnxpb.ValueInfoProto{info("z", 3, 4)}
		}), onX, values{"y": f32([]int{2}, -1, -2)}, ""},
		{"declared sizes in a body, and an initializer among its inputs", network(x, "y", nodes{op("y = Loop(three, , x)",
			&onnxpb.AttributeProto{Name: "body", Type: onnxpb.AttributeProto_GRAPH, G: twice})}), onX, values{"y": f32([]int{2}, 31, 58)}, ""},
		{"dimension -1", negative(-1), onX, values{"y": negated}, ""},
		{"dimension -5", negative(-5), onX, values{"y": negated}, ""},
		{"dimension 0", negative(0), values{"x": f32([]int{0})}, values{"y": f32([]int{0})}, ""},
		{"input without rank", changed(network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", neg), func(m *onnxpb.ModelProto) { m.Graph.Input[0].GetType().GetTensorType().Shape = nil }),
			onX, values{"y": negated}, ""},
		{"input without type", changed(network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", neg), func(m *onnxpb.ModelProto) { m.Graph.Input[0].Type = nil }), onX, values{"y": negated}, ""},
		{"input without element type", changed(network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", neg), func(m *onnxpb.ModelProto) { m.Graph.Input[0].GetType().GetTensorType().ElemType = 0 }),
			onX, values{"y": negated}, ""},
		{"nodes in another order", network(x, "y", nodes{op("y = Neg(z)"), op("z = Abs(w)"), op("w = Exp(v)"), op("v = Log(u)"), op("u = Abs(x)")}),
			onX, values{"y": f32([]int{2}, -1, -2)}, ""},
		{"nodes in another order in a subgraph", network(x, "y", nodes{
			op("y = If(true)", subgraph("then_branch", "", "b", nodes{op("b = Neg(a)"), op("a = Add(x, z)")}), subgraph("else_branch", "", "a", nodes{op("a = Neg(x)")})),
			op("z = Abs(x)"),
		}), onX, values{"y": f32([]int{2}, -2, 0)}, ""},
		{"nodes in another order in a function", withFunctions(network(x, "y", nodes{op("y = f.F(x)")}), function("F", "a", "b", "", nodes{op("b = Neg(c)"), op("c = Abs(a)")})),
			onX, values{"y": f32([]int{2}, -1, -2)}, ""},
		{"output twice", network(x, "y, y", neg), onX, values{"y": negated}, ""},
		{"input, initializer and node as outputs", network(x, "x, pair, y", neg), onX, values{"x": f32([]int{2}, 1, -2), "pair": f32([]int{2}, 1, 2), "y": negated}, ""},
		{"initializer twice", initial(nodes{op("y = Mul(x, pair)")}, onnx.Float32Tensor("pair", []int{2}, []float32{10, 20})), onX, values{"y": f32([]int{2}, 10, -40)},
			`several initializers have the same name, such as "pair": the last of them is used`},
		{"initializer without name", initial(neg, onnx.Float32Tensor("", []int{1}, []float32{10})), onX, values{"y": negated}, ""},
		{"function twice", withFunctions(network(x, "y", nodes{op("y = f.F(x)")}),
			function("F", "a", "b", "", nodes{op("b = Abs(a)")}), function("F", "a", "b", "", nodes{op("b = Neg(a)")})), onX, values{"y": negated},
			`the model defines the function "F" of domain "f" more than once: the last definition is used`},
		{"unused function of unknown operators", withFunctions(network(x, "y", neg), function("F", "a", "b", "", nodes{op("b = g.Unknown(a)")})), onX, values{"y": negated}, ""},
		{"function without opset", withFunctions(network(x, "y", nodes{op("y = f.F(x)")}), changedFunction(function("F", "a", "b", "", neg))), onX, values{"y": negated}, ""},
		{"opset of another domain only", changed(network(x, "y", neg), func(m *onnxpb.ModelProto) { m.OpsetImport[0].Domain = "com.example" }), onX, values{"y": negated},
			`the model imports no version of the operators of domain "" (opset_import): the newest version, 27, is used`},
		{"IR version 2 without opset", changed(network(x, "y", neg), func(m *onnxpb.ModelProto) { m.IrVersion, m.OpsetImport = 2, nil }), onX, values{"y": negated}, ""},
		{"IR version 1 without types of attributes", changed(network([]*onnxpb.ValueInfoProto{info("x", 1, 2)}, "y", nodes{op("y = Transpose(x)", intsAttr("perm", 1, 0))}), func(m *onnxpb.ModelProto) {
			m.IrVersion, m.OpsetImport = 1, nil
			m.Graph.Node[0].Attribute[0].Type = 0
		}), values{"x": f32([]int{1, 2}, 1, 2)}, values{"y": f32([]int{2, 1}, 1, 2)}, ""},
		{"IR version 14", changed(network(x, "y", neg), func(m *onnxpb.ModelProto) { m.IrVersion = 14 }), onX, values{"y": negated}, ""},
		{"omitted inputs at the end", network(x, "y", nodes{op("y = Neg(x, , )")}), onX, values{"y": negated}, ""},
		{"sparse initializer", dense, onX, values{"y": f32([]int{2, 2}, 6, -2, 1, 5)}, ""},
		{"sparse constant with coordinates", network(x, "y", nodes{
			op("s = Constant()", &onnxpb.AttributeProto{Name: "sparse_value", Type: onnxpb.AttributeProto_SPARSE_TENSOR, SparseTensor: coordinates}), op("y = Add(x, s)"),
		}), onX, values{"y": f32([]int{2, 2}, 1, 5, 1, 3)}, ""},
		{"scalar axis of Unsqueeze", network(x, "y", nodes{op("y = Unsqueeze(x, none)")}), onX, values{"y": f32([]int{1, 2}, 1, -2)}, ""},
		{"scalar axis of Squeeze", network([]*onnxpb.ValueInfoProto{info("x", 1, 2)}, "y", nodes{op("y = Squeeze(x, none)")}), values{"x": f32([]int{1, 2}, 1, 2)}, values{"y": f32([]int{2}, 1, 2)}, ""},
		{"scalar axis of ReduceSum", network(x, "y", nodes{op("y = ReduceSum(x, none)")}), onX, values{"y": f32([]int{1}, -1)}, ""},
		{"scalars of Slice", network(x, "y", nodes{op("y = Slice(x, none, two, none, two)")}), onX, values{"y": f32([]int{1}, 1)}, ""},
		{"scalar shape of Expand", network([]*onnxpb.ValueInfoProto{info("x", 1)}, "y", nodes{op("y = Expand(x, three)")}), values{"x": f32([]int{1}, 5)}, values{"y": f32([]int{3}, 5, 5, 5)}, ""},
		{"scalar axes of a run", network([]*onnxpb.ValueInfoProto{info("x", -1), typed("a", ops.Int64)}, "y", nodes{op("z = Unsqueeze(x, a)"), op("y = ReduceMax(z)")}),
			values{"x": f32([]int{2}, 1, 2), "a": opstest.I64(nil, 1)}, values{"y": f32([]int{1, 1}, 2)}, ""},
		{"number of coordinates of GatherND", network(append(free[:1:1], typed("i", ops.Int64, -1, -1)), "y", nodes{op("z = GatherND(x, i)"), op("y = Neg(z)")}),
			values{"x": f32([]int{3}, 1, 2, 3), "i": opstest.I64([]int{2, 1}, 2, 0)}, values{"y": f32([]int{2}, -3, -1)}, ""},
		{"number of coordinates of ScatterND", network(append(free[:1:1], typed("i", ops.Int64, -1, -1)), "y", nodes{op("y = ScatterND(x, i, pair)")}),
			values{"x": f32([]int{3}, 7, 8, 9), "i": opstest.I64([]int{2, 1}, 2, 0)}, values{"y": f32([]int{3}, 2, 8, 1)}, ""},
		{"number of axes and of sizes", network(append(free[:1:1], typed("a", ops.Int64, -1), typed("n", ops.Int64, -1)), "y", nodes{
			op("b = Unsqueeze(x, a)"), op("c = Expand(b, n)"), op("d = ReduceSum(c, a)", intAttr("keepdims", 0)), op("e = Reshape(d, n)"), op("f = Squeeze(e, a)"), op("g = Squeeze(f)"), op("y = Neg(g)"),
		}), values{"x": f32([]int{2}, 1, 2), "a": opstest.I64([]int{1}, 0), "n": opstest.I64([]int{2}, 1, 2)}, values{"y": f32([]int{2}, -1, -2)}, ""},
	}
}

func TestNew_LoadsWhatOthersWrite(t *testing.T) {
	for _, c := range foreignModels() {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, c.model)
			if c.warning == "" {
				require.Empty(t, m.Warnings())
			} else {
				require.Equal(t, []string{c.warning}, m.Warnings())
			}
			for range 2 { // the second run has the buffers of the first
				got, err := m.Run(t.Context(), c.in)
				require.NoError(t, err)
				require.Len(t, got, len(c.want))
				for name, want := range c.want {
					requireSame(t, want, got[name], name)
				}
			}
		})
	}
}

// changedFunction returns a function y = Neg(x) that imports no operators.
func changedFunction(f *onnxpb.FunctionProto) *onnxpb.FunctionProto {
	f.OpsetImport, f.Input, f.Output = nil, []string{"x"}, []string{"y"}
	return f
}

// TestRun_ChecksUndeclaredInputs gives values to inputs of which little is declared.
func TestRun_ChecksUndeclaredInputs(t *testing.T) {
	m := network([]*onnxpb.ValueInfoProto{info("x"), {Name: "z"}}, "y", nodes{op("y = Add(x, z)")})
	m.Graph.Input[0].GetType().GetTensorType().Shape = nil
	r := load(t, m)
	require.Equal(t, `1 nodes (0 SbS), inputs: x float32(...), z unknown, outputs: y unknown`, r.String())
	require.True(t, r.Inputs()[0].Unranked)
	out, err := r.Run(t.Context(), values{"x": f32([]int{1, 2}, 1, 2), "z": f32(nil, 3)})
	require.NoError(t, err)
	requireSame(t, f32([]int{1, 2}, 4, 5), out["y"])
	_, err = r.Run(t.Context(), values{"x": opstest.I64(nil, 1), "z": f32(nil, 3)})
	require.ErrorIs(t, err, runtime.ErrInput)
	require.ErrorContains(t, err, `input "x": shape does not fit: want float32(...), got int64()`)
	_, err = r.Run(t.Context(), values{"x": f32(nil, 1), "z": opstest.I64(nil, 3)})
	require.ErrorContains(t, err, `node "y" (Add)`)
	_, err = r.Run(t.Context(), values{"x": f32(nil, 1), "z": nil})
	require.ErrorIs(t, err, runtime.ErrInput)
}

// TestRun_TakesOptionalInputs gives values to initializers that are also inputs.
func TestRun_TakesOptionalInputs(t *testing.T) {
	m := network([]*onnxpb.ValueInfoProto{info("x", 2), info("pair", -1), typed("shape", ops.Int64, -1)}, "y, pair", nodes{op("z = Add(x, pair)"), op("y = Reshape(z, shape)")})
	m.Graph.Initializer = append(m.Graph.Initializer, onnx.Int64Tensor("shape", 1, 2))
	x := f32([]int{2}, 10, 20)
	pair := f32([]int{2}, 1, 2)
	r := load(t, m)
	require.Empty(t, r.Warnings())
	require.Len(t, r.Inputs(), 1)
	require.Equal(t, "pair float32(?)", r.OptionalInputs()[0].Name+" "+r.OptionalInputs()[0].Type.String())
	for _, c := range []struct {
		name    string
		in      values
		y, pair *runtime.Tensor
	}{
		{"defaults", values{"x": x}, f32([]int{1, 2}, 11, 22), pair},
		{"other values", values{"x": x, "pair": f32([]int{2}, 5, 6)}, f32([]int{1, 2}, 15, 26), f32([]int{2}, 5, 6)},
		{"defaults again", values{"x": x}, f32([]int{1, 2}, 11, 22), pair},
		{"another shape", values{"x": x, "pair": f32([]int{1}, 1)}, f32([]int{1, 2}, 11, 21), f32([]int{1}, 1)},
		{"another value that shapes depend on", values{"x": x, "shape": opstest.I64([]int{3}, 2, 1, 1)}, f32([]int{2, 1, 1}, 11, 22), pair},
		{"defaults at last", values{"x": x}, f32([]int{1, 2}, 11, 22), pair},
	} {
		out, err := r.Run(t.Context(), c.in)
		require.NoError(t, err, c.name)
		requireSame(t, c.y, out["y"], c.name)
		requireSame(t, c.pair, out["pair"], c.name)
		clear(out["pair"].Float32s()) // it must not be the initializer itself
	}
	for name, in := range map[string]values{
		"element type": {"x": x, "pair": opstest.I64([]int{2}, 1, 2)}, "rank": {"x": x, "pair": f32([]int{1, 2}, 1, 2)}, "nil": {"x": x, "pair": nil},
		"not an input": {"x": x, "three": opstest.I64(nil, 1)}, "required": {"pair": pair},
	} {
		_, err := r.Run(t.Context(), in)
		require.ErrorIs(t, err, runtime.ErrInput, name)
	}
	_, err := r.Run(t.Context(), values{"x": x, "three": opstest.I64(nil, 1)})
	require.ErrorContains(t, err, `the model has no input "three"; its inputs are "x", "pair" (optional), "shape" (optional)`)

	m.IrVersion = 3 // had to list all initializers as inputs
	r = load(t, m)
	require.Empty(t, r.OptionalInputs())
	require.Empty(t, r.Warnings())
	_, err = r.Run(t.Context(), values{"x": x, "pair": pair})
	require.ErrorIs(t, err, runtime.ErrInput)

	m.IrVersion = 8
	m.Graph.Input[1] = info("pair", 3)
	r = load(t, m)
	require.Equal(t, []string{`input "pair" is declared as float32(3), but the initializer of this name is float32(2): the declared shape is ignored`}, r.Warnings())
}

// TestRun_PassesOptionalInputsToEveryImage runs a model whose random numbers are drawn image by
// image: an optional input is not divided with the batch.
func TestRun_PassesOptionalInputsToEveryImage(t *testing.T) {
	m := network([]*onnxpb.ValueInfoProto{info("x", -1, 2), info("pair", -1)}, "y", nodes{
		op("across = Transpose(x)"), op("drawn = RandomUniformLike(across)"), op("z = Transpose(drawn)"), op("y = Add(z, pair)"),
	})
	m.MetadataProps = []*onnxpb.StringStringEntryProto{{Key: "ai.sbs.dialect", Value: "1"}}
	r := load(t, m)
	x := f32([]int{3, 2}, 0, 0, 0, 0, 0, 0)
	want, err := r.Run(t.Context(), values{"x": x})
	require.NoError(t, err)
	got, err := r.Run(t.Context(), values{"x": x, "pair": f32([]int{2}, 1, 2)})
	require.NoError(t, err)
	requireSame(t, want["y"], got["y"], "the value is the default")
}
