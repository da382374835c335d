package pytorch

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// TestLoad_WarnsOfSpikesBeforeTheCooldown lowers the number of spikes below the start of the
// cooldown, which the epsilon_t of the model then does not have.
func TestLoad_WarnsOfSpikesBeforeTheCooldown(t *testing.T) {
	for spikes, want := range map[int]bool{0: false, 6: true, 7: false} {
		f, opt := dialect1(), options("")
		if want {
			f.replace(t, "tiny.json", `"reduction_cooldown": 4`, `"reduction_cooldown": -1`) // has no effect
		}
		opt.Weights, opt.Spikes = f.write(t), spikes
		_, r, err := Load(opt)
		require.NoError(t, err)
		if !want {
			require.Empty(t, r.Warnings)
			continue
		}
		require.Len(t, r.Warnings, 1)
		require.Contains(t, r.Warnings[0], "cooldown_after_number_of_spikes is 6, but layer 0 (SbS) has 6 spikes: the model does not include the cooldown")
	}
}

func TestLoad_AcceptsInvalidValuesThatNoLayerUses(t *testing.T) {
	const tiny, def = "tiny.json", "def.json"
	for name, test := range map[string]struct {
		make func() files
		edit func(t *testing.T, f files, opt *Options)
	}{
		"no cooldown":   {dialect1, swap(tiny, `"cooldown_after_number_of_spikes": 6, "reduction_cooldown": 4`, `"reduction_cooldown": 0`)},
		"late cooldown": {dialect1, swap(tiny, `"cooldown_after_number_of_spikes": 6, "reduction_cooldown": 4`, `"cooldown_after_number_of_spikes": 8, "reduction_cooldown": 0`)},
		"noise":         {dialect1, swap(tiny, `iterations": 2`, `iterations": 2, "weight_noise_amplitude": -3`)},
		"noise range":   {dialect2, swap(def, `"loss_mode": 1`, `"weight_noise_range": [0, 0]`)},
		"initial epsilon": {dialect1, func(t *testing.T, f files, _ *Options) {
			f.replace(t, tiny, `iterations": 2`, `iterations": 2, "eps_xy_intitial": -1`)
			f["EpsXY/EpsXY_L2_S7.npy"] = array([]int{1, 1}, 0.2)
		}},
		"no SbS layer": {convolutions, func(_ *testing.T, f files, _ *Options) {
			f["network.json"] = `{"network_structure": {"layer_type": ["ONOFF"]}}`
			f["def.json"] = `{"epsilon_0": 0, "learning_parameters": {"eps_xy_intitial": -1}, "forgetting_offset": 1e9}`
			f["Weights/Weight_L1_S3.npy"], f["Weights/Bias_L1_S3.npy"], f["Weights/Weight_L5_S3.npy"] = nil, nil, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := test.make()
			opt := options("")
			test.edit(t, f, &opt)
			opt.Weights = f.write(t)
			if f[tiny] == nil {
				opt.Mean = nil
			}
			_, r, err := Load(opt)
			require.NoError(t, err)
			require.Empty(t, r.Warnings)
		})
	}
}

func TestLoad_AcceptsTheLargestEpsilons(t *testing.T) {
	f := dialect1()
	f.replace(t, "tiny.json", `"reduction_cooldown": 4`, `"reduction_cooldown": 1e-4, "epsilon_0": 1e4`)
	f["EpsXY/EpsXY_L0_S7.npy"] = array([]int{2, 2}, 1e4)
	n, _, err := Load(options(f.write(t)))
	require.NoError(t, err)
	first, last := n.Layers[0].(*convert.SbS), n.Layers[2].(*convert.SbS)
	require.Equal(t, float32(1e4), first.EpsilonT[7])
	require.Equal(t, float32(1e4), first.Epsilon0)
	require.Equal(t, float32(1e4), first.EpsilonXY.Float32s()[0])
	require.Equal(t, float32(1e3), last.Epsilon0)
}

// The list of neurons has one entry per layer and determines their number.
func TestLoad_AppliesASingleLayerTypeToAllLayers(t *testing.T) {
	f := files{
		"network.json": `{"number_of_spikes": 5, "network_structure": {
			"layer_type": ["SbS"], "forward_neuron_numbers": [[1, 4], [4, 3]], "forward_kernel_size": [[4, 4], [1, 1]]}}`,
		"Weights/Weight_L0_S7.npy": uniform(16, 4),
		"Weights/Weight_L1_S7.npy": uniform(4, 3),
	}
	n, r := load2(t, f)
	require.Empty(t, r.Warnings)
	require.Len(t, n.Layers, 2)
	require.Equal(t, []int{4, 3}, n.Layers[1].(*convert.SbS).Weights.Shape())

	f.replace(t, "network.json", "SbS", "Median")
	_, _, err := Load(options(f.write(t)))
	require.ErrorContains(t, err, `network_structure.layer_type is "Median" for layer 0`)
}

// TestConfiguredSpikes_AreThoseOfTheConfiguration replaces the number of spikes of a
// configuration with 8 spikes and a cooldown.
func TestConfiguredSpikes_AreThoseOfTheConfiguration(t *testing.T) {
	for _, spikes := range []int{0, 2, 100} {
		opt := options(dialect1().write(t))
		opt.Spikes = spikes
		_, r, err := Load(opt)
		require.NoError(t, err)
		own := r.ConfiguredSpikes()
		require.Len(t, own, 3)
		for _, p := range own {
			require.Equal(t, 8, p.Spikes)
			require.Equal(t, []float32{1, 1, 1, 1, 1, 1, 0.25, 0.25}, p.EpsilonT)
		}
		own[0].EpsilonT[0] = 7
		require.Equal(t, float32(1), own[1].EpsilonT[0], "the layers share no memory")
	}
	// A number that no layer can have is replaced.
	for _, number := range []string{"0", "-3", "2000000000"} {
		f := dialect1()
		f.replace(t, "tiny.json", `"number_of_spikes": 8`, `"number_of_spikes": `+number)
		opt := options(f.write(t))
		opt.Spikes = 5
		_, r, err := Load(opt)
		require.NoError(t, err)
		require.Empty(t, r.ConfiguredSpikes()[0].EpsilonT, number)
	}
	_, r := load2(t, convolutions()) // two of its layers are SbS layers
	require.Equal(t, []sbs.Params{
		{Spikes: 3, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(3)}, {Spikes: 4, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(4)},
	}, r.ConfiguredSpikes())
}
