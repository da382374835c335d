package convert_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

func TestNNMF_SurvivesTheRoundTrip(t *testing.T) {
	for name, n := range converttest.NNMFVariants() {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline, convert.BodyNone} {
			data, err := convert.ToONNX(n, convert.Options{Body: body})
			require.NoError(t, err, name)
			got, err := convert.FromONNX(data)
			require.NoError(t, err, "%s, %s", name, body)
			require.Equal(t, n, got, "%s, %s", name, body)
			opt, err := convert.OptionsOf(data)
			require.NoError(t, err)
			require.Equal(t, convert.Options{Body: body}, opt)
		}
	}
}

func TestNNMF_RefusesValuesOutOfRange(t *testing.T) {
	for name, change := range map[string]func(l *convert.NNMF){
		"number_of_iterations is 0":       func(l *convert.NNMF) { l.Iterations = 0 },
		"epsilon_0 is NaN":                func(l *convert.NNMF) { l.Epsilon0 = float32(math.NaN()) },
		"tiny_sum is -1":                  func(l *convert.NNMF) { l.TinySum = -1 },
		`gradient is "x"`:                 func(l *convert.NNMF) { l.Gradient = sbs.NNMFGradient("x") },
		"weights: [0 0] is -1":            func(l *convert.NNMF) { l.Weights.Float32s()[0] = -1 },
		"missing weights":                 func(l *convert.NNMF) { l.Weights = nil },
		"convert: layer 0 (NNMF): for an": func(l *convert.NNMF) { l.Weights = converttest.New(1).Tensor(0, 1, 3, 3) },
	} {
		n := converttest.NNMFVariants()["additive"]
		change(n.Layers[0].(*convert.NNMF))
		_, err := convert.ToONNX(n, convert.Options{})
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "layer 0 (NNMF)")
	}
}

func TestOnOff_WithoutMeanSurvivesTheRoundTrip(t *testing.T) {
	n := converttest.NNMFVariants()["additive"]
	n.Layers = append([]convert.Layer{&convert.OnOff{}}, n.Layers...)
	n.Layers[1] = converttest.New(1).NNMF(converttest.Window(3, 1), 4, 7, 3)
	for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
		data, err := convert.ToONNX(n, convert.Options{Body: body})
		require.NoError(t, err)
		got, err := convert.FromONNX(data)
		require.NoError(t, err)
		require.Equal(t, n, got)
	}
}
