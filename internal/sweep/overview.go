package sweep

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"

	"github.com/spike-by-spike/sbs/internal/chart"
)

// The size of a cell of the overview, in pixels, and the largest number of its columns.
const (
	cellWidth   = 300
	cellHeight  = 260
	gridColumns = 4
)

// drawOverview draws the accuracy under all kinds of noise side by side, with the same vertical
// axis, and returns the names of the files. It draws nothing if there is one kind only, or if
// there are too many curves for a legend.
func drawOverview(folder string, m *manifest, all []*series) (names []string, err error) {
	if len(m.Noise) < 2 || len(all) > len(chart.Marks) {
		return nil, nil
	}
	columns := min(gridColumns, int(math.Ceil(math.Sqrt(float64(len(m.Noise)+1)))))
	var cells []*plot.Plot
	var legend plot.Legend
	low, high := math.Inf(1), math.Inf(-1)
	for _, k := range m.Noise {
		c := chart.Accuracies{Panels: m.noisePanels(k, all)}
		drawn, entries, err := c.Plot(c.Panels[0])
		if err != nil {
			return nil, fmt.Errorf("cannot draw the overview: %w", err)
		}
		if from, to := chart.Limits(c.Panels); from <= to {
			low, high = min(low, from), max(high, to)
		}
		drawn.Title.Text, drawn.Title.TextStyle.Font.Size = k.Kind, 12
		drawn.X.Label.Text, drawn.X.Label.TextStyle.Font.Size = twoLines(k.level()), 9
		drawn.X.Tick.Marker, drawn.Y.Tick.Marker = plot.TickerFunc(chart.Even), plot.TickerFunc(chart.Percents(6))
		if len(cells)%columns > 0 {
			drawn.Y.Label.Text = ""
		}
		cells, legend = append(cells, drawn), entries
	}
	if low > high {
		return nil, nil
	}
	for _, c := range cells {
		c.Y.Min, c.Y.Max = chart.VerticalRange(low, high)
	}
	for len(cells) == len(m.Noise) || len(cells)%columns > 0 {
		cells = append(cells, nil) // the last one is for the legend
	}
	grid := slices.Collect(slices.Chunk(cells, columns))
	return chart.BothFormats(folder, "chart-noise", func(path string) error {
		return chart.WriteGrid(path, grid, legend, cellWidth*float64(columns), cellHeight*float64(len(grid)))
	})
}

// twoLines divides a text that is wider than a cell.
func twoLines(text string) string {
	const most = 44 // characters
	if len(text) <= most {
		return text
	}
	at := strings.LastIndexByte(text[:most], ' ')
	return text[:at] + "\n" + text[at+1:]
}
