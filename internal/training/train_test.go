package training

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/internal/trainlog"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// command runs the command and returns what it prints.
func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	err = run(t.Context(), args, &out, &errOut)
	return out.String(), errOut.String(), err
}

func must(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, err := command(t, args...)
	require.NoError(t, err, stderr)
	return stdout, stderr
}

// bars writes a training and a test set: see clitest.Bars.
func bars(t *testing.T, training, test int) string {
	t.Helper()
	dir := t.TempDir()
	clitest.Bars(t, dir, training, test)
	return dir
}

func array(t *testing.T, path string, shape []int, data any) {
	t.Helper()
	clitest.Array(t, path, shape, data)
}

// model writes a small model with random weights.
func model(t *testing.T, opt convert.Options) string {
	t.Helper()
	n := converttest.Digits()
	n.Training = nil
	data, err := convert.ToONNX(n, opt)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

const structure = `
	"network_structure": {
		"number_of_output_neurons": 3,
		%s
		"forward_neuron_numbers": [[%d, 6], [6, 6], [6, 3]],
		"forward_kernel_size": [[3, 3], [2, 2], [3, 3]],
		"strides": [[1, 1], [2, 2], [1, 1]]
	},`

// dialect1 writes a dialect 1 configuration for the images of bars.
func dialect1(t *testing.T) string {
	t.Helper()
	return configuration(t, "bars.json", `{
		"data_mode": "BARS", "number_of_spikes": 60, "batch_size": 24, "learning_step_max": 40,`+
		fmt.Sprintf(structure, `"is_pooling_layer": [false, true, false], "eps_xy_trainable": [true, false, true],`, 2)+`
		"learning_parameters": {
			"learning_rate_gamma_w": 0.01, "learning_rate_gamma_eps_xy": 0.0005, "lr_schedule_name": "None",
			"test_every_x_learning_steps": 20, "number_of_batches_for_one_update": 2
		}
	}`)
}

// dialect2 writes a dialect 2 configuration for the images of bars.
func dialect2(t *testing.T) string {
	t.Helper()
	return configuration(t, "network.json", `{
		// like the published network, but smaller
		"data_mode": "BARS", "number_of_spikes": [60], "batch_size": 24, "epoch_id_max": 5,`+
		fmt.Sprintf(structure, `"layer_type": ["SbS", "Average POOLING", "SbS"],`, 1)+`
		"learning_parameters": {
			"loss_mode": 1, "learning_rate_gamma_w": 0.1, "w_trainable": [true], "number_of_batches_for_one_update": 2,
			"adapt_learning_rate_after_minibatch": false, "eps_xy_intitial": 1
		}
	}`)
}

func configuration(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func network(t *testing.T, path string) *convert.Network {
	t.Helper()
	n, err := convert.FromONNX(read(t, path))
	require.NoError(t, err)
	return n
}

func metrics(t *testing.T, folder string) []trainlog.Record {
	t.Helper()
	r, err := trainlog.ReadMetrics(filepath.Join(folder, "metrics.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, r)
	return r
}

// checkLogs checks the files in the log folder of a training.
func checkLogs(t *testing.T, folder string) {
	t.Helper()
	_, err := png.Decode(bytes.NewReader(read(t, filepath.Join(folder, "curves.png"))))
	require.NoError(t, err)
	events, err := filepath.Glob(filepath.Join(folder, "events.out.tfevents.*"))
	require.NoError(t, err)
	require.Len(t, events, 1)
	content := string(read(t, events[0]))
	for _, tag := range []string{"Train Error", "Train Loss", "Test Error", "Learning Rate Scale WF", "Weights Layer 0"} {
		require.Contains(t, content, tag)
	}
}

// TestTrain_FineTunesAModel uses the defaults, except for a larger rate and more epochs,
// since the data set is small.
func TestTrain_FineTunesAModel(t *testing.T) {
	data, path := bars(t, 480, 120), model(t, convert.Options{Batch: 7})
	out, errOut := must(t, path, "--data", data, "--lr", "0.2", "--epochs", "12")
	log := strings.TrimSuffix(path, ".onnx") + "-tuned-log"
	tuned := strings.TrimSuffix(path, ".onnx") + "-tuned.onnx"
	require.Contains(t, out, "wrote "+tuned)
	require.Contains(t, errOut, "480 training images of 1x12x12, 120 test images; 24 images per sub-batch, 4 sub-batches per update")
	require.Equal(t, 12, strings.Count(errOut, "accuracy")-strings.Count(errOut, "update "), errOut)
	records := metrics(t, log)
	require.Len(t, records, 60)
	require.Less(t, records[59].Loss, records[0].Loss)
	require.NotNil(t, records[59].TestError)
	require.Less(t, *records[59].TestError, 30.0)
	require.Nil(t, records[58].TestError)
	require.Equal(t, int64(11), records[59].Epoch)
	require.Equal(t, int64(5760), records[59].Images)
	require.Nil(t, records[0].LearningRateEpsilonXY)
	require.NotNil(t, records[0].LearningRateW)
	require.InDelta(t, 0.2, *records[0].LearningRateW, 1e-9)
	require.Less(t, *records[59].LearningRateW, 0.001, "the cosine must fall to 0")
	checkLogs(t, log)

	n := network(t, tuned)
	require.Equal(t, 2, n.Preprocessing.Crop)
	require.Equal(t, convert.Size{Channels: 1, Height: 12, Width: 12}, n.Input)
	require.Equal(t, 19, n.Step)
	require.Equal(t, []string{"a", "b", "c"}, n.Classes)
	m, err := runtime.Open(tuned)
	require.NoError(t, err)
	require.Equal(t, 7, m.Inputs()[0].Shape[0].Size)
}

// TestTrain_TrainsFromAConfiguration trains from scratch in both dialects.
func TestTrain_TrainsFromAConfiguration(t *testing.T) {
	for _, c := range []struct {
		name    string
		config  func(*testing.T) string
		weights string // folder
		step    int
		records int
		epsilon []string
	}{
		{"dialect 1", dialect1, "Weights", 40, 40, []string{"EpsXY/EpsXY_L0_S1.npy", "EpsXY/EpsXY_L2_S40.npy"}},
		{"dialect 2", dialect2, "Parameters", 5, 50, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, data := c.config(t), bars(t, 480, 120)
			base := filepath.Dir(path)
			out, _ := must(t, path, "--data", data)
			require.Contains(t, out, "test accuracy ")
			records := metrics(t, filepath.Join(base, "Log"))
			require.Len(t, records, c.records)
			require.Less(t, records[c.records-1].Loss, records[0].Loss)
			require.Less(t, *records[c.records-1].TestError, 45.0)
			require.Equal(t, c.epsilon != nil, records[0].LearningRateEpsilonXY != nil)
			checkLogs(t, filepath.Join(base, "Log"))
			for _, name := range c.epsilon {
				require.FileExists(t, filepath.Join(base, name))
			}

			// Load reads the folder, and gives the same network as the model file.
			mean := network(t, filepath.Join(base, "model.onnx")).Preprocessing.OnOffMean
			n, report, err := pytorch.Load(pytorch.Options{
				Weights: filepath.Join(base, c.weights), Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Mean: mean,
			})
			require.NoError(t, err)
			require.Equal(t, c.step, report.Step)
			saved := network(t, filepath.Join(base, "model.onnx"))
			require.Equal(t, c.step, saved.Step)
			for i, l := range n.Layers {
				if s, ok := l.(*convert.SbS); ok {
					other := saved.Layers[i].(*convert.SbS)
					require.Equal(t, s.Weights, other.Weights, "layer %d", i)
					require.Equal(t, s.EpsilonXY, other.EpsilonXY, "layer %d", i)
				}
			}

			_, _, err = command(t, path, "--data", data)
			require.ErrorContains(t, err, "already exists: resume its training with --resume")
			require.NoError(t, os.RemoveAll(filepath.Join(base, "Log")))
			_, _, err = command(t, path, "--data", data)
			require.ErrorContains(t, err, "is from another training")
			_, errOut := must(t, path, "--data", data, "--epochs", "1", "--force")
			require.Contains(t, errOut, "is from another training and is kept: to convert the weights of this training, run sbs-convert with --step")
		})
	}
}

// TestTrain_MovesTheMeanOfAnOnOffLayer checks that the mean follows the images, although
// no key makes it trainable, unless --freeze names the layer.
func TestTrain_MovesTheMeanOfAnOnOffLayer(t *testing.T) {
	text := strings.NewReplacer(`["SbS", `, `["ONOFF", "SbS", `, "[[1, 6]", "[[1, 2], [2, 6]", "[[3, 3], [2", "[[], [3, 3], [2",
		"[[1, 1], [2", "[[], [1, 1], [2").Replace(string(read(t, dialect2(t))))
	data := bars(t, 48, 0)
	for flag, frozen := range map[string]bool{"--seed=0": false, "--freeze=L0": true} {
		path := configuration(t, "network.json", text)
		// Without a Mean file, the layer would have no mean.
		previous := filepath.Join(filepath.Dir(path), "Previous")
		require.NoError(t, os.Mkdir(previous, 0o755))
		half := &npy.Array{Shape: []int{1, 1, 8, 8}, Data: slices.Repeat([]float32{0.5}, 64)}
		var file bytes.Buffer
		require.NoError(t, npy.Write(&file, half))
		require.NoError(t, os.WriteFile(filepath.Join(previous, "Mean_L0_S0.npy"), file.Bytes(), 0o600))
		must(t, path, "--data", data, "--epochs", "1", "--quiet", flag)
		mean := network(t, filepath.Join(filepath.Dir(path), "model.onnx")).Layers[0].(*convert.OnOff).Mean.Float32s()
		require.Len(t, mean, 64)
		require.Equal(t, frozen, mean[0] == 0.5, "%s: %v", flag, mean[0])
		require.Equal(t, frozen, mean[0] == mean[27], "the corner must become darker than the center")
	}
}

// TestTrain_WritesAConfigurationToAnotherFolder checks that Load can read the folder that
// --output names.
func TestTrain_WritesAConfigurationToAnotherFolder(t *testing.T) {
	base := filepath.Join(t.TempDir(), "run")
	must(t, dialect2(t), "--data", bars(t, 96, 0), "--epochs", "2", "-o", base)
	n, _, err := pytorch.Load(pytorch.Options{
		Weights: filepath.Join(base, "Parameters"), Input: convert.Size{Channels: 1, Height: 12, Width: 12},
	})
	require.NoError(t, err)
	require.Equal(t, 2, n.Step)
}

func TestTrain_KeepsFrozenLayers(t *testing.T) {
	path := model(t, convert.Options{})
	out := filepath.Join(t.TempDir(), "out.onnx")
	must(t, path, "--data", bars(t, 96, 0), "--freeze", "L0", "-o", out, "--quiet")
	before, after := network(t, path), network(t, out)
	require.Equal(t, before.Layers[0].(*convert.SbS).Weights, after.Layers[0].(*convert.SbS).Weights)
	require.NotEqual(t, before.Layers[2].(*convert.SbS).Weights, after.Layers[2].(*convert.SbS).Weights)
}

// TestTrain_ChangesTheSpikes checks that the flags about spikes change the resulting
// model, and that training with fewer spikes reduces the loss.
func TestTrain_ChangesTheSpikes(t *testing.T) {
	data, path := bars(t, 480, 200), model(t, convert.Options{})
	out := filepath.Join(t.TempDir(), "out.onnx")
	must(t, path, "--data", data, "-o", out, "--spikes", "12", "--sampler", "low-discrepancy", "--epsilon-schedule", "power:-0.2",
		"--epochs", "12", "--lr", "0.2", "--loss", "mixture", "--test-spikes", "6")
	_, errOut := must(t, path, "--data", data, "-o", filepath.Join(t.TempDir(), "few.onnx"), "--spikes", "4", "--no-test")
	require.Contains(t, errOut, "warning: L0 draws 4 spikes instead of 40, L2 draws 4 spikes instead of 40: epsilon is too small for so few spikes, which lowers the accuracy; pass --sampler low-discrepancy")
	s := network(t, out).Layers[0].(*convert.SbS)
	require.Equal(t, 12, s.Spikes)
	require.Len(t, s.EpsilonT, 12)
	require.Equal(t, "low_discrepancy", string(s.Sampler))
	records := metrics(t, strings.TrimSuffix(out, ".onnx")+"-log")
	require.Less(t, records[len(records)-1].Loss, records[0].Loss)

	more := filepath.Join(t.TempDir(), "more.onnx")
	must(t, path, "--data", data, "-o", more, "--spikes", "5,99", "--epsilon-0", "3, 1", "--no-test", "--epochs", "1")
	l0, l2 := network(t, more).Layers[0].(*convert.SbS), network(t, more).Layers[2].(*convert.SbS)
	require.Equal(t, sbs.Schedule{Power: -0.5}.EpsilonT(5), l0.EpsilonT)
	require.Equal(t, sbs.Schedule{Power: -0.5}.EpsilonT(99), l2.EpsilonT)
	require.Equal(t, []float32{3, 1}, []float32{l0.Epsilon0, l2.Epsilon0})

	_, _, err := command(t, path, "--data", data, "--spikes", "5,6,7")
	require.ErrorContains(t, err, "there are values for 3 SbS layers, but the network has 2 (L0, L2)")
	own, err := convert.ToONNX(converttest.OwnEpsilonT(converttest.Digits()), convert.Options{})
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), "own.onnx")
	require.NoError(t, os.WriteFile(path, own, 0o600))
	_, _, err = command(t, path, "--data", data, "--spikes", "99")
	require.ErrorContains(t, err, "layer L0: epsilon_t has values for 40 spikes only, and follows no known rule: for 99 spikes, give --epsilon-schedule inverse-sqrt, constant or power:P")
	_, _, err = command(t, path, "--data", data, "--test-spikes", "99")
	require.ErrorContains(t, err, "for the tests (--test-spikes): ")
}

// TestNoAugmentation_KeepsTheImages checks that an image is the same in every epoch. The
// learning rate is so small that the loss changes only if the images do.
func TestNoAugmentation_KeepsTheImages(t *testing.T) {
	m := converttest.New(1)
	n := &convert.Network{
		Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Preprocessing: convert.Preprocessing{Crop: 2},
		Layers: []convert.Layer{m.Conv(converttest.Window(8, 1), 1, 3)},
	}
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	images := bars(t, 24, 0)
	for _, flag := range []string{"--no-augmentation", "--no-augmentation=false"} {
		must(t, path, "--data", images, "--epochs", "5", "--lr", "1e-30", "--force", "--quiet", flag)
		records := metrics(t, strings.TrimSuffix(path, ".onnx")+"-tuned-log")
		differ := 0.0
		for _, r := range records {
			differ = max(differ, math.Abs(r.Loss-records[0].Loss))
		}
		require.Equal(t, flag == "--no-augmentation", differ < 1e-6, "%s: %v", flag, differ)
	}
}

func TestWorkers_DoNotChangeTheResult(t *testing.T) {
	data, path := bars(t, 100, 0), model(t, convert.Options{})
	dir := t.TempDir()
	for _, w := range []string{"1", "3"} {
		must(t, path, "--data", data, "-o", filepath.Join(dir, w+".onnx"), "--workers", w, "--batch", "30", "--epochs", "2", "--quiet")
	}
	require.Equal(t, read(t, filepath.Join(dir, "1.onnx")), read(t, filepath.Join(dir, "3.onnx")))
}

// TestTrain_ReadsFoldersOfImages trains with one folder of images per class. The names of
// the folders are the names of the classes.
func TestTrain_ReadsFoldersOfImages(t *testing.T) {
	n, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist-prototypes/Weights"})
	require.NoError(t, err)
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, errOut := must(t, path, "--data", "../../models/mnist/images", "--spikes", "50", "--epochs", "3", "--test", "../../models/mnist/images")
	require.Contains(t, errOut, "30 training images of 1x28x28, 30 test images")
	require.Contains(t, errOut, "warning: using 2 sub-batches per update instead of 4: there are only 2 per epoch")
	r := metrics(t, strings.TrimSuffix(path, ".onnx")+"-tuned-log")
	require.Less(t, r[len(r)-1].Loss, r[0].Loss)

	_, _, err = command(t, model(t, convert.Options{}), "--data", "../../models/mnist/images", "--resize")
	require.ErrorContains(t, err, "a")
}

func TestTrain_WorksWithoutTestImages(t *testing.T) {
	_, errOut := must(t, model(t, convert.Options{}), "--data", bars(t, 30, 0))
	require.Contains(t, errOut, "no tests during the training")
	path := model(t, convert.Options{})
	_, errOut = must(t, path, "--data", bars(t, 30, 30), "--no-test")
	require.Contains(t, errOut, "no test images")
	require.NotContains(t, errOut, "warning: no tests during the training")
}

// TestResume_RefusesAnotherCheckpoint checks the errors about a checkpoint that is from a
// training with other settings.
func TestResume_RefusesAnotherCheckpoint(t *testing.T) {
	data, path := bars(t, 96, 0), model(t, convert.Options{})
	out := filepath.Join(t.TempDir(), "out.onnx")
	args := []string{path, "--data", data, "-o", out, "--quiet"}
	must(t, args...)
	for flag, want := range map[string]string{
		"--no-augmentation": `--no-augmentation (was "", now "given")`,
		"--batch=12":        `--batch (was "24", now "12")`, "--seed=3": `--seed (was "0", now "3")`, "--spikes=10": "--spikes",
		"--freeze=L0": "--freeze", "--data=" + bars(t, 95, 0): "the training images", "--epochs=2": "--epochs",
	} {
		_, _, err := command(t, append(args, "--resume", flag)...)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), settingConfig)
	}
	must(t, append(args, "--force")...)
	events, err := filepath.Glob(filepath.Join(strings.TrimSuffix(out, ".onnx")+"-log", "events.*"))
	require.NoError(t, err)
	require.Len(t, events, 1, "the old event file must be removed")
}

