package training

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/train"
)

func TestPlan_DefaultsDependOnTheKindOfTraining(t *testing.T) {
	spiking := converttest.Digits()
	standard := &convert.Network{Layers: []convert.Layer{&convert.Conv{}}}
	training := func(dialect int) *pytorch.Training {
		return &pytorch.Training{
			Dialect: dialect, BatchSize: 500, BatchesPerUpdate: 1, UpdateAfter: 3, Step: 2, StepMax: 12, Optimizer: "SGD",
			W: pytorch.Rate{Gamma: 0.25}, EpsilonXY: pytorch.Rate{Gamma: 0.125}, TestEvery: 50,
		}
	}
	tuning := plan{
		batch: 24, subBatches: 4, steps: 1, optimizer: train.Adam, rateW: 0.03, rateEpsilonXY: 0.0005,
		schedule: "cosine", loss: "mixture", tested: true, testEvery: 1, saveEvery: 1,
	}
	tuning1, tuningStandard := tuning, tuning
	tuning1.rateW = 0.001
	tuningStandard.rateW, tuningStandard.loss = 0.001, "cross-entropy"
	configured := plan{
		batch: 500, subBatches: 3, steps: 10, optimizer: train.SGD, rateW: 0.25, rateEpsilonXY: 0.125,
		loss: "mixture", testEvery: 1, saveEvery: 1,
	}
	configured1 := configured
	configured1.testEvery = 50
	for _, c := range []struct {
		name    string
		kind    kind
		dialect int
		network *convert.Network
		want    plan
	}{
		{"fine-tuning, dialect 2", fineTuning, 2, spiking, tuning},
		{"fine-tuning, dialect 1", fineTuning, 1, spiking, tuning1},
		{"fine-tuning, standard layers", fineTuning, 2, standard, tuningStandard},
		{"configuration, dialect 2", byEpochs, 2, spiking, configured},
		{"configuration, dialect 1", byUpdates, 1, spiking, configured1},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, defaultsFor(c.kind, training(c.dialect), c.network))
		})
	}
}

// TestPlan_FollowsTheLossOfTheConfiguration checks the loss for networks that end with these layers.
func TestPlan_FollowsTheLossOfTheConfiguration(t *testing.T) {
	const given0, given1, none = "loss_mode 0", "loss_mode 1", ""
	nnmf, spiking, conv, pool, maximum := &convert.NNMF{}, &convert.SbS{}, &convert.Conv{}, &convert.AveragePool{}, &convert.MaxPool{}
	for _, c := range []struct {
		layers []convert.Layer
		mode   string
		want   string
	}{
		{[]convert.Layer{nnmf}, none, lossMixture},
		{[]convert.Layer{nnmf, pool}, none, lossMixture},
		{[]convert.Layer{nnmf, pool, maximum}, given0, lossMixture},
		{[]convert.Layer{spiking, pool}, given0, lossMixture},
		{[]convert.Layer{spiking, pool}, given1, lossCrossEntropy},
		{[]convert.Layer{spiking, &convert.SbS{Pooling: true}}, none, lossMixture},
		{[]convert.Layer{conv, &convert.ReLU{}}, none, lossCrossEntropy},
		{[]convert.Layer{conv, &convert.ReLU{}, pool}, given0, lossMixture},
		{[]convert.Layer{spiking, conv}, given0, lossCrossEntropy},
		{[]convert.Layer{spiking, &convert.ApproxConv{}, pool}, given0, lossCrossEntropy},
		{[]convert.Layer{spiking, conv, pool}, none, lossCrossEntropy},
		{[]convert.Layer{spiking, &convert.Reconstruction{}}, none, lossMixture},
	} {
		tr := &pytorch.Training{Dialect: 2, LossGiven: c.mode != none}
		if c.mode == given1 {
			tr.LossMode = 1
		}
		n := &convert.Network{Layers: c.layers}
		require.Equal(t, c.want, defaultsFor(byEpochs, tr, n).loss, "%v %s", c.layers, c.mode)
		j := &job{network: n, training: tr, plan: defaultsFor(byEpochs, tr, n)}
		require.NoError(t, new(flags).setLoss(j))
		noted := c.mode == given0 && c.want == lossCrossEntropy
		require.Equal(t, noted, len(j.notes) == 1, j.notes)
		if noted {
			require.Contains(t, j.notes[0], "loss_mode is 0, which compares probabilities, but the outputs of layer L1 (")
		}
		if signed(n) {
			j.loss = lossMixture
			require.ErrorContains(t, (&flags{loss: lossMixture}).setLoss(j), "--loss mixture compares probabilities, but layer L1")
		}
	}
}

