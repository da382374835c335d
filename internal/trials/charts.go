package trials

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/chart"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/measure"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// Plot prints the table of the folder of --plot and draws its charts again.
func (f *Flags) Plot(stdout, stderr io.Writer) error {
	m, err := readManifest(f.plot)
	if err != nil {
		return err
	}
	list, damaged, err := readRows(f.plot, m)
	if err != nil {
		return err
	}
	var rows []row
	for _, r := range list {
		if r != nil {
			rows = append(rows, *r)
		}
	}
	switch {
	case len(damaged) > 0:
		return fmt.Errorf("%s: make the trial again with --resume", damaged[0])
	case len(rows) == 0:
		return fmt.Errorf("%s has no results yet: %s has no rows", f.plot, filepath.Join(f.plot, resultsJSON))
	case len(rows) < len(list):
		cli.PrintWarnings(stderr, fmt.Sprintf("%s is not complete: it has %d of %d trials", f.plot, len(rows), len(list)))
	}
	return conclude(f.plot, m, rows, stdout)
}

// drawCharts draws the charts and returns the names of their files. Networks without classes have none.
func drawCharts(folder string, m *manifest, rows []row) (names []string, err error) {
	if m.reconstructs(1) {
		return nil, nil
	}
	all := m.groups(rows)
	for i, a := range m.Axes[:len(m.Axes)-1] {
		if len(a.Values) < 2 {
			continue
		}
		written, err := m.axisChart(i, all, rows).Write(folder, "chart-"+fileName(a.Name))
		if err != nil {
			return nil, err
		}
		names = append(names, written...)
	}
	c, err := m.learning(folder, all)
	if err != nil {
		return nil, err
	}
	written, err := c.Write(folder, "chart-learning")
	return append(names, written...), err
}

var notInNames = regexp.MustCompile(`[^a-z0-9_.-]+`)

// fileName returns the name of an axis in the name of a file.
func fileName(name string) string { return notInNames.ReplaceAllString(strings.ToLower(name), "-") }

// bands says what the curves and the bands are.
func bands(all []*group) string {
	most := 0
	for _, g := range all {
		most = max(most, g.trials)
	}
	return chart.Bands(most)
}

// label names a configuration in a chart, without an axis and without what all have in common.
func (m *manifest) label(g *group, without int) string {
	var words []string
	for i, a := range m.Axes[:len(m.Axes)-1] {
		if i == without || len(a.Values) < 2 {
			continue
		}
		if a.Name == axisNetwork {
			words = append(words, m.networkName(g.values[i]))
		} else {
			words = append(words, a.Name+" "+g.values[i])
		}
	}
	return cmp.Or(strings.Join(words, ", "), networkName(g.values[0]))
}

// networkName returns the name of a network in charts: a short one, unless another network has it, too.
func (m *manifest) networkName(path string) string {
	short := networkName(path)
	for _, other := range m.Axes[0].Values {
		if other != path && networkName(other) == short {
			return path
		}
	}
	return short
}

// networkName shortens the path of a network: mnist/network.json is mnist, and mnist/fast.onnx is fast.
func networkName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if folder := filepath.Base(filepath.Dir(path)); (name == "model" || name == "network") && folder != "." {
		return folder
	}
	return name
}

// axisChart is the accuracy over the values of an axis, with a curve for each combination of the others.
func (m *manifest) axisChart(axis int, all []*group, rows []row) chart.Accuracies {
	a := m.Axes[axis]
	c := chart.Accuracies{X: a.Name, Bands: bands(all)}
	places := map[string]float64{} // of the values
	numbers := true
	for i, v := range a.Values {
		x, err := strconv.ParseFloat(v, 64)
		numbers = numbers && err == nil
		places[v] = x
		if a.Name == axisNetwork {
			v = m.networkName(v)
		}
		c.Categories = append(c.Categories, v)
		if err != nil {
			places[a.Values[i]] = float64(i)
		}
	}
	if numbers {
		c.Categories = nil
		list := slices.Sorted(maps.Values(places))
		c.Logarithmic = list[0] > 0 && list[len(list)-1] >= 8*list[0]
	} else {
		for i, v := range a.Values {
			places[v] = float64(i)
		}
	}
	for _, k := range kinds(rows) {
		if k.name == onTraining.name && m.criterion().name != k.name {
			continue
		}
		labels, note := m.curves(all, axis)
		curves := map[string]*chart.Curve{}
		for _, label := range labels {
			curves[label] = &chart.Curve{Name: label}
		}
		for _, g := range all {
			if curve, s := curves[m.label(g, axis)], g.of(m, k); curve != nil && s.n > 0 {
				curve.Points = append(curve.Points, s.point(places[g.values[axis]]))
			}
		}
		c.Panels = append(c.Panels, panels("accuracy on the "+k.long, note, labels, curves)...)
	}
	return c
}

// maxPanels bounds the number of panels that show the accuracy on the same images.
const maxPanels = 4

