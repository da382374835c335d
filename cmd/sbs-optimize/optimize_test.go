package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/training"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	err = cli.Run(t.Context(), newCommand(args), args, &out, &errOut)
	return out.String(), errOut.String(), err
}

func must(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, err := command(t, args...)
	require.NoError(t, err, stderr)
	return stdout, stderr
}

const configuration = `{
	"data_mode": "BARS", "number_of_spikes": [60], "batch_size": 24, "epoch_id_max": 8,
	"network_structure": {
		"number_of_output_neurons": 3, "layer_type": ["SbS", "Average POOLING", "SbS"],
		"forward_neuron_numbers": [[1, 6], [6, 6], [6, 3]], "forward_kernel_size": [[3, 3], [2, 2], [3, 3]], "strides": [[1, 1], [2, 2], [1, 1]]
	},
	"learning_parameters": {"loss_mode": 1, "learning_rate_gamma_w": 0.1, "w_trainable": [true], "number_of_batches_for_one_update": 2}
}`

// trained trains a small network on images of bars, of which it holds back some.
func trained(t *testing.T, flags ...string) (model, data string) {
	t.Helper()
	dir := t.TempDir()
	data = filepath.Join(dir, "bars")
	require.NoError(t, os.Mkdir(data, 0o755))
	clitest.Bars(t, data, 600, 90)
	config := filepath.Join(dir, "network.json")
	require.NoError(t, os.WriteFile(config, []byte(configuration), 0o600))
	args := append([]string{config, "--data", data, "-o", filepath.Join(dir, "run"), "--quiet", "--sampler", "low-discrepancy"}, flags...)
	require.NoError(t, cli.Run(t.Context(), training.Command(args), args, io.Discard, io.Discard))
	return filepath.Join(dir, "run", "model.onnx"), data
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

func updates(t *testing.T, path string) int {
	t.Helper()
	c, err := newCandidate(network(t, path))
	require.NoError(t, err)
	return c.updates
}

// table reads front.csv. It returns the columns by name.
func table(t *testing.T, path string) map[string][]string {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(read(t, path))).ReadAll()
	require.NoError(t, err)
	columns := map[string][]string{}
	for i, name := range lines[0] {
		for _, l := range lines[1:] {
			columns[name] = append(columns[name], l[i])
		}
	}
	return columns
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return v
}

func TestOptimize_WritesTheCheapestNetworkThatHoldsTheWish(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	out := filepath.Join(t.TempDir(), "fast.onnx")
	stdout, stderr := must(t, model, "--data", data, "--min-accuracy", "90", "-o", out, "--trainings", "2", "--epochs", "1", "--batches-per-update", "2")
	require.Contains(t, stderr, "searching with 100 of 100 images")
	require.Contains(t, stderr, "fine-tuning with")
	require.Regexp(t, `fast.onnx +test +90 `, stdout)
	require.Contains(t, stdout, "wrote "+out)

	require.Less(t, updates(t, out), updates(t, model))
	for _, l := range layers(network(t, out)) {
		require.Equal(t, sbs.LowDiscrepancy, l.Sampler)
	}
	require.Equal(t, 200, network(t, out).Holdout.Images)

	folder := strings.TrimSuffix(out, ".onnx") + "-log"
	all := table(t, filepath.Join(folder, "front.csv"))
	written, fewest, best := -1, -1, 0.0
	for i, name := range all["network"] {
		u, a := number(t, all["updates"][i]), number(t, all["accuracy %"][i])
		if strings.Contains(name, "written") {
			written = i
			require.EqualValues(t, updates(t, out), u)
		}
		if a >= 90 && (fewest < 0 || u < number(t, all["updates"][fewest])) {
			fewest = i
		}
		best = max(best, a)
	}
	require.Equal(t, fewest, written)
	require.Equal(t, "model given", all["network"][len(all["network"])-1])
	require.Contains(t, strings.Join(all["network"], ","), "fine-tuned")
	require.NotEqual(t, "-", all["noise %"][written])
	for _, name := range []string{"front.svg", "front.png"} {
		require.NotEmpty(t, read(t, filepath.Join(folder, name)))
	}
}

