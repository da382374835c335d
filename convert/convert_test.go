package convert_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/convert/converttest"
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

func TestRoundTrip(t *testing.T) {
	for name, n := range networks() {
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
			require.True(t, bytes.Equal(data, again), "there and back must give the same bytes")
		})
	}
}

// TestEveryValueHasAType checks that every tensor is described, the batch by a
// symbol or by its number.
func TestEveryValueHasAType(t *testing.T) {
	for batch, want := range map[int]string{0: "batch", 5: ""} {
		for name, n := range networks() {
			data, err := convert.ToONNX(n, convert.Options{Batch: batch})
			require.NoError(t, err)
			m, err := onnx.Unmarshal(data)
			require.NoError(t, err)
			g := m.GetGraph()
			described := map[string]bool{}
			for _, v := range append(append(g.GetValueInfo(), g.GetInput()...), g.GetOutput()...) {
				require.False(t, described[v.GetName()], "%s: %s is described twice", name, v.GetName())
				described[v.GetName()] = true
				first := v.GetType().GetTensorType().GetShape().GetDim()[0]
				if first.GetDimParam() != want || first.GetDimValue() != int64(batch) {
					require.Contains(t, v.GetName(), "/kernel", "%s: only a constant has another first dimension", name)
				}
			}
			for _, node := range g.GetNode() {
				require.NotEmpty(t, node.GetName())
				require.True(t, described[node.GetOutput()[0]], "%s: %s is not described", name, node.GetOutput()[0])
			}
		}
	}
}

// TestChecker has the checker of the onnx package look at every kind of file.
// The environment says where its script is: .ci/check_onnx.py.
func TestChecker(t *testing.T) {
	script := os.Getenv("SBS_ONNX_CHECKER")
	if script == "" {
		t.Skip("SBS_ONNX_CHECKER is not set: no checker to run")
	}
	args := []string{script}
	for name, n := range networks() {
		for _, batch := range []int{0, 3} {
			data, err := convert.ToONNX(n, convert.Options{Batch: batch})
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), fmt.Sprintf("%s-%d.onnx", path.Base(name), batch))
			require.NoError(t, os.WriteFile(path, data, 0o600))
			args = append(args, path)
		}
	}
	out, err := exec.Command("/usr/bin/python3", args...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), fmt.Sprintf("%d passed, 0 failed", len(args)-1))
}

func TestSizes(t *testing.T) {
	sizes, err := converttest.EveryLayer().Sizes()
	require.NoError(t, err)
	require.Equal(t, []convert.Size{
		{Channels: 6, Height: 12, Width: 12}, {Channels: 4, Height: 12, Width: 12}, {Channels: 8, Height: 12, Width: 12},
		{Channels: 5, Height: 10, Width: 10}, {Channels: 5, Height: 5, Width: 5}, {Channels: 5, Height: 5, Width: 5},
		{Channels: 5, Height: 3, Width: 3}, {Channels: 5, Height: 2, Width: 2}, {Channels: 3, Height: 2, Width: 2},
		{Channels: 6, Height: 2, Width: 2}, {Channels: 4, Height: 2, Width: 2}, {Channels: 54, Height: 2, Width: 2},
	}, sizes)
}

