package pytorch

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// refusal is a network that Load must refuse.
type refusal struct {
	make func() files
	edit func(t *testing.T, f files, opt *Options)
	want []string // parts of the error
	is   error    // an error that it wraps, or nil
}

// swap makes an edit that replaces a text in one file.
func swap(name, old, with string) func(*testing.T, files, *Options) {
	return func(t *testing.T, f files, _ *Options) { f.replace(t, name, old, with) }
}

// put makes an edit that replaces or adds a file; nil removes it.
func put(name string, content any) func(*testing.T, files, *Options) {
	return func(_ *testing.T, f files, _ *Options) { f[name] = content }
}

func option(set func(*Options)) func(*testing.T, files, *Options) {
	return func(_ *testing.T, _ files, opt *Options) { set(opt) }
}

// poke returns uniform weights with one value changed.
func poke(places, neurons, at int, v float32) *npy.Array {
	a := uniform(places, neurons)
	a.Data.([]float32)[at] = v
	return a
}

func refuse(t *testing.T, tests map[string]refusal) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := test.make()
			opt := options("")
			test.edit(t, f, &opt)
			weights := f.write(t)
			if opt.Weights == "" {
				opt.Weights = weights
			}
			for i, c := range opt.Config {
				opt.Config[i] = filepath.Join(weights, c)
			}
			if opt.EpsilonXY != "" {
				opt.EpsilonXY = filepath.Join(weights, opt.EpsilonXY)
			}
			n, r, err := Load(opt)
			require.Error(t, err)
			require.Nil(t, n)
			require.Nil(t, r)
			require.True(t, strings.HasPrefix(err.Error(), "pytorch: "), err)
			for _, w := range test.want {
				require.ErrorContains(t, err, w)
			}
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
		})
	}
}

func TestLoad_RefusesInvalidOptions(t *testing.T) {
	refuse(t, map[string]refusal{
		"no folder":          {dialect2, option(func(o *Options) { o.Weights = filepath.Join("no", "such") }), []string{"the weights folder", filepath.Join("no", "such")}, os.ErrNotExist},
		"spikes":             {dialect2, option(func(o *Options) { o.Spikes = sbs.MaxSpikes + 1 }), []string{"16777217 spikes", "1 to 16777216"}, nil},
		"negative spikes":    {dialect2, option(func(o *Options) { o.Spikes = -1 }), []string{"-1 spikes"}, nil},
		"mean":               {dialect1, option(func(o *Options) { o.Mean = []float32{float32(math.NaN())} }), []string{"mean of channel 0 is NaN"}, nil},
		"means":              {dialect1, option(func(o *Options) { o.Mean = []float32{1, 2} }), []string{"2 means, but the image has 1 channels", "--mean"}, nil},
		"no mean":            {dialect1, option(func(o *Options) { o.Mean = nil }), []string{"on/off split needs", `data_mode ""`, "--mean"}, nil},
		"no input":           {dialect2, option(func(o *Options) { o.Input = convert.Size{} }), []string{`data_mode is ""`, "--input CxHxW"}, nil},
		"half an input":      {dialect2, option(func(o *Options) { o.Input.Width = 0 }), []string{"1x8x0", "1 to 16384"}, nil},
		"small input":        {dialect2, option(func(o *Options) { o.Input.Height = 4 }), []string{"augmentation.crop_width_in_pixel", "cannot crop 2"}, nil},
		"channels":           {dialect2, option(func(o *Options) { o.Input.Channels = 3 }), []string{"layer 0 (SbS) expects 1 input channels", "has 3", "--input"}, nil},
		"given step":         {dialect2, option(func(o *Options) { o.Step = new(6) }), []string{"at step 6", "Weight_L0_S6.npy", "Weight_L2_S6.npy", "--step (steps with files: 7)", "--allow-untrained"}, ErrMissing},
		"eps folder":         {dialect1, option(func(o *Options) { o.EpsilonXY = "../no" }), []string{"no"}, os.ErrNotExist},
		"eps elsewhere":      {dialect1, option(func(o *Options) { o.EpsilonXY = "../Weights" }), []string{"layer 0 (SbS) lacks EpsXY_L0_S7.npy", "layer 1 (SbS POOLING) lacks", "--eps-xy DIR"}, ErrMissing},
		"missing config":     {dialect2, option(func(o *Options) { o.Config = []string{"../not.json"} }), []string{"not.json"}, os.ErrNotExist},
		"generation":         {dialect2, option(func(o *Options) { o.Generation = "2022-05" }), []string{`the generation is "2022-05", want one of ["2023-01" "2023-07"]`}, nil},
		"no generation":      {dialect1, option(func(o *Options) { o.Generation = "2023-07" }), []string{"the generation 2023-07 was requested, but without a layer_type the configuration is from May 2022"}, nil},
		"late generation":    {factors, option(func(o *Options) { o.Generation = "2023-01" }), []string{"the generation 2023-01 was requested, but the network is from PyTorch-SbS of July 2023 (layer type BP SBS NNMF)"}, nil},
		"no mean of 2023-01": {approximate, option(func(o *Options) { o.Generation = "2023-01" }), []string{"layer 0 (ONOFF) lacks Mean_L0_S7.npy"}, ErrMissing},
		"config folder":      {dialect2, option(func(o *Options) { o.Config = []string{".."} }), []string{"is not a regular file"}, nil},
		"config part":        {dialect2, option(func(o *Options) { o.Config = []string{"../def.json"} }), []string{"def.json has no network_structure", "--config FILE"}, ErrNoConfiguration},
	})
}

