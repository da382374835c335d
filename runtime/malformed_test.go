package runtime_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestNew_RefusesMalformedSubgraphsAndFunctions loads models with invalid subgraphs and
// functions. Each error wraps ErrModel and names the node. TestNew_RefusesMalformedGraphs
// has invalid graphs without these.
func TestNew_RefusesMalformedSubgraphsAndFunctions(t *testing.T) {
	x := []*onnxpb.ValueInfoProto{info("x", 2)}
	c := append(x[:1:1], typed("c", ops.Bool))
	loop := func(body *onnxpb.AttributeProto) *onnxpb.ModelProto {
		return network(x, "y", nodes{op("y = Loop(three, true, x)", body)})
	}
	when := func(then, otherwise *onnxpb.AttributeProto) *onnxpb.ModelProto {
		return network(c, "y", nodes{op("y = If(c)", then, otherwise)})
	}
	call := func(line string, f ...*onnxpb.FunctionProto) *onnxpb.ModelProto {
		return withFunctions(network(x, "y", nodes{op(line)}), f...)
	}
	plain := function("F", "a", "b", "axis", nodes{op("b = Neg(a)")})
	deep := func() *onnxpb.ModelProto {
		list := nodes{op("y = Neg(x)")}
		for range 40 {
			list = nodes{op("y = If(true)", subgraph("then_branch", "", "y", list), subgraph("else_branch", "", "x", nil))}
		}
		return network(x, "y", list)
	}
	nested := func() *onnxpb.ModelProto { // its types are inferred several times per level
		list := nodes{op("s2 = Concat(s, s)", intAttr("axis", 0))}
		for i := range 200 {
			list = append(list, op(fmt.Sprintf("z%d = Neg(s)", i)))
		}
		for range 14 {
			list = nodes{op("u = Loop(three, true, pair)", subgraph("body", "i, d, s", "d, s2", list)), op("s2 = Concat(s, u)", intAttr("axis", 0))}
		}
		return loop(subgraph("body", "i, d, s", "d, s2", list))
	}
	for _, test := range []struct {
		name  string
		model *onnxpb.ModelProto
		want  string
	}{
		{"missing body", network(x, "y", nodes{op("y = Loop(three, true, x)")}), "the graph body is missing"},
		{"body of another type", network(x, "y", nodes{op("y = Loop(three, true, x)", intAttr("body", 1))}), "the graph body is missing"},
		{"body with too few outputs", loop(subgraph("body", "i, d, s", "d", nil)), "body has 3 inputs and 1 outputs, the node needs 3 and 2"},
		{"body with too many inputs", loop(subgraph("body", "i, d, s, t", "d, s", nil)), "body has 4 inputs and 2 outputs, the node needs 3 and 2"},
		{"Loop with fewer outputs than carried values", network(x, "y", nodes{op("y = Loop(three, true, x, x)", subgraph("body", "i, d, s, t", "d, s", nil))}), "the node has 1 outputs, want at least 2: one per value"},
		{"omitted carried value", network(x, "y, z", nodes{op("y, z = Loop(three, true, , x)", subgraph("body", "i, d, s, t", "d, s, t", nil))}), "input 2 is missing"},
		{"Loop without output", network(x, "x", nodes{op(" = Loop(three, true)", subgraph("body", "i, d", "d", nil))}), "the node has no output"},
		{"unknown name in a body", loop(subgraph("body", "i, d, s", "d, s2", nodes{op("s2 = Add(s, later)")})), `node "y" (Loop): body: node "s2" (Add): input 1, "later", is neither`},
		{"name of a later value in a body", network(x, "z", nodes{
			op("y = Loop(three, true, x)", subgraph("body", "i, d, s", "d, s2", nodes{op("s2 = Add(s, z)")})), op("z = Neg(y)"),
		}), `the nodes form a cycle, in which each node needs the output of the next: "y", "z", "y"`},
		{"name of a body outside of it", network(x, "z", nodes{
			op("y = Loop(three, true, x)", subgraph("body", "i, d, s", "d, s2", nodes{op("s2 = Add(s, s)")})), op("z = Neg(s2)"),
		}), `input 0, "s2", is neither`},
		{"cycle in a body", loop(subgraph("body", "i, d, s", "d, u", nodes{op("u = Add(s, v)"), op("v = Neg(u)")})), `body: the nodes form a cycle, in which each node needs the output of the next: "u", "v", "u"`},
		{"two values with one name in a body", loop(subgraph("body", "i, d, s", "d, u", nodes{op("u = Neg(s)"), op("u = Neg(s)")})), `two values are named "u"`},
		{"two inputs with one name in a body", loop(subgraph("body", "i, i, s", "i, s", nil)), `two values are named "i"`},
		{"output of a body without a node", loop(subgraph("body", "i, d, s", "d, u", nil)), `body: output "u" is not computed`},
		{"carried value changes its element type", loop(subgraph("body", "i, d, s", "d, i", nil)), `"s" enters an iteration as float32(2) and leaves it as int64()`},
		{"condition of a body is not bool", loop(subgraph("body", "i, d, s", "s, s", nil)), "the condition that the body computes is float32(2), want one bool"},
		{"number of iterations is not int64", network(x, "y", nodes{op("y = Loop(one, true, x)", subgraph("body", "i, d, s", "d, s", nil))}), "the number of iterations is float32(), want one int64"},
		{"condition of Loop is not bool", network(x, "y", nodes{op("y = Loop(three, three, x)", subgraph("body", "i, d, s", "d, s", nil))}), "the condition is int64(), want one bool"},
		{"shapes in a body", loop(subgraph("body", "i, d, s", "d, u", nodes{op("u = Concat(s, one)", intAttr("axis", 0))})), `node "u" (Concat): `},
		{"declared type of an input of a body", network(x, "y", nodes{op("y = Loop(three, true, x)", &onnxpb.AttributeProto{Name: "body", Type: onnxpb.AttributeProto_GRAPH, G: &onnxpb.GraphProto{
			Input:  []*onnxpb.ValueInfoProto{typed("i", ops.Int64), typed("d", ops.Bool), typed("s", ops.Float64, 2)},
			Output: []*onnxpb.ValueInfoProto{typed("d", ops.Bool), typed("s", ops.Float64, 2)},
		}})}), `input "s" of the subgraph is declared as float64, but computed as float32(2)`},
		{"sequence as input of a body", network(x, "y", nodes{op("y = Loop(three, true, x)", &onnxpb.AttributeProto{Name: "body", Type: onnxpb.AttributeProto_GRAPH, G: &onnxpb.GraphProto{
			Input:  []*onnxpb.ValueInfoProto{typed("i", ops.Int64), typed("d", ops.Bool), {Name: "s", Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_SequenceType{}}}},
			Output: []*onnxpb.ValueInfoProto{typed("d", ops.Bool), {Name: "s"}},
		}})}), `input "s" of the subgraph is declared as sequence, but computed as float32(2)`},
		{"unknown attribute of Loop", network(x, "y", nodes{op("y = Loop(three, true, x)", subgraph("body", "i, d, s", "d, s", nil), intAttr("b", 1))}), "unknown b"},
		{"missing else_branch", when(subgraph("then_branch", "", "x", nil), subgraph("other", "", "x", nil)), "unknown other"},
		{"branch with an input", when(subgraph("then_branch", "a", "x", nil), subgraph("else_branch", "", "x", nil)), "then_branch has 1 inputs and 1 outputs, the node needs 0 and 1"},
		{"branches with different types", when(subgraph("then_branch", "", "x", nil), subgraph("else_branch", "", "three", nil)), "output 0 of then_branch is float32(2), but of else_branch int64()"},
		{"branches with different numbers of outputs", when(subgraph("then_branch", "", "x", nil), subgraph("else_branch", "", "x, x", nil)), "else_branch has 0 inputs and 2 outputs"},
		{"condition of If is not bool", network(x, "y", nodes{op("y = If(x)", subgraph("then_branch", "", "x", nil), subgraph("else_branch", "", "x", nil))}), "the condition is float32(2), want one bool"},
		{"If without condition", network(x, "y", nodes{op("y = If()", subgraph("then_branch", "", "x", nil), subgraph("else_branch", "", "x", nil))}), "the node has 0 inputs, want 1"},
		{"more scan inputs than inputs", network(x, "y", nodes{op("y = Scan(x)", intAttr("num_scan_inputs", 2), subgraph("body", "a", "a", nil))}), "num_scan_inputs is 2, but the node has 1 inputs"},
		{"axis of Scan out of range", network(x, "y", nodes{op("y = Scan(x)", intAttr("num_scan_inputs", 1), intsAttr("scan_input_axes", 1), subgraph("body", "a", "a", nil))}), "input 0 has 1 dimensions and cannot be sliced along axis 1"},
		{"too many axes of Scan", network(x, "y", nodes{op("y = Scan(x)", intAttr("num_scan_inputs", 1), intsAttr("scan_input_axes", 0, 0), subgraph("body", "a", "a", nil))}), "scan_input_axes has 2 entries, want 1"},
		{"unknown direction of Scan", network(x, "y", nodes{op("y = Scan(x)", intAttr("num_scan_inputs", 1), intsAttr("scan_output_directions", 2), subgraph("body", "a", "a", nil))}), "has the direction 2, want 0 (forward) or 1 (backward)"},
		{"subgraphs nested too deep", deep(), "subgraphs are nested more than 16 levels deep"},
		{"too many types to infer", nested(), "too many nested subgraphs"},

		{"recursion", call("y = f.F(x)", function("F", "a", "b", "", nodes{op("b = f.F(a)")})), "function F calls itself"},
		{"recursion through another function", call("y = f.F(x)", function("F", "a", "b", "", nodes{op("b = f.G(a)")}), function("G", "a", "b", "", nodes{op("b = f.F(a)")})),
			`node "y" (f.F): node "y/b" (f.G): node "y/b/b" (f.F): function F calls itself`},
		{"recursion through a subgraph", call("y = f.F(x, true)", function("F", "a, c", "b", "", nodes{
			op("b = If(c)", subgraph("then_branch", "", "d", nodes{op("d = f.F(a, c)")}), subgraph("else_branch", "", "a", nil)),
		})), "function F calls itself"},
		{"unknown function", call("y = f.G(x)", plain), "unknown operator"},
		{"call with too many inputs", call("y = f.F(x, x)", plain), "the node has 2 inputs, but the function takes 1"},
		{"call with too many outputs", call("y, z = f.F(x)", plain), "the node has 2 outputs, but the function has 1"},
		{"unknown attribute of a function", withFunctions(network(x, "y", nodes{op("y = f.F(x)", intAttr("pads", 1))}), plain), "unknown pads (known: axis)"},
		{"reference to an unknown attribute", call("y = f.F(x)", function("F", "a", "b", "", nodes{op("b = Softmax(a)", refAttr("axis", "dim"))})), "axis refers to attribute dim, but function F has no such attribute"},
		{"reference outside of functions", network(x, "y", nodes{op("y = Softmax(x)", refAttr("axis", "axis"))}), "axis refers to attribute axis of a function, but the node is not in a function"},
		{"default that is a reference", call("y = f.F(x)", function("F", "a", "b", "", nodes{op("b = Neg(a)")}, refAttr("axis", "axis"))), "default value of attribute axis of the function: "},
		{"reference to an attribute of another type", withFunctions(network(x, "y", nodes{op("y = f.F(x)", intsAttr("axis", 1))}),
			function("F", "a", "b", "axis", nodes{op("b = Softmax(a)", refAttr("axis", "axis"))})), "axis is of type INT, but refers to attribute axis of type INTS"},
		{"graph as attribute of a function", withFunctions(network(x, "y", nodes{op("y = f.F(x)", subgraph("axis", "", "x", nil))}), plain), "axis is a graph, but attributes of functions cannot be graphs"},
		{"function with two inputs of one name", call("y = f.F(x)", function("F", "a, a", "b", "", nodes{op("b = Neg(a)")})), `two values are named "a"`},
		{"output of a function without a node", call("y = f.F(x)", function("F", "a", "c", "", nodes{op("b = Neg(a)")})), `output "c" of the function is not computed`},
		{"name of an outer value in a function", call("y = f.F(x)", function("F", "a", "b", "", nodes{op("b = Add(a, one)")})), `input 1, "one", is neither`},
		{"omitted input that the function needs", call("y = f.F(x)", function("F", "a, c", "b", "", nodes{op("b = Add(a, c)")})), "the node has 1 inputs, want 2"},
		{"output of a call has a name in use", withFunctions(network(x, "y", nodes{op("y = Neg(x)"), op("y = f.F(x)")}), plain), `two values are named "y"`},
		{"opset of a function above 27", call("y = f.F(x)", func() *onnxpb.FunctionProto {
			f := function("F", "a", "b", "", nodes{op("b = Neg(a)")})
			f.OpsetImport[0].Version = 30
			return f
		}()), "version 30 of the standard operators (opset_import) is not supported: export the model with a version from 1 to 27"},
		{"function without opset", call("y = f.F(x)", func() *onnxpb.FunctionProto {
			f := function("F", "a", "b", "", nodes{op("b = Neg(a)")})
			f.OpsetImport, f.Node[0].Domain = nil, "ai.sbs"
			return f
		}()), `unknown operator`},
		{"functions nested too deep", func() *onnxpb.ModelProto {
			var f []*onnxpb.FunctionProto
			for i := range 100 {
				f = append(f, function(fmt.Sprintf("F%d", i), "a", "b", "", nodes{op(fmt.Sprintf("b = f.F%d(a)", i+1))}))
			}
			return call("y = f.F0(x)", f...)
		}(), "calls of functions are nested more than 64 levels deep"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := loadError(t, test.model)
			require.ErrorContains(t, err, test.want)
			if !strings.Contains(err.Error(), "form a cycle") {
				var node *runtime.NodeError
				require.ErrorAs(t, err, &node)
			}
		})
	}
}

// TestNew_SkipsGraphsThatNoOperatorRuns loads a small file whose function is called often. An
// attribute in it has a number and, without use, a graph.
func TestNew_SkipsGraphsThatNoOperatorRuns(t *testing.T) {
	const many = 6000
	axis, unused := intAttr("axis", 0), subgraph("", "", "a", nil)
	m := network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", nodes{op("y = Abs(x)")})
	for i := range many {
		unused.G.Node = append(unused.G.Node, op("a = Abs(p)"))
		m.Graph.Node = append(m.Graph.Node, op(fmt.Sprintf("y%d = f.Soft(x)", i)))
	}
	m.Functions = []*onnxpb.FunctionProto{{
		Name: "Soft", Domain: "f", Input: []string{"p"}, Output: []string{"q"}, OpsetImport: m.OpsetImport, Node: nodes{op("q = Softmax(p)", axis)},
	}}
	start := time.Now()
	load(t, m)
	without := time.Since(start)
	axis.G = unused.G
	start = time.Now()
	load(t, m)
	require.Less(t, time.Since(start), 10*without+time.Second, "each call reads the graph")
}
