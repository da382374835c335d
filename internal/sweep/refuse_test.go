package sweep

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

func TestSweep_RefusesBeforeWorkStarts(t *testing.T) {
	files(t)
	data, err := convert.ToONNX(converttest.OwnEpsilonT(converttest.Digits()), convert.Options{})
	save(t, "own.onnx", data, err)
	save(t, "copy.onnx", []byte(read(t, "cnn.onnx")), nil)
	m := converttest.New(3)
	data, err = convert.ToONNX(&convert.Network{Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Layers: []convert.Layer{m.Conv(converttest.Window(12, 1), 1, 2)}}, convert.Options{})
	save(t, "two.onnx", data, err)
	data, err = convert.ToONNX(&convert.Network{Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Layers: []convert.Layer{m.Conv(converttest.Window(3, 1), 1, 2)}}, convert.Options{})
	save(t, "map.onnx", data, err)
	require.NoError(t, os.Mkdir("unlabeled", 0o755))
	save(t, "unlabeled/TestPatternStorage.npy", []byte(read(t, "bars", "TestPatternStorage.npy")), nil)
	require.NoError(t, os.Mkdir("empty", 0o755))
	for _, c := range []struct {
		args  []string
		want  string
		usage bool
	}{
		{[]string{}, "the model is missing", true},
		{[]string{"sbs.onnx", "--data", ""}, "no such file", false},
		{[]string{"sbs.onnx", "--noise", "contrast=0:1.2:0.2", "--data", "bars"}, "--noise contrast=0:1.2:0.2: level 1.2: contrast takes a level from 0 to 1", true},
		{[]string{"sbs.onnx", "--noise", "fog=1", "--data", "bars"}, `--noise fog=1: level 1: "fog" is not a kind of noise`, true},
		{[]string{"sbs.onnx", "--noise", "occlusion=4,13", "--data", "bars"}, "occlusion=13: the square of 13x13 pixels is larger than the images of 12x12 (height x width): leave out this level of --noise", false},
		{[]string{"sbs.onnx", "--sampler", "x", "--data", "bars"}, "--sampler x: want iid, low-discrepancy, or both", true},
		{[]string{"sbs.onnx", "--spikes", "0", "--data", "bars"}, "--spikes 0: want whole numbers from 1 to", true},
		{[]string{"sbs.onnx", "--spikes", "", "--data", "bars"}, "--spikes is empty", true},
		{[]string{"sbs.onnx", "--epsilon-schedule", "x", "--data", "bars"}, "--epsilon-schedule x: want auto, inverse-sqrt", true},
		{[]string{"sbs.onnx", "--seeds", "0", "--data", "bars"}, "--seeds 0: want a whole number of at least 1", true},
		{[]string{"sbs.onnx", "--seeds", "3", "--seed", "18446744073709551614", "--data", "bars"}, "the 3 seeds from 18446744073709551614 on are too large", true},
		{[]string{"sbs.onnx", "--seeds", "1000000000", "--data", "bars"}, "there are 1000000000 seeds, want 1 to 1048576", true},
		{[]string{"sbs.onnx", "cnn.onnx", "--noise", "gaussian=0.001:1:0.001", "--seeds", "1000", "--spikes", "5", "--data", "missing"}, "the sweep has 2002000 rows, more than the limit of 1048576", true},
		{[]string{"--quiet", "merge", "a", "b"}, "merge must be the first word: sbs-sweep merge -o FOLDER PART...", true},
		{[]string{"cnn.onnx", "staged.onnx", "--spikes", "5", "--data", "bars"}, "--spikes has no effect, because cnn.onnx, staged.onnx have no SbS operators whose spikes can change: leave it out", true},
		{[]string{"cnn.onnx", "--sampler", "iid", "--data", "bars"}, "--sampler has no effect, because cnn.onnx has no SbS operators", true},
		{[]string{"cnn.onnx", "--epsilon-schedule", "auto", "--data", "bars"}, "--epsilon-schedule has no effect", true},
		{[]string{"own.onnx", "--spikes", "20,500", "--data", "bars"}, "own.onnx: ", false},
		{[]string{"cnn.onnx", "copy.onnx", "--data", "bars"}, "cnn.onnx and copy.onnx are the same model", true},
		{[]string{"cnn.onnx", "cnn.onnx", "--data", "bars"}, "cnn.onnx is given twice", true},
		{[]string{"missing.onnx", "--data", "bars"}, "missing.onnx", false},
		{[]string{"bars", "--data", "bars"}, "bars", false},
		{[]string{"map.onnx", "--data", "bars"}, "map.onnx: classify: the model's output", false},
		{[]string{"two.onnx", "--data", "bars"}, "has label 2, but the labels of the network's 2 classes are 0 to 1", false},
		{[]string{"sbs.onnx", "--data", "unlabeled"}, "has no label: put the images into one folder per class", false},
		{[]string{"sbs.onnx", "--data", "empty"}, "empty", false},
		{[]string{"sbs.onnx"}, "the images are missing: give their file or folder with --data PATH", true},
		{[]string{"sbs.onnx", "--data", "bars", "--shard", "3/2"}, "--shard 3/2: the parts of 2 are 1/2 to 2/2", true},
		{[]string{"sbs.onnx", "--data", "bars", "--shard", "0/2"}, "--shard 0/2", true},
		{[]string{"sbs.onnx", "--data", "bars", "--shard", "2"}, "--shard 2: want i/n", true},
		{[]string{"sbs.onnx", "--data", "bars", "--shard", "1/99"}, "--shard 1/99: the sweep has only 1 rows", true},
		{[]string{"sbs.onnx", "--data", "bars", "--resume", "--force"}, "--resume and --force cannot be combined", true},
		{[]string{"sbs.onnx", "--plot", "x"}, "leave out sbs.onnx", true},
	} {
		_, _, err := command(t, append(c.args, "-o", "out")...)
		require.ErrorContains(t, err, c.want)
		var usage *cli.UsageError
		require.Equal(t, c.usage, errors.As(err, &usage), "%v: %v", c.args, err)
		require.NoDirExists(t, "out")
	}
	_, _, err = command(t, "sbs.onnx", "--data", "bars", "-o", "cnn.onnx")
	require.ErrorContains(t, err, "--output cnn.onnx is a file: give a folder")
	_, _, err = command(t, "sbs.onnx", "--data", "bars")
	require.ErrorContains(t, err, "the folder for the results is missing")
	_, _, err = command(t, "--plot", "x", "--seeds", "2")
	require.ErrorContains(t, err, "leave out --seeds")
	_, _, err = command(t, "--plot", "bars")
	require.ErrorContains(t, err, "bars is not the folder of a sweep: bars/sweep.json does not exist")
}

