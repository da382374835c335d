package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/training"
)

const trialsConfig = `{
	"data_mode": "BARS", "number_of_spikes": [30], "batch_size": 6, "epoch_id_max": 2,
	"network_structure": {
		"number_of_output_neurons": 3, "layer_type": ["SbS", "Average POOLING", "SbS"],
		"forward_neuron_numbers": [[1, 6], [6, 6], [6, 3]], "forward_kernel_size": [[3, 3], [2, 2], [3, 3]], "strides": [[1, 1], [2, 2], [1, 1]]
	},
	"learning_parameters": {
		"loss_mode": 1, "learning_rate_gamma_w": 0.1, "w_trainable": [true], "number_of_batches_for_one_update": 2,
		"adapt_learning_rate_after_minibatch": false
	}
}`

// trialData writes images, a model and a configuration to a new folder, which becomes the working
// directory.
func trialData(t *testing.T) {
	t.Helper()
	images(t, 3)
	require.NoError(t, os.MkdirAll("data", 0o755))
	clitest.Bars(t, "data", 70, 20)
	require.NoError(t, os.MkdirAll("net", 0o755))
	require.NoError(t, os.WriteFile("net/network.json", []byte(trialsConfig), 0o600))
}

// grid are the arguments of four trials.
func grid(flags ...string) []string {
	return append([]string{"trials", "net/network.json", "--data", "data", "--vary", "lr=0.1,0.3", "--seeds", "2", "--seed", "5", "--holdout", "10"}, flags...)
}

// table returns the rows of results.csv by the names of the columns.
func table(t *testing.T, folder string) (rows []map[string]string) {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(read(t, folder, "results.csv"))).ReadAll()
	require.NoError(t, err)
	for _, line := range lines[1:] {
		one := map[string]string{}
		for i, name := range lines[0] {
			one[name] = line[i]
		}
		rows = append(rows, one)
	}
	return rows
}

// sameTrials compares two folders of the same trials.
func sameTrials(t *testing.T, want, got string, n int) {
	t.Helper()
	for _, name := range []string{"results.csv", "results.jsonl", "trials.json", "chart-learning.svg"} {
		require.Equal(t, read(t, want, name), read(t, got, name), name)
	}
	for i := range n {
		name := fmt.Sprintf("trial-%03d", i+1)
		require.Equal(t, modeltest.TrainedFiles(t, filepath.Join(want, name)), modeltest.TrainedFiles(t, filepath.Join(got, name)))
	}
	require.NoDirExists(t, filepath.Join(got, "server"))
}

