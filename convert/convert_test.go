package convert_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops"
)

func networks() map[string]*convert.Network {
	plain := converttest.Digits()
	plain.Preprocessing = convert.Preprocessing{}
	plain.Input = convert.Size{Channels: 1, Height: 8, Width: 8}
	plain.Name, plain.Dialect, plain.Step, plain.Classes, plain.Sources, plain.Training = "", 0, -1, nil, nil, nil
	gray := converttest.EveryLayer()
	gray.Input.Channels = 1
	gray.Preprocessing.OnOffMean = []float32{0.13}
	gray.Layers[0] = converttest.New(3).Conv(converttest.Window(1, 1), 2, 4)
	return map[string]*convert.Network{
		"digits": converttest.Digits(), "every layer": converttest.EveryLayer(), "no preprocessing": plain, "gray on/off": gray,
	}
}

func TestFromONNX_RestoresTheNetwork(t *testing.T) {
	all := networks()
	maps.Copy(all, converttest.Variants())
	maps.Copy(all, converttest.ImageLayers())
	for name, n := range all {
		for _, opt := range allOptions() {
			t.Run(fmt.Sprintf("%s/%+v", name, opt), func(t *testing.T) {
				data, err := convert.ToONNX(n, opt)
				require.NoError(t, err)
				again, err := convert.ToONNX(n, opt)
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, again), "the same network must give the same bytes")
				back, err := convert.FromONNX(data)
				require.NoError(t, err)
				if opt.Body == convert.BodyInline && opt.Inject != "" {
					forgetSamplers(n)
					forgetSamplers(back)
				}
				require.Equal(t, n, back)
			})
		}
		t.Run(name, func(t *testing.T) {
			data, err := convert.ToONNX(n, convert.Options{})
			require.NoError(t, err)
			again, err := convert.ToONNX(n, convert.Options{})
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, again), "the same network must give the same bytes")

			back, err := convert.FromONNX(data)
			require.NoError(t, err)
			require.Equal(t, n, back)
			again, err = convert.ToONNX(back, convert.Options{})
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, again), "the restored network must give the same bytes")
		})
	}
}

// allOptions returns all combinations of options.
func allOptions() []convert.Options {
	var all []convert.Options
	for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline, convert.BodyNone} {
		for _, inject := range []convert.Inject{convert.InjectNothing, convert.InjectSpikes, convert.InjectUniforms} {
			for _, batch := range []int{0, 3} {
				all = append(all, convert.Options{Body: body, Inject: inject, Batch: batch})
			}
		}
	}
	return all
}

// forgetSamplers clears the samplers, which an inline body with injected numbers does
// not record.
func forgetSamplers(n *convert.Network) {
	for _, l := range n.Layers {
		if s, ok := l.(*convert.SbS); ok {
			s.Sampler = ""
		}
	}
}

// The description of a value has a type and a shape, whose batch is a symbol or a
// number.
func TestToONNX_DescribesEveryValue(t *testing.T) {
	all := networks()
	maps.Copy(all, converttest.ImageLayers())
	maps.Copy(all, converttest.Variants())
	for _, opt := range allOptions() {
		for name, n := range all {
			data, err := convert.ToONNX(n, opt)
			require.NoError(t, err)
			m, err := onnx.Unmarshal(t.Context(), data)
			require.NoError(t, err)
			g := m.GetGraph()
			described := map[string]bool{}
			for _, v := range append(append(g.GetValueInfo(), g.GetInput()...), g.GetOutput()...) {
				require.False(t, described[v.GetName()], "%s: %s is described twice", name, v.GetName())
				described[v.GetName()] = true
				require.NotZero(t, v.GetType().GetTensorType().GetElemType(), v.GetName())
				dims := v.GetType().GetTensorType().GetShape().GetDim()
				for _, d := range dims {
					require.True(t, d.GetDimParam() != "" || d.GetDimValue() > 0, "%s: %s has a dimension without a size", name, v.GetName())
					if opt.Batch > 0 {
						require.NotContains(t, d.GetDimParam(), "batch")
						require.NotContains(t, d.GetDimParam(), "positions")
					}
				}
				if opt.Body == convert.BodyInline && strings.Contains(v.GetName(), "/") || strings.Contains(v.GetName(), "/kernel") {
					continue // its first dimension may be another one
				}
				require.Equal(t, map[int]string{0: "batch", 3: ""}[opt.Batch], dims[0].GetDimParam(), v.GetName())
				require.Equal(t, int64(opt.Batch), dims[0].GetDimValue(), v.GetName())
			}
			for _, node := range g.GetNode() {
				require.NotEmpty(t, node.GetName())
				for _, out := range node.GetOutput() {
					require.True(t, described[out], "%s: %s is not described", name, out)
				}
			}
		}
	}
}

