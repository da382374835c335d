package trainlog

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot/plotter"

	"github.com/spike-by-spike/sbs/internal/chart"
)

// count returns the number of pixels with a color in a part of a picture.
func count(img image.Image, part image.Rectangle, want color.NRGBA) int {
	n := 0
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if color.NRGBAModel.Convert(img.At(x, y)) == want {
				n++
			}
		}
	}
	return n
}

func TestWriteCurves_DrawsThePanels(t *testing.T) {
	var records []Record
	for u := int64(1); u <= 300; u++ {
		r := example(u)
		r.TrainError = pointer(50 / float64(u))
		r.TestError = nil
		if u%100 == 0 {
			r.TestError = pointer(3)
		}
		records = append(records, r)
	}
	path := filepath.Join(t.TempDir(), "curves.png")
	require.NoError(t, WriteCurves(path, "a title", records))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	img, err := png.Decode(bytes.NewReader(content))
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, curvesWidth, curvesHeight), img.Bounds())

	// There are three panels. Each curve extends over the whole width.
	third := func(i int) image.Rectangle {
		return image.Rect(0, i*curvesHeight/3, curvesWidth, (i+1)*curvesHeight/3)
	}
	for i, colors := range [][]color.NRGBA{{chart.Blue}, {chart.Blue, chart.Vermilion}, {chart.Blue, chart.Green}} {
		for _, c := range colors {
			require.Greater(t, count(img, third(i), c), 500, "panel %d, color %v", i, c)
		}
	}
	require.Zero(t, count(img, third(0), chart.Vermilion)+count(img, third(2), chart.Vermilion)+count(img, third(0), chart.Green))

	require.NoError(t, WriteCurves(path, "a title", records))
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, again))

	require.ErrorContains(t, WriteCurves(path, "", nil), "no metrics")
	require.ErrorContains(t, WriteCurves(filepath.Join(path, "x"), "", records), "cannot write the picture "+path)
}

func TestCurves_AcceptExtremeRecords(t *testing.T) {
	for name, records := range map[string][]Record{
		"one record":       {{Update: 1, Loss: 2, TrainError: pointer(90)}},
		"zeros":            {{Update: 1}, {Update: 2}},
		"constant":         {{Update: 7, Loss: 1, TrainError: pointer(1)}, {Update: 1e15, Loss: 1, TrainError: pointer(1)}},
		"largest":          {{Update: 1, Loss: 1}, {Update: 2, Loss: maxValue}},
		"negative":         {{Update: 1, Loss: -1, TrainError: pointer(1)}, {Update: 2, Loss: -1e30, TrainError: pointer(0)}},
		"large":            {{Update: 1, Loss: math.MaxFloat64}, {Update: 2, Loss: math.SmallestNonzeroFloat64}},
		"rates of 0":       {{Update: 1, LearningRateW: pointer(0)}, {Update: 2, LearningRateEpsilonXY: pointer(0)}},
		"tests after both": {{Update: 3, TestError: pointer(1)}, {Update: 5, TestError: pointer(2)}},
	} {
		t.Run(name, func(t *testing.T) {
			err := WriteCurves(filepath.Join(t.TempDir(), "curves.png"), "", records)
			require.NoError(t, err)
		})
	}
}

func TestScale_IsLogarithmicForALargeRange(t *testing.T) {
	falling := []curve{{name: "a", points: plotter.XYs{{X: 1, Y: 1}, {X: 2, Y: 0.001}, {X: 3, Y: 0}}}}
	logarithmic, low, high := panel{curves: falling}.scale()
	require.True(t, logarithmic)
	require.InDelta(t, 0.001/1.3, low, 1e-12)
	require.InDelta(t, 1.3, high, 1e-12)
	logarithmic, low, high = panel{curves: falling, linear: true}.scale()
	require.False(t, logarithmic)
	require.Zero(t, low)
	require.InDelta(t, 1.08, high, 1e-12)
}

func TestSmooth_AveragesNeighbors(t *testing.T) {
	points := make(plotter.XYs, 400)
	for i := range points {
		points[i] = plotter.XY{X: float64(i), Y: float64(i % 2)}
	}
	got := smooth(points)
	require.Equal(t, 0.0, got[0].Y)
	require.InDelta(t, 4./9, got[200].Y, 1e-12)
	require.InDelta(t, 0.6, got[399].Y, 1e-12)
	require.Equal(t, points[:99], smooth(points[:99]))
}