func TestTrials_HaveTheFilesOfSbsTrain(t *testing.T) {
	t.Setenv(commandVariable, "1") // for local workers
	trialData(t)
	stdout, stderr, err := call(t, newCommand, grid("-o", "one", "--local-workers", "1")...)
	require.NoError(t, err, stderr)
	rows := table(t, "one")
	require.Len(t, rows, 4)
	for i, r := range rows {
		lr, seed := []string{"0.1", "0.3"}[i/2], []string{"5", "6"}[i%2]
		require.Equal(t, []string{fmt.Sprint(i + 1), "net/network.json", lr, seed, "ok"}, []string{r["trial"], r["network"], r["lr"], r["seed"], r["status"]})
		want := fmt.Sprint("want", i)
		out, errOut, err := call(t, training.Command, "net/network.json", "--data", "data", "--lr", lr, "--seed", seed, "--holdout", "10", "-o", want)
		require.NoError(t, err, errOut)
		require.Equal(t, modeltest.TrainedFiles(t, want), modeltest.TrainedFiles(t, filepath.Join("one", fmt.Sprintf("trial-%03d", i+1))))
		var right float64
		_, err = fmt.Sscan(r["test_right"], &right)
		require.NoError(t, err)
		require.Contains(t, out, fmt.Sprintf("test accuracy %.2f%% (20 images)", 5*right))
	}
	require.Contains(t, stdout, "accuracy in %, mean over the seeds")
	require.Contains(t, stdout, "\nbest on the 10 images held back: lr=0.")
	require.Contains(t, stdout, "wrote one/chart-lr.svg")

	// sbs-train finds nothing left to do.
	_, errOut, err := call(t, training.Command, "net/network.json", "--data", "data", "--lr", "0.3", "--seed", "6", "--holdout", "10", "-o", "one/trial-004", "--resume")
	require.NoError(t, err, errOut)
	require.Equal(t, modeltest.TrainedFiles(t, "want3"), modeltest.TrainedFiles(t, "one/trial-004"))

	_, url := startServer(t, nil)
	startWorkers(t, url, 2)
	for i, flags := range [][]string{{"--local-workers", "3"}, {"--nats", url}, {"--nats", url, "--shared"}} {
		out := fmt.Sprint("got", i)
		_, stderr, err := call(t, newCommand, grid(append(flags, "-o", out)...)...)
		require.NoError(t, err, stderr)
		sameTrials(t, "one", out, 4)
	}
	list, err := connected(t, url).Jobs(t.Context())
	require.NoError(t, err)
	require.Empty(t, list, "jobs are removed at their end")

	// --plot and --resume of trials that are done change nothing.
	svg := read(t, "one", "chart-lr.svg")
	require.NoError(t, os.Remove("one/chart-lr.svg"))
	again, _, err := call(t, newCommand, "trials", "--plot", "one")
	require.NoError(t, err)
	require.Equal(t, strings.SplitAfter(stdout, "wrote")[0], strings.SplitAfter(again, "wrote")[0])
	require.Equal(t, svg, read(t, "one", "chart-lr.svg"))
	_, _, err = call(t, newCommand, grid("-o", "one", "--resume", "--nats", "nats://127.0.0.1:1")...)
	require.NoError(t, err, "nothing is left to do")
	sameTrials(t, "got0", "one", 4)
}

// The arguments of fine-tunings, from a file, and of networks with other layers.
func TestTrials_AreListsOfSettings(t *testing.T) {
	t.Setenv(commandVariable, "1")
	trialData(t)
	require.NoError(t, os.WriteFile("list.txt", []byte("# two\nlr=0.05 spikes=20\n\nlr=0.1 freeze=rest # and an end\n"), 0o600))
	stdout, stderr, err := call(t, newCommand, "trials", "sbs.onnx", "--data", "data", "--list", "list.txt", "--batch", "12", "--no-test", "-o", "tuned")
	require.NoError(t, err, stderr)
	rows := table(t, "tuned")
	require.Equal(t, []string{"0.05", "20", "default"}, []string{rows[0]["lr"], rows[0]["spikes"], rows[0]["freeze"]})
	require.Equal(t, []string{"0.1", "default", "rest"}, []string{rows[1]["lr"], rows[1]["spikes"], rows[1]["freeze"]})
	require.Contains(t, stdout, "best on the training images of the last epoch (--holdout N would hold back images to choose with): lr=")
	_, stderr, err = call(t, training.Command, "sbs.onnx", "--data", "data", "--lr", "0.1", "--freeze", "rest", "--batch", "12", "--no-test", "-o", "want/model.onnx")
	require.NoError(t, err, stderr)
	require.Equal(t, modeltest.TrainedFiles(t, "want"), modeltest.TrainedFiles(t, "tuned/trial-002"))

	args := []string{"--data", "data", "--no-test", "--epochs", "1", "--set", "number_of_spikes=[20]"}
	_, stderr, err = call(t, newCommand, append([]string{"trials", "net/network.json", "--vary", "neurons=4;8", "--vary", "network_structure.forward_kernel_size=[[3,3],[2,2],[3,3]];[[5,5],[2,2],[2,2]]", "-o", "nets"}, args...)...)
	require.NoError(t, err, stderr)
	_, stderr, err = call(t, training.Command, append([]string{"net/network.json", "--neurons", "8", "--set", "network_structure.forward_kernel_size=[[5,5],[2,2],[2,2]]", "-o", "net8"}, args...)...)
	require.NoError(t, err, stderr)
	require.Equal(t, modeltest.TrainedFiles(t, "net8"), modeltest.TrainedFiles(t, "nets/trial-004"))
	require.FileExists(t, "nets/chart-neurons.png")
	require.FileExists(t, "nets/chart-network_structure.forward_kernel_size.svg")
}

