package c99_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/c99"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

var options = c99.Options{Name: "model", File: "model.c"}

func TestGenerate_NamesEverythingThatItCannotWrite(t *testing.T) {
	few, many := converttest.EveryLayer(), converttest.Digits()
	few.Input, few.Preprocessing, few.Classes = many.Input, convert.Preprocessing{Crop: 2}, many.Classes
	few.Layers = []convert.Layer{
		converttest.New(1).Conv(converttest.Window(1, 1), 1, 2), &convert.ReLU{}, &convert.Poisson{Spikes: 3}, &convert.SpikeImage{},
	}
	last := converttest.New(1).SbS(converttest.Window(8, 1), 2, 3, 5)
	last.FullLayer, last.AlphaIterations = true, 1
	few.Layers = append(few.Layers, last)
	data, err := convert.StagesToONNX(&convert.Staged{Stages: []convert.Stage{{Network: few, Threshold: 0.5}, {Network: many}}}, convert.Options{})
	require.NoError(t, err)
	_, err = c99.Generate(data, options)
	require.ErrorIs(t, err, c99.ErrUnsupported)
	require.EqualError(t, err, "c99: the model cannot be written in C: there is no code for "+
		"stage 1, layer 2 (Poisson): this kind of layer; stage 1, layer 3 (SpikeImage): this kind of layer; "+
		"stage 1, layer 4 (SbS): spikes of the whole input; stage 1, layer 4 (SbS): alpha iterations")
}

func TestGenerate_RefusesLayers(t *testing.T) {
	m := converttest.New(1)
	dilated := converttest.Window(2, 1)
	dilated.Dilations, dilated.Pads = [2]int{14, 14}, [2]int{1, 1}
	small := converttest.Window(12, 1)
	for name, c := range map[string]struct {
		layers []convert.Layer
		want   string
	}{
		"approximate": {[]convert.Layer{m.ApproxConv(small, 1, 3, sbs.Approximation{FracBits: 8, TruncBits: 2, Enabled: true})}, "layer 0 (ApproxConv): approximate products"},
		"mean":        {[]convert.Layer{m.Conv(small, 1, 3), &convert.OnOff{Mean: m.Tensor(0, 1, 1, 1, 1, 1)}}, "layer 1 (OnOff): a mean with fewer than 8 positions"},
		"padding":     {[]convert.Layer{m.Conv(converttest.Window(1, 1), 1, 1), &convert.MaxPool{Window: dilated}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := &convert.Network{Step: -1, Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Layers: c.layers}
			if name == "padding" {
				n.Input = convert.Size{Channels: 1, Height: 13, Width: 13}
				c.want = "layer 1 (MaxPool): windows without a single pixel"
			}
			_, err := c99.Generate(modeltest.Write(t, n, convert.Options{}), options)
			require.ErrorIs(t, err, c99.ErrUnsupported)
			require.ErrorContains(t, err, c.want)
		})
	}
	n := converttest.Normalized()
	n.Input.Height, n.Input.Width = 400, 200
	_, err := c99.Generate(modeltest.Write(t, n, convert.Options{}), options)
	require.ErrorContains(t, err, "images of more than 65536 pixels that are normalized")
	n = converttest.Digits()
	last := n.Layers[2].(*convert.SbS)
	n.Layers = append(n.Layers, &convert.Reconstruction{Weights: last.Weights})
	_, err = c99.Generate(modeltest.Write(t, n, convert.Options{}), options)
	require.ErrorContains(t, err, "layer 3 (Reconstruction): this kind of layer")
	_, err = c99.Quantize(n)
	require.ErrorContains(t, err, "layer 3 (Reconstruction) needs the scales of the weights")
}

func TestGenerate_RefusesWeightsThatAreNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for name, change := range map[string]func(n *convert.Network){
		"layer 0 (Conv)":       func(n *convert.Network) { n.Layers[0].(*convert.Conv).Weights.Float32s()[4] = nan },
		"layer 3 (Conv)":       func(n *convert.Network) { n.Layers[3].(*convert.Conv).Weights.Float32s()[4] = inf },
		"layer 5 (ApproxConv)": func(n *convert.Network) { n.Layers[5].(*convert.ApproxConv).Bias.Float32s()[4] = inf },
		"layer 8 (OnOff)": func(n *convert.Network) {
			n.Layers[8] = &convert.OnOff{Mean: tensor(t, []int{1, 1, 1, 1}, nan)}
		},
	} {
		n := cnn()
		change(n)
		_, err := c99.Generate(modeltest.Write(t, n, convert.Options{}), options)
		require.ErrorIs(t, err, c99.ErrUnsupported)
		require.ErrorContains(t, err, name+": weights that are infinite or not a number")
		_, err = c99.Quantize(n)
		require.ErrorContains(t, err, name+" has weights that are infinite or not a number")
	}
}

