package pytorch

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
)

// shared returns a folder of the recordings of the original, which are not part of the
// repository. The environment variable SBS_SHARED names the folder that has them.
func shared(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("SBS_SHARED")
	if root == "" {
		t.Skip("SBS_SHARED is not set")
	}
	folder := filepath.Join(root, "fixtures", name)
	require.DirExists(t, folder)
	return folder
}

func conform(t *testing.T, name string) (*convert.Network, *Report) {
	t.Helper()
	n, r, err := Load(Options{Weights: filepath.Join(shared(t, name), "Weights")})
	require.NoError(t, err)
	require.Empty(t, r.Warnings)
	require.Equal(t, filepath.Base(name), n.Name)
	require.Equal(t, convert.Size{Channels: 1, Height: 28, Width: 28}, n.Input)
	require.Len(t, n.Classes, 10)
	size, err := n.Preprocessing.Output(n.Input)
	require.NoError(t, err)
	for _, l := range n.Layers {
		size, err = l.Output(size)
		require.NoError(t, err)
	}
	require.Equal(t, convert.Size{Channels: 10, Height: 1, Width: 1}, size)
	for _, s := range n.Sources {
		require.FileExists(t, filepath.Join(shared(t, name), s.Path))
		require.Len(t, s.SHA256, 64)
	}
	return n, r
}

func TestConformance_LoadReadsThePublishedNetworkOfDialect2(t *testing.T) {
	n, r := conform(t, "weights/mnist-sbs")
	require.Equal(t, 2, n.Dialect)
	require.Equal(t, 199, n.Step)
	require.Equal(t, StepComplete, r.StepChoice)
	require.Equal(t, convert.Preprocessing{Crop: 2, Offset: 1e-20}, n.Preprocessing)
	require.Len(t, n.Sources, 7)
	shapes := map[int][]int{0: {25, 32}, 2: {800, 64}, 4: {576, 96}, 5: {96, 10}}
	for i, l := range n.Layers {
		if shapes[i] == nil {
			require.IsType(t, &convert.AveragePool{}, l)
			continue
		}
		s := l.(*convert.SbS)
		require.Equal(t, shapes[i], s.Weights.Shape())
		require.Equal(t, 1600, s.Spikes)
		require.Equal(t, float32(1), s.Epsilon0)
		require.Equal(t, float32(0.025), s.EpsilonT[1599])
		require.Zero(t, s.Forgetting)
		require.False(t, s.Pooling)
	}
}

func TestConformance_LoadReadsThePublishedCNN(t *testing.T) {
	n, _ := conform(t, "weights/mnist-cnn")
	require.Equal(t, 199, n.Step)
	require.Len(t, n.Layers, 9)
	conv := n.Layers[3].(*convert.Conv)
	require.Equal(t, []int{64, 32, 5, 5}, conv.Weights.Shape())
	require.Equal(t, []int{64}, conv.Bias.Shape())
	require.IsType(t, &convert.ReLU{}, n.Layers[4])
	require.IsType(t, &convert.MaxPool{}, n.Layers[5])
}

func TestConformance_LoadReadsThePublishedNetworkOfDialect1(t *testing.T) {
	n, r := conform(t, "weights/mnist-dialect1")
	require.Equal(t, 1, n.Dialect)
	require.Equal(t, 1185, n.Step)
	require.Equal(t, StepConfiguration, r.StepChoice)
	require.Equal(t, convert.Preprocessing{Crop: 2, OnOffMean: []float32{0.13066062331199646}}, n.Preprocessing)
	require.Len(t, r.Configuration, 1)
	require.Equal(t, "mnist.json", filepath.Base(r.Configuration[0]))
	require.Equal(t, "EpsXY", filepath.Base(r.EpsilonXY))
	first, pool := n.Layers[0].(*convert.SbS), n.Layers[1].(*convert.SbS)
	require.Equal(t, []int{50, 16}, first.Weights.Shape())
	require.Equal(t, []int{20, 20, 5, 5}, first.EpsilonXY.Shape())
	require.True(t, pool.Pooling)
	require.Equal(t, []int{64, 16}, pool.Weights.Shape())
	require.Equal(t, float32(1), first.EpsilonT[249])
	require.Equal(t, float32(1)/25, first.EpsilonT[250])
}

func TestConformance_LoadNamesTheMissingFilesOfAnIncompleteNetwork(t *testing.T) {
	folder := shared(t, "weights/mnist-dialect1-2d-incomplete")
	opt := Options{Weights: filepath.Join(folder, "Weights")}
	_, _, err := Load(opt)
	require.ErrorIs(t, err, ErrMissing)
	require.ErrorContains(t, err, "at step 999, layer 4 (SbS) lacks Weight_L4_S999.npy; supply")
	require.ErrorContains(t, err, "--step")
	require.ErrorContains(t, err, "--allow-untrained")

	opt.AllowUntrained = true
	n, r, err := Load(opt)
	require.NoError(t, err)
	require.Equal(t, 999, n.Step)
	require.Len(t, r.Warnings, 1)
	require.Contains(t, r.Warnings[0], "layer 4 (SbS) has no Weight file")
	require.Equal(t, []int{20, 20}, n.Layers[0].(*convert.SbS).EpsilonXY.Shape())
	require.Equal(t, []int{576, 1024}, n.Layers[4].(*convert.SbS).Weights.Shape())
}

