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
	n := network(t, filepath.Join(base, "model_0.25.onnx"))
	require.Equal(t, 16, n.Layers[0].(*convert.SbS).Spikes)
	require.Equal(t, 60, n.Layers[2].(*convert.SbS).Spikes)
	require.FileExists(t, filepath.Join(base, "Parameters", "Weight_L0_S1_0.25.npy"))
	require.DirExists(t, filepath.Join(base, "Log_0.25"))
	loaded, r, err := pytorch.Load(pytorch.Options{Weights: filepath.Join(base, "Parameters"), Input: n.Input})
	require.NoError(t, err)
	require.Equal(t, "0.25", r.Order)
	require.Equal(t, 16, loaded.Layers[0].(*convert.SbS).Spikes)
	must(t, path, "--data", data, "--epochs", "2", "--order", "0.25", "--resume")

	// Another order needs no other folder, unless the configuration is written, too.
	_, stderr := must(t, path, "--data", data, "--epochs", "1", "--order", "1")
	require.Contains(t, stderr, "layer 0 (SbS) has 64 spikes instead of number_of_spikes: because of --order 1.0, and the input has 64 values")
	require.FileExists(t, filepath.Join(base, "Parameters", "Weight_L0_S1_1.0.npy"))
	require.FileExists(t, filepath.Join(base, "model_1.0.onnx"))
	_, _, err = pytorch.Load(pytorch.Options{Weights: filepath.Join(base, "Parameters"), Input: n.Input})
	require.ErrorContains(t, err, "have several orders: 0.25, 1.0; choose one with --order")
	out := filepath.Join(t.TempDir(), "sweep")
	must(t, path, "--data", data, "--epochs", "1", "--order", "0.25", "-o", out)
	_, _, err = command(t, path, "--data", data, "--epochs", "1", "--order", "1", "-o", out)
	require.ErrorContains(t, err, "already exists with different content")
	require.ErrorContains(t, err, "the configuration has the number of spikes of one --order: give another --output for each")
	_, _, err = command(t, path, "--data", data, "--epochs", "1")
	require.ErrorContains(t, err, "Weight_L0_S1_0.25.npy has another order in its name")
	_, _, err = command(t, path, "--data", data, "--epochs", "1", "--order", "0.25")
	require.ErrorContains(t, err, " already exists: resume its training")
	require.NotContains(t, err.Error(), "Load")

	_, _, err = command(t, path, "--data", data, "--order", "0.25", "--spikes", "9", "--force")
	require.ErrorContains(t, err, "--order 0.25 means 16 spikes of layer 0, but --spikes gives it 9: leave out one of them")
	_, _, err = command(t, path, "--data", data, "--order", "x")
	require.ErrorContains(t, err, `the order is "x", want a number greater than 0, or none`)
	_, _, err = command(t, filepath.Join(base, "model_0.25.onnx"), "--data", data, "--order", "0.25")
	require.ErrorContains(t, err, "--order requires a configuration")
}