// The numbers in the inputs would replace the random numbers of the file.
func TestGenerate_RefusesInjectedNumbers(t *testing.T) {
	for _, inject := range []convert.Inject{convert.InjectSpikes, convert.InjectUniforms} {
		_, err := c99.Generate(modeltest.Write(t, converttest.Digits(), convert.Options{Inject: inject}), options)
		require.ErrorIs(t, err, c99.ErrUnsupported)
		require.ErrorContains(t, err, "there is no code for inputs for "+string(inject)+" instead of random numbers: convert the weights without --inject")
	}
}

func TestGenerate_RefusesImagesOfTooManyPixels(t *testing.T) {
	n := &convert.Network{
		Step: -1, Input: convert.Size{Channels: 1, Height: 65_536, Width: 65_536}, Preprocessing: convert.Preprocessing{Crop: 32_767},
		Layers: []convert.Layer{&convert.ReLU{}},
	}
	_, err := c99.Generate(modeltest.Write(t, n, convert.Options{}), options)
	require.ErrorIs(t, err, c99.ErrUnsupported)
	require.ErrorContains(t, err, "there is no code for images of so many pixels: C addresses at most 2147483647")
}

// Layers in standard operators draw other random numbers.
func TestGenerate_RefusesInlineLayers(t *testing.T) {
	_, err := c99.Generate(modeltest.Write(t, converttest.Digits(), convert.Options{Body: convert.BodyInline}), options)
	require.ErrorIs(t, err, c99.ErrUnsupported)
	require.ErrorContains(t, err, "layer 0 (SbS): its form in standard operators draws other random numbers")
	_, err = c99.Generate(modeltest.Write(t, converttest.Digits(), convert.Options{Body: convert.BodyNone}), options)
	require.NoError(t, err)
}

func TestGenerate_NamesTheOperatorsOfOtherPrograms(t *testing.T) {
	node := func(op string) *onnxpb.NodeProto { return &onnxpb.NodeProto{Name: op, OpType: op} }
	model := func(nodes ...*onnxpb.NodeProto) []byte {
		m, err := onnx.Unmarshal(context.Background(), modeltest.Write(t, cnn(), convert.Options{}))
		require.NoError(t, err)
		m.MetadataProps = nil
		m.Graph.Node = append(m.Graph.Node, nodes...)
		data, err := onnx.Marshal(m)
		require.NoError(t, err)
		return data
	}
	_, err := c99.Generate(model(node("LSTM"), node("Conv"), node("Gelu")), options)
	require.ErrorIs(t, err, c99.ErrUnsupported)
	require.ErrorIs(t, err, convert.ErrNotConverted)
	require.ErrorContains(t, err, "there is no code for the operators Gelu, LSTM; ")
	_, err = c99.Generate(model(node("Conv")), options)
	require.ErrorIs(t, err, c99.ErrUnsupported)
	require.NotContains(t, err.Error(), "operators")
	_, err = c99.Generate([]byte("no model"), options)
	require.Error(t, err)
	require.NotErrorIs(t, err, c99.ErrUnsupported)
}

func TestGenerate_RefusesNames(t *testing.T) {
	data := modeltest.Write(t, converttest.Digits(), convert.Options{})
	for name, want := range map[string]string{"": "model", "Mnist": "mnist", "a-b": "a_b", "1": "model_1", "é": "model", "_x": "model_x", "int8": "model_int8", "uint_least16": "model_uint_least16", "size": "model_size"} {
		require.Equal(t, want, c99.NameOf(name), name)
		_, err := c99.Generate(data, c99.Options{Name: name})
		require.ErrorContains(t, err, "is not a name for C", name)
	}
}

// A name of a network, a file or a class is data of others: it must not become code.
func TestGenerate_WritesNamesAsText(t *testing.T) {
	n := cnn()
	n.Name = "*/ \\\nint x; // ??/"
	file, err := c99.Generate(modeltest.Write(t, n, convert.Options{}), c99.Options{Name: "model", File: "a\nint y;.c", Source: "b\\\n.onnx"})
	require.NoError(t, err)
	code := string(file.Code)
	require.Contains(t, code, "the network */ __int x; // __/ in C99.")
	require.Contains(t, code, `{"a\"b", "c\\d", "\077\077/", "\303\251", ""}`)
	for _, line := range strings.Split(code, "\n") {
		require.False(t, strings.HasPrefix(line, "int y") || strings.HasPrefix(line, ".onnx"), line)
	}
}

