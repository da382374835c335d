package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

func TestInfo_DescribesApproximateConvolutions(t *testing.T) {
	n := converttest.Approximate(sbs.Approximation{FracBits: 8, TruncBits: 7, Enabled: true}, sbs.Approximation{FracBits: 30, TruncBits: 1, Enabled: true}, sbs.Approximation{FracBits: 12})
	out := info(t, n)
	for _, want := range []string{
		"ApproxConv  2x3 dilated 1x2 padded 1x2, products of 8 bits without 7 columns", "1x1, float32 products", "1x1, products of 12 bits",
		"operators: ApproxConv with a fallback of ",
	} {
		require.Contains(t, out, want)
	}
}

// TestInfo_CountsIterations describes NNMF layers.
func TestInfo_CountsIterations(t *testing.T) {
	m := converttest.New(1)
	additive, multiplicative := m.NNMF(converttest.Window(2, 1), 1, 4, 20), m.NNMF(converttest.Window(1, 1), 4, 3, 7)
	additive.Epsilon0, multiplicative.Epsilon0 = 0.5, 0
	n := &convert.Network{Input: convert.Size{Channels: 1, Height: 2, Width: 2}, Layers: []convert.Layer{additive, multiplicative}}
	require.Regexp(t, `spikes +epsilon +spike updates\n0 +NNMF .*  20 iterations +0\.5 +-\n1 +NNMF .*  7 iterations +multiplicative +-\n`, info(t, n))
}

// TestInfo_HasNoClassesOfAReconstruction describes an autoencoder.
func TestInfo_HasNoClassesOfAReconstruction(t *testing.T) {
	n := converttest.Digits()
	n.Training, n.Classes = nil, nil
	first := n.Layers[0].(*convert.SbS)
	n.Layers = []convert.Layer{first, &convert.Reconstruction{Weights: first.Weights}}
	out := info(t, n)
	require.Contains(t, out, "spike updates per image, output: a reconstruction, 9x")
	require.NotContains(t, out, "classes")
}

// info returns the description of a network.
func info(t *testing.T, n *convert.Network) string {
	t.Helper()
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	out, _, err := command(t, "--info", path)
	require.NoError(t, err)
	return out
}
