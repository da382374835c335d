package runtime_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// function returns a function of domain "f". attributes are the names of attributes without
// a default.
func function(name, inputs, outputs, attributes string, list nodes, defaults ...*onnxpb.AttributeProto) *onnxpb.FunctionProto {
	return &onnxpb.FunctionProto{
		Name: name, Domain: "f", Input: splitNames(inputs), Output: splitNames(outputs), Attribute: splitNames(attributes), AttributeProto: defaults,
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}, {Domain: "f", Version: 1}}, Node: list,
	}
}

func withFunctions(m *onnxpb.ModelProto, f ...*onnxpb.FunctionProto) *onnxpb.ModelProto {
	m.Functions = f
	return m
}

// joinFunction returns a function that concatenates two copies of a matrix along an axis.
func joinFunction(attributes string, defaults ...*onnxpb.AttributeProto) *onnxpb.FunctionProto {
	return function("Join", "a", "b", attributes, nodes{op("b = Concat(a, a)", refAttr("axis", "axis"))}, defaults...)
}

type functionCase struct {
	name  string
	model *onnxpb.ModelProto
	want  *runtime.Tensor
}

func functionModels() []*onnxpb.ModelProto {
	var m []*onnxpb.ModelProto
	for _, c := range functionCases() {
		m = append(m, c.model)
	}
	return m
}

// functionCases returns models with functions of x, of shape (1, 2), and their outputs for
// the elements 1 and 2.
func functionCases() []functionCase {
	x := []*onnxpb.ValueInfoProto{info("x", 1, 2)}
	old := function("Sum", "a", "b", "", nodes{op("b = ReduceSum(a)", intsAttr("axes", 1))})
	old.OpsetImport = []*onnxpb.OperatorSetIdProto{{Version: 11}}
	overloaded := func(name string, operator string) *onnxpb.FunctionProto {
		f := function("F", "a", "b", "", nodes{op("b = " + operator + "(a)")})
		f.Overload = name
		return f
	}
	call := op("y = f.F(x)")
	call.Overload = "n"
	softmax := f32([]int{1, 2}, 0.26894143, 0.7310586) // e/(e+e²) and e²/(e+e²)
	return []functionCase{
		{"attribute of the call", withFunctions(network(x, "y", nodes{op("y = f.Join(x)", intAttr("axis", 0))}), joinFunction("axis")), f32([]int{2, 2}, 1, 2, 1, 2)},
		{"default of an attribute", withFunctions(network(x, "y", nodes{op("y = f.Join(x)")}), joinFunction("", intAttr("axis", 1))), f32([]int{1, 4}, 1, 2, 1, 2)},
		{"attribute of the call instead of the default", withFunctions(network(x, "y", nodes{op("y = f.Join(x)", intAttr("axis", 0))}), joinFunction("", intAttr("axis", 1))), f32([]int{2, 2}, 1, 2, 1, 2)},
		{"omitted attribute", withFunctions(network(x, "y", nodes{op("y = f.Soft(x)")}),
			function("Soft", "a", "b", "axis", nodes{op("b = Softmax(a)", refAttr("axis", "axis"))})), softmax},
		{"names that also exist outside", withFunctions(network(x, "y", nodes{op("one2 = f.Twice(x)"), op("a = f.Twice(one2)"), op("y = Add(a, ten)")}),
			function("Twice", "x", "y", "", nodes{op("one2 = Add(x, x)"), op("y = Identity(one2)")})), f32([]int{1, 2}, 14, 18)},
		{"function calls a function", withFunctions(network(x, "y", nodes{op("y = f.Outer(x)", intAttr("axis", 0))}),
			joinFunction("axis"), function("Outer", "a", "c", "axis", nodes{op("b = f.Join(a)", refAttr("axis", "axis")), op("c = f.Join(b)", intAttr("axis", 1))})),
			f32([]int{2, 4}, 1, 2, 1, 2, 1, 2, 1, 2)},
		{"call in a subgraph", withFunctions(network(x, "y", nodes{
			op("y = Loop(two, true, x)", subgraph("body", "i, c, s", "c, s2", nodes{op("s2 = f.Join(s)", intAttr("axis", 0))})),
		}), joinFunction("axis")), f32([]int{4, 2}, 1, 2, 1, 2, 1, 2, 1, 2)},
		{"subgraph in a function", withFunctions(network(x, "y", nodes{op("y = f.Grow(x, two, true)", intAttr("axis", 0))}),
			function("Grow", "x, n, c", "y", "axis", nodes{
				op("d = Add(x, x)"),
				op("y = Loop(n, c, x)", subgraph("body", "i, t, s", "t, s2", nodes{op("s2 = Concat(s, d)", refAttr("axis", "axis"))})),
			})), f32([]int{3, 2}, 1, 2, 2, 4, 2, 4)},
		{"function with another opset", withFunctions(network(x, "y", nodes{op("y = f.Sum(x)")}), old), f32([]int{1, 1}, 3)},
		{"overloads", withFunctions(network(x, "y", nodes{call}), overloaded("r", "Relu"), overloaded("n", "Neg")), f32([]int{1, 2}, -1, -2)},
		{"input is also output", withFunctions(network(x, "y", nodes{op("y = f.Same(x)")}), function("Same", "a", "a", "", nil)), f32([]int{1, 2}, 1, 2)},
		{"omitted output", withFunctions(network(x, "y", nodes{op(", y = f.Two(x)")}),
			function("Two", "a", "b, c", "", nodes{op("b = Neg(a)"), op("c = Add(a, a)")})), f32([]int{1, 2}, 2, 4)},
	}
}

