package sweep

import (
	"fmt"
	"image/color"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/spike-by-spike/sbs/internal/chart"
)

// The sizes of the charts, in pixels of 1/96 inch.
const (
	chartWidth  = 1000
	panelHeight = 480
)

var chartName = regexp.MustCompile(`^chart-(spikes|noise|noise-[a-z-]+)\.(svg|png)$`)

// isChart reports whether a file has the name of a chart.
func isChart(name string) bool { return chartName.MatchString(name) }

// curve is a line of a chart with its band.
type curve struct {
	name   string
	points []point
	flat   bool // it does not depend on the horizontal axis
}

// point is a result at a place of the horizontal axis.
type point struct {
	x float64
	result
}

// panel is a part of a chart with axes of its own.
type panel struct {
	title  string
	note   string // below the title
	curves []curve
}

// drawCharts draws the charts and returns the names of their files.
func drawCharts(folder string, m *manifest, rows []row) (names []string, err error) {
	all := collect(m, rows)
	if names, err = drawOverview(folder, m, all); err != nil {
		return nil, err
	}
	for _, k := range m.Noise {
		c := axisChart{x: k.description(), panels: m.noisePanels(k, all)}
		written, err := c.write(folder, "chart-noise-"+k.Kind, m)
		if err != nil {
			return nil, err
		}
		names = append(names, written...)
	}
	c := axisChart{x: "spikes per output position", logarithmic: true, panels: m.spikePanels(all)}
	written, err := c.write(folder, "chart-spikes", m)
	return append(names, written...), err
}

