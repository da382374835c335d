package training

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/npy"
)

// newTrial returns a trial with flags.
func newTrial(t *testing.T, flags ...string) *Trial {
	t.Helper()
	trial := &Trial{}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	trial.Register(set)
	require.NoError(t, set.Parse(append(flags, "--data", "given later")))
	require.NoError(t, trial.Check())
	return trial
}

// A trial writes the files of sbs-train, also if it is killed after its first checkpoints and continues
// with copies of its files.
func TestTrial_HasTheFilesOfSbsTrain(t *testing.T) {
	data := bars(t, 60, 30)
	path := dialect2(t)
	flags := []string{"--holdout", "12", "--epochs", "4", "--seed", "3", "--lr", "0.2"}
	want := t.TempDir()
	stdout, _ := must(t, append([]string{path, "--data", data, "-o", want}, flags...)...)

	in := Inputs{Path: path, Data: []string{data}}
	images := &Images{}
	got, copies := t.TempDir(), t.TempDir()
	p, err := newTrial(t, flags...).Prepare(t.Context(), in, got, images)
	require.NoError(t, err)
	require.Equal(t, []string{path}, p.Reads)
	require.Equal(t, []int{12, 30, 4}, []int{p.HeldBack, p.TestImages, int(p.Updates)})
	entries, err := os.ReadDir(got)
	require.NoError(t, err)
	require.Empty(t, entries, "Prepare writes nothing")

	run := &TrialRun{Inputs: in, Output: got, Workers: 1, Settings: p.Settings, Images: images, Progress: func(_, total int64) { require.Equal(t, int64(4), total) }}
	checkpoints := 0
	run.Saved = func() {
		if checkpoints++; checkpoints == 2 {
			require.NoError(t, os.CopyFS(copies, os.DirFS(got)))
		}
	}
	first, err := newTrial(t, flags...).Run(t.Context(), run)
	require.NoError(t, err)
	require.Greater(t, checkpoints, 2)
	require.Equal(t, modeltest.TrainedFiles(t, want), modeltest.TrainedFiles(t, got))

	run.Output, run.Saved = copies, func() {}
	updates := int64(0)
	run.Progress = func(int64, int64) { updates++ }
	second, err := newTrial(t, flags...).Run(t.Context(), run)
	require.NoError(t, err)
	require.Less(t, updates, p.Updates, "the trial continues")
	require.Equal(t, modeltest.TrainedFiles(t, want), modeltest.TrainedFiles(t, copies))
	first.Seconds, second.Seconds = 0, 0
	require.Equal(t, first, second)

	require.Contains(t, stdout, "(30 images)")
	require.Equal(t, 48, first.Training.Images)
	require.Equal(t, 12, first.HeldBack.Images)
	require.NotZero(t, first.HeldBack.Right)
	require.NotZero(t, first.Test.Right)
	require.Len(t, images.sets, 2, "the images are read once")
}

// Models that need the images in different ways do not fill the memory.
func TestImages_KeepsTheLastSets(t *testing.T) {
	data := bars(t, 12, 6)
	images := &Images{}
	load := func(n int) *dataset.Samples {
		s, err := images.load(t.Context(), []string{data}, dataset.Options{Subset: dataset.Training, NumClasses: n}, 1)
		require.NoError(t, err)
		return s
	}
	first := load(3)
	for n := range 2 * maxSets {
		load(4 + n)
		require.Same(t, first, load(3), "it is in use")
		require.LessOrEqual(t, len(images.sets), maxSets)
	}
}

