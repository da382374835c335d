package training

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/train"
)

// updates returns updates with a loss and faults.
func updates(count int, loss float64, faults ...train.Fault) []*train.Update {
	var list []*train.Update
	for range count {
		list = append(list, &train.Update{LossPerImage: loss, Images: 10, Correct: 5, Faults: faults})
	}
	return list
}

// TestGuard_StopsForGoodReasonsOnly checks after how many updates a guard stops a training.
func TestGuard_StopsForGoodReasonsOnly(t *testing.T) {
	join := func(lists ...[]*train.Update) (all []*train.Update) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	equal, none := train.Fault{Layer: "L0", Kind: train.EqualWeights}, train.Fault{Layer: "L2", Kind: train.NoGradient}
	allRight := updates(50, 0, none)
	for _, u := range allRight {
		u.Correct = u.Images
	}
	for name, c := range map[string]struct {
		updates []*train.Update
		stops   int // number of the update, 0 if the training goes on
		reason  string
	}{
		"a constant loss":              {updates(100, 2.3), 0, ""},
		"a loss that falls":            {join(updates(5, 30), updates(100, 0.1)), 0, ""},
		"fine-tuning of a good model":  {join(updates(1, 0.001), updates(100, 2.3)), 0, ""}, // with far fewer spikes, for example
		"ten times the start":          {join(updates(1, 2.3), updates(100, 22.9)), 0, ""},
		"a large loss now and then":    {join(updates(1, 2.3), updates(19, 30), updates(1, 3), updates(19, 30), updates(1, 3)), 0, ""},
		"a large loss for long":        {join(updates(1, 2.3), updates(19, 30), updates(1, 3), updates(20, 30)), 41, "the loss exploded: it is 30, and at the start it was at most 2.3"},
		"an extreme loss":              {join(updates(1, 2.3), updates(1, 2301)), 2, "the loss exploded: it is 2.3e+03"},
		"a start above a guess":        {join(updates(1, 40), updates(100, 350)), 0, ""},
		"infinite weights":             {join(updates(3, 1), updates(1, 1, train.Fault{Layer: "L1", Kind: train.NotFinite})), 4, "the weights of layer L1, or their gradients, are NaN or infinite"},
		"equal weights for a while":    {join(updates(19, 1, equal), updates(1, 1), updates(19, 1, equal)), 0, ""},
		"equal weights":                {join(updates(7, 1), updates(20, 1, none, equal)), 27, "the weights of layer L2 died: for 20 updates, their gradient has been 0"},
		"equal weights of one layer":   {join(updates(7, 1, none), updates(20, 1, equal)), 27, "the weights of layer L0 died: for 20 updates, each neuron has had the same weight"},
		"alternating layers":           {join(updates(15, 1, none), updates(15, 1, equal), updates(15, 1, none)), 0, ""},
		"no gradient without mistakes": {allRight, 0, ""},
	} {
		g, stopped, reason := guard{}, 0, ""
		for i, u := range c.updates {
			if reason, _ = g.check(u, 2.3); reason != "" {
				stopped = i + 1
				break
			}
		}
		require.Equal(t, c.stops, stopped, name)
		require.Contains(t, reason, c.reason, name)
	}
}