// noisePanels returns the accuracy over the level of a kind of noise.
func (m *manifest) noisePanels(k kindLevels, all []*series) []panel {
	var panels []panel
	for i, list := range divide(all) {
		p := panel{note: omission(list, all)}
		if i == 0 {
			p.title = "accuracy under noise: " + k.Kind
		}
		for _, s := range list {
			c := curve{name: m.label(s)}
			for _, at := range k.conditions() {
				if r, ok := s.results[at]; ok {
					c.points = append(c.points, point{at.level, r})
				}
			}
			p.curves = append(p.curves, c)
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
func (m *manifest) spikePanels(all []*series) []panel {
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
	var panels []panel
	for _, a := range accuracies {
		var curves []curve
		for _, g := range list {
			c := curve{name: g.name}
			if slices.ContainsFunc(m.Models[g.model].Variants, func(v variant) bool { return v.Sampler != g.Sampler }) {
				c.name += ", " + g.Sampler
			}
			for _, n := range numbers {
				if s := g.points[n]; s != nil {
					if r, ok := a.of(s); ok {
						c.points = append(c.points, point{float64(n), r})
					}
				}
			}
			curves = append(curves, c)
		}
		for _, s := range all {
			if r, ok := a.of(s); ok && (s.Spikes == "" || s.Spikes == stages) {
				c := curve{name: s.name, flat: true}
				for _, n := range []int{numbers[0], numbers[len(numbers)-1]} {
					c.points = append(c.points, point{float64(n), r})
				}
				curves = append(curves, c)
			}
		}
		for part := range slices.Chunk(curves, len(chart.Marks)) {
			panels = append(panels, panel{title: a.title, curves: part})
		}
	}
	return panels
}

// axisChart is a chart of accuracies.
type axisChart struct {
	x           string // label of the horizontal axis
	logarithmic bool   // the horizontal axis
	panels      []panel
}

// write draws the chart as SVG and as PNG, unless it has no points.
func (c axisChart) write(folder, name string, m *manifest) (names []string, err error) {
	c.panels = slices.DeleteFunc(slices.Clone(c.panels), func(p panel) bool {
		return !slices.ContainsFunc(p.curves, func(c curve) bool { return len(c.points) > 0 })
	})
	if len(c.panels) == 0 {
		return nil, nil
	}
	var plots []*plot.Plot
	var legends []plot.Legend
	for i, p := range c.panels {
		drawn, legend, err := c.plot(p)
		if err != nil {
			return nil, fmt.Errorf("cannot draw the chart %s: %w", name, err)
		}
		lines := []string{p.title, "", p.note} // the plot may be narrow beside a wide legend
		if i == 0 {
			lines[1] = m.bands()
		}
		drawn.Title.Text = strings.Join(slices.DeleteFunc(lines, func(line string) bool { return line == "" }), "\n")
		if i == len(c.panels)-1 {
			drawn.X.Label.Text = c.x
		}
		plots, legends = append(plots, drawn), append(legends, legend)
	}
	return bothFormats(folder, name, func(path string) error {
		return chart.WriteBeside(path, plots, legends, chartWidth, float64(panelHeight*len(plots)))
	})
}

// bothFormats calls write with the paths of a chart as SVG and as PNG, and returns the names of the
// files.
func bothFormats(folder, name string, write func(path string) error) (names []string, err error) {
	for _, format := range []string{".svg", ".png"} {
		if err := write(filepath.Join(folder, name+format)); err != nil {
			return nil, err
		}
		names = append(names, name+format)
	}
	return names, nil
}

// bands says what the lines and the bands of the charts are.
func (m *manifest) bands() string {
	if m.Seeds > 1 {
		return fmt.Sprintf("mean of %d seeds, bands: smallest to largest", m.Seeds)
	}
	return "bands: 95% interval"
}

// plot draws a panel. Its title and its legend are not part of the plot.
func (c axisChart) plot(p panel) (*plot.Plot, plot.Legend, error) {
	drawn := plot.New()
	chart.Style(drawn)
	legend := drawn.Legend
	drawn.Y.Label.Text = "accuracy (%)"
	drawn.Y.Tick.Marker = plot.TickerFunc(percents(10))
	drawn.X.Tick.Marker = plot.TickerFunc(c.ticks)
	for i, l := range p.curves {
		if len(l.points) == 0 {
			continue
		}
		mark := chart.Marks[i]
		var line, band plotter.XYs
		for _, at := range l.points {
			line, band = append(line, plotter.XY{X: at.x, Y: at.mean}), append(band, plotter.XY{X: at.x, Y: at.high})
		}
		for _, at := range slices.Backward(l.points) {
			band = append(band, plotter.XY{X: at.x, Y: at.low})
		}
		area, err := plotter.NewPolygon(band)
		if err != nil {
			return nil, legend, err
		}
		area.Color, area.LineStyle.Width = color.Color(chart.Pale(mark.Color)), 0
		lines, dots, err := plotter.NewLinePoints(line)
		if err != nil {
			return nil, legend, err
		}
		lines.Color, lines.Width, lines.Dashes = mark.Color, vg.Points(1.5), mark.Dashes
		dots.Color, dots.Shape, dots.Radius = mark.Color, mark.Shape, vg.Points(3.5)
		drawn.Add(area, lines)
		thumbs := []plot.Thumbnailer{lines}
		if !l.flat {
			drawn.Add(dots)
			thumbs = append(thumbs, dots)
		}
		legend.Add(l.name, thumbs...)
	}
	panels := c.panels // the panels of a kind of noise have the same vertical axis
	if c.logarithmic {
		panels = []panel{p}
	}
	drawn.Y.Min, drawn.Y.Max = verticalRange(limits(panels))
	if c.logarithmic {
		drawn.X.Scale, drawn.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(chart.Decades)
		drawn.X.Min /= 1.1
		drawn.X.Max *= 1.1
	} else {
		margin := float64(0.02 * (drawn.X.Max - drawn.X.Min))
		drawn.X.Min, drawn.X.Max = drawn.X.Min-margin, drawn.X.Max+margin
	}
	return drawn, legend, nil
}

// verticalRange returns the range of an axis for accuracies from low to high.
func verticalRange(low, high float64) (least, most float64) {
	margin := max(float64(0.05*(high-low)), 0.2)
	return max(low-margin, 0), high + margin
}

// limits returns the smallest and the largest accuracy of panels.
func limits(panels []panel) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, p := range panels {
		for _, c := range p.curves {
			for _, at := range c.points {
				low, high = min(low, at.low), max(high, at.high)
			}
		}
	}
	return low, high
}

// ticks returns the ticks of a horizontal axis with levels of noise: all levels, unless they are
// many.
func (c axisChart) ticks(low, high float64) []plot.Tick {
	levels := map[float64]bool{}
	for _, p := range c.panels {
		for _, l := range p.curves {
			for _, at := range l.points {
				levels[at.x] = true
			}
		}
	}
	const most = 15
	if len(levels) > most {
		return chart.Even(low, high)
	}
	var ticks []plot.Tick
	for _, v := range slices.Sorted(maps.Keys(levels)) {
		ticks = append(ticks, plot.Tick{Value: v, Label: number(v)})
	}
	return ticks
}

// percents returns at most a number of ticks for a vertical axis, which ends at 100.
func percents(most float64) func(low, high float64) []plot.Tick {
	return func(low, high float64) []plot.Tick {
		high = min(high, 100)
		step := 20.0
		for _, s := range []float64{10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05} {
			if (high-low)/s > most {
				break
			}
			step = s
		}
		var ticks []plot.Tick
		for i := math.Ceil(low / step); i*step <= high; i++ {
			ticks = append(ticks, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'g', 6, 64)})
		}
		return ticks
	}
}
