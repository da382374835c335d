package models

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSplit_NamesModels(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(folder, 0o755))
	t.Chdir(folder)
	require.NoError(t, os.WriteFile("a=b.onnx", nil, 0o600))
	for arg, want := range map[string][2]string{
		"digits.onnx":                    {"digits", "digits.onnx"},
		"models/mnist-fast/model.onnx":   {"mnist-fast", "models/mnist-fast/model.onnx"},
		"model.onnx":                     {"folder", "model.onnx"},
		"/model.onnx":                    {"model", "/model.onnx"},
		"x=models/mnist-fast/model.onnx": {"x", "models/mnist-fast/model.onnx"},
		"with space.v2.onnx":             {"with space.v2", "with space.v2.onnx"},
		"a=b.onnx":                       {"a=b", "a=b.onnx"}, // the file exists
		"a=c.onnx":                       {"a", "c.onnx"},
		"./run=1/digits.onnx":            {"digits", "./run=1/digits.onnx"},
		"ä=c.onnx":                       {"ä", "c.onnx"},
	} {
		name, path, err := split(arg)
		require.NoError(t, err, arg)
		require.Equal(t, want, [2]string{name, path}, arg)
	}
	for _, arg := range []string{"=c.onnx", "c=", "a\tb=c.onnx", "a\x00.onnx", ".onnx", "...onnx", "..=c.onnx", ".=c.onnx", "\xff=c.onnx", "\xff.onnx"} {
		_, _, err := split(arg)
		require.Error(t, err, arg)
	}
}
