package main

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/internal/trainlog"
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

// bars writes a training and a test set of PyTorch-SbS's form: 12x12 images in
// which a bar stands, lies or slants.
func bars(t *testing.T, training, test int) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range []string{"Train", "Test"} {
		n := []int{training, test}[i]
		if n == 0 {
			continue
		}
		r := rand.New(rand.NewPCG(uint64(i), 0))
		labels, pixels := make([]uint64, n), make([]float32, n*144)
		for i := range labels {
			labels[i] = r.Uint64N(3)
			x, y := 4+r.IntN(3), 4+r.IntN(3)
			for j := range 5 {
				at := [][2]int{{2 + j, x}, {y, 2 + j}, {2 + j, 2 + j + r.IntN(2)}}[labels[i]]
				pixels[i*144+(at[0]+1)*12+at[1]] = 0.5 + r.Float32()/2
			}
		}
		pixels[0] = 1 // the largest of both sets
		array(t, filepath.Join(dir, name+"PatternStorage.npy"), []int{n, 12, 12}, pixels)
		array(t, filepath.Join(dir, name+"LabelStorage.npy"), []int{n}, labels)
	}
	return dir
}

func array(t *testing.T, path string, shape []int, data any) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, npy.Write(&b, &npy.Array{Shape: shape, Data: data}))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
}

// model writes a small model that knows nothing yet.
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

// dialect1 and dialect2 write configurations for the bars.
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