func TestLoad_RefusesInvalidConfigurations(t *testing.T) {
	const tiny, network, def = "tiny.json", "network.json", "def.json"
	refuse(t, map[string]refusal{
		"none":       {dialect1, put(tiny, nil), []string{"neither", "network.json", "--config FILE"}, ErrNoConfiguration},
		"two":        {dialect1, put("also.json", `{"network_structure": {}}`), []string{"also.json", "tiny.json", "--config FILE"}, ErrNoConfiguration},
		"broken":     {dialect1, put(tiny, `{"network_structure": {`), []string{"tiny.json", "line 2", "--config FILE"}, ErrNoConfiguration},
		"syntax":     {dialect2, put(def, "{\n\"a\": }"), []string{"def.json: not valid JSON: line 2, column 6, key \"a\": invalid character"}, nil},
		"no object":  {dialect2, put(def, `[1]`), []string{"def.json: want an object, found a list"}, nil},
		"too long":   {dialect2, put(def, strings.Repeat(" ", maxConfig+1)), []string{"def.json", "too many for a configuration"}, nil},
		"brackets":   {dialect2, put(def, strings.Repeat("[", maxBrackets+1)), []string{"def.json", "brackets"}, nil},
		"section":    {dialect2, swap(def, `"augmentation": {}`, `"augmentation": 3`), []string{"def.json:3: augmentation: want an object, found the number 3"}, nil},
		"null":       {dialect2, swap(def, "0.5", "null"), []string{"def.json:2: forgetting_offset: want a number, found null"}, nil},
		"number":     {dialect2, swap(def, "0.5", `"0.5"`), []string{`def.json:2: forgetting_offset: want a number, found the string "0.5"`}, nil},
		"overflow":   {dialect2, swap(def, "0.5", `1e999`), []string{`forgetting_offset: want a number, found the number 1e999`}, nil},
		"whole":      {dialect2, swap(def, "[9]", `[9.5]`), []string{`number_of_spikes[0]: want a whole number, found the number 9.5`}, nil},
		"huge":       {dialect2, swap(def, "[9]", `1e300`), []string{`number_of_spikes: want a whole number, found the number 1e300`}, nil},
		"text":       {dialect2, swap("dataset.json", `""`, `7`), []string{`dataset.json:1: data_mode: want a string, found the number 7`}, nil},
		"texts":      {dialect2, swap(network, `"sbs"`, `true`), []string{`network.json:5: network_structure.layer_type[2]: want a string, found true`}, nil},
		"list":       {dialect2, swap(network, `[[1, 1], [2, 2], []]`, `{}`), []string{`network_structure.strides: want a list of pairs of whole numbers, found an object`}, nil},
		"pair":       {dialect2, swap(network, `[2, 2], []`, `[2], []`), []string{`strides[1]: want two whole numbers or none, found 1`}, nil},
		"pair type":  {dialect2, swap(network, `[2, 2], []`, `[2, "2"], []`), []string{`strides[1][1]: want a whole number, found the string "2"`}, nil},
		"not a list": {dialect2, swap(def, `"w_trainable": [true]`, `"w_trainable": true`), []string{`learning_parameters.w_trainable: want a list, found true`}, nil},
		"bool":       {dialect1, swap(tiny, `"is_pooling_layer": [false`, `"is_pooling_layer": [0`), []string{`is_pooling_layer[0]: want true or false, found the number 0`}, nil},

		"length":          {dialect1, swap(tiny, `"strides": [[1, 1], [2, 2], [1, 1]]`, `"strides": [[1, 1], [2, 2]]`), []string{"tiny.json: network_structure.strides has 2 entries, the network has 3 layers", "or one for all"}, nil},
		"more strides":    {dialect2, swap(network, `[2, 2], []]`, `[2, 2], [], [1, 1]]`), []string{"network.json: network_structure.strides has 4 entries, the network has 3 layers; give one entry per layer"}, nil},
		"one neurons":     {dialect2, swap(network, `[[1, 4], [], [4, 3]]`, `[[1, 4]]`), []string{"forward_neuron_numbers[2] is missing or empty, and layer 2 (SbS) needs"}, nil},
		"longer":          {dialect2, swap(def, `[9]`, `[9, 9, 9, 9]`), []string{"def.json: number_of_spikes has 4 entries, the network has 3 layers"}, nil},
		"unused length":   {dialect1, swap(tiny, `[true, false, true]`, `[true, true]`), []string{"tiny.json: network_structure.w_trainable has 2 entries, the network has 3 layers"}, nil},
		"no layers":       {dialect2, swap(network, `["SbS", "Average POOLING", "sbs",]`, `[]`), []string{"network_structure.layer_type: the list is missing or empty"}, nil},
		"no pooling list": {dialect1, swap(tiny, `"is_pooling_layer"`, `"pooling"`), []string{"tiny.json: network_structure.is_pooling_layer: the list is missing or empty"}, nil},
		"too many layers": {dialect2, swap(network, `"sbs"`, `"sbs"`+strings.Repeat(`,"RELU"`, maxLayers)), []string{"1003 layers are too many"}, nil},
		"unknown type":    {dialect2, swap(network, "Average", "Median"), []string{`layer_type is "Median POOLING" for layer 1`, `"SbS" "RECONSTRUCTION" "ONOFF" "CONV2D"`}, ErrUnsupported},
		"full layers":     {dialect2, swap(def, "{", `{"spike_full_layer_input_distribution": [false, false, true, true],`), []string{"def.json: spike_full_layer_input_distribution has 4 entries, the network has 3 layers"}, nil},
		"no spikes":       {dialect2, swap(def, "[9]", "[0]"), []string{"def.json: number_of_spikes is 0 for layer 0 (SbS)", "--spikes"}, nil},
		"too many spikes": {dialect2, swap(def, "[9]", "[16777217]"), []string{"number_of_spikes is 16777217"}, nil},
		"chain":           {dialect2, swap(network, "[4, 3]", "[5, 3]"), []string{"layer 2 (SbS) expects 5 input channels, but layer 1 (Average POOLING) gives 4"}, nil},
		"pool outputs":    {dialect2, swap(network, "[1, 4], []", "[1, 4], [4, 5]"), []string{"layer 1 (Average POOLING) has 5 outputs, but with 4 inputs it has 4"}, nil},
		"no neurons":      {dialect2, swap(network, "[4, 3]", "[]"), []string{"forward_neuron_numbers[2] is missing or empty, and layer 2 (SbS) needs"}, nil},
		"zero neurons":    {dialect2, swap(network, "[4, 3]", "[4, 0]"), []string{"layer 2 (SbS) has 4 inputs and 0 outputs"}, nil},
		"many neurons":    {dialect2, swap(network, "[4, 3]", "[4, 2000000]"), []string{"want 1 to 1048576"}, nil},
		"many weights": {dialect2, func(t *testing.T, f files, _ *Options) {
			f.replace(t, network, "Average POOLING", "SbS")
			f.replace(t, network, "[1, 4], []", "[1, 1000000], [1000000, 1000000]")
		}, []string{"layer 1 (SbS): too many weights: 4000000 inputs (channels times kernel places) and 1000000 neurons"}, nil},
		"unequal pooling":  {dialect1, swap(tiny, "[4, 4]", "[4, 5]"), []string{"layer 1 (SbS POOLING) has 4 inputs and 5 outputs; a pooling layer needs as many"}, nil},
		"on/off":           {dialect1, swap(tiny, "[2, 4]", "[1, 4]"), []string{"layer 0 (SbS) expects 1 input channels", "2 after the on/off split", "use_on_off_filter"}, nil},
		"kernel":           {dialect2, swap(network, "[1, 1]]", "[]]"), []string{"forward_kernel_size[2] is empty, and layer 2 (SbS) needs a kernel size"}, nil},
		"zero kernel":      {dialect2, swap(network, "[2, 2], [1, 1]]", "[2, 0], [1, 1]]"), []string{"layer 1 (Average POOLING)", "kernel [2 0]"}, nil},
		"wide kernel":      {dialect2, swap(network, "[2, 2], [1, 1]]", "[3, 2], [1, 1]]"), []string{"layer 1 (Average POOLING) with input 4x2x2", "3x2"}, nil},
		"huge kernel":      {dialect2, swap(network, "[2, 2], [1, 1]]", "[2, 5000], [1, 1]]"), []string{"forward_kernel_size[1] is [2 5000] for layer 1", "0 to 4096"}, nil},
		"negative padding": {dialect1, swap(tiny, `"dilation"`, `"padding": [[0, -1]], "dilation"`), []string{"network_structure.padding[0] is [0 -1]"}, nil},
		"pool padding":     {dialect2, swap(network, `"strides"`, `"padding": [[], [2, 0], []], "strides"`), []string{"padding[1] is [2 0] for layer 1", "half its kernel"}, nil},
		"crop":             {dialect2, swap(def, `"augmentation": {}`, `"augmentation": {"crop_width_in_pixel": -1}`), []string{"def.json: augmentation.crop_width_in_pixel"}, nil},
		"outputs":          {dialect2, swap(network, `neurons": 3`, `neurons": 10`), []string{"number_of_output_neurons is 10, but the last layer has 3 outputs"}, nil},
		"epsilon":          {dialect2, swap(def, `"epsilon_0": 0.5`, `"epsilon_0": 0`), []string{"def.json: epsilon_0 is 0, but layer 0 (SbS) needs more than 0, at most 10000; only NNMF layers accept 0 or less"}, nil},
		"large epsilon":    {dialect2, swap(def, `"epsilon_0": 0.5`, `"epsilon_0": 10001`), []string{"def.json: epsilon_0 is 10001, but layer 0 (SbS) needs more than 0, at most 10000"}, nil},
		"huge epsilon":     {dialect2, swap(def, `"epsilon_0": 0.5`, `"epsilon_0": 1e300`), []string{"def.json: epsilon_0 is 1e+300"}, nil},
		"large initial":    {dialect2, swap(def, `0.25`, `10001`), []string{"def.json: learning_parameters.eps_xy_intitial is 10001, want 0 to 10000"}, nil},
		"initial epsilon":  {dialect2, swap(def, `0.25`, `-0.25`), []string{"eps_xy_intitial is -0.25"}, nil},
		"epsilon product": {dialect2, func(t *testing.T, f files, _ *Options) {
			f.replace(t, def, `"epsilon_0": 0.5`, `"epsilon_0": 1e3`)
			f.replace(t, def, "0.25", "11")
		}, []string{"def.json: learning_parameters.eps_xy_intitial is 11, which times epsilon_0 = 1000 is more than 10000"}, nil},
		"cooldown":    {dialect1, swap(tiny, `"reduction_cooldown": 4`, `"reduction_cooldown": 0`), []string{"tiny.json: reduction_cooldown is 0, want 0.0001 to", "divides epsilon_t, which can be at most 10000"}, nil},
		"no cooldown": {dialect1, swap(tiny, `"reduction_cooldown": 4`, `"reduction_cooldown": 1e-44`), []string{"tiny.json: reduction_cooldown is 1e-44, want 0.0001 to"}, nil},
		"forgetting":  {dialect2, swap(def, `"forgetting_offset": 0.5`, `"forgetting_offset": 1e200`), []string{"def.json: forgetting_offset is 1e+200, want at most 10000"}, nil},
		"alpha":       {dialect1, swap(tiny, `iterations": 2`, `iterations": 200000`), []string{"tiny.json: learning_parameters.alpha_number_of_iterations is 200000, want at most 1000"}, nil},
		"noise": {dialect1, func(t *testing.T, f files, o *Options) {
			f.replace(t, tiny, `iterations": 2`, `iterations": 2, "weight_noise_amplitude": -3`)
			f["Weights/Weight_L0_S7.npy"], o.AllowUntrained = nil, true
		}, []string{"layer 0 (SbS): ", "tiny.json: learning_parameters.weight_noise_amplitude: untrained weights cannot lie between 1 and -2"}, nil},
		"noise range": {dialect2, func(t *testing.T, f files, o *Options) {
			f.replace(t, def, `"loss_mode": 1`, `"weight_noise_range": [0, 0]`)
			f["Weights/Weight_L0_S7.npy"], o.AllowUntrained = nil, true
		}, []string{"layer 0 (SbS): ", "def.json: learning_parameters.weight_noise_range: untrained weights cannot lie between 0 and 0"}, nil},
		"noise of one": {dialect2, func(t *testing.T, f files, o *Options) {
			f.replace(t, def, `"loss_mode": 1`, `"weight_noise_range": [1]`)
			f["Weights/Weight_L0_S7.npy"], o.AllowUntrained = nil, true
		}, []string{"def.json: learning_parameters.weight_noise_range has 1 entries, want 2"}, nil},
		"reconstruction": {convolutions, swap(network, `"relu again"`, `"Reconstruction"`), []string{"layer 7 (RECONSTRUCTION) must come directly after an SbS layer"}, nil},
		"onoff outputs":  {convolutions, swap(network, "[1, 2]", "[1, 1]"), []string{"layer 0 (ONOFF) has 1 outputs, but with 1 inputs it has 2"}, nil},
	})
}