// TestOptimize_IsTheSameForAnyNumberOfWorkersAndAfterAnInterruption also interrupts the search
// and the fine-tuning.
func TestOptimize_IsTheSameForAnyNumberOfWorkersAndAfterAnInterruption(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	dir := t.TempDir()
	flags := func(name string, more ...string) []string {
		return append([]string{model, "--data", data, "--min-accuracy", "90", "-o", filepath.Join(dir, name+".onnx"),
			"--trainings", "2", "--epochs", "3", "--batches-per-update", "2"}, more...)
	}
	want, _ := must(t, flags("first", "--workers", "1")...)
	same := func(name, stdout string) {
		t.Helper()
		require.Equal(t, read(t, filepath.Join(dir, "first.onnx")), read(t, filepath.Join(dir, name+".onnx")))
		require.Equal(t, want, strings.ReplaceAll(strings.ReplaceAll(stdout, name+".onnx", "first.onnx"), name+"-log", "first-log"))
	}
	stdout, _ := must(t, flags("twice", "--workers", "2")...)
	same("twice", stdout)

	for _, after := range []string{"updates  ", "epoch 1:"} {
		args := flags("parts", "--workers", "2")
		if _, err := os.Stat(filepath.Join(dir, "parts-log")); err == nil {
			args = append(args, "--resume")
		}
		ctx, cancel := context.WithCancel(t.Context())
		stop := &stopper{cancel: cancel, after: after}
		require.ErrorIs(t, cli.Run(ctx, newCommand(args), args, io.Discard, stop), cli.ErrInterrupted)
		require.Contains(t, stop.String(), "to resume, run\n  sbs-optimize "+model)
		require.Contains(t, stop.String(), "--resume")
		require.NoFileExists(t, filepath.Join(dir, "parts.onnx"))
		cancel()
	}
	_, _, err := command(t, flags("parts")...)
	require.ErrorContains(t, err, "already exists: resume its search with --resume, start again with --force")
	stdout, _ = must(t, flags("parts", "--resume")...)
	same("parts", stdout)

	// A damaged measurement is reported.
	stored := filepath.Join(dir, "parts-log", "measurements.jsonl")
	require.NoError(t, os.WriteFile(stored, append([]byte("x"), read(t, stored)...), 0o600))
	_, _, err = command(t, flags("parts", "--resume")...)
	require.ErrorContains(t, err, "measurements.jsonl: line 1 is damaged: start again with --force")
	stdout, _ = must(t, flags("parts", "--force")...)
	same("parts", stdout)
}

// stopper cancels a context when a certain text is written to it.
type stopper struct {
	bytes.Buffer
	cancel func()
	after  string
}

func (s *stopper) Write(b []byte) (int, error) {
	if strings.Contains(string(b), s.after) {
		s.cancel()
	}
	return s.Buffer.Write(b)
}

func TestOptimize_MaxUpdates(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	out := filepath.Join(t.TempDir(), "fast.onnx")
	most := updates(t, model) / 4
	must(t, model, "--data", data, "--max-updates", strconv.Itoa(most), "-o", out, "--trainings", "2", "--epochs", "1")
	require.LessOrEqual(t, updates(t, out), most)
	all := table(t, strings.TrimSuffix(out, ".onnx")+"-log/front.csv")
	for i := range all["network"] {
		if number(t, all["updates"][i]) <= float64(most) {
			for j, name := range all["network"] {
				if strings.Contains(name, "written") {
					require.GreaterOrEqual(t, number(t, all["accuracy %"][j]), number(t, all["accuracy %"][i]))
				}
			}
		}
	}
}

func TestOptimize_SaysIfTheWishCannotBeMet(t *testing.T) {
	model, data := trained(t, "--holdout", "200", "--epochs", "1")
	out := filepath.Join(t.TempDir(), "fast.onnx")
	stdout, _, err := command(t, model, "--data", data, "--min-accuracy", "100", "--keep-robustness", "0", "-o", out, "--trainings", "1", "--epochs", "1")
	require.ErrorContains(t, err, "no network was found for --min-accuracy 100 --keep-robustness 0: "+out+" has the best")
	require.Contains(t, stdout, "wrote "+out)
	require.FileExists(t, out)
	var usage *cli.UsageError
	require.NotErrorAs(t, err, &usage)
}

// TestOptimize_KeepsTheRobustness has a wish that only networks with many spikes hold.
func TestOptimize_KeepsTheRobustness(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	dir := t.TempDir()
	few, robust := filepath.Join(dir, "few.onnx"), filepath.Join(dir, "robust.onnx")
	must(t, model, "--data", data, "--min-accuracy", "80", "-o", few, "--trainings", "0")
	must(t, model, "--data", data, "--min-accuracy", "80", "--keep-robustness", "2", "-o", robust, "--trainings", "0")
	require.Less(t, updates(t, few), updates(t, robust))
	all := table(t, filepath.Join(dir, "robust-log", "front.csv"))
	given := number(t, all["noise %"][len(all["noise %"])-1])
	for i, name := range all["network"] {
		if strings.Contains(name, "written") {
			require.GreaterOrEqual(t, number(t, all["noise %"][i]), given-2.1)
		}
	}
}

