package pytorch

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/npy"
)

// untrainedNet makes a network from the configuration of a folder, without its arrays
// unless change is not nil.
func untrainedNet(t *testing.T, f files, start Start, change func(*Options)) (*convert.Network, *Training, *Report, error) {
	t.Helper()
	weights := f.write(t)
	config, err := FindConfiguration(filepath.Dir(weights))
	require.NoError(t, err)
	opt := options("")
	opt.Config = config
	if f["network.json"] != nil {
		opt.Mean = nil
	}
	if change != nil {
		opt.Weights = weights
		change(&opt)
	}
	return NewNetwork(opt, start)
}

func TestNewNetwork_InitializesUntrainedValues(t *testing.T) {
	n, tr, r, err := untrainedNet(t, dialect1(), Start{Seed: 3}, nil)
	require.NoError(t, err)
	require.Empty(t, r.Warnings, "untrained on purpose")
	require.Zero(t, n.Step)
	require.Equal(t, StepUntrained, r.StepChoice)
	require.Len(t, n.Sources, 1)
	first, pooling, last := n.Layers[0].(*convert.SbS), n.Layers[1].(*convert.SbS), n.Layers[2].(*convert.SbS)
	sums := make([]float64, 4)
	lo, hi := float32(1), float32(0)
	for i, v := range first.Weights.Float32s() {
		sums[i%4] += float64(v)
		lo, hi = min(lo, v), max(hi, v)
	}
	require.InDeltaSlice(t, []float64{1, 1, 1, 1}, sums, 1e-6)
	require.Greater(t, hi/lo, float32(1.003), "noise of up to 1%")
	require.Less(t, hi/lo, float32(1.0101))
	require.True(t, pooling.Pooling)
	require.Equal(t, pooled(4, 4), pooling.Weights.Float32s())
	require.Equal(t, []int{2, 2, 3, 3}, first.EpsilonXY.Shape())
	for _, e := range first.EpsilonXY.Float32s() {
		require.Equal(t, float32(0.1), e)
	}
	require.Equal(t, float32(1), first.Epsilon0)
	require.Nil(t, last.EpsilonXY, "not trainable")
	require.Equal(t, float32(0.1), last.Epsilon0)
	require.Equal(t, []LayerTraining{
		{Weights: true, EpsilonXY: true}, {EpsilonXY: true}, {Weights: true},
	}, tr.Layers)

	again, _, _, err := untrainedNet(t, dialect1(), Start{Seed: 3}, nil)
	require.NoError(t, err)
	require.Equal(t, n.Layers, again.Layers)
	other, _, _, err := untrainedNet(t, dialect1(), Start{Seed: 4}, nil)
	require.NoError(t, err)
	require.NotEqual(t, n.Layers, other.Layers)

	_, _, _, err = NewNetwork(Options{}, Start{})
	require.ErrorIs(t, err, ErrNoConfiguration)

	// Save writes a complete folder.
	weights := filepath.Join(t.TempDir(), "Weights")
	_, err = Save(weights, throughONNX(t, n), SaveOptions{})
	require.NoError(t, err)
	back, _, err := Load(options(weights))
	require.NoError(t, err)
	require.Equal(t, n.Layers, back.Layers)
}

func TestNewNetwork_InitializesConvolutions(t *testing.T) {
	f := convolutions()
	n, tr, _, err := untrainedNet(t, f, Start{}, nil)
	require.NoError(t, err)
	conv := n.Layers[1].(*convert.Conv)
	bound := 1 / math.Sqrt(18)
	for _, values := range [][]float32{conv.Weights.Float32s(), conv.Bias.Float32s()} {
		for _, v := range values {
			require.LessOrEqual(t, math.Abs(float64(v)), bound)
		}
	}
	most := float64(0)
	for _, v := range conv.Weights.Float32s() {
		most = max(most, math.Abs(float64(v)))
	}
	require.Greater(t, most, 0.8*bound)
	require.Equal(t, make([]LayerTraining, 8), tr.Layers, "dialect 2 trains only layers that w_trainable names")
	require.True(t, n.Layers[5].(*convert.SbS).Local)
	require.False(t, n.Layers[4].(*convert.SbS).Local)
}

