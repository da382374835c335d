package pytorch

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
)

// Each case edits the network of dialect 2, whose eps_xy_intitial is 0.25 and whose epsilon_0 is
// 0.5, and checks what is known and what is assumed about its generation.
func TestLoad_TellsTheGenerationsApart(t *testing.T) {
	const def, network = "def.json", "network.json"
	without := swap(def, `"eps_xy_intitial": 0.25, `, ``)
	one := swap(def, `0.25`, `1`)
	both := func(edits ...func(*testing.T, files, *Options)) func(*testing.T, files, *Options) {
		return func(t *testing.T, f files, opt *Options) {
			for _, edit := range edits {
				edit(t, f, opt)
			}
		}
	}
	key := func(text string) func(*testing.T, files, *Options) { return swap(def, "{", "{"+text+", ") }
	split := func(t *testing.T, f files, _ *Options) {
		f.replace(t, network, `["SbS", "Average POOLING", "sbs",]`, `["ONOFF", "SbS", "Average POOLING", "SbS"]`)
		f.replace(t, network, `[[1, 4], [], [4, 3]]`, `[[], [2, 4], [], [4, 3]]`)
		f.replace(t, network, `[[3, 3], [2, 2], [1, 1]]`, `[[1, 1], [3, 3], [2, 2], [1, 1]]`)
		f.replace(t, network, `[[1, 1], [2, 2], []]`, `[[], [1, 1], [2, 2], []]`)
		f["Weights/Weight_L1_S7.npy"], f["Weights/Weight_L3_S7.npy"] = uniform(18, 4), f["Weights/Weight_L2_S7.npy"]
		f["Weights/Weight_L0_S7.npy"], f["Weights/Weight_L2_S7.npy"] = nil, nil
	}
	mean := put("Weights/Mean_L0_S7.npy", array([]int{1, 1, 4, 4}, 0.25))
	const cool = `"cooldown_after_number_of_spikes": 5, "reduction_cooldown": 4`
	for name, c := range map[string]struct {
		edit       func(*testing.T, files, *Options)
		generation string
		epsilon    float32  // epsilon_0 times epsilon_xy
		assumed    []string // parts of the assumptions
		warnings   []string // parts of the warnings
	}{
		"no key":          {without, "January 2023 (assumed)", 0.05, []string{"eps_xy_intitial is not given: assumed PyTorch-SbS of January 2023, where it is 0.1; nothing"}, nil},
		"key":             {func(*testing.T, files, *Options) {}, "January 2023 (assumed)", 0.125, []string{"eps_xy_intitial is 0.25: assumed PyTorch-SbS of January 2023, which uses it"}, nil},
		"no difference":   {one, "January 2023 or later", 0.5, nil, nil},
		"full layer":      {both(without, key(`"spike_full_layer_input_distribution": []`)), "July 2023 (key spike_full_layer_input_distribution)", 0.5, nil, nil},
		"placement":       {both(without, key(`"force_forward_h_dynamic_on_cpu": false`)), "July 2023 (key force_forward_h_dynamic_on_cpu)", 0.5, nil, nil},
		"noisy":           {both(without, key(`"extract_noisy_pictures": false`)), "July 2023 (key extract_noisy_pictures)", 0.5, nil, nil},
		"noisy pictures":  {both(without, key(`"extract_noisy_pictures": true`)), "July 2023 (key extract_noisy_pictures)", 0.5, nil, []string{"extract_noisy_pictures is ignored"}},
		"key of January":  {key(`"extract_noisy_pictures": false`), "July 2023 (key extract_noisy_pictures)", 0.5, nil, []string{"eps_xy_intitial is 0.25, but PyTorch-SbS of July 2023 (key extract_noisy_pictures) ignores it: its value is always 1"}},
		"mixed":           {both(without, swap("dataset.json", `"data_mode": ""`, `"data_mode": "MIX_MNIST"`)), "July 2023 (data_mode MIX_MNIST)", 0.5, []string{"data_mode is MIX_MNIST: the network gets single images of MNIST"}, nil},
		"requested":       {both(without, option(func(o *Options) { o.Generation = "2023-07" })), "July 2023 (as requested)", 0.5, nil, nil},
		"requested early": {both(without, option(func(o *Options) { o.Generation = "2023-01" })), "January 2023 (as requested)", 0.05, nil, nil},
		"requested known": {both(without, key(`"extract_noisy_pictures": false`), option(func(o *Options) { o.Generation = "2023-07" })), "July 2023 (key extract_noisy_pictures)", 0.5, nil, nil},
		"order":           {both(without, ordered), "July 2023 (order 0.5 in the file names)", 0.5, []string{"layer 0 (SbS) has 8 spikes instead of number_of_spikes: the arrays have the order 0.5, and the input has 16 values"}, nil},
		"Mean file":       {both(without, split, mean), "January 2023 (Mean file)", 0.05, nil, nil},
		"no Mean file":    {both(without, split), "July 2023 (assumed: no Mean file)", 0.5, []string{"layer 0 (ONOFF) has no Mean file: assumed PyTorch-SbS of July 2023, which splits around 0.5 and does not divide by the sum; if the network is from January 2023, which splits around a mean, use --generation 2023-01"}, nil},
		"unused Mean":     {both(one, split, mean, key(`"extract_noisy_pictures": false`)), "July 2023 (key extract_noisy_pictures)", 0.5, nil, []string{"the Mean files are ignored, and are not written back"}},
		"cooldown":        {both(one, key(cool)), "January 2023 or later", 0.5, nil, nil},
		"lost cooldown":   {both(one, key(cool), key(`"extract_noisy_pictures": false`)), "July 2023 (key extract_noisy_pictures)", 0.5, nil, []string{"cooldown_after_number_of_spikes is 5: the cooldown is applied, although PyTorch-SbS of July 2023 ignores it by mistake"}},
		"unused cooldown": {both(one, key(strings.Replace(cool, "5", "9", 1)), key(`"extract_noisy_pictures": false`)), "July 2023 (key extract_noisy_pictures)", 0.5, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, opt := dialect2(), options("")
			opt.Mean = nil
			c.edit(t, f, &opt)
			opt.Weights = f.write(t)
			n, r, err := Load(opt)
			require.NoError(t, err)
			require.Equal(t, c.generation, r.Generation)
			require.Equal(t, 2, n.Dialect)
			require.Len(t, r.Assumed, len(c.assumed), r.Assumed)
			for i, want := range c.assumed {
				require.Contains(t, r.Assumed[i], want)
			}
			require.Len(t, r.Warnings, len(c.warnings), r.Warnings)
			for i, want := range c.warnings {
				require.Contains(t, r.Warnings[i], want)
			}
			for _, l := range n.Layers {
				if s, ok := l.(*convert.SbS); ok {
					require.Equal(t, c.epsilon, s.Epsilon0)
					if strings.Contains(name, "cooldown") && !strings.Contains(name, "unused") {
						require.Less(t, s.EpsilonT[5], s.EpsilonT[4]/3)
					}
				}
			}
			if split, ok := n.Layers[0].(*convert.OnOff); ok {
				require.Equal(t, name == "Mean file", split.Mean != nil)
			}

			// A folder that was written from the network gives the same one.
			weights := filepath.Join(t.TempDir(), "Weights")
			_, err = Save(weights, n, SaveOptions{})
			require.NoError(t, err)
			again := opt
			again.Generation = ""
			again.Weights = weights
			back, r, err := Load(again)
			require.NoError(t, err)
			require.Equal(t, n.Layers, back.Layers)
			if opt.Generation == "" {
				require.Equal(t, c.generation[:9], r.Generation[:9])
			}
		})
	}
	_, r, err := Load(options(dialect1().write(t)))
	require.NoError(t, err)
	require.Equal(t, "May 2022", r.Generation)
	require.Empty(t, r.Assumed)
}