func TestGenerate_IsReproducible(t *testing.T) {
	data := modeltest.Write(t, mixed(), convert.Options{})
	a, err := c99.Generate(data, options)
	require.NoError(t, err)
	b, err := c99.Generate(data, options)
	require.NoError(t, err)
	require.Equal(t, string(a.Code), string(b.Code))
}

// compiler returns a compiler for this machine, or skips the test.
func compiler(t *testing.T) target {
	c := targets()[0]
	c.available(t)
	return c
}

func TestFile_RefusesOptionsThatChangeResults(t *testing.T) {
	folder, c := t.TempDir(), compiler(t)
	file, err := c99.Generate(modeltest.Write(t, converttest.Digits(), convert.Options{}), options)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "model.c"), file.Code, 0o600))
	for _, flag := range []string{"-ffast-math", "-Ofast", "-ffinite-math-only"} {
		cmd := exec.Command(c.compiler, flag, "-fsyntax-only", "model.c")
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		require.Error(t, err, flag)
		require.Contains(t, string(out), "compile without", flag)
	}
}

// A file needs nothing but what compilers themselves need: functions for numbers and for copying memory.
func TestFile_NeedsNoLibrary(t *testing.T) {
	if os.Getenv(everything) == "" {
		t.Skip("only make embedded tests this")
	}
	folder := t.TempDir()
	for name, s := range networks() {
		data, err := convert.StagesToONNX(s, convert.Options{})
		require.NoError(t, err)
		file, err := c99.Generate(data, c99.Options{Name: name, File: name + ".c"})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".c"), file.Code, 0o600))
		for _, flags := range [][]string{cortexM4[1:], {"--target=thumbv6m-none-eabi", "-mcpu=cortex-m0", "-ffreestanding", "-Os"}} {
			object := filepath.Join(folder, "object.o")
			cmd := exec.Command("clang", slices.Concat(flags, []string{"-c", name + ".c", "-o", object})...)
			cmd.Dir = folder
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			out, err = exec.Command("arm-linux-gnueabihf-nm", "--undefined-only", "--format=just-symbols", object).Output()
			require.NoError(t, err)
			for _, symbol := range strings.Fields(string(out)) {
				require.Regexp(t, "^(__aeabi_.*|mem(cpy|set|move))$", symbol, name)
			}
		}
	}
}

// Options of compilers must not change the thresholds.
func TestGenerate_WritesExactThresholds(t *testing.T) {
	s := converttest.Staged()
	s.Stages[0].Threshold = 0.15
	data, err := convert.StagesToONNX(s, convert.Options{})
	require.NoError(t, err)
	file, err := c99.Generate(data, options)
	require.NoError(t, err)
	require.Contains(t, string(file.Code), ">= (double)0x1.3333333333333p-03L)")
}

// The program of a file classifies bytes as sbs-run does.
func TestProgram_ClassifiesImages(t *testing.T) {
	folder, c := t.TempDir(), compiler(t)
	data, err := convert.StagesToONNX(converttest.Staged(), convert.Options{})
	require.NoError(t, err)
	file, err := c99.Generate(data, options)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "model.c"), file.Code, 0o600))
	c.flags = append(c.flags, "-DMODEL_MAIN")
	run := c.compile(t, folder, "model.c")

	const count, seed = 6, 12345678901234567890
	batch, err := ops.Zeros(ops.Float32, []int{count, 1, 12, 12})
	require.NoError(t, err)
	pixels := make([]byte, batch.Len())
	for i := range pixels {
		pixels[i] = byte(i * i >> 3)
		batch.Float32s()[i] = float32(pixels[i]) / 255
	}
	m, err := runtime.New(data)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	var stages []int
	out, err := m.Run(context.Background(), map[string]*ops.Tensor{convert.InputName: batch}, runtime.Seed(seed),
		runtime.ReportEffort(func(e runtime.Effort) { stages = e.Stages }))
	require.NoError(t, err)
	want := ""
	for i := range count {
		p := out[convert.Probabilities].Float32s()[3*i : 3*i+3]
		class := 0
		for j := range p {
			if p[j] > p[class] {
				class = j
			}
		}
		want += fmt.Sprintf("%d %d %d %.9g %.9g %.9g\n", i, class, stages[i], p[0], p[1], p[2])
	}
	cmd := run(fmt.Sprint(uint64(seed)))
	cmd.Stdin = bytes.NewReader(pixels)
	printed, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, want, string(printed))

	cmd = run()
	cmd.Stdin = bytes.NewReader(pixels[:200])
	printed, err = cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(printed), "the input ends with 56 bytes, but an image has 144\n")
	for _, args := range [][]string{{"-1"}, {"5x"}, {""}, {"1", "2"}} {
		printed, err = run(args...).CombinedOutput()
		require.Error(t, err)
		require.Equal(t, "want no argument but the seed, a number from 0 on\n", string(printed))
	}
}
