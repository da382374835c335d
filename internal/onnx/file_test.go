package onnx

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadAll_StopsAfterTheLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, make([]byte, 5000), 0o600))
	for most, want := range map[int64]int{10000: 5000, 5000: 5000, 4999: 5000, 100: 101} {
		data, err := readAll(t.Context(), path, most)
		require.NoError(t, err)
		require.Len(t, data, want)
	}
	_, err := readAll(t.Context(), path+"x", 100)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, _, err = ReadFile(t.Context(), path)
	require.ErrorIs(t, err, ErrFormat)
	require.ErrorContains(t, err, path+": ")
}
