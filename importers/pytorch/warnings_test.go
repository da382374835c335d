package pytorch

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
)

func TestLoad_WarnsOfWhatItTolerates(t *testing.T) {
	tests := map[string]struct {
		make func() files
		edit func(t *testing.T, f files)
		want []string
	}{
		"unknown keys": {dialect2, func(_ *testing.T, f files) {
			f.replace(t, "def.json", `"loss_mode": 1`, `"loss_mode": 1, "lossmode": 1`)
			f.replace(t, "dataset.json", "{", `{"extra": {"a": [1]}, "Data_Mode": "MNIST",`)
		}, []string{"dataset.json:1: unknown key \"extra\" is", "dataset.json:1: unknown key \"Data_Mode\" is", "def.json:3: unknown key \"learning_parameters.lossmode\" is"}},
		"twice":     {dialect2, func(_ *testing.T, f files) { f.replace(t, "dataset.json", "{", `{"data_mode": "MNIST",`) }, []string{`"data_mode" occurs more than once`}},
		"one entry": {dialect2, func(_ *testing.T, f files) { f.replace(t, "network.json", "[[1, 1], [2, 2], []]", "[[1, 1]]") }, []string{"network_structure.strides has entries for 1 of the 3 layers; the others have [1, 1]"}},
		"alpha": {dialect2, func(_ *testing.T, f files) {
			f.replace(t, "def.json", `"loss_mode": 1`, `"alpha_number_of_iterations": 3`)
		}, []string{"alpha_number_of_iterations belongs to dialect 1"}},
		"forgetting": {dialect1, func(_ *testing.T, f files) { f.replace(t, "tiny.json", "{", `{"forgetting_offset": 0.1,`) }, []string{"forgetting_offset belongs to dialect 2"}},
		"statistics": {dialect1, func(_ *testing.T, f files) {
			f.replace(t, "tiny.json", `"image_statistics": {}`, `"image_statistics": {"mean": [0.3], "the_size": [1]}`)
		}, []string{"image_statistics.mean is ignored"}},
		"mean": {dialect1, func(_ *testing.T, f files) {
			f.replace(t, "tiny.json", "{", `{"augmentation": {"use_on_off_filter": false},`)
			f.replace(t, "tiny.json", "[[2, 4]", "[[1, 4]")
			f["Weights/Weight_L0_S7.npy"] = uniform(9, 4)
		}, []string{"the given mean is not used"}},
		"columns": {dialect1, func(_ *testing.T, f files) {
			a := uniform(18, 4)
			a.Data.([]float32)[0] += 0.5
			f["Weights/Weight_L0_S7.npy"] = a
		}, []string{"Weight_L0_S7.npy: 1 of 4 columns were divided by their sums, which differ from 1 by up to 0.5"}},
		"names": {dialect1, func(_ *testing.T, f files) {
			f["Weights/Weight_L0_S7_1.npy"], f["Weights/Weight_L0_S7.npy~"] = uniform(1, 1), uniform(1, 1)
			f["Weights/Weight_L10_S7.npy"], f["Weights/Bias_L0_S7.npy"] = uniform(1, 1), uniform(1, 1)
		}, []string{
			"Bias_L0_S7.npy is ignored: layer 0 (SbS) has no such values", "Weight_L0_S7.npy~ is ignored: want a name like",
			"Weight_L0_S7_1.npy is ignored: want a name like", "Weight_L10_S7.npy is ignored: the network has only layers 0 to 2",
		}},
		"pooling weights": {dialect1, func(_ *testing.T, f files) { f["Weights/Weight_L1_S7.npy"] = uniform(16, 4) }, []string{"used instead of the fixed pooling weights"}},
		"epsilon folder":  {dialect2, func(*testing.T, files) {}, []string{"the given folder of EpsXY files is not used: dialect 2 has no such files"}},
		"overload": {dialect2, func(_ *testing.T, f files) {
			f.replace(t, "def.json", `"loss_mode": 1`, `"overload_path": "./Previous"`)
			f["Previous/Weight_L0_S9.npy"] = uniform(9, 4)
		}, []string{`def.json: learning_parameters.overload_path "./Previous" is ignored, although`}},
		"overload by default": {dialect2, func(_ *testing.T, f files) {
			f["Previous/Weight_L0_S9.npy"] = uniform(9, 4)
		}, []string{`learning_parameters.overload_path "./Previous" is ignored, although`}},
		"overload without weights": {dialect2, func(_ *testing.T, f files) { f["Previous/Weights.txt"] = "" }, nil},
		"overload elsewhere": {dialect2, func(_ *testing.T, f files) {
			f.replace(t, "def.json", `"loss_mode": 1`, `"overload_path": "/no/such"`)
		}, []string{`overload_path "/no/such" is ignored, although`}},
		"no overload": {dialect2, func(_ *testing.T, f files) {
			f.replace(t, "def.json", `"loss_mode": 1`, `"overload_path": "./Previous"`)
		}, nil},
		"eps_xy_path": {dialect1, func(_ *testing.T, f files) { f.replace(t, "tiny.json", "{", `{"eps_xy_path": "../../x",`) }, []string{`eps_xy_path "../../x" is not below the folder of the configuration and is ignored`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := test.make()
			test.edit(t, f)
			opt := options(f.write(t))
			if f["network.json"] != nil {
				opt.Mean = nil
			}
			if name == "epsilon folder" {
				opt.EpsilonXY = opt.Weights
			}
			n, r, err := Load(opt)
			require.NoError(t, err)
			require.Len(t, r.Warnings, len(test.want), r.Warnings)
			for i, w := range test.want {
				require.Contains(t, r.Warnings[i], w)
			}
			switch name {
			case "columns":
				require.InDelta(t, (1.0/18+0.5)/1.5, n.Layers[0].(*convert.SbS).Weights.Float32s()[0], 1e-6)
				require.Equal(t, uniform(18, 4).Data.([]float32)[1], n.Layers[0].(*convert.SbS).Weights.Float32s()[1], "a column within the tolerance is kept")
			case "mean":
				require.Equal(t, convert.Preprocessing{Crop: 2, Offset: 1.1920929e-07}, n.Preprocessing)
			case "pooling weights":
				require.False(t, n.Layers[1].(*convert.SbS).Pooling)
			}
		})
	}
}
