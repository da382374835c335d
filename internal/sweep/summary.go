package sweep

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/internal/chart"
)

// series is a model with a number of spikes and a sampler.
type series struct {
	model int // index in the manifest
	variant
	name    string // of the model, for charts
	results map[condition]result
}

// condition is a kind of noise with a level.
type condition struct {
	kind  string
	level float64
}

// clean is the condition of images as they are.
var clean = condition{kind: noNoise}

// result is the accuracy over several seeds, in percent.
type result struct {
	mean, low, high float64
	updates         float64   // per image
	seeds           []float64 // the accuracy of each seed
}

// collect groups rows by series. Low and high of a result are the smallest and the largest
// accuracy of the seeds or, if the sweep has only one seed, the 95% interval.
func collect(m *manifest, rows []row) []*series {
	byID := map[id]map[condition][]row{} // the id has no noise and no seed
	for _, r := range rows {
		key := id{Model: r.Model, SHA256: r.SHA256, Spikes: r.Spikes, Sampler: r.Sampler}
		if byID[key] == nil {
			byID[key] = map[condition][]row{}
		}
		c := condition{r.Noise, r.Level}
		byID[key][c] = append(byID[key][c], r)
	}
	var all []*series
	for i, model := range m.Models {
		for _, v := range model.Variants {
			s := &series{model: i, variant: v, name: m.shortName(i), results: map[condition]result{}}
			for c, list := range byID[id{Model: model.Name, SHA256: model.SHA256, Spikes: v.Spikes, Sampler: v.Sampler}] {
				s.results[c] = newResult(list, m.Seeds > 1)
			}
			all = append(all, s)
		}
	}
	return all
}

// shortName returns the name of a model for charts: without .onnx, and mnist/model.onnx has that of
// its folder unless another model has it too.
func (m *manifest) shortName(model int) string {
	name := strings.TrimSuffix(m.Models[model].Name, ".onnx")
	folder, ok := strings.CutSuffix(name, "/model")
	if !ok || slices.ContainsFunc(m.Models, func(o manifestModel) bool { return strings.TrimSuffix(o.Name, ".onnx") == folder }) {
		return name
	}
	return folder
}

func newResult(rows []row, several bool) result {
	r := result{low: math.Inf(1), high: math.Inf(-1)}
	for _, v := range rows {
		accuracy, low, high := float64(100*v.Accuracy), float64(100*v.Low), float64(100*v.High)
		if several {
			low, high = accuracy, accuracy
		}
		r.seeds = append(r.seeds, accuracy)
		r.mean += accuracy
		r.updates += v.Updates
		r.low, r.high = min(r.low, low), max(r.high, high)
	}
	r.mean /= float64(len(rows))
	r.updates /= float64(len(rows))
	return r
}

// noisy returns the mean over all levels of each kind of noise, and then over the kinds. Low and
// high are the smallest and the largest of these means for one seed. It returns false if
// some rows are missing.
func (s *series) noisy(kinds []kindLevels, seeds int) (result, bool) {
	means := make([]float64, seeds)
	for _, k := range kinds {
		for _, l := range k.Levels {
			r := s.results[condition{k.Kind, l}]
			if len(r.seeds) != seeds {
				return result{}, false
			}
			for i, accuracy := range r.seeds {
				means[i] += accuracy / float64(len(k.Levels)*len(kinds))
			}
		}
	}
	all := result{low: slices.Min(means), high: slices.Max(means), seeds: means}
	for _, v := range means {
		all.mean += v / float64(seeds)
	}
	return all, len(kinds) > 0
}

// dash takes the place of a value that does not exist.
const dash = "-"