func TestLoad_RefusesMissingAndInvalidFiles(t *testing.T) {
	const w0, w2, e0 = "Weights/Weight_L0_S7.npy", "Weights/Weight_L2_S7.npy", "EpsXY/EpsXY_L0_S7.npy"
	inf := float32(math.Inf(1))
	refuse(t, map[string]refusal{
		"missing":         {dialect2, put(w2, nil), []string{"at step 7, layer 2 (SbS) lacks Weight_L2_S7.npy", "--step (no other step has files)", "--allow-untrained"}, ErrMissing},
		"all missing":     {dialect2, func(_ *testing.T, f files, _ *Options) { f[w0], f[w2] = nil, nil }, []string{"at any step", "Weight_L0_S*.npy"}, ErrMissing},
		"missing epsilon": {dialect1, put(e0, nil), []string{"layer 0 (SbS) lacks EpsXY_L0_S7.npy", "--eps-xy DIR", "EpsXY"}, ErrMissing},
		"configured step": {dialect2, swap("def.json", "{", `{"learning_step": 100,`), []string{"at step 100", "(steps with files: 7)"}, ErrMissing},
		"missing bias":    {convolutions, put("Weights/Bias_L1_S3.npy", nil), []string{"layer 1 (CONV2D) lacks Bias_L1_S3.npy"}, ErrMissing},
		"missing mean": {convolutions, func(_ *testing.T, f files, o *Options) {
			f["Weights/Mean_L0_S2.npy"], f["Weights/Mean_L0_S3.npy"], o.Step = f["Weights/Mean_L0_S3.npy"], nil, new(3)
		}, []string{"layer 0 (ONOFF) lacks Mean_L0_S3.npy"}, ErrMissing},
		"layer 1 and 10": {convolutions, func(_ *testing.T, f files, _ *Options) {
			f["Weights/Weight_L10_S3.npy"] = f["Weights/Weight_L1_S3.npy"]
			f["Weights/Weight_L1_S3.npy"] = nil
		}, []string{"layer 1 (CONV2D) lacks Weight_L1_S3.npy"}, ErrMissing},
		"two files": {dialect2, put(w0+".gz", uniform(9, 4)), []string{"layer 0 (SbS): two files for one layer and step", "Weight_L0_S7.npy and ", "Weight_L0_S7.npy.gz"}, nil},

		"no npy":         {dialect2, put(w0, "hello"), []string{"layer 0 (SbS)", "Weight_L0_S7.npy"}, nil},
		"integers":       {dialect2, put(w0, &npy.Array{Shape: []int{9, 4}, Data: make([]int64, 36)}), []string{"layer 0 (SbS)", "Weight_L0_S7.npy", "elements are int64, want float32 or float64"}, nil},
		"empty":          {dialect2, put(w0, array([]int{0, 4}, 0)), []string{"[0 4], want [9 4]"}, nil},
		"rows":           {dialect2, put(w0, uniform(10, 4)), []string{"layer 0 (SbS)", "Weight_L0_S7.npy", "[10 4], want [9 4]", "3x3", "forward_kernel_size"}, nil},
		"columns":        {dialect2, put(w2, uniform(4, 2)), []string{"layer 2 (SbS)", "[4 2], want [4 3]"}, nil},
		"many rows":      {dialect2, put(w0, uniform(90, 4)), []string{"layer 0 (SbS)", "Weight_L0_S7.npy", "[90 4], want [9 4]", "forward_kernel_size"}, nil},
		"rank":           {dialect2, put(w2, array([]int{12}, 0.1)), []string{"[12], want [4 3]"}, nil},
		"negative":       {dialect2, put(w0, poke(9, 4, 6, -0.5)), []string{"Weight_L0_S7.npy", "weight [1, 2] is -0.5"}, nil},
		"nan":            {dialect2, put(w0, poke(9, 4, 6, float32(math.NaN()))), []string{"Weight_L0_S7.npy", "element 6 is NaN"}, nil},
		"infinite":       {dialect2, put(w0, poke(9, 4, 6, inf)), []string{"element 6 is +Inf"}, nil},
		"too large":      {dialect2, put(w0, array([]int{9, 4}, 1e300)), []string{"element 0 is +Inf, which is not a finite float32"}, nil},
		"zero column":    {dialect2, put(w0, array([]int{9, 4}, 0)), []string{"column 0 is all zeros"}, nil},
		"epsilon shape":  {dialect1, put(e0, array([]int{2, 3}, 1)), []string{"layer 0 (SbS)", "EpsXY_L0_S7.npy", "[2 3], want [2 2 3 3] or [2 2]"}, nil},
		"epsilon sign":   {dialect1, put(e0, array([]int{2, 2}, -1)), []string{"element 0 is -1", "epsilon_xy must be 0 to 10000"}, nil},
		"epsilon bound":  {dialect1, put(e0, array([]int{2, 2}, 10001)), []string{"EpsXY_L0_S7.npy: element 0 is 10001, but epsilon_xy must be 0 to 10000"}, nil},
		"epsilon nan":    {dialect1, put(e0, array([]int{2, 2}, math.NaN())), []string{"EpsXY_L0_S7.npy", "element 0 is NaN"}, nil},
		"conv shape":     {convolutions, put("Weights/Weight_L1_S3.npy", array([]int{4, 2, 3, 2}, 1)), []string{"layer 1 (CONV2D)", "[4 2 3 2], want [4 2 3 3]"}, nil},
		"conv nan":       {convolutions, put("Weights/Weight_L1_S3.npy", array([]int{4, 2, 3, 3}, math.NaN())), []string{"layer 1 (CONV2D)", "NaN"}, nil},
		"bias shape":     {convolutions, put("Weights/Bias_L1_S3.npy", array([]int{5}, 1)), []string{"layer 1 (CONV2D)", "Bias_L1_S3.npy", "[5], want [4]"}, nil},
		"mean shape":     {convolutions, put("Weights/Mean_L0_S3.npy", array([]int{1, 1, 4, 5}, 1)), []string{"layer 0 (ONOFF)", "[1 1 4 5], want 16 values"}, nil},
		"mean too short": {convolutions, put("Weights/Mean_L0_S3.npy", array([]int{5}, 1)), []string{"layer 0 (ONOFF)", "[5], want 16 values"}, nil},
		"many epsilons":  {dialect1, put(e0, array([]int{2, 2, 3, 4}, 1)), []string{"layer 0 (SbS)", "EpsXY_L0_S7.npy", "[2 2 3 4], want [2 2 3 3] or [2 2]"}, nil},
		"pooling shape":  {dialect1, put("Weights/Weight_L1_S7.npy", uniform(4, 4)), []string{"layer 1 (SbS POOLING)", "[4 4], want [16 4]"}, nil},
		"folder as file": {dialect2, func(_ *testing.T, f files, _ *Options) { f[w0] = nil; f[w0+"/x"] = "" }, []string{"Weight_L0_S7.npy is ignored: not a regular file"}, ErrMissing},
		"odd name":       {dialect2, func(_ *testing.T, f files, _ *Options) { f[w0+"~"], f[w0] = f[w0], nil }, []string{"Weight_L0_S7.npy~ is ignored: want a name like"}, ErrMissing},
		"too many generated": {dialect2, func(t *testing.T, f files, o *Options) {
			f.replace(t, "network.json", `"Average POOLING"`, `"SbS POOLING"`)
			f.replace(t, "network.json", `[1, 4], [], [4, 3]`, `[1, 10000], [10000, 10000], [10000, 3]`)
			f[w0], f[w2] = nil, nil
			o.AllowUntrained = true
		}, []string{"layer 1 (SbS POOLING) has no file, and an array of shape [40000 10000] is too large to be generated"}, nil},
	})
}

