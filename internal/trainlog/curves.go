package trainlog

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/spike-by-spike/sbs/internal/chart"
)

// The size of the picture, in pixels of 1/96 inch.
const (
	curvesWidth  = 1200
	curvesHeight = 1000
)

// WriteCurves draws the loss, the errors and the learning rates of the records over
// the number of the update, and writes the picture to a PNG file. It replaces the
// file atomically. The title may be empty. It is an error if there are no records.
func WriteCurves(path, title string, records []Record) error {
	if len(records) == 0 {
		return errors.New("there are no metrics to draw yet")
	}
	plots, err := curves(title, records)
	if err != nil {
		return fmt.Errorf("cannot draw the curves: %w", err)
	}
	return chart.Write(path, plots, curvesWidth, curvesHeight)
}

func curves(title string, records []Record) ([]*plot.Plot, error) {
	loss, trainError := series(records, func(r Record) *float64 { return &r.Loss }), series(records, func(r Record) *float64 { return r.TrainError })
	testLoss := series(records, func(r Record) *float64 { return r.TestLoss })
	testError := series(records, func(r Record) *float64 { return r.TestError })
	rateW := series(records, func(r Record) *float64 { return r.LearningRateW })
	rateEpsilon := series(records, func(r Record) *float64 { return r.LearningRateEpsilonXY })

	panels := []panel{
		{name: "loss", curves: []curve{
			{points: loss, color: chart.PaleBlue, width: 1}, {name: "training", points: smooth(loss), color: chart.Blue, width: 2},
			{name: "test", points: testLoss, color: chart.Vermilion, width: 2, dots: true},
		}},
		{name: "error (%)", curves: []curve{
			{points: trainError, color: chart.PaleBlue, width: 1}, {name: "training", points: smooth(trainError), color: chart.Blue, width: 2},
			{name: "test", points: testError, color: chart.Vermilion, width: 2, dots: true},
		}},
		// On a logarithmic axis, a learning rate that reaches 0 would end in a cliff.
		{name: "learning rate", linear: true, curves: []curve{
			{name: "W", points: rateW, color: chart.Blue, width: 2, steps: true},
			{name: "epsilon_xy", points: rateEpsilon, color: chart.Green, width: 2, steps: true},
		}},
	}
	if len(rateW) == 0 && len(rateEpsilon) == 0 {
		panels = panels[:2]
	}
	if len(trainError) == 0 && len(testError) == 0 {
		panels = slices.Delete(panels, 1, 2)
	}
	plots := make([]*plot.Plot, len(panels))
	for i, p := range panels {
		drawn, err := p.plot(float64(records[0].Update), float64(records[len(records)-1].Update))
		if err != nil {
			return nil, err
		}
		plots[i] = drawn
	}
	plots[0].Title.Text = title
	plots[len(plots)-1].X.Label.Text = "update"
	return plots, nil
}

// curve is one line of a panel. A curve without a name is not in the legend.
type curve struct {
	name   string
	points plotter.XYs
	color  color.Color
	width  float64
	dots   bool
	steps  bool // a value applies until the next one
}

// panel is a set of curves with the same axes.
type panel struct {
	name   string
	curves []curve
	linear bool // the vertical axis must not be logarithmic
}

// plot draws the curves for updates first to last.
func (l panel) plot(first, last float64) (*plot.Plot, error) {
	p := plot.New()
	chart.Style(p)
	p.Y.Label.Text = l.name
	logarithmic, low, high := l.scale()
	p.Y.Tick.Marker = plot.TickerFunc(chart.Even)
	if logarithmic {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(chart.Decades)
	}
	p.X.Tick.Marker = plot.TickerFunc(chart.Whole)
	for _, c := range l.curves {
		if len(c.points) == 0 {
			continue
		}
		points := make(plotter.XYs, len(c.points))
		for i, v := range c.points {
			points[i] = plotter.XY{X: v.X, Y: max(v.Y, low)} // a logarithmic axis has no 0
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = c.color, vg.Points(c.width*0.75)
		if c.steps {
			line.StepStyle = plotter.PostStep
		}
		dots.Color, dots.Shape, dots.Radius = c.color, draw.CircleGlyph{}, vg.Points(2)
		p.Add(line)
		thumbs := []plot.Thumbnailer{line}
		if c.dots || len(points) == 1 {
			p.Add(dots)
			thumbs = append(thumbs, dots)
		}
		if c.name != "" {
			p.Legend.Add(c.name, thumbs...)
		}
	}
	p.X.Min, p.X.Max = first, last
	if first == last {
		p.X.Min, p.X.Max = first-1, last+1
	}
	p.Y.Min, p.Y.Max = low, high
	return p, nil
}

// scale returns the limits of the vertical axis. It considers the curves with names
// only. The axis is logarithmic if all values are positive or 0, the largest one is
// more than 8 times the smallest positive one, and the panel does not require a
// linear axis.
func (l panel) scale() (logarithmic bool, low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	positive := math.Inf(1) // the smallest positive value
	for _, c := range l.curves {
		if c.name == "" {
			continue
		}
		for _, v := range c.points {
			low, high = min(low, v.Y), max(high, v.Y)
			if v.Y > 0 {
				positive = min(positive, v.Y)
			}
		}
	}
	if low >= 0 && high > 8*positive && !l.linear {
		return true, positive / 1.3, high * 1.3
	}
	margin := 0.08 * (high - low)
	if margin == 0 {
		margin = 0.1 * math.Abs(high)
	}
	if margin == 0 {
		margin = 1
	}
	if low >= 0 {
		return false, max(0, low-margin), high + margin
	}
	return false, low - margin, high + margin
}

// series returns the points of a curve. Records without a value have no point.
func series(records []Record, value func(Record) *float64) plotter.XYs {
	var points plotter.XYs
	for _, r := range records {
		if v := value(r); v != nil {
			points = append(points, plotter.XY{X: float64(r.Update), Y: *v})
		}
	}
	return points
}

// smooth returns a moving average over 1/50 of the points, or fewer at the beginning,
// where curves are steep.
func smooth(points plotter.XYs) plotter.XYs {
	sums := make([]float64, len(points)+1)
	for i, v := range points {
		sums[i+1] = sums[i] + v.Y
	}
	out := make(plotter.XYs, len(points))
	for i, v := range points {
		reach := min(len(points)/100, i)
		low, high := i-reach, min(i+reach+1, len(points))
		out[i] = plotter.XY{X: v.X, Y: (sums[high] - sums[low]) / float64(high-low)}
	}
	return out
}
