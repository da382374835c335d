package sweep

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/chart"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/lock"
	"github.com/spike-by-spike/sbs/internal/measure"
	"github.com/spike-by-spike/sbs/runtime"
)

func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	err = cli.Run(t.Context(), Command(args), args, &out, &errOut)
	return out.String(), errOut.String(), err
}

func must(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, err := command(t, args...)
	require.NoError(t, err, stderr)
	return stdout, stderr
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(data)
}

func save(t *testing.T, path string, data []byte, err error) {
	t.Helper()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
}

// files writes an SbS network, one with stages, a CNN, and images for them to a new folder, which
// becomes the working directory. The images are 200 for training and 40 for testing.
func files(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	data, err := convert.ToONNX(converttest.Digits(), convert.Options{})
	save(t, "sbs.onnx", data, err)
	data, err = convert.StagesToONNX(converttest.Staged(), convert.Options{})
	save(t, "staged.onnx", data, err)
	m := converttest.New(3)
	data, err = convert.ToONNX(&convert.Network{Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Layers: []convert.Layer{m.Conv(converttest.Window(12, 1), 1, 3)}}, convert.Options{})
	save(t, "cnn.onnx", data, err)
	require.NoError(t, os.Mkdir("bars", 0o755))
	clitest.Bars(t, "bars", 200, 40)
}

// axesFlags are the flags of a sweep of all three models.
var axesFlags = []string{
	"sbs.onnx", "staged.onnx", "cnn.onnx", "--data", "bars", "--noise", "gaussian=0:0.4:0.2", "--noise", "contrast=0.5",
	"--spikes", "5,20", "--sampler", "iid,low-discrepancy", "--epsilon-schedule", "auto", "--seeds", "2", "--seed", "7",
}

func with(more ...string) []string { return slices.Concat(axesFlags, more) }

// table returns the rows of a CSV file by the names of the columns.
func table(t *testing.T, path ...string) []map[string]string {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(read(t, path...))).ReadAll()
	require.NoError(t, err)
	var rows []map[string]string
	for _, l := range lines[1:] {
		r := map[string]string{}
		for i, name := range lines[0] {
			r[name] = l[i]
		}
		rows = append(rows, r)
	}
	return rows
}

// TestSweep_HasTheAccuracyOfSbsRun classifies the same images as sbs-run does.
func TestSweep_HasTheAccuracyOfSbsRun(t *testing.T) {
	files(t)
	must(t, with("-o", "out", "--limit", "30")...)
	rows := table(t, "out", "results.csv")
	require.Len(t, rows, 4*(4*2)+4*2+(1+3*2))
	different := map[string]bool{}
	for _, r := range rows {
		seed, err := strconv.ParseUint(r["seed"], 10, 64)
		require.NoError(t, err)
		opts := []classify.Option{classify.Seed(seed)}
		if r["noise"] != "none" {
			opts = append(opts, classify.Noise(r["noise"]+"="+r["level"]))
		}
		if r["model"] == "sbs.onnx" {
			n, err := strconv.Atoi(r["spikes"])
			require.NoError(t, err)
			d := runtime.Dynamics{Spikes: n, Schedule: &runtime.Schedule{Auto: true}, Sampler: runtime.IID}
			if r["sampler"] == "low-discrepancy" {
				d.Sampler = runtime.LowDiscrepancy
			}
			opts = append(opts, classify.Runtime(runtime.AllLayers(d)))
		}
		c, err := classify.Open(r["model"], opts...)
		require.NoError(t, err)
		images, err := c.OpenFiles([]string{"bars"}, "")
		require.NoError(t, err)
		images.Limit(30)
		right, updates := 0, int64(0)
		for image, err := range c.All(t.Context(), images, 0) {
			require.NoError(t, err)
			require.NoError(t, image.Err)
			updates += image.Updates
			if image.Class == image.Label {
				right++
			}
		}
		require.NoError(t, images.Close())
		require.NoError(t, c.Close())
		require.Equal(t, strconv.Itoa(right), r["right"], r)
		require.Equal(t, "30", r["images"])
		require.Equal(t, chart.Number(measure.Rounded(float64(right)/30, 6)), r["accuracy"])
		require.Equal(t, chart.Number(measure.Rounded(float64(updates)/30, 2)), r["updates_per_image"])
		different[fmt.Sprint(r["model"], r["noise"], right)] = true
	}
	require.Greater(t, len(different), 10, "the accuracies are not all the same")
}

