package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

const weights = "../../models/mnist-prototypes/Weights"

// command runs the command and returns what it prints.
func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	err = run(t.Context(), args, &out, &errOut)
	return out.String(), errOut.String(), err
}

func TestConvert(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	out, errOut, err := command(t, weights, path)
	require.NoError(t, err)
	require.Empty(t, errOut)
	for _, want := range []string{
		"mnist-prototypes: PyTorch-SbS dialect 2, step 0 (highest complete)",
		"weights: " + weights,
		"image 1x28x28, pixels 0..1, cropped to 24x24",
		"0      SbS       24x24   1x24x24  80x1x1  46080       400     400            Weight_L0_S0.npy",
		"46880 parameters, 800 spike updates per image, classes: 0, 1, 2",
		"wrote " + path,
	} {
		require.Contains(t, out, want)
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	n, err := convert.FromONNX(data)
	require.NoError(t, err)
	require.Len(t, n.Layers, 2)

	out, _, err = command(t, "--info", path)
	require.NoError(t, err)
	require.Contains(t, out, "mnist-prototypes, 199.5 kB, from PyTorch-SbS dialect 2, step 0")
	require.Contains(t, out, "from Weights/Weight_L0_S0.npy  sha256 0460e279")
}

func TestConvertFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	out, _, err := command(t, weights, path, "--spikes", "7", "--no-preprocessing", "--batch", "3", "--input", "1x28x28", "--step", "0")
	require.NoError(t, err)
	require.Contains(t, out, "step 0 (given)")
	require.Contains(t, out, "14 spike updates per image")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	n, err := convert.FromONNX(data)
	require.NoError(t, err)
	require.Equal(t, convert.Size{Channels: 1, Height: 24, Width: 24}, n.Input)
	require.Equal(t, convert.Preprocessing{}, n.Preprocessing)
	require.Equal(t, 7, n.Layers[1].(*convert.SbS).Spikes)
}

func TestDynamics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	out, _, err := command(t, weights, path, "--spikes", "9", "--sampler", "low-discrepancy", "--epsilon-schedule", "power:-0.2", "--epsilon-0", "0.5")
	require.NoError(t, err)
	require.Contains(t, out, "9 low_discrepancy")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	n, err := convert.FromONNX(data)
	require.NoError(t, err)
	l := n.Layers[0].(*convert.SbS)
	require.Equal(t, sbs.LowDiscrepancy, l.Sampler)
	require.InDelta(t, 0.5, l.Epsilon0, 1e-9)
	require.Len(t, l.EpsilonT, 9)
	require.InDelta(t, math.Pow(9, -0.2), l.EpsilonT[8], 1e-6)
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, "sbs-convert WEIGHTS MODEL.onnx (got 0 arguments; see --help)"},
		{"no folder", []string{path}, "the weights folder is missing"},
		{"only a folder", []string{weights}, "got 1 arguments"},
		{"the wrong way round", []string{path, weights}, "no such file"},
		{"info of nothing", []string{"--info"}, "--info takes one model"},
		{"info of no file", []string{"--info", path}, "no such file"},
		{"empty folder", []string{dir, path}, "--config"},
		{"missing folder", []string{filepath.Join(dir, "Weights"), path}, "no such file"},
		{"input", []string{weights, path, "--input", "28x28"}, "want CHANNELSxHEIGHTxWIDTH, such as 1x28x28"},
		{"input 0", []string{weights, path, "--input", "0x28x28"}, "want CHANNELSxHEIGHTxWIDTH"},
		{"step", []string{weights, path, "--step", "5"}, "Weight_L0_S5.npy"},
		{"negative step", []string{weights, path, "--step", "-7"}, "--step -7: want at least 0"},
		{"sampler", []string{weights, path, "--sampler", "sobol"}, `sampler "sobol": want iid or low_discrepancy`},
		{"schedule", []string{weights, path, "--epsilon-schedule", "linear"}, `epsilon schedule "linear": want inverse-sqrt, constant or power:P`},
		{"power", []string{weights, path, "--epsilon-schedule", "power:2"}, "with P from -10 to 0"},
		{"epsilon_0", []string{weights, path, "--epsilon-0", "-1"}, "--epsilon-0 -1: want a number above 0"},
		{"batch", []string{weights, path, "--batch", "-1"}, "batch size -1"},
		{"seed", []string{weights, path, "--seed", "-1"}, "seed -1"},
		{"inject", []string{weights, path, "--inject", "fuel"}, `--inject "fuel": want spikes or uniforms`},
		{"two forms", []string{weights, path, "--decompose", "--no-function"}, "one at a time"},
		{"info and dot", []string{"--info", "--dot", path}, "one at a time"},
		{"dot of nothing", []string{"--dot"}, "--dot takes one model"},
		{"dot of no file", []string{"--dot", path}, "no such file"},
		{"a flag beside info", []string{"--info", path, "--spikes", "3"}, "--spikes: a flag of the conversion"},
		{"a flag beside dot", []string{"--dot", path, "--decompose"}, "--decompose: a flag of the conversion"},
		{"unknown flag", []string{weights, path, "--frobnicate"}, "unknown flag"},
		{"unwritable", []string{weights, filepath.Join(dir, "missing", "model.onnx")}, "the model could not be written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			require.NoFileExists(t, path)
		})
	}
}

