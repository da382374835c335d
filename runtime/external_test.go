package runtime_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestOpen_ReadsExternalDataOfItsFolderOnly loads a model whose weights are in a
// second file: in the folder of the model, in its parent folder, and behind a link out of
// the folder.
func TestOpen_ReadsExternalDataOfItsFolderOnly(t *testing.T) {
	dir := t.TempDir()
	m := addModel()
	c := m.Graph.Initializer[0]
	weights := c.RawData
	c.RawData, c.DataLocation = nil, onnxpb.TensorProto_EXTERNAL
	c.ExternalData = []*onnxpb.StringStringEntryProto{{Key: "location", Value: "weights.bin"}}
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	folder := filepath.Join(dir, "model")
	require.NoError(t, os.Mkdir(folder, 0o700))
	path := filepath.Join(folder, "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weights.bin"), weights, 0o600))

	_, err = runtime.New(data)
	require.ErrorIs(t, err, runtime.ErrModel)
	require.ErrorContains(t, err, "store the model in one file")
	_, err = runtime.Open(path)
	require.ErrorIs(t, err, runtime.ErrModel)
	require.ErrorIs(t, err, os.ErrNotExist)

	inside := filepath.Join(folder, "weights.bin")
	if err := os.Symlink(filepath.Join(dir, "weights.bin"), inside); err == nil {
		_, err = runtime.Open(path)
		require.ErrorIs(t, err, runtime.ErrModel)
		require.ErrorContains(t, err, "escapes")
		require.NoError(t, os.Remove(inside))
	}

	require.NoError(t, os.WriteFile(inside, weights, 0o600))
	r, err := runtime.Open(path)
	require.NoError(t, err)
	got, err := r.Run(t.Context(), values{"x": f32([]int{1, 2}, 10, 20)})
	require.NoError(t, err)
	require.Equal(t, []float32{11, 22}, got["y"].Float32s())
}
