package runtime_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// batchSums returns a model of opset 8 that adds up the rows of x, of shape (batch, sequence, 2),
// starting with s. n has the lengths of the sequences if line names it.
func batchSums(line string, attrs ...*onnxpb.AttributeProto) *onnxpb.ModelProto {
	body := subgraph("body", "state, row", "sum, sum2", nodes{op("sum = Add(state, row)"), op("sum2 = Add(sum, sum)")})
	m := network([]*onnxpb.ValueInfoProto{info("s", -1, 2), info("x", -1, -1, 2), typed("n", ops.Int64, -1)}, "y, z", nodes{
		op(line, append(attrs, body, intAttr("num_scan_inputs", 1))...),
	})
	m.OpsetImport[0].Version = 8
	return m
}

func TestScan_OfOpset8RunsEachSequence(t *testing.T) {
	in := values{
		"s": f32([]int{2, 2}, 0, 0, 100, 100),
		"x": f32([]int{2, 3, 2}, 1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60),
		"n": opstest.I64([]int{2}, 3, 1),
	}
	all := f32([]int{2, 3, 2}, 2, 4, 8, 12, 18, 24, 220, 240, 280, 320, 380, 440)
	for _, c := range []struct {
		name  string
		model *onnxpb.ModelProto
		y, z  *runtime.Tensor
	}{
		{"whole sequences", batchSums("y, z = Scan(, s, x)"), f32([]int{2, 2}, 9, 12, 190, 220), all},
		{"lengths", batchSums("y, z = Scan(n, s, x)"), f32([]int{2, 2}, 9, 12, 110, 120), f32([]int{2, 3, 2}, 2, 4, 8, 12, 18, 24, 220, 240, 0, 0, 0, 0)},
		{"backward", batchSums("y, z = Scan(n, s, x)", intsAttr("directions", 1)), f32([]int{2, 2}, 9, 12, 110, 120), f32([]int{2, 3, 2}, 10, 12, 16, 20, 18, 24, 220, 240, 0, 0, 0, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, c.model)
			require.Equal(t, "float32(?, ?, 2)", m.Outputs()[1].Type.String())
			got, err := m.Run(t.Context(), in)
			require.NoError(t, err)
			requireSame(t, c.y, got["y"])
			requireSame(t, c.z, got["z"])
		})
	}
	m := load(t, batchSums("y, z = Scan(n, s, x)"))
	got, err := m.Run(t.Context(), values{"s": f32([]int{0, 2}), "x": f32([]int{0, 3, 2}), "n": opstest.I64([]int{0})})
	require.NoError(t, err)
	requireSame(t, f32([]int{0, 3, 2}), got["z"])
	// Many empty sequences end with the context, too.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = load(t, batchSums("y, z = Scan(, s, x)")).Run(ctx, values{"s": f32([]int{1 << 22, 2}, make([]float32, 1<<23)...), "x": f32([]int{1 << 22, 0, 2}), "n": in["n"]})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 500*time.Millisecond)
	for want, bad := range map[string]values{
		"sequence 1 has the length 4, want 0 to 3":                                {"s": in["s"], "x": in["x"], "n": opstest.I64([]int{2}, 3, 4)},
		"there are 1 lengths for 2 sequences":                                     {"s": in["s"], "x": in["x"], "n": opstest.I64([]int{1}, 3)},
		"input 2 is float32(2, 3, 2), but the inputs before it have a batch of 1": {"s": f32([]int{1, 2}, 0, 0), "x": in["x"], "n": in["n"]},
	} {
		_, err := m.Run(t.Context(), bad)
		require.ErrorContains(t, err, want)
	}
	_, err = load(t, batchSums("y, z = Scan(n, s, x)"), runtime.MemoryLimit(64)).Run(t.Context(), in)
	require.ErrorIs(t, err, runtime.ErrMemory)
	require.ErrorContains(t, loadError(t, batchSums("y, z = Scan(n)")), "num_scan_inputs is 1, but the node has 0 inputs after the lengths")
	require.ErrorContains(t, loadError(t, batchSums("y, z = Scan(n, s, )")), "body has 2 inputs and 2 outputs, the node needs 1 and 2")
}
