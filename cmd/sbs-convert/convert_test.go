package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
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

func TestConvert_PrintsTheNetworkAndWritesTheModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	out, errOut, err := command(t, weights, path)
	require.NoError(t, err)
	require.Empty(t, errOut)
	for _, want := range []string{
		"mnist-prototypes: PyTorch-SbS dialect 2, step 0 (highest with all files)",
		"weights: " + weights,
		"image 1x28x28, pixels 0..1, cropped to 24x24",
		"0      SbS       24x24   1x24x24  80x1x1  46080       400     1 inverse-sqrt  400            Weight_L0_S0.npy",
		"46880 parameters, 800 spike updates per image, classes: 0, 1, 2",
		"wrote " + filepath.ToSlash(path),
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
	require.Contains(t, out, "mnist-prototypes, 199.9 kB, from PyTorch-SbS dialect 2, step 0")
	require.Contains(t, out, "source: Weights/Weight_L0_S0.npy  sha256 0460e279")
	require.Contains(t, out, "borders of the training images: brightness 0.00 (0.00 to 0.00; 0 is black)")
}

func TestConvert_FollowsTheFlagsForSizesAndSteps(t *testing.T) {
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

func TestConvert_WritesTheDynamicsOfTheFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	out, _, err := command(t, weights, path, "--spikes", "9", "--sampler", "low-discrepancy", "--epsilon-schedule", "power:-0.2", "--epsilon-0", "0.5")
	require.NoError(t, err)
	require.Contains(t, out, "9 low-discrepancy")
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

func TestConvert_TakesOneValuePerSbSLayer(t *testing.T) {
	model, path := filepath.Join(t.TempDir(), "model.onnx"), filepath.Join(t.TempDir(), "layers.onnx")
	n := converttest.Digits()
	n.Training = nil
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(model, data, 0o600))
	folder := filepath.Join(t.TempDir(), "Weights")
	_, _, err = command(t, model, folder)
	require.NoError(t, err)
	_, errOut, err := command(t, folder, path, "--input", "1x12x12", "--spikes", "3,300", "--sampler", "low-discrepancy,iid", "--epsilon-schedule", "constant,power:-0.2", "--epsilon-0", "8,0.5")
	require.NoError(t, err)
	require.Empty(t, errOut)
	data, err = os.ReadFile(path)
	require.NoError(t, err)
	n, err = convert.FromONNX(data)
	require.NoError(t, err)
	for i, want := range map[int]sbs.Dynamics{
		0: {Spikes: 3, Sampler: sbs.LowDiscrepancy, Epsilon0: 8, Schedule: &sbs.Schedule{}},
		2: {Spikes: 300, Sampler: sbs.IID, Epsilon0: 0.5, Schedule: &sbs.Schedule{Power: -0.2}},
	} {
		l := n.Layers[i].(*convert.SbS)
		require.Equal(t, want.Schedule.EpsilonT(want.Spikes), l.EpsilonT)
		require.Equal(t, want, sbs.Dynamics{Spikes: l.Spikes, Sampler: cmp.Or(l.Sampler, sbs.IID), Epsilon0: l.Epsilon0, Schedule: want.Schedule})
	}

	_, errOut, err = command(t, folder, path, "--input", "1x12x12", "--spikes", "4,40", "--force")
	require.NoError(t, err)
	require.Contains(t, errOut, "warning: L0 draws 4 spikes instead of 40: epsilon is too small for so few spikes, which lowers the accuracy; pass --sampler low-discrepancy and --epsilon-schedule auto")
	_, errOut, err = command(t, folder, path, "--input", "1x12x12", "--spikes", "4,5,6", "--force")
	require.Empty(t, errOut)
	require.ErrorContains(t, err, "there are values for 3 SbS layers, but the network has 2 (L0, L2)")
}

