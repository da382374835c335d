package runtime_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// requireRunsAlike runs a model with one input after the other, several times, and compares with
// fresh models. The outputs of a run must not change in later ones.
func requireRunsAlike(t *testing.T, pb *onnxpb.ModelProto, inputs []values) {
	m := load(t, pb)
	type result struct{ want, got values }
	var results []result
	for round := range 3 {
		for i := range inputs {
			in := inputs[(i*(round+1)+round)%len(inputs)]
			want, err := load(t, pb).Run(t.Context(), in)
			require.NoError(t, err)
			got, err := m.Run(t.Context(), in)
			require.NoError(t, err)
			results = append(results, result{want, got})
		}
	}
	for i, r := range results {
		for name := range r.want {
			requireSame(t, r.want[name], r.got[name], fmt.Sprintf("run %d, output %s", i, name))
		}
	}
}

func TestRun_OfSubgraphsDoesNotDependOnEarlierRuns(t *testing.T) {
	for _, c := range flowCases() {
		t.Run(c.name, func(t *testing.T) {
			other := values{}
			for name, x := range c.in {
				other[name] = x
				if v := x.Float32s(); v != nil {
					w := slices.Clone(v)
					for i := range w {
						w[i] = 3 - w[i]
					}
					other[name] = f32(x.Shape(), w...)
				}
			}
			requireRunsAlike(t, c.model, []values{c.in, other})
		})
	}
}

func TestRun_KeepsWhatFollowsFromConstants(t *testing.T) {
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
