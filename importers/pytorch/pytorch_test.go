package pytorch

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/npy"
)

// files is the content of a folder by path: a string is a text file, an *npy.Array an .npy
// file. nil entries are not written.
type files map[string]any

// write creates the folder and returns its Weights folder.
func (f files) write(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "tiny net")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "Weights"), 0o755))
	for name, content := range f {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		var data bytes.Buffer
		switch c := content.(type) {
		case string:
			data.WriteString(c)
		case *npy.Array:
			if !strings.HasSuffix(name, ".gz") {
				require.NoError(t, npy.Write(&data, c))
				break
			}
			z := gzip.NewWriter(&data)
			require.NoError(t, npy.Write(z, c))
			require.NoError(t, z.Close())
		case nil:
			continue
		}
		require.NoError(t, os.WriteFile(path, data.Bytes(), 0o644))
	}
	return filepath.Join(root, "Weights")
}

// replace changes a text file of the folder.
func (f files) replace(t *testing.T, name, old, with string) {
	t.Helper()
	s, ok := f[name].(string)
	require.True(t, ok)
	require.Contains(t, s, old)
	f[name] = strings.Replace(s, old, with, 1)
}

// uniform returns weights of an SbS layer whose columns sum to 1. The neurons differ in
// their first two places.
func uniform(places, neurons int) *npy.Array {
	data := make([]float32, places*neurons)
	for i := range data {
		data[i] = 1 / float32(places)
	}
	for n := range neurons {
		if places > 1 {
			d := float32(n) / float32(4*places*neurons)
			data[n] += d
			data[neurons+n] -= d
		}
	}
	return &npy.Array{Shape: []int{places, neurons}, Data: data}
}

func array(shape []int, value float64) *npy.Array {
	n := 1
	for _, d := range shape {
		n *= d
	}
	data := make([]float64, n)
	for i := range data {
		data[i] = value
	}
	return &npy.Array{Shape: shape, Data: data}
}

// dialect2 returns a network for images of 1x8x8 pixels, which are cropped to 1x4x4.
func dialect2() files {
	return files{
		"network.json": `{
  // comments and trailing commas are fine
  "network_structure": {
    "number_of_output_neurons": 3,
    "layer_type": ["SbS", "Average POOLING", "sbs",],
    "strides": [[1, 1], [2, 2], []],
    "forward_neuron_numbers": [[1, 4], [], [4, 3]],
    "forward_kernel_size": [[3, 3], [2, 2], [1, 1]],
  }
}`,
		"dataset.json": `{"data_path": "./DATA/", "data_mode": ""}`,
		"def.json": `{
  "number_of_spikes": [9], "forgetting_offset": 0.5, "epsilon_0": 0.5,
  "learning_parameters": {"eps_xy_intitial": 0.25, "w_trainable": [true], "loss_mode": 1}, "augmentation": {}
} // the end`,
		"Weights/Weight_L0_S7.npy": uniform(9, 4),
		"Weights/Weight_L2_S7.npy": uniform(4, 3),
	}
}

// dialect1 returns the same network with an on/off split and epsilon_xy.
func dialect1() files {
	return files{
		"tiny.json": "\xef\xbb\xbf" + `{
  "number_of_spikes": 8, "cooldown_after_number_of_spikes": 6, "reduction_cooldown": 4,
  "network_structure": {
    "number_of_output_neurons": 3,
    "forward_neuron_numbers": [[2, 4], [4, 4], [4, 3]],
    "is_pooling_layer": [false, true, false],
    "forward_kernel_size": [[3, 3], [2, 2], [1, 1]],
    "strides": [[1, 1], [2, 2], [1, 1]],
    "dilation": [[0, 0]],
    "w_trainable": [true, false, true],
    "eps_xy_trainable": [true, true, false],
    "eps_xy_mean": [false]
  },
  "learning_parameters": {"alpha_number_of_iterations": 2},
  "image_statistics": {}
}`,
		"recorded.json":               `{"accuracy": 1}`,
		"Weights/Weight_L0_S7.npy":    uniform(18, 4),
		"Weights/Weight_L2_S7.npy.gz": uniform(4, 3),
		"EpsXY/EpsXY_L0_S7.npy":       array([]int{2, 2, 3, 3}, 0.1),
		"EpsXY/EpsXY_L1_S7.npy.gz":    array([]int{1, 1}, 0.2),
	}
}