// A trial that stops is reported, and the others continue.
func TestTrials_ReportThoseThatStop(t *testing.T) {
	t.Setenv(commandVariable, "1")
	trialData(t)
	args := []string{"trials", "net/network.json", "--data", "data", "--epochs", "5", "--vary", "learning_parameters.learning_rate_threshold_w=0.9,0.001", "-o", "out"}
	for _, flags := range [][]string{nil, {"--resume"}} {
		stdout, stderr, err := call(t, newCommand, append(args, flags...)...)
		require.ErrorContains(t, err, "trial 1 (learning_parameters.learning_rate_threshold_w=0.9) stopped after update 20 of 30: the weights of layer L0 died", stderr)
		require.Regexp(t, `(?m)^0\.9 +1 .*1 stopped$`, stdout)
		require.Regexp(t, `(?m)^0\.001 +1 .*1 ok$`, stdout)
		rows := table(t, "out")
		require.Equal(t, []string{"stopped", "", "ok", "20"}, []string{rows[0]["status"], rows[0]["test_images"], rows[1]["status"], rows[1]["test_images"]})
		require.NotEmpty(t, rows[0]["reason"])
	}
}

// All trials are checked before a server is started and before something is written.
func TestTrials_RefuseBeforeTheyBegin(t *testing.T) {
	trialData(t)
	require.NoError(t, os.WriteFile("list.txt", []byte("lr=0.05\nlr=many\n"), 0o600))
	require.NoError(t, os.MkdirAll("foreign/trial-001", 0o755))
	require.NoError(t, os.WriteFile("file", nil, 0o600))
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--vary", "lr="}, "--vary lr=: the values are missing"},
		{[]string{"--vary", "lr=0.1,,0.2"}, "--vary lr=0.1,,0.2: value 2 is empty"},
		{[]string{"--vary", "rate=0.1"}, `--vary rate=0.1: "rate" is neither a flag of sbs-train in which trials can differ nor a key of a configuration`},
		{[]string{"--vary", "output=x"}, `"output" is neither a flag`},
		{[]string{"--vary", "lr=0.1,0.1"}, "--vary lr=0.1,0.1: the value 0.1 occurs twice"},
		{[]string{"--vary", "lr=0.1", "--vary", "lr=0.2"}, "lr is given twice"},
		{[]string{"--vary", "lr=0.1", "--lr", "0.2"}, "--vary lr: --lr gives all trials the same value"},
		{[]string{"--vary", "batch_size=2,3", "--set", "batch_size=4"}, "--vary batch_size: --set batch_size=4 gives all trials the same value"},
		{[]string{"--vary", "seed=1,2", "--seeds", "2"}, "--vary seed: --seeds chooses the seeds"},
		{[]string{"--seeds", "20000"}, "--seeds 20000: want at most 10000 seeds"},
		{[]string{"--list", "none.txt"}, "none.txt: no such file"},
		{[]string{"--list", "list.txt"}, "trial 2 of 2 (network=net/network.json lr=many seed=0): --lr many: want a number"},
		{[]string{"--vary", "lr=0.1,0.10"}, "trial 1 (network=net/network.json lr=0.1 seed=0) and trial 2 (network=net/network.json lr=0.10 seed=0) are the same training"},
		{[]string{"--lr", "0.1", "--vary", "learning_parameters.learning_rate_gamma_w=0.2,0.3"}, "_w=0.3 seed=0) are the same training: leave out one of them"},
		{[]string{"--vary", "data_path=a,b"}, "are the same training"},
		{[]string{"--vary", "lr=0.1,0.2", "--vary", "batch=4,6,0"}, "trial 3 of 6 (network=net/network.json lr=0.1 batch=0 seed=0): --batch 0: want a whole number of at least 1"},
		{[]string{"--vary", "neurons=4;4,5"}, "trial 2 of 2 (network=net/network.json neurons=4,5 seed=0): "},
		{[]string{"--vary", "learning_parameters.rate=1,2"}, `there is no key "learning_parameters.rate"`},
		{[]string{"--vary", "resize=false,true"}, "--resize requires a model"},
		{[]string{"--holdout", "70"}, "--holdout 70 leaves nothing to train with"},
		{[]string{"--output", "foreign"}, "foreign/trial-001 was not written by trials, and trials would replace it"},
		{[]string{"--output", "foreign", "--force"}, "foreign/trial-001 was not written by trials, and trials would replace it"},
		{[]string{"--output", "file"}, "--output file is a file: give a folder"},
		{[]string{"--resume", "--force"}, "--resume and --force cannot be combined"},
		{[]string{"--nats", "x", "--local-workers", "2"}, "--local-workers has no effect with --nats"},
		{[]string{"--nats", "x", "--workers", "2"}, "--workers has no effect with --nats"},
		{[]string{"--plot", "x"}, "--plot draws what is in the folder: leave out net/network.json"},
	} {
		_, _, err := call(t, newCommand, append([]string{"trials", "net/network.json", "--data", "data", "-o", "out"}, c.flags...)...)
		require.ErrorContains(t, err, c.want)
		require.NoDirExists(t, "out")
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--data", "data", "-o", "out"}, "the model or configuration is missing"},
		{[]string{"net/network.json", "-o", "out"}, "the training images are missing"},
		{[]string{"net/network.json", "--data", "data"}, "the folder for the results is missing"},
		{[]string{"net/network.json", "net/../net/network.json", "--data", "data", "-o", "out"}, "net/../net/network.json is given twice"},
		{[]string{"sbs.onnx", "none.onnx", "--data", "data", "-o", "out"}, "trial 2 of 2 (network=none.onnx seed=0): none.onnx: no such file"},
		{[]string{"--plot", "foreign"}, "foreign is not the folder of trials: foreign/trials.json does not exist"},
	} {
		_, _, err := call(t, newCommand, append([]string{"trials"}, c.args...)...)
		require.Error(t, err)
		require.Contains(t, cli.Message(err, nil), c.want)
		require.NoDirExists(t, "out")
	}
}