// The recorded training runs have every step of a small network in one folder.
func TestConformance_LoadReadsStepsOfTrainingRuns(t *testing.T) {
	for name, last := range map[string]int{"train-dialect1": 6, "train-dialect2-cross-entropy": 5, "train-dialect2-mixed-loss": 5} {
		folder := shared(t, name)
		opt := Options{Weights: folder, Input: convert.Size{Channels: 2, Height: 12, Width: 12}, NoPreprocessing: true}
		if name == "train-dialect1" {
			opt.Input.Channels = 1
		}
		n, r, err := Load(opt)
		require.NoError(t, err, name)
		require.Equal(t, last, n.Step, name)
		require.Empty(t, r.Warnings, name)
		if name == "train-dialect1" {
			require.True(t, n.Layers[1].(*convert.SbS).Pooling, "its file has the fixed weights")
		}
		opt.Step = new(0)
		n, _, err = Load(opt)
		require.NoError(t, err, name)
		require.Zero(t, n.Step)
	}
}

// Conversion to ONNX and back restores the published folders byte for byte.
func TestConformance_SaveRestoresThePublishedFolders(t *testing.T) {
	for name, extra := range map[string][]string{
		"weights/mnist-sbs": nil, "weights/mnist-cnn": nil, "weights/mnist-dialect1": nil,
		"weights/mnist-dialect1-2d-incomplete": {"Weights/Weight_L4_S999.npy"}, // untrained
	} {
		opt := Options{Weights: filepath.Join(shared(t, name), "Weights"), AllowUntrained: extra != nil}
		_, got, report := roundTrip(t, opt)
		require.Equal(t, extra, got, name)
		if extra != nil {
			// float32 cannot represent the values of these float64 files exactly.
			require.Len(t, report.Warnings, 9)
		} else {
			require.Empty(t, report.Warnings, name)
		}
	}
	for _, name := range []string{"train-dialect1", "train-dialect2-cross-entropy", "train-dialect2-mixed-loss"} {
		opt := Options{Weights: shared(t, name), Step: new(0), Input: convert.Size{Channels: 2, Height: 12, Width: 12}, NoPreprocessing: true}
		if name == "train-dialect1" {
			opt.Input.Channels = 1
		}
		_, got, report := roundTrip(t, opt)
		require.Empty(t, got, name)
		require.Empty(t, report.Warnings, name)
	}
}

// NewNetwork makes the networks of the recorded training runs from their configuration.
func TestConformance_NewNetworkMakesTheNetworksOfTrainingRuns(t *testing.T) {
	for name, check := range map[string]func(tr *Training){
		"train-dialect1": func(tr *Training) {
			require.Equal(t, []LayerTraining{{Weights: true, EpsilonXY: true}, {EpsilonXY: true, EpsilonXYMean: true}, {Weights: true, EpsilonXY: true}}, tr.Layers)
			require.Equal(t, Rate{Gamma: 0.0025, Threshold: 1e-5, Factor: 0.75, Patience: 1, Tau: 10}, tr.EpsilonXY)
			require.Equal(t, 45, tr.CooldownAfter)
		},
		"train-dialect2-cross-entropy": func(tr *Training) { require.Equal(t, 1, tr.LossMode) },
		"train-dialect2-mixed-loss":    func(tr *Training) { require.Equal(t, 0, tr.LossMode) },
	} {
		folder := shared(t, name)
		config, err := FindConfiguration(folder)
		require.NoError(t, err)
		opt := Options{Config: config, Input: convert.Size{Channels: 2, Height: 12, Width: 12}, NoPreprocessing: true}
		if name == "train-dialect1" {
			opt.Input.Channels = 1
		}
		n, tr, r, err := NewNetwork(opt, Start{})
		require.NoError(t, err)
		require.Empty(t, r.Warnings)
		require.Equal(t, 2, tr.BatchesPerUpdate)
		require.Equal(t, 6, tr.BatchSize)
		require.True(t, tr.Layers[0].Weights && tr.Layers[2].Weights && !tr.Layers[1].Weights)
		check(tr)

		opt.Weights = folder
		trained, _, _, err := NewNetwork(opt, Start{})
		require.NoError(t, err)
		loaded, _, err := Load(opt)
		require.NoError(t, err)
		require.Equal(t, loaded, trained)
		require.NotEqual(t, n.Layers, trained.Layers)
	}
}
