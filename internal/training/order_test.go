package training

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
)

// TestTrain_HasTheSpikesOfAnOrder checks the spikes of layer 0 for its 8x8 inputs, and the names
// of the files.
func TestTrain_HasTheSpikesOfAnOrder(t *testing.T) {
	path, data := dialect2(t), bars(t, 48, 0)
	base := filepath.Dir(path)
	must(t, path, "--data", data, "--epochs", "1", "--order", ".250")
	n := network(t, filepath.Join(base, "model.onnx"))
	require.Equal(t, 16, n.Layers[0].(*convert.SbS).Spikes)
	require.Equal(t, 60, n.Layers[2].(*convert.SbS).Spikes)
	require.FileExists(t, filepath.Join(base, "Parameters", "Weight_L0_S1_0.25.npy"))
	require.DirExists(t, filepath.Join(base, "Log_0.25"))
	loaded, r, err := pytorch.Load(pytorch.Options{Weights: filepath.Join(base, "Parameters"), Input: n.Input})
	require.NoError(t, err)
	require.Equal(t, "0.25", r.Order)
	require.Equal(t, 16, loaded.Layers[0].(*convert.SbS).Spikes)
	must(t, path, "--data", data, "--epochs", "2", "--order", "0.25", "--resume")

	_, _, err = command(t, path, "--data", data, "--order", "0.25", "--spikes", "9", "--force")
	require.ErrorContains(t, err, "the order 0.25 means 16 spikes of layer 0, which has 9")
	_, _, err = command(t, path, "--data", data, "--order", "x")
	require.ErrorContains(t, err, `the order is "x"`)
	_, _, err = command(t, filepath.Join(base, "model.onnx"), "--data", data, "--order", "0.25")
	require.ErrorContains(t, err, "--order requires a configuration")
}