func dialect2(t *testing.T) string {
	t.Helper()
	return configuration(t, "network.json", `{
		// as published, but smaller
		"data_mode": "BARS", "number_of_spikes": [60], "batch_size": 24, "epoch_id_max": 5,`+
		fmt.Sprintf(structure, `"layer_type": ["SbS", "Average POOLING", "SbS"],`, 1)+`
		"learning_parameters": {
			"loss_mode": 1, "learning_rate_gamma_w": 0.1, "w_trainable": [true], "number_of_batches_for_one_update": 2,
			"adapt_learning_rate_after_minibatch": false
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

// checkLogs checks the files of a training's log.
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

// TestModel trains a model further, with the defaults but for the rate and
// the epochs, because there is so little data.
func TestModel(t *testing.T) {
	data, path := bars(t, 480, 120), model(t, convert.Options{Batch: 7})
	out, errOut := must(t, path, "--data", data, "--lr", "0.2", "--epochs", "12")
	log := strings.TrimSuffix(path, ".onnx") + "-tuned-log"
	tuned := strings.TrimSuffix(path, ".onnx") + "-tuned.onnx"
	require.Contains(t, out, "wrote "+tuned)
	require.Contains(t, errOut, "480 images of 1x12x12, 120 for testing; 24 of them in a sub-batch, 4 of these for an update")
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
	require.Less(t, *records[59].LearningRateW, 0.001, "a cosine down to 0")
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

// TestConfiguration trains from scratch in both dialects.
func TestConfiguration(t *testing.T) {
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

			// The folder is one that Load reads, and the model is the same.
			mean := network(t, filepath.Join(base, "model.onnx")).Preprocessing.OnOffMean
			n, report, err := pytorch.Load(pytorch.Options{
				Weights: filepath.Join(base, c.weights), Step: -1, Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Mean: mean,
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
			require.ErrorContains(t, err, "there is a training already; go on with it with --resume")
			require.NoError(t, os.RemoveAll(filepath.Join(base, "Log")))
			_, _, err = command(t, path, "--data", data)
			require.ErrorContains(t, err, "is of another training")
			_, errOut := must(t, path, "--data", data, "--epochs", "1", "--force")
			require.Contains(t, errOut, "is of another training and stays: sbs-convert takes the weights of this one with --step")
		})
	}
}

// TestRunningMean checks that the mean of an ONOFF layer, which no key calls
// trainable, follows the images unless it is frozen.
func TestRunningMean(t *testing.T) {
	text := strings.NewReplacer(`["SbS", `, `["ONOFF", "SbS", `, "[[1, 6]", "[[1, 2], [2, 6]", "[[3, 3], [2", "[[], [3, 3], [2",
		"[[1, 1], [2", "[[], [1, 1], [2").Replace(string(read(t, dialect2(t))))
	data := bars(t, 48, 0)
	for flag, frozen := range map[string]bool{"--seed=0": false, "--freeze=L0": true} {
		path := configuration(t, "network.json", text)
		must(t, path, "--data", data, "--epochs", "1", "--quiet", flag)
		mean := network(t, filepath.Join(filepath.Dir(path), "model.onnx")).Layers[0].(*convert.OnOff).Mean.Float32s()
		require.Len(t, mean, 64)
		require.Equal(t, frozen, mean[0] == 0.5, "%s: %v", flag, mean[0])
		require.Equal(t, frozen, mean[0] == mean[27], "the corner is darker than the middle")
	}
}

// TestOtherFolder checks that a folder of its own gets a configuration too.
func TestOtherFolder(t *testing.T) {
	base := filepath.Join(t.TempDir(), "run")
	must(t, dialect2(t), "--data", bars(t, 96, 0), "--epochs", "2", "-o", base)
	n, _, err := pytorch.Load(pytorch.Options{
		Weights: filepath.Join(base, "Parameters"), Step: -1, Input: convert.Size{Channels: 1, Height: 12, Width: 12},
	})
	require.NoError(t, err)
	require.Equal(t, 2, n.Step)
}

// TestFreeze checks that frozen layers keep their bits and others do not.
func TestFreeze(t *testing.T) {
	path := model(t, convert.Options{})
	out := filepath.Join(t.TempDir(), "out.onnx")
	must(t, path, "--data", bars(t, 96, 0), "--freeze", "L0", "-o", out, "--quiet")
	before, after := network(t, path), network(t, out)
	require.Equal(t, before.Layers[0].(*convert.SbS).Weights, after.Layers[0].(*convert.SbS).Weights)
	require.NotEqual(t, before.Layers[2].(*convert.SbS).Weights, after.Layers[2].(*convert.SbS).Weights)
}

// TestDynamics checks that the flags change what is written, and that training
// with fewer spikes makes the network better with these.
func TestDynamics(t *testing.T) {
	data, path := bars(t, 480, 200), model(t, convert.Options{})
	out := filepath.Join(t.TempDir(), "out.onnx")
	must(t, path, "--data", data, "-o", out, "--spikes", "12", "--sampler", "low-discrepancy", "--epsilon-schedule", "power:-0.2",
		"--epochs", "12", "--lr", "0.2", "--loss", "mixture", "--test-spikes", "6")
	_, errOut := must(t, path, "--data", data, "-o", filepath.Join(t.TempDir(), "few.onnx"), "--spikes", "4", "--no-test")
	require.Contains(t, errOut, "the model had 40 spikes: with so few as 4 it does much better with --sampler low-discrepancy")
	s := network(t, out).Layers[0].(*convert.SbS)
	require.Equal(t, 12, s.Spikes)
	require.Len(t, s.EpsilonT, 12)
	require.Equal(t, "low_discrepancy", string(s.Sampler))
	records := metrics(t, strings.TrimSuffix(out, ".onnx")+"-log")
	require.Less(t, records[len(records)-1].Loss, records[0].Loss)

	_, _, err := command(t, path, "--data", data, "--spikes", "99")
	require.ErrorContains(t, err, "layer L0 has an epsilon_t for 40 spikes only")
	_, _, err = command(t, path, "--data", data, "--test-spikes", "99")
	require.ErrorContains(t, err, "for testing: ")
}

// TestNoAugmentation checks that without augmentation an image is the same in every
// epoch: when nothing is learnt, so is the loss of a network that draws the same.
func TestNoAugmentation(t *testing.T) {
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

// TestWorkers checks that the number of workers changes nothing.
func TestWorkers(t *testing.T) {
	data, path := bars(t, 100, 0), model(t, convert.Options{})
	dir := t.TempDir()
	for _, w := range []string{"1", "3"} {
		must(t, path, "--data", data, "-o", filepath.Join(dir, w+".onnx"), "--workers", w, "--batch", "30", "--epochs", "2", "--quiet")
	}
	require.Equal(t, read(t, filepath.Join(dir, "1.onnx")), read(t, filepath.Join(dir, "3.onnx")))
}

// TestImageFolders trains with a folder for each class, named as the classes.
func TestImageFolders(t *testing.T) {
	n, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist-prototypes/Weights", Step: -1})
	require.NoError(t, err)
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, errOut := must(t, path, "--data", "../../models/mnist/images", "--spikes", "50", "--epochs", "3", "--test", "../../models/mnist/images")
	require.Contains(t, errOut, "30 images of 1x28x28, 30 for testing")
	require.Contains(t, errOut, "warning: an update takes 2 sub-batches and not 4")
	r := metrics(t, strings.TrimSuffix(path, ".onnx")+"-tuned-log")
	require.Less(t, r[len(r)-1].Loss, r[0].Loss)

	_, _, err = command(t, model(t, convert.Options{}), "--data", "../../models/mnist/images", "--resize")
	require.ErrorContains(t, err, "a")
}

func TestNoTestSet(t *testing.T) {
	_, errOut := must(t, model(t, convert.Options{}), "--data", bars(t, 30, 0))
	require.Contains(t, errOut, "training is not tested")
	path := model(t, convert.Options{})
	_, errOut = must(t, path, "--data", bars(t, 30, 30), "--no-test")
	require.Contains(t, errOut, "no test images")
	require.NotContains(t, errOut, "warning: training is not tested")
}

func TestHelp(t *testing.T) {
	out, _ := must(t, "--help")
	require.Contains(t, out, "sbs-train model.onnx --data MNIST/")
}

// TestCheckpointFile checks that a damaged checkpoint is noticed, and one of
// another training.
func TestCheckpointFile(t *testing.T) {
	data, path := bars(t, 96, 0), model(t, convert.Options{})
	out := filepath.Join(t.TempDir(), "out.onnx")
	args := []string{path, "--data", data, "-o", out, "--quiet"}
	must(t, args...)
	for flag, want := range map[string]string{
		"--no-augmentation": `--no-augmentation was "" and is "given"`,
		"--batch=12":        `--batch was "24" and is "12"`, "--seed=3": `--seed was "0" and is "3"`, "--spikes=10": "--spikes",
		"--freeze=L0": "--freeze", "--data=" + bars(t, 95, 0): "the training images", "--epochs=2": "--epochs",
	} {
		_, _, err := command(t, append(args, "--resume", flag)...)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), settingRest)
	}
	checkpoint := filepath.Join(strings.TrimSuffix(out, ".onnx")+"-log", "checkpoint")
	whole := read(t, checkpoint)
	for _, broken := range [][]byte{nil, whole[:len(whole)-1], append(bytes.Clone(whole[:len(whole)-9]), make([]byte, 9)...)} {
		require.NoError(t, os.WriteFile(checkpoint, broken, 0o600))
		_, _, err := command(t, append(args, "--resume")...)
		require.ErrorContains(t, err, "start anew with --force")
	}
	must(t, append(args, "--force")...)
	events, err := filepath.Glob(filepath.Join(filepath.Dir(checkpoint), "events.*"))
	require.NoError(t, err)
	require.Len(t, events, 1, "those of the training before are gone")
}

// TestDiverged checks what is said of a training that does not work.
func TestDiverged(t *testing.T) {
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
	require.ErrorContains(t, err, "a smaller --lr may help")
}

// TestConvolutions trains a network without SbS layers.
func TestConvolutions(t *testing.T) {
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

func TestResumeCommand(t *testing.T) {
	require.Equal(t, "sbs-train 'a b' --x '' 'it'\\''s' --resume", (&flags{args: []string{"a b", "--x", "", "it's", "--resume", "--force"}}).resumeCommand())
}

// TestTestedAtTheEnd trains on so few images that updates and epochs end apart: the
// accuracy must be that of the model that is written.
func TestTestedAtTheEnd(t *testing.T) {
	data, path := bars(t, 100, 200), model(t, convert.Options{})
	dir := t.TempDir()
	for _, epochs := range []string{"2", "3"} {
		out := filepath.Join(dir, epochs+".onnx")
		told, _ := must(t, path, "--data", data, "-o", out, "--epochs", epochs, "--lr", "0.9", "--lr-schedule", "constant", "--quiet")
		truth, _ := must(t, out, "--data", data, "-o", filepath.Join(dir, "again"+epochs+".onnx"), "--lr", "1e-30", "--quiet")
		accuracy, _, _ := strings.Cut(told, "\n")
		require.Contains(t, truth, accuracy)
		records := metrics(t, filepath.Join(dir, epochs+"-log"))
		last := records[len(records)-1].TestError
		require.NotNil(t, last)
		require.Contains(t, truth, fmt.Sprintf("accuracy %.2f %%", 100-*last))
	}
}

// TestForceElsewhere checks that --force removes the files of this training only,
// even if its name could be taken for a pattern.
func TestForceElsewhere(t *testing.T) {
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

// TestTestFlags tests where the configuration does without, as the flags say.
func TestTestFlags(t *testing.T) {
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
