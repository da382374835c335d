// Command clustermodel draws docs/images/cluster.svg, the efficiency of sbs-cluster train on up to 64 machines, and prints
// the table of measurements in docs/clusters.md. The curves are those of a model, which it compares with the measurements of
// make bench-cluster.
//
// From the root of the repository:
//
//	go run ./internal/tools/clustermodel
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/spike-by-spike/sbs/internal/chart"
)

func main() {
	measured := flag.String("measured", "docs/benchmarks/cluster.csv", "measurements of make bench-cluster")
	out := flag.String("o", "docs/images/cluster.svg", "picture to write")
	flag.Parse()
	if err := run(*measured, *out, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "clustermodel:", err)
		os.Exit(1)
	}
}

func run(measured, out string, table io.Writer) error {
	f, err := os.Open(measured)
	if err != nil {
		return err
	}
	rows, err := read(f)
	if err := f.Close(); err != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", measured, err)
	}
	perByte, err := messages(rows)
	if err != nil {
		return fmt.Errorf("%s: %w", measured, err)
	}
	if _, err := io.WriteString(table, measurements(rows, perByte)+"\n"+factors(rows, perByte)); err != nil {
		return err
	}
	var plots []*plot.Plot
	var legends []plot.Legend
	for _, n := range networks {
		p, legend, err := panel(n, of(rows, n), perByte)
		if err != nil {
			return err
		}
		plots, legends = append(plots, p), append(legends, legend)
	}
	return chart.WriteBeside(out, plots, legends, 1000, 860)
}

const (
	mostMachines = 64
	shownDelay   = 0.2e-3 // seconds
	manyBatches  = 64
)

// panel draws the efficiency of a network.
func panel(n network, rows []row, perByte float64) (*plot.Plot, plot.Legend, error) {
	p := plot.New()
	chart.Style(p)
	p.Title.Text = n.title + ", 0.2 ms: a model (lines), and measurements (points)"
	p.X.Label.Text, p.Y.Label.Text = "machines with two cores", "efficiency"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(powers)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 1, mostMachines, 0, 1
	legend := plot.NewLegend()
	legend.TextStyle, legend.Padding, legend.ThumbnailWidth = p.Legend.TextStyle, p.Legend.Padding, p.Legend.ThumbnailWidth
	mark := 0
	for _, many := range []bool{true, false} {
		for _, gbit := range []float64{10, 1} {
			batches := func(machines int) int {
				if many {
					return manyBatches
				}
				return machines
			}
			var curve, points plotter.XYs
			for w := 1; w <= mostMachines; w++ {
				c := cluster{w, gbit, shownDelay, 1}
				curve = append(curve, plotter.XY{X: float64(w), Y: c.efficiency(n, rows[0].compute, perByte, batches(w))})
			}
			for _, r := range rows {
				if r.gbit == gbit && r.delay == shownDelay && r.subBatches == batches(r.machines) && (many || r.machines < manyBatches) {
					alone := float64(r.subBatches)*r.compute + n.update
					hidden := perByte * n.length * (1 - 1/r.slowed) // by slowing down
					points = append(points, plotter.XY{X: float64(r.machines), Y: alone / float64(r.machines) / (r.round + hidden + n.update)})
				}
			}
			line, err := plotter.NewLine(curve)
			if err != nil {
				return nil, legend, err
			}
			scatter, err := plotter.NewScatter(points)
			if err != nil {
				return nil, legend, err
			}
			m := chart.Marks[mark]
			mark++
			line.Color, line.Dashes, line.Width = m.Color, m.Dashes, vg.Points(1.5)
			scatter.GlyphStyle = draw.GlyphStyle{Color: m.Color, Radius: vg.Points(3.5), Shape: m.Shape}
			p.Add(line, scatter)
			text := "one per machine"
			if many {
				text = fmt.Sprintf("%d sub-batches", manyBatches)
			}
			legend.Add(fmt.Sprintf("%s, %g Gbit/s", text, gbit), line, scatter)
		}
	}
	return p, legend, nil
}

// powers returns ticks at powers of 2.
func powers(low, high float64) (ticks []plot.Tick) {
	for v := 1.0; v <= high; v *= 2 {
		if v >= low {
			ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprint(v)})
		}
	}
	return ticks
}
