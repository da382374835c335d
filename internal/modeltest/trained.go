package modeltest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TrainedFiles returns the contents of the files in the output folder of a training from a configuration, without
// times. The names are relative to the folder and have slashes.
func TrainedFiles(t testing.TB, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	seconds := regexp.MustCompile(`"seconds":[0-9.e+-]+`)
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !slices.Contains([]string{".onnx", ".npy", ".json", ".jsonl"}, filepath.Ext(path)) {
			return err
		}
		name, err := filepath.Rel(folder, path)
		require.NoError(t, err)
		content, err := os.ReadFile(path)
		all[filepath.ToSlash(name)] = seconds.ReplaceAllString(string(content), "")
		return err
	})
	require.NoError(t, err)
	require.Contains(t, all, "model.onnx")
	return all
}
