package runtime_test

import (
	"context"
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

// flowCases returns models with subgraphs, and their outputs.
func flowCases() []flowCase {
	x2 := []*onnxpb.ValueInfoProto{info("x", 2)}
	in := values{"x": f32([]int{2}, 1, 2)}
	add := nodes{op("c2 = Identity(c)"), op("s2 = Add(s, x)")}
	return []flowCase{
		{"loop carries and stacks", network(x2, "y, z", nodes{
			op("y, z = Loop(three, true, x)", subgraph("body", "i, c, s", "c2, s2, s2", add)),
		}), in, values{"y": f32([]int{2}, 4, 8), "z": f32([]int{3, 2}, 2, 4, 3, 6, 4, 8)}},
		{"loop without condition", network(x2, "y", nodes{
			op("y = Loop(three, , x)", subgraph("body", "i, c, s", "false, s2", add[1:])), // the condition of the body is ignored
		}), in, values{"y": f32([]int{2}, 4, 8)}},
		{"loop ends by condition", network(append([]*onnxpb.ValueInfoProto{info("limit")}, x2...), "y, z", nodes{
			op("y, z = Loop(, true, one)", subgraph("body", "i, c, s", "c2, s2, i", nodes{op("s2 = Add(s, s)"), op("c2 = Less(s2, limit)")})),
		}), values{"x": in["x"], "limit": f32(nil, 10)}, values{"y": f32(nil, 16), "z": opstest.I64([]int{4}, 0, 1, 2, 3)}},
		{"loop with false condition", network(x2, "y, z", nodes{
			op("y, z = Loop(three, false, x)", subgraph("body", "i, c, s", "c2, s2, s2", add)),
		}), in, values{"y": f32([]int{2}, 1, 2), "z": f32([]int{0, 2})}},
		{"loop without iteration", network(append([]*onnxpb.ValueInfoProto{typed("n", ops.Int64)}, x2...), "y, z", nodes{
			op("y, z = Loop(n, true, x)", subgraph("body", "i, c, s", "c2, s2, s2", add)),
		}), values{"x": in["x"], "n": opstest.I64(nil, -3)}, values{"y": f32([]int{2}, 1, 2), "z": f32([]int{0, 2})}},
		{"loop with growing value", network(x2, "y", nodes{
			op("y = Loop(three, true, x)", subgraph("body", "i, c, s", "c, s2", nodes{op("s2 = Concat(s, pair)", intAttr("axis", 0))})),
		}), in, values{"y": f32([]int{8}, 1, 2, 1, 2, 1, 2, 1, 2)}},
		{"nested loops", network(x2, "y", nodes{
			op("r = Loop(two, true, x)", subgraph("body", "i, c, s", "c, s2", nodes{op("s2 = Loop(two, true, s)", subgraph("body", "j, d, u", "d, u2", nodes{op("u2 = Add(u, one)")}))})),
			op("y = Add(r, r)"),
		}), in, values{"y": f32([]int{2}, 10, 12)}},
		{"nested loops with captured values", network(x2, "y", nodes{
			op("a = Add(x, ten)"),
			op("y = Loop(three, true, one)", subgraph("body", "i, c, s", "c, s2", nodes{
				op("b = Add(s, one)"),
				op("s2 = Loop(two, true, x)", subgraph("body", "j, d, u", "d, u2", nodes{op("v = Add(u, a)"), op("u2 = Mul(v, b)")})),
			})),
		}), in, nil},
		{"loop with vectors for number and condition", network(x2, "y", nodes{
			op("y = Loop(three, true, none)", &onnxpb.AttributeProto{Name: "body", Type: onnxpb.AttributeProto_GRAPH, G: &onnxpb.GraphProto{
				Input:  []*onnxpb.ValueInfoProto{typed("i", ops.Int64, 1), typed("c", ops.Bool, 1), typed("s", ops.Int64)},
				Output: []*onnxpb.ValueInfoProto{typed("c", ops.Bool, 1), typed("i", ops.Int64)},
			}}),
		}), in, values{"y": opstest.I64([]int{1}, 2)}},
		{"loop swaps values", network(x2, "y, z", nodes{
			op("y, z = Loop(three, true, one, ten)", subgraph("body", "i, c, a, b", "c, b, a", nil)),
		}), in, values{"y": f32(nil, 10), "z": f32(nil, 1)}},
		{"then_branch", network(append([]*onnxpb.ValueInfoProto{typed("c", ops.Bool)}, x2...), "y", nodes{
			op("a = Add(x, x)"),
			op("b = If(c)", subgraph("then_branch", "", "t", nodes{op("t = Add(a, one)")}), subgraph("else_branch", "", "e", nodes{op("e = Concat(a, x)", intAttr("axis", 0))})),
			op("y = Neg(b)"),
		}), values{"x": in["x"], "c": opstest.Tensor(nil, true)}, values{"y": f32([]int{2}, -3, -5)}},
		{"else_branch", network(append([]*onnxpb.ValueInfoProto{typed("c", ops.Bool, 1)}, x2...), "y", nodes{
			op("a = Add(x, x)"),
			op("b = If(c)", subgraph("then_branch", "", "one", nil), subgraph("else_branch", "", "a", nil)),
			op("y = Neg(b)"),
		}), values{"x": in["x"], "c": opstest.Tensor([]int{1}, false)}, values{"y": f32([]int{2}, -2, -4)}},
		{"branch that never runs may be invalid", network(x2, "y", nodes{
			op("y = If(true)", subgraph("then_branch", "", "t", nodes{op("t = Add(x, one)")}),
				subgraph("else_branch", "", "e", nodes{op("e = Add(x, three)")})),
		}), in, values{"y": f32([]int{2}, 2, 3)}},
		{"scan", network([]*onnxpb.ValueInfoProto{info("x", 2, 3)}, "s, y, z", nodes{
			op("s, y, z = Scan(one, x, x)", intAttr("num_scan_inputs", 2), intsAttr("scan_input_axes", 1, -1), intsAttr("scan_input_directions", 0, 1),
				intsAttr("scan_output_axes", -1, 0), intsAttr("scan_output_directions", 0, 1),
				subgraph("body", "s, a, b", "s2, d, a2", nodes{op("s2 = Add(s, one)"), op("d = Sub(a, b)"), op("a2 = Mul(a, s)")})),
		}), values{"x": f32([]int{2, 3}, 1, 2, 3, 4, 5, 6)}, values{
			"s": f32(nil, 4), "y": f32([]int{2, 3}, -2, 0, 2, -2, 0, 2),
			"z": f32([]int{3, 2}, 9, 18, 4, 10, 1, 4),
		}},
		{"scan without iteration", network([]*onnxpb.ValueInfoProto{info("x", -1, 2)}, "s, y", nodes{
			op("s, y = Scan(one, x)", intAttr("num_scan_inputs", 1), subgraph("body", "s, a", "s2, a", nodes{op("s2 = Add(s, one)")})),
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

func TestSubgraphs_ComputeExpectedValues(t *testing.T) {
	for _, c := range flowCases() {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "nested loops with captured values" {
				c.want = values{"y": nestedLoopsResult()}
			}
			m := load(t, c.model)
			for range 2 { // the second run reuses the buffers of the first
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

// nestedLoopsResult returns the output of the nested loops with captured values.
func nestedLoopsResult() *runtime.Tensor {
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

// TestNodes_ControlFlowPasses runs tests of control flow that are part of ONNX.
func TestNodes_ControlFlowPasses(t *testing.T) {
	for _, name := range []string{"if", "loop11", "scan9_sum", "range_float_type_positive_delta_expanded", "range_int32_type_negative_delta_expanded"} {
		status, detail := runNode(t, onnxTests(t, "node", "test_"+name)[0])
		require.Equal(t, passed, status, "%s: %s", name, detail)
	}
}

// TestLoop_DrawsNewSpikesInEachIteration runs an SbS node in a loop.
func TestLoop_DrawsNewSpikesInEachIteration(t *testing.T) {
	m := network([]*onnxpb.ValueInfoProto{info("x", 1, 4, 1, 1), info("w", 4, 2)}, "y", nodes{
		op("y = Loop(three, true)", subgraph("body", "i, c", "c, h", nodes{op("h = ai.sbs.SbS(x, w)",
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

// endlessLoop returns a model with a loop that only the memory limit or the context ends.
func endlessLoop(state string, list nodes, outputs string) *onnxpb.ModelProto {
	y := "y"
	if len(splitNames(outputs)) > 2 {
		y = "y, z"
	}
	return network(empty, "y", nodes{op(y+" = Loop(, true, "+state+")", subgraph("body", "i, c, s", outputs, list))})
}

func TestLoop_EndsAtMemoryLimitOrCancellation(t *testing.T) {
	grow := nodes{op("s2 = Concat(s, s)", intAttr("axis", 0))}
	for name, m := range map[string]*onnxpb.ModelProto{
		"growing value":         endlessLoop("pair", grow, "c, s2"),
		"stacked outputs":       endlessLoop("pair", nil, "c, s, s"),
		"small stacked outputs": endlessLoop("one", nil, "c, s, c"),
		"inner loop": network(empty, "y", nodes{op("y = Loop(two, true, pair)", subgraph("body", "i, c, s", "c, s2", nodes{
			op("s2 = Loop(, true, s)", subgraph("body", "j, d, u", "d, u2", nodes{op("u2 = Concat(u, u)", intAttr("axis", 0))})),
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
	t.Run("canceled", func(t *testing.T) {
		for _, list := range []nodes{nil, {op("s2 = Add(s, one)")}} {
			out := "c, s"
			if list != nil {
				out = "c, s2"
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			_, err := load(t, endlessLoop("one", list, out)).Run(ctx, nil)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	})
}

// TestLoop_CountsMemoryInUseTogether checks that the limit applies to the values that are
// in use at the same time, in the body and around the loop.
func TestLoop_CountsMemoryInUseTogether(t *testing.T) {
	// An iteration has the value that enters, the sum, and the value that leaves.
	m := network([]*onnxpb.ValueInfoProto{info("x", 1000)}, "y", nodes{
		op("a = Add(x, x)"),
		op("l = Loop(three, true, x)", subgraph("body", "i, c, s", "c, s3", nodes{op("s2 = Add(s, a)"), op("s3 = Neg(s2)")})),
		op("y = Add(l, a)"),
	})
	in := values{"x": f32([]int{1000}, make([]float32, 1000)...)}
	const need = 4 * 4000 // a, s, s2 and s3, each of 1000 float32 numbers
	_, err := load(t, m, runtime.MemoryLimit(need)).Run(t.Context(), in)
	require.NoError(t, err)
	_, err = load(t, m, runtime.MemoryLimit(need-1)).Run(t.Context(), in)
	require.ErrorIs(t, err, runtime.ErrMemory)
}

// TestSubgraphs_ReportErrorsOfValues checks errors that depend on the values of a run.
func TestSubgraphs_ReportErrorsOfValues(t *testing.T) {
	x := []*onnxpb.ValueInfoProto{info("x", -1), typed("c", ops.Bool, -1)}
	for _, c := range []struct {
		name  string
		model *onnxpb.ModelProto
		in    values
		want  string
	}{
		{"two conditions", network(x, "y", nodes{op("y = If(c)", subgraph("then_branch", "", "x", nil), subgraph("else_branch", "", "x", nil))}),
			values{"x": f32([]int{1}, 1), "c": opstest.Tensor([]int{2}, true, true)}, "the condition is bool(2), want one bool"},
		{"stacked value changes its shape", network(x, "y, z", nodes{
			op("y, z = Loop(three, true, x)", subgraph("body", "i, d, s", "d, s2, s2", nodes{op("s2 = Concat(s, s)", intAttr("axis", 0))})),
		}), values{"x": f32([]int{1}, 1), "c": opstest.Tensor([]int{1}, true)}, "output 2 is float32(4), but was float32(2) in the previous iteration"},
		{"different numbers of slices", network(append(x[:1:1], info("z", -1)), "y", nodes{
			op("y = Scan(x, z)", intAttr("num_scan_inputs", 2), subgraph("body", "a, b", "s", nodes{op("s = Add(a, b)")})),
		}), values{"x": f32([]int{1}, 1), "z": f32([]int{2}, 1, 2)}, "input 1 has 2 slices along axis 0, but the inputs before it have 1"},
		{"shapes in the body", network(x, "y", nodes{
			op("y = Loop(three, true, pair)", subgraph("body", "i, d, s", "d, s2", nodes{op("s2 = Add(s, x)")})),
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
