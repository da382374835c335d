package runtime_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// gradientOp returns a node Gradient. line has its outputs and inputs.
func gradientOp(line, xs, zs, y string) *onnxpb.NodeProto {
	list := func(name, names string) *onnxpb.AttributeProto {
		a := &onnxpb.AttributeProto{Name: name, Type: onnxpb.AttributeProto_STRINGS}
		for _, w := range splitNames(names) {
			a.Strings = append(a.Strings, []byte(w))
		}
		return a
	}
	n := op(line, list("xs", xs), &onnxpb.AttributeProto{Name: "y", Type: onnxpb.AttributeProto_STRING, S: []byte(y)})
	n.OpType, n.Domain = "Gradient", "ai.onnx.preview.training"
	if zs != "" {
		n.Attribute = append(n.Attribute, list("zs", zs))
	}
	return n
}

func gradientNetwork(inputs []*onnxpb.ValueInfoProto, outputs string, list nodes) *onnxpb.ModelProto {
	m := network(inputs, outputs, list)
	m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: "ai.onnx.preview.training", Version: 1})
	return m
}

func TestGradient_DifferentiatesPartsOfTheGraph(t *testing.T) {
	ab := []*onnxpb.ValueInfoProto{info("a", -1), info("b", -1)}
	in := values{"a": f32([]int{2}, 2, 3), "b": f32([]int{2}, 5, 7)}
	chain := nodes{op("c = Mul(a, b)"), op("d = Add(c, a)"), op("y = Mul(d, d)")} // y = (a*b + a)^2
	for _, c := range []struct {
		name  string
		nodes nodes
		want  map[string][]float32
	}{
		{"inputs", append(chain[:3:3], gradientOp("da, db = (a, b)", "a, b", "", "y")), map[string][]float32{"da": {144, 384}, "db": {48, 144}}},
		{"the first input only", append(chain[:3:3], gradientOp("da = (a, b)", "a, b", "", "y")), map[string][]float32{"da": {144, 384}}},
		{"the second input only", append(chain[:3:3], gradientOp(", db = (a, b)", "a, b", "", "y")), map[string][]float32{"db": {48, 144}}},
		{"an intermediate value", append(chain[:3:3], gradientOp("dc, da = (c, a)", "c, a", "", "y")), map[string][]float32{"dc": {24, 48}, "da": {24, 48}}},
		{"given values", append(chain[:3:3], gradientOp("db = (b, b)", "b", "a", "y")), map[string][]float32{"db": {300, 784}}},
		{"values of the graph", append(chain[:3:3], gradientOp("db = (b)", "b", "", "y")), map[string][]float32{"db": {48, 144}}},
		{"before the nodes", append(nodes{gradientOp("db = (b)", "b", "", "y")}, chain...), map[string][]float32{"db": {48, 144}}},
		{"the value itself", append(chain[:3:3], gradientOp("da = (a)", "a", "", "a")), map[string][]float32{"da": {1, 1}}},
		{"condition that does not depend on xs", nodes{
			op("z = If(true)", subgraph("then_branch", "", "u", nodes{op("u = Neg(b)")}), subgraph("else_branch", "", "v", nodes{op("v = Abs(b)")})),
			op("y = Mul(a, z)"), gradientOp("da = (a, b)", "a", "b", "y"),
		}, map[string][]float32{"da": {-5, -7}}},
		{"in a subgraph", nodes{op("da = If(true)",
			subgraph("then_branch", "", "g", append(chain[:3:3], gradientOp("g = (a, b)", "a", "b", "y"))), subgraph("else_branch", "", "e", nodes{op("e = Neg(a)")}),
		)}, map[string][]float32{"da": {144, 384}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var outputs string
			for name := range c.want {
				if outputs != "" {
					outputs += ", "
				}
				outputs += name
			}
			got, err := load(t, gradientNetwork(ab, outputs, c.nodes)).Run(t.Context(), in)
			require.NoError(t, err)
			for name, want := range c.want {
				require.Equal(t, want, got[name].Float32s(), name)
			}
		})
	}
}

func TestGradient_ReportsWhatItCannotDo(t *testing.T) {
	a := []*onnxpb.ValueInfoProto{info("a", -1)}
	for _, c := range []struct {
		name  string
		nodes nodes
		want  string
	}{
		{"unknown y", nodes{gradientOp("da = (a)", "a", "", "y")}, `y is "y", but no node of the same graph has an output of this name`},
		{"y is another input", nodes{op("b = Neg(a)"), gradientOp("da = (b)", "b", "", "a")}, `y is "a", but no node of the same graph has an output of this name`},
		{"no xs", nodes{op("y = Neg(a)"), gradientOp("da = (a)", "", "a", "y")}, "xs is missing"},
		{"too many outputs", nodes{op("y = Neg(a)"), gradientOp("da, db = (a)", "a", "", "y")}, "the node has 2 outputs, want 1 to 1"},
		{"too few inputs", nodes{op("y = Neg(a)"), gradientOp("da = (a)", "a", "one", "y")}, "the node has 1 inputs, want 2"},
		{"a value twice", nodes{op("y = Neg(a)"), gradientOp("da = (a, a)", "a, a", "", "y")}, `xs and zs: two values are named "a"`},
		{"no gradient", nodes{op("z = Floor(a)"), op("y = Neg(z)"), gradientOp("da = (a)", "a", "", "y")}, `the gradient of "y" passes through node "z", but its operator Floor has no gradient`},
		{"integers", nodes{op("y = Neg(two)"), gradientOp("da = (two)", "two", "", "y")}, "input 0, one of xs, is int64(), want float32"},
		{"own gradient", nodes{gradientOp("da = (a)", "a", "", "da")}, "nested more than 16 levels deep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := loadError(t, gradientNetwork(a, "da", c.nodes))
			require.ErrorContains(t, err, c.want)
			var node *runtime.NodeError
			require.ErrorAs(t, err, &node)
		})
	}
	m := gradientNetwork(a, "da", nodes{op("b = Add(a, a)"), op("y = Mul(b, b)"), gradientOp("da = (a)", "a", "", "y")})
	x, err := ops.Zeros(ops.Float32, []int{1 << 16})
	require.NoError(t, err)
	_, err = load(t, m, runtime.MemoryLimit(1<<18)).Run(t.Context(), values{"a": x})
	require.ErrorIs(t, err, runtime.ErrMemory)
}

// TestGradient_LoadsManyNodes has as many gradients as other nodes.
func TestGradient_LoadsManyNodes(t *testing.T) {
	list := nodes{op("y = Neg(a)")}
	for i := range 3000 {
		list = append(list, op(fmt.Sprintf("b%d = Abs(a)", i)), gradientOp(fmt.Sprintf("d%d = (a)", i), "a", "", "y"))
	}
	a := []*onnxpb.ValueInfoProto{info("a", 2)}
	start := time.Now()
	load(t, gradientNetwork(a, "y", list[:len(list)/10]))
	tenth := time.Since(start)
	start = time.Now()
	load(t, gradientNetwork(a, "y", list))
	require.Less(t, time.Since(start), 40*tenth+time.Second, "each gradient looks at all nodes")
}