func TestConvert_RefusesInvalidCommandLines(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	npyFile := filepath.Join(weights, "Weight_L0_S0.npy")
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no arguments", nil, "expected the weights folder and the model to write: sbs-convert WEIGHTS MODEL.onnx (number of arguments: 0; see --help)"},
		{"model without folder", []string{path}, "the weights folder is missing: sbs-convert WEIGHTS " + path},
		{"folder without model", []string{weights}, "number of arguments: 1"},
		{"three arguments", []string{weights, path, path}, "number of arguments: 3"},
		{"two folders", []string{weights, dir}, "are both folders; one argument must be the model file"},
		{"two models", []string{path, "other.onnx"}, "are both files; one argument must be the weights folder"},
		{"two files", []string{npyFile, path}, "is an .npy file (NumPy array); want the weights folder"},
		{"info without model", []string{"--info"}, "--info takes one model: sbs-convert --info MODEL.onnx (number of arguments: 0)"},
		{"dot without model", []string{"--dot"}, "--dot takes one model: sbs-convert --dot MODEL.onnx (number of arguments: 0)"},
		{"info and dot", []string{"--info", "--dot", path}, "--info, --dot and --check cannot be combined"},
		{"info with a flag for converting", []string{"--info", path, "--spikes", "3"}, "--spikes applies only when converting"},
		{"dot with flags for converting", []string{"--dot", path, "--decompose", "--force"}, "--decompose, --force apply only when converting"},
		{"decompose and no-function", []string{weights, path, "--decompose", "--no-function"}, "--decompose and --no-function cannot be combined"},
		{"flag for PyTorch-SbS", []string{weights, path, "--arrays-only"}, "--arrays-only applies only when converting from ONNX to PyTorch-SbS"},
		{"flag for ONNX", []string{path, weights, "--batch", "2"}, "--batch applies only when converting from PyTorch-SbS to ONNX"},
		{"flags for ONNX", []string{path, weights, "--mean", "0.5", "--batch", "2"}, "--mean, --batch apply only when converting from PyTorch-SbS to ONNX"},
		{"input without channels", []string{weights, path, "--input", "28x28"}, "--input 28x28: want CHANNELSxHEIGHTxWIDTH, such as 1x28x28"},
		{"input of size 0", []string{weights, path, "--input", "0x28x28"}, "want CHANNELSxHEIGHTxWIDTH"},
		{"negative step", []string{weights, path, "--step", "-7"}, "--step -7: want a whole number of at least 0"},
		{"no spikes", []string{weights, path, "--spikes", "0"}, "--spikes 0: want whole numbers from 1 to 16777216"},
		{"unknown sampler", []string{weights, path, "--sampler", "sobol"}, "--sampler sobol: want iid or low-discrepancy"},
		{"unknown schedule", []string{weights, path, "--epsilon-schedule", "linear"}, "--epsilon-schedule linear: want auto, inverse-sqrt, constant, or power:P"},
		{"power above 0", []string{weights, path, "--epsilon-schedule", "power:2"}, "with P from -10 to 0"},
		{"negative epsilon_0", []string{weights, path, "--epsilon-0", "-1"}, "--epsilon-0 -1: want numbers above 0, at most 10000"},
		{"negative batch size", []string{weights, path, "--batch", "-1"}, "--batch -1: want a whole number of at least 0"},
		{"negative seed", []string{weights, path, "--seed", "-1"}, "--seed -1: want a whole number from 0 to 2147483647"},
		{"seed of more than 31 bits", []string{weights, path, "--seed", "2147483648"}, "--seed 2147483648: want a whole number from 0"},
		{"mean that is not a number", []string{weights, path, "--mean", "0.5,x"}, `--mean 0.5,x: want numbers, separated by commas; "x" is not a number`},
		{"unknown injected input", []string{weights, path, "--inject", "fuel"}, "--inject fuel: want spikes or uniforms"},
		{"unknown flag", []string{weights, path, "--frobnicate"}, "unknown flag --frobnicate (see --help)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			var usage *cli.UsageError
			require.ErrorAs(t, err, &usage)
			require.NoFileExists(t, path)
		})
	}
}

func TestConvert_ReportsWhatItCannotReadOrWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	npyFile := filepath.Join(weights, "Weight_L0_S0.npy")
	for _, c := range []struct {
		name string
		args []string
		want string
		is   error
	}{
		{"missing model", []string{path, weights}, path, fs.ErrNotExist},
		{"missing model to describe", []string{"--info", path}, path, fs.ErrNotExist},
		{"missing model to draw", []string{"--dot", path}, path, fs.ErrNotExist},
		{"missing weights folder", []string{filepath.Join(dir, "Weights"), path}, "Weights", fs.ErrNotExist},
		{"weights folder without files", []string{dir, path}, "--config", nil},
		{"missing step", []string{weights, path, "--step", "5"}, "Weight_L0_S5.npy", nil},
		{"missing folder of the model", []string{weights, filepath.Join(dir, "missing", "model.onnx")}, "the model could not be written", fs.ErrNotExist},
		{"model that is not ONNX", []string{npyFile, filepath.Join(dir, "Weights")}, "not a valid ONNX model", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			var usage *cli.UsageError
			require.False(t, errors.As(err, &usage))
			require.NoFileExists(t, path)
		})
	}
}