// ordered gives the arrays of the network of dialect 2 the order 0.5.
func ordered(_ *testing.T, f files, _ *Options) {
	for _, name := range []string{"Weights/Weight_L0_S7", "Weights/Weight_L2_S7"} {
		f[name+"_0.5.npy"], f[name+".npy"] = f[name+".npy"], nil
	}
}

// A network without SbS layers has no epsilon_xy.
func TestLoad_AssumesNothingAboutEpsilonXYWithoutSbSLayers(t *testing.T) {
	f := approximate()
	f["Weights/Mean_L0_S7.npy"] = array([]int{1, 1, 4, 4}, 0.25)
	n, r := load2(t, f)
	require.Empty(t, r.Assumed)
	require.NotNil(t, n.Layers[0].(*convert.OnOff).Mean)
}

// A network whose first layer is not an SbS layer can have an order too.
func TestLoad_ReadsArraysOfAnOrder(t *testing.T) {
	f := dialect2()
	f.replace(t, "def.json", `"eps_xy_intitial": 0.25, `, "")
	ordered(t, f, nil)
	opt := options(f.write(t))
	opt.Mean = nil
	n, r, err := Load(opt)
	require.NoError(t, err)
	require.Equal(t, "0.5", r.Order)
	require.Empty(t, r.Warnings)
	require.Equal(t, []int{8, 9}, []int{n.Layers[0].(*convert.SbS).Spikes, n.Layers[2].(*convert.SbS).Spikes})
	require.Equal(t, 8, r.Layers[0].Spikes)
	roundTrip(t, opt)
	opt.Spikes = 3
	n, _, err = Load(opt)
	require.NoError(t, err)
	require.Equal(t, 3, n.Layers[0].(*convert.SbS).Spikes)
	report, err := Save(filepath.Join(t.TempDir(), "Weights"), n, SaveOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"the names of the arrays lose the order 0.5, because it contradicts the number of spikes of layer 0"}, report.Warnings)
	require.Equal(t, "Weight_L0_S7.npy", filepath.Base(report.Files[0].Path))

	for _, order := range []string{"0.5", "0.50", "5e-1"} {
		opt.Order = order
		_, r, err := Load(opt)
		require.NoError(t, err)
		require.Equal(t, "0.5", r.Order)
	}

	f["Weights/Weight_L0_S8_1.0.npy"], f["Weights/Weight_L2_S8_1.0.npy"] = uniform(9, 4), uniform(4, 3)
	f["Weights/Weight_L0_S6.npy"], f["Weights/Weight_L2_S6.npy"] = uniform(9, 4), uniform(4, 3)
	opt = Options{Weights: f.write(t), Input: opt.Input}
	_, _, err = Load(opt)
	require.ErrorContains(t, err, "have several orders: none, 0.5, 1.0; choose one with --order")
	for order, want := range map[string]struct{ step, spikes int }{"none": {6, 9}, "0.5": {7, 8}, "1": {8, 16}} {
		opt.Order = order
		n, r, err := Load(opt)
		require.NoError(t, err)
		require.Equal(t, want.step, n.Step, order)
		require.Equal(t, want.spikes, n.Layers[0].(*convert.SbS).Spikes, order)
		require.Empty(t, r.Warnings)
	}
	for order, want := range map[string]string{
		"2": "layer 0 (SbS) lacks Weight_L0_S*_2.0.npy, layer 2 (SbS) lacks Weight_L2_S*_2.0.npy; the orders of the arrays are none, 0.5, 1.0: choose one of them with --order", "x": `the order is "x", want a number greater than 0, or none`,
		"-1": `the order is "-1"`, "NaN": `the order is "NaN"`, "Inf": `the order is "Inf"`, "1e9": "the order 1000000000.0 of the arrays times the 1x4x4 values",
	} {
		opt.Order = order
		_, _, err := Load(opt)
		require.ErrorContains(t, err, want)
	}

	one := dialect1()
	opt = options(one.write(t))
	opt.Order = "0.5"
	_, _, err = Load(opt)
	require.ErrorContains(t, err, "the order 0.5 was requested, but the arrays of dialect 1 have no order")
	one["Weights/Weight_L0_S8_0.5.npy"] = uniform(18, 4)
	_, r, err = Load(options(one.write(t)))
	require.NoError(t, err)
	require.Len(t, r.Warnings, 1)
	require.Contains(t, r.Warnings[0], "Weight_L0_S8_0.5.npy is ignored: want a name like")
}

