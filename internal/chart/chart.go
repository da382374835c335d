// Package chart has the style that the charts of this project share, and writes them to
// files.
package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
)

// DPI is the resolution of PNG files: sizes are in pixels of 1/96 inch.
const DPI = 96

// The colors of the curves are from the palette of Okabe and Ito, which people with
// color vision deficiencies can distinguish.
var (
	Blue      = color.NRGBA{0, 114, 178, 255}
	PaleBlue  = color.NRGBA{86, 180, 233, 110}
	Vermilion = color.NRGBA{213, 94, 0, 255}
	Green     = color.NRGBA{0, 158, 115, 255}
	Orange    = color.NRGBA{230, 159, 0, 255}
	Purple    = color.NRGBA{204, 121, 167, 255}
	SkyBlue   = color.NRGBA{86, 180, 233, 255}
	Black     = color.NRGBA{0, 0, 0, 255}
	GridGray  = color.NRGBA{215, 215, 215, 255}
	TextGray  = color.NRGBA{60, 60, 60, 255}
)

// Mark tells the curves of a plot apart by color, by dashes and by the shape of the points, so
// that they also differ in print without colors.
type Mark struct {
	Color  color.NRGBA
	Dashes []vg.Length
	Shape  draw.GlyphDrawer
}

// Marks has different marks for the curves of a plot.
var Marks = []Mark{
	{Blue, nil, draw.CircleGlyph{}},
	{Vermilion, []vg.Length{6, 3}, draw.BoxGlyph{}},
	{Green, []vg.Length{2, 2}, draw.PyramidGlyph{}},
	{Purple, []vg.Length{8, 3, 2, 3}, draw.RingGlyph{}},
	{Orange, nil, draw.SquareGlyph{}},
	{SkyBlue, []vg.Length{6, 3}, draw.TriangleGlyph{}},
	{Black, []vg.Length{2, 2}, draw.CrossGlyph{}},
	{TextGray, []vg.Length{8, 3, 2, 3}, draw.PlusGlyph{}},
}

// Pale returns the color of the band of a curve.
func Pale(c color.NRGBA) color.NRGBA {
	c.A = 45
	return c
}

// Style gives a plot the fonts, colors and grid of this project. Call it before adding
// anything to the plot.
func Style(p *plot.Plot) {
	p.Title.TextStyle.Font.Size = 14
	p.Title.Padding = 8
	for _, style := range []*draw.TextStyle{
		&p.Title.TextStyle, &p.Legend.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label,
	} {
		style.Font.Variant, style.Color = "Sans", TextGray
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font.Size, axis.Tick.Label.Font.Size = 12, 10
		axis.Tick.Color, axis.Color = TextGray, TextGray
		axis.Padding = 4
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = GridGray, GridGray
	p.Add(grid)
	p.Legend.Top, p.Legend.Padding, p.Legend.TextStyle.Font.Size = true, 4, 11
	p.Legend.XOffs, p.Legend.YOffs, p.Legend.ThumbnailWidth = -8, -6, 24
}

// Inch returns the length of a number of pixels.
func Inch(pixels float64) vg.Length { return vg.Length(pixels / DPI * float64(vg.Inch)) }

// Write draws plots below each other, with aligned axes, and writes them to a PNG or SVG
// file, as its name says. It replaces the file atomically. The size is in pixels.
func Write(path string, plots []*plot.Plot, width, height float64) error {
	return WriteBeside(path, plots, nil, width, height)
}

// WriteBeside writes plots as Write does, and draws a legend to the right of each plot, outside
// of its axes. legends is nil for none. The picture is wider if the legends take more than two
// fifths of the width, so that the plots remain readable.
func WriteBeside(path string, plots []*plot.Plot, legends []plot.Legend, width, height float64) error {
	beside := vg.Length(0)
	for _, l := range legends {
		beside = max(beside, legendWidth(l))
	}
	total := Inch(width) + max(beside-2*Inch(width)/5, 0)
	return write(path, total, Inch(height), func(whole draw.Canvas) { drawBelow(whole, plots, legends, beside) })
}

// WriteGrid writes plots as Write does, but in rows and columns. A plot that is nil leaves its cell
// empty; the last cell must be one of them, and has the legend. The picture is wider if the legend is
// wider than a cell.
func WriteGrid(path string, rows [][]*plot.Plot, legend plot.Legend, width, height float64) error {
	columns := vg.Length(len(rows[0]))
	total := max(Inch(width), columns*(legendWidth(legend)+Inch(24)))
	return write(path, total, Inch(height), func(whole draw.Canvas) { drawGrid(whole, rows, legend) })
}

// legendWidth returns the width of a legend, with room for the fonts of readers of SVG files, which may be wider.
func legendWidth(l plot.Legend) vg.Length { return 1.15 * l.Rectangle(draw.Canvas{}).Size().X }

func write(path string, width, height vg.Length, paint func(whole draw.Canvas)) error {
	data, err := render(filepath.Ext(path), width, height, paint)
	if err == nil {
		err = atomicfile.Write(path, data)
	}
	if err != nil {
		return fmt.Errorf("cannot write the picture %s: %w", path, err)
	}
	return nil
}

// canvas is a canvas of a picture that can be written.
type canvas interface {
	vg.CanvasSizer
	io.WriterTo
}

func render(format string, width, height vg.Length, paint func(whole draw.Canvas)) ([]byte, error) {
	var c canvas
	switch format {
	case ".png":
		c = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(DPI))}
	case ".svg":
		c = vgsvg.New(width, height)
	default:
		return nil, fmt.Errorf("unknown format %q, want .png or .svg", format)
	}
	whole := draw.New(c)
	whole.SetColor(color.White) // also behind legends: the page that shows an SVG may be dark
	whole.Fill(whole.Rectangle.Path())
	paint(whole)
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	if format == ".svg" {
		return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte(fontFamilies)), nil
	}
	return b.Bytes(), nil
}

