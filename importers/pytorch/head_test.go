package pytorch

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// factors returns a network with both kinds of NNMF layers, for images of 1x8x8 pixels, which are
// cropped to 1x4x4.
func factors() files {
	return files{
		"network.json": `{"network_structure": {
  "number_of_output_neurons": 3,
  "layer_type": ["BP SBS NNMF", "Average POOLING", "NNMF local"],
  "forward_neuron_numbers": [[1, 4], [], [4, 3]],
  "forward_kernel_size": [[3, 3], [2, 2], [2, 2]],
  "padding": [[1, 1]],
  "strides": [[1, 1], [2, 2], []]
}}`,
		"def.json": `{"number_of_spikes": [12, -1, 5], "epsilon_0": 0.5, "forgetting_offset": 0.25,
  "learning_parameters": {"w_trainable": [true], "sbs_skip_gradient_calculation": [true]}}`,
		"Weights/Weight_L0_S7.npy": uniform(9, 4),
		"Weights/Weight_L2_S7.npy": uniform(16, 3),
	}
}

// counts returns a network with all layers that count spikes.
func counts() files {
	return files{
		"network.json": `{"network_structure": {
  "layer_type": ["Input Spike Image", "Poisson", "SbS", "SbS", "NNMF"],
  "forward_neuron_numbers": [[], [1, 1], [1, 4], [4, 5], [5, 3]],
  "forward_kernel_size": [[1, 1], [], [3, 3], [1, 1], [2, 2]]
}}`,
		"def.json": `{"number_of_spikes": [40, 30, 20, 8, 6], "epsilon_0": 0.5,
  "spike_full_layer_input_distribution": [true, false, true],
  "learning_parameters": {"eps_xy_intitial": 1, "sbs_skip_gradient_calculation": [true], "w_trainable": [true]}}`,
		"Weights/Weight_L2_S7.npy": uniform(9, 4),
		"Weights/Weight_L3_S7.npy": uniform(4, 5),
		"Weights/Weight_L4_S7.npy": uniform(20, 3),
	}
}

// approximate returns a network of two convolutions with quantized products.
func approximate() files {
	return files{
		"network.json": `{"network_structure": {
  "layer_type": ["ONOFF", "Approx Conv2D", "RELU", "APPROX CONV2D"],
  "forward_neuron_numbers": [[], [2, 4], [], [4, 3]],
  "forward_kernel_size": [[], [3, 3], [], [2, 2]],
  "dilation": [[1, 1], [1, 1], [1, 1], [2, 1]],
  "padding": [[0, 0], [1, 0], [0, 0], [0, 0]]
}}`,
		"def.json": `{"approximation_setting": {"approximation_enable": [true], "number_of_trunc_bits": [7], "number_of_frac_bits": [-1, 8, -1, 24]},
  "learning_parameters": {"w_trainable": [true]}}`,
		"Weights/Weight_L1_S7.npy": array([]int{4, 2, 3, 3}, -0.5),
		"Weights/Bias_L1_S7.npy":   array([]int{4}, 2),
		"Weights/Weight_L3_S7.npy": array([]int{3, 4, 2, 2}, 0.25),
		"Weights/Bias_L3_S7.npy":   array([]int{3}, 1),
	}
}

// reconstructed returns a network whose last layer reconstructs the input of an SbS layer.
func reconstructed() files {
	return files{
		"network.json": `{"network_structure": {
  "layer_type": ["SbS", "RECONSTRUCTION"], "forward_neuron_numbers": [[1, 6], [6, 4]], "forward_kernel_size": [[3, 3], [1, 1]],
  "number_of_output_neurons": 4
}}`,
		"def.json":                 `{"number_of_spikes": [5], "learning_parameters": {"eps_xy_intitial": 1.0, "w_trainable": [true]}}`,
		"Weights/Weight_L0_S7.npy": uniform(9, 6),
	}
}

// latest holds a network for every kind of layer that is new in July 2023.
func latest() map[string]files {
	return map[string]files{"factors": factors(), "counts": counts(), "approximate": approximate(), "reconstructed": reconstructed()}
}