// TestSweep_KeepsTheFilesOfOthers has files with the names of a sweep, which are of something else.
func TestSweep_KeepsTheFilesOfOthers(t *testing.T) {
	files(t)
	for _, name := range []string{"results.csv", "results.jsonl", "timing.csv", "sweep.json", "chart-spikes.png", "chart-noise-blur.svg"} {
		require.NoError(t, os.Mkdir("own", 0o755))
		save(t, "own/"+name, []byte("mine"), nil)
		_, _, err := command(t, "cnn.onnx", "--data", "bars", "-o", "own")
		require.ErrorContains(t, err, "own already has the results of a sweep")
		_, _, err = command(t, "cnn.onnx", "--data", "bars", "-o", "own", "--resume")
		require.ErrorContains(t, err, "cannot resume: own")
		require.Equal(t, "mine", read(t, "own", name))
		require.NoError(t, os.RemoveAll("own"))
	}
}

// TestSweep_TakesModelsWithAnyName resumes a sweep of a model whose name JSON cannot represent.
func TestSweep_TakesModelsWithAnyName(t *testing.T) {
	files(t)
	if err := os.Rename("cnn.onnx", "c\xffn\n.onnx"); err != nil {
		t.Skip("the file system refuses the name: ", err)
	}
	args := []string{"c\xffn\n.onnx", "--data", "bars", "--noise", "blur=1", "-o", "out"}
	must(t, args...)
	_, errOut := must(t, append(args, "--resume")...)
	require.Contains(t, errOut, "2 rows, of which 2 are known")
	require.Equal(t, "c\ufffdn\ufffd.onnx", table(t, "out", "results.csv")[0]["model"])
}

// TestSweep_RefusesTheFolderOfAnotherSweep changes one thing at a time.
func TestSweep_RefusesTheFolderOfAnotherSweep(t *testing.T) {
	files(t)
	must(t, with("-o", "out", "--limit", "30")...)
	before := read(t, "out", "results.jsonl")
	refused := func(want string, args ...string) {
		t.Helper()
		_, _, err := command(t, append(args, "-o", "out", "--resume")...)
		require.ErrorContains(t, err, "out has the results of another sweep: "+want)
		require.ErrorContains(t, err, "start again with --force")
		require.Equal(t, before, read(t, "out", "results.jsonl"))
	}
	refused("sbs.onnx was measured with 30 images instead of 29", with("--limit", "29")...)
	refused("its noise is gaussian=0.2, 0.4, contrast=0.5 instead of gaussian=0.2, 0.4, contrast=0.5, uniform=0.1", with("--limit", "30", "--noise", "uniform=0.1")...)
	refused("sbs.onnx has other spikes or samplers (5 iid, 5 low-discrepancy, 20 iid, 20 low-discrepancy instead of 5 iid, 5 low-discrepancy)", with("--limit", "30", "--spikes", "5")...)
	refused("its --epsilon-schedule is auto instead of constant", with("--limit", "30", "--epsilon-schedule", "constant")...)
	refused("it has 2 seeds from 7 instead of 3 from 7", with("--limit", "30", "--seeds", "3")...)
	refused("it has 2 seeds from 7 instead of 2 from 8", with("--limit", "30", "--seed", "8")...)
	refused("it is the whole sweep instead of the part 1/2", with("--limit", "30", "--shard", "1/2")...)
	refused("its model number 2 is staged.onnx instead of cnn.onnx", append([]string{"sbs.onnx", "cnn.onnx", "staged.onnx"}, with("--limit", "30")[3:]...)...)
	save(t, "labels.txt", bytes.Repeat([]byte("1\n"), 40), nil)
	refused("sbs.onnx was measured with other images or labels", with("--limit", "30", "--labels", "labels.txt")...)
	data, err := convert.ToONNX(converttest.Digits(), convert.Options{Seed: 3})
	save(t, "sbs.onnx", data, err)
	refused("sbs.onnx was another file (sha256 ", with("--limit", "30")...)

	m, err := readManifest("out")
	require.NoError(t, err)
	m.Version = "v0"
	require.NoError(t, m.write("out"))
	refused("it is of version v0 of the program, and this is ", with("--limit", "30")...)
	require.NoError(t, os.Remove("out/sweep.json"))
	_, _, err = command(t, with("-o", "out", "--resume")...)
	require.ErrorContains(t, err, "cannot resume: out is not the folder of a sweep")
}