// fontFamilies has fonts for machines without Liberation Sans; the letters of the next two are equally wide.
const fontFamilies = "font-family:Liberation Sans,Arial,Helvetica,sans-serif;"

// drawBelow draws plots below each other, and legends of at most a width to their right.
func drawBelow(whole draw.Canvas, plots []*plot.Plot, legends []plot.Legend, beside vg.Length) {
	rows := make([][]*plot.Plot, len(plots))
	for i, p := range plots {
		rows[i] = []*plot.Plot{p}
	}
	tiles := draw.Tiles{
		Rows: len(plots), Cols: 1, PadY: Inch(22),
		PadTop: Inch(16), PadBottom: Inch(12), PadLeft: Inch(16), PadRight: Inch(28),
	}
	if beside > 0 {
		tiles.PadRight = beside + 2*Inch(12)
	}
	for i, row := range plot.Align(rows, tiles, whole) {
		plots[i].Draw(row[0])
		if i < len(legends) {
			l := legends[i]
			l.Top, l.Left, l.XOffs, l.YOffs = true, true, 0, 0
			l.Draw(draw.Canvas{Canvas: whole.Canvas, Rectangle: vg.Rectangle{
				Min: vg.Point{X: whole.Max.X - beside - Inch(12), Y: row[0].Min.Y},
				Max: vg.Point{X: whole.Max.X, Y: row[0].Max.Y - Inch(30)},
			}})
		}
	}
}

func drawGrid(whole draw.Canvas, rows [][]*plot.Plot, legend plot.Legend) {
	tiles := draw.Tiles{
		Rows: len(rows), Cols: len(rows[0]), PadX: Inch(14), PadY: Inch(18),
		PadTop: Inch(12), PadBottom: Inch(10), PadLeft: Inch(12), PadRight: Inch(18),
	}
	for i, row := range plot.Align(rows, tiles, whole) {
		for j, cell := range row {
			if p := rows[i][j]; p != nil {
				p.Draw(cell)
			}
		}
	}
	legend.Top, legend.Left, legend.XOffs, legend.YOffs = true, true, 0, -Inch(24)
	legend.Draw(tiles.At(whole, tiles.Cols-1, tiles.Rows-1))
}

// Even returns the ticks of plot.DefaultTicks with longer labels. The labels of
// plot.DefaultTicks have two digits, so that in a narrow range several are equal.
func Even(low, high float64) []plot.Tick {
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

// Decades returns ticks for a logarithmic axis at 1 to 9 times the powers of 10. It
// labels 1, 2 and 5 times the powers, or only the powers if the range is large.
func Decades(low, high float64) []plot.Tick {
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
				if v >= 1 && v < 1e7 {
					tick.Label = strconv.FormatFloat(v, 'f', -1, 64)
				}
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// Whole returns ticks at integers.
func Whole(low, high float64) []plot.Tick {
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
