package trainlog

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
)

// The size of the picture, in pixels of 1/96 inch.
const (
	curvesWidth  = 1200
	curvesHeight = 1000
	curvesDPI    = 96
)

// The colors of the curves are from the palette of Okabe and Ito, which people with
// color vision deficiencies can distinguish.
var (
	blue      = color.NRGBA{0, 114, 178, 255}
	paleBlue  = color.NRGBA{86, 180, 233, 110}
	vermilion = color.NRGBA{213, 94, 0, 255}
	green     = color.NRGBA{0, 158, 115, 255}
	gridGray  = color.NRGBA{215, 215, 215, 255}
	textGray  = color.NRGBA{60, 60, 60, 255}
)

// WriteCurves draws the loss, the errors and the learning rates of the records over
// the number of the update, and writes the picture to a PNG file. It replaces the
// file atomically. The title may be empty. It is an error if there are no records.
func WriteCurves(path, title string, records []Record) error {
	if len(records) == 0 {
		return errors.New("there are no metrics to draw yet")
	}
	picture, err := curves(title, records)
	if err == nil {
		err = atomicfile.Write(path, picture)
	}
	if err != nil {
		return fmt.Errorf("cannot write the curves to %s: %w", path, err)
	}
	return nil
}

func curves(title string, records []Record) ([]byte, error) {
	loss, trainError := series(records, func(r Record) *float64 { return &r.Loss }), series(records, func(r Record) *float64 { return &r.TrainError })
	testError := series(records, func(r Record) *float64 { return r.TestError })
	rateW := series(records, func(r Record) *float64 { return r.LearningRateW })
	rateEpsilon := series(records, func(r Record) *float64 { return r.LearningRateEpsilonXY })

	panels := []panel{
		{name: "loss", curves: []curve{
			{points: loss, color: paleBlue, width: 1}, {name: "training", points: smooth(loss), color: blue, width: 2},
		}},
		{name: "error (%)", curves: []curve{
			{points: trainError, color: paleBlue, width: 1}, {name: "training", points: smooth(trainError), color: blue, width: 2},
			{name: "test", points: testError, color: vermilion, width: 2, dots: true},
		}},
		// On a logarithmic axis, a learning rate that reaches 0 would end in a cliff.
		{name: "learning rate", linear: true, curves: []curve{
			{name: "W", points: rateW, color: blue, width: 2, steps: true},
			{name: "epsilon_xy", points: rateEpsilon, color: green, width: 2, steps: true},
		}},
	}
	if len(rateW) == 0 && len(rateEpsilon) == 0 {
		panels = panels[:2]
	}
	plots := make([][]*plot.Plot, len(panels))
	for i, p := range panels {
		drawn, err := p.plot(float64(records[0].Update), float64(records[len(records)-1].Update))
		if err != nil {
			return nil, err
		}
		plots[i] = []*plot.Plot{drawn}
	}
	plots[0][0].Title.Text = title
	plots[len(plots)-1][0].X.Label.Text = "update"
	return render(plots)
}

func render(plots [][]*plot.Plot) ([]byte, error) {
	inch := func(pixels float64) vg.Length { return vg.Length(pixels) / curvesDPI * vg.Inch }
	canvas := vgimg.NewWith(vgimg.UseWH(inch(curvesWidth), inch(curvesHeight)), vgimg.UseDPI(curvesDPI))
	tiles := draw.Tiles{
		Rows: len(plots), Cols: 1, PadY: inch(22),
		PadTop: inch(16), PadBottom: inch(12), PadLeft: inch(16), PadRight: inch(28),
	}
	for i, row := range plot.Align(plots, tiles, draw.New(canvas)) {
		plots[i][0].Draw(row[0])
	}
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
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
	p.Title.TextStyle.Font.Size = 14
	p.Title.Padding = 8
	p.Y.Label.Text = l.name
	for _, style := range []*draw.TextStyle{
		&p.Title.TextStyle, &p.Legend.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label,
	} {
		style.Font.Variant, style.Color = "Sans", textGray
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font.Size, axis.Tick.Label.Font.Size = 12, 10
		axis.Tick.Color, axis.Color = textGray, textGray
		axis.Padding = 4
	}
	logarithmic, low, high := l.scale()
	p.Y.Tick.Marker = plot.TickerFunc(even)
	if logarithmic {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(decades)
	}
	p.X.Tick.Marker = plot.TickerFunc(whole)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = gridGray, gridGray
	p.Add(grid)
	p.Legend.Top, p.Legend.Padding, p.Legend.TextStyle.Font.Size = true, 4, 11
	p.Legend.XOffs, p.Legend.YOffs, p.Legend.ThumbnailWidth = -8, -6, 24
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

// even returns the ticks of plot.DefaultTicks with longer labels. The labels of
// plot.DefaultTicks have two digits, so that in a narrow range several are equal.
func even(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i, t := range ticks {
		switch {
		case t.Label == "":
		case math.Abs(t.Value) < 1e-9*(high-low):
			ticks[i].Label = "0"
		default:
			ticks[i].Label = strconv.FormatFloat(t.Value, 'g', 6, 64)
		}
	}
	return ticks
}

// decades returns ticks for a logarithmic axis at 1 to 9 times the powers of 10. It
// labels 1, 2 and 5 times the powers, or only the powers if the range is large.
func decades(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	many := high/low > 1e3
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for m := 1; m <= 9; m++ {
			v := float64(m) * math.Pow(10, e)
			if v < low || v > high {
				continue
			}
			tick := plot.Tick{Value: v}
			if m == 1 || !many && (m == 2 || m == 5) {
				tick.Label = strconv.FormatFloat(v, 'g', 4, 64)
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// whole returns ticks at integers.
func whole(low, high float64) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10(max((high-low)/5, 1))))
	for _, m := range []float64{5, 2} {
		if (high-low)/(step*m) >= 5 {
			step *= m
			break
		}
	}
	var ticks []plot.Tick
	for v := math.Ceil(low/step) * step; v <= high; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', 0, 64)})
	}
	return ticks
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
