package training

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/clitest"
)

func TestTrain_InvertsPicturesForAModelThatLearnedTheOther(t *testing.T) {
	data, out := bars(t, 96, 0), t.TempDir()
	_, errOut := must(t, dialect2(t), "--data", data, "-o", out, "--epochs", "1", "--no-test")
	require.NotContains(t, errOut, "invert")
	start := filepath.Join(out, "model.onnx")
	require.Equal(t, &convert.Borders{}, network(t, start).Borders, "black")

	paper := t.TempDir()
	clitest.Paper(t, paper, 96)
	require.NoError(t, os.WriteFile(filepath.Join(paper, "0", "photo.heic"), nil, 0o600))
	tuned := filepath.Join(t.TempDir(), "tuned.onnx")
	_, errOut = must(t, start, "--data", paper, "-o", tuned, "--epochs", "1", "--test", paper)
	require.Contains(t, errOut, "96 of 96 images were inverted (dark became light)")
	require.Contains(t, errOut, "1 file in "+paper+" was skipped: "+filepath.Join("0", "photo.heic")+" (HEIC)")
	require.Equal(t, &convert.Borders{}, network(t, tuned).Borders)

	_, errOut = must(t, start, "--data", paper, "-o", tuned, "--epochs", "1", "--no-test", "--invert", "no", "--force")
	require.NotContains(t, errOut, "invert")
	require.Equal(t, [3]float32{1, 1, 1}, network(t, tuned).Borders.Median)

	// A new network learns what it is given.
	out = t.TempDir()
	_, errOut = must(t, dialect2(t), "--data", paper, "-o", out, "--epochs", "1", "--no-test")
	require.NotContains(t, errOut, "invert")
	require.Equal(t, [3]float32{1, 1, 1}, network(t, filepath.Join(out, "model.onnx")).Borders.Median)
}
