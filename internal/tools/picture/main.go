// Command picture draws docs/images/spikes.png, the picture in README.md: the
// probabilities that the network in models/mnist computes for one digit, as the number
// of spikes grows.
//
// From the root of the repository:
//
//	go run ./internal/tools/picture docs/images/spikes.png
package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"slices"

	"golang.org/x/image/draw"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	plotdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/runtime"
)

const (
	weights = "models/mnist/Weights"
	digit   = "models/mnist/images/3/00018.png"
	classes = 10
	seeds   = 64   // runs that are averaged
	shown   = 0.12 // the largest mean probability that a class must reach to have a color
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: picture FILE.png")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	img, err := read(digit)
	if err != nil {
		return err
	}
	curves, err := answers(img)
	if err != nil {
		return err
	}
	p, err := drawCurves(curves)
	if err != nil {
		return err
	}
	const height, side = 800, 560 // pixels
	chart := vgimg.NewWith(vgimg.UseWH(14*vg.Centimeter, 8*vg.Centimeter), vgimg.UseDPI(254))
	p.Draw(plotdraw.New(chart))
	c := chart.Image()
	out := image.NewRGBA(image.Rect(0, 0, side+120+c.Bounds().Dx(), height))
	draw.Draw(out, out.Rect, image.White, image.Point{}, draw.Src)
	draw.NearestNeighbor.Scale(out, image.Rect(40, 110, 40+side, 110+side), img, img.Bounds(), draw.Src, nil)
	draw.Draw(out, image.Rect(side+80, 0, out.Rect.Max.X, height), c, c.Bounds().Min, draw.Src)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(f, out), f.Close())
}

func read(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return png.Decode(f)
}

// answers returns the mean probability of every class after 1, 2, ... spikes per layer,
// over runs of the whole network with that many spikes and different seeds.
func answers(img image.Image) ([classes]plotter.XYs, error) {
	var curves [classes]plotter.XYs
	n, _, err := pytorch.Load(pytorch.Options{Weights: weights})
	if err != nil {
		return curves, err
	}
	data, err := convert.ToONNX(n, convert.Options{})
	if err != nil {
		return curves, err
	}
	model, err := runtime.New(data, runtime.WithSampler(runtime.LowDiscrepancy))
	if err != nil {
		return curves, err
	}
	c, err := classify.New(model)
	if err != nil {
		return curves, err
	}
	x, err := c.Tensor(slices.Repeat([]image.Image{img}, seeds)...)
	if err != nil {
		return curves, err
	}
	each := make([]uint64, seeds)
	for i := range each {
		each[i] = uint64(i)
	}
	for spikes := 1; spikes <= 200; spikes++ {
		results, err := c.Run(context.Background(), x, runtime.Spikes(spikes), runtime.Seeds(each))
		if err != nil {
			return curves, err
		}
		for class := range curves {
			var sum float64
			for _, r := range results {
				sum += float64(r.Probabilities[class])
			}
			curves[class] = append(curves[class], plotter.XY{X: float64(spikes), Y: sum / seeds})
		}
	}
	return curves, errors.Join(c.Close(), model.Close())
}

func drawCurves(curves [classes]plotter.XYs) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "spikes per layer", "mean probability of the class"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(ticks(1, 2, 5, 10, 20, 50, 100, 200))
	p.Y.Min, p.Y.Max = 0, 1
	p.Legend.Top, p.Legend.Left = true, true
	colors := []color.RGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}}
	for class, xy := range curves {
		line, err := plotter.NewLine(xy)
		if err != nil {
			return nil, err
		}
		line.Width, line.Color = vg.Points(0.8), color.Gray{Y: 190}
		if i := highest(xy); i >= shown && len(colors) > 0 {
			line.Width, line.Color = vg.Points(1.6), colors[0]
			colors = colors[1:]
			p.Legend.Add(fmt.Sprint(class), line)
		}
		p.Add(line)
	}
	return p, nil
}

// highest returns the largest probability from the 20th spike on.
func highest(xy plotter.XYs) float64 {
	var best float64
	for _, v := range xy[19:] {
		best = max(best, v.Y)
	}
	return best
}

func ticks(values ...float64) []plot.Tick {
	list := make([]plot.Tick, len(values))
	for i, v := range values {
		list[i] = plot.Tick{Value: v, Label: fmt.Sprint(v)}
	}
	return list
}