// The folder of other trials is not changed.
func TestTrials_RefuseTheFolderOfOthers(t *testing.T) {
	t.Setenv(commandVariable, "1")
	trialData(t)
	args := func(flags ...string) []string {
		return append([]string{"trials", "net/network.json", "--data", "data", "--epochs", "1", "--no-test", "-o", "out"}, flags...)
	}
	_, stderr, err := call(t, newCommand, args("--vary", "lr=0.1,0.2")...)
	require.NoError(t, err, stderr)
	before := read(t, "out", "results.csv")
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--vary", "lr=0.1,0.2"}, "out already has the results of trials: continue them with --resume, replace them with --force"},
		{[]string{"--vary", "lr=0.1,0.3", "--resume"}, "out has the results of other trials: they have network=net/network.json lr=0.1,0.2 seed=0 instead of network=net/network.json lr=0.1,0.3 seed=0"},
		{[]string{"--vary", "lr=0.1,0.2", "--resume", "--batch", "7"}, "trial 1 has another value of: --batch"},
	} {
		_, _, err := call(t, newCommand, args(c.flags...)...)
		require.ErrorContains(t, err, c.want)
		require.Equal(t, before, read(t, "out", "results.csv"))
	}
	clitest.Bars(t, "data", 69, 20)
	_, _, err = call(t, newCommand, args("--vary", "lr=0.1,0.2", "--resume")...)
	require.ErrorContains(t, err, "trial 1 has another value of: the training images")
	require.NoError(t, os.MkdirAll("out/trial-2026", 0o755))
	_, stderr, err = call(t, newCommand, args("--vary", "lr=0.1", "--force")...)
	require.NoError(t, err, stderr)
	require.Len(t, table(t, "out"), 1)
	require.NoDirExists(t, "out/trial-002")
	require.DirExists(t, "out/trial-2026", "a folder of the user")
	require.NoFileExists(t, "out/chart-lr.svg")
}