func TestTrain_TrainsANetworkWithoutSbSLayers(t *testing.T) {
	m := converttest.New(1)
	n := &convert.Network{
		Input:  convert.Size{Channels: 1, Height: 12, Width: 12},
		Layers: []convert.Layer{m.Conv(converttest.Window(12, 1), 1, 3)},
	}
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	must(t, path, "--data", bars(t, 480, 100), "--epochs", "10", "--lr", "0.03", "--quiet")
	r := metrics(t, strings.TrimSuffix(path, ".onnx")+"-tuned-log")
	require.InDelta(t, 0.03, *r[0].LearningRateW, 1e-9)
	require.Less(t, *r[len(r)-1].TestError, 20.0)
}

// TestTrain_TestsTheModelThatItWrites trains on so few images that the last update and the
// last epoch end at different times.
func TestTrain_TestsTheModelThatItWrites(t *testing.T) {
	data, path := bars(t, 100, 200), model(t, convert.Options{})
	dir := t.TempDir()
	for _, epochs := range []string{"2", "3"} {
		out := filepath.Join(dir, epochs+".onnx")
		reported, _ := must(t, path, "--data", data, "-o", out, "--epochs", epochs, "--lr", "0.9", "--lr-schedule", "constant", "--quiet")
		expected, _ := must(t, out, "--data", data, "-o", filepath.Join(dir, "again"+epochs+".onnx"), "--lr", "1e-30", "--quiet")
		accuracy, _, _ := strings.Cut(reported, ",")
		require.Contains(t, expected, accuracy)
		records := metrics(t, filepath.Join(dir, epochs+"-log"))
		last := records[len(records)-1].TestError
		require.NotNil(t, last)
		require.Contains(t, expected, fmt.Sprintf("accuracy %.2f%%", 100-*last))
	}
}