func TestNewNetwork_PrefersOverloadPathToTheWeightsFolder(t *testing.T) {
	f := dialect2()
	f["Weights/Weight_L2_S7.npy"] = nil
	n, _, r, err := untrainedNet(t, f, Start{}, func(o *Options) { o.Step = new(7) })
	require.NoError(t, err)
	require.Equal(t, 7, n.Step)
	require.Equal(t, uniform(9, 4).Data, n.Layers[0].(*convert.SbS).Weights.Float32s())
	require.Len(t, r.Warnings, 1)
	require.Contains(t, r.Warnings[0], "layer 2 (SbS) has no Weight file")

	f["Previous/Weight_L2_S99.npy"] = uniform(4, 3)
	f["Previous/Weight_L20_S99.npy"] = uniform(4, 3)
	n, _, r, err = untrainedNet(t, f, Start{Overload: true}, nil)
	require.NoError(t, err)
	require.Zero(t, n.Step)
	require.Equal(t, uniform(4, 3).Data, n.Layers[2].(*convert.SbS).Weights.Float32s())
	require.Len(t, r.Warnings, 1)
	require.Contains(t, n.Sources[3].Path, "Previous/Weight_L2_S99.npy")
	other := &npy.Array{Shape: []int{9, 4}, Data: uniform(9, 4).Data}
	f["Previous/Weight_L0_S1.npy"] = other
	n, _, _, err = untrainedNet(t, f, Start{Overload: true}, func(o *Options) { o.Step = new(7) })
	require.NoError(t, err)
	require.Contains(t, n.Sources[3].Path, "Previous/Weight_L0_S1.npy", "instead of the file of step 7")

	f["Previous/Weight_L2_S1.npy"] = uniform(4, 3)
	_, _, _, err = untrainedNet(t, f, Start{Overload: true}, nil)
	require.ErrorContains(t, err, "layer 2 (SbS) has more than one Weight file")
	f["Previous/Weight_L0_S10.npy"], f["Previous/Weight_L0_S9.npy"] = other, other
	for range 20 {
		_, _, _, err = untrainedNet(t, f, Start{Overload: true}, nil)
		require.ErrorContains(t, err, "layer 0 (SbS) has more than one Weight file", "the first of two")
		require.Regexp(t, `Weight_L0_S1\.npy, [^,]*Weight_L0_S9\.npy, [^,]*Weight_L0_S10\.npy`, err)
	}
	delete(f, "Previous/Weight_L0_S10.npy")
	f.replace(t, "def.json", `"loss_mode": 1`, `"overload_path": "/etc"`)
	_, _, _, err = untrainedNet(t, f, Start{Overload: true}, nil)
	require.ErrorContains(t, err, `overload_path "/etc" is not below`)
}

func TestFindConfiguration_ReturnsTheFilesOfAFolder(t *testing.T) {
	weights := dialect2().write(t)
	root := filepath.Dir(weights)
	three := []string{filepath.Join(root, "network.json"), filepath.Join(root, "dataset.json"), filepath.Join(root, "def.json")}
	for _, path := range append(three, root, weights) {
		got, err := FindConfiguration(path)
		require.NoError(t, err)
		for i := range got {
			got[i] = filepath.Clean(got[i])
		}
		require.Equal(t, three, got, path)
	}
	one := filepath.Join(filepath.Dir(dialect1().write(t)), "tiny.json")
	got, err := FindConfiguration(one)
	require.NoError(t, err)
	require.Equal(t, []string{one}, got)
	_, err = FindConfiguration(t.TempDir())
	require.ErrorIs(t, err, ErrNoConfiguration)
	_, err = FindConfiguration(filepath.Join(root, "none"))
	require.Error(t, err)
}

