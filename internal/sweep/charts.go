package sweep

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/spike-by-spike/sbs/internal/chart"
)

var chartName = regexp.MustCompile(`^chart-(spikes|noise|noise-[a-z-]+)\.(svg|png)$`)

// isChart reports whether a file has the name of a chart.
func isChart(name string) bool { return chartName.MatchString(name) }

// drawCharts draws the charts and returns the names of their files.
func drawCharts(folder string, m *manifest, rows []row) (names []string, err error) {
	all := collect(m, rows)
	if names, err = drawOverview(folder, m, all); err != nil {
		return nil, err
	}
	for _, k := range m.Noise {
		c := chart.Accuracies{X: k.description(), Bands: chart.Bands(m.Seeds), Panels: m.noisePanels(k, all)}
		written, err := c.Write(folder, "chart-noise-"+k.Kind)
		if err != nil {
			return nil, err
		}
		names = append(names, written...)
	}
	c := chart.Accuracies{X: "spikes per output position", Logarithmic: true, Bands: chart.Bands(m.Seeds), Panels: m.spikePanels(all)}
	written, err := c.Write(folder, "chart-spikes")
	return append(names, written...), err
}

// noisePanels returns the accuracy over the level of a kind of noise.
func (m *manifest) noisePanels(k kindLevels, all []*series) []chart.Panel {
	var panels []chart.Panel
	for i, list := range divide(all) {
		p := chart.Panel{Note: omission(list, all)}
		if i == 0 {
			p.Title = "accuracy under noise: " + k.Kind
		}
		for _, s := range list {
			c := chart.Curve{Name: m.label(s)}
			for _, at := range k.conditions() {
				if r, ok := s.results[at]; ok {
					c.Points = append(c.Points, newPoint(at.level, r))
				}
			}
			p.Curves = append(p.Curves, c)
		}
		panels = append(panels, p)
	}
	return panels
}

// label names a series in a chart, without what all series of the model have in common.
func (m *manifest) label(s *series) string {
	text := s.name
	variants := m.Models[s.model].Variants
	if slices.ContainsFunc(variants, func(v variant) bool { return v.Spikes != s.Spikes }) {
		text += fmt.Sprintf(", %s spikes", s.Spikes)
	}
	if slices.ContainsFunc(variants, func(v variant) bool { return v.Sampler != s.Sampler }) {
		text += ", " + s.Sampler
	}
	return text
}

// divide divides series into panels that have few enough curves. If there are several, each has
// the numbers of spikes of a model with one sampler, evenly chosen, and the models without
// numbers of spikes for comparison.
func divide(all []*series) [][]*series {
	most := len(chart.Marks)
	if len(all) <= most {
		return [][]*series{all}
	}
	var fixed []*series
	var parts [][]*series
	for _, s := range all {
		if s.Spikes == "" || s.Spikes == stages {
			fixed = append(fixed, s)
			continue
		}
		i := slices.IndexFunc(parts, func(p []*series) bool { return p[0].model == s.model && p[0].Sampler == s.Sampler })
		if i < 0 {
			i, parts = len(parts), append(parts, nil)
		}
		parts[i] = append(parts[i], s)
	}
	if !slices.ContainsFunc(parts, func(p []*series) bool { return len(p) > 1 }) {
		return slices.Collect(slices.Chunk(all, most))
	}
	const compared = 2
	var alone [][]*series
	if len(fixed) > compared {
		alone, fixed = slices.Collect(slices.Chunk(fixed, most)), nil
	}
	for i, p := range parts {
		parts[i] = slices.Concat(choose(p, most-len(fixed)), fixed)
	}
	return append(parts, alone...)
}

// omission says how many of the numbers of spikes a panel shows, or returns "" if it shows all.
func omission(shown, all []*series) string {
	count := func(list []*series) (n int) {
		for _, s := range list {
			if s.model == shown[0].model && s.Sampler == shown[0].Sampler {
				n++
			}
		}
		return n
	}
	if count(shown) == count(all) {
		return ""
	}
	return fmt.Sprintf("%d of %d numbers of spikes", count(shown), count(all))
}

// choose returns at most n elements of a list, evenly spread from the first to the last one.
func choose[T any](list []T, n int) []T {
	if len(list) <= n {
		return list
	}
	chosen := make([]T, n)
	for i := range chosen {
		chosen[i] = list[i*(len(list)-1)/(n-1)]
	}
	return chosen
}

// spikePanels returns the accuracy over the number of spikes, without noise and, if there is
// noise, on average over its kinds and levels. It returns nil if no model has several numbers.
func (m *manifest) spikePanels(all []*series) []chart.Panel {
	list, numbers := groups(m, all)
	if len(list) == 0 {
		return nil
	}
	accuracies := []struct {
		title string
		of    func(*series) (result, bool)
	}{{"accuracy over the number of spikes", func(s *series) (result, bool) { r, ok := s.results[clean]; return r, ok }}}
	if len(m.Noise) > 0 {
		accuracies = append(accuracies, struct {
			title string
			of    func(*series) (result, bool)
		}{"mean over all noise", func(s *series) (result, bool) { return s.noisy(m.Noise, m.Seeds) }})
	}
	var panels []chart.Panel
	for _, a := range accuracies {
		var curves []chart.Curve
		for _, g := range list {
			c := chart.Curve{Name: g.name}
			if slices.ContainsFunc(m.Models[g.model].Variants, func(v variant) bool { return v.Sampler != g.Sampler }) {
				c.Name += ", " + g.Sampler
			}
			for _, n := range numbers {
				if s := g.points[n]; s != nil {
					if r, ok := a.of(s); ok {
						c.Points = append(c.Points, newPoint(float64(n), r))
					}
				}
			}
			curves = append(curves, c)
		}
		for _, s := range all {
			if r, ok := a.of(s); ok && (s.Spikes == "" || s.Spikes == stages) {
				c := chart.Curve{Name: s.name, Flat: true}
				for _, n := range []int{numbers[0], numbers[len(numbers)-1]} {
					c.Points = append(c.Points, newPoint(float64(n), r))
				}
				curves = append(curves, c)
			}
		}
		for part := range slices.Chunk(curves, len(chart.Marks)) {
			panels = append(panels, chart.Panel{Title: a.title, Curves: part})
		}
	}
	return panels
}

// newPoint returns the point of a result.
func newPoint(x float64, r result) chart.Point {
	return chart.Point{X: x, Mean: r.mean, Low: r.low, High: r.high}
}
