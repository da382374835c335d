package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

func TestTicks_HaveDistinctLabels(t *testing.T) {
	labels := func(ticks []plot.Tick) []string {
		var out []string
		for _, tick := range ticks {
			if tick.Label != "" {
				out = append(out, tick.Label)
			}
		}
		return out
	}
	require.Equal(t, []string{"1.5", "1.54", "1.58"}, labels(Even(1.49, 1.58)))
	require.Equal(t, []string{"0", "0.05", "0.1"}, labels(Even(0, 0.108)))
	require.Equal(t, []string{"-1", "0", "1"}, labels(Even(-1.2, 1.2)))
	require.Equal(t, []string{"0.2", "0.5", "1", "2"}, labels(Decades(0.2, 3)))
	require.Equal(t, []string{"0.01", "0.1", "1", "10", "100"}, labels(Decades(0.009, 110)))
	require.Equal(t, []string{"10000", "100000", "1e+07"}, labels(slices.DeleteFunc(Decades(9000, 2e7), func(tick plot.Tick) bool { return tick.Value == 1e6 })))
	require.Equal(t, []string{"1", "2", "3"}, labels(Whole(1, 3)))
	require.Equal(t, []string{"0", "200", "400", "600", "800", "1000"}, labels(Whole(0, 1000)))
	require.Equal(t, []string{"1000", "2000", "3000", "4000", "5000", "6000", "7000", "8000", "9000"}, labels(Whole(1, 9999)))
}

func TestWrite_KnowsTheFormatByTheName(t *testing.T) {
	p := plot.New()
	Style(p)
	p.Title.Text = "a title"
	folder := t.TempDir()
	read := func(name string) []byte {
		path := filepath.Join(folder, name)
		require.NoError(t, Write(path, []*plot.Plot{p}, 300, 200))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return content
	}
	img, err := png.Decode(bytes.NewReader(read("a.png")))
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, 300, 200), img.Bounds())

	content := read("a.svg")
	require.Contains(t, string(content), "a title")
	require.Contains(t, string(content), `<path d="M0,0L225,0L225,150L0,150Z" style="fill:#FFFFFF" />`, "all of the picture is white, also on a dark page")
	require.Contains(t, string(content), "font-family:Liberation Sans,Arial,", "also where that font is missing")
	for d := xml.NewDecoder(bytes.NewReader(content)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}

	require.ErrorContains(t, Write(filepath.Join(folder, "a.jpg"), []*plot.Plot{p}, 300, 200), `a.jpg: unknown format ".jpg", want .png or .svg`)
	require.NoFileExists(t, filepath.Join(folder, "a.jpg"))
	require.ErrorContains(t, Write(filepath.Join(folder, "missing", "a.svg"), []*plot.Plot{p}, 300, 200), "missing")
}

func TestMarks_DifferWithoutColor(t *testing.T) {
	for i, a := range Marks {
		for _, b := range Marks[:i] {
			require.NotEqual(t, a.Color, b.Color)
			require.NotEqual(t, a.Shape, b.Shape)
		}
	}
}

// TestWriteBeside_LeavesRoomForTheLegends compares the ends of the axes.
func TestWriteBeside_LeavesRoomForTheLegends(t *testing.T) {
	folder := t.TempDir()
	draw := func(name string, legends ...string) image.Image {
		var plots []*plot.Plot
		var list []plot.Legend
		for range 2 {
			p := plot.New()
			Style(p)
			p.X.Max, p.Y.Max = 1, 1
			plots = append(plots, p)
		}
		for _, text := range legends {
			l := plots[0].Legend
			line, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}})
			require.NoError(t, err)
			l.Add(text, line)
			list = append(list, l)
		}
		path := filepath.Join(folder, name)
		require.NoError(t, WriteBeside(path, plots, list, 400, 400))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		img, err := png.Decode(bytes.NewReader(content))
		require.NoError(t, err)
		return img
	}
	// inked returns the number of dark pixels to the right of a column, in some rows.
	inked := func(img image.Image, from, low, high int) (n int) {
		for y := low; y < high; y++ {
			for x := from; x < 400; x++ {
				if r, _, _, _ := img.At(x, y).RGBA(); r < 0x8000 {
					n++
				}
			}
		}
		return n
	}
	without, with := draw("without.png"), draw("with.png", "a curve", "another curve")
	require.Zero(t, inked(without, 385, 0, 400))
	require.Greater(t, inked(without, 300, 0, 400), 50, "the axes end near the right")
	for _, half := range [][2]int{{0, 150}, {200, 350}} {
		require.Greater(t, inked(with, 290, half[0], half[1]), 30, "the text of the legend")
	}
	require.Equal(t, 400, with.Bounds().Dx())
	long := draw("long.png", strings.Repeat("a curve ", 50), "b")
	require.Greater(t, long.Bounds().Dx(), 2000)
	require.InDelta(t, inked(without, 0, 100, 200), inked(long, 0, 100, 200), 200, "the axes have room")
}
