package runtime_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

type values = map[string]*runtime.Tensor

var (
	f32   = opstest.F32
	empty = []*onnxpb.ValueInfoProto(nil)
)

// flowCases are models with control flow, and what they give.
func flowCases() []flowCase {
	x2 := []*onnxpb.ValueInfoProto{info("x", 2)}
	in := values{"x": f32([]int{2}, 1, 2)}
	add := nodes{op("c2 = Identity(c)"), op("s2 = Add(s, x)")}
	return []flowCase{
		{"carried and stacked", network(x2, "y, z", nodes{
			op("y, z = Loop(three, true, x)", sub("body", "i, c, s", "c2, s2, s2", add)),
		}), in, values{"y": f32([]int{2}, 4, 8), "z": f32([]int{3, 2}, 2, 4, 3, 6, 4, 8)}},
		{"no condition", network(x2, "y", nodes{
			op("y = Loop(three, , x)", sub("body", "i, c, s", "false, s2", add[1:])), // the body's is ignored
		}), in, values{"y": f32([]int{2}, 4, 8)}},
		{"the condition stops it", network(append([]*onnxpb.ValueInfoProto{info("limit")}, x2...), "y, z", nodes{
			op("y, z = Loop(, true, one)", sub("body", "i, c, s", "c2, s2, i", nodes{op("s2 = Add(s, s)"), op("c2 = Less(s2, limit)")})),
		}), values{"x": in["x"], "limit": f32(nil, 10)}, values{"y": f32(nil, 16), "z": opstest.I64([]int{4}, 0, 1, 2, 3)}},
		{"a false condition", network(x2, "y, z", nodes{
			op("y, z = Loop(three, false, x)", sub("body", "i, c, s", "c2, s2, s2", add)),
		}), in, values{"y": f32([]int{2}, 1, 2), "z": f32([]int{0, 2})}},
		{"no iteration", network(append([]*onnxpb.ValueInfoProto{typed("n", ops.Int64)}, x2...), "y, z", nodes{
			op("y, z = Loop(n, true, x)", sub("body", "i, c, s", "c2, s2, s2", add)),
		}), values{"x": in["x"], "n": opstest.I64(nil, -3)}, values{"y": f32([]int{2}, 1, 2), "z": f32([]int{0, 2})}},
		{"a growing value", network(x2, "y", nodes{
			op("y = Loop(three, true, x)", sub("body", "i, c, s", "c, s2", nodes{op("s2 = Concat(s, pair)", intAttr("axis", 0))})),
		}), in, values{"y": f32([]int{8}, 1, 2, 1, 2, 1, 2, 1, 2)}},
		{"a growing rank is inferred while running", network(x2, "y", nodes{
			op("r = Loop(two, true, x)", sub("body", "i, c, s", "c, s2", nodes{op("s2 = Loop(two, true, s)", sub("body", "j, d, u", "d, u2", nodes{op("u2 = Add(u, one)")}))})),
			op("y = Add(r, r)"),
		}), in, values{"y": f32([]int{2}, 10, 12)}},
		{"names of two graphs outside", network(x2, "y", nodes{
			op("a = Add(x, ten)"),
			op("y = Loop(three, true, one)", sub("body", "i, c, s", "c, s2", nodes{
				op("b = Add(s, one)"),
				op("s2 = Loop(two, true, x)", sub("body", "j, d, u", "d, u2", nodes{op("v = Add(u, a)"), op("u2 = Mul(v, b)")})),
			})),
		}), in, nil},
		{"a vector counts", network(x2, "y", nodes{
			op("y = Loop(three, true, none)", &onnxpb.AttributeProto{Name: "body", Type: onnxpb.AttributeProto_GRAPH, G: &onnxpb.GraphProto{
				Input:  []*onnxpb.ValueInfoProto{typed("i", ops.Int64, 1), typed("c", ops.Bool, 1), typed("s", ops.Int64)},
				Output: []*onnxpb.ValueInfoProto{typed("c", ops.Bool, 1), typed("i", ops.Int64)},
			}}),
		}), in, values{"y": opstest.I64([]int{1}, 2)}},
		{"values change places", network(x2, "y, z", nodes{
			op("y, z = Loop(three, true, one, ten)", sub("body", "i, c, a, b", "c, b, a", nil)),
		}), in, values{"y": f32(nil, 10), "z": f32(nil, 1)}},
		{"if", network(append([]*onnxpb.ValueInfoProto{typed("c", ops.Bool)}, x2...), "y", nodes{
			op("a = Add(x, x)"),
			op("b = If(c)", sub("then_branch", "", "t", nodes{op("t = Add(a, one)")}), sub("else_branch", "", "e", nodes{op("e = Concat(a, x)", intAttr("axis", 0))})),
			op("y = Neg(b)"),
		}), values{"x": in["x"], "c": opstest.Tensor(nil, true)}, values{"y": f32([]int{2}, -3, -5)}},
		{"else", network(append([]*onnxpb.ValueInfoProto{typed("c", ops.Bool, 1)}, x2...), "y", nodes{
			op("a = Add(x, x)"),
			op("b = If(c)", sub("then_branch", "", "one", nil), sub("else_branch", "", "a", nil)),
			op("y = Neg(b)"),
		}), values{"x": in["x"], "c": opstest.Tensor([]int{1}, false)}, values{"y": f32([]int{2}, -2, -4)}},
		{"the branch that is not taken may be wrong", network(x2, "y", nodes{
			op("y = If(true)", sub("then_branch", "", "t", nodes{op("t = Add(x, one)")}),
				sub("else_branch", "", "e", nodes{op("e = Add(x, three)")})),
		}), in, values{"y": f32([]int{2}, 2, 3)}},
		{"scan", network([]*onnxpb.ValueInfoProto{info("x", 2, 3)}, "s, y, z", nodes{
			op("s, y, z = Scan(one, x, x)", intAttr("num_scan_inputs", 2), intsAttr("scan_input_axes", 1, -1), intsAttr("scan_input_directions", 0, 1),
				intsAttr("scan_output_axes", -1, 0), intsAttr("scan_output_directions", 0, 1),
				sub("body", "s, a, b", "s2, d, a2", nodes{op("s2 = Add(s, one)"), op("d = Sub(a, b)"), op("a2 = Mul(a, s)")})),
		}), values{"x": f32([]int{2, 3}, 1, 2, 3, 4, 5, 6)}, values{
			"s": f32(nil, 4), "y": f32([]int{2, 3}, -2, 0, 2, -2, 0, 2),
			"z": f32([]int{3, 2}, 9, 18, 4, 10, 1, 4),
		}},
		{"scan of nothing", network([]*onnxpb.ValueInfoProto{info("x", -1, 2)}, "s, y", nodes{
			op("s, y = Scan(one, x)", intAttr("num_scan_inputs", 1), sub("body", "s, a", "s2, a", nodes{op("s2 = Add(s, one)")})),
		}), values{"x": f32([]int{0, 2})}, values{"s": f32(nil, 1), "y": f32([]int{0, 2})}},
	}
}