func TestSweep_WarnsOnceAboutFewSpikes(t *testing.T) {
	files(t)
	data, err := convert.ToONNX(converttest.Digits(), convert.Options{Body: convert.BodyInline})
	save(t, "inline.onnx", data, err)
	_, errOut := must(t, "sbs.onnx", "inline.onnx", "--data", "bars", "-o", "out", "--spikes", "1,2,40", "--quiet")
	require.Regexp(t, "^warning: sbs.onnx: with 1 spikes: L0/SbS draws 1 spikes instead of [^\n]*\nwarning: inline.onnx: the model draws random numbers, but has no SbS operators whose spikes can change[^\n]*\n$", errOut)
	require.Equal(t, "", table(t, "out", "results.csv")[3]["spikes"])
	_, errOut = must(t, "sbs.onnx", "--data", "bars", "-o", "auto", "--spikes", "1,2,40", "--quiet", "--epsilon-schedule", "auto")
	require.NotContains(t, errOut, "with 2 spikes")
}

func TestProgress_EstimatesByTheCost(t *testing.T) {
	var b bytes.Buffer
	tasks := []task{{cost: 100}, {cost: 300}, {cost: 300}, {model: 1, cost: 1000}}
	p := newProgress(&b, tasks, 1, false)
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	require.Equal(t, "4 rows, of which 1 are known\n", b.String())
	p.begin(1, 10)
	_, ok := p.left(1, 0)
	require.False(t, ok)
	now = now.Add(10 * time.Second)
	left, ok := p.left(1, 1.0/3)
	require.True(t, ok)
	require.InDelta(t, 20+30+100, left, 1e-9)
	p.done(1, 30*time.Second)
	now = now.Add(20 * time.Second)
	p.begin(2, 10)
	p.done(2, 30*time.Second)
	p.begin(3, 10)
	now = now.Add(5 * time.Second)
	left, _ = p.left(3, 0.5)
	require.InDelta(t, 5, left, 1e-9, "the second model is faster")
	p.done(3, 10*time.Second)
	require.Contains(t, b.String(), "4/4\n")
}

func TestHelp(t *testing.T) {
	out, _ := must(t, "--help")
	for _, text := range []string{
		"Usage:\n  sbs-sweep [flags] MODEL.onnx... --data PATH -o FOLDER\n  sbs-sweep --plot FOLDER\n  sbs-sweep merge -o FOLDER PART...\n",
		"--noise KIND=FROM:TO:STEP", "--shard i/n ", "Axes:",
	} {
		require.Contains(t, out, text)
	}
	for _, unwanted := range []string{"(default 0)", "(default [])", " string ", " stringArray ", " uint "} {
		require.NotContains(t, out, unwanted)
	}
	for _, text := range []string{long, mergeLong} {
		for line := range bytes.Lines([]byte(text)) {
			require.LessOrEqual(t, len(line), 81, string(line))
		}
	}
	out, _ = must(t, "merge", "--help")
	require.Contains(t, out, "Usage:\n  sbs-sweep merge [flags] -o FOLDER PART...\n")
}

func TestSweep_ReadsFoldersOfPictures(t *testing.T) {
	files(t)
	clitest.Paper(t, "paper", 12)
	must(t, "cnn.onnx", "--data", "paper", "-o", "out", "--limit", "6", "--invert", "yes")
	require.Equal(t, "6", table(t, "out", "results.csv")[0]["images"])
}

// Every flag that changes the results must be known to those who compute shards.
func TestShardFlags_HasAllFlags(t *testing.T) {
	elsewhere := []string{
		"data", "labels", // fields of Flags
		"output", "workers", "force", "quiet", // without an effect on the results
		"resume", "shard", "plot",
	}
	Command(nil).Flags().VisitAll(func(f *pflag.Flag) {
		require.NotEqual(t, slices.Contains(elsewhere, f.Name), slices.Contains(ShardFlags(), f.Name), "--%s", f.Name)
	})
}
