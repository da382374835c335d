package cli

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

func TestReadModel_VerifiesTheChecksumUnlessItIsIgnored(t *testing.T) {
	m := &onnxpb.ModelProto{IrVersion: 8, Graph: &onnxpb.GraphProto{Initializer: []*onnxpb.TensorProto{onnx.Float32Tensor("w", []int{2}, []float32{1, 2})}}}
	require.NoError(t, onnx.Stamp(m))
	path := filepath.Join(t.TempDir(), "model.onnx")
	write := func() []byte {
		data, err := onnx.Marshal(m)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return data
	}
	whole := write()
	_, data, err := ReadModel(t.Context(), path, false)
	require.NoError(t, err)
	require.Equal(t, whole, data)
	m.Graph.Initializer[0].RawData[0] = 9
	changed := write()
	_, _, err = ReadModel(t.Context(), path, false)
	require.ErrorIs(t, err, onnx.ErrChecksum)
	require.ErrorContains(t, err, path+": ")
	back, data, err := ReadModel(t.Context(), path, true)
	require.NoError(t, err)
	require.NotEqual(t, changed, data, "it has a checksum that fits")
	require.NoError(t, onnx.Verify(t.Context(), back))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = ReadModel(ctx, path, false)
	require.ErrorIs(t, err, ErrInterrupted)
	_, _, err = ReadModel(t.Context(), path+"x", false)
	require.ErrorIs(t, err, os.ErrNotExist)
}