// The environment variable SBS_ONNX_CHECKER names the script that runs the checker of
// the Python package onnx: .ci/check_onnx.py.
func TestToONNX_PassesTheONNXChecker(t *testing.T) {
	script := os.Getenv("SBS_ONNX_CHECKER")
	if script == "" {
		t.Skip("SBS_ONNX_CHECKER is not set")
	}
	args := []string{script}
	all := networks()
	maps.Copy(all, converttest.Variants())
	for name, n := range all {
		for _, opt := range allOptions() {
			data, err := convert.ToONNX(n, opt)
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), fmt.Sprintf("%s-%s-%s-%d.onnx", path.Base(name), opt.Body, opt.Inject, opt.Batch))
			require.NoError(t, os.WriteFile(path, data, 0o600))
			args = append(args, path)
		}
	}
	out, err := exec.Command("/usr/bin/python3", args...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), fmt.Sprintf("%d passed, 0 failed", len(args)-1))
}

func TestSizes_ReturnsTheOutputOfEveryLayer(t *testing.T) {
	sizes, err := converttest.EveryLayer().Sizes()
	require.NoError(t, err)
	require.Equal(t, []convert.Size{
		{Channels: 6, Height: 12, Width: 12}, {Channels: 4, Height: 12, Width: 12}, {Channels: 8, Height: 12, Width: 12},
		{Channels: 5, Height: 10, Width: 10}, {Channels: 5, Height: 5, Width: 5}, {Channels: 5, Height: 5, Width: 5},
		{Channels: 5, Height: 3, Width: 3}, {Channels: 5, Height: 2, Width: 2}, {Channels: 3, Height: 2, Width: 2},
		{Channels: 6, Height: 2, Width: 2}, {Channels: 4, Height: 2, Width: 2}, {Channels: 54, Height: 2, Width: 2},
	}, sizes)
}