// Python writes an order as a float. A file with another number is named in the error, in a
// subfolder too.
func TestLoad_SaysWhyFilesWithAnIntegerAreIgnored(t *testing.T) {
	f := dialect2()
	for _, name := range []string{"Weight_L0_S7", "Weight_L2_S7"} {
		f["Parameters/"+name+"_5.npy"], f["Weights/"+name+".npy"] = f["Weights/"+name+".npy"], nil
	}
	opt := options(filepath.Dir(f.write(t)))
	opt.Mean = nil
	for _, order := range []string{"", "5"} {
		opt.Order = order
		_, _, err := Load(opt)
		require.ErrorIs(t, err, ErrMissing)
		require.ErrorContains(t, err, filepath.Join("Parameters", "Weight_L0_S7_5.npy")+" is ignored: want a name like Weight_L0_S0.npy or Weight_L0_S0.npy.gz, or Weight_L0_S0_5.0.npy with an order")
	}
}

// The files that an earlier training has left show the generation, even if no values are read from them.
func TestNewNetwork_HasAMeanIfTheWeightsFolderHasOne(t *testing.T) {
	for name, want := range map[string]bool{"Parameters/Mean_L0_S5.npy": true, "Parameters/Mean_L1_S5.npy": false, "Other/Mean_L0_S5.npy": false} {
		f := convolutions()
		f["Weights/Mean_L0_S3.npy"] = nil
		f[name] = array([]int{1, 1, 4, 4}, 0.75)
		n, _, r, err := untrainedNet(t, f, Start{Overload: true}, nil)
		require.NoError(t, err)
		require.Len(t, r.Warnings, 1)
		require.Contains(t, r.Warnings[0], "no layer is trainable")
		mean := n.Layers[0].(*convert.OnOff).Mean
		require.Equal(t, want, mean != nil, name)
		if want {
			require.Equal(t, float32(0.5), mean.Float32s()[0], "the values are not read")
			require.Equal(t, "January 2023 (Mean file)", r.Generation)
		}
	}
	f := convolutions()
	f["Weights/Mean_L0_S3.npy"] = nil
	f["mine/Mean_L0_S5.npy"] = array([]int{1, 1, 4, 4}, 0.75)
	f.replace(t, "def.json", "{", `{"weight_path": "mine",`)
	n, _, _, err := untrainedNet(t, f, Start{Overload: true}, nil)
	require.NoError(t, err)
	require.NotNil(t, n.Layers[0].(*convert.OnOff).Mean)
}

