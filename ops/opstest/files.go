package opstest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/ops"
)

// Load returns the tensor in a .npy file. The test fails if the file cannot be read.
func Load(t testing.TB, path string) *ops.Tensor {
	t.Helper()
	a, err := npy.ReadFile(os.DirFS(filepath.Dir(path)), filepath.Base(path), npy.MaxElements)
	require.NoError(t, err)
	x, err := ops.FromSlice(a.Shape, a.Data)
	require.NoError(t, err)
	return x
}