func TestLoad_ReadsTheLayersOfJuly2023(t *testing.T) {
	n, r := load2(t, factors())
	require.Empty(t, r.Warnings[1:])
	require.Contains(t, r.Warnings[0], "network_structure.padding has entries for 1 of the 3 layers; the others have [0, 0]")
	require.Empty(t, r.Assumed)
	require.Equal(t, "July 2023 (layer type BP SBS NNMF)", r.Generation)
	require.Equal(t, 2, r.Dialect)
	first, last := n.Layers[0].(*convert.NNMF), n.Layers[2].(*convert.NNMF)
	require.Equal(t, sbs.GradientClosedForm, first.Gradient)
	require.Equal(t, sbs.GradientLoop, last.Gradient)
	require.Equal(t, []int{12, 5}, []int{first.Iterations, last.Iterations})
	require.Equal(t, []float32{0.5, 0.5}, []float32{first.Epsilon0, last.Epsilon0})
	require.Equal(t, [2]int{1, 1}, first.Pads)
	require.Equal(t, uniform(9, 4).Data, first.Weights.Float32s())
	require.Equal(t, []string{"BP SBS NNMF", "Average POOLING", "NNMF"}, []string{r.Layers[0].Kind, r.Layers[1].Kind, r.Layers[2].Kind})
	require.Empty(t, r.ConfiguredSpikes())

	multiplicative := factors()
	multiplicative.replace(t, "def.json", `"epsilon_0": 0.5`, `"epsilon_0": -1`)
	n, _ = load2(t, multiplicative)
	require.Zero(t, n.Layers[0].(*convert.NNMF).Epsilon0)

	n, r = load2(t, counts())
	require.Equal(t, &convert.SpikeImage{Spikes: 40}, n.Layers[0])
	require.Equal(t, &convert.Poisson{Spikes: 30}, n.Layers[1])
	full, plain := n.Layers[2].(*convert.SbS), n.Layers[3].(*convert.SbS)
	require.True(t, full.FullLayer)
	require.False(t, plain.FullLayer)
	require.Equal(t, []int{20, 8}, []int{full.Spikes, plain.Spikes})
	require.Equal(t, 6, n.Layers[4].(*convert.NNMF).Iterations)
	require.Len(t, r.ConfiguredSpikes(), 2)
	none := counts()
	none.replace(t, "def.json", "[40, ", "[-1, ")
	n, _ = load2(t, none)
	require.Equal(t, &convert.SpikeImage{}, n.Layers[0])

	n, r = load2(t, approximate())
	require.Empty(t, r.Warnings)
	require.Equal(t, &convert.OnOff{}, n.Layers[0])
	a, b := n.Layers[1].(*convert.ApproxConv), n.Layers[3].(*convert.ApproxConv)
	require.Equal(t, [3]any{8, 7, true}, [3]any{a.FracBits, a.TruncBits, a.Enabled})
	require.Equal(t, [3]any{24, 7, true}, [3]any{b.FracBits, b.TruncBits, b.Enabled})
	require.Equal(t, []float32{2, 2, 2, 2}, a.Bias.Float32s())
	require.Equal(t, [2]int{2, 1}, b.Dilations)

	n, r = load2(t, reconstructed())
	require.Empty(t, r.Warnings)
	require.Same(t, n.Layers[0].(*convert.SbS).Weights, n.Layers[1].(*convert.Reconstruction).Weights)
}

// A single entry of spike_full_layer_input_distribution is for layer 0.
func TestLoad_DoesNotRepeatTheFullLayerOfLayer0(t *testing.T) {
	f := dialect2()
	f.replace(t, "def.json", "{", `{"spike_full_layer_input_distribution": [true],`)
	n, _ := load2(t, f)
	require.True(t, n.Layers[0].(*convert.SbS).FullLayer)
	require.False(t, n.Layers[2].(*convert.SbS).FullLayer)
	f = dialect1()
	f.replace(t, "tiny.json", "{", `{"spike_full_layer_input_distribution": [true],`)
	n, r, err := Load(options(f.write(t)))
	require.NoError(t, err)
	require.False(t, n.Layers[0].(*convert.SbS).FullLayer)
	require.Len(t, r.Warnings, 1)
	require.Contains(t, r.Warnings[0], "tiny.json: spike_full_layer_input_distribution belongs to dialect 2 and is ignored")
}

// A single entry of the geometry is for layer 0, except in dialect 1.
func TestLoad_DoesNotRepeatTheGeometryOfLayer0(t *testing.T) {
	f := dialect2()
	f.replace(t, "network.json", "[[3, 3], [2, 2], [1, 1]]", "[[3, 3]]")
	f.replace(t, "network.json", "[[1, 1], [2, 2], []]", "[[2, 2]]")
	f.replace(t, "network.json", `"strides"`, `"dilation": [[1, 1]], "padding": [[1, 1]], "strides"`)
	n, r := load2(t, f)
	require.Len(t, r.Warnings, 4)
	require.Equal(t, convert.Window{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}}, n.Layers[2].(*convert.SbS).Window)
	require.Equal(t, convert.Window{Kernel: [2]int{3, 3}, Strides: [2]int{2, 2}, Dilations: [2]int{1, 1}, Pads: [2]int{1, 1}}, n.Layers[0].(*convert.SbS).Window)
}