// A worker that has other images is found out, also if they are those held back.
func TestTrial_ChecksAllImages(t *testing.T) {
	const images, count = 60, 12
	data := bars(t, images, 30)
	kept, held := dataset.Holdout(images, count)
	in := Inputs{Path: dialect2(t), Data: []string{data}}
	flags := []string{"--epochs", "1", "--holdout", "12"}
	p, err := newTrial(t, flags...).Prepare(t.Context(), in, t.TempDir(), nil)
	require.NoError(t, err)
	run := func() error {
		_, err := newTrial(t, flags...).Run(t.Context(), &TrialRun{Inputs: in, Output: t.TempDir(), Settings: p.Settings, Progress: func(int64, int64) {}})
		return err
	}
	require.NoError(t, run())
	path := filepath.Join(data, "TrainLabelStorage.npy")
	right := read(t, path)
	for name, i := range map[string]int{"the training images": kept[3], "the images held back": held[3]} {
		labels, err := npy.Read(bytes.NewReader(right))
		require.NoError(t, err)
		classes := labels.Data.([]uint64)
		classes[i] = (classes[i] + 1) % 3
		array(t, path, []int{images}, classes)
		require.EqualError(t, run(), name+": this is another one here than where the trials were started")
	}
}

// The accuracy on the images held back is that of tests with the same images.
func TestTrial_MeasuresTheImagesHeldBackAsTests(t *testing.T) {
	const images, count = 60, 24
	data, test := bars(t, images, 0), t.TempDir()
	_, held := dataset.Holdout(images, count)
	all, err := npy.Read(bytes.NewReader(read(t, filepath.Join(data, "TrainPatternStorage.npy"))))
	require.NoError(t, err)
	labels, err := npy.Read(bytes.NewReader(read(t, filepath.Join(data, "TrainLabelStorage.npy"))))
	require.NoError(t, err)
	var pixels []float32
	var classes []uint64
	for _, i := range held {
		pixels, classes = append(pixels, all.Data.([]float32)[i*144:(i+1)*144]...), append(classes, labels.Data.([]uint64)[i])
	}
	array(t, filepath.Join(test, "TestPatternStorage.npy"), []int{count, 12, 12}, pixels)
	array(t, filepath.Join(test, "TestLabelStorage.npy"), []int{count}, classes)

	in := Inputs{Path: dialect2(t), Data: []string{data}, Test: test}
	flags := []string{"--epochs", "2", "--holdout", "24"}
	p, err := newTrial(t, flags...).Prepare(t.Context(), in, t.TempDir(), nil)
	require.NoError(t, err)
	o, err := newTrial(t, flags...).Run(t.Context(), &TrialRun{Inputs: in, Output: t.TempDir(), Settings: p.Settings, Progress: func(int64, int64) {}})
	require.NoError(t, err)
	require.Equal(t, o.Test, o.HeldBack)
	require.Equal(t, count, o.HeldBack.Images)
	require.Greater(t, o.HeldBack.Right, count/3)
}

func TestTrial_SaysWhyItStops(t *testing.T) {
	data := bars(t, 48, 12)
	in := Inputs{Path: dialect2(t), Data: []string{data}}
	flags := []string{"--set", "learning_parameters.learning_rate_threshold_w=0.9", "--epochs", "3", "--batch", "4", "--batches-per-update", "1"}
	p, err := newTrial(t, flags...).Prepare(t.Context(), in, t.TempDir(), nil)
	require.NoError(t, err)
	run := &TrialRun{Inputs: in, Output: t.TempDir(), Settings: p.Settings, Saved: func() {}, Progress: func(int64, int64) {}}
	o, err := newTrial(t, flags...).Run(t.Context(), run)
	require.NoError(t, err)
	require.Regexp(t, `^after update 20 of 36: the weights of layer L2 died`, o.Stopped)
	require.Nil(t, o.Test)
	require.Nil(t, o.HeldBack)

	run.Output = t.TempDir()
	run.Settings = map[string]string{"--lr": "3"}
	_, err = newTrial(t, flags...).Run(t.Context(), run)
	require.ErrorContains(t, err, "this is another one here than where the trials were started")
}

func TestTrialFlags_HaveNoPaths(t *testing.T) {
	names := TrialFlags()
	require.Contains(t, names, "seed")
	require.Contains(t, names, "neurons")
	require.NotContains(t, names, "data")
	require.NotContains(t, names, "output")
}