func TestOptimize_RefusesBeforeTheSearch(t *testing.T) {
	model, data := trained(t, "--holdout", "200", "--epochs", "1")
	seen, _ := trained(t, "--epochs", "1")
	other := t.TempDir()
	clitest.Bars(t, other, 300, 90)
	few := t.TempDir()
	clitest.Bars(t, few, 60, 0)
	unlabeled := t.TempDir()
	clitest.Array(t, filepath.Join(unlabeled, "TrainPatternStorage.npy"), []int{200, 12, 12}, make([]float32, 200*144))
	pictures := filepath.Join(t.TempDir(), "pictures.npy")
	clitest.Array(t, pictures, []int{200, 12, 12}, make([]float32, 200*144))
	empty := t.TempDir()
	cnn := filepath.Join(t.TempDir(), "cnn.onnx")
	n := network(t, model)
	n.Layers = n.Layers[:0:0]
	n.Layers = append(n.Layers, &convert.AveragePool{Window: convert.Window{Kernel: [2]int{8, 8}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}}})
	content, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cnn, content, 0o600))
	stages := filepath.Join(t.TempDir(), "stages.onnx")
	content, err = convert.StagesToONNX(converttest.Staged(), convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(stages, content, 0o600))
	junk := filepath.Join(t.TempDir(), "junk.onnx")
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))

	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no model", nil, "the model is missing"},
		{"no data", []string{model, "--min-accuracy", "90"}, "the images are missing: give their file or folder with --data"},
		{"no wish", []string{model, "--data", data}, "either --min-accuracy PERCENT or --max-updates N"},
		{"two wishes", []string{model, "--data", data, "--min-accuracy", "90", "--max-updates", "9"}, "either --min-accuracy PERCENT or --max-updates N"},
		{"accuracy above 100", []string{model, "--data", data, "--min-accuracy", "101"}, "--min-accuracy 101: want a percentage above 0, at most 100"},
		{"accuracy is NaN", []string{model, "--data", data, "--min-accuracy", "NaN"}, "--min-accuracy NaN"},
		{"robustness", []string{model, "--data", data, "--min-accuracy", "90", "--keep-robustness", "-1"}, "--keep-robustness -1"},
		{"confidence", []string{model, "--data", data, "--min-accuracy", "90", "--max-accuracy-loss", "1", "--confidence", "100"}, "--confidence 100"},
		{"rate", []string{model, "--data", data, "--min-accuracy", "90", "--lr", "0"}, "--lr 0"},
		{"resume and force", []string{model, "--data", data, "--min-accuracy", "90", "--resume", "--force"}, "cannot be combined"},
		{"nothing to resume", []string{model, "--data", data, "--min-accuracy", "90", "--resume"}, "there is no search to resume"},
		{"no held-out images", []string{seen, "--data", data, "--min-accuracy", "90"}, "train it with sbs-train --holdout N, or give other labeled images with --validation PATH"},
		{"other training images", []string{model, "--data", other, "--min-accuracy", "90"}, "are not the images that the model was trained with (600 images, of which 200 were held back)"},
		{"too few validation images", []string{seen, "--data", data, "--validation", filepath.Join(few, "TrainPatternStorage.npy"), "--min-accuracy", "90"}, "there are only 60 images of"},
		{"empty validation folder", []string{seen, "--data", data, "--validation", empty, "--min-accuracy", "90"}, "--validation: "},
		{"validation without labels", []string{seen, "--data", data, "--validation", pictures, "--min-accuracy", "90"}, "has no label"},
		{"training without labels", []string{model, "--data", unlabeled, "--min-accuracy", "90"}, "label"},
		{"no training images", []string{seen, "--validation", data, "--min-accuracy", "90"}, "or search without fine-tuning with --trainings 0"},
		{"too few images for the loss", []string{model, "--data", data, "--min-accuracy", "90", "--max-accuracy-loss", "0.1"}, "takes at least 2995 images for the calibration, but there are 100"},
		{"no SbS layer", []string{cnn, "--data", data, "--min-accuracy", "90"}, "the network has no SbS layer"},
		{"stages", []string{stages, "--data", data, "--min-accuracy", "90"}, "the model has stages (metadata ai.sbs.stages): choose one, and write it to a model of its own with sbs-convert"},
		{"not a model", []string{junk, "--data", data, "--min-accuracy", "90"}, "junk.onnx"},
		{"output is the model", []string{model, "--data", data, "--min-accuracy", "90", "-o", model}, "is the model to optimize: give another path"},
		{"output is a folder", []string{model, "--data", data, "--min-accuracy", "90", "-o", data}, "is a folder"},
		{"output exists", []string{model, "--data", data, "--min-accuracy", "90", "-o", seen}, "already exists: give another --output"},
		{"several models without a loss", []string{model, seen, "--data", data}, "say with --max-accuracy-loss which share"},
		{"several models with a wish", []string{model, seen, "--data", data, "--max-accuracy-loss", "1", "--min-accuracy", "90"}, "--min-accuracy is for the search with one model"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errOut, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, errOut, "searching")
		})
	}
}

