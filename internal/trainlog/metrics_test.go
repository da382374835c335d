package trainlog

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func pointer(v float64) *float64 { return &v }

func example(update int64) Record {
	r := Record{
		Update: update, Epoch: update / 10, Images: 50 * update, Seconds: 1.5 * float64(update),
		Loss: 1 / float64(update), TrainError: 12.5, LearningRateW: pointer(0.001),
	}
	if update%2 == 0 {
		r.TestError = pointer(0)
		r.LearningRateEpsilonXY = pointer(0.0001)
	}
	return r
}

func metrics(t *testing.T, path string, last int64, updates ...int64) {
	m, err := OpenMetrics(path, last)
	require.NoError(t, err)
	for _, u := range updates {
		require.NoError(t, m.Append(example(u)))
	}
	require.NoError(t, m.Sync())
	require.NoError(t, m.Close())
}

func TestMetrics_WritesOneLinePerUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	metrics(t, path, 0, 1, 2)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, `{"update":1,"epoch":0,"images":50,"seconds":1.5,"loss":1,"train_error":12.5,"learning_rate_w":0.001}
{"update":2,"epoch":0,"images":100,"seconds":3,"loss":0.5,"train_error":12.5,"test_error":0,"learning_rate_w":0.001,"learning_rate_epsilon_xy":0.0001}
`, string(content))
	records, err := ReadMetrics(path)
	require.NoError(t, err)
	require.Equal(t, []Record{example(1), example(2)}, records)
}

// TestOpenMetrics_RemovesLaterUpdates checks that an interrupted and resumed training
// leaves the same file as an uninterrupted one.
func TestOpenMetrics_RemovesLaterUpdates(t *testing.T) {
	folder := t.TempDir()
	whole, path := filepath.Join(folder, "whole"), filepath.Join(folder, "resumed")
	metrics(t, whole, 0, 1, 2, 3, 4, 5, 6)
	want, err := os.ReadFile(whole)
	require.NoError(t, err)

	metrics(t, path, 0, 1, 2, 3, 4, 5)
	metrics(t, path, 3, 4, 5)
	metrics(t, path, 5) // removes nothing
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"update":6,"epo`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	records, err := ReadMetrics(path)
	require.NoError(t, err)
	require.Len(t, records, 5)
	metrics(t, path, 5, 6)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))

	m, err := OpenMetrics(path, 4)
	require.NoError(t, err)
	require.Len(t, m.Records(), 4)
	require.NoError(t, m.Append(example(5)))
	require.Len(t, m.Records(), 5)
	require.NoError(t, m.Close())

	_, err = OpenMetrics(path, -1)
	require.EqualError(t, err, path+": the file holds the metrics of 5 updates of another training: remove the file, or choose another output")
}

func TestMetrics_RefusesInvalidRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	m, err := OpenMetrics(path, 0)
	require.NoError(t, err)
	require.NoError(t, m.Append(example(3)))
	require.EqualError(t, m.Append(example(3)), path+": update 3 is not later than the last update in the file")
	for _, change := range []func(*Record){
		func(r *Record) { r.Loss = math.NaN() },
		func(r *Record) { r.TestError = pointer(math.Inf(1)) },
		func(r *Record) { r.LearningRateW = pointer(math.Inf(-1)) },
	} {
		r := example(4)
		change(&r)
		require.ErrorContains(t, m.Append(r), "of update 4 is ")
		require.ErrorContains(t, m.Append(r), "try a smaller learning rate")
	}
	require.Len(t, m.Records(), 1)
	require.NoError(t, m.Close())
	require.ErrorIs(t, m.Append(example(5)), os.ErrClosed)
	require.ErrorIs(t, m.Close(), os.ErrClosed)
}

func TestOpenMetrics_RefusesADamagedFileAndLeavesItUnchanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	const advice = "to resume the training, delete this line and all lines after it"
	line := func(u string) string { return `{"update":` + u + "}\n" }
	for content, want := range map[string]string{
		line("1") + "text\n":                    "line 2 is damaged: " + advice,
		line("1") + `{"update":"2"}` + "\n":     "line 2 is damaged: " + advice,
		line("1") + `{"upda{"update":2}` + "\n": "line 2 is damaged: " + advice,
		line("1") + line("1"):                   "line 2 has update 1, which is not later than the update before: " + advice,
		line("-1"):                              "line 1 has update -1",
		line("9000000000000000000"):             "line 1 has update 9000000000000000000, more than the limit of 1125899906842624: " + advice,
		line("1") + "\n" + line("2"):            "line 2 is damaged: ",
		line(`1,"loss":1.7e308`):                "line 1: the loss of update 1 is 1.7e+308",
		strings.Repeat("x", 100) + "\n":         "line 1 is damaged: ",
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		_, err := OpenMetrics(path, 1)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, path)
		_, err = ReadMetrics(path)
		require.ErrorContains(t, err, want)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(got), "the file was changed")
	}
	_, err := OpenMetrics(t.TempDir(), 1)
	require.Error(t, err)
	_, err = ReadMetrics(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestOpenMetrics_AcceptsAFileThatWasRepaired follows the advice about a damaged
// line.
func TestOpenMetrics_AcceptsAFileThatWasRepaired(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	metrics(t, path, 0, 1, 2)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(before, "{\"upd{\"update\":4}\n"...), 0o644))
	_, err = OpenMetrics(path, 4)
	require.ErrorContains(t, err, "line 3 is damaged")
	require.NoError(t, os.WriteFile(path, before, 0o644))
	metrics(t, path, 4, 5)
	records, err := ReadMetrics(path)
	require.NoError(t, err)
	require.Equal(t, []Record{example(1), example(2), example(5)}, records)
}
