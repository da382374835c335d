package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/chart"
)

// name says what a row of the table is.
func (c *choice) name(r *row) string {
	switch {
	case r == c.given && r == c.chosen:
		return "model given, written"
	case r == c.given:
		return "model given"
	case r == c.chosen && r.trained:
		return "fine-tuned, written"
	case r == c.chosen:
		return "written"
	case r.trained:
		return "fine-tuned"
	}
	return "found"
}

// header returns the names of the columns.
func (o *optimizer) header() []string {
	h := []string{"network", "spikes", "epsilon_0"}
	if o.loss > 0 {
		h = append(h, "first stage", "go on %")
	}
	h = append(h, "updates", "accuracy %")
	for _, d := range disturbances {
		h = append(h, d.name+" %")
	}
	return append(h, "noise %")
}

func (o *optimizer) line(c *choice, r *row) []string {
	l := []string{c.name(r), r.spikes(), r.epsilon()}
	if o.loss > 0 {
		if r == c.given {
			l = append(l, "-", "-")
		} else {
			l = append(l, strconv.Itoa(r.candidate.updates), fmt.Sprintf("%.2f", r.goesOn))
		}
	}
	l = append(l, fmt.Sprintf("%.0f", r.updates), fmt.Sprintf("%.2f", r.accuracy))
	for i := range disturbances {
		if r.noisy == nil {
			l = append(l, "-")
		} else {
			l = append(l, fmt.Sprintf("%.1f", r.noisy[i]))
		}
	}
	if r.noisy == nil {
		return append(l, "-")
	}
	return append(l, fmt.Sprintf("%.1f", r.noisyMean))
}

// table prints the networks that front returns, and the model given.
func (o *optimizer) table(w io.Writer, c *choice) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, strings.Join(o.header(), "\t")) // a tabwriter reports errors when it is flushed
	for _, r := range append(c.front(), c.given) {
		_, _ = fmt.Fprintln(t, strings.Join(o.line(c, r), "\t"))
	}
	return t.Flush()
}

// writeFiles writes all networks as a CSV file, and the pictures.
func (o *optimizer) writeFiles(c *choice) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	lines := [][]string{o.header()}
	for _, r := range append(slices.Clone(c.rows), c.given) {
		lines = append(lines, o.line(c, r))
	}
	if err := w.WriteAll(lines); err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(o.folder, "front.csv"), b.Bytes()); err != nil {
		return err
	}
	plots, err := o.plots(c)
	if err != nil {
		return err
	}
	for _, name := range []string{"front.svg", "front.png"} {
		if err := chart.Write(filepath.Join(o.folder, name), plots, 1000, 900); err != nil {
			return err
		}
	}
	return nil
}

// plots draws accuracy over updates, without and with noise.
func (o *optimizer) plots(c *choice) ([]*plot.Plot, error) {
	clean := plot.New()
	chart.Style(clean)
	clean.Title.Text = fmt.Sprintf("accuracy of %s with fewer spikes", filepath.Base(o.paths[0]))
	clean.Y.Label.Text = "accuracy (%)"
	noisy := plot.New()
	chart.Style(noisy)
	noisy.Y.Label.Text = "accuracy under noise (%)"
	noisy.Y.Tick.Marker = plot.TickerFunc(chart.Even)
	noisy.X.Label.Text = "updates per image"

	var plain, trained []*row
	for _, r := range c.rows {
		if r.trained {
			trained = append(trained, r)
		} else {
			plain = append(plain, r)
		}
	}
	for i, p := range []*plot.Plot{clean, noisy} {
		for _, g := range []struct {
			name  string
			rows  []*row
			color color.Color
			shape draw.GlyphDrawer
			size  float64
			line  bool
		}{
			{"without training", plain, chart.Blue, draw.CircleGlyph{}, 2.5, true},
			{"fine-tuned", trained, chart.Vermilion, draw.BoxGlyph{}, 3, true},
			{"model given", []*row{c.given}, chart.TextGray, draw.PyramidGlyph{}, 5, false},
			{"written", []*row{c.chosen}, chart.Green, draw.RingGlyph{}, 7, false},
		} {
			var points plotter.XYs
			for _, r := range g.rows {
				switch {
				case i == 0:
					points = append(points, plotter.XY{X: r.updates, Y: logError(r.accuracy)})
				case r.noisy != nil:
					points = append(points, plotter.XY{X: r.updates, Y: r.noisyMean})
				}
			}
			if len(points) == 0 {
				continue
			}
			slices.SortStableFunc(points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
			line, dots, err := plotter.NewLinePoints(points)
			if err != nil {
				return nil, err
			}
			line.Color, line.Width = g.color, vg.Points(1.2)
			dots.Color, dots.Shape, dots.Radius = g.color, g.shape, vg.Points(g.size)
			thumbs := []plot.Thumbnailer{dots}
			if g.line && len(points) > 1 {
				p.Add(line)
				thumbs = append(thumbs, line)
			}
			p.Add(dots)
			if i == 0 {
				p.Legend.Add(g.name, thumbs...)
			}
		}
		p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, 12
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(chart.Decades)
		p.X.Min /= 1.15
		p.X.Max *= 1.15
		margin := max(0.06*(p.Y.Max-p.Y.Min), 0.05)
		p.Y.Min, p.Y.Max = p.Y.Min-margin, p.Y.Max+margin
	}
	clean.Y.Tick.Marker = plot.TickerFunc(accuracies)
	return []*plot.Plot{clean, noisy}, nil
}

// logError maps an accuracy in percent to the vertical axis, on which halving the error is the
// same distance everywhere.
func logError(accuracy float64) float64 { return -math.Log10(max(100-accuracy, 0.005)) }

// accuracies returns the ticks of the vertical axis.
func accuracies(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for _, a := range []float64{0, 20, 40, 50, 60, 70, 80, 85, 90, 95, 97, 98, 99, 99.2, 99.4, 99.5, 99.6, 99.7, 99.8, 99.9, 99.95, 99.99} {
		if y := logError(a); y >= low && y <= high {
			ticks = append(ticks, plot.Tick{Value: y, Label: strconv.FormatFloat(a, 'g', -1, 64)})
		}
	}
	if len(ticks) < 2 { // a narrow range
		ticks = nil
		for _, y := range []float64{low, (low + high) / 2, high} {
			ticks = append(ticks, plot.Tick{Value: y, Label: strconv.FormatFloat(100-math.Pow(10, -y), 'f', 2, 64)})
		}
	}
	return ticks
}