// TestOptimize_AddsStages compares the written model with its stages.
func TestOptimize_AddsStages(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	out := filepath.Join(t.TempDir(), "stages.onnx")
	stdout, _ := must(t, model, "--data", data, "--min-accuracy", "92", "--max-accuracy-loss", "5", "--confidence", "90", "-o", out, "--trainings", "1", "--epochs", "1")
	require.Regexp(t, `left at stage 1 +held back`, stdout)
	s, err := convert.StagesFromONNX(read(t, out))
	require.NoError(t, err)
	require.Len(t, s.Stages, 2)
	last, err := newCandidate(s.Stages[1].Network)
	require.NoError(t, err)
	require.Equal(t, read(t, model), last.model)
	require.Equal(t, 5.0, s.Calibration.MaxAccuracyLoss)
	require.InDelta(t, 0.9, s.Calibration.Confidence, 1e-12)
	require.Equal(t, 100, s.Calibration.Images)
	require.Equal(t, "the 200 images held back from "+data+" (one half)", s.Calibration.Source)
	require.Contains(t, stdout, "first stage")
}

// TestCombine_CalibratesTheThresholds counts the losses of the written model independently.
func TestCombine_CalibratesTheThresholds(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	dir := t.TempDir()
	few, middle, out := filepath.Join(dir, "few.onnx"), filepath.Join(dir, "middle.onnx"), filepath.Join(dir, "stages.onnx")
	must(t, model, "--data", data, "--min-accuracy", "80", "-o", few, "--trainings", "0")
	must(t, model, "--data", data, "--min-accuracy", "95", "-o", middle, "--trainings", "0")
	stdout, _ := must(t, few, middle, model, "--data", data, "--max-accuracy-loss", "10", "-o", out)
	require.Contains(t, stdout, "wrote "+out)
	s, err := convert.StagesFromONNX(read(t, out))
	require.NoError(t, err)
	require.Len(t, s.Stages, 3)

	f := &flags{data: []string{data}, paths: []string{few}}
	set, err := f.load(t.Context(), network(t, model), network(t, model).Holdout, false)
	require.NoError(t, err)
	whole, err := f.measure(t.Context(), read(t, out), set.check, "")
	require.NoError(t, err)
	many, err := f.measure(t.Context(), read(t, model), set.check, "")
	require.NoError(t, err)
	left, lost := make([]int, 3), make([]float64, 3)
	for i, a := range whole {
		left[a.Stage-1]++
		if !a.Right && many[i].Right {
			lost[a.Stage-1]++
		}
	}
	require.Equal(t, left[:2], s.Calibration.Left)
	require.Equal(t, lost[:2], s.Calibration.Losses)
	require.LessOrEqual(t, lost[0]+lost[1], 10.0)
	require.Positive(t, left[0])
	require.Zero(t, lost[2])

	other, _ := trained(t, "--holdout", "100", "--epochs", "1")
	_, _, err = command(t, few, other, "--data", data, "--max-accuracy-loss", "10", "-o", filepath.Join(dir, "x.onnx"))
	require.NoError(t, err, "fewer images held back from the same set")
	seen, _ := trained(t, "--epochs", "1")
	_, _, err = command(t, few, seen, "--data", data, "--max-accuracy-loss", "10", "-o", filepath.Join(dir, "y.onnx"))
	require.ErrorContains(t, err, "train it with sbs-train --holdout N")
	_, _, err = command(t, few, model, "--data", data, "--max-accuracy-loss", "1", "-o", filepath.Join(dir, "y.onnx"))
	require.ErrorContains(t, err, "takes at least 299 images for the calibration, but there are 100, one half of the 200 images held back")
}