func TestInfo(t *testing.T) {
	write := func(data []byte) string {
		path := filepath.Join(t.TempDir(), "model.onnx")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	t.Run("every layer", func(t *testing.T) {
		data, err := convert.ToONNX(converttest.EveryLayer(), convert.Options{})
		require.NoError(t, err)
		out, _, err := command(t, "--info", write(data))
		require.NoError(t, err)
		for _, want := range []string{"split on/off at the mean [0.4 0.5 0.6]", "Reconstruction", "2x2 /2x2", "classes: 54, without names"} {
			require.Contains(t, out, want)
		}
	})
	t.Run("of others", func(t *testing.T) {
		data, err := onnx.Marshal(&onnxpb.ModelProto{
			IrVersion: 8, ProducerName: "somebody", OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 13}},
			Graph: &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{{OpType: "Conv"}, {OpType: "Relu"}, {OpType: "Relu"}}},
		})
		require.NoError(t, err)
		out, _, err := command(t, "--info", write(data))
		require.NoError(t, err)
		for _, want := range []string{"that sbs-convert did not write", "somebody", "ai.onnx version 13", "3 nodes", "Relu 2"} {
			require.Contains(t, out, want)
		}
	})
	t.Run("of nothing", func(t *testing.T) {
		_, _, err := command(t, "--info", write([]byte("nothing")))
		require.ErrorContains(t, err, "not a valid ONNX model")
	})
}

// TestForms checks that every form is written, read back and told apart.
func TestForms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	var want *convert.Network
	for _, c := range []struct {
		flags []string
		info  string
	}{
		{nil, "has a body of 70 standard operators"},
		{[]string{"--seed", "5"}, "has a body of 70 standard operators"},
		{[]string{"--decompose"}, "in standard operators alone"},
		{[]string{"--no-function"}, "has no body"},
		{[]string{"--inject", "spikes"}, "given: L1/SbS/spikes int64(batch, 400, 1, 1)"},
		{[]string{"--inject", "uniforms", "--decompose"}, "given: L0/SbS/uniforms float32(batch, 400, 1, 1)"},
	} {
		_, _, err := command(t, append([]string{weights, path}, c.flags...)...)
		require.NoError(t, err)
		out, _, err := command(t, "--info", path)
		require.NoError(t, err)
		require.Contains(t, out, c.info)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		n, err := convert.FromONNX(data)
		require.NoError(t, err)
		if want == nil {
			want = n
		}
		require.Equal(t, want, n)
	}
}

func TestDot(t *testing.T) {
	write := func(g *onnxpb.GraphProto) string {
		data, err := onnx.Marshal(&onnxpb.ModelProto{IrVersion: 8, Graph: g})
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "model.onnx")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	_, _, err := command(t, weights, path)
	require.NoError(t, err)
	out, _, err := command(t, "--dot", path)
	require.NoError(t, err)
	for _, want := range []string{
		`digraph "mnist-prototypes" {`, `in0 [shape=ellipse label="image"]`,
		`n2 [label="SbS\nL0/SbS\nkernel_shape [24 24]`, `W 576 × 80"`, `in0 -> n0 [label="batch × 1 × 28 × 28"]`, `label="probabilities"`,
	} {
		require.Contains(t, out, want)
	}
	out, _, err = command(t, "--dot", write(&onnxpb.GraphProto{
		Name:   "a \"b\" \\ c\nd",
		Node:   []*onnxpb.NodeProto{{OpType: `X"]; evil [`, Output: []string{"y"}}, {OpType: "Relu", Input: []string{"", "y", "w", "nowhere"}}},
		Input:  []*onnxpb.ValueInfoProto{{Name: "w"}},
		Output: []*onnxpb.ValueInfoProto{{Name: "y"}}, Initializer: []*onnxpb.TensorProto{{Name: "w"}},
	}))
	require.NoError(t, err)
	require.Equal(t, `digraph "a \"b\" \\ c d" {
  node [shape=box style="rounded,filled" fillcolor=white fontname=Helvetica fontsize=11]
  edge [fontname=Helvetica fontsize=9]
  n0 [label="X\"]; evil ["]
  n1 [label="Relu\nw scalar"]
  n0 -> n1
  out0 [shape=ellipse label="y"]
  n0 -> out0
}
`, out)
	_, _, err = command(t, "--dot", filepath.Join(weights, "Weight_L0_S0.npy"))
	require.ErrorContains(t, err, "not a valid ONNX model")
}

func TestHelp(t *testing.T) {
	out, _, err := command(t, "--help")
	require.NoError(t, err)
	require.Contains(t, out, "sbs-convert ./Weights model.onnx")
	require.Contains(t, out, "--eps-xy")
}