// convolutions returns a network with all other kinds of layers.
func convolutions() files {
	return files{
		"network.json": `{"network_structure": {
  "layer_type": ["ONOFF", "CONV2D", "RELU", "MAX POOLING", "SbS average POOLING", "SbS local", "Reconstruction", "relu again"],
  "forward_neuron_numbers": [[1, 2], [2, 4], [], [], [4, 4], [4, 5], [], []],
  "forward_kernel_size": [[], [3, 3], [], [2, 2], [1, 1], [1, 1], [], []],
  "padding": [[], [1, 1], [], [], [], [], [], []],
  "strides": [[], [], [], [2, 2], [], [], [], []]
}}`,
		"def.json":                 `{"number_of_spikes": [0, 0, 0, 0, 3, 4, 0, 0]}`,
		"Weights/Mean_L0_S3.npy":   array([]int{1, 1, 4, 4}, 0.25),
		"Weights/Weight_L1_S3.npy": array([]int{4, 2, 3, 3}, -0.5),
		"Weights/Bias_L1_S3.npy":   array([]int{4}, 2),
		"Weights/Weight_L5_S3.npy": uniform(4, 5),
	}
}

// options returns the options for images of 1x8x8 pixels and the last complete step.
func options(weights string) Options {
	return Options{Weights: weights, Input: convert.Size{Channels: 1, Height: 8, Width: 8}, Mean: []float32{0.5}}
}

func load2(t *testing.T, f files) (*convert.Network, *Report) {
	t.Helper()
	opt := options(f.write(t))
	opt.Mean = nil
	n, r, err := Load(opt)
	require.NoError(t, err)
	return n, r
}

func TestLoad_ReadsDialect2(t *testing.T) {
	f := dialect2()
	n, r := load2(t, f)

	require.Equal(t, "tiny_net", n.Name)
	require.Equal(t, 2, n.Dialect)
	require.Equal(t, 7, n.Step)
	require.Equal(t, convert.Size{Channels: 1, Height: 8, Width: 8}, n.Input)
	require.Equal(t, convert.Preprocessing{Crop: 2, Offset: 1e-20}, n.Preprocessing)
	require.Nil(t, n.Classes)
	require.Len(t, n.Layers, 3)

	first := n.Layers[0].(*convert.SbS)
	require.Equal(t, convert.Window{Kernel: [2]int{3, 3}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}}, first.Window)
	require.Equal(t, []int{9, 4}, first.Weights.Shape())
	require.Equal(t, uniform(9, 4).Data, first.Weights.Float32s(), "bit by bit as in the file")
	require.Nil(t, first.EpsilonXY)
	require.False(t, first.Pooling)
	require.Equal(t, 9, first.Spikes)
	require.Equal(t, float32(0.125), first.Epsilon0)
	require.Equal(t, float32(0.5), first.Forgetting)
	require.Zero(t, first.AlphaIterations)
	require.Len(t, first.EpsilonT, 9)
	for i, e := range first.EpsilonT {
		require.Equal(t, float32(1/math.Sqrt(float64(i+1))), e)
	}
	require.Equal(t, [2]int{2, 2}, n.Layers[1].(*convert.AveragePool).Strides)

	require.Len(t, r.Configuration, 3)
	require.Equal(t, StepComplete, r.StepChoice)
	require.Equal(t, 7, r.Step)
	require.Equal(t, 2, r.Dialect)
	require.Empty(t, r.Warnings)
	require.Equal(t, "Average POOLING", r.Layers[1].Kind)
	require.Empty(t, r.Layers[1].Files)
	require.Len(t, r.Layers[2].Files, 1)

	var paths []string
	for _, s := range n.Sources {
		paths = append(paths, s.Path)
	}
	require.Equal(t, []string{"network.json", "dataset.json", "def.json", "Weights/Weight_L0_S7.npy", "Weights/Weight_L2_S7.npy"}, paths)
}