func TestFunctions_ComputeExpectedValues(t *testing.T) {
	in := values{"x": f32([]int{1, 2}, 1, 2)}
	for _, c := range functionCases() {
		t.Run(c.name, func(t *testing.T) {
			got, err := load(t, c.model).Run(t.Context(), in)
			require.NoError(t, err)
			requireSame(t, c.want, got["y"])
		})
	}
}

// TestFunctions_PassOmittedInputsOn omits an input of a function that is an optional input
// of an operator, in the function and in a subgraph of the function.
func TestFunctions_PassOmittedInputsOn(t *testing.T) {
	x := []*onnxpb.ValueInfoProto{info("x", 1, 1, 2, 2), info("w", 1, 1, 1, 1), info("b", 1)}
	in := values{"x": f32([]int{1, 1, 2, 2}, 1, 2, 3, 4), "w": f32([]int{1, 1, 1, 1}, 2), "b": f32([]int{1}, 10)}
	for _, f := range []*onnxpb.FunctionProto{
		function("C", "x, w, b", "y", "", nodes{op("y = Conv(x, w, b)")}),
		function("C", "x, w, b, t", "y", "", nodes{op("c = Less(w, x)"), op("z = ReduceSum(x)", intAttr("keepdims", 0)), op("t2 = Less(z, z)"),
			op("y = If(t2)", subgraph("then_branch", "", "x", nil), subgraph("else_branch", "", "v", nodes{op("v = Conv(x, w, b)")}))}),
	} {
		for call, want := range map[string]*runtime.Tensor{
			"y = f.C(x, w, b)": f32([]int{1, 1, 2, 2}, 12, 14, 16, 18),
			"y = f.C(x, w, )":  f32([]int{1, 1, 2, 2}, 2, 4, 6, 8),
			"y = f.C(x, w)":    f32([]int{1, 1, 2, 2}, 2, 4, 6, 8),
		} {
			got, err := load(t, withFunctions(network(x, "y", nodes{op(call)}), f)).Run(t.Context(), in)
			require.NoError(t, err)
			requireSame(t, want, got["y"], call)
		}
	}
}