func TestLoad_KnowsTheMixedDataSets(t *testing.T) {
	for mode, size := range map[string]convert.Size{
		"MIX_MNIST": {Channels: 1, Height: 28, Width: 28}, "MIX_MNIST_FASHION": {Channels: 1, Height: 28, Width: 28}, "MIX_CIFAR10": {Channels: 3, Height: 32, Width: 32},
	} {
		f := factors()
		f["dataset.json"] = `{"data_mode": "` + mode + `"}`
		f.replace(t, "network.json", "[[1, 4], [], [4, 3]]", map[int]string{1: "[[1, 4], [], [4, 10]]", 3: "[[3, 4], [], [4, 10]]"}[size.Channels])
		f.replace(t, "network.json", `"number_of_output_neurons": 3,`, ``)
		f["Weights/Weight_L0_S7.npy"], f["Weights/Weight_L2_S7.npy"] = uniform(9*size.Channels, 4), uniform(16, 10)
		n, r, err := Load(Options{Weights: f.write(t)})
		require.NoError(t, err)
		require.Equal(t, size, n.Input)
		require.Len(t, n.Classes, 10)
		require.NotNil(t, n.Borders)
		require.Len(t, r.Assumed, 1)
		require.Contains(t, r.Assumed[0], "dataset.json: data_mode is "+mode+": the network gets single images")
	}
	require.Error(t, func() error {
		f := factors()
		f["dataset.json"] = `{"data_mode": "MIX_OTHER"}`
		_, _, err := Load(Options{Weights: f.write(t)})
		return err
	}())
}

