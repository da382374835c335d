//go:build !race

package runtime_test

import (
	"runtime/debug"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// collectNothing turns off the garbage collector during a test: it may drop what runs keep, in a
// sync.Pool. The race detector drops items as well, at random.
func collectNothing(t *testing.T) {
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
}

func TestRun_KeepsWhatFollowsFromConstants(t *testing.T) {
	collectNothing(t)
	// Smaller constants would be computed while the model is loaded.
	const n = 3000
	weights := make([]float32, 2*n)
	for i := range weights {
		weights[i] = float32(i % 7)
	}
	pb := network([]*onnxpb.ValueInfoProto{info("x", -1, 2), typed("c", ops.Bool)}, "y, z", nodes{
		op("p = Mul(weights, ten)"),
		op("y = If(c)",
			subgraph("then_branch", "", "t", nodes{op("q = Transpose(p)"), op("t = MatMul(x, q)")}),
			subgraph("else_branch", "", "e", nodes{op("a = Neg(weights)"), op("f = Transpose(a)"), op("e = MatMul(x, f)")})),
		op("z = Loop(two, true, x)", subgraph("body", "i, d, s", "d, s2", nodes{op("n = Abs(p)"), op("h = MatMul(s, m)"), op("s2 = MatMul(h, n)"), op("m = Transpose(n)")})),
	})
	pb.Graph.Initializer = append(pb.Graph.Initializer, onnx.Float32Tensor("weights", []int{n, 2}, weights))
	input := func(cond bool, x ...float32) values {
		return values{"x": f32([]int{len(x) / 2, 2}, x...), "c": opstest.Tensor(nil, cond)}
	}
	in := []values{input(true, 1, 2), input(false, 3, 4), input(true, 1, 2, 3, 4), input(true, 5, 6), input(false, 5, 6, 7, 8)}
	requireRunsAlike(t, pb, in)

	m := load(t, pb)
	computed := func(in values) (list []string) {
		_, err := m.Run(t.Context(), in, runtime.Profile(func(n runtime.NodeProfile) { list = append(list, n.Operator) }))
		require.NoError(t, err)
		return list
	}
	require.Equal(t, []string{"Mul", "Transpose", "MatMul", "If", "Abs", "Transpose", "MatMul", "MatMul", "MatMul", "MatMul", "Loop"}, computed(in[0]))
	for range 2 {
		require.Equal(t, []string{"MatMul", "If", "MatMul", "MatMul", "MatMul", "MatMul", "Loop"}, computed(in[3]))
	}
	require.Equal(t, []string{"Neg", "Transpose", "MatMul", "If", "MatMul", "MatMul", "MatMul", "MatMul", "Loop"}, computed(in[1]))
	require.Equal(t, []string{"MatMul", "If", "MatMul", "MatMul", "MatMul", "MatMul", "Loop"}, computed(in[1]))
	out, err := m.Run(t.Context(), in[3])
	require.NoError(t, err)
	require.Equal(t, []float32{60, 280, 500}, out["y"].Float32s()[:3])
}

func TestRun_KeepsChainsOfConstants(t *testing.T) {
	collectNothing(t)
	const n = 20000
	pb := network([]*onnxpb.ValueInfoProto{info("x", -1, n)}, "y", nodes{op("a = Mul(weights, ten)"), op("b = Neg(a)"), op("t = Transpose(b)"), op("y = MatMul(x, t)")})
	pb.Graph.Initializer = append(pb.Graph.Initializer, onnx.Float32Tensor("weights", []int{1, n}, slices.Repeat([]float32{1}, n)))
	m := load(t, pb)
	in := values{"x": f32([]int{1, n}, slices.Repeat([]float32{2}, n)...)}
	for _, want := range []string{"Mul+Neg, Transpose, MatMul", "MatMul"} {
		steps, out := operatorsOf(t, m, in)
		require.Equal(t, want, steps)
		require.Equal(t, []float32{-20 * n}, out["y"].Float32s())
	}
}
