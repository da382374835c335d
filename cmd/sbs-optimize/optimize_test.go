package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/lock"
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
	"learning_parameters": {"loss_mode": 1, "eps_xy_intitial": 1, "learning_rate_gamma_w": 0.1, "w_trainable": [true], "number_of_batches_for_one_update": 2}
}`

// trained trains a small network on images of bars, of which it holds back some.
func trained(t *testing.T, flags ...string) (model, data string) {
	t.Helper()
	dir := t.TempDir()
	data = filepath.Join(dir, "bars")
	require.NoError(t, os.Mkdir(data, 0o755))
	clitest.Bars(t, data, 600, 120)
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

// save writes a network as a model, and returns its path.
func save(t *testing.T, n *convert.Network, opt convert.Options) string {
	t.Helper()
	content, err := convert.ToONNX(n, opt)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "saved.onnx")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func network(t *testing.T, path string) *convert.Network {
	t.Helper()
	n, err := convert.FromONNX(read(t, path))
	require.NoError(t, err)
	return n
}

func updates(t *testing.T, path string) int {
	t.Helper()
	c, err := newCandidate(network(t, path), convert.Options{})
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
	require.Regexp(t, `fast.onnx +test +120 `, stdout)
	require.Contains(t, stdout, "wrote "+out)

	require.Less(t, updates(t, out), updates(t, model))
	for _, l := range layers(network(t, out)) {
		require.Equal(t, sbs.LowDiscrepancy, l.Sampler)
	}
	require.Equal(t, 200, network(t, out).Holdout.Images)

	folder := strings.TrimSuffix(out, ".onnx") + "-log"
	all := table(t, filepath.Join(folder, "front.csv"))
	written, fewest := -1, -1
	for i, name := range all["network"] {
		u, a := number(t, all["updates"][i]), number(t, all["accuracy %"][i])
		if strings.Contains(name, "written") {
			written = i
			require.EqualValues(t, updates(t, out), u)
		}
		if a >= 90 && (fewest < 0 || u < number(t, all["updates"][fewest])) {
			fewest = i
		}
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
		stop := &clitest.Stopper{Cancel: cancel, After: after}
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

	// A damaged measurement is measured again.
	stored := filepath.Join(dir, "parts-log", "measurements.jsonl")
	whole := read(t, stored)
	require.NoError(t, os.WriteFile(stored, append([]byte("x"), whole[:len(whole)-1]...), 0o600))
	stdout, stderr := must(t, flags("parts", "--resume")...)
	require.Contains(t, stderr, "warning: "+stored+": removed damaged or incomplete lines (2): their results are measured again")
	same("parts", stdout)
	require.Len(t, bytes.Split(read(t, stored), []byte("\n")), bytes.Count(whole, []byte("\n"))+1)

	// Damaged checkpoints start a training again.
	require.NoError(t, os.Remove(stored))
	checkpoints, err := filepath.Glob(filepath.Join(dir, "parts-log", "trainings", "*", "checkpoint*"))
	require.NoError(t, err)
	require.NotEmpty(t, checkpoints)
	for _, c := range checkpoints {
		require.NoError(t, os.WriteFile(c, nil, 0o600))
	}
	_, _, err = command(t, flags("parts", "--resume")...)
	require.ErrorContains(t, err, "parts.onnx already exists, but there is no search in ")
	require.NoError(t, os.Remove(filepath.Join(dir, "parts.onnx")))
	stdout, stderr = must(t, flags("parts", "--resume")...)
	require.Contains(t, stderr, "parts-log has no search yet: it starts from the beginning")
	require.Contains(t, stderr, "warning: the training starts again, since it cannot resume: ")
	same("parts", stdout)

	l, err := lock.Folder(filepath.Join(dir, "parts-log"))
	require.NoError(t, err)
	for _, flag := range []string{"--resume", "--force"} {
		_, _, err = command(t, flags("parts", flag)...)
		require.ErrorIs(t, err, lock.ErrLocked)
	}
	require.NoError(t, l.Release())
	stdout, _ = must(t, flags("parts", "--force")...)
	same("parts", stdout)
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
	require.ErrorContains(t, err, "no network meets --min-accuracy 100 --keep-robustness 0: "+out+" comes closest")
	require.Contains(t, stdout, "wrote "+out)
	var usage *cli.UsageError
	require.NotErrorAs(t, err, &usage)
	all := table(t, strings.TrimSuffix(out, ".onnx")+"-log/front.csv")
	best, written := 0.0, 0.0
	for i, name := range all["network"] {
		a := number(t, all["accuracy %"][i])
		best = max(best, a)
		if strings.Contains(name, "written") || strings.Contains(err.Error(), "updates per image") && number(t, all["updates"][i]) == float64(updates(t, out)) {
			written = max(written, a)
		}
	}
	require.Equal(t, best, written)
	require.Less(t, best, 100.0)
}

// TestCloser_PrefersWhatIsMissingLeast has networks that do not meet the goal.
func TestCloser_PrefersWhatIsMissingLeast(t *testing.T) {
	network := func(updates, accuracy, noisy float64) *row {
		return &row{updates: updates, accuracy: accuracy, noisyMean: noisy}
	}
	most := &optimizer{flags: &flags{maxUpdates: cli.OptionalInt{Value: 1000, Set: true}}}
	require.True(t, most.closer(network(900, 99, 60), network(50, 40, 30)), "both have few enough updates, and one is more robust")
	require.True(t, most.closer(network(900, 40, 30), network(1100, 99, 60)), "one has few enough updates")
	require.True(t, most.closer(network(1100, 40, 30), network(1200, 99, 60)), "fewer updates")
	accurate := &optimizer{flags: &flags{minAccuracy: 90}}
	require.True(t, accurate.closer(network(900, 91, 60), network(50, 99, 30)), "both are accurate enough, and one is more robust")
	require.True(t, accurate.closer(network(900, 91, 30), network(50, 89, 60)), "one is accurate enough")
	require.True(t, accurate.closer(network(900, 89, 30), network(50, 88, 60)), "more accurate")
}

// TestOptimize_WarnsIfTheOtherHalfIsBelowTheGoal uses the accuracy of a network on the images of the
// search as the goal.
func TestOptimize_WarnsIfTheOtherHalfIsBelowTheGoal(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	below := 0
	for i, goal := range []string{"85", "91", "95", "97", "99"} {
		out := filepath.Join(t.TempDir(), "fast.onnx")
		stdout, stderr := must(t, model, "--data", data, "--min-accuracy", goal, "-o", out, "--trainings", "0", "--quiet")
		found := regexp.MustCompile(`fast.onnx +check +100 +([0-9.]+)`).FindStringSubmatch(stdout)
		require.NotNil(t, found, stdout)
		if number(t, found[1]) < number(t, goal) {
			below++
			require.Contains(t, stderr, "of the other half, below --min-accuracy", i)
		} else {
			require.Empty(t, stderr)
		}
	}
	require.Positive(t, below)
}

// TestOptimize_ForgetsARecordThatNoLongerHolds fine-tunes with images of which some were held back
// before.
func TestOptimize_ForgetsARecordThatNoLongerHolds(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	more, validation := t.TempDir(), t.TempDir()
	clitest.Bars(t, more, 700, 0)
	clitest.Bars(t, validation, 0, 200)
	dir := t.TempDir()
	flags := []string{"--validation", validation, "--max-updates", "200", "--trainings", "1", "--epochs", "1"}
	record := func(name, data string) *convert.Holdout {
		t.Helper()
		must(t, append([]string{model, "--data", data, "-o", filepath.Join(dir, name+".onnx")}, flags...)...)
		starts, err := filepath.Glob(filepath.Join(dir, name+"-log", "trainings", "*-start.onnx"))
		require.NoError(t, err)
		require.Len(t, starts, 1)
		return network(t, strings.TrimSuffix(starts[0], "-start.onnx")+".onnx").Holdout
	}
	require.Nil(t, record("other", more))
	require.Equal(t, network(t, model).Holdout, record("same", filepath.Join(data, "TrainPatternStorage.npy")))
}

func TestOptimize_KeepsTheFormOfTheModel(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	want := convert.Options{Batch: 7, Seed: 5, Body: convert.BodyNone}
	fixed := save(t, network(t, model), want)
	out := filepath.Join(t.TempDir(), "out.onnx")
	must(t, fixed, "--data", data, "--min-accuracy", "90", "-o", out, "--trainings", "0")
	got, err := convert.OptionsOf(read(t, out))
	require.NoError(t, err)
	require.Equal(t, want, got)
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

// TestOptimize_SearchesBelowHalfOfTheImages starts with a network that is wrong about more than half
// of the images.
func TestOptimize_SearchesBelowHalfOfTheImages(t *testing.T) {
	model, data := trained(t, "--holdout", "200", "--epochs", "1", "--lr", "0.001")
	out := filepath.Join(t.TempDir(), "fast.onnx")
	stdout, _ := must(t, model, "--data", data, "--min-accuracy", "20", "-o", out, "--trainings", "0")
	given := regexp.MustCompile(`model.onnx +check +100 +([0-9.]+)`).FindStringSubmatch(stdout)
	require.NotNil(t, given, stdout)
	require.Less(t, number(t, given[1]), 50.0)
	require.Less(t, updates(t, out), updates(t, model)/2)
}

// TestOptimize_PrefersTheModelGiven asks for what only networks with all spikes reach, one of which
// is a copy of the model given.
func TestOptimize_PrefersTheModelGiven(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	out := filepath.Join(t.TempDir(), "same.onnx")
	stdout, _ := must(t, model, "--data", data, "--min-accuracy", "100", "--keep-robustness", "0", "--max-accuracy-loss", "5", "--confidence", "90", "-o", out, "--trainings", "0")
	require.Contains(t, stdout, "model given, written")
	require.Equal(t, read(t, model), read(t, out))
}

// TestOptimize_KeepsStandardOperators optimizes a model without SbS operators.
func TestOptimize_KeepsStandardOperators(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	dir := t.TempDir()
	inline, out := save(t, network(t, model), convert.Options{Body: convert.BodyInline}), filepath.Join(dir, "fast.onnx")
	must(t, inline, "--data", data, "--min-accuracy", "90", "-o", out, "--trainings", "0")
	form, err := convert.OptionsOf(read(t, out))
	require.NoError(t, err)
	require.Equal(t, convert.BodyInline, form.Body)
	require.Less(t, updates(t, out), updates(t, model))

	_, stderr := must(t, inline, "--data", data, "--min-accuracy", "90", "--max-accuracy-loss", "5", "--confidence", "90", "-o", filepath.Join(dir, "stages.onnx"), "--trainings", "0")
	require.Contains(t, stderr, "stages.onnx has SbS operators, unlike "+inline)
}

// TestOptimize_GoesOnIfATrainingStops fine-tunes with a lower limit that is above all weights: the
// training stops in the first epoch, without a model, or in a later one.
func TestOptimize_GoesOnIfATrainingStops(t *testing.T) {
	model, data := trained(t, "--holdout", "100")
	n := network(t, model)
	n.Training = []byte(strings.Replace(string(n.Training), `"w_trainable"`, `"learning_rate_threshold_w":0.9,"w_trainable"`, 1))
	path := save(t, n, convert.Options{})
	for subBatches, want := range map[string]string{"1": "No model was written", "8": "is the best model so far: loss "} {
		out := filepath.Join(t.TempDir(), "fast.onnx")
		_, stderr := must(t, path, "--data", data, "--min-accuracy", "80", "-o", out, "--trainings", "1", "--epochs", "12", "--batches-per-update", subBatches)
		require.Regexp(t, `warning: fine-tuning of the network with \d+ updates: training stopped after update 20 of \d+: the weights of layer L\d died`, stderr)
		require.Contains(t, stderr, want)
		require.FileExists(t, out)
	}
}

// TestOptimize_WritesTheModelFirst has an output that fails.
func TestOptimize_WritesTheModelFirst(t *testing.T) {
	model, data := trained(t, "--holdout", "200", "--epochs", "1")
	args := []string{model, "--data", data, "--min-accuracy", "30", "--trainings", "0"}
	full := errors.New("no space left on device")
	closed, out := io.Pipe()
	require.NoError(t, closed.CloseWithError(full))
	err := cli.Run(t.Context(), newCommand(args), args, out, io.Discard)
	require.ErrorIs(t, err, full)
	require.FileExists(t, strings.TrimSuffix(model, ".onnx")+"-fast.onnx")
}
