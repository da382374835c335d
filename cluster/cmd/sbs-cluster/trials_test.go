package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/clitest"
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

// trainedFiles returns the files of a training, without times.
func trainedFiles(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	seconds := regexp.MustCompile(`"seconds":[0-9.e+-]+`)
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !slices.Contains([]string{".onnx", ".npy", ".json", ".jsonl"}, filepath.Ext(path)) {
			return err
		}
		name, err := filepath.Rel(folder, path)
		all[filepath.ToSlash(name)] = seconds.ReplaceAllString(read(t, path), "")
		return err
	})
	require.NoError(t, err)
	require.Contains(t, all, "model.onnx")
	return all
}

// sameTrials compares two folders of the same trials.
func sameTrials(t *testing.T, want, got string, n int) {
	t.Helper()
	for _, name := range []string{"results.csv", "results.jsonl", "trials.json", "chart-learning.svg"} {
		require.Equal(t, read(t, want, name), read(t, got, name), name)
	}
	for i := range n {
		name := fmt.Sprintf("trial-%03d", i+1)
		require.Equal(t, trainedFiles(t, filepath.Join(want, name)), trainedFiles(t, filepath.Join(got, name)))
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
		require.Equal(t, trainedFiles(t, want), trainedFiles(t, filepath.Join("one", fmt.Sprintf("trial-%03d", i+1))))
		var right float64
		_, err = fmt.Sscan(r["test_right"], &right)
		require.NoError(t, err)
		require.Contains(t, out, fmt.Sprintf("test accuracy %.2f%% (20 images)", 5*right))
	}
	require.Contains(t, stdout, "accuracy in %, mean over the seeds")
	require.Contains(t, stdout, "\nbest on the 10 images held back: lr=0.")
	require.Contains(t, stdout, "wrote one/chart-lr.svg")

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