func TestConvert_StopsBeforeWritingWhenInterrupted(t *testing.T) {
	dir := t.TempDir()
	path, folder := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "Weights")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, []string{weights, path}, io.Discard, io.Discard), cli.ErrInterrupted)
	require.NoFileExists(t, path)

	_, _, err := command(t, weights, path)
	require.NoError(t, err)
	require.ErrorIs(t, run(ctx, []string{path, folder}, io.Discard, io.Discard), cli.ErrInterrupted)
	require.NoDirExists(t, folder)
}

func TestInfo_DescribesModels(t *testing.T) {
	write := func(data []byte) string {
		path := filepath.Join(t.TempDir(), "model.onnx")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	t.Run("every kind of layer", func(t *testing.T) {
		data, err := convert.ToONNX(converttest.EveryLayer(), convert.Options{})
		require.NoError(t, err)
		out, _, err := command(t, "--info", write(data))
		require.NoError(t, err)
		for _, want := range []string{"split on/off at the mean [0.4 0.5 0.6]", "Reconstruction", "2x2 /2x2", "output: a reconstruction, 54x2x2"} {
			require.Contains(t, out, want)
		}
	})
	t.Run("model of another program", func(t *testing.T) {
		data, err := onnx.Marshal(&onnxpb.ModelProto{
			IrVersion: 8, ProducerName: "somebody", OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 13}},
			Graph: &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{{OpType: "Conv"}, {OpType: "Relu"}, {OpType: "Relu"}}},
		})
		require.NoError(t, err)
		out, _, err := command(t, "--info", write(data))
		require.NoError(t, err)
		for _, want := range []string{"that sbs-convert did not write", "somebody", "ai.onnx version 13", "3 nodes:", "Relu 2"} {
			require.Contains(t, out, want)
		}
	})
	t.Run("not a model", func(t *testing.T) {
		_, _, err := command(t, "--info", write([]byte("nothing")))
		require.ErrorContains(t, err, "not a valid ONNX model")
	})
}

func TestConvert_WritesEveryFormOfTheSameNetwork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	var want *convert.Network
	for _, c := range []struct {
		flags []string
		info  string
	}{
		{nil, "operators: SbS with a fallback of 75 standard operators"},
		{[]string{"--seed", "5"}, "operators: SbS with a fallback of 75 standard operators"},
		{[]string{"--decompose"}, "operators: standard operators only"},
		{[]string{"--no-function"}, "operators: SbS without a fallback"},
		{[]string{"--inject", "spikes"}, "input instead of random numbers: L1/SbS/spikes int64(batch, 400, 1, 1)"},
		{[]string{"--inject", "uniforms", "--decompose"}, "input instead of random numbers: L0/SbS/uniforms float32(batch, 400, 1, 1)"},
	} {
		_, _, err := command(t, append([]string{weights, path, "--force"}, c.flags...)...)
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

func TestDot_PrintsTheGraph(t *testing.T) {
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

func TestHelp_ListsFlagsByPurpose(t *testing.T) {
	out, _, err := command(t, "--help")
	require.NoError(t, err)
	require.Contains(t, out, "  sbs-convert [flags] WEIGHTS MODEL.onnx\n  sbs-convert [flags] MODEL.onnx WEIGHTS\n")
	require.Contains(t, out, "sbs-convert ./Weights model.onnx")
	flag := regexp.MustCompile(`(?m)^ +(?:-., )?--([a-z0-9-]+)`)
	flags := map[string][]string{}
	for section := range strings.SplitSeq(out, "\n\n") {
		for _, match := range flag.FindAllStringSubmatch(section, -1) {
			heading, _, _ := strings.Cut(section, ":\n")
			flags[heading] = append(flags[heading], match[1])
		}
	}
	require.Equal(t, map[string][]string{
		"Flags": {"step", "ignore-checksum", "force", "help", "version"},
		"From PyTorch-SbS to ONNX": {"config", "eps-xy", "order", "generation", "allow-untrained", "mean", "input", "spikes", "sampler", "epsilon-schedule", "epsilon-0",
			"no-preprocessing", "batch", "decompose", "no-function"},
		"From PyTorch-SbS to ONNX, to verify a runtime": {"inject", "seed"},
		"From ONNX to PyTorch-SbS":                      {"arrays-only"},
		"To describe a model":                           {"info", "dot", "check"},
		"From ONNX to C":                                {"weights", "prefix"},
		"To change a model":                             {"normalize-images"},
		"For a model with stages":                       {"stage"},
	}, flags)
	require.NotContains(t, out, "(default -1)")
	require.NotContains(t, out, "(default [])")
	require.NotContains(t, out, "Slice")
	for line := range strings.Lines(out) {
		require.LessOrEqual(t, len(line), 101, line)
	}
	for line := range strings.Lines(long) {
		require.LessOrEqual(t, len(line), 81, line)
	}
}

func TestConvertBack_RestoresTheFolder(t *testing.T) {
	dir := t.TempDir()
	model, again := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "again", "Weights")
	_, _, err := command(t, weights, model)
	require.NoError(t, err)
	out, errOut, err := command(t, model, again)
	require.NoError(t, err)
	require.Empty(t, errOut)
	require.Contains(t, out, "mnist-prototypes: PyTorch-SbS dialect 2, step 0\n")
	require.Contains(t, out, "wrote "+filepath.ToSlash(filepath.Join(again, "Weight_L0_S0.npy"))+" (identical to the file that the model was converted from)\n")
	require.Contains(t, out, "wrote "+filepath.ToSlash(filepath.Join(dir, "again", "network.json"))+"\n")
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
	require.Contains(t, out, "unchanged: "+filepath.ToSlash(filepath.Join(dir, "again", "def.json")))
	_, _, err = command(t, model, again, "--step", "7", "--arrays-only")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(again, "Weight_L1_S7.npy"))

	require.NoError(t, os.WriteFile(filepath.Join(again, "Weight_L0_S0.npy"), nil, 0o600))
	_, _, err = command(t, model, again)
	require.ErrorContains(t, err, "Weight_L0_S0.npy: already exists with different content")
	require.ErrorContains(t, err, "--force")
	_, _, err = command(t, model, again, "--force")
	require.NoError(t, err)

	out, _, err = command(t, "--info", model)
	require.NoError(t, err)
	require.Contains(t, out, "\ntraining: MNIST, 0 of 2 layers trainable, 1 batches of 500 per update, 0.5 MSE + 1 KL, Adam with learning rate 0.001")
}

