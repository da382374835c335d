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
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
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
		r.TrainError = 50 / float64(u)
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
	for i, colors := range [][]color.NRGBA{{blue}, {blue, vermilion}, {blue, green}} {
		for _, c := range colors {
			require.Greater(t, count(img, third(i), c), 500, "panel %d, color %v", i, c)
		}
	}
	require.Zero(t, count(img, third(0), vermilion)+count(img, third(2), vermilion)+count(img, third(0), green))

	again, err := curves("a title", records)
	require.NoError(t, err)
	require.Equal(t, content, again)

	require.ErrorContains(t, WriteCurves(path, "", nil), "no metrics")
	require.ErrorContains(t, WriteCurves(filepath.Join(path, "x"), "", records), "cannot write the curves to "+path)
}

func TestCurves_AcceptExtremeRecords(t *testing.T) {
	for name, records := range map[string][]Record{
		"one record":       {{Update: 1, Loss: 2, TrainError: 90}},
		"zeros":            {{Update: 1}, {Update: 2}},
		"constant":         {{Update: 7, Loss: 1, TrainError: 1}, {Update: 1e15, Loss: 1, TrainError: 1}},
		"largest":          {{Update: 1, Loss: 1}, {Update: 2, Loss: maxValue}},
		"negative":         {{Update: 1, Loss: -1, TrainError: 1}, {Update: 2, Loss: -1e30, TrainError: 0}},
		"large":            {{Update: 1, Loss: math.MaxFloat64}, {Update: 2, Loss: math.SmallestNonzeroFloat64}},
		"rates of 0":       {{Update: 1, LearningRateW: pointer(0)}, {Update: 2, LearningRateEpsilonXY: pointer(0)}},
		"tests after both": {{Update: 3, TestError: pointer(1)}, {Update: 5, TestError: pointer(2)}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := curves("", records)
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
	require.Equal(t, []string{"1.5", "1.54", "1.58"}, labels(even(1.49, 1.58)))
	require.Equal(t, []string{"0", "0.05", "0.1"}, labels(even(0, 0.108)))
	require.Equal(t, []string{"-1", "0", "1"}, labels(even(-1.2, 1.2)))
	require.Equal(t, []string{"0.2", "0.5", "1", "2"}, labels(decades(0.2, 3)))
	require.Equal(t, []string{"0.01", "0.1", "1", "10", "100"}, labels(decades(0.009, 110)))
	require.Equal(t, []string{"1", "2", "3"}, labels(whole(1, 3)))
	require.Equal(t, []string{"0", "200", "400", "600", "800", "1000"}, labels(whole(0, 1000)))
	require.Equal(t, []string{"1000", "2000", "3000", "4000", "5000", "6000", "7000", "8000", "9000"}, labels(whole(1, 9999)))
}