// percent formats an accuracy.
func percent(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// labels returns the first columns of a table.
func (s *series) labels(m *manifest) []string {
	return []string{m.Models[s.model].Name, cmp.Or(string(s.Spikes), dash), cmp.Or(s.Sampler, dash)}
}

// summarize prints tables of the accuracy: without noise, over the levels of each kind of noise,
// and over the number of spikes. A table has only some of the levels or numbers, evenly chosen, if
// there are many.
func summarize(w io.Writer, m *manifest, rows []row) error {
	all := collect(m, rows)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(fields ...string) { _, _ = fmt.Fprintln(t, strings.Join(fields, "\t")) } // a tabwriter reports errors when it is flushed
	if m.Seeds > 1 {
		line(fmt.Sprintf("accuracy in %%, mean of %d seeds", m.Seeds))
		line()
	}
	between := "95% interval"
	if m.Seeds > 1 {
		between = "smallest to largest"
	}
	line("no noise", "spikes", "sampler", "images", "accuracy", between, "updates")
	for _, s := range all {
		fields := append(s.labels(m), strconv.Itoa(m.Models[s.model].Images))
		if r, ok := s.results[clean]; ok {
			fields = append(fields, percent(r.mean), percent(r.low)+" to "+percent(r.high), strconv.FormatFloat(r.updates, 'f', 0, 64))
		} else {
			fields = append(fields, dash, dash, dash)
		}
		line(fields...)
	}
	for _, k := range m.Noise {
		line()
		shown := choose(k.conditions(), mostColumns)
		header := []string{k.Kind + share(len(shown), len(k.Levels)+1), "spikes", "sampler"}
		for _, c := range shown {
			header = append(header, chart.Number(c.level))
		}
		line(header...)
		for _, s := range all {
			fields := s.labels(m)
			for _, c := range shown {
				fields = append(fields, s.mean(c))
			}
			line(fields...)
		}
	}
	spikeTable(line, m, all)
	return t.Flush()
}

// mostColumns is the largest number of levels or numbers of spikes in a table.
const mostColumns = 16

// share says how many of all columns a table shows, or returns "" if it shows all.
func share(shown, all int) string {
	if shown == all {
		return ""
	}
	return fmt.Sprintf(" (%d of %d)", shown, all)
}

// mean returns the mean accuracy as text.
func (s *series) mean(c condition) string {
	if r, ok := s.results[c]; ok {
		return percent(r.mean)
	}
	return dash
}

// group is a model with a sampler, and its numbers of spikes.
type group struct {
	*series // the first one
	points  map[int]*series
}

// groups returns the models and samplers that have several numbers of spikes.
func groups(m *manifest, all []*series) (list []*group, numbers []int) {
	for i, model := range m.Models {
		for _, first := range model.Variants {
			if slices.ContainsFunc(list, func(g *group) bool { return g.model == i && g.Sampler == first.Sampler }) {
				continue
			}
			g := &group{points: map[int]*series{}}
			for _, s := range all {
				n, ok := s.Spikes.number()
				if s.model != i || s.Sampler != first.Sampler || !ok {
					continue
				}
				if g.series == nil {
					g.series = s
				}
				g.points[n] = s
			}
			if len(g.points) > 1 {
				list = append(list, g)
				for n := range g.points {
					numbers = append(numbers, n)
				}
			}
		}
	}
	slices.Sort(numbers)
	return list, slices.Compact(numbers)
}

// spikeTable prints the accuracy over the number of spikes.
func spikeTable(line func(...string), m *manifest, series []*series) {
	list, numbers := groups(m, series)
	if len(list) == 0 {
		return
	}
	line()
	all := len(numbers)
	numbers = choose(numbers, mostColumns)
	header := []string{"by spikes" + share(len(numbers), all), "sampler", "noise"}
	for _, n := range numbers {
		header = append(header, strconv.Itoa(n))
	}
	line(header...)
	for _, g := range list {
		fields := []string{m.Models[g.model].Name, cmp.Or(g.Sampler, dash), noNoise}
		noisy := []string{m.Models[g.model].Name, cmp.Or(g.Sampler, dash), "mean of all"}
		for _, n := range numbers {
			s := g.points[n]
			if s == nil {
				fields, noisy = append(fields, dash), append(noisy, dash)
				continue
			}
			fields = append(fields, s.mean(clean))
			if r, ok := s.noisy(m.Noise, m.Seeds); ok {
				noisy = append(noisy, percent(r.mean))
			} else {
				noisy = append(noisy, dash)
			}
		}
		line(fields...)
		if len(m.Noise) > 0 {
			line(noisy...)
		}
	}
}
