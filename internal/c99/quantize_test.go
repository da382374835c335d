package c99_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/c99"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops"
)

func tensor(t *testing.T, shape []int, v ...float32) *ops.Tensor {
	w, err := ops.FromSlice(shape, v)
	require.NoError(t, err)
	return w
}

func TestQuantize_KeepsTheRatiosOfRows(t *testing.T) {
	m := converttest.New(1)
	spikes, factors := m.SbS(converttest.Window(1, 1), 3, 4, 5), m.NNMF(converttest.Window(1, 1), 3, 4, 5)
	rows := []float32{0, 0.5, 1, 0.25, 1e-11, 1e-12, 0, 1e-11, 3e38, 1e38, 0, 0}
	spikes.Weights, factors.Weights = tensor(t, []int{3, 4}, rows...), tensor(t, []int{3, 4}, rows...)
	q, err := c99.Quantize(&convert.Network{Layers: []convert.Layer{spikes, factors, &convert.ReLU{}}})
	require.NoError(t, err)
	// Spikes of a row with weights of up to 1e-10 are skipped.
	require.Equal(t, []float32{0, 128, 255, 64, 0, 0, 0, 0, 255, 85, 0, 0}, q.Layers[0].(*convert.SbS).Weights.Float32s())
	require.Equal(t, []float32{0, 128, 255, 64, 255, 26, 0, 255, 255, 85, 0, 0}, q.Layers[1].(*convert.NNMF).Weights.Float32s())
	require.Equal(t, rows, spikes.Weights.Float32s(), "the network itself stays the same")
}

func TestQuantize_RoundsFilters(t *testing.T) {
	m := converttest.New(2)
	c := m.Conv(converttest.Window(2, 1), 3, 5)
	for i := range 12 {
		c.Weights.Float32s()[12+i] = 0
	}
	q, err := c99.Quantize(&convert.Network{Layers: []convert.Layer{c}})
	require.NoError(t, err)
	got := q.Layers[0].(*convert.Conv)
	require.Equal(t, c.Bias, got.Bias)
	for f := range 5 {
		want, is := c.Weights.Float32s()[12*f:12*f+12], got.Weights.Float32s()[12*f:12*f+12]
		var largest float64
		for _, v := range want {
			largest = max(largest, math.Abs(float64(v)))
		}
		for i, v := range want {
			require.InDelta(t, v, is[i], largest/127/2*1.0001, "filter %d", f)
		}
	}
}