// A layer without an entry in a short list has the default kernel, which errors about its weights name.
func TestLoad_NamesAShortKernelListInShapeErrors(t *testing.T) {
	f := dialect2()
	f.replace(t, "network.json", `[[3, 3], [2, 2], [1, 1]]`, `[[3, 3], [2, 2]]`)
	load2(t, f)
	f["Weights/Weight_L2_S7.npy"] = uniform(16, 3)
	_, _, err := Load(Options{Weights: f.write(t), Input: options("").Input})
	require.ErrorContains(t, err, "check forward_neuron_numbers and forward_kernel_size (which has no entry for this layer, so that its kernel is [1, 1])")
}

// A network with an order in a layer other than SbS keeps its number of spikes.
func TestLoad_GivesTheSpikesOfAnOrderToTheRightLayers(t *testing.T) {
	for _, c := range []struct {
		make func() files
		want int
	}{{counts, 8}, {factors, 12}} {
		f := files{}
		for name, content := range c.make() {
			f[strings.Replace(name, "_S7", "_S7_0.5", 1)] = content
		}
		opt := options(f.write(t))
		opt.Mean = nil
		n, _, err := Load(opt)
		require.NoError(t, err)
		count, _ := countOf(n.Layers[0])
		require.Equal(t, c.want, count)
		roundTrip(t, opt)
	}
}

func TestSave_WritesTheRequestedOrder(t *testing.T) {
	n, _ := load2(t, counts())
	weights := filepath.Join(t.TempDir(), "Weights")
	_, err := Save(weights, n, SaveOptions{Order: "2.50"}) // 16 values, 40 spikes
	require.NoError(t, err)
	opt := options(weights)
	opt.Mean = nil
	back, r, err := Load(opt)
	require.NoError(t, err)
	require.Equal(t, "2.5", r.Order)
	require.Equal(t, n.Layers, back.Layers)
	one, _, err := Load(options(dialect1().write(t)))
	require.NoError(t, err)
	for order, c := range map[string]struct {
		n    *convert.Network
		want string
	}{
		"2":   {n, "the order 2.0 means 32 spikes of layer 0, which has 40"},
		"":    {nil, "no network was given"},
		"no":  {n, `the order is "no"`},
		"0.5": {one, "the arrays of dialect 1 have no order"},
	} {
		require.ErrorContains(t, CheckSave(filepath.Join(t.TempDir(), "Weights"), c.n, SaveOptions{Order: order}, nil), c.want)
	}
}

// PyTorch-SbS refuses layers with one or two neurons.
func TestSave_WarnsOfFewNeurons(t *testing.T) {
	n, _ := load2(t, factors())
	two, err := NewLastLayer(n, 2, Start{})
	require.NoError(t, err)
	report, err := Save(filepath.Join(t.TempDir(), "Weights"), two, SaveOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"layer 2 (NNMF) has 2 neurons; PyTorch-SbS refuses layers with fewer than 3"}, report.Warnings)
}

