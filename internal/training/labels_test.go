package training

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/npy"
)

// TestTrain_ReadsLabelFiles trains with the labels in tables, in another order.
func TestTrain_ReadsLabelFiles(t *testing.T) {
	data, path := bars(t, 48, 24), save(t, cnn())
	train := func(args ...string) string {
		out := filepath.Join(t.TempDir(), "out.onnx")
		must(t, append([]string{path, "--data", data, "-o", out, "--quiet"}, args...)...)
		content, err := os.ReadFile(out)
		require.NoError(t, err)
		return string(content)
	}
	want := train()
	tables := map[string]string{}
	for _, part := range []string{"Train", "Test"} {
		file := filepath.Join(data, part+"LabelStorage.npy")
		a, err := npy.ReadFile(os.DirFS(data), filepath.Base(file), 1000)
		require.NoError(t, err)
		numbers, err := a.Ints()
		require.NoError(t, err)
		rows := []string{}
		for i, n := range numbers {
			rows = append([]string{fmt.Sprintf("%d,%d", i, n)}, rows...)
		}
		tables[part] = filepath.Join(t.TempDir(), "labels.csv")
		require.NoError(t, os.WriteFile(tables[part], []byte("id,label\n"+strings.Join(rows, "\n")), 0o600))
		require.NoError(t, os.Remove(file))
	}
	_, _, err := command(t, path, "--data", data, "-o", filepath.Join(t.TempDir(), "out.onnx"))
	require.ErrorContains(t, err, "has no label")
	require.Equal(t, want, train("--labels", tables["Train"], "--test-labels", tables["Test"]))
}
