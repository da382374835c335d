package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// gradientModel returns a model with the inputs x and w (2) whose outputs are those of the last
// node, a Gradient.
func gradientModel(outputs string, list nodes) *onnxpb.ModelProto {
	m := network([]*onnxpb.ValueInfoProto{info("x", 2), info("w", 2)}, outputs, list)
	m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: "ai.onnx.preview.training", Version: 1})
	return m
}

// differentiate returns a node Gradient. The line is as for op.
func differentiate(line, y string, xs []string, zs ...string) *onnxpb.NodeProto {
	list := func(name string, v []string) *onnxpb.AttributeProto {
		a := &onnxpb.AttributeProto{Name: name, Type: onnxpb.AttributeProto_STRINGS}
		for _, s := range v {
			a.Strings = append(a.Strings, []byte(s))
		}
		return a
	}
	n := op(line, list("xs", xs), &onnxpb.AttributeProto{Name: "y", Type: onnxpb.AttributeProto_STRING, S: []byte(y)})
	if len(zs) > 0 {
		n.Attribute = append(n.Attribute, list("zs", zs))
	}
	n.Domain = "ai.onnx.preview.training"
	return n
}

func TestGradient_DifferentiatesEarlierNodes(t *testing.T) {
	in := values{"x": f32([]int{2}, 1, 2), "w": f32([]int{2}, 5, 7)}
	product := nodes{op("p = Mul(x, w)"), op("q = Mul(p, ten)"), op("y = Mul(q, x)")} // 10*x*x*w
	for _, c := range []struct {
		name    string
		outputs string
		nodes   nodes
		want    [][]float32
	}{
		{"two variables", "a, b", append(product[:3:3], differentiate("a, b = Gradient(x, w)", "y", []string{"x", "w"})), [][]float32{{100, 280}, {10, 40}}},
		{"other values", "a", append(product[:3:3], op("v = Add(x, ten)"), differentiate("a = Gradient(v, w)", "y", []string{"x"}, "w")), [][]float32{{1100, 1680}}},
		{"intermediate variable", "a", append(product[:3:3], differentiate("a = Gradient(p, x)", "y", []string{"p"}, "x")), [][]float32{{10, 20}}},
		{"omitted output", "b", append(product[:3:3], differentiate(", b = Gradient(x, w)", "y", []string{"x", "w"})), [][]float32{{10, 40}}},
		{"independent", "a", append(product[:3:3], differentiate("a = Gradient(w)", "x", []string{"w"})), [][]float32{{0, 0}}},
		{"itself", "a", nodes{differentiate("a = Gradient(x)", "x", []string{"x"})}, [][]float32{{1, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := load(t, gradientModel(c.outputs, c.nodes)).Run(t.Context(), in)
			require.NoError(t, err)
			for i, name := range splitNames(c.outputs) {
				require.Equal(t, c.want[i], out[name].Float32s(), name)
			}
		})
	}
}

func TestGradient_RefusesWhatItCannotDifferentiate(t *testing.T) {
	toDouble := op("d = Cast(x)", intAttr("to", int64(ops.Float64)))
	first := nodes{op("y = Mul(x, w)"), differentiate("g = Gradient(x)", "y", []string{"x"})}
	for _, c := range []struct {
		err   string
		nodes nodes
	}{
		{"Gradient of this operator is not supported", nodes{op("y = Tanh(x)"), differentiate("a = Gradient(x)", "y", []string{"x"})}},
		{"another Gradient, is not supported", append(first, differentiate("a = Gradient(x)", "g", []string{"x"}))},
		{`"z", which is neither`, nodes{differentiate("a = Gradient(x)", "z", []string{"x"})}},
		{"one for each name in xs and zs", nodes{differentiate("a = Gradient(x)", "x", []string{"x", "w"})}},
		{"xs is missing", nodes{differentiate("a = Gradient(x)", "x", nil, "x")}},
		{"other types than float32", nodes{toDouble, differentiate("a = Gradient(d)", "d", []string{"d"})}},
	} {
		t.Run(c.err, func(t *testing.T) {
			data, err := proto.Marshal(gradientModel("a", c.nodes))
			require.NoError(t, err)
			_, err = runtime.New(data)
			require.ErrorContains(t, err, c.err)
		})
	}
}
