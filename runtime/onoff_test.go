package runtime_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// onOff runs an on/off split without a mean.
func onOff(t *testing.T, input *runtime.Tensor) []float32 {
	t.Helper()
	shape := input.Shape()
	n := &convert.Network{
		Input:  convert.Size{Channels: shape[1], Height: shape[2], Width: shape[3]},
		Layers: []convert.Layer{&convert.OnOff{}},
	}
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	return run(t, m, input)
}

func TestOnOff_SplitsAroundAHalfWithoutAMean(t *testing.T) {
	input, err := runtime.NewTensor([]int{1, 2, 1, 3}, []float32{0, 0.5, 0.75, 1, 0.25, 2})
	require.NoError(t, err)
	require.Equal(t, []float32{0, 0, 0.25, 0.5, 0, 1.5, 0.5, 0, 0, 0, 0.25, 0}, onOff(t, input))
}

func TestConformance_OnOffOfJuly2023(t *testing.T) {
	folder := modeltest.Shared(t, "layer-head/onoff")
	got := onOff(t, opstest.Load(t, filepath.Join(folder, "input.npy")))
	want := opstest.Load(t, filepath.Join(folder, "output.npy")).Float32s()
	require.InDeltaSlice(t, want, got, 1e-6)
}
