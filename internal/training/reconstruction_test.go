package training

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// TestTrain_ReconstructionHasALossAndNoAccuracy trains a network that ends with a reconstruction,
// interrupts nothing, and looks at what the user sees and what the log has.
func TestTrain_ReconstructionHasALossAndNoAccuracy(t *testing.T) {
	n := converttest.Digits()
	n.Training, n.Classes = nil, nil
	first := n.Layers[0].(*convert.SbS)
	n.Layers = []convert.Layer{first, &convert.Reconstruction{Weights: first.Weights}}
	content, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "autoencoder.onnx")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	out := filepath.Join(t.TempDir(), "trained.onnx")

	stdout, stderr := must(t, path, "--data", bars(t, 60, 30), "-o", out, "--epochs", "20", "--lr", "0.2")
	require.Contains(t, stdout, "test loss ")
	require.NotContains(t, stdout+stderr, "accuracy")
	require.Contains(t, stderr, "epoch 19: loss ")

	m, err := trainlog.OpenMetrics(filepath.Join(filepath.Dir(out), "trained-log", "metrics.jsonl"), 1<<40)
	require.NoError(t, err)
	records := m.Records()
	require.NoError(t, m.Close())
	require.NotEmpty(t, records)
	last := records[len(records)-1]
	require.Nil(t, last.TrainError)
	require.Nil(t, last.TestError)
	require.NotNil(t, last.TestLoss)
	require.Less(t, last.Loss, 0.95*records[0].Loss)
	require.InEpsilon(t, last.Loss, *last.TestLoss, 0.5)

	_, err = os.Stat(filepath.Join(filepath.Dir(out), "trained-log", "best.onnx"))
	require.NoError(t, err)
}
