package convert_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

func TestWriteFile_IsReadBack(t *testing.T) {
	data, err := convert.ToONNX(converttest.Digits(), convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "m.onnx")
	require.NoError(t, convert.WriteFile(path, data))
	got, err := convert.ReadFile(t.Context(), path)
	require.NoError(t, err)
	require.Equal(t, data, got)
	require.ErrorContains(t, convert.WriteFile(filepath.Join(path, "m.onnx"), data), "convert: ")
	_, err = convert.ReadFile(t.Context(), path+"x")
	require.ErrorContains(t, err, "convert: ")
}
