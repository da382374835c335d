package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestSubgraphs_ReturnOuterValuesUnchanged returns values of the enclosing graph from
// subgraphs. Later values use the buffers of these values, and must not change what the
// subgraph has returned.
func TestSubgraphs_ReturnOuterValuesUnchanged(t *testing.T) {
	inputs := []*onnxpb.ValueInfoProto{typed("c", ops.Bool), typed("n", ops.Int64), info("x", 2), info("rows", -1, 2)}
	a := op("a = Add(x, x)")
	// d and e use the buffers of a and b.
	after := nodes{op("d = Neg(x)"), op("e = Neg(d)"), op("y = Sub(b, e)")}
	branches := []*onnxpb.AttributeProto{subgraph("then_branch", "", "a", nil), subgraph("else_branch", "", "x", nil)}
	adding := nodes{op("s2 = Add(s, x)")}
	for name, c := range map[string]struct {
		list nodes
		want values
	}{
		"if":                     {append(nodes{a, op("b = If(c)", branches...)}, after...), values{"y": f32([]int{2}, 1, 2)}},
		"loop without iteration": {append(nodes{a, op("b = Loop(none, true, a)", subgraph("body", "i, d, s", "d, s2", adding))}, after...), values{"y": f32([]int{2}, 1, 2)}},
		"scan without iteration": {append(nodes{a, op("b, z = Scan(a, rows)", intAttr("num_scan_inputs", 1), subgraph("body", "s, r", "s2, r", adding))}, after...),
			values{"y": f32([]int{2}, 1, 2)}},
		"loop": {append(nodes{a, op("b = Loop(two, true, x)", subgraph("body", "i, d, s", "d, a", nil))}, after...), values{"y": f32([]int{2}, 1, 2)}},
		"if in a loop": {nodes{op("y, z = Loop(three, true, x)", subgraph("body", "i, d, s", "d, s2, b", nodes{
			adding[0], op("a = Add(s, s)"), op("b = If(c)", branches...),
		}))}, values{"y": f32([]int{2}, 4, 8), "z": f32([]int{3, 2}, 2, 4, 4, 8, 6, 12)}},
		"if as output of the model": {nodes{a, op("y = If(c)", branches...)}, values{"y": f32([]int{2}, 2, 4)}},
	} {
		t.Run(name, func(t *testing.T) {
			outputs := "y"
			if len(c.want) == 2 {
				outputs = "y, z"
			}
			m := load(t, network(inputs, outputs, c.list))
			in := values{"c": opstest.Tensor(nil, true), "n": opstest.I64(nil, 0), "x": f32([]int{2}, 1, 2), "rows": f32([]int{0, 2})}
			got, err := m.Run(t.Context(), in)
			require.NoError(t, err)
			in["x"] = f32([]int{2}, 100, 200)
			_, err = m.Run(t.Context(), in) // the outputs of the first run belong to the caller
			require.NoError(t, err)
			for name, want := range c.want {
				requireSame(t, want, got[name], name)
			}
		})
	}
}