func TestToONNX_RefusesNetworksThatDoNotFit(t *testing.T) {
	m := converttest.New(4)
	for _, c := range []struct {
		name   string
		change func(n *convert.Network)
		want   string
	}{
		{"no layers", func(n *convert.Network) { n.Layers = nil }, "no layers"},
		{"no input", func(n *convert.Network) { n.Input.Width = 0 }, "the size of the input is 1x12x0"},
		{"crop", func(n *convert.Network) { n.Preprocessing.Crop = 6 }, "cannot crop 6 pixels"},
		{"number of means", func(n *convert.Network) { n.Preprocessing.OnOffMean = []float32{1, 2} }, "2 means, but the image has 1 channels"},
		{
			"rows", func(n *convert.Network) { n.Layers[2] = m.SbS(converttest.Window(3, 1), 4, 3, 10) },
			"layer 2 (SbS): for an input of 5x3x3: weights: shape does not fit: want float32(45, ?), got float32(36, 3)",
		},
		{"kernel", func(n *convert.Network) { n.Layers[1] = &convert.MaxPool{Window: converttest.Window(7, 1)} }, "layer 1 (MaxPool): a kernel of 7x7"},
		{"window", func(n *convert.Network) { n.Layers[1] = &convert.MaxPool{} }, "must be at least 1"},
		{
			"pool padding", func(n *convert.Network) {
				w := converttest.Window(2, 2)
				w.Pads = [2]int{2, 0}
				n.Layers[1] = &convert.AveragePool{Window: w}
			}, "at most half its kernel",
		},
		{
			"pool dilation", func(n *convert.Network) {
				w := converttest.Window(2, 2)
				w.Dilations = [2]int{2, 2}
				n.Layers[1] = &convert.AveragePool{Window: w}
			}, "must have dilations of 1",
		},
		{"epsilon_xy", func(n *convert.Network) { n.Layers[0].(*convert.SbS).EpsilonXY = m.Tensor(0, 1, 5, 6) }, "want float32(6, 6), got float32(5, 6)"},
		{"spikes", func(n *convert.Network) { n.Layers[0].(*convert.SbS).Spikes = 41 }, "layer 0 (SbS): bad attribute: number_of_spikes is 41"},
		{"no weights", func(n *convert.Network) { n.Layers[0].(*convert.SbS).Weights = nil }, "missing weights"},
		{"bias", func(n *convert.Network) {
			l := m.Conv(converttest.Window(1, 1), 5, 2)
			l.Bias = m.Tensor(0, 1, 3)
			n.Layers[2] = l
		}, "bias: shape does not fit: want float32(2), got float32(3)"},
		{
			"reconstruction of other weights", func(n *convert.Network) {
				n.Layers = append(n.Layers, &convert.Reconstruction{Weights: m.Tensor(0, 1, 7, 3)})
			}, "must directly follow an SbS layer",
		},
		{
			"training", func(n *convert.Network) { n.Training = []byte("{\"a\": \"\xff\"}") },
			"metadata ai.sbs.training: the training configuration is not valid JSON",
		},
		{
			"mean", func(n *convert.Network) { n.Layers[1] = &convert.OnOff{Mean: m.Tensor(0, 1, 1, 1, 6, 5)} },
			"mean: shape does not fit",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := converttest.Digits()
			c.change(n)
			_, err := convert.ToONNX(n, convert.Options{})
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := convert.ToONNX(converttest.Digits(), convert.Options{Batch: -1})
	require.ErrorContains(t, err, "batch size -1")
	_, err = convert.ToONNX(converttest.Digits(), convert.Options{Batch: 1e8})
	require.ErrorContains(t, err, "the preprocessed image is too large")
}

func TestFromONNX_RefusesForeignModels(t *testing.T) {
	n := converttest.Digits()
	n.Layers[0].(*convert.SbS).Local = true
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	for _, c := range []struct{ name, old, replacement, want string }{
		{"other node names", "L0/SbS", "X0/SbS", "does not belong to a layer"},
		{"layer out of order", "L1/AveragePool", "L2/AveragePool", "out of order"},
		{"kind", "L1/AveragePool", "L1/OverallPool", "unknown kind of layer"},
		{"input", "image", "imago", `no input "image"`},
		{"crop", "preprocessing/crop_starts", "preprocessing/crop_starty", `initializer "preprocessing/crop_starts" is missing`},
		{"metadata", "ai.sbs.classes\x12\x0d[", "ai.sbs.classes\x12\x0d{", "metadata ai.sbs.classes: \"{\\\"a\\\",\\\"b\\\",\\\"c\\\"]\" is not a JSON list of names"},
		{"training", `{"batch_size"`, `["batch_size"`, "metadata ai.sbs.training: \"[\\\"batch_size\\\":24,\\\"learning_parameters\\\":{\"... is not a JSON object"},
		{"local", "ai.sbs.local\x12\x03[0]", "ai.sbs.local\x12\x03[1]", "metadata ai.sbs.local: layer 1 is not an SbS layer"},
		{"local beyond", "ai.sbs.local\x12\x03[0]", "ai.sbs.local\x12\x03[9]", "layer 9 is not an SbS layer"},
		{"local list", "ai.sbs.local\x12\x03[0]", "ai.sbs.local\x12\x03[a]", "metadata ai.sbs.local: \"[a]\" is not a list of layer numbers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, string(data), c.old)
			_, err := convert.FromONNX(bytes.ReplaceAll(data, []byte(c.old), []byte(c.replacement)), convert.IgnoreChecksum())
			require.ErrorIs(t, err, convert.ErrNotConverted)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestToONNX_NamesTheOutputByTheLastLayer(t *testing.T) {
	name := func(n *convert.Network) string {
		data, err := convert.ToONNX(n, convert.Options{})
		require.NoError(t, err)
		m, err := onnx.Unmarshal(t.Context(), data)
		require.NoError(t, err)
		require.Len(t, m.GetGraph().GetOutput(), 1)
		return m.GetGraph().GetOutput()[0].GetName()
	}
	n := converttest.Digits()
	n.Layers = append(n.Layers, &convert.ReLU{})
	require.Equal(t, convert.Logits, name(n))
	n.Layers = n.Layers[:3]
	require.Equal(t, convert.Probabilities, name(n))
	n.Layers = n.Layers[:2]
	require.Equal(t, "L1", name(n))
}

// FuzzFromONNX checks that no bytes make FromONNX panic, and that ToONNX can write every
// network that FromONNX accepts.
func FuzzFromONNX(f *testing.F) {
	for _, n := range networks() {
		for _, body := range []convert.Body{convert.BodyNone, convert.BodyInline} {
			data, err := convert.ToONNX(n, convert.Options{Body: body})
			require.NoError(f, err)
			if body == convert.BodyNone || len(data) < 16<<10 {
				f.Add(data)
			}
		}
	}
	f.Add(writeStages(f, converttest.Staged(), convert.Options{Body: convert.BodyNone}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := convert.StagesFromONNX(data, convert.IgnoreChecksum()); err == nil {
			if _, err := convert.StagesToONNX(s, convert.Options{}); err != nil {
				t.Fatalf("cannot write stages that were read: %v", err)
			}
		}
		n, err := convert.FromONNX(data, convert.IgnoreChecksum())
		if err != nil {
			return
		}
		for _, l := range n.Layers {
			if s, ok := l.(*convert.SbS); ok && s.Weights.DType() != ops.Float32 {
				t.Fatalf("weights of type %v", s.Weights.DType())
			}
		}
		if _, err := convert.ToONNX(n, convert.Options{}); err != nil {
			t.Fatalf("cannot write a network that was read: %v", err)
		}
	})
}
