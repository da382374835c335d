package modeltest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// SharedVariable is the environment variable with the path of the recordings of
// PyTorch-SbS, which are too large for this repository.
const SharedVariable = "SBS_SHARED"

// Shared returns the path of a folder of recordings, below fixtures/. It skips the test if
// SharedVariable is not set. If it is set, the folder must exist.
func Shared(t testing.TB, folder string) string {
	t.Helper()
	return shared(t, filepath.Join("fixtures", folder))
}

// SharedCases returns the path of the folder of small inputs that once went wrong, and skips
// the test as Shared does.
func SharedCases(t testing.TB) string {
	t.Helper()
	return shared(t, "cases")
}

func shared(t testing.TB, folder string) string {
	t.Helper()
	root := os.Getenv(SharedVariable)
	if root == "" {
		t.Skipf("%s is not set: no recordings of PyTorch-SbS to compare with", SharedVariable)
	}
	path := filepath.Join(root, folder)
	require.DirExists(t, path)
	return path
}

// SharedLayers returns the recordings of single layers, in any depth of a folder below fixtures/,
// whose layer_type is kind: the content of case.json by the path of the recording. It skips the
// test as Shared does, and fails it if there is no such recording.
func SharedLayers(t testing.TB, folder, kind string) map[string]map[string]any {
	t.Helper()
	found := map[string]map[string]any{}
	require.NoError(t, filepath.WalkDir(Shared(t, folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "case.json" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var c map[string]any
		if err := json.Unmarshal(b, &c); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if s, ok := c["layer_type"].(string); ok && strings.EqualFold(s, kind) {
			found[filepath.Dir(path)] = c
		}
		return nil
	}))
	require.NotEmpty(t, found, "recordings of %s", kind)
	return found
}