// A worker that sees other images ends the command with an error that names it. Nothing that is done is lost.
func TestTrials_ContinueAfterAWorkerWithOtherImages(t *testing.T) {
	trialData(t)
	args := grid("--shared")
	_, url := startServer(t, nil)
	args = append(args, "--nats", url, "-o", "got")
	cmd, stderr := process(t, args...)
	require.NoError(t, cmd.Start())
	waitForJob(t, url)
	good := read(t, "data/TrainLabelStorage.npy")
	require.NoError(t, os.WriteFile("data/TrainLabelStorage.npy", []byte(strings.Replace(good, "\x02", "\x01", 1)), 0o600))
	bad := startWorkers(t, url, 1)
	require.Error(t, cmd.Wait())
	require.Regexp(t, `trial \d: worker .* \(process \d+\): .*this is another one here than where the trials were started`, stderr.String())
	require.Contains(t, stderr.String(), "to continue, run\n  sbs-cluster trials net/network.json ")
	require.NoError(t, bad[0].Process.Kill())
	require.NoError(t, os.WriteFile("data/TrainLabelStorage.npy", []byte(good), 0o600))
	startWorkers(t, url, 1)
	_, text, err := call(t, newCommand, append(args, "--resume")...)
	require.NoError(t, err, text)
	require.Len(t, table(t, "got"), 4)
}

// The weights with which a configuration begins, and those of its overload_path, are sent to the workers.
func TestTrials_SendTheWeightsOfAConfiguration(t *testing.T) {
	trialData(t)
	_, stderr, err := call(t, training.Command, "net/network.json", "--data", "data", "--no-test", "-o", "first")
	require.NoError(t, err, stderr)
	require.NoError(t, os.CopyFS("net/Parameters", os.DirFS("first/Parameters")))
	require.NoError(t, os.MkdirAll("net/Previous", 0o755))
	weights, err := filepath.Glob("first/Parameters/Weight_L0_S1.npy")
	require.NoError(t, err)
	require.Len(t, weights, 1)
	require.NoError(t, os.WriteFile("net/Previous/Weight_L0_S9.npy", []byte(read(t, weights[0])), 0o600))
	text := strings.Replace(trialsConfig, `"epoch_id_max": 2`, `"epoch_id": 2, "epoch_id_max": 3`, 1)
	require.NoError(t, os.WriteFile("net/network.json", []byte(text), 0o600))
	_, stderr, err = call(t, training.Command, "net/network.json", "--data", "data", "--test", "bars", "--lr", "0.2", "-o", "want")
	require.NoError(t, err, stderr)

	_, url := startServer(t, nil)
	workers := startWorkers(t, url, 1)
	_, stderr, err = call(t, newCommand, "trials", "net", "--data", "data", "--test", "bars", "--vary", "lr=0.1,0.2", "--nats", url, "-o", "got")
	require.NoError(t, err, stderr)
	require.Equal(t, modeltest.TrainedFiles(t, "want"), modeltest.TrainedFiles(t, "got/trial-002"))
	require.NotEmpty(t, table(t, "got")[1]["test_right"])
	require.NoError(t, workers[0].Process.Kill())
}
