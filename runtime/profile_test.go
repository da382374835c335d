package runtime_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// sleep is an operator that takes a few milliseconds.
const nap = 3 * time.Millisecond

type sleep struct{}

func (sleep) Infer(in []*ops.Input) ([]ops.Type, error) { return []ops.Type{in[0].Type}, nil }

func (sleep) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	time.Sleep(nap)
	if _, err := ops.Temporary[float32](ctx, 1000); err != nil {
		return err
	}
	copy(out[0].Float32s(), in[0].Float32s())
	return nil
}

func withSleep() runtime.Option {
	return runtime.WithOperators(ops.Operator{
		Domain: "test", Name: "Sleep", MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
		New: func(ops.Node) (ops.Op, error) { return sleep{}, nil },
	})
}

func TestProfile_MeasuresNodesAlsoInSubgraphsAndFunctions(t *testing.T) {
	pb := network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", nodes{
		op("a = test.Sleep(x)"),
		op("b = Loop(three, true, a)", subgraph("body", "i, c, s", "c, s2", nodes{op("s1 = Add(s, a)"), op("s2 = test.Sleep(s1)")})),
		op("y = local.Twice(b)"),
	})
	pb.OpsetImport = append(pb.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: "test", Version: 1}, &onnxpb.OperatorSetIdProto{Domain: "local", Version: 1})
	pb.Functions = []*onnxpb.FunctionProto{{
		Name: "Twice", Domain: "local", Input: []string{"v"}, Output: []string{"w"}, Node: nodes{op("w = Add(v, v)")}, OpsetImport: pb.OpsetImport,
	}}
	m := load(t, pb, withSleep())
	var got []runtime.NodeProfile
	in := values{"x": f32([]int{2}, 1, 2)}
	out, err := m.Run(t.Context(), in, runtime.Profile(func(n runtime.NodeProfile) { got = append(got, n) }))
	require.NoError(t, err)
	want, err := m.Run(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, want["y"].Float32s(), out["y"].Float32s(), "the measurement does not change the result")

	var names []string
	var self, total time.Duration
	for _, n := range got {
		names = append(names, n.Node+" "+n.Operator)
		self += n.Self
		if n.Node == "a" || n.Node == "b" || n.Node == "y/w" {
			total += n.Time
		}
		require.Equal(t, ops.Float32, n.Output.DType)
		require.Positive(t, n.Memory)
		if n.Operator == "test.Sleep" {
			require.GreaterOrEqual(t, n.Self, nap)
			require.GreaterOrEqual(t, n.Memory, int64(4000), "temporary memory")
		}
	}
	require.Equal(t, []string{
		"a test.Sleep", "s1 Add", "s2 test.Sleep", "s1 Add", "s2 test.Sleep", "s1 Add", "s2 test.Sleep", "b Loop", "y/w Add",
	}, names)
	require.Equal(t, total, self, "every moment counts once")
	loop := got[7]
	require.GreaterOrEqual(t, loop.Time, 3*nap)
	require.Less(t, loop.Self, loop.Time-3*nap+time.Millisecond)
}