func TestLoad_ReadsDialect1(t *testing.T) {
	n, r, err := Load(options(dialect1().write(t)))
	require.NoError(t, err)

	require.Equal(t, 1, n.Dialect)
	require.Equal(t, convert.Preprocessing{Crop: 2, OnOffMean: []float32{0.5}}, n.Preprocessing)
	require.Empty(t, r.Warnings)
	require.Equal(t, "EpsXY", filepath.Base(r.EpsilonXY))

	first, pooling, last := n.Layers[0].(*convert.SbS), n.Layers[1].(*convert.SbS), n.Layers[2].(*convert.SbS)
	require.Equal(t, []float32{1, 1, 1, 1, 1, 1, 0.25, 0.25}, first.EpsilonT)
	require.Equal(t, []int{2, 2, 3, 3}, first.EpsilonXY.Shape())
	require.Equal(t, float32(1), first.Epsilon0)
	require.Equal(t, [2]int{1, 1}, first.Dilations)
	require.Equal(t, 2, first.AlphaIterations)

	require.True(t, pooling.Pooling)
	require.Equal(t, []int{1, 1}, pooling.EpsilonXY.Shape())
	w := pooling.Weights.Float32s()
	require.Equal(t, []int{16, 4}, pooling.Weights.Shape())
	for k := range 16 {
		for n := range 4 {
			want := float32(0)
			if k/4 == n {
				want = 0.25
			}
			require.Equal(t, want, w[k*4+n])
		}
	}
	require.Nil(t, last.EpsilonXY, "not trainable, and without a file")
	require.Equal(t, float32(0.1), last.Epsilon0)
	require.Equal(t, "SbS POOLING", r.Layers[1].Kind)
}

// The hash of a compressed file is the hash of the compressed bytes.
func TestLoad_HashesItsFiles(t *testing.T) {
	weights := dialect1().write(t)
	n, _, err := Load(options(weights))
	require.NoError(t, err)
	require.Len(t, n.Sources, 5)
	for _, s := range n.Sources {
		content, err := os.ReadFile(filepath.Join(weights, "..", s.Path))
		require.NoError(t, err)
		sum := sha256.Sum256(content)
		require.Equal(t, hex.EncodeToString(sum[:]), s.SHA256, s.Path)
	}
}

func TestLoad_ReadsEveryKindOfLayer(t *testing.T) {
	n, r := load2(t, convolutions())
	require.Empty(t, r.Warnings)
	require.Equal(t, []int{1, 1, 4, 4}, n.Layers[0].(*convert.OnOff).Mean.Shape())
	conv := n.Layers[1].(*convert.Conv)
	require.Equal(t, []int{4, 2, 3, 3}, conv.Weights.Shape())
	require.Equal(t, []float32{2, 2, 2, 2}, conv.Bias.Float32s())
	require.Equal(t, [2]int{1, 1}, conv.Pads)
	require.IsType(t, &convert.ReLU{}, n.Layers[2])
	require.Equal(t, [2]int{2, 2}, n.Layers[3].(*convert.MaxPool).Kernel)
	require.True(t, n.Layers[4].(*convert.SbS).Pooling)
	require.Equal(t, 3, n.Layers[4].(*convert.SbS).Spikes)
	require.Len(t, n.Layers[4].(*convert.SbS).EpsilonT, 3)
	require.Equal(t, 4, n.Layers[5].(*convert.SbS).Spikes)
	require.Same(t, n.Layers[5].(*convert.SbS).Weights, n.Layers[6].(*convert.Reconstruction).Weights)

	one := convolutions()
	one["Weights/Mean_L0_S3.npy"] = array(nil, 0.25)
	n, _ = load2(t, one)
	require.Equal(t, []int{1, 1, 1, 1}, n.Layers[0].(*convert.OnOff).Mean.Shape())
}

