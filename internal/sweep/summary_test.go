package sweep

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/chart"
)

// results returns rows with made-up numbers for a manifest.
func results(t *testing.T, m *manifest) []row {
	t.Helper()
	var rows []row
	for i, task := range m.tasks() {
		right := 90 - int(100*math.Abs(task.Level)) + int(task.Seed) - i%3
		rows = append(rows, newRow(task.id, 100, right, float64(m.Models[task.model].Variants[task.variant].Updates)))
	}
	return rows
}

// The files in testdata are the summaries of made-up numbers. UPDATE=1 writes them.
func TestSummarize_PrintsTables(t *testing.T) {
	single := everyModel()
	single.Models, single.Noise, single.Seeds = single.Models[2:], nil, 1
	negative := everyModel()
	negative.Models, negative.Noise = negative.Models[1:], []kindLevels{{"brightness", []float64{-0.5, -0.1, 0.2}}}
	many := everyModel()
	many.Models, many.Noise = many.Models[:1], []kindLevels{{Kind: "gaussian"}}
	for i := range 40 {
		many.Noise[0].Levels = append(many.Noise[0].Levels, float64(i+1)/100)
	}
	many.Models[0].Variants = nil
	for i := range 30 {
		many.Models[0].Variants = append(many.Models[0].Variants, variant{spikes(chart.Number(float64(i + 1))), "iid", 0})
	}
	for name, m := range map[string]*manifest{"summary.txt": everyModel(), "single.txt": single, "negative.txt": negative, "many.txt": many} {
		var out bytes.Buffer
		require.NoError(t, summarize(&out, m, results(t, m)))
		path := filepath.Join("testdata", name)
		if os.Getenv("UPDATE") != "" {
			require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), out.String())
	}
}

func TestDrawCharts_WritesBothFormats(t *testing.T) {
	m := everyModel()
	folder := t.TempDir()
	names, err := drawCharts(folder, m, results(t, m))
	require.NoError(t, err)
	require.Equal(t, []string{
		"chart-noise.svg", "chart-noise.png",
		"chart-noise-gaussian.svg", "chart-noise-gaussian.png", "chart-noise-contrast.svg", "chart-noise-contrast.png", "chart-spikes.svg", "chart-spikes.png",
	}, names)
	for _, name := range names {
		require.True(t, isChart(name))
		require.FileExists(t, filepath.Join(folder, name))
	}
	svg, err := os.ReadFile(filepath.Join(folder, "chart-noise-gaussian.svg"))
	require.NoError(t, err)
	for _, text := range []string{
		">accuracy under noise: gaussian<", ">mean of 2 seeds, bands: smallest to largest<", "gaussian: standard deviation", "accuracy (%)",
		"sbs, 25 spikes, iid", "sbs, 100 spikes, low-discrepancy", ">staged<", ">cnn<",
	} {
		require.Contains(t, string(svg), text)
	}
	svg, err = os.ReadFile(filepath.Join(folder, "chart-noise.svg"))
	require.NoError(t, err)
	for _, text := range []string{">gaussian<", ">contrast<", ">share of contrast that is lost<", ">staged<", ">cnn<"} {
		require.Contains(t, string(svg), text)
	}
	svg, err = os.ReadFile(filepath.Join(folder, "chart-spikes.svg"))
	require.NoError(t, err)
	for _, text := range []string{"accuracy over the number of spikes", "mean over all noise", "spikes per output position", ">sbs, iid<", ">sbs, low-discrepancy<", ">cnn<"} {
		require.Contains(t, string(svg), text)
	}
	for _, name := range []string{"chart-noise-gaussian.svg.bak", "chart-noise-../x.svg", "my-chart.svg", "chart-other.png"} {
		require.False(t, isChart(name))
	}

	names, err = drawCharts(folder, m, results(t, m)[:1])
	require.NoError(t, err, "of a sweep that has just begun")
	require.NotEmpty(t, names)
	names, err = drawCharts(folder, m, nil)
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestDivide_LimitsTheCurvesOfAPanel(t *testing.T) {
	many := func(model int, sampler string, n int) []*series {
		list := make([]*series, n)
		for i := range list {
			list[i] = &series{model: model, variant: variant{Spikes: spikes(chart.Number(float64(i + 1))), Sampler: sampler}}
		}
		return list
	}
	fixed := func(n int) []*series {
		list := make([]*series, n)
		for i := range list {
			list[i] = &series{model: 100 + i}
		}
		return list
	}
	sizes := func(lists ...[]*series) []int {
		var all []*series
		for _, l := range lists {
			all = append(all, l...)
		}
		var s []int
		for _, p := range divide(all) {
			s = append(s, len(p))
		}
		return s
	}
	require.Equal(t, []int{8}, sizes(many(0, "iid", 6), fixed(2)))
	require.Equal(t, []int{8, 8}, sizes(many(0, "iid", 14), many(0, "low-discrepancy", 14), fixed(2)))
	require.Equal(t, []int{8, 5, 3}, sizes(many(0, "iid", 14), many(1, "iid", 5), fixed(3)))
	require.Equal(t, []int{8, 3}, sizes(fixed(11)))
	parts := divide(many(0, "iid", 14))
	require.EqualValues(t, "1", parts[0][0].Spikes)
	require.EqualValues(t, "14", parts[0][7].Spikes)

	m := &manifest{Models: []manifestModel{{}, {}}}
	var titles [][2]string
	for _, p := range m.noisePanels(kindLevels{Kind: "blur"}, slices.Concat(many(0, "iid", 14), many(1, "iid", 5), many(1, "low-discrepancy", 9))) {
		titles = append(titles, [2]string{p.Title, p.Note})
	}
	require.Equal(t, [][2]string{{"accuracy under noise: blur", "8 of 14 numbers of spikes"}, {}, {"", "8 of 9 numbers of spikes"}}, titles)
	require.Empty(t, m.noisePanels(kindLevels{Kind: "blur"}, many(0, "iid", 3))[0].Note)
}

// TestNoisy_WeighsKindsEquallyForEachSeed computes the means by hand.
func TestNoisy_WeighsKindsEquallyForEachSeed(t *testing.T) {
	kinds := []kindLevels{{"gaussian", []float64{0.1, 0.2}}, {"contrast", []float64{0.5}}}
	s := &series{results: map[condition]result{
		{"gaussian", 0.1}: {seeds: []float64{90, 80}}, {"gaussian", 0.2}: {seeds: []float64{70, 40}}, {"contrast", 0.5}: {seeds: []float64{50, 90}},
	}}
	r, ok := s.noisy(kinds, 2)
	require.True(t, ok)
	require.Equal(t, result{mean: 70, low: 65, high: 75, seeds: []float64{65, 75}}, r)
	delete(s.results, condition{"contrast", 0.5})
	_, ok = s.noisy(kinds, 2)
	require.False(t, ok)
}

func TestShortName_IsTheFolderUnlessAnotherModelHasIt(t *testing.T) {
	named := func(names ...string) *manifest {
		m := &manifest{}
		for _, n := range names {
			m.Models = append(m.Models, manifestModel{Name: n})
		}
		return m
	}
	require.Equal(t, "fast", named("fast/model.onnx", "cnn.onnx").shortName(0))
	require.Equal(t, "cnn", named("fast/model.onnx", "cnn.onnx").shortName(1))
	require.Equal(t, "fast/model", named("fast/model.onnx", "fast.onnx").shortName(0))
	require.Equal(t, "model", named("model.onnx").shortName(0))
}
