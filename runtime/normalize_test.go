package runtime_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// normalizedImages returns a network whose output is its normalized image of two channels, without
// the crop of 1 pixel.
func normalizedImages() *convert.Network {
	n := converttest.Normalized()
	n.Classes, n.Input = nil, convert.Size{Channels: 2, Height: 6, Width: 5}
	n.Preprocessing.Crop = 1
	n.Layers = []convert.Layer{&convert.AveragePool{Window: converttest.Window(1, 1)}}
	return n
}

// TestNormalize_FollowsItsFormula computes the mean and the standard deviation in float64. The
// images are ordinary, darker by a factor, equal everywhere, and of hardly any contrast.
func TestNormalize_FollowsItsFormula(t *testing.T) {
	n := normalizedImages()
	x := modeltest.Pixels(3, 5, n.Input)
	image := func(i int) []float32 { return x.Float32s()[60*i : 60*i+60] }
	for j := range 60 {
		image(1)[j] = 0.01 * image(0)[j]
		image(2)[j], image(3)[j] = 0.1, 0.7
		image(4)[j] = 0.5 + 1e-5*image(0)[j]
	}
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	require.Equal(t, 1, m.Crop())
	out, err := m.Run(t.Context(), map[string]*runtime.Tensor{"image": x})
	require.NoError(t, err)
	got := out[m.Outputs()[0].Name].Float32s()
	require.Len(t, got, 5*24)
	for i := range 5 {
		var seen []float64
		for c := range 2 {
			for y := 1; y < 5; y++ {
				for column := 1; column < 4; column++ {
					seen = append(seen, float64(image(i)[30*c+5*y+column]))
				}
			}
		}
		var mean, variance float64
		for _, v := range seen {
			mean += v / 24
		}
		for _, v := range seen {
			variance += (v - mean) * (v - mean) / 24
		}
		for j, v := range seen {
			require.InDelta(t, (v-mean)/max(math.Sqrt(variance), 1e-4), got[24*i+j], 2e-3, "image %d", i)
		}
	}
	require.Equal(t, make([]float32, 48), got[48:96], "images that are equal everywhere become 0")
	require.InDeltaSlice(t, got[:24], got[24:48], 1e-5, "a factor has no effect")
	for _, v := range got[96:] {
		require.Less(t, math.Abs(float64(v)), 0.2, "the contrast is not raised without limit")
	}
}

func TestNormalize_DoesNotDependOnTheBatch(t *testing.T) {
	n := converttest.Normalized()
	x := modeltest.Pixels(3, 4, n.Input)
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	require.Equal(t, 2, m.Crop())
	all, err := m.Run(t.Context(), map[string]*runtime.Tensor{"image": x})
	require.NoError(t, err)
	fixed, err := runtime.New(modeltest.Write(t, n, convert.Options{Batch: 1}))
	require.NoError(t, err)
	for i := range 4 {
		one := opstest.F32([]int{1, 1, 12, 12}, x.Float32s()[144*i:144*i+144]...)
		out, err := fixed.Run(t.Context(), map[string]*runtime.Tensor{"image": one})
		require.NoError(t, err)
		require.Equal(t, all["logits"].Float32s()[3*i:3*i+3], out["logits"].Float32s())
	}
}

// TestInteropNormalized_LayersMatch compares all layers with onnxruntime, also for an image that is
// equal everywhere.
func TestInteropNormalized_LayersMatch(t *testing.T) {
	requireOnnxruntime(t)
	for name, n := range map[string]*convert.Network{"convolutions": converttest.Normalized(), "two channels": normalizedImages()} {
		for _, batch := range []int{0, 3} {
			t.Run(name, func(t *testing.T) {
				x := modeltest.Pixels(7, 3, n.Input)
				size := x.Len() / 3
				for i := range size {
					x.Float32s()[size+i] = 0.5
				}
				model := modeltest.Write(t, n, convert.Options{Batch: batch})
				onnxruntime{t}.compare(model, model, map[string]*runtime.Tensor{"image": x}, 5e-6)
			})
		}
	}
}