// same checks that two folders have the same results and charts.
func same(t *testing.T, a, b string) {
	t.Helper()
	for _, name := range []string{"results.csv", "results.jsonl", "sweep.json", "chart-noise.svg", "chart-noise-gaussian.svg", "chart-noise-contrast.png", "chart-spikes.svg"} {
		require.Equal(t, read(t, a, name), read(t, b, name), "%s of %s and %s", name, a, b)
	}
	for _, file := range []string{"results.csv", "timing.csv"} {
		require.Len(t, table(t, b, file), len(table(t, a, "results.csv")))
	}
}

func TestSweep_HasTheSameBytesForAnyNumberOfWorkers(t *testing.T) {
	files(t)
	want, errOut := must(t, with("-o", "1", "--workers", "1")...)
	require.Contains(t, errOut, "47 rows\n")
	require.Contains(t, want, "wrote 1/results.csv\nwrote 1/results.jsonl\nwrote 1/timing.csv\nwrote 1/chart-noise.svg\nwrote 1/chart-noise.png\nwrote 1/chart-noise-gaussian.svg\n")
	for _, workers := range []string{"2", "3", "4"} {
		out, errOut := must(t, with("-o", workers, "--workers", workers, "--quiet")...)
		require.Equal(t, want, strings.ReplaceAll(out, "wrote "+workers+"/", "wrote 1/"))
		require.Empty(t, errOut)
		same(t, "1", workers)
	}
}

// TestSweep_ResumesWhereItStopped cuts the files of a complete sweep, as a killed one leaves them.
func TestSweep_ResumesWhereItStopped(t *testing.T) {
	files(t)
	must(t, with("-o", "whole")...)
	lines := strings.SplitAfter(read(t, "whole", "results.jsonl"), "\n")
	for _, cut := range []int{0, 1, 5, 20, 46} {
		folder := fmt.Sprint("cut", cut)
		require.NoError(t, os.Mkdir(folder, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "sweep.json"), []byte(read(t, "whole", "sweep.json")), 0o600))
		part := strings.Join(lines[:cut], "") + lines[cut][:len(lines[cut])/2]
		require.NoError(t, os.WriteFile(filepath.Join(folder, "results.jsonl"), []byte(part), 0o600))
		timing := read(t, "whole", "timing.csv")
		require.NoError(t, os.WriteFile(filepath.Join(folder, "timing.csv"), []byte(timing), 0o600))
		_, errOut := must(t, with("-o", folder, "--resume")...)
		require.NotContains(t, errOut, "damaged")
		if cut > 0 {
			require.Contains(t, errOut, fmt.Sprintf("47 rows, of which %d are known", cut))
		}
		same(t, "whole", folder)
	}

	// A complete sweep is not computed again.
	before := read(t, "whole", "timing.csv")
	_, errOut := must(t, with("-o", "whole", "--resume")...)
	require.Contains(t, errOut, "47 rows, of which 47 are known")
	require.Equal(t, before, read(t, "whole", "timing.csv"))

	// A damaged line and everything after it is computed again.
	damaged := strings.Replace(strings.Join(lines, ""), lines[10], strings.Replace(lines[10], `"right":`, `"right":1`, 1), 1)
	require.NoError(t, os.WriteFile("cut5/results.jsonl", []byte(damaged), 0o600))
	_, errOut = must(t, with("-o", "cut5", "--resume")...)
	require.Contains(t, errOut, "warning: cut5: line 11 of results.jsonl is damaged: it and the lines after it (37) are computed again")
	same(t, "whole", "cut5")

	_, errOut = must(t, with("-o", "new", "--resume")...)
	require.Contains(t, errOut, "new has no sweep yet: it starts from the beginning")
	same(t, "whole", "new")
	require.NoError(t, os.WriteFile("new/chart-notes.txt", nil, 0o600))
	must(t, "cnn.onnx", "--data", "bars", "-o", "new", "--force")
	require.Len(t, table(t, "new", "results.csv"), 1)
	require.NoFileExists(t, "new/chart-spikes.svg")
	require.FileExists(t, "new/chart-notes.txt")
}

