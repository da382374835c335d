package chart

import (
	"fmt"
	"image/color"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Accuracies is a chart of accuracies in percent over something, with a band around each curve.
type Accuracies struct {
	X           string   // label of the horizontal axis
	Logarithmic bool     // the horizontal axis
	Categories  []string // that the whole numbers of the horizontal axis stand for, nil for numbers
	Bands       string   // what the bands are
	Panels      []Panel
}

// Panel is a part of a chart with axes of its own. It has at most as many curves as there are Marks.
type Panel struct {
	Title  string
	Note   string // below the title
	Curves []Curve
}

// Curve is a line of a chart with its band.
type Curve struct {
	Name   string
	Points []Point
	Flat   bool // it does not depend on the horizontal axis
}

// Point is an accuracy at a place of the horizontal axis.
type Point struct{ X, Mean, Low, High float64 }

// Bands says what the curves and the bands are, for a number of seeds.
func Bands(seeds int) string {
	if seeds > 1 {
		return fmt.Sprintf("mean of %d seeds, bands: smallest to largest", seeds)
	}
	return "bands: 95% interval"
}

// The size of a panel, in pixels of 1/96 inch.
const (
	panelWidth  = 1000
	panelHeight = 480
)

// Write draws the chart as SVG and as PNG, unless it has no points, and returns the names of the files.
func (c Accuracies) Write(folder, name string) (names []string, err error) {
	c.Panels = slices.DeleteFunc(slices.Clone(c.Panels), func(p Panel) bool {
		return !slices.ContainsFunc(p.Curves, func(c Curve) bool { return len(c.Points) > 0 })
	})
	if len(c.Panels) == 0 {
		return nil, nil
	}
	var plots []*plot.Plot
	var legends []plot.Legend
	for i, p := range c.Panels {
		drawn, legend, err := c.Plot(p)
		if err != nil {
			return nil, fmt.Errorf("cannot draw the chart %s: %w", name, err)
		}
		lines := []string{p.Title, "", p.Note} // the plot may be narrow beside a wide legend
		if i == 0 {
			lines[1] = c.Bands
		}
		drawn.Title.Text = strings.Join(slices.DeleteFunc(lines, func(line string) bool { return line == "" }), "\n")
		if i == len(c.Panels)-1 {
			drawn.X.Label.Text = c.X
		}
		plots, legends = append(plots, drawn), append(legends, legend)
	}
	return BothFormats(folder, name, func(path string) error {
		return WriteBeside(path, plots, legends, panelWidth, float64(panelHeight*len(plots)))
	})
}

// BothFormats calls write with the paths of a chart as SVG and as PNG, and returns the names of the
// files.
func BothFormats(folder, name string, write func(path string) error) (names []string, err error) {
	for _, format := range []string{".svg", ".png"} {
		if err := write(filepath.Join(folder, name+format)); err != nil {
			return nil, err
		}
		names = append(names, name+format)
	}
	return names, nil
}

// Plot draws a panel. Its title and its legend are not part of the plot.
func (c Accuracies) Plot(p Panel) (*plot.Plot, plot.Legend, error) {
	drawn := plot.New()
	Style(drawn)
	legend := drawn.Legend
	drawn.Y.Label.Text = "accuracy (%)"
	drawn.Y.Tick.Marker = plot.TickerFunc(Percents(10))
	drawn.X.Tick.Marker = plot.TickerFunc(c.ticks)
	for i, l := range p.Curves {
		if len(l.Points) == 0 {
			continue
		}
		mark := Marks[i]
		var line, band plotter.XYs
		for _, at := range l.Points {
			line, band = append(line, plotter.XY{X: at.X, Y: at.Mean}), append(band, plotter.XY{X: at.X, Y: at.High})
		}
		for _, at := range slices.Backward(l.Points) {
			band = append(band, plotter.XY{X: at.X, Y: at.Low})
		}
		area, err := plotter.NewPolygon(band)
		if err != nil {
			return nil, legend, err
		}
		area.Color, area.LineStyle.Width = color.Color(Pale(mark.Color)), 0
		lines, dots, err := plotter.NewLinePoints(line)
		if err != nil {
			return nil, legend, err
		}
		lines.Color, lines.Width, lines.Dashes = mark.Color, vg.Points(1.5), mark.Dashes
		dots.Color, dots.Shape, dots.Radius = mark.Color, mark.Shape, vg.Points(3.5)
		drawn.Add(area, lines)
		thumbs := []plot.Thumbnailer{lines}
		if !l.Flat {
			drawn.Add(dots)
			thumbs = append(thumbs, dots)
		}
		legend.Add(l.Name, thumbs...)
	}
	panels := c.Panels // the panels of a kind of noise have the same vertical axis
	if c.Logarithmic {
		panels = []Panel{p}
	}
	drawn.Y.Min, drawn.Y.Max = VerticalRange(Limits(panels))
	if c.Logarithmic {
		drawn.X.Scale, drawn.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(Decades)
		drawn.X.Min /= 1.1
		drawn.X.Max *= 1.1
	} else {
		margin := float64(0.02 * (drawn.X.Max - drawn.X.Min))
		drawn.X.Min, drawn.X.Max = drawn.X.Min-margin, drawn.X.Max+margin
	}
	return drawn, legend, nil
}

// VerticalRange returns the range of an axis for accuracies from low to high.
func VerticalRange(low, high float64) (least, most float64) {
	margin := max(float64(0.05*(high-low)), 0.2)
	return max(low-margin, 0), high + margin
}

// Limits returns the smallest and the largest accuracy of panels.
func Limits(panels []Panel) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, p := range panels {
		for _, c := range p.Curves {
			for _, at := range c.Points {
				low, high = min(low, at.Low), max(high, at.High)
			}
		}
	}
	return low, high
}

// ticks returns the ticks of a horizontal axis that is not logarithmic: all places with points, unless
// they are many.
func (c Accuracies) ticks(low, high float64) []plot.Tick {
	places := map[float64]bool{}
	for _, p := range c.Panels {
		for _, l := range p.Curves {
			for _, at := range l.Points {
				places[at.X] = true
			}
		}
	}
	const most = 15
	if len(places) > most && c.Categories == nil {
		return Even(low, high)
	}
	var ticks []plot.Tick
	for _, v := range slices.Sorted(maps.Keys(places)) {
		label := Number(v)
		if i := int(v); i >= 0 && i < len(c.Categories) {
			label = c.Categories[i]
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: label})
	}
	return ticks
}

// Percents returns at most a number of ticks for a vertical axis, which ends at 100.
func Percents(most float64) func(low, high float64) []plot.Tick {
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

// Number returns the shortest text of a number. It has an exponent if the number is so small that
// there would be many zeros.
func Number(v float64) string {
	if v != 0 && math.Abs(v) < 1e-6 {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
