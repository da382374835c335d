package convert_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

var (
	approximate8 = sbs.Approximation{FracBits: 8, TruncBits: 7, Enabled: true}
	disabled12   = sbs.Approximation{FracBits: 12, TruncBits: 14}
	exact30      = sbs.Approximation{FracBits: 30, TruncBits: 1, Enabled: true}
	exact24      = sbs.Approximation{FracBits: 24, TruncBits: 9}
)

func TestApproxConv_IsRestored(t *testing.T) {
	for name, n := range map[string]*convert.Network{
		"approximate": converttest.Approximate(approximate8, disabled12),
		"exact":       converttest.Approximate(exact30, exact24),
		"both":        converttest.Approximate(exact30, approximate8),
	} {
		for _, opt := range allOptions() {
			data, err := convert.ToONNX(n, opt)
			require.NoError(t, err)
			back, err := convert.FromONNX(data)
			require.NoError(t, err, "%s: %+v", name, opt)
			require.Equal(t, n, back, "%s: %+v", name, opt)
			again, err := convert.ToONNX(back, opt)
			require.NoError(t, err)
			require.Equal(t, data, again)
		}
	}
}

func TestApproxConv_WithFloat32ProductsIsAnOrdinaryConvolution(t *testing.T) {
	for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline, convert.BodyNone} {
		m := decode(t, converttest.Approximate(exact30, exact24), convert.Options{Body: body})
		require.Empty(t, m.GetFunctions())
		require.Len(t, m.GetOpsetImport(), 1)
		convolutions := 0
		for _, n := range m.GetGraph().GetNode() {
			require.Empty(t, n.GetDomain())
			if n.GetOpType() == "Conv" {
				convolutions++
			}
		}
		require.Equal(t, 5, convolutions)
	}
}

func TestApproxConv_OptionsAreThoseOfTheModel(t *testing.T) {
	n := converttest.Approximate(approximate8)
	n.Layers = append([]convert.Layer{converttest.New(5).SbS(converttest.Window(1, 1), 2, 2, 20)}, n.Layers...)
	for _, body := range []convert.Body{convert.BodyFunction, convert.BodyNone} {
		opt := convert.Options{Body: body, Seed: 17, Batch: 2}
		data, err := convert.ToONNX(n, opt)
		require.NoError(t, err)
		got, err := convert.OptionsOf(data)
		require.NoError(t, err)
		require.Equal(t, opt, got)
	}
}

// TestApproxConv_IsRestoredFromStages has all forms of the layer in every stage.
func TestApproxConv_IsRestoredFromStages(t *testing.T) {
	stage := func(seed uint64, settings ...sbs.Approximation) *convert.Network {
		n := converttest.Approximate(settings...)
		n.Layers = n.Layers[:len(n.Layers)-1]
		sizes, err := n.Sizes()
		require.NoError(t, err)
		last := sizes[len(sizes)-1]
		window := converttest.Window(1, 1)
		window.Kernel = [2]int{last.Height, last.Width}
		n.Layers = append(n.Layers, &convert.ReLU{}, converttest.New(seed).SbS(window, last.Channels, 3, 20))
		return n
	}
	s := &convert.Staged{Stages: []convert.Stage{
		{Network: stage(1, exact30, approximate8), Threshold: 0.5}, {Network: stage(2, disabled12, exact24)},
	}}
	for _, body := range []convert.Body{convert.BodyFunction, convert.BodyNone} {
		data, err := convert.StagesToONNX(s, convert.Options{Body: body})
		require.NoError(t, err)
		back, err := convert.StagesFromONNX(data)
		require.NoError(t, err)
		require.Equal(t, s, back)
		for i, stage := range s.Stages {
			data, err := convert.ExtractStage(data, i+1)
			require.NoError(t, err)
			want, err := convert.ToONNX(stage.Network, convert.Options{Body: body})
			require.NoError(t, err)
			require.Equal(t, want, data)
		}
	}
}

func TestApproxConv_RefusesWrongSettings(t *testing.T) {
	for _, c := range []struct {
		change func(l *convert.ApproxConv)
		want   string
	}{
		{func(l *convert.ApproxConv) { l.FracBits = 0 }, "layer 0 (ApproxConv): bad attribute: number_of_frac_bits is 0, want 1 to 32"},
		{func(l *convert.ApproxConv) { l.FracBits = 33 }, "number_of_frac_bits is 33"},
		{func(l *convert.ApproxConv) { l.TruncBits = -1 }, "number_of_trunc_bits is -1, want 0 to 32"},
		{func(l *convert.ApproxConv) { l.TruncBits = 33 }, "number_of_trunc_bits is 33"},
		{func(l *convert.ApproxConv) { l.Bias = nil }, "layer 0 (ApproxConv): missing bias"},
		{func(l *convert.ApproxConv) { l.Weights = nil }, "layer 0 (ApproxConv): for an input of 2x9x8: missing weights"},
		{func(l *convert.ApproxConv) { l.Kernel[0] = 30 }, "layer 0 (ApproxConv)"},
	} {
		n := converttest.Approximate(approximate8)
		c.change(n.Layers[0].(*convert.ApproxConv))
		require.ErrorContains(t, n.Check(), c.want)
		_, err := convert.ToONNX(n, convert.Options{})
		require.ErrorContains(t, err, c.want)
	}
}

func TestFromONNX_RefusesWrongSettingsOfApproximateConvolutions(t *testing.T) {
	const key = "ai.sbs.approximation"
	for _, c := range []struct{ value, want string }{
		{"", "there are no settings for layer 0 (ApproxConv)"},
		{"[]", "there are no settings for layer 0 (ApproxConv)"},
		{"{}", `"{}" is not a list of settings`},
		{`[{"layer":0,"number_of_frac_bits":30,"number_of_trunc_bits":1}]`, "there are no settings for layer 2"},
		{`[{"layer":1,"number_of_frac_bits":30,"number_of_trunc_bits":1}]`, "layer 1 does not need settings"},
		{`[{"layer":-1}]`, "layer -1 does not need settings"},
		{`[{"layer":9}]`, "layer 9 does not need settings"},
		{`[{"layer":0,"number_of_frac_bits":8,"number_of_trunc_bits":1},{"layer":2,"number_of_frac_bits":30,"number_of_trunc_bits":1}]`, "is not what the nodes of layer 0 (ApproxConv) compute"},
		{`[{"layer":0,"number_of_frac_bits":77,"number_of_trunc_bits":1},{"layer":2,"number_of_frac_bits":30,"number_of_trunc_bits":1}]`, "number_of_frac_bits is 77"},
	} {
		m := decode(t, converttest.Approximate(exact30), convert.Options{})
		for i, p := range m.GetMetadataProps() {
			if p.GetKey() == key {
				require.True(t, strings.HasPrefix(p.GetValue(), `[{"layer":0,"number_of_frac_bits":30,`), p.GetValue())
				p.Value = c.value
				if c.value == "" {
					m.MetadataProps = append(m.GetMetadataProps()[:i:i], m.GetMetadataProps()[i+1:]...)
				}
			}
		}
		data, err := onnx.MarshalStamped(m)
		require.NoError(t, err)
		_, err = convert.FromONNX(data)
		require.ErrorContains(t, err, c.want, c.value)
	}
}