func TestBack(t *testing.T) {
	dir := t.TempDir()
	model, again := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "again", "Weights")
	_, _, err := command(t, weights, model)
	require.NoError(t, err)
	out, errOut, err := command(t, model, again)
	require.NoError(t, err)
	require.Empty(t, errOut)
	require.Contains(t, out, "mnist-prototypes: PyTorch-SbS dialect 2, step 0\n")
	require.Contains(t, out, "wrote "+filepath.Join(again, "Weight_L0_S0.npy")+" (as it was before the conversion, bit by bit)\n")
	require.Contains(t, out, "wrote "+filepath.Join(dir, "again", "network.json")+"\n")
	for _, name := range []string{"Weight_L0_S0.npy", "Weight_L1_S0.npy"} {
		want, err := os.ReadFile(filepath.Join(weights, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(again, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), name)
	}
	second := filepath.Join(dir, "second.onnx")
	_, _, err = command(t, again, second)
	require.NoError(t, err)

	out, _, err = command(t, model, again)
	require.NoError(t, err)
	require.Contains(t, out, "was there already: "+filepath.Join(dir, "again", "def.json"))
	_, _, err = command(t, model, again, "--step", "7", "--arrays-only")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(again, "Weight_L1_S7.npy"))

	require.NoError(t, os.WriteFile(filepath.Join(again, "Weight_L0_S0.npy"), nil, 0o600))
	_, _, err = command(t, model, again)
	require.ErrorContains(t, err, "Weight_L0_S0.npy: already exists with different content")
	require.ErrorContains(t, err, "--force")
	_, _, err = command(t, model, again, "--force")
	require.NoError(t, err)

	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{model, again, "--mean", "0.5", "--batch", "2"}, "--mean, --batch: a flag of the way to ONNX"},
		{[]string{weights, second, "--force"}, "of the way from ONNX to PyTorch-SbS"},
		{[]string{model, second}, "are both models"},
		{[]string{filepath.Join(weights, "Weight_L0_S0.npy"), again}, "not a valid ONNX model"},
		{[]string{model, again, "--step", "-1"}, "--step -1: want at least 0"},
	} {
		_, _, err := command(t, c.args...)
		require.ErrorContains(t, err, c.want)
	}
	out, _, err = command(t, "--info", model)
	require.NoError(t, err)
	require.Contains(t, out, "\ntraining: MNIST, 0 of 2 layers trainable, 1 batches of 500 per update, 0.5 MSE + 1 KL, Adam with learning rate 0.001")
}

// TestOverItself names a file of the network for the model.
func TestOverItself(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.CopyFS(folder, os.DirFS(filepath.Dir(weights))))
	for _, name := range []string{"network.json", "Weights/Weight_L0_S0.npy"} {
		path := filepath.Join(folder, name)
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		_, _, err = command(t, filepath.Join(folder, "Weights"), path)
		require.ErrorContains(t, err, name+" is a file of the network: give another name to the model")
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
	}
}

// TestNoSpikes has flags for spikes meet a network without any.
func TestNoSpikes(t *testing.T) {
	m := converttest.New(1)
	n := &convert.Network{
		Name: "plain", Dialect: 2, Input: convert.Size{Channels: 1, Height: 28, Width: 28},
		Preprocessing: convert.Preprocessing{Crop: 2, Offset: 1e-20},
		Layers:        []convert.Layer{m.Conv(converttest.Window(24, 1), 1, 10)},
	}
	folder := filepath.Join(t.TempDir(), "Weights")
	_, err := pytorch.Save(folder, n, pytorch.SaveOptions{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	for _, flag := range []string{"--spikes=3", "--inject=spikes", "--sampler=iid", "--epsilon-0=0.5"} {
		_, _, err := command(t, folder, path, "--input", "1x28x28", flag)
		require.ErrorContains(t, err, "have no effect: the network has no SbS layer")
	}
	_, _, err = command(t, folder, path, "--input", "1x28x28")
	require.NoError(t, err)
}

// TestExternalData describes a model, and takes it back, whose weights are in a
// second file.
func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	_, _, err := command(t, weights, path)
	require.NoError(t, err)
	m, _, err := onnx.ReadFile(path)
	require.NoError(t, err)
	for _, i := range m.GetGraph().GetInitializer() {
		if i.GetName() == "L0/SbS/W" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "w.bin"), i.GetRawData(), 0o600))
			i.RawData, i.DataLocation = nil, onnxpb.TensorProto_EXTERNAL
			i.ExternalData = []*onnxpb.StringStringEntryProto{{Key: "location", Value: "w.bin"}}
		}
	}
	require.Len(t, onnx.External(m), 1)
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	out, _, err := command(t, "--info", path)
	require.NoError(t, err)
	require.Contains(t, out, "46880 parameters")
	out, _, err = command(t, path, filepath.Join(dir, "Weights"))
	require.NoError(t, err)
	require.Contains(t, out, "Weight_L0_S0.npy (as it was before the conversion, bit by bit)")
}