func TestLoad_FollowsItsOptions(t *testing.T) {
	t.Run("spikes", func(t *testing.T) {
		opt := options(dialect1().write(t))
		opt.Spikes = 7
		n, _, err := Load(opt)
		require.NoError(t, err)
		require.Equal(t, 7, n.Layers[1].(*convert.SbS).Spikes)
		require.Equal(t, []float32{1, 1, 1, 1, 1, 1, 0.25}, n.Layers[1].(*convert.SbS).EpsilonT)
	})
	t.Run("no preprocessing", func(t *testing.T) {
		opt := options(dialect1().write(t))
		opt.NoPreprocessing, opt.Mean = true, nil
		n, _, err := Load(opt)
		require.NoError(t, err)
		require.Equal(t, convert.Size{Channels: 2, Height: 4, Width: 4}, n.Input)
		require.Equal(t, convert.Preprocessing{}, n.Preprocessing)
	})
	t.Run("step", func(t *testing.T) {
		f := dialect2()
		f["Weights/Weight_L0_S8.npy"], f["Weights/Weight_L2_S8.npy"] = uniform(9, 4), uniform(4, 3)
		f["Weights/Weight_L0_S9.npy"] = uniform(9, 4)
		f["Weights/Weight_L10_S9.npy"], f["Weights/Weight_L12_S20.npy"] = uniform(9, 4), uniform(9, 4)
		opt := options(f.write(t))
		n, r, err := Load(opt)
		require.NoError(t, err)
		require.Equal(t, 8, n.Step, "layer 2 has no file of step 9, and no layer has one of step 20")
		require.Equal(t, StepComplete, r.StepChoice)
		opt.Step = new(7)
		n, r, err = Load(opt)
		require.NoError(t, err)
		require.Equal(t, 7, n.Step)
		require.Equal(t, StepGiven, r.StepChoice)

		f.replace(t, "def.json", "{", `{"learning_step": 7,`)
		n, r, err = Load(options(f.write(t)))
		require.NoError(t, err)
		require.Equal(t, 7, n.Step)
		require.Equal(t, StepConfiguration, r.StepChoice)
	})
	t.Run("epsilon folder", func(t *testing.T) {
		for _, folder := range []string{"Weights", "eps", "named"} {
			f := dialect1()
			for _, name := range []string{"EpsXY_L0_S7.npy", "EpsXY_L1_S7.npy.gz"} {
				f[folder+"/"+name], f["EpsXY/"+name] = f["EpsXY/"+name], nil
			}
			if folder == "named" {
				f.replace(t, "tiny.json", "{", `{"eps_xy_path": "named/",`)
			}
			opt := options(f.write(t))
			if folder == "eps" {
				opt.EpsilonXY = filepath.Join(opt.Weights, "..", "eps")
			}
			_, r, err := Load(opt)
			require.NoError(t, err, folder)
			require.Equal(t, folder, filepath.Base(r.EpsilonXY))
		}
	})
	t.Run("configuration", func(t *testing.T) {
		f := dialect2()
		for _, name := range []string{"network.json", "dataset.json", "def.json"} {
			f["Weights/"+name], f[name] = f[name], nil
		}
		_, r, err := Load(options(f.write(t)))
		require.NoError(t, err)
		require.Equal(t, "Weights", filepath.Base(filepath.Dir(r.Configuration[2])))

		f["more.json"] = `{"network_structure": {"number_of_output_neurons": 0, "strides": [[1, 1], [1, 1], [1, 1]]}}`
		opt := options(f.write(t))
		for _, name := range []string{"network.json", "def.json", "../more.json"} {
			opt.Config = append(opt.Config, filepath.Join(opt.Weights, name))
		}
		n, r, err := Load(opt)
		require.NoError(t, err)
		require.Equal(t, opt.Config, r.Configuration)
		require.Equal(t, [2]int{1, 1}, n.Layers[1].(*convert.AveragePool).Strides, "the last file wins")
		require.Equal(t, "Weights/def.json", n.Sources[1].Path)
		require.Equal(t, "more.json", n.Sources[2].Path)
	})
}

