package modeltest

import (
	"os"
	"path/filepath"
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