func TestToONNXErrors(t *testing.T) {
	m := converttest.New(4)
	for _, c := range []struct {
		name   string
		change func(n *convert.Network)
		want   string
	}{
		{"no layers", func(n *convert.Network) { n.Layers = nil }, "no layers"},
		{"no input", func(n *convert.Network) { n.Input.Width = 0 }, "input size 1x12x0"},
		{"crop", func(n *convert.Network) { n.Preprocessing.Crop = 6 }, "cannot crop 6 pixels"},
		{"means", func(n *convert.Network) { n.Preprocessing.OnOffMean = []float32{1, 2} }, "2 means for an image of 1 channels"},
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
			}, "more than half its kernel",
		},
		{
			"pool dilation", func(n *convert.Network) {
				w := converttest.Window(2, 2)
				w.Dilations = [2]int{2, 2}
				n.Layers[1] = &convert.AveragePool{Window: w}
			}, "cannot have dilations",
		},
		{"epsilon_xy", func(n *convert.Network) { n.Layers[0].(*convert.SbS).EpsilonXY = m.Tensor(0, 1, 5, 6) }, "want float32(6, 6), got float32(5, 6)"},
		{"spikes", func(n *convert.Network) { n.Layers[0].(*convert.SbS).Spikes = 41 }, "layer 0 (SbS): bad attribute: number_of_spikes is 41"},
		{"no weights", func(n *convert.Network) { n.Layers[0].(*convert.SbS).Weights = nil }, "there are no weights"},
		{"bias", func(n *convert.Network) {
			l := m.Conv(converttest.Window(1, 1), 5, 2)
			l.Bias = m.Tensor(0, 1, 3)
			n.Layers[2] = l
		}, "bias: shape does not fit: want float32(2), got float32(3)"},
		{
			"reconstruction of other weights", func(n *convert.Network) {
				n.Layers = append(n.Layers, &convert.Reconstruction{Weights: m.Tensor(0, 1, 7, 3)})
			}, "must follow an SbS layer",
		},
		{
			"training", func(n *convert.Network) { n.Training = []byte("{\"a\": \"\xff\"}") },
			"metadata ai.sbs.training: it is not valid JSON",
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

func TestFromONNXErrors(t *testing.T) {
	n := converttest.Digits()
	n.Layers[0].(*convert.SbS).Local = true
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	for _, c := range []struct{ name, old, replacement, want string }{
		{"other node names", "L0/SbS", "X0/SbS", "belongs to no layer"},
		{"layer out of order", "L1/AveragePool", "L2/AveragePool", "out of order"},
		{"kind", "L1/AveragePool", "L1/OverallPool", "unknown kind of layer"},
		{"input", "image", "imago", `no input "image"`},
		{"crop", "preprocessing/crop_starts", "preprocessing/crop_starty", `no initializer "preprocessing/crop_starts"`},
		{"metadata", "ai.sbs.classes\x12\x0d[", "ai.sbs.classes\x12\x0d{", "metadata ai.sbs.classes"},
		{"training", `{"batch_size"`, `["batch_size"`, "metadata ai.sbs.training: it is not valid JSON"},
		{"local", "ai.sbs.local\x12\x03[0]", "ai.sbs.local\x12\x03[1]", "metadata ai.sbs.local: layer 1 is no SbS layer"},
		{"local beyond", "ai.sbs.local\x12\x03[0]", "ai.sbs.local\x12\x03[9]", "layer 9 is no SbS layer"},
		{"local list", "ai.sbs.local\x12\x03[0]", "ai.sbs.local\x12\x03[a]", "metadata ai.sbs.local"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, string(data), c.old)
			_, err := convert.FromONNX(bytes.ReplaceAll(data, []byte(c.old), []byte(c.replacement)))
			require.ErrorIs(t, err, convert.ErrNotOurs)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestOutputNames(t *testing.T) {
	name := func(n *convert.Network) string {
		data, err := convert.ToONNX(n, convert.Options{})
		require.NoError(t, err)
		m, err := onnx.Unmarshal(data)
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

// FuzzFromONNX checks that no bytes make FromONNX panic, and that what it
// accepts can be written again.
func FuzzFromONNX(f *testing.F) {
	for _, n := range networks() {
		data, err := convert.ToONNX(n, convert.Options{})
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := convert.FromONNX(data)
		if err != nil {
			return
		}
		for _, l := range n.Layers {
			if s, ok := l.(*convert.SbS); ok && s.Weights.DType() != ops.Float32 {
				t.Fatal("weights of another type")
			}
		}
		if _, err := convert.ToONNX(n, convert.Options{}); err != nil {
			t.Fatalf("read, but not writable: %v", err)
		}
	})
}