// Every key is read, and missing keys have the default of the dialect.
func TestTrainingOf_ReadsEveryKey(t *testing.T) {
	_, got, _, err := untrainedNet(t, dialect1(), Start{}, nil)
	require.NoError(t, err)
	rate := Rate{Gamma: -1, Threshold: 1e-5, Factor: 0.75, Patience: -1, Tau: 10}
	want := Training{
		Dialect: 1, DataPath: "./", BatchSize: 500, Processes: -1, UpdateAfter: 1, StepMax: 10000,
		WeightPath: "./Weights/", EpsilonXYPath: "./EpsXY/", ResultsPath: "./Results", LogPath: "Log",
		CooldownAfter: 6, ReductionCooldown: 4, LossMSE: 0.5, LossKLDiv: 1, Active: true, Optimizer: "Adam",
		W: rate, EpsilonXY: rate, Schedule: "ReduceLROnPlateau", ByAccuracy: true, BatchesPerUpdate: 1, OverloadPath: "./Previous",
		Test: true, TestEvery: 50, ScaleGradient: true, KeepGradientScale: true, AdaptAfterMinibatch: true,
		Augmentation: Augmentation{Crop: 2, FlipP: 0.5, Brightness: 0.5, Contrast: 0.1, Saturation: 0.1, Hue: 0.15, OnOff: true},
		Layers:       []LayerTraining{{Weights: true, EpsilonXY: true}, {EpsilonXY: true}, {Weights: true}},
	}
	require.Equal(t, want, *got)
	require.InDelta(t, 0.001, got.W.LearningRate(), 0)

	f := dialect2()
	f["dataset.json"] = `{"data_path": "d", "data_mode": "mine"}`
	f["def.json"] = `{"number_of_spikes": [9], "batch_size": 24, "number_of_cpu_processes": 3, "update_after_x_batch": 2.5,
		"learning_step": 5, "learning_step_max": 6, "epoch_id": 7, "epoch_id_max": 8, "weight_path": "w", "results_path": "r",
		"log_path": "l", "cooldown_after_number_of_spikes": 3, "reduction_cooldown": 2, "eps_xy_path": "e",
		"learning_parameters": {"learning_active": false, "loss_mode": 1, "loss_coeffs_mse": 2, "loss_coeffs_kldiv": 3,
			"optimizer_name": "SGD", "lr_schedule_name": "None", "lr_scheduler_use_performance": true,
			"learning_rate_gamma_w": 0.1, "learning_rate_threshold_w": 0.2, "lr_scheduler_factor_w": 0.3, "lr_scheduler_patience_w": 4, "lr_scheduler_tau_w": 5,
			"learning_rate_gamma_eps_xy": 0.6, "learning_rate_threshold_eps_xy": 0.7, "lr_scheduler_factor_eps_xy": 0.8, "lr_scheduler_patience_eps_xy": 9, "lr_scheduler_tau_eps_xy": 10.5,
			"number_of_batches_for_one_update": 20, "overload_path": "o", "test_during_learning": false, "test_every_x_learning_steps": 11,
			"disable_scale_grade": true, "kepp_last_grad_scale": false, "adapt_learning_rate_after_minibatch": false,
			"w_trainable": [true], "sbs_skip_gradient_calculation": [false, false, true]},
		"augmentation": {"crop_width_in_pixel": 2, "flip_p": 0.1, "jitter_brightness": 0.2, "jitter_contrast": 0.3, "jitter_saturation": 0.4, "jitter_hue": 0.45}}`
	n, got, r, err := untrainedNet(t, f, Start{}, nil)
	require.NoError(t, err)
	require.Empty(t, r.Warnings)
	want = Training{
		Dialect: 2, DataMode: "mine", DataPath: "d", BatchSize: 24, Processes: 3, UpdateAfter: 2.5, Step: 7, StepMax: 8,
		WeightPath: "w", EpsilonXYPath: "e", ResultsPath: "r", LogPath: "l", CooldownAfter: 3, ReductionCooldown: 2,
		LossMode: 1, LossGiven: true, LossMSE: 2, LossKLDiv: 3, Optimizer: "SGD", Schedule: "None", ByAccuracy: true,
		W: Rate{0.1, 0.2, 0.3, 4, 5}, EpsilonXY: Rate{0.6, 0.7, 0.8, 9, 10.5},
		BatchesPerUpdate: 20, OverloadPath: "o", TestEvery: 11,
		Augmentation: Augmentation{Crop: 2, FlipP: 0.1, Brightness: 0.2, Contrast: 0.3, Saturation: 0.4, Hue: 0.45},
		Layers:       []LayerTraining{{Weights: true}, {}, {Weights: true, SkipGradient: true}},
	}
	require.Equal(t, want, *got)
	require.InDelta(t, 0.1, got.W.LearningRate(), 0)
	require.Contains(t, got.String(), "mine, 2 of 3 layers trainable, 20 batches of 24 per update, cross entropy, SGD with learning rate 0.1")

	// A model stores the configuration.
	back, warnings, err := TrainingOf(throughONNX(t, n))
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, want, *back)
	n.Training = nil
	back, warnings, err = TrainingOf(n)
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "no layer is trainable")
	require.Equal(t, 500, back.BatchSize)
	n.Dialect = 0
	_, _, err = TrainingOf(n)
	require.ErrorContains(t, err, "dialect 0")
}