func TestPythonFloat_WritesNumbersAsPythonDoes(t *testing.T) {
	for v, want := range map[float64]string{0.5: "0.5", 1: "1.0", 1e-5: "1e-05", 1e-4: "0.0001", 1e15: "1000000000000000.0", 1e16: "1e+16", 2.5e-7: "2.5e-07"} {
		require.Equal(t, want, pythonFloat(v))
		id, ok := parseName("Weight_L0_S5_" + want + ".npy")
		require.True(t, ok)
		require.Equal(t, fileID{quantity: weightFile, step: 5, order: want}, id)
		require.Equal(t, "Weight_L0_S5_"+want+".npy", id.String())
	}
	for _, name := range []string{"Weight_L0_S5_1.npy", "Weight_L0_S5_.npy", "Weight_L0_S5_x.npy", "Weight_L0_S5_-0.5.npy", "Weight_L0_S5_0.5_0.5.npy"} {
		_, ok := parseName(name)
		require.False(t, ok, name)
	}
}

// Save writes no array next to arrays of another order, and no ONOFF layer without a mean next to
// a Mean file: Load would read another network.
func TestSave_RefusesFoldersThatLoadWouldMisread(t *testing.T) {
	plain, _ := load2(t, dialect2())
	split, _ := load2(t, approximate())
	for _, c := range []struct {
		n          *convert.Network
		file, want string
	}{
		{plain, "Weight_L0_S3_0.5.npy", "has another order in its name"},
		{plain, "Bias_L7_S3_0.5.npy", "has another order in its name than the arrays of this network, so that it would not be clear which ones to read"},
		{split, "Mean_L0_S3.npy", "shows a mean, which OnOff of this network does not have"},
	} {
		f := files{"Weights/" + c.file: array([]int{1}, 1)}
		_, err := Save(f.write(t), c.n, SaveOptions{})
		require.ErrorContains(t, err, c.want)
	}
	f := files{"Weights/Mean_L0_S3.npy": array([]int{1}, 1)}
	_, err := Save(f.write(t), plain, SaveOptions{})
	require.NoError(t, err)
}

// A folder can hold the arrays of several orders, which --order tells apart.
func TestSave_WritesAnOrderNextToAnother(t *testing.T) {
	n, _ := load2(t, dialect2())
	weights := filepath.Join(t.TempDir(), "Weights")
	for _, order := range []string{"0.5", "1.0"} {
		n.Layers[0].(*convert.SbS).Spikes = map[string]int{"0.5": 8, "1.0": 16}[order]
		n.Layers[0].(*convert.SbS).EpsilonT = generations.epsilonT[january2023].EpsilonT(16)
		_, err := Save(weights, n, SaveOptions{Order: order, ArraysOnly: true})
		require.NoError(t, err)
	}
	n.Layers[0].(*convert.SbS).Spikes = 9
	_, err := Save(weights, n, SaveOptions{ArraysOnly: true})
	require.ErrorContains(t, err, "has another order in its name")
}

func TestParseName_ReturnsStepAndOrder(t *testing.T) {
	for name, want := range map[string]string{
		"Weight_L0_S5_0.5.npy": "5 0.5 true", "Bias_L3_S17.npy.gz": "17  true", "EpsXY_L0_S2.npy": "2  true", "Weight_L0_S5_5.npy": "false", "Weight_L0.npy": "false",
	} {
		step, order, ok := ParseName(name)
		require.Contains(t, fmt.Sprint(step, " ", order, " ", ok), want)
	}
}

// An ONOFF layer with a mean does not fit a network of July 2023.
func TestSave_RefusesAMeanInANetworkOfJuly2023(t *testing.T) {
	n, _ := load2(t, convolutions())
	n.Training = []byte(`{"extract_noisy_pictures": false}`)
	_, err := Save(filepath.Join(t.TempDir(), "Weights"), n, SaveOptions{})
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "layer 0 (OnOff) has a mean, but another layer or a key of the network is from PyTorch-SbS of July 2023")
}

// A training that starts from an earlier one of January 2023 has its means.
func TestNewNetwork_HasAMeanIfTheOverloadedFilesHaveOne(t *testing.T) {
	f := convolutions()
	f["Previous/Mean_L0_S5.npy"], f["Weights/Mean_L0_S3.npy"] = array([]int{1, 1, 4, 4}, 0.75), nil
	for overload, want := range map[bool]bool{true: true, false: false} {
		n, _, _, err := untrainedNet(t, f, Start{Overload: overload}, nil)
		require.NoError(t, err)
		require.Equal(t, want, n.Layers[0].(*convert.OnOff).Mean != nil)
	}
}