func TestLoad_RefusesInvalidLayersOfJuly2023(t *testing.T) {
	const network, def = "network.json", "def.json"
	refuse(t, map[string]refusal{
		"iterations":       {factors, swap(def, "[12, -1, 5]", "[12, -1, 0]"), []string{"def.json: number_of_spikes is 0 for layer 2 (NNMF), want 1 to 16777216 iterations"}, nil},
		"rate":             {counts, swap(def, "40, 30", "40, -1"), []string{"def.json: number_of_spikes is -1 for layer 1 (POISSON), want 1 to"}, nil},
		"image spikes":     {counts, swap(def, "[40", "[16777217"), []string{"number_of_spikes is 16777217 for layer 0 (INPUT SPIKE IMAGE), want 0 to 16777216 (0 or less draws no spikes)"}, nil},
		"full spikes":      {counts, swap(def, "20, 8", "0, 8"), []string{"number_of_spikes is 0 for layer 2 (SbS)", "--spikes"}, nil},
		"large epsilon":    {factors, swap(def, `"epsilon_0": 0.5`, `"epsilon_0": 10001`), []string{"def.json: epsilon_0 is 10001 for layer 0 (BP SBS NNMF), want at most 10000"}, nil},
		"tiny epsilon":     {factors, swap(def, `"epsilon_0": 0.5`, `"epsilon_0": 1e-60`), []string{"def.json: epsilon_0 is 1e-60 for layer 0 (BP SBS NNMF)", "a float32 number"}, nil},
		"epsilon of SbS":   {counts, swap(def, `"epsilon_0": 0.5`, `"epsilon_0": 0`), []string{"def.json: epsilon_0 is 0, but layer 2 (SbS) needs more than 0"}, nil},
		"no weights":       {factors, put("Weights/Weight_L2_S7.npy", nil), []string{"layer 2 (NNMF) lacks Weight_L2_S7.npy"}, ErrMissing},
		"negative weight":  {factors, put("Weights/Weight_L0_S7.npy", poke(9, 4, 6, -0.5)), []string{"layer 0 (BP SBS NNMF)", "weight [1, 2] is -0.5"}, nil},
		"no bias":          {approximate, put("Weights/Bias_L3_S7.npy", nil), []string{"layer 3 (APPROX CONV2D) lacks Bias_L3_S7.npy"}, ErrMissing},
		"no bits":          {approximate, swap(def, `, "number_of_frac_bits": [-1, 8, -1, 24]`, ``), []string{"approximation_setting.number_of_frac_bits is missing for layer 1 (APPROX CONV2D), which needs it even if its approximation is disabled; want 1 to 32"}, nil},
		"no trunc bits":    {approximate, swap(def, `"number_of_trunc_bits": [7], `, ``), []string{"approximation_setting.number_of_trunc_bits is missing for layer 1 (APPROX CONV2D)"}, nil},
		"bits of a layer":  {approximate, swap(def, `-1, 24]`, `-1, -1]`), []string{"def.json: approximation_setting.number_of_frac_bits is missing for layer 3 (APPROX CONV2D)"}, nil},
		"many bits":        {approximate, swap(def, `-1, 24]`, `-1, 33]`), []string{"def.json: approximation_setting.number_of_frac_bits is 33 for layer 3 (APPROX CONV2D), want 1 to 32"}, nil},
		"many trunc bits":  {approximate, swap(def, `[7]`, `[33]`), []string{"def.json: approximation_setting.number_of_trunc_bits is 33 for layer 1 (APPROX CONV2D), want 0 to 32"}, nil},
		"length of bits":   {approximate, swap(def, `[7]`, `[7, 7]`), []string{"def.json: approximation_setting.number_of_trunc_bits has 2 entries, the network has 4 layers"}, nil},
		"type of bits":     {approximate, swap(def, `[7]`, `7`), []string{"def.json:1: approximation_setting.number_of_trunc_bits: want a list of whole numbers, found the number 7"}, nil},
		"type of enable":   {approximate, swap(def, `[true], "number_of_trunc_bits"`, `[1], "number_of_trunc_bits"`), []string{"approximation_enable[0]: want true or false"}, nil},
		"noisy pictures":   {factors, swap(def, "{", `{"extract_noisy_pictures": 1, `), []string{"extract_noisy_pictures: want true or false"}, nil},
		"placement":        {factors, swap(def, "{", `{"force_forward_h_dynamic_on_cpu": "yes", `), []string{"force_forward_h_dynamic_on_cpu: want true or false"}, nil},
		"reconstruction":   {factors, swap(network, `"Average POOLING"`, `"RECONSTRUCTION"`), []string{"layer 1 (RECONSTRUCTION) must come directly after an SbS layer, not after layer 0 (BP SBS NNMF)"}, nil},
		"outputs":          {factors, swap(network, `neurons": 3`, `neurons": 4`), []string{"number_of_output_neurons is 4, but the last layer has 3 outputs"}, nil},
		"channels of NNMF": {factors, swap(network, `[4, 3]`, `[5, 3]`), []string{"layer 2 (NNMF) expects 5 input channels"}, nil},
	})
}

// Save restores the folders of all layers of July 2023.
func TestSave_WritesTheLayersOfJuly2023(t *testing.T) {
	for name, f := range latest() {
		t.Run(name, func(t *testing.T) {
			opt := options(f.write(t))
			opt.Mean = nil
			_, extra, report := roundTrip(t, opt)
			require.Empty(t, extra)
			require.Empty(t, report.Warnings)
		})
	}
	for name, edit := range map[string]func(t *testing.T, f files, opt *Options){
		"multiplicative": swap("def.json", `"epsilon_0": 0.5`, `"epsilon_0": 0`),
		"negative":       swap("def.json", `"epsilon_0": 0.5`, `"epsilon_0": -3`),
		"one number":     swap("def.json", "[12, -1, 5]", "[12]"),
	} {
		t.Run(name, func(t *testing.T) {
			f, opt := factors(), options("")
			edit(t, f, &opt)
			opt.Weights, opt.Mean = f.write(t), nil
			roundTrip(t, opt)
		})
	}
}

func TestSave_RestoresAnOnOffLayerWithoutAMean(t *testing.T) {
	f := convolutions()
	f["Weights/Mean_L0_S3.npy"] = nil
	opt := options(f.write(t))
	opt.Mean = nil
	weights, extra, report := roundTrip(t, opt)
	require.Empty(t, extra)
	require.Empty(t, report.Warnings)
	require.NoFileExists(t, filepath.Join(weights, "Mean_L0_S3.npy"))
}