func flowModels() []*onnxpb.ModelProto {
	var m []*onnxpb.ModelProto
	for _, c := range flowCases() {
		m = append(m, c.model)
	}
	return m
}

type flowCase struct {
	name  string
	model *onnxpb.ModelProto
	in    values
	want  values
}

func TestControlFlow(t *testing.T) {
	for _, c := range flowCases() {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "names of two graphs outside" {
				c.want = values{"y": twoGraphs()}
			}
			m := load(t, c.model)
			for range 2 { // the second time with what the first one leaves
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

// twoGraphs computes what the nested loops of that name do.
func twoGraphs() *runtime.Tensor {
	y := []float32{1, 1}
	for i := range 3 {
		for j, x := range []float32{1, 2} {
			s := y[j]
			if i == 0 {
				s = 1
			}
			u, a, b := x, x+10, s+1
			for range 2 {
				u = (u + a) * b
			}
			y[j] = u
		}
	}
	return f32([]int{2}, y...)
}

// TestNodeFolders runs ONNX's own tests of control flow.
func TestNodeFolders(t *testing.T) {
	dir := os.Getenv("SBS_ONNX_NODES")
	if dir == "" {
		t.Skip("SBS_ONNX_NODES is not set")
	}
	for _, name := range []string{"if", "loop11", "scan9_sum", "range_float_type_positive_delta_expanded", "range_int32_type_negative_delta_expanded"} {
		status, detail := runNode(t, filepath.Join(dir, "test_"+name))
		require.Equal(t, passed, status, "%s: %s", name, detail)
	}
	for name, want := range map[string]string{
		"scan_sum": "Scan of opset 8", "if_opt": "optional values", "if_seq": "sequences", "loop13_seq": "sequences",
		"loop16_seq_none": "optional values", "sequence_insert_at_back": "sequences",
	} {
		status, detail := runNode(t, filepath.Join(dir, "test_"+name))
		require.Equal(t, unsupported, status, name)
		require.Contains(t, detail, want, name)
	}
}

// TestIterationsDrawOtherNumbers has an SbS node in a loop.
func TestIterationsDrawOtherNumbers(t *testing.T) {
	m := network([]*onnxpb.ValueInfoProto{info("x", 1, 4, 1, 1), info("w", 4, 2)}, "y", nodes{
		op("y = Loop(three, true)", sub("body", "i, c", "c, h", nodes{op("h = ai.sbs.SbS(x, w)",
			intsAttr("kernel_shape", 1, 1), intAttr("number_of_spikes", 5),
			&onnxpb.AttributeProto{Name: "epsilon_0", Type: onnxpb.AttributeProto_FLOAT, F: proto.Float32(0.5)},
			&onnxpb.AttributeProto{Name: "epsilon_t", Type: onnxpb.AttributeProto_FLOATS, Floats: []float32{1, 1, 1, 1, 1}},
		)})),
	})
	m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: "ai.sbs", Version: 1})
	r := load(t, m)
	in := values{"x": f32([]int{1, 4, 1, 1}, 1, 1, 1, 1), "w": f32([]int{4, 2}, .1, .4, .2, .3, .3, .2, .4, .1)}
	run := func(seed uint64) []float32 {
		out, err := r.Run(t.Context(), in, runtime.Seed(seed))
		require.NoError(t, err)
		require.Equal(t, []int{3, 1, 2, 1, 1}, out["y"].Shape())
		return out["y"].Float32s()
	}
	y := run(1)
	require.Equal(t, y, run(1))
	require.NotEqual(t, y, run(2))
	require.NotEqual(t, y[:2], y[2:4])
	require.NotEqual(t, y[2:4], y[4:])
}

// endless has no end but that of its context or of the memory.
func endless(state string, list nodes, outputs string) *onnxpb.ModelProto {
	y := "y"
	if len(words(outputs)) > 2 {
		y = "y, z"
	}
	return network(empty, "y", nodes{op(y+" = Loop(, true, "+state+")", sub("body", "i, c, s", outputs, list))})
}

func TestLoopIsBounded(t *testing.T) {
	grow := nodes{op("s2 = Concat(s, s)", intAttr("axis", 0))}
	for name, m := range map[string]*onnxpb.ModelProto{
		"a value grows":         endless("pair", grow, "c, s2"),
		"outputs pile up":       endless("pair", nil, "c, s, s"),
		"small outputs pile up": endless("one", nil, "c, s, c"),
		"in an inner loop": network(empty, "y", nodes{op("y = Loop(two, true, pair)", sub("body", "i, c, s", "c, s2", nodes{
			op("s2 = Loop(, true, s)", sub("body", "j, d, u", "d, u2", nodes{op("u2 = Concat(u, u)", intAttr("axis", 0))})),
		}))}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, m, runtime.MemoryLimit(1<<20)).Run(t.Context(), nil)
			require.ErrorIs(t, err, runtime.ErrMemory)
			var node *runtime.NodeError
			require.ErrorAs(t, err, &node)
			require.Equal(t, "y", node.Node)
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		for _, list := range []nodes{nil, {op("s2 = Add(s, one)")}} {
			out := "c, s"
			if list != nil {
				out = "c, s2"
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			_, err := load(t, endless("one", list, out)).Run(ctx, nil)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	})
}

// TestMemoryOfLoops checks that the limit is on what is in use at the same time,
// inside and outside.
func TestMemoryOfLoops(t *testing.T) {
	// One iteration has the value that enters and the one that leaves, and the sum.
	m := network([]*onnxpb.ValueInfoProto{info("x", 1000)}, "y", nodes{
		op("a = Add(x, x)"),
		op("l = Loop(three, true, x)", sub("body", "i, c, s", "c, s3", nodes{op("s2 = Add(s, a)"), op("s3 = Neg(s2)")})),
		op("y = Add(l, a)"),
	})
	in := values{"x": f32([]int{1000}, make([]float32, 1000)...)}
	const need = 4 * 4000 // a, the last value, s2 and s3
	_, err := load(t, m, runtime.MemoryLimit(need)).Run(t.Context(), in)
	require.NoError(t, err)
	_, err = load(t, m, runtime.MemoryLimit(need-1)).Run(t.Context(), in)
	require.ErrorIs(t, err, runtime.ErrMemory)
}

// TestFlowErrorsAtRun are errors that only values show.
func TestFlowErrorsAtRun(t *testing.T) {
	x := []*onnxpb.ValueInfoProto{info("x", -1), typed("c", ops.Bool, -1)}
	for _, c := range []struct {
		name  string
		model *onnxpb.ModelProto
		in    values
		want  string
	}{
		{"two conditions", network(x, "y", nodes{op("y = If(c)", sub("then_branch", "", "x", nil), sub("else_branch", "", "x", nil))}),
			values{"x": f32([]int{1}, 1), "c": opstest.Tensor([]int{2}, true, true)}, "the condition is bool(2), want one bool"},
		{"what is stacked changes its shape", network(x, "y, z", nodes{
			op("y, z = Loop(three, true, x)", sub("body", "i, d, s", "d, s2, s2", nodes{op("s2 = Concat(s, s)", intAttr("axis", 0))})),
		}), values{"x": f32([]int{1}, 1), "c": opstest.Tensor([]int{1}, true)}, "output 2 is float32(4), but was float32(2) in the previous iteration"},
		{"slices of other numbers", network(append(x[:1:1], info("z", -1)), "y", nodes{
			op("y = Scan(x, z)", intAttr("num_scan_inputs", 2), sub("body", "a, b", "s", nodes{op("s = Add(a, b)")})),
		}), values{"x": f32([]int{1}, 1), "z": f32([]int{2}, 1, 2)}, "input 1 has 2 slices along axis 0, but the inputs before it have 1"},
		{"shapes in the body", network(x, "y", nodes{
			op("y = Loop(three, true, pair)", sub("body", "i, d, s", "d, s2", nodes{op("s2 = Add(s, x)")})),
		}), values{"x": f32([]int{3}, 1, 2, 3), "c": opstest.Tensor([]int{1}, true)}, `node "y" (Loop): body, iteration 0: node "s2" (Add): `},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.model).Run(t.Context(), c.in)
			require.ErrorContains(t, err, c.want)
			var node *runtime.NodeError
			require.ErrorAs(t, err, &node)
		})
	}
}