func TestConvert_RefusesToOverwriteFilesOfTheNetwork(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.CopyFS(folder, os.DirFS(filepath.Dir(weights))))
	for _, name := range []string{"network.json", "Weights/Weight_L0_S0.npy"} {
		path := filepath.Join(folder, name)
		link := filepath.Join(t.TempDir(), "link.onnx")
		paths := []string{path}
		if err := os.Symlink(path, link); err == nil {
			paths = append(paths, link)
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, model := range paths {
			for _, flags := range [][]string{nil, {"--force"}} {
				_, _, err = command(t, append([]string{filepath.Join(folder, "Weights"), model}, flags...)...)
				require.EqualError(t, err, model+" is a file of the network: choose another name for the model")
			}
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
	}
}

func TestConvert_RefusesSpikeFlagsWithoutSbSLayers(t *testing.T) {
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
	for _, flag := range []string{"--spikes=3", "--sampler=iid", "--epsilon-0=0.5"} {
		_, _, err := command(t, folder, path, "--input", "1x28x28", flag)
		name, _, _ := strings.Cut(flag, "=")
		require.EqualError(t, err, name+" cannot be used: the network has no SbS layer")
	}
	_, _, err = command(t, folder, path, "--input", "1x28x28", "--inject=spikes")
	require.EqualError(t, err, "--inject cannot be used: no layer draws random numbers")
	_, _, err = command(t, folder, path, "--input", "1x28x28")
	require.NoError(t, err)
}

func TestConvertBack_ReadsWeightsInExternalFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	_, _, err := command(t, weights, path)
	require.NoError(t, err)
	m, _, err := onnx.ReadFile(t.Context(), path)
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
	require.Contains(t, out, "Weight_L0_S0.npy (identical to the file that the model was converted from)")
}

// TestConvertBack_RefusesADamagedModel changes a byte of a weight.
func TestConvertBack_RefusesADamagedModel(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	_, _, err := command(t, weights, path)
	require.NoError(t, err)
	data := read(t, path)
	at := bytes.Index(data, []byte("L0/SbS/W")) + 5000
	data[at] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
	const want = "model.onnx: the contents of the model do not match its checksum"
	_, _, err = command(t, path, filepath.Join(dir, "Weights"))
	require.ErrorContains(t, err, want)
	out, _, err := command(t, "--info", path)
	require.ErrorContains(t, err, want)
	require.Contains(t, out, "46880 parameters", "the model is described anyway")
	_, _, err = command(t, "--info", "--ignore-checksum", path)
	require.NoError(t, err)
	_, _, err = command(t, path, filepath.Join(dir, "Weights"), "--ignore-checksum")
	require.NoError(t, err)
	_, _, err = command(t, weights, path, "--ignore-checksum")
	require.ErrorContains(t, err, "--ignore-checksum applies only to a model")
}
