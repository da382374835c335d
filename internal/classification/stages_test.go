package classification

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// staged writes a model with three stages, which are the network of models/mnist-prototypes
// with 2, 20 and all spikes.
func staged(t *testing.T) string {
	t.Helper()
	s := &convert.Staged{}
	for _, stage := range []struct {
		spikes    int
		threshold float64
	}{{2, 0.3}, {20, 0.6}, {0, 0}} {
		n, _, err := pytorch.Load(pytorch.Options{Weights: weights})
		require.NoError(t, err)
		for _, l := range n.Layers {
			if l, ok := l.(*convert.SbS); ok && stage.spikes > 0 {
				l.Spikes = stage.spikes
			}
		}
		s.Stages = append(s.Stages, convert.Stage{Network: n, Threshold: stage.threshold})
	}
	data, err := convert.StagesToONNX(s, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "staged.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestRun_TellsTheStageOfEachImage(t *testing.T) {
	model := staged(t)
	out, errOut, err := command(t, model, digits)
	require.NoError(t, err)
	require.Empty(t, errOut)
	lines := strings.Split(out, "\n")
	require.Equal(t, digits+"/0/00003.png\t0\t0.9493\t0:0.9493 6:0.0507 1:0.0000\tstage 3, 844 updates", lines[0])
	require.Contains(t, lines[1], "\tstage 1, 4 updates\twrong: the label is 0")
	require.Contains(t, lines[3], "\tstage 2, 44 updates")
	require.Contains(t, out, `
stage  images       accuracy           updates per image
1      4 (13.3%)    25.00% (1 of 4)    4
2      6 (20.0%)    100.00% (6 of 6)   44
3      20 (66.7%)   85.00% (17 of 20)  844
all    30 (100.0%)  80.00% (24 of 30)  572
accuracy 80.00% (24 of 30)
`)

	out, _, err = command(t, model, digits+"/7/00000.png", "--quiet")
	require.NoError(t, err)
	require.Contains(t, out, "2      1 (100.0%)  -         44\n", "an image without a label")
	require.NotContains(t, out, "accuracy 1")
}

func TestRun_PrintsStagesInEveryFormat(t *testing.T) {
	model := staged(t)
	out, _, err := command(t, model, digits, "--format", "json")
	require.NoError(t, err)
	var d document
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	require.Len(t, d.Summary.Stages, 3)
	var sum jsonStage
	updates := int64(0)
	for i, s := range d.Summary.Stages {
		require.Equal(t, i+1, s.Stage)
		sum.Images, sum.Labeled, sum.Correct = sum.Images+s.Images, sum.Labeled+s.Labeled, sum.Correct+s.Correct
		images, onStage := 0, int64(0)
		for _, r := range d.Results {
			if r.Stage == s.Stage {
				images++
				onStage += r.Updates
			}
		}
		require.NotZero(t, images, "stage %d", i+1)
		require.Equal(t, images, s.Images)
		require.InDelta(t, float64(onStage)/float64(images), *s.Updates, 1e-6)
		require.InDelta(t, float64(s.Correct)/float64(images), *s.Accuracy, 1e-9)
		updates += onStage
	}
	require.Equal(t, jsonStage{Images: 30, Labeled: 30, Correct: d.Summary.Correct}, sum)
	require.InDelta(t, float64(updates)/30, *d.Summary.Updates, 1e-6)

	out, _, err = command(t, model, digits, "--format", "csv", "--top", "1")
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"image", "label", "class", "probability", "class_1", "probability_1", "stage", "updates", "error"}, rows[0])
	for i, r := range d.Results {
		require.Equal(t, []string{strconv.Itoa(r.Stage), strconv.FormatInt(r.Updates, 10), ""}, rows[i+1][6:])
	}

	ordinary, _, err := command(t, prototypes(t, convert.Options{}), digits, "--format", "json")
	require.NoError(t, err)
	require.NotContains(t, ordinary, "stage")
	require.NotContains(t, ordinary, "updates")
}

func TestRun_RunsOneStage(t *testing.T) {
	model := staged(t)
	all, _, err := command(t, prototypes(t, convert.Options{}), digits, "--noise", "contrast=0.2")
	require.NoError(t, err)
	last, _, err := command(t, model, digits, "--noise", "contrast=0.2", "--stage", "3")
	require.NoError(t, err)
	results := func(out string) string { return strings.Split(out, "\n\n")[0] }
	require.Equal(t, results(all), results(last))
	few, _, err := command(t, prototypes(t, convert.Options{}), digits, "--spikes", "20", "--noise", "contrast=0.2")
	require.NoError(t, err)
	second, _, err := command(t, model, digits, "--noise", "contrast=0.2", "--stage", "2")
	require.NoError(t, err)
	require.Equal(t, results(few), results(second))
	changed, _, err := command(t, model, digits, "--spikes", "20", "--stage", "3", "--noise", "contrast=0.2")
	require.NoError(t, err)
	require.Equal(t, results(few), results(changed))
	_, _, err = command(t, model, digits, "--noise", "contrast=0.2")
	require.NoError(t, err)
}

func TestRun_RefusesFlagsThatTheStagesDoNotAllow(t *testing.T) {
	model := staged(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{model, "--spikes", "5"}, "to change these, run one stage with --stage N"},
		{[]string{model, "--sampler", "iid"}, "to change these, run one stage with --stage N"},
		{[]string{model, "--stage", "4"}, "stage 4 was chosen, but the model has stages 1 to 3"},
		{[]string{prototypes(t, convert.Options{}), "--stage", "1"}, "stage 1 was chosen, but the model has no stages"},
		{[]string{model, "--stage", "0"}, "want a whole number of at least 1"},
	} {
		_, _, err := command(t, append(c.args, digits)...)
		var usage *cli.UsageError
		require.ErrorAs(t, err, &usage)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "OnlyStage")
	}
}
