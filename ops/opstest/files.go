package opstest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/ops"
)

// Load returns the tensor in a .npy file.
func Load(t testing.TB, path string) *ops.Tensor {
	t.Helper()
	a, err := npy.ReadFile(os.DirFS(filepath.Dir(path)), filepath.Base(path), npy.MaxElements)
	require.NoError(t, err)
	x, err := ops.FromSlice(a.Shape, a.Data)
	require.NoError(t, err)
	return x
}

// SharedVariable is the environment variable that says where the recordings of
// the original are, which are too large for this repository.
const SharedVariable = "SBS_SHARED"

// Shared returns the path of a folder of recordings of the original, below
// fixtures/. Without SharedVariable the test is skipped; with it, the folder
// must be there.
func Shared(t testing.TB, folder string) string {
	t.Helper()
	root := os.Getenv(SharedVariable)
	if root == "" {
		t.Skipf("%s is not set: no recordings of the original to compare with", SharedVariable)
	}
	path := filepath.Join(root, "fixtures", folder)
	require.DirExists(t, path)
	return path
}