// The error does not list all of many missing files.
func TestLoad_AbridgesTheListOfMissingFiles(t *testing.T) {
	f := dialect2()
	f["network.json"] = fmt.Sprintf(`{"network_structure": {"layer_type": ["SbS"%s], "forward_neuron_numbers": [[1, 1]%s]}}`,
		strings.Repeat(`, "SbS"`, 29), strings.Repeat(`, [1, 1]`, 29))
	_, _, err := Load(options(f.write(t)))
	require.ErrorIs(t, err, ErrMissing)
	require.ErrorContains(t, err, "and 18 more")
}

// FuzzConfig feeds arbitrary bytes to everything that happens before the first array is
// read.
func FuzzConfig(f *testing.F) {
	for _, folder := range []files{dialect1(), dialect2(), convolutions()} {
		for name, content := range folder {
			if s, ok := content.(string); ok && name != "recorded.json" {
				f.Add([]byte(s))
			}
		}
	}
	f.Add([]byte(strings.Repeat("[", maxBrackets)))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parse("fuzz.json", data)
		if err != nil {
			return
		}
		d.describesNetwork()
		c := newConfig()
		if err := c.merge(d); err != nil {
			return
		}
		// The part that is stored in a model can be merged again, with the same result.
		if kept, err := c.trainingJSON(); err == nil {
			n := &convert.Network{Dialect: 2, Training: kept}
			again := newConfig()
			require.NoError(t, again.mergeTraining(n))
			same, err := again.trainingJSON()
			require.NoError(t, err)
			require.Equal(t, string(kept), string(same))
			if _, _, err := TrainingOf(n); err != nil {
				require.ErrorContains(t, err, "pytorch: ")
			}
		}
		for _, opt := range []Options{
			{Input: convert.Size{Channels: 1, Height: 8, Width: 8}, Mean: []float32{0.5}},
			{NoPreprocessing: true, Spikes: 3},
		} {
			p, err := newPlan(c, opt)
			if err != nil {
				continue
			}
			size, err := p.preprocessing.Output(p.input)
			require.NoError(t, err)
			for _, l := range p.layers {
				require.Equal(t, size, l.in)
				require.Positive(t, l.out.Channels)
				if l.kind.sbs() {
					require.LessOrEqual(t, l.spikes, len(p.epsilonT))
				}
				size = l.out
			}
		}
	})
}