func TestLoad_InitializesMissingLayersIfAllowed(t *testing.T) {
	f := dialect1()
	f["Weights/Weight_L0_S7.npy"], f["EpsXY/EpsXY_L1_S7.npy.gz"] = nil, nil
	opt := options(f.write(t))
	_, _, err := Load(opt)
	require.ErrorIs(t, err, ErrMissing)
	opt.AllowUntrained = true
	n, r, err := Load(opt)
	require.NoError(t, err)
	require.Equal(t, StepHighest, r.StepChoice)
	require.Len(t, r.Warnings, 2)
	first, pooling := n.Layers[0].(*convert.SbS), n.Layers[1].(*convert.SbS)
	require.Nil(t, pooling.EpsilonXY)
	require.Equal(t, float32(0.1), pooling.Epsilon0)
	sums := make([]float64, 4)
	for i, v := range first.Weights.Float32s() {
		require.InDelta(t, 1.0/18, v, 0.01/18)
		sums[i%4] += float64(v)
	}
	require.InDeltaSlice(t, []float64{1, 1, 1, 1}, sums, 1e-6)
	again, _, err := Load(opt)
	require.NoError(t, err)
	require.Equal(t, first.Weights.Float32s(), again.Layers[0].(*convert.SbS).Weights.Float32s())

	c := convolutions()
	for name := range c {
		if strings.HasSuffix(name, ".npy") {
			c[name] = nil
		}
	}
	opt = options(c.write(t))
	opt.AllowUntrained = true
	n, _, err = Load(opt)
	require.NoError(t, err)
	require.Equal(t, -1, n.Step)
	for _, v := range n.Layers[1].(*convert.Conv).Weights.Float32s() {
		require.LessOrEqual(t, math.Abs(float64(v)), 1/math.Sqrt(18))
	}
	require.Equal(t, []int{4}, n.Layers[1].(*convert.Conv).Bias.Shape())
}

func TestLoad_KnowsThePublishedDataSets(t *testing.T) {
	for mode, want := range map[string]struct {
		size  convert.Size
		mean  []float32
		class string
	}{
		"MNIST":         {convert.Size{Channels: 1, Height: 28, Width: 28}, []float32{0.13066062331199646}, "9"},
		"MNIST_FASHION": {convert.Size{Channels: 1, Height: 28, Width: 28}, []float32{0.28604063}, "Ankle boot"},
		"CIFAR10":       {convert.Size{Channels: 3, Height: 32, Width: 32}, []float32{0.49139968, 0.48215841, 0.44653091}, "truck"},
	} {
		for _, outputs := range []int{10, 3} {
			c := newConfig()
			d, err := parse("x.json", []byte(`{"data_mode": "`+mode+`", "number_of_spikes": 1, "network_structure": {
				"forward_neuron_numbers": [[`+map[int]string{1: "2", 3: "6"}[want.size.Channels]+`, `+map[int]string{3: "3", 10: "10"}[outputs]+`]],
				"is_pooling_layer": [false], "forward_kernel_size": [[1, 1]]}}`))
			require.NoError(t, err)
			require.NoError(t, c.merge(d))
			p, err := newPlan(c, Options{})
			require.NoError(t, err)
			require.Equal(t, want.size, p.input)
			require.Equal(t, want.mean, p.preprocessing.OnOffMean)
			if outputs == 10 {
				require.Len(t, p.classes, 10)
				require.Equal(t, want.class, p.classes[9])
			} else {
				require.Nil(t, p.classes)
			}
		}
	}
}
