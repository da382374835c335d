package runtime_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// checkBatches compares each image of a batch with a run of the image alone, and with runs
// of parts of the batch.
func checkBatches(t *testing.T, m *runtime.Model, images *runtime.Tensor) {
	t.Helper()
	name := m.Inputs()[0].Name
	batch := images.Shape()[0]
	size := images.Len() / batch
	part := func(lo, hi int, opts ...runtime.RunOption) []float32 {
		shape := append([]int{hi - lo}, images.Shape()[1:]...)
		out, err := m.Run(t.Context(), values{name: f32(shape, images.Float32s()[lo*size:hi*size]...)}, opts...)
		require.NoError(t, err)
		return out[m.Outputs()[0].Name].Float32s()
	}
	whole := part(0, batch, runtime.Seed(7), runtime.FirstImage(20))
	each := len(whole) / batch
	for i := range batch {
		require.Equal(t, whole[i*each:(i+1)*each], part(i, i+1, runtime.Seed(7), runtime.FirstImage(20+uint64(i))), "image %d", i)
	}
	require.Equal(t, whole[:2*each], part(0, 2, runtime.Seed(7), runtime.FirstImage(20)))
	require.Equal(t, whole[each:], part(1, batch, runtime.Seed(7), runtime.ImageNumbers([]uint64{21, 22, 23})))
	numbers := []uint64{5, 6, 7}
	seeds := []uint64{9, 8, 7}
	own := part(1, batch, runtime.Seeds(seeds), runtime.ImageNumbers(numbers))
	require.Equal(t, own[2*each:], part(3, 4, runtime.Seed(7), runtime.FirstImage(7)))
	require.NotEqual(t, whole[3*each:], own[2*each:], "the number selects other random numbers")
	var efforts []runtime.Effort
	part(0, batch, runtime.ReportEffort(func(e runtime.Effort) { efforts = append(efforts, e) }))
	require.Len(t, efforts, 1)
	require.Len(t, efforts[0].Updates, batch)
}

// TestRun_DoesNotDependOnTheBatch runs all forms in which sbs-convert writes SbS layers.
func TestRun_DoesNotDependOnTheBatch(t *testing.T) {
	mixed := converttest.Digits()
	mixed.Layers[0].(*convert.SbS).Sampler = sbs.LowDiscrepancy
	even := converttest.Digits()
	for _, l := range even.Layers {
		if l, ok := l.(*convert.SbS); ok {
			l.Sampler = sbs.LowDiscrepancy
		}
	}
	full := converttest.Variants()
	for name, n := range map[string]*convert.Network{
		"every layer": converttest.EveryLayer(), "independent": converttest.Digits(), "evenly": even, "mixed": mixed,
		"full": full["full layer"], "mixed full": full["full layer with everything"],
	} {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyNone, convert.BodyInline} {
			t.Run(fmt.Sprint(name, " ", body), func(t *testing.T) {
				m, err := runtime.New(modeltest.Write(t, n, convert.Options{Body: body}))
				require.NoError(t, err)
				checkBatches(t, m, modeltest.Pixels(1, 4, n.Input))
			})
		}
		if strings.HasPrefix(name, "mixed") || name == "every layer" {
			continue // the function compares strings, which this runtime does not
		}
		t.Run(name+" functions", func(t *testing.T) {
			m, err := runtime.New(modeltest.Write(t, n, convert.Options{}), runtime.PreferFunctions())
			require.NoError(t, err)
			checkBatches(t, m, modeltest.Pixels(1, 4, n.Input))
		})
	}
}

// ofThisProject adds metadata that only sbs-convert writes.
func ofThisProject(m *onnxpb.ModelProto) *onnxpb.ModelProto {
	m.MetadataProps = append(m.MetadataProps, &onnxpb.StringStringEntryProto{Key: metadata.Dialect, Value: "2"})
	return m
}

// TestRun_RunsForeignModelsAtOnce runs models of other programs, in which the first dimension
// need not be the batch: here it is the tokens of a text, which attend to each other.
func TestRun_RunsForeignModelsAtOnce(t *testing.T) {
	inputs := []*onnxpb.ValueInfoProto{info("x", -1, 2)}
	x := f32([]int{3, 2}, 1, 0, 0, 1, 2, 1)
	attention := nodes{op("t = Transpose(x)"), op("s = MatMul(x, t)"), op("a = Softmax(s)")}
	plain, err := load(t, network(inputs, "y", append(attention, op("y = MatMul(a, x)")))).Run(t.Context(), values{"x": x})
	require.NoError(t, err)
	for name, list := range map[string]nodes{
		"Dropout":           append(attention, op("h = Transpose(a)"), op("d = Dropout(h)"), op("b = Transpose(d)"), op("y = MatMul(b, x)")),
		"RandomUniformLike": append(attention, op("h = Transpose(x)"), op("r = RandomUniformLike(h)"), op("z = Sub(r, r)"), op("zt = Transpose(z)"), op("p = MatMul(a, x)"), op("y = Add(p, zt)")),
	} {
		out, err := load(t, network(inputs, "y", list)).Run(t.Context(), values{"x": x})
		require.NoError(t, err)
		require.Equal(t, plain["y"].Float32s(), out["y"].Float32s(), name)
	}
}

// TestRun_DividesBatchesThatShareRandomNumbers runs models whose random numbers have another
// first dimension than the batch, as models had that sbs-convert wrote earlier with
// --decompose.
func TestRun_DividesBatchesThatShareRandomNumbers(t *testing.T) {
	inputs := []*onnxpb.ValueInfoProto{info("x", -1, 6)}
	x := f32([]int{4, 6}, make([]float32, 24)...)
	for i := range x.Float32s() {
		x.Float32s()[i] = float32(i)
	}
	transposed := nodes{op("s = Transpose(x)"), op("u = RandomUniformLike(s)"), op("v = Transpose(u)"), op("y = Add(x, v)")}
	for name, list := range map[string]nodes{
		"transposed": transposed,
		"flat":       {op("s = Flatten(x)", intAttr("axis", 0)), op("u = RandomNormalLike(s)"), op("n = Shape(x)"), op("v = Reshape(u, n)"), op("y = Add(x, v)")},
		"in a loop": {op("y = Loop(two, true, x)", subgraph("body", "i, d, s", "d, s2", nodes{
			op("t = Transpose(s)"), op("u = RandomUniformLike(t)"), op("v = Transpose(u)"), op("s2 = Add(s, v)"),
		}))},
		"right":           {op("u = RandomUniformLike(x)"), op("y = Add(x, u)")},
		"right in a loop": {op("y = Loop(two, true, x)", subgraph("body", "i, d, s", "d, s2", nodes{op("u = RandomUniformLike(s)"), op("s2 = Add(s, u)")}))},
	} {
		t.Run(name, func(t *testing.T) { checkBatches(t, load(t, ofThisProject(network(inputs, "y", list))), x) })
	}
	t.Run("observed", func(t *testing.T) {
		m := load(t, ofThisProject(network(inputs, "y", transposed)))
		want, err := m.Run(t.Context(), values{"x": x})
		require.NoError(t, err)
		var seen []string
		got, err := m.Run(t.Context(), values{"x": x}, runtime.Observe(func(name string, v *runtime.Tensor) { seen = append(seen, name+ops.TypeOf(v).String()) }))
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Contains(t, seen, "yfloat32(1, 6)")
		require.Len(t, seen, 16, "four values of four images")
	})
}
