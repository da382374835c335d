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
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	out, _, err := command(t, "--info", path)
	require.NoError(t, err)
	for _, want := range []string{
		"ApproxConv  2x3 dilated 1x2 padded 1x2, products of 8 bits without 7 columns", "1x1, float32 products", "1x1, products of 12 bits",
		"operators: ApproxConv with a fallback of ",
	} {
		require.Contains(t, out, want)
	}
}
