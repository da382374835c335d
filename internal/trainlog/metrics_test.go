package trainlog

import (
	"encoding/json"
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
		Loss: 1 / float64(update), TrainError: pointer(12.5), LearningRateW: pointer(0.001),
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

// TestOpenMetrics_RemovesDamagedLines checks which lines remain, and that the file can be
// continued.
func TestOpenMetrics_RemovesDamagedLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	line := func(u string) string { return `{"update":` + u + "}\n" }
	const lost = ": only the metrics of these updates are lost"
	for content, want := range map[string]struct {
		kept    []int64
		repairs string
	}{
		"":                                        {nil, ""},
		line("1") + line("2"):                     {[]int64{1, 2}, ""},
		line("1") + line("12"):                    {[]int64{1}, ""}, // later than the checkpoint
		line("1") + "text\n" + line("2"):          {[]int64{1, 2}, "removed damaged line 2" + lost},
		line("1") + `{"update":"2"}` + "\n":       {[]int64{1}, "removed damaged line 2" + lost},
		line("1") + `{"upda{"update":2}` + "\n":   {[]int64{1}, "removed damaged line 2" + lost},
		line("1") + line("1") + line("3"):         {[]int64{1, 3}, "removed damaged line 2" + lost},
		line("-1") + line("0") + line("4"):        {[]int64{4}, "removed 2 damaged lines (1, 2)" + lost},
		line("9000000000000000000") + line("4"):   {[]int64{4}, "removed damaged line 1" + lost},
		line("1") + "\n" + line("2"):              {[]int64{1, 2}, "removed damaged line 2" + lost},
		line(`1,"loss":1.7e308`) + line("2"):      {[]int64{2}, "removed damaged line 1" + lost},
		strings.Repeat("x\n", 7) + line("3"):      {[]int64{3}, "removed 7 damaged lines (1, 2, 3, 4, 5, ...)" + lost},
		line("1") + `{"update":2,"ep`:             {[]int64{1}, "removed the incomplete last line" + lost},
		line("1") + "\x00\x00\x00\n" + `{"upd`:    {[]int64{1}, "removed damaged line 2 and the incomplete last line" + lost},
		strings.Repeat("\x00", 4096):              {nil, "removed the incomplete last line" + lost}, // as a crash of the computer leaves it
		line("1") + "[1]\n" + line("2") + "[\n\n": {[]int64{1, 2}, "removed 3 damaged lines (2, 4, 5)" + lost},
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		read, err := ReadMetrics(path)
		require.NoError(t, err)
		m, err := OpenMetrics(path, 10)
		require.NoError(t, err)
		require.Equal(t, want.repairs, m.Repairs(), "%q", content)
		var kept []int64
		for _, r := range m.Records() {
			kept = append(kept, r.Update)
		}
		require.Equal(t, want.kept, kept, "%q", content)
		require.GreaterOrEqual(t, len(read), len(kept), "%q", content)

		require.NoError(t, m.Append(example(11)))
		require.NoError(t, m.Close())
		records, err := ReadMetrics(path)
		require.NoError(t, err)
		require.Len(t, records, len(kept)+1, "%q", content)
		m, err = OpenMetrics(path, 11)
		require.NoError(t, err)
		require.Empty(t, m.Repairs(), "%q", content)
		require.NoError(t, m.Close())
	}
	_, err := OpenMetrics(t.TempDir(), 1)
	require.Error(t, err)
	_, err = ReadMetrics(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestOpenMetrics_RenamesAFileThatIsTooLarge has a file of more than 1 GiB.
func TestOpenMetrics_RenamesAFileThatIsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(maxMetrics+1)) // takes no space on the disk
	require.NoError(t, f.Close())
	_, err = OpenMetrics(path, -1)
	require.ErrorContains(t, err, path+": the file is too large: 1073741825 bytes, more than the limit of 1073741824")
	m, err := OpenMetrics(path, 7)
	require.NoError(t, err)
	require.Equal(t, "the file is too large: 1073741825 bytes, more than the limit of 1073741824: it was renamed to "+path+".old, and its metrics are missing in the curves", m.Repairs())
	require.NoError(t, m.Append(example(8)))
	require.NoError(t, m.Close())
	records, err := ReadMetrics(path)
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.FileExists(t, path+".old")
}

// TestOpenMetrics_RepairsTheFileOfTwoTrainings reads a file to which two trainings have
// written at the same time: lines are torn, repeated, and in the middle of others.
func TestOpenMetrics_RepairsTheFileOfTwoTrainings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	var b strings.Builder
	for u := range int64(60) {
		line, err := json.Marshal(example(u + 1))
		require.NoError(t, err)
		half := string(line[:len(line)/2])
		switch {
		case u%10 == 3:
			b.WriteString(half + string(line) + "\n")
		case u%10 == 7:
			b.WriteString(string(line) + "\n" + string(line) + "\n")
		case u == 59:
			b.WriteString(half)
		default:
			b.WriteString(string(line) + "\n")
		}
	}
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
	m, err := OpenMetrics(path, 50)
	require.NoError(t, err)
	require.Len(t, m.Records(), 45)
	require.Equal(t, int64(50), m.Records()[44].Update)
	require.Equal(t, "removed 12 damaged lines (4, 9, 15, 20, 26, ...) and the incomplete last line: only the metrics of these updates are lost", m.Repairs())
	require.NoError(t, m.Append(example(51)))
	require.NoError(t, m.Close())
	records, err := ReadMetrics(path)
	require.NoError(t, err)
	require.Len(t, records, 46)
}
