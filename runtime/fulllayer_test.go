package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestFullLayers_AreDescribed checks what a model says about layers that draw their spikes from
// the whole image: with a window of 3x3, most pixels of the image reach 9 positions.
func TestFullLayers_AreDescribed(t *testing.T) {
	n := converttest.Variants()["full layer"]
	m := open(t, n)
	layers := m.SbSLayers()
	require.Len(t, layers, 2)
	const spikes, positions, pairs = 60, 7 * 6, 7 * 6 * 9
	require.Equal(t, runtime.SbSLayer{
		Name: "L0/SbS", Spikes: spikes, Sampler: runtime.IID, Epsilon0: 1, FullLayer: true,
		Positions: positions, Updates: spikes * pairs / (9 * 8),
	}, layers[0])
	require.False(t, layers[1].FullLayer)
	want, err := n.Updates()
	require.NoError(t, err)
	require.Equal(t, want, layers[0].Updates+layers[1].Updates)
	run(t, m, modeltest.Pixels(1, 2, n.Input), runtime.ReportEffort(func(e runtime.Effort) {
		require.Equal(t, []int64{int64(want), int64(want)}, e.Updates)
	}))
}

// TestFullLayers_ShowPrefixesOfTheRun watches both kinds of layers in one model.
func TestFullLayers_ShowPrefixesOfTheRun(t *testing.T) {
	for _, name := range []string{"full layer", "two full layers", "full layer with everything"} {
		n := converttest.Variants()[name]
		m, image := open(t, n), modeltest.Pixels(2, 3, n.Input)
		layers := map[string]*runtime.Tensor{}
		observe := runtime.Observe(func(name string, v *runtime.Tensor) { layers[name] = v })
		want := run(t, m, image, runtime.Seed(5), observe)
		all := n.Layers[0].(*convert.SbS).Spikes
		got, list := watched(t, m, image, runtime.Watcher{Layers: []string{"L0"}, After: []int{10, all}, Spikes: true}, runtime.Seed(5))
		require.Equal(t, want, got, name)
		require.Len(t, list, 2)
		require.Equal(t, layers["L0"].Float32s(), list[1].H.Float32s(), name)
		require.Equal(t, firstSpikes(list[1].Drawn, 10), list[0].Drawn.Int64s(), name)
		require.Contains(t, list[0].Drawn.Int64s(), int64(-1), "not every position sees every spike")
		run(t, m, image, runtime.Seed(5), runtime.Layer("L0", runtime.Dynamics{Spikes: 10}), observe)
		require.Equal(t, layers["L0"].Float32s(), list[0].H.Float32s(), name)
	}
}