func TestSweep_SaysHowToResumeAfterAnInterruption(t *testing.T) {
	files(t)
	must(t, with("-o", "whole")...)
	ctx, cancel := context.WithCancel(t.Context())
	stop := &clitest.Stopper{Cancel: cancel, After: "47 rows"}
	args := with("-o", "it's", "--workers", "1")
	require.ErrorIs(t, cli.Run(ctx, Command(args), args, io.Discard, stop), cli.ErrInterrupted)
	require.Contains(t, stop.String(), `to resume, run
  sbs-sweep sbs.onnx staged.onnx cnn.onnx --data bars --noise gaussian=0:0.4:0.2 --noise contrast=0.5 --spikes 5,20 --sampler iid,low-discrepancy --epsilon-schedule auto --seeds 2 --seed 7 --output 'it'\''s' --workers 1 --resume
`)
	_, _, err := command(t, args...)
	require.ErrorContains(t, err, "it's already has the results of a sweep: continue it with --resume, replace it with --force, or give another --output")
	must(t, append(args, "--resume")...)
	same(t, "whole", "it's")
}

func TestMerge_HasTheBytesOfTheWholeSweep(t *testing.T) {
	files(t)
	want, _ := must(t, with("-o", "whole")...)
	for _, n := range []int{1, 2, 5} {
		var parts []string
		for i := n; i >= 1; i-- {
			folder := fmt.Sprintf("part%d-of-%d", i, n)
			out, _ := must(t, with("-o", folder, "--shard", fmt.Sprintf("%d/%d", i, n))...)
			require.Contains(t, out, fmt.Sprintf("part %d/%d of the sweep", i, n))
			require.NoFileExists(t, filepath.Join(folder, "chart-spikes.svg"))
			parts = append(parts, folder)
		}
		all := fmt.Sprint("all", n)
		out, errOut := must(t, append([]string{"merge", "-o", all}, parts...)...)
		require.Empty(t, errOut)
		require.Equal(t, want, strings.ReplaceAll(out, all+"/", "whole/"))
		same(t, "whole", all)
	}
	require.Greater(t, len(table(t, "part3-of-5", "results.csv")), 5)
	must(t, with("-o", "all5", "--resume")...)
	same(t, "whole", "all5")

	require.NoError(t, os.WriteFile("sbs2.onnx", []byte(read(t, "sbs.onnx")), 0o600))
	must(t, "sbs2.onnx", "--data", "bars", "--seeds", "4", "--shard", "1/2", "-o", "other")
	must(t, with("-o", "third", "--shard", "2/3")...)
	lines := strings.SplitAfter(read(t, "part2-of-2", "results.jsonl"), "\n")
	require.NoError(t, os.Mkdir("short", 0o755))
	require.NoError(t, os.WriteFile("short/sweep.json", []byte(read(t, "part2-of-2", "sweep.json")), 0o600))
	require.NoError(t, os.WriteFile("short/results.jsonl", []byte(strings.Join(lines[:3], "")), 0o600))
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{[]string{"part1-of-2"}, "parts are missing: 2/2: name their folders too, or compute them with --shard"},
		{[]string{"part5-of-5", "part1-of-5"}, "parts are missing: 2/5, 3/5, 4/5"},
		{[]string{"part1-of-2", "part1-of-2"}, "part1-of-2 and part1-of-2 are both part 1/2: name each part once"},
		{[]string{"part1-of-2", "third"}, "part1-of-2 is part 1/2 and third is part 2/3: the sweep was divided differently"},
		{[]string{"part1-of-2", "other"}, "part1-of-2 and other are parts of different sweeps: of other, it has 1 models instead of 3"},
		{[]string{"part1-of-2", "short"}, "short is not complete: it has 3 of the 23 rows of part 2/2: continue it with --resume"},
		{[]string{"whole"}, "whole is a whole sweep and no part of one"},
		{[]string{"part1-of-2", "missing"}, "missing is not the folder of a sweep"},
		{[]string{"part1-of-2", "bars"}, "bars is not the folder of a sweep"},
	} {
		_, _, err := command(t, append([]string{"merge", "-o", "new"}, c.parts...)...)
		require.ErrorContains(t, err, c.want)
		require.NoDirExists(t, "new")
	}
	_, _, err := command(t, "merge", "-o", "all2", "part1-of-2", "part2-of-2")
	require.ErrorContains(t, err, "all2 already has the results of a sweep")
	must(t, "merge", "-o", "all2", "part1-of-2", "part2-of-2", "--force")
	same(t, "whole", "all2")
	for _, force := range []string{"--force", "--force=false"} {
		_, _, err = command(t, "merge", "-o", "part1-of-2/", "part1-of-2", "part2-of-2", force)
		require.ErrorContains(t, err, "is one of the parts")
	}
	_, _, err = command(t, "merge", "-o", "sbs.onnx", "part1-of-2", "part2-of-2")
	require.EqualError(t, err, "--output sbs.onnx is a file: give a folder")
	_, _, err = command(t, "merge", "-o", "x")
	require.ErrorContains(t, err, "the folders of the parts are missing")
	_, _, err = command(t, "merge", "whole")
	require.ErrorContains(t, err, "give it with -o FOLDER")
}

