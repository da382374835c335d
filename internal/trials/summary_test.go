package trials

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/training"
)

// example returns the manifest and the rows of two learning rates with two seeds. The test accuracy and
// the training accuracy prefer the first one, and the images held back the second one.
func example(t *testing.T) (*manifest, []row) {
	t.Helper()
	m := &manifest{Format: format, Version: "x", Axes: []axis{{axisNetwork, []string{"a/network.json"}}, {"lr", []string{"0.1", "0.2"}}, {axisSeed, []string{"0", "1"}}}}
	for _, lr := range m.Axes[1].Values {
		for _, seed := range m.Axes[2].Values {
			m.Trials = append(m.Trials, manifestTrial{Values: []string{"a/network.json", lr, seed}, Images: 40, HeldBack: 100, TestImages: 100, Training: map[string]string{"--lr": lr, "--seed": seed}})
		}
	}
	p := &Plan{manifest: m, Trials: make([]Trial, 4)}
	var rows []row
	for i, right := range [][3]int{{80, 99, 98}, {82, 97, 97}, {90, 95, 93}, {88, 94, 92}} {
		p.Trials[i].Prepared = &training.Prepared{}
		rows = append(rows, p.newRow(i+1, &training.Outcome{
			Updates: 10, Training: &training.Measured{Images: 100, Right: right[1], Loss: 0.5},
			HeldBack: &training.Measured{Images: 100, Right: right[0]}, Test: &training.Measured{Images: 100, Right: right[2]},
		}, fmt.Sprint("sum", i)))
	}
	return m, rows
}

func printed(t *testing.T, m *manifest, rows []row) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, summarize(&out, m, rows))
	return out.String()
}

func TestSummarize_TestImagesChooseNothing(t *testing.T) {
	m, rows := example(t)
	require.Equal(t, `accuracy in %, mean over the seeds

lr   trials  held back  smallest to largest  training  test   smallest to largest  loss
0.1  2       81.00      80.00 to 82.00       98.00     97.50  97.00 to 98.00       0.5
0.2  2       89.00      88.00 to 90.00       94.50     92.50  92.00 to 93.00       0.5

best on the 100 images held back: lr=0.2, 89.00 (trial 3: 90.00), in trial-003
`, printed(t, m, rows))

	m.Trials[3].HeldBack = 50 // other images
	require.Contains(t, printed(t, m, rows), "\nbest on the training images of the last epoch (--holdout N would hold back images to choose with): lr=0.1, 98.00 (trial 1: 99.00), in trial-001\n")

	require.NotContains(t, printed(t, m, rows[:3]), "best", "not before all trials are there")
	require.Contains(t, printed(t, m, rows[:3]), "\n0.2  1 of 2  ")

	rows[2].Status, rows[2].Test, rows[2].HeldBack = statusStopped, nil, nil
	text := printed(t, m, rows)
	require.Contains(t, text, "in trial-001\n")
	require.Regexp(t, `(?m)^0\.2 .* 1 ok, 1 stopped$`, text)
	for i := range rows {
		rows[i].Status = statusStopped
	}
	require.NotContains(t, printed(t, m, rows), "best")
}

func TestResults_SurviveDamage(t *testing.T) {
	m, rows := example(t)
	folder := t.TempDir()
	require.NoError(t, m.write(folder))
	back, err := readManifest(folder)
	require.NoError(t, err)
	require.Equal(t, m, back)
	text, err := jsonText(rows)
	require.NoError(t, err)
	write := func(text string) (have []int, damaged []string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, resultsJSON), []byte(text), 0o600))
		list, damaged, err := readRows(folder, m)
		require.NoError(t, err)
		for i, r := range list {
			if r != nil {
				have = append(have, i+1)
				require.Equal(t, rows[i], *r)
			}
		}
		return have, damaged
	}
	have, damaged := write(string(text))
	require.Equal(t, []int{1, 2, 3, 4}, have)
	require.Empty(t, damaged)
	lines := strings.SplitAfter(string(text), "\n")
	for _, bad := range []string{"{", lines[0], strings.Replace(lines[1], `"seed":"1"`, `"seed":"2"`, 1), strings.Replace(lines[1], `"right":82`, `"right":182`, 1), strings.Replace(lines[1], `"trial":2`, `"trial":7`, 1)} {
		have, damaged = write(lines[0] + strings.TrimSuffix(bad, "\n") + "\n" + lines[2] + lines[3])
		require.Equal(t, []int{1, 3, 4}, have)
		require.Len(t, damaged, 1)
		require.Contains(t, damaged[0], "line 2 of ")
	}
}

func TestCharts_HaveACurveForEachCombination(t *testing.T) {
	m, rows := example(t)
	folder := t.TempDir()
	log := filepath.Join(folder, m.folder(1), "Log")
	require.NoError(t, os.MkdirAll(log, 0o755))
	for n := range 3 {
		require.NoError(t, os.MkdirAll(filepath.Join(folder, m.folder(n+2)), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(log, "metrics.jsonl"), []byte(
		`{"update":1,"epoch":0,"images":30,"seconds":1,"loss":2,"train_error":50}
{"update":2,"epoch":0,"images":40,"seconds":1,"loss":2,"train_error":10,"test_error":20}
{"update":3,"epoch":1,"images":80,"seconds":1,"loss":2,"train_error":5,"test_error":15}
`), 0o600))
	training, tests, err := m.overEpochs(filepath.Join(folder, m.folder(1)), &rows[0])
	require.NoError(t, err)
	require.Equal(t, map[float64]float64{1: 60, 2: 95}, training)
	require.Equal(t, map[float64]float64{1: 80, 2: 85}, tests)
	names, err := drawCharts(folder, m, rows)
	require.NoError(t, err)
	require.Equal(t, []string{"chart-lr.svg", "chart-lr.png"}, names, "only one of two seeds has metrics")
	for _, name := range names {
		require.True(t, isResult(name))
	}
	c := m.axisChart(1, m.groups(rows), rows)
	require.Len(t, c.Panels, 2)
	require.Equal(t, []string{"accuracy on the images held back", "accuracy on the test images"}, []string{c.Panels[0].Title, c.Panels[1].Title})
	require.False(t, c.Logarithmic)
	require.Nil(t, c.Categories)
	p := c.Panels[0].Curves[0].Points
	require.Equal(t, []float64{0.1, 81, 80, 82}, []float64{p[0].X, p[0].Mean, p[0].Low, p[0].High})

	m.Axes[1].Values[1], m.Trials[2].Values[1], m.Trials[3].Values[1] = unset, unset, unset
	c = m.axisChart(1, m.groups(rows), rows)
	require.Equal(t, []string{"0.1", unset}, c.Categories)
	require.InDelta(t, 1, c.Panels[0].Curves[0].Points[1].X, 0)
}

func TestNetworkName_IsShort(t *testing.T) {
	for path, want := range map[string]string{"models/mnist/network.json": "mnist", "a/small.json": "small", "network.json": "network", "mnist/model.onnx": "mnist", "x.onnx": "x"} {
		require.Equal(t, want, networkName(filepath.FromSlash(path)))
	}
}