// save writes a network as a model.
func save(t *testing.T, n *convert.Network) string {
	t.Helper()
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// cnn returns a network of convolutions for the images of bars.
func cnn() *convert.Network {
	m := converttest.New(3)
	return &convert.Network{
		Input: convert.Size{Channels: 1, Height: 12, Width: 12},
		Layers: []convert.Layer{
			m.Conv(converttest.Window(3, 1), 1, 4), &convert.ReLU{}, m.Conv(converttest.Window(10, 1), 4, 3),
		},
	}
}

// TestTrain_StopsIfTheLossExplodes checks that the best model stays: with tests, that is the model
// given.
func TestTrain_StopsIfTheLossExplodes(t *testing.T) {
	data, path := bars(t, 480, 60), save(t, cnn())
	out := filepath.Join(t.TempDir(), "out.onnx")
	log := strings.TrimSuffix(out, ".onnx") + "-log"
	args := []string{path, "--data", data, "-o", out, "--epochs", "4", "--lr-schedule", "constant"}
	stdout, stderr, err := command(t, append(args, "--lr", "1000")...)
	require.ErrorIs(t, err, ErrStopped)
	require.Regexp(t, `^training stopped after update \d+ of 20: the loss exploded: it is .*, and at the start it was at most .*\. `+regexp.QuoteMeta(out)+
		` is the best model so far: test accuracy .*% before training\. Train again with a smaller --lr \(now 1000\)$`, err.Error())
	require.Empty(t, stdout)
	require.Contains(t, stderr, "before training: test ")
	require.Equal(t, network(t, path).Layers, network(t, out).Layers)
	require.FileExists(t, filepath.Join(log, "curves.png"))
	last := metrics(t, log)
	require.Greater(t, last[len(last)-1].Loss, 1000.0)

	// Resuming leads to the same end, and less of --lr to a better one.
	_, _, again := command(t, append(args, "--lr", "1000", "--resume")...)
	require.EqualError(t, again, err.Error())
	must(t, append(args, "--lr", "0.01", "--force")...)

	// Without tests and before the end of the first epoch, there is no best model.
	require.NoError(t, os.Remove(out))
	_, _, err = command(t, append(args, "--lr", "1000", "--no-test", "--force")...)
	require.ErrorContains(t, err, "No model was written")
	require.NoFileExists(t, out)
}

// TestFailed_RestoresTheModelOfTheBestEpoch stops a training without tests whose second epoch is
// worse than its first one.
func TestFailed_RestoresTheModelOfTheBestEpoch(t *testing.T) {
	dir := t.TempDir()
	f := parse(t, save(t, cnn()), "--data", bars(t, 96, 0), "-o", filepath.Join(dir, "out.onnx"), "--no-test", "--epochs", "2", "--lr", "3", "--lr-schedule", "constant", "--quiet")
	j, err := f.newJob(t.Context())
	require.NoError(t, err)
	s, err := f.begin(t.Context(), j, os.Stderr)
	require.NoError(t, err)
	for i, c := range []struct {
		loss float64
		kept bool
	}{{9, true}, {8, true}, {8, false}, {11, false}, {7, true}} {
		s.at.SubBatches, s.at.Epoch = 4*(i+1), tally{Loss: 96 * c.loss, Images: 96}
		require.NoError(t, s.keepBestEpoch())
		require.Equal(t, c.kept, s.at.Best.SubBatches == s.at.SubBatches)
	}
	require.NoError(t, s.writeModel([]byte("worse")))
	err = s.failed(&failure{"reason", adviceRate + ", or advice"})
	require.ErrorContains(t, err, "reason. "+s.places.model+" is the best model so far: loss 7 after update 5. Train again with a smaller --lr (now 3), or advice")
	require.Equal(t, network(t, f.path).Layers, network(t, s.places.model).Layers)
	require.Equal(t, 5, network(t, s.places.model).Step)
	require.NoError(t, s.close())
}

// TestTrain_StopsIfWeightsDie trains with a lower limit that is above all weights, and a network
// with a ReLU that is always 0.
func TestTrain_StopsIfWeightsDie(t *testing.T) {
	data := bars(t, 480, 60)
	text := strings.Replace(string(read(t, dialect2(t))), `"w_trainable"`, `"learning_rate_threshold_w": 0.9, "w_trainable"`, 1)
	path := configuration(t, "network.json", text)
	_, _, err := command(t, path, "--data", data)
	require.ErrorIs(t, err, ErrStopped)
	require.ErrorContains(t, err, "training stopped after update 20 of 50: the weights of layer L0 died")
	require.ErrorContains(t, err, "model.onnx is the best model so far: test accuracy")
	require.ErrorContains(t, err, "or a smaller learning_rate_threshold_w in the configuration")

	dead := cnn()
	for i := range dead.Layers[0].(*convert.Conv).Bias.Float32s() {
		dead.Layers[0].(*convert.Conv).Bias.Float32s()[i] = -100
	}
	path = save(t, dead)
	_, _, err = command(t, path, "--data", data, "--epochs", "9")
	require.ErrorIs(t, err, ErrStopped)
	require.ErrorContains(t, err, "training stopped after update 20 of 45: the weights of layer L0 died: for 20 updates, their gradient has been 0")
}

// TestResult_ComparesWithTheModelBefore trains a model to a good one, and then spoils it.
func TestResult_ComparesWithTheModelBefore(t *testing.T) {
	data, dir := bars(t, 480, 200), t.TempDir()
	good, spoiled := filepath.Join(dir, "good.onnx"), filepath.Join(dir, "spoiled.onnx")
	stdout, stderr := must(t, save(t, cnn()), "--data", data, "-o", good, "--epochs", "8", "--lr", "0.01")
	shown := regexp.MustCompile(`before training: test (\d+\.\d\d)%\n`).FindStringSubmatch(stderr)
	require.NotNil(t, shown, stderr)
	require.Regexp(t, `^test accuracy \d+\.\d\d% \(200 images\), before training `+shown[1]+`%\n`, stdout)

	out, _ := must(t, good, "--data", data, "-o", filepath.Join(dir, "same.onnx"), "--lr", "1e-12")
	require.Contains(t, out, "% (200 images), the same as before training\n")

	array(t, filepath.Join(data, "TrainLabelStorage.npy"), []int{480}, make([]uint64, 480)) // wrong labels
	stdout, _, err := command(t, good, "--data", data, "-o", spoiled, "--lr", "0.05", "--epochs", "4")
	require.Regexp(t, `% \(200 images\), worse than before training: \d+\.\d\d%\n`, stdout)
	require.Contains(t, stdout, "wrote "+spoiled)
	require.ErrorContains(t, err, "the training has made the model worse: ")
	require.ErrorContains(t, err, "; try a smaller --lr (now 0.05)")
	require.NotErrorIs(t, err, cli.ErrInterrupted)
	require.FileExists(t, spoiled)
	require.Equal(t, network(t, good).Layers, network(t, filepath.Join(dir, "spoiled-log", "best.onnx")).Layers)
}

// TestTrain_TestsSavedWeightsBefore trains from a configuration with random weights, and then from
// the weights that this training has saved.
func TestTrain_TestsSavedWeightsBefore(t *testing.T) {
	path, data := dialect2(t), bars(t, 240, 60)
	model := filepath.Join(filepath.Dir(path), "model.onnx")
	require.NoError(t, os.WriteFile(model, []byte("from sbs-convert"), 0o600))
	_, _, err := command(t, path, "--data", data)
	require.ErrorContains(t, err, model+" already exists: give another --output, or replace it with --force")
	require.NoError(t, os.Remove(model))
	_, errOut := must(t, path, "--data", data)
	require.NotContains(t, errOut, "before training")
	text := strings.Replace(string(read(t, path)), `"epoch_id_max": 5`, `"epoch_id": 5, "epoch_id_max": 6`, 1)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.RemoveAll(filepath.Join(filepath.Dir(path), "Log")))
	out, errOut, err := command(t, path, "--data", data)
	require.Contains(t, errOut, "before training: test ")
	require.Contains(t, out, " before training", "%v", err)
}