// A network that was changed is written with the values of its layers.
func TestSave_WritesChangesOfTheLayersOfJuly2023(t *testing.T) {
	again := func(n *convert.Network) *convert.Network {
		weights := filepath.Join(t.TempDir(), "Weights")
		_, err := Save(weights, n, SaveOptions{})
		require.NoError(t, err)
		opt := options(weights)
		opt.Mean = nil
		back, r, err := Load(opt)
		require.NoError(t, err)
		require.Empty(t, r.Warnings)
		return back
	}
	n, _ := load2(t, factors())
	for _, i := range []int{0, 2} {
		l := n.Layers[i].(*convert.NNMF)
		l.Iterations, l.Epsilon0 = 3, 0
	}
	require.Equal(t, n.Layers, again(n).Layers)
	n.Layers[0].(*convert.NNMF).Epsilon0 = 1
	_, err := Save(filepath.Join(t.TempDir(), "Weights"), n, SaveOptions{})
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "the SbS and NNMF layers have different forgetting, epsilon_0")

	n, _ = load2(t, counts())
	n.Layers[0], n.Layers[1] = &convert.SpikeImage{}, &convert.Poisson{Spikes: 9}
	n.Layers[2].(*convert.SbS).FullLayer, n.Layers[3].(*convert.SbS).FullLayer = false, true
	require.Equal(t, n.Layers, again(n).Layers)

	n, _ = load2(t, approximate())
	for _, i := range []int{1, 3} {
		l := n.Layers[i].(*convert.ApproxConv)
		l.FracBits, l.TruncBits, l.Enabled = 30, 1, false
	}
	require.Equal(t, n.Layers, again(n).Layers)

	one, _, err := Load(options(dialect1().write(t)))
	require.NoError(t, err)
	one.Layers[0].(*convert.SbS).FullLayer = true
	_, err = Save(filepath.Join(t.TempDir(), "Weights"), one, SaveOptions{})
	require.ErrorContains(t, err, "layer 0 (SbS) draws spikes from its whole input, which dialect 1 does not support")
}

func TestNewNetwork_MakesTheLayersOfJuly2023(t *testing.T) {
	n, training, r, err := untrainedNet(t, counts(), Start{}, nil)
	require.NoError(t, err)
	require.Empty(t, r.Warnings)
	require.Equal(t, []LayerTraining{{}, {}, {Weights: true, SkipGradient: true}, {Weights: true, SkipGradient: true}, {Weights: true}}, training.Layers)
	w := n.Layers[4].(*convert.NNMF).Weights
	require.Equal(t, []int{20, 3}, w.Shape())
	for _, v := range w.Float32s() {
		require.InDelta(t, 1.0/20, v, 0.1/20)
	}

	n, training, _, err = untrainedNet(t, approximate(), Start{}, nil)
	require.NoError(t, err)
	require.Equal(t, []LayerTraining{{}, {Weights: true}, {}, {Weights: true}}, training.Layers)
	require.NotNil(t, n.Layers[1].(*convert.ApproxConv).Bias)
	require.Nil(t, n.Layers[0].(*convert.OnOff).Mean)

	_, training, _, err = untrainedNet(t, factors(), Start{}, nil)
	require.NoError(t, err)
	require.Equal(t, []LayerTraining{{Weights: true}, {}, {Weights: true}}, training.Layers, "an NNMF layer cannot skip its gradient")

	for text, want := range map[string]string{
		`"loss_mode": 1`:                       "def.json: learning_parameters.loss_mode is 1, want 0: layer 1 (RECONSTRUCTION), the last one, has no classes",
		`"lr_scheduler_use_performance": true`: "def.json: learning_parameters.lr_scheduler_use_performance is true, want false: layer 1 (RECONSTRUCTION)",
	} {
		f := reconstructed()
		f.replace(t, "def.json", `"learning_parameters": {`, `"learning_parameters": {`+text+", ")
		_, _, _, err := untrainedNet(t, f, Start{}, nil)
		require.ErrorContains(t, err, want)
	}
	_, _, _, err = untrainedNet(t, reconstructed(), Start{}, nil)
	require.NoError(t, err)
}

func TestNewLastLayer_ReplacesTheLayersOfJuly2023(t *testing.T) {
	for name, f := range map[string]files{"factors": factors(), "approximate": approximate()} {
		n, _, _, err := untrainedNet(t, f, Start{Seed: 3}, nil)
		require.NoError(t, err)
		same, err := NewLastLayer(n, 3, Start{Seed: 3})
		require.NoError(t, err)
		require.Equal(t, n.Layers, same.Layers, name)
		more, err := NewLastLayer(n, 7, Start{Seed: 3})
		require.NoError(t, err)
		sizes, err := more.Sizes()
		require.NoError(t, err)
		require.Equal(t, 7, sizes[len(sizes)-1].Channels)
	}
}