// TestPreferFunctions_ReplacesBuiltInOperator runs a model with a function that has the name
// of a built-in operator.
func TestPreferFunctions_ReplacesBuiltInOperator(t *testing.T) {
	f := function("Relu", "a", "b", "", nodes{op("b = Neg(a)")})
	f.Domain = "ai.onnx" // the same domain as ""
	m := withFunctions(network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", nodes{op("y = Relu(x)")}), f)
	in := values{"x": f32([]int{2}, -1, 1)}
	got, err := load(t, m).Run(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, []float32{0, 1}, got["y"].Float32s())
	got, err = load(t, m, runtime.PreferFunctions()).Run(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, []float32{1, -1}, got["y"].Float32s())
}

// TestObserve_PrefixesValuesOfFunctions checks the names of values inside a function.
func TestObserve_PrefixesValuesOfFunctions(t *testing.T) {
	n := op("y = f.F(x)")
	n.Name = "call"
	m := load(t, withFunctions(network([]*onnxpb.ValueInfoProto{info("x", 1)}, "y", nodes{n}),
		function("F", "x", "y", "", nodes{op("z = Neg(x)"), op("y = Neg(z)")})))
	var names []string
	_, err := m.Run(t.Context(), values{"x": f32([]int{1}, 1)}, runtime.Observe(func(name string, _ *runtime.Tensor) { names = append(names, name) }))
	require.NoError(t, err)
	require.Equal(t, []string{"call/z", "y"}, names)
}

// TestFunctions_RefuseTooManyExpandedNodes calls functions that call functions: the number of
// nodes doubles with each level.
func TestFunctions_RefuseTooManyExpandedNodes(t *testing.T) {
	var functions []*onnxpb.FunctionProto
	for i := range 40 {
		next := fmt.Sprintf("f.F%d", i+1)
		functions = append(functions, function(fmt.Sprintf("F%d", i), "a", "b", "", nodes{op("c = " + next + "(a)"), op("b = " + next + "(c)")}))
	}
	functions = append(functions, function("F40", "a", "b", "", nodes{op("b = Neg(a)")}))
	err := loadError(t, withFunctions(network([]*onnxpb.ValueInfoProto{info("x", 1)}, "y", nodes{op("y = f.F0(x)")}), functions...))
	require.ErrorContains(t, err, "with all calls of functions expanded, it has more than")
}

// TestFunctions_ErrorNamesTheFirstOfSeveralGraphs loads a file with two mistakes several
// times: the error must not depend on chance.
func TestFunctions_ErrorNamesTheFirstOfSeveralGraphs(t *testing.T) {
	f := function("F", "a", "b", "then, else", nodes{op("b = Neg(a)")})
	list := nodes{op("y = f.F(x)", subgraph("then", "", "x", nil), subgraph("else", "", "x", nil))}
	for range 20 {
		err := loadError(t, withFunctions(network([]*onnxpb.ValueInfoProto{info("x", 1)}, "y", list), f))
		require.ErrorContains(t, err, "else is a graph, but attributes of functions cannot be graphs")
	}
}

// TestFunctions_ShareTensors calls a function with a large constant 1000 times.
func TestFunctions_ShareTensors(t *testing.T) {
	large := subgraph("then_branch", "", "w", nil, &onnxpb.TensorProto{Name: "w", DataType: int32(ops.Float32), Dims: []int64{1 << 20}, RawData: make([]byte, 4<<20)})
	f := function("F", "c", "n", "", nodes{op("w = If(c)", large, subgraph("else_branch", "", "c2", nodes{op("c2 = Cast(c)", intAttr("to", 1))})), op("n = Identity(c)")})
	list := nodes{op("y0 = Identity(c)")}
	for i := range 1000 {
		list = append(list, op(fmt.Sprintf("y%d = f.F(y%d)", i+1, i)))
	}
	m := network([]*onnxpb.ValueInfoProto{typed("c", ops.Bool)}, "y1000", list)
	_, err := load(t, withFunctions(m, f)).Run(t.Context(), values{"c": opstest.Tensor(nil, false)}) // 4 GB if each call had its own copy
	require.NoError(t, err)
}

// TestInjectUniforms_ReachesNodesInFunctions sets the random numbers of a node in a
// function.
func TestInjectUniforms_ReachesNodesInFunctions(t *testing.T) {
	n := op("y = f.Noisy(x)")
	n.Name = "call"
	m := load(t, withFunctions(network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", nodes{n}),
		function("Noisy", "x", "y", "", nodes{op("u = RandomUniformLike(x)"), op("y = Add(x, u)")})))
	in := values{"x": f32([]int{2}, 10, 20)}
	got, err := m.Run(t.Context(), in, runtime.InjectUniforms(values{"call/u": f32([]int{2}, 0.25, 0.5)}))
	require.NoError(t, err)
	requireSame(t, f32([]int{2}, 10.25, 20.5), got["y"])
	for name, u := range map[string]*runtime.Tensor{"call/y": f32([]int{2}, 0, 0), "call/u": f32([]int{1}, 0)} {
		_, err = m.Run(t.Context(), in, runtime.InjectUniforms(values{name: u}))
		require.ErrorIs(t, err, runtime.ErrInput, name)
	}
}
