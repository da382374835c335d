package convert_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

func TestNormalize_IsRestored(t *testing.T) {
	n := converttest.Normalized()
	for _, opt := range []convert.Options{{}, {Batch: 3}, {Body: convert.BodyInline}, {Body: convert.BodyNone, Seed: 4}} {
		data, err := convert.ToONNX(n, opt)
		require.NoError(t, err)
		back, err := convert.FromONNX(data)
		require.NoError(t, err)
		require.Equal(t, n, back)
		again, err := convert.ToONNX(back, opt)
		require.NoError(t, err)
		require.Equal(t, data, again)
	}
	n.Preprocessing.Normalize = false
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	back, err := convert.FromONNX(data)
	require.NoError(t, err)
	require.False(t, back.Preprocessing.Normalize)
}

// TestNormalize_WritesStandardOperators checks that other runtimes know all operators.
func TestNormalize_WritesStandardOperators(t *testing.T) {
	data, err := convert.ToONNX(converttest.Normalized(), convert.Options{})
	require.NoError(t, err)
	m, err := onnx.Unmarshal(t.Context(), data)
	require.NoError(t, err)
	var operators []string
	for _, node := range m.GetGraph().GetNode() {
		require.Empty(t, node.GetDomain())
		operators = append(operators, node.GetOpType())
	}
	require.Equal(t, []string{"Slice", "ReduceMean", "Sub", "Mul", "ReduceMean", "Sqrt", "Max", "Div"}, operators[:8])
	require.Empty(t, m.GetFunctions())
}

func TestNormalize_RefusesAnotherMinimum(t *testing.T) {
	data, err := convert.ToONNX(converttest.Normalized(), convert.Options{})
	require.NoError(t, err)
	m, err := onnx.Unmarshal(t.Context(), data)
	require.NoError(t, err)
	for _, p := range m.GetGraph().GetInitializer() {
		if p.GetName() == "preprocessing/min_deviation" {
			changed := onnx.Float32Tensor(p.GetName(), nil, []float32{0.5})
			p.RawData, p.FloatData = changed.GetRawData(), changed.GetFloatData()
		}
	}
	data, err = onnx.MarshalStamped(m)
	require.NoError(t, err)
	_, err = convert.FromONNX(data)
	require.ErrorIs(t, err, convert.ErrNotConverted)
	require.ErrorContains(t, err, "another minimum of the standard deviation than 0.0001")
}

func TestNormalize_RefusesNetworksThatCannotTakeIt(t *testing.T) {
	m := converttest.New(4)
	pool := &convert.AveragePool{Window: converttest.Window(2, 2)}
	first := map[string][]convert.Layer{
		"layer 0 (SbS)":        {m.SbS(converttest.Window(8, 1), 1, 3, 9)},
		"layer 1 (SbS)":        {pool, m.SbS(converttest.Window(4, 1), 1, 3, 9)},
		"layer 0 (Poisson)":    {&convert.Poisson{Spikes: 3}},
		"layer 0 (SpikeImage)": {&convert.SpikeImage{Spikes: 3}},
		"layer 0 (NNMF)":       {&convert.NNMF{Window: converttest.Window(8, 1), Weights: m.Tensor(0.1, 1, 64, 3), Iterations: 3}},
	}
	for name, layers := range first {
		n := converttest.Normalized()
		n.Layers = layers
		_, err := convert.ToONNX(n, convert.Options{})
		require.ErrorContains(t, err, "convert: "+name+": normalized images have negative pixels")
	}
	n := converttest.Normalized()
	n.Layers = []convert.Layer{m.Conv(converttest.Window(3, 1), 1, 4), &convert.ReLU{}, m.SbS(converttest.Window(6, 1), 4, 3, 9)}
	require.NoError(t, n.Check(), "an SbS layer after another one")
	n.Layers = []convert.Layer{&convert.OnOff{Mean: m.Tensor(0, 0, 1, 1, 1, 1)}, m.SbS(converttest.Window(8, 1), 2, 3, 9)}
	require.NoError(t, n.Check(), "a split has no negative values")

	n = converttest.Normalized()
	n.Preprocessing.Offset = 1e-20
	require.ErrorContains(t, n.Check(), "the offset is 1e-20, want 0")
	n.Preprocessing.Offset, n.Preprocessing.OnOffMean = 0, []float32{0.1}
	n.Layers[0] = m.Conv(converttest.Window(3, 1), 2, 5)
	require.ErrorContains(t, n.Check(), "images with an on/off split cannot be normalized")
}
