package runtime_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// check returns the problems of a model, as errors.
func check(t *testing.T, m *onnxpb.ModelProto) (texts []string, r *runtime.CheckResult) {
	t.Helper()
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	r, err = runtime.Check(path)
	require.NoError(t, err)
	for _, p := range r.Problems {
		texts = append(texts, p.Error())
	}
	_, err = runtime.New(data)
	require.Equal(t, err != nil, len(texts) > 0, "Check and Open agree: %v", err)
	return texts, r
}

func TestCheck_FindsAllProblemsAtOnce(t *testing.T) {
	m := network([]*onnxpb.ValueInfoProto{info("x", 2), typed("cond", ops.Bool)}, "y, z", nodes{
		op("a = other.Foo(x)"),
		op("b = Softmax(x)", intAttr("axes", 1), intsAttr("axis", 1), intAttr("scale", 2)),
		op("c = Not(a)"), // bool is declared
		op("d = Not(b)"), // Softmax is declared as float32
		op("e = If(cond)",
			subgraph("then_branch", "", "f", nodes{op("f = test.Bar(x)")}),
			subgraph("else_branch", "", "g", nodes{op("g0 = Not(x)"), op("g = Identity(g0)")})),
		op("h = f.Wrap(x)"),
		op("h2 = f.Wrap(x)"),
		op("i = Missing(x)", subgraph("body", "u", "v", nodes{op("v = test.Inner(u)")})),
		op("j = Abs(complex)"),
		op("y = Conv(x)"),
		op("z = Cast(a)", intAttr("to", 14)),
	})
	m.Graph.ValueInfo = []*onnxpb.ValueInfoProto{typed("a", ops.Bool, 5), info("b", 2)}
	m.Graph.Initializer = append(m.Graph.Initializer, &onnxpb.TensorProto{Name: "complex", DataType: 14, Dims: []int64{1}, FloatData: []float32{1, 2}})
	m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: "other", Version: 3}, &onnxpb.OperatorSetIdProto{Domain: "test", Version: 2})
	m.Functions = []*onnxpb.FunctionProto{
		{Name: "Wrap", Domain: "f", Input: []string{"p"}, Output: []string{"q"}, Node: nodes{op("q = test.InFunction(p)")}, OpsetImport: m.OpsetImport},
		{Name: "Unused", Domain: "f", Output: []string{"q"}, Node: nodes{op("q = test.NeverCalled()")}, OpsetImport: m.OpsetImport},
	}
	texts, r := check(t, m)
	const unknown = "unknown operator: neither a built-in operator nor a function in the model has this name"
	require.Equal(t, []string{
		`tensor "complex": elements of type COMPLEX64 are not supported`,
		`node "a" (other.Foo): ` + unknown,
		`node "b" (Softmax): bad attribute: unknown axes, scale (known: axis)`,
		`node "b" (Softmax): bad attribute: axis has type INTS, want INT`,
		`node "f" (test.Bar): ` + unknown,
		`node "h/q" (test.InFunction): ` + unknown,
		`node "h2/q" (test.InFunction): ` + unknown,
		`node "i" (Missing): ` + unknown,
		`node "v" (test.Inner): ` + unknown,
		`node "y" (Conv): the node has 1 inputs, want 2 to 3`,
		`node "z" (Cast): bad attribute: to: unsupported element type: complex64`,
		`node "d" (Not): unsupported element type: X is float32(?), want bool`,
		`node "g0" (Not): unsupported element type: X is float32(2), want bool`,
	}, texts)
	require.Equal(t, 2, r.Unchecked, "Identity of g0, and Abs")
	first := r.Problems[1]
	require.Equal(t, "a", first.Node)
	require.Equal(t, "other.Foo", first.Operator)
	require.Equal(t, 3, first.Version)
	require.ErrorIs(t, first, runtime.ErrUnknownOperator)
	require.Equal(t, 17, r.Problems[2].Version)
	require.ErrorIs(t, r.Problems[2], ops.ErrAttribute)
	require.ErrorIs(t, r.Problems[11], ops.ErrDType)
}

func TestCheck_FindsProblemsOfTheModel(t *testing.T) {
	m := network([]*onnxpb.ValueInfoProto{info("x", 2), typed("u", 14, 2)}, "y, nothing", nodes{op("y = Abs(x)")})
	m.OpsetImport = []*onnxpb.OperatorSetIdProto{{Version: 99}, {Domain: "ai.sbs", Version: 7}}
	texts, _ := check(t, m)
	require.Len(t, texts, 4)
	for i, want := range []string{"version 99 of the standard operators", "version 7 of the operators of ai.sbs", `input "u": elements of type COMPLEX64`, `output "nothing" is not computed`} {
		require.Contains(t, texts[i], want)
	}
}

func TestCheck_AcceptsModelsThatRun(t *testing.T) {
	for _, c := range flowCases() {
		if c.model == nil {
			continue
		}
		texts, _ := check(t, c.model)
		require.Empty(t, texts, c.name)
	}
	for _, name := range []string{"mnist-fast", "mnist-nnmf"} {
		r, err := runtime.Check(filepath.Join("..", "models", name, "model.onnx"))
		require.NoError(t, err)
		require.Empty(t, r.Problems)
		require.Zero(t, r.Unchecked)
	}
	_, err := runtime.Check("missing.onnx")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestCheck_TriesFewAttributes checks a node with more attributes than any operator has.
func TestCheck_TriesFewAttributes(t *testing.T) {
	attrs := []*onnxpb.AttributeProto{intsAttr("z", 1)}
	for i := range 1000 {
		attrs = append(attrs, intAttr(fmt.Sprintf("a%d", i), 1))
	}
	data, err := onnx.Marshal(network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", nodes{op("y = f.Custom(x)", attrs...)}))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	calls := 0
	r, err := runtime.Check(path, runtime.WithOperators(ops.Operator{
		Domain: "f", Name: "Custom", MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			calls++
			_, err := ops.Attr(n.Attributes, "z", int64(0))
			return nil, err
		},
	}))
	require.NoError(t, err)
	require.Len(t, r.Problems, 1)
	require.ErrorContains(t, r.Problems[0], "z has type INTS, want INT")
	require.Less(t, calls, 100)
}

// TestCheck_ReadsDeclaredTypesOnce checks a small file whose function is called often. Its
// subgraph declares many types.
func TestCheck_ReadsDeclaredTypesOnce(t *testing.T) {
	const many = 3000
	branch := subgraph("then_branch", "", "a", nodes{op("a = Abs(p)")})
	for i := range many {
		branch.G.ValueInfo = append(branch.G.ValueInfo, info(fmt.Sprint("v", i), 1, 2, 3))
	}
	m := network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", nodes{op("y = Abs(x)")})
	for i := range many {
		m.Graph.Node = append(m.Graph.Node, op(fmt.Sprintf("y%d = f.Choose(x)", i)))
	}
	m.Functions = []*onnxpb.FunctionProto{{
		Name: "Choose", Domain: "f", Input: []string{"p"}, Output: []string{"q"}, OpsetImport: m.OpsetImport,
		Node: nodes{op("yes = Constant()", intAttr("value_int", 1)), op("c = Cast(yes)", intAttr("to", int64(ops.Bool))), op("q = If(c)", branch, subgraph("else_branch", "", "b", nodes{op("b = Neg(p)")}))},
	}}
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	start := time.Now()
	_, err = runtime.New(data)
	require.NoError(t, err)
	loading := time.Since(start)
	start = time.Now()
	r, err := runtime.Check(path)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Less(t, time.Since(start), 10*loading+time.Second, "each call reads all types")
}
