package trials

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/training"
)

// A file with times that is damaged has no effect on the results.
func TestReadTimes_SkipsWhatIsDamaged(t *testing.T) {
	folder := t.TempDir()
	for text, want := range map[string][]timing{
		"":           {{}, {}},
		"x":          {{}, {}},
		"trial\n1\n": {{}, {}},
		"trial,seconds,worker\n2,1.5,b\n1,x,a\n7,1,c\n": {{}, {1.5, "b"}},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, timingCSV), []byte(text), 0o600))
		times := make([]timing, 2)
		readTimes(folder, times)
		require.Equal(t, want, times, text)
	}
}

// A row that cannot be a result is damaged, also if it is JSON.
func TestRow_IsChecked(t *testing.T) {
	m, rows := example(t)
	for name, damage := range map[string]func(*row){
		"status":   func(r *row) { r.Status = "good" },
		"accuracy": func(r *row) { r.Test.Accuracy, r.Test.High = 0.9999, 1 },
		"reason":   func(r *row) { r.Status = statusStopped },
		"missing":  func(r *row) { r.HeldBack = nil },
		"others":   func(r *row) { r.Test = newShare(&training.Measured{Images: 50, Right: 40}, false, false) },
	} {
		r := rows[0]
		test := *r.Test
		r.Test = &test
		require.NoError(t, r.check(m, 1))
		damage(&r)
		require.Error(t, r.check(m, 1), name)
	}
	for i := range m.Trials {
		m.Trials[i].Reconstruct = true
	}
	r := rows[0]
	r.Training, r.HeldBack, r.Test = nil, &share{Images: 100}, &share{Images: 100}
	r.HeldBack.Loss = new(float64)
	require.ErrorContains(t, r.check(m, 1), "it has no loss")
	r.Test.Loss = new(float64)
	require.NoError(t, r.check(m, 1))
}

// The folder may have a name with characters that are special in patterns.
func TestResults_InAFolderWithBrackets(t *testing.T) {
	m, _ := example(t)
	folder := filepath.Join(t.TempDir(), "[1]*")
	r := &Results{plan: &Plan{manifest: m, Trials: []Trial{{Prepared: &training.Prepared{}}}}, folder: folder, rows: make([]*row, 4), times: make([]timing, 4)}
	require.NoError(t, os.MkdirAll(folder, 0o755))
	stage, err := r.Stage(1)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(stage, "Log"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(stage, "model_S1.onnx"), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(stage, "Log", "metrics.jsonl"), []byte(`{"update":1,"epoch":0,"images":40,"seconds":1,"loss":2,"train_error":50}`+"\n"), 0o600))
	require.NoError(t, r.Add(1, &training.Outcome{Stopped: "early", Updates: 1, Training: &training.Measured{Images: 40, Right: 20}}, "w"))
	require.Equal(t, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", r.rows[0].SHA256)
	over, _, err := m.overEpochs(filepath.Join(folder, m.folder(1)), r.rows[0])
	require.NoError(t, err)
	require.Equal(t, map[float64]float64{1: 50}, over)
	require.NoError(t, os.RemoveAll(filepath.Join(folder, m.folder(1))))
	_, err = drawCharts(folder, m, r.known())
	require.ErrorContains(t, err, "trial-001 is missing: make the trial again with --resume")
}

// A worker may send a result that is none.
func TestAdd_RefusesAnImpossibleResult(t *testing.T) {
	m, _ := example(t)
	r := &Results{plan: &Plan{manifest: m, Trials: []Trial{{Prepared: &training.Prepared{}}}}, folder: t.TempDir(), rows: make([]*row, 4), times: make([]timing, 4)}
	for _, bad := range []training.Measured{{}, {Images: 4, Right: 5}, {Images: -4, Right: -5}} {
		_, err := r.Stage(1)
		require.NoError(t, err)
		require.ErrorContains(t, r.Add(1, &training.Outcome{Test: &bad}, "w"), "the result of trial 1 from worker w is damaged")
		require.Nil(t, r.rows[0])
		require.NoDirExists(t, filepath.Join(r.folder, m.folder(1)))
	}
}

// The columns of results.csv have different names, whatever the axes are.
func TestColumns_HaveNamesOfTheirOwn(t *testing.T) {
	m := &manifest{}
	for _, name := range append(training.TrialFlags(), axisNetwork) {
		m.Axes = append(m.Axes, axis{Name: name})
	}
	seen := map[string]bool{}
	for _, name := range m.columns() {
		require.False(t, seen[name], name)
		seen[name] = true
	}
}

// Networks with the same short name have curves of their own.
func TestCharts_TellNetworksApart(t *testing.T) {
	m, rows := example(t)
	names := []string{"a/v1/network.json", "b/v1/network.json"}
	m.Axes[0].Values = names
	for i, name := range []int{0, 0, 1, 1} {
		m.Trials[i].Values = []string{names[name], "0.1", fmt.Sprint(i % 2)}
	}
	m.Axes[1].Values = []string{"0.1"}
	require.Equal(t, names, m.axisChart(0, m.groups(rows), rows).Categories)
	all := m.groups(rows)
	require.Equal(t, []string{names[0], names[1]}, []string{m.label(all[0], -1), m.label(all[1], -1)})
}

// A chart has so many curves that it can be looked at: those that are best by the criterion.
func TestCharts_HaveABoundedNumberOfPanels(t *testing.T) {
	m := &manifest{Axes: []axis{{axisNetwork, []string{"n"}}, {"lr", nil}, {"batch", []string{"1", "2"}}, {axisSeed, []string{"0"}}}}
	var rows []row
	const count = 100
	for i := range count {
		lr := fmt.Sprint(i + 1)
		m.Axes[1].Values = append(m.Axes[1].Values, lr)
		for _, batch := range m.Axes[2].Values {
			m.Trials = append(m.Trials, manifestTrial{Values: []string{"n", lr, batch, "0"}, Images: 100, HeldBack: count})
			rows = append(rows, row{
				Trial: len(m.Trials), Status: statusOK, HeldBack: &share{Images: count, Right: i, Accuracy: float64(i) / count},
				Test: &share{Images: count, Right: count - i, Accuracy: float64(count-i) / count},
			})
		}
	}
	c := m.axisChart(2, m.groups(rows), rows)
	require.Len(t, c.Panels, 2*maxPanels)
	require.Equal(t, "the 32 best of 100 combinations on the images held back", c.Panels[0].Note)
	var drawn []string
	for _, p := range c.Panels[maxPanels:] {
		for _, curve := range p.Curves {
			drawn = append(drawn, curve.Name)
		}
	}
	require.Len(t, drawn, 32)
	require.Equal(t, []string{"lr 69", "lr 100"}, []string{drawn[0], drawn[31]})
	require.Empty(t, m.axisChart(1, m.groups(rows), rows).Panels[0].Note)
}

// Among several seeds, a configuration with one seed has no interval of another kind.
func TestSummarize_OneKindOfInterval(t *testing.T) {
	m, rows := example(t)
	m.Trials = m.Trials[:3]
	text := printed(t, m, rows[:3])
	require.Contains(t, text, "smallest to largest")
	require.Contains(t, text, "\n0.2  1       90.00      90.00 to 90.00  ")
	require.False(t, strings.Contains(text, "95%"))
}