// TestScaled_KnowsTheLayersWithAScale checks which layers divide their gradient.
func TestScaled_KnowsTheLayersWithAScale(t *testing.T) {
	require.True(t, scaled(&convert.SbS{}))
	require.True(t, scaled(&convert.NNMF{Gradient: sbs.GradientClosedForm}))
	require.False(t, scaled(&convert.NNMF{Gradient: sbs.GradientLoop}))
	require.False(t, scaled(&convert.Conv{}))
}

// TestPlan_GivesANewLayerMoreToLearn checks the learning rate and the number of epochs.
func TestPlan_GivesANewLayerMoreToLearn(t *testing.T) {
	spiking, mixed := converttest.Digits(), converttest.Digits()
	mixed.Layers = append(mixed.Layers, converttest.New(1).Conv(converttest.Window(1, 1), 3, 3))
	require.Equal(t, plan{rateW: 0.1}, plan{rateW: tuneRate2}.withNewLayer(spiking))
	require.Equal(t, plan{rateW: 0.03}, plan{rateW: tuneRate2}.withNewLayer(mixed), "a convolution adds to its weights")
	require.Equal(t, plan{rateW: 0.001}, plan{rateW: tuneRate1}.withNewLayer(spiking), "dialect 1")
	for updates, want := range map[int]int{1: 100, 3: 100, 4: 75, 7: 43, 100: 3, 625: 3} {
		require.Equal(t, want, newLayerEpochs(updates), "%d updates", updates)
	}
	f := parse(t, model(t, convert.Options{}), "--data", photos(t, "x", "y"), "--new-classes", "--batches-per-update", "2")
	j, err := f.newJob(t.Context())
	require.NoError(t, err)
	require.Equal(t, 100, j.steps, "120 images, 5 sub-batches, 2 updates")
	require.InDelta(t, 0.1, j.rateW, 0)
	f = parse(t, f.path, "--data", f.data[0], "--new-classes", "--epochs", "2", "--lr", "0.5")
	j, err = f.newJob(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, j.steps)
	require.InDelta(t, 0.5, j.rateW, 0)
}

func TestPlan_FlagsTakePrecedence(t *testing.T) {
	defaults := plan{batch: 1, subBatches: 2, steps: 3, optimizer: train.SGD, rateW: 4, rateEpsilonXY: 5, loss: "mixture", testEvery: 6, saveEvery: 7}
	require.Equal(t, defaults, defaults.override(parse(t, "m.onnx")))
	f := parse(t, "m.onnx", "--batch=10", "--batches-per-update=20", "--lr=0.4", "--lr-epsilon-xy=0.5",
		"--lr-schedule=plateau", "--loss=cross-entropy", "--test-every=60", "--save-every=70")
	require.Equal(t, plan{
		batch: 10, subBatches: 20, steps: 3, optimizer: train.SGD, rateW: 0.4, rateEpsilonXY: 0.5,
		schedule: "plateau", loss: "cross-entropy", tested: true, testEvery: 60, saveEvery: 70,
	}, defaults.override(f))
	before := *f
	defaults.override(f)
	require.Equal(t, before, *f, "the flags must not change")
	require.True(t, defaults.override(parse(t, "m.onnx", "--test=x")).tested)
	require.True(t, defaults.override(parse(t, "m.onnx", "--test-spikes=9")).tested)
	defaults.tested = true
	require.False(t, defaults.override(parse(t, "m.onnx", "--no-test")).tested)
}