// TestForce_RemovesOnlyFilesOfTheSameTraining uses names that are patterns for the names
// of other files.
func TestForce_RemovesOnlyFilesOfTheSameTraining(t *testing.T) {
	data, path := bars(t, 48, 0), model(t, convert.Options{})
	dir := t.TempDir()
	must(t, path, "--data", data, "-o", filepath.Join(dir, "run1.onnx"), "--quiet")
	for _, name := range []string{"run[1].onnx", "run[1.onnx"} {
		must(t, path, "--data", data, "-o", filepath.Join(dir, name), "--quiet")
		must(t, path, "--data", data, "-o", filepath.Join(dir, name), "--quiet", "--force")
	}
	events, err := filepath.Glob(filepath.Join(dir, "run1-log", "events*"))
	require.NoError(t, err)
	require.Len(t, events, 1)
}

// TestTrain_TestsIfAFlagAsksForIt uses a configuration that disables tests.
func TestTrain_TestsIfAFlagAsksForIt(t *testing.T) {
	config := strings.Replace(string(read(t, dialect2(t))), `"loss_mode"`, `"test_during_learning": false, "loss_mode"`, 1)
	data := bars(t, 48, 24)
	for _, flag := range []string{"--test-every=2", "--test-spikes=9", ""} {
		args := []string{configuration(t, "network.json", config), "--data", data, "--quiet"}
		if flag != "" {
			args = append(args, flag)
		}
		out, _ := must(t, args...)
		require.Equal(t, flag != "", strings.Contains(out, "test accuracy"), flag)
	}
}