func TestTrainingOf_RefusesInvalidValues(t *testing.T) {
	for text, want := range map[string]string{
		`"batch_size": 0`:                                                         "def.json: batch_size is 0, want at least 1",
		`"batch_size": "many"`:                                                    `def.json:2: batch_size: want a whole number, found the string "many"`,
		`"update_after_x_batch": 0`:                                               "update_after_x_batch is 0, want more than 0",
		`"epoch_id": -1`:                                                          "epoch_id is -1, want at least 0",
		`"augmentation": {"flip_p": 2}`:                                           "augmentation.flip_p is 2, want 0 to 1",
		`"augmentation": {"jitter_hue": 0.6}`:                                     "augmentation.jitter_hue is 0.6, want 0 to 0.5",
		`"learning_parameters": {"loss_mode": 2}`:                                 "def.json: learning_parameters.loss_mode is 2, want 0 to 1",
		`"learning_parameters": {"w_trainable": [1]}`:                             "learning_parameters.w_trainable[0]: want true or false",
		`"learning_parameters": {"optimizer_name": "x"}`:                          `optimizer_name is "x", want one of ["Adam" "SGD"]`,
		`"learning_parameters": {"lr_schedule_name": "StepLR"}`:                   `lr_schedule_name is "StepLR", want one of`,
		`"learning_parameters": {"loss_coeffs_mse": 0, "loss_coeffs_kldiv": 0}`:   "are both 0, which leaves no loss",
		`"learning_parameters": {"lr_scheduler_factor_w": 1.5}`:                   "lr_scheduler_factor_w is 1.5, want at most 1",
		`"learning_parameters": {"sbs_skip_gradient_calculation": [true, false]}`: "has 2 entries, the network has 3 layers",
	} {
		f := dialect2()
		f["def.json"] = "{\n" + text + `, "number_of_spikes": [9]}`
		_, _, _, err := untrainedNet(t, f, Start{}, nil)
		require.ErrorContains(t, err, want)
		require.True(t, strings.HasPrefix(err.Error(), "pytorch: "))
		// Load does not check training values, but TrainingOf does.
		opt := options(f.write(t))
		opt.Mean = nil
		n, _, err := Load(opt)
		if err != nil {
			require.ErrorContains(t, err, "entries")
			continue
		}
		_, _, err = TrainingOf(n)
		require.ErrorContains(t, err, "network.json, dataset.json, def.json")
	}
	f := dialect1()
	f.replace(t, "tiny.json", `"learning_parameters": {`, `"learning_parameters": {"optimizer_name": "SGD",`)
	_, _, _, err := untrainedNet(t, f, Start{}, nil)
	require.ErrorContains(t, err, `tiny.json: learning_parameters.optimizer_name is "SGD", want one of ["Adam"]`)
}