// TestVerdict_KnowsChance compares numbers of wrong answers.
func TestVerdict_KnowsChance(t *testing.T) {
	f := parse(t, model(t, convert.Options{}), "--data", bars(t, 48, 100), "-o", filepath.Join(t.TempDir(), "a.onnx"), "--quiet")
	j, err := f.newJob(t.Context())
	require.NoError(t, err)
	s := &session{job: j}
	for _, c := range []struct {
		before, after float64 // errors in percent
		text          string
		worse         bool
	}{
		{10, 9, ", before training 90.00%", false},
		{10, 10, ", the same as before training", false},
		{10, 14, ", not better than before training: 90.00%", false},
		{10, 21, ", not better than before training: 90.00%", false},
		{10, 22, ", worse than before training: 90.00%", true},
		{0, 4, ", not better than before training: 100.00%", false},
		{0, 5, ", worse than before training: 100.00%", true},
	} {
		s.at.Before, s.at.LastTest = &testResult{Error: c.before}, &testResult{Error: c.after}
		text, worse := s.verdict()
		require.Equal(t, c.text, text, "%v", c)
		require.Equal(t, c.worse, worse, "%v", c)
	}
	s.at.Before = nil
	text, worse := s.verdict()
	require.Empty(t, fmt.Sprint(text))
	require.False(t, worse)
}

func TestTrain_SuggestsAReasonIfTheLossIsNaN(t *testing.T) {
	m := converttest.New(1)
	n := &convert.Network{
		Input:  convert.Size{Channels: 1, Height: 12, Width: 12},
		Layers: []convert.Layer{m.Conv(converttest.Window(12, 1), 1, 3)},
	}
	n.Layers[0].(*convert.Conv).Bias.Float32s()[0] = float32(math.Inf(1))
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, _, err = command(t, path, "--data", bars(t, 30, 0))
	require.ErrorIs(t, err, ErrStopped)
	require.ErrorContains(t, err, "the loss is NaN or infinite, although no weight has changed yet")
	require.ErrorContains(t, err, "Check the images and the weights at the start")
	require.NotContains(t, err.Error(), "--lr")
}