// curves returns the labels of the curves of a chart, without an axis. If there are too many, it returns
// those of the best configurations, and a note that says so.
func (m *manifest) curves(all []*group, without int) (labels []string, note string) {
	k := m.criterion()
	best := map[string]float64{}
	for _, g := range all {
		label := m.label(g, without)
		if _, ok := best[label]; !ok {
			labels, best[label] = append(labels, label), math.Inf(-1)
		}
		if s := g.of(m, k); s.n > 0 {
			best[label] = max(best[label], s.mean)
		}
	}
	most, count := maxPanels*len(chart.Marks), len(labels)
	if count <= most {
		return labels, ""
	}
	ranked := slices.Clone(labels)
	slices.SortStableFunc(ranked, func(a, b string) int { return cmp.Compare(best[b], best[a]) })
	labels = slices.DeleteFunc(labels, func(l string) bool { return !slices.Contains(ranked[:most], l) })
	return labels, fmt.Sprintf("the %d best of %d combinations on the %s", most, count, k.long)
}

// panels divides curves into panels with few enough of them, and sorts their points.
func panels(title, note string, labels []string, curves map[string]*chart.Curve) (list []chart.Panel) {
	for part := range slices.Chunk(labels, len(chart.Marks)) {
		p := chart.Panel{Title: title, Note: note}
		for _, label := range part {
			c := curves[label]
			slices.SortStableFunc(c.Points, func(a, b chart.Point) int { return cmp.Compare(a.X, b.X) })
			p.Curves = append(p.Curves, *c)
		}
		list = append(list, p)
	}
	return list
}

// learning is the accuracy of the configurations over the epochs: on the training images of each epoch,
// and in the tests.
func (m *manifest) learning(folder string, all []*group) (c chart.Accuracies, err error) {
	c = chart.Accuracies{X: "epoch"}
	if all[0].several {
		c.Bands = bands(all)
	}
	labels, note := m.curves(all, -1)
	training, tests := map[string]*chart.Curve{}, map[string]*chart.Curve{}
	for _, g := range all {
		label := m.label(g, -1)
		if !slices.Contains(labels, label) {
			continue
		}
		var trainings, tested []map[float64]float64
		for _, r := range g.rows {
			a, b, err := m.overEpochs(filepath.Join(folder, m.folder(r.Trial)), &r)
			if err != nil {
				return c, err
			}
			trainings, tested = append(trainings, a), append(tested, b)
		}
		training[label] = &chart.Curve{Name: label, Points: meanCurve(trainings)}
		tests[label] = &chart.Curve{Name: label, Points: meanCurve(tested)}
	}
	c.Panels = append(panels("accuracy on the training images", note, labels, training), panels("accuracy on the test images", note, labels, tests)...)
	c.Panels = slices.DeleteFunc(c.Panels, func(p chart.Panel) bool { // a single epoch is no curve
		return !slices.ContainsFunc(p.Curves, func(c chart.Curve) bool { return len(c.Points) > 1 })
	})
	return c, nil
}

// meanCurve returns the mean over curves at the places that all of them have.
func meanCurve(curves []map[float64]float64) (points []chart.Point) {
	if len(curves) == 0 {
		return nil
	}
	for _, x := range slices.Sorted(maps.Keys(curves[0])) {
		s := spread{low: 101, high: -1}
		for _, c := range curves {
			if v, ok := c[x]; ok {
				s = spread{s.mean + v/float64(len(curves)), min(s.low, v), max(s.high, v), s.n + 1}
			}
		}
		if s.n == len(curves) {
			points = append(points, s.point(x))
		}
	}
	return points
}

// metricsOf returns the path of the metrics of a trial, "" if there are none. The name of the folder of
// the log depends on the trial.
func metricsOf(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is missing: make the trial again with --resume", folder)
	}
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name(), "metrics.jsonl")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", nil
}

// overEpochs returns the accuracy of a trial in percent over the number of the epoch: the mean over the
// updates of the epoch, and the tests.
func (m *manifest) overEpochs(folder string, r *row) (training, tests map[float64]float64, err error) {
	training, tests = map[float64]float64{}, map[float64]float64{}
	log, err := metricsOf(folder)
	if err != nil || log == "" {
		return training, tests, err
	}
	records, err := trainlog.ReadMetrics(log)
	if err != nil || r.Training == nil {
		return training, tests, err
	}
	right, images, before := map[float64]float64{}, map[float64]float64{}, int64(0)
	for _, one := range records {
		epoch := float64(one.Epoch + 1)
		if n := float64(one.Images - before); one.TrainError != nil {
			right[epoch] += float64(n * (100 - *one.TrainError))
			images[epoch] += n
		}
		before = one.Images
		if one.TestError != nil { // an update may end in the next epoch
			tests[measure.Rounded(float64(one.Images)/float64(m.Trials[r.Trial-1].Images), 2)] = 100 - *one.TestError
		}
	}
	for epoch, n := range images {
		training[epoch] = right[epoch] / n
	}
	return training, tests, nil
}