// TestMemoryLimit_CoversValuesOfUnknownSize exceeds the limit with values whose sizes depend
// on input values.
func TestMemoryLimit_CoversValuesOfUnknownSize(t *testing.T) {
	const n = 1 << 13
	inputs := []*onnxpb.ValueInfoProto{info("x", -1), typed("c", ops.Bool)}
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i + 1)
	}
	in := values{"x": f32([]int{n}, x...), "c": opstest.Tensor(nil, true)}
	other := subgraph("else_branch", "", "x", nil)
	for name, c := range map[string]struct {
		list           nodes
		tooLow, enough int64 // limits
	}{
		"allocated by the runtime":  {nodes{op("y = NonZero(x)")}, 8*n - 1, 8 * n},
		"allocated by the operator": {nodes{op("y, first, back, count = Unique(x)")}, 28*n - 1, 28 * n},
		"copied for a branch":       {nodes{op("a = Neg(x)"), op("y = If(c)", subgraph("then_branch", "", "a", nil), other)}, 8*n - 1, 8 * n},
		"input of the run":          {nodes{op("y = If(c)", subgraph("then_branch", "", "x", nil), other)}, -1, 1},
		"kept by an alias": {nodes{
			op("a = Unique(x)"), op("p = If(c)", subgraph("then_branch", "", "a", nil), other),
			op("b = Unique(x)"), op("q = If(c)", subgraph("then_branch", "", "b", nil), other),
			op("y = Add(p, q)"),
		}, 12*n - 1, 12 * n},
		"kept by an alias of a value that is freed later": {nodes{
			op("a = Unique(x)"), op("p = If(c)", subgraph("then_branch", "", "a", nil), other),
			op("b = Neg(a)"), op("d = Unique(b)"), op("y = Concat(p, d)", intAttr("axis", 0)),
		}, 16*n - 1, 16 * n},
		"one tensor for two outputs": {nodes{
			op("p, q = If(c)", subgraph("then_branch", "", "a, a", nodes{op("a = Unique(x)")}), subgraph("else_branch", "", "x, x", nil)),
			op("y = Add(p, q)"),
		}, 8*n - 1, 8 * n},
		"returned by a branch": {nodes{op("a = Unique(x)"), op("y = If(c)", subgraph("then_branch", "", "a", nil), other)}, 4*n - 1, 4 * n},
	} {
		t.Run(name, func(t *testing.T) {
			m := network(inputs, "y", c.list)
			if c.tooLow > 0 {
				_, err := load(t, m, runtime.MemoryLimit(c.tooLow)).Run(t.Context(), in)
				require.ErrorIs(t, err, runtime.ErrMemory)
			}
			_, err := load(t, m, runtime.MemoryLimit(c.enough)).Run(t.Context(), in)
			require.NoError(t, err)
		})
	}
}

// TestMemoryLimit_CoversTemporaryMemory runs nodes whose values fit in the limit, but whose
// temporary memory does not.
func TestMemoryLimit_CoversTemporaryMemory(t *testing.T) {
	const n = 1 << 20
	x := f32([]int{1, 1, 1024, 1024}, make([]float32, n)...)
	text := func(name, v string) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: name, Type: onnxpb.AttributeProto_STRING, S: []byte(v)}
	}
	vector := op("v = Flatten(x)", intAttr("axis", 0))
	for name, list := range map[string]nodes{
		"Det": {op("y = Det(x)")}, "Unique": {op("y = Unique(x)")}, "TopK": {vector, op("y, i = TopK(v, count)")},
		"Softmax loss": {vector, op("y = SoftmaxCrossEntropyLoss(v, count)")},
		"LpPool":       {op("y = LpPool(x)", intsAttr("kernel_shape", 1024, 1024))},
		"Resize":       {op("small = Cast(x)", intAttr("to", 2)), op("y = Resize(small, , half)", text("mode", "linear"))},
		"Conv":         {op("y = Conv(x, w)", intsAttr("pads", 1, 1, 1, 1))},
		"Einsum":       {op("y = Einsum(x)", text("equation", "abcd->"))},
		"SbS": {op("w2 = Reshape(x, shape)"), {
			OpType: "SbS", Domain: "ai.sbs", Input: []string{"x", "w2"}, Output: []string{"y"}, Name: "y",
			Attribute: []*onnxpb.AttributeProto{intsAttr("kernel_shape", 1024, 1024), intAttr("number_of_spikes", 1), {Name: "epsilon_t", Type: onnxpb.AttributeProto_FLOATS, Floats: []float32{1}}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := network([]*onnxpb.ValueInfoProto{info("x", 1, 1, 1024, 1024), info("half", 4), info("w", 1, 1, 3, 3), typed("count", ops.Int64, 1), typed("shape", ops.Int64, 2)}, "y", list)
			m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: "ai.sbs", Version: 1})
			in := values{"x": x, "half": f32([]int{4}, 1, 1, 0.5, 0.5), "w": f32([]int{1, 1, 3, 3}, make([]float32, 9)...), "count": opstest.Ints(1), "shape": opstest.Ints(n, 1)}
			_, err := load(t, m, runtime.MemoryLimit(7*n)).Run(t.Context(), in) // the values take up to 4 bytes per element
			require.ErrorIs(t, err, runtime.ErrMemory)
			require.ErrorContains(t, err, `node "y"`)
			require.ErrorContains(t, err, "bytes of temporary memory in addition to the ")
			require.ErrorContains(t, err, "but the limit is 7340032")
			_, err = load(t, m).Run(t.Context(), in)
			require.NoError(t, err)
		})
	}
}
