package dataset

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// shared returns the path of a file of which people reported that it went wrong. These
// files are not part of the repository; the environment variable SBS_SHARED names the
// folder that has them.
func shared(t *testing.T, path string) string {
	t.Helper()
	root := os.Getenv("SBS_SHARED")
	if root == "" {
		t.Skip("SBS_SHARED is not set")
	}
	path = filepath.Join(root, "cases", path)
	_, err := os.Stat(path)
	require.NoError(t, err)
	return path
}

func TestConformance_ReportedLabels(t *testing.T) {
	pictures, err := filepath.Glob(shared(t, "trainvaltest/tvd/test") + "/*/[^.]*.png")
	require.NoError(t, err)
	require.Len(t, pictures, 60)
	for _, file := range []string{"csvlabels/l.csv", "savetxt/l_savetxt.txt"} {
		folder := t.TempDir()
		for _, p := range pictures {
			content, err := os.ReadFile(p)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(folder, filepath.Base(p)), content, 0o600))
		}
		s, err := Open([]string{folder}, Options{Labels: shared(t, file)})
		require.NoError(t, err)
		for i := range s.Len() {
			// The class folder that the image came from.
			matches, err := filepath.Glob(shared(t, "trainvaltest/tvd/test") + "/*/" + filepath.Base(s.At(i).Name))
			require.NoError(t, err)
			require.Equal(t, filepath.Base(filepath.Dir(matches[0])), string(rune('0'+s.At(i).Label)), "%s", file)
		}
	}
}

func TestConformance_ReportedFiles(t *testing.T) {
	s, err := Open([]string{shared(t, "pickle-p4/test_batch")}, Options{})
	require.NoError(t, err)
	require.Equal(t, 200, s.Len())
	require.Equal(t, []int{3, 8, 8, 0, 6}, []int{s.At(0).Label, s.At(1).Label, s.At(2).Label, s.At(3).Label, s.At(4).Label})
	_, err = Open([]string{shared(t, "htmlgz")}, Options{})
	require.ErrorContains(t, err, "t10k-images-idx3-ubyte.gz: want ")
	require.ErrorContains(t, err, "but this is an HTML page")
	_, err = Open([]string{filepath.Join(shared(t, "htmlgz"), "t10k-images-idx3-ubyte.gz")}, Options{})
	require.ErrorContains(t, err, "but this is an HTML page")
	for subset, folder := range map[Subset]string{Training: "train", Test: "test"} {
		s, err := Open([]string{shared(t, "trainvaltest")}, Options{Subset: subset})
		require.NoError(t, err)
		require.Equal(t, 60, s.Len())
		require.Contains(t, filepath.ToSlash(s.At(0).Name), "/"+folder+"/")
	}
}
