package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// flexModel returns a model with one node FlexAttention with the given attributes. The
// subgraphs may use the input bias.
func flexModel(attrs ...*onnxpb.AttributeProto) *onnxpb.ModelProto {
	inputs := []*onnxpb.ValueInfoProto{info("q", 1, 2, -1, 1), info("k", 1, 1, -1, 1), info("v", 1, 1, -1, 2), info("bias")}
	m := network(inputs, "y", nodes{op("y = ai.onnx.preview.FlexAttention(q, k, v)", attrs...)})
	m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: "ai.onnx.preview", Version: 1})
	return m
}

func TestFlexAttention_RunsItsSubgraphs(t *testing.T) {
	in := values{
		"q": f32([]int{1, 2, 1, 1}, 0, 1), "k": f32([]int{1, 1, 2, 1}, 1, 1), "v": f32([]int{1, 1, 2, 2}, 1, 2, 3, 4), "bias": f32(nil, 3),
	}
	causal := subgraph("score_mod", "s", "m", nodes{op("one4 = Cast(pair)", intAttr("to", int64(ops.Float32))), op("l = Log(one4)"), op("m = Add(s, l)")})
	scaled := subgraph("prob_mod", "p", "r", nodes{op("r = Mul(p, bias)")})
	double := intAttr("softmax_precision", int64(ops.Float64))
	toDouble := subgraph("prob_mod", "p", "r", nodes{op("b = CastLike(bias, p)"), op("r = Mul(p, b)")})
	for _, c := range []struct {
		name  string
		attrs []*onnxpb.AttributeProto
		want  []float32
	}{
		{"no subgraph", nil, []float32{2, 3, 2, 3}},
		{"probabilities 1/3 and 2/3", []*onnxpb.AttributeProto{causal}, []float32{7. / 3, 10. / 3, 7. / 3, 10. / 3}},
		{"both", []*onnxpb.AttributeProto{causal, scaled}, []float32{7, 10, 7, 10}},
		{"float64", []*onnxpb.AttributeProto{double, toDouble}, []float32{6, 9, 6, 9}},
		{"identity", []*onnxpb.AttributeProto{subgraph("score_mod", "s", "s", nil)}, []float32{2, 3, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := load(t, flexModel(c.attrs...)).Run(t.Context(), in)
			require.NoError(t, err)
			require.Equal(t, []int{1, 2, 1, 2}, out["y"].Shape())
			require.InDeltaSlice(t, c.want, out["y"].Float32s(), 1e-6)
		})
	}
	_, err := load(t, flexModel(causal), runtime.MemoryLimit(1<<20)).Run(t.Context(), values{
		"q": opstest.Random(1, 1, 2, 1000, 1), "k": opstest.Random(2, 1, 1, 1000, 1), "v": opstest.Random(3, 1, 1, 1000, 2), "bias": in["bias"],
	})
	require.ErrorIs(t, err, runtime.ErrMemory)
}

func TestFlexAttention_ChecksItsSubgraphs(t *testing.T) {
	for _, c := range []struct {
		err   string
		attrs []*onnxpb.AttributeProto
	}{
		{"score_mod has 0 inputs", []*onnxpb.AttributeProto{subgraph("score_mod", "", "bias", nil)}},
		{"the output of prob_mod is float64", []*onnxpb.AttributeProto{subgraph("prob_mod", "p", "r", nodes{op("r = Cast(p)", intAttr("to", int64(ops.Float64)))})}},
		{"the output of score_mod is float32()", []*onnxpb.AttributeProto{subgraph("score_mod", "s", "bias", nil)}},
		{"softmax_precision 7", []*onnxpb.AttributeProto{intAttr("softmax_precision", 7)}},
		{"unknown is_causal", []*onnxpb.AttributeProto{intAttr("is_causal", 1)}},
	} {
		t.Run(c.err, func(t *testing.T) {
			data, err := proto.Marshal(flexModel(c.attrs...))
			require.NoError(t, err)
			_, err = runtime.New(data)
			require.ErrorContains(t, err, c.err)
		})
	}
}