func TestPlot_DrawsAgain(t *testing.T) {
	files(t)
	want, _ := must(t, with("-o", "out")...)
	svg := read(t, "out", "chart-spikes.svg")
	require.NoError(t, os.Remove("out/chart-spikes.svg"))
	require.NoError(t, os.Remove("sbs.onnx"))
	out, errOut := must(t, "--plot", "out")
	require.Empty(t, errOut)
	require.Equal(t, strings.NewReplacer("wrote out/results.csv\n", "", "wrote out/results.jsonl\n", "", "wrote out/timing.csv\n", "").Replace(want), out)
	require.Equal(t, svg, read(t, "out", "chart-spikes.svg"))

	lines := strings.SplitAfter(read(t, "out", "results.jsonl"), "\n")
	require.NoError(t, os.WriteFile("out/results.jsonl", []byte(strings.Join(lines[:20], "")), 0o600))
	_, errOut = must(t, "--plot", "out")
	require.Equal(t, "warning: out is not complete: it has 20 of 47 rows\n", errOut)

	manifest := read(t, "out", "sweep.json")
	for name, c := range map[string]struct{ content, want string }{
		"of another format": {strings.Replace(manifest, `"format": 1`, `"format": 2`, 1), "has the format 2"},
		"no JSON":           {"x", "does not describe a sweep"},
		"unknown key":       {strings.Replace(manifest, `"seeds"`, `"sedes"`, 1), "does not describe a sweep"},
		"too many seeds":    {strings.Replace(manifest, `"seeds": 2`, `"seeds": 2000000000`, 1), "2000000000 seeds, want 1 to"},
		"a long name":       {strings.Replace(manifest, `"cnn.onnx"`, `"`+strings.Repeat("x", 5000)+`"`, 1), "the name of the model has 5000 bytes"},
		"no images":         {strings.Replace(manifest, `"images": 40`, `"images": 0`, 1), "has no images"},
		"a path as noise":   {strings.Replace(manifest, `"gaussian"`, `"../../x"`, 1), "is not a kind of noise"},
		"another order":     {strings.Replace(manifest, `"first_seed": 7`, `"first_seed": 8`, 1), "out: line 1 of results.jsonl is damaged or of another sweep"},
		"other images":      {strings.Replace(manifest, `"images": 40`, `"images": 41`, 1), "out: line 1 of results.jsonl is damaged or of another sweep"},
		"no such part":      {strings.Replace(manifest, `"seeds": 2`, `"seeds": 2, "shard": "3/2"`, 1), "shard 3/2: the parts of 2 are"},
	} {
		require.NoError(t, os.WriteFile("out/sweep.json", []byte(c.content), 0o600))
		_, _, err := command(t, "--plot", "out")
		require.ErrorContains(t, err, c.want, name)
	}
}

func TestPlot_SaysThatThereAreNoRows(t *testing.T) {
	files(t)
	must(t, "cnn.onnx", "--data", "bars", "-o", "out")
	for _, content := range []string{"", "{"} {
		require.NoError(t, os.WriteFile("out/results.jsonl", []byte(content), 0o600))
		_, _, err := command(t, "--plot", "out")
		require.ErrorContains(t, err, "out has no results yet: out/results.jsonl has no rows")
	}
}

func TestSweep_LocksTheFolder(t *testing.T) {
	files(t)
	must(t, "cnn.onnx", "--data", "bars", "-o", "out")
	l, err := lock.Folder("out")
	require.NoError(t, err)
	for _, flag := range []string{"--resume", "--force"} {
		_, _, err := command(t, "cnn.onnx", "--data", "bars", "-o", "out", flag)
		require.ErrorIs(t, err, lock.ErrLocked)
	}
	require.NoError(t, l.Release())
}
