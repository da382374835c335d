package dataset

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Open reads the same from a copy that has only the files that Files lists.
func TestFiles_AreThoseThatOpenReads(t *testing.T) {
	idx := idxBytes([]int{3, 2, 2}, make([]byte, 12)...)
	labels := idxBytes([]int{3}, 0, 1, 2)
	folder := write(t, map[string][]byte{
		"t10k-images-idx3-ubyte":           idx,
		"t10k-labels-idx1-ubyte":           labels,
		"other":                            idx,
		"deep/a/b/t10k-images-idx3-ubyte":  idx,
		"deep/a/b/t10k-labels-idx1-ubyte":  labels,
		"classes/0/a.png":                  grayPNG(t, 1),
		"classes/1/b.png":                  grayPNG(t, 2),
		"classes/readme.txt":               []byte("text"),
		"classes/.hidden/c.png":            grayPNG(t, 3),
		"links/0/a.png":                    grayPNG(t, 1),
		"plain/t10k-images-idx3-ubyte":     idx,
		"plain/t10k-labels.idx1-ubyte.txt": labels,
	})
	require.NoError(t, os.Symlink("nowhere", filepath.Join(folder, "links/0/b.png")))
	require.NoError(t, os.Symlink(filepath.Join(folder, "classes/1"), filepath.Join(folder, "links/1")))
	for path, want := range map[string]int{
		"t10k-images-idx3-ubyte": 2, "other": 1, "deep": 2, "classes": 3, "links": 3, "classes/0/a.png": 1, "plain/t10k-images-idx3-ubyte": 1,
	} {
		t.Run(path, func(t *testing.T) {
			files, err := Files(filepath.Join(folder, path))
			require.NoError(t, err)
			require.Len(t, files, want)
			copied := t.TempDir()
			for _, file := range files {
				name, err := filepath.Rel(folder, file)
				require.NoError(t, err)
				to := filepath.Join(copied, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
				if data, err := os.ReadFile(file); err == nil {
					require.NoError(t, os.WriteFile(to, data, 0o600))
				} else {
					require.NoError(t, os.Symlink("nowhere", to))
				}
			}
			var sums []string
			for _, at := range []string{folder, copied} {
				t.Chdir(at)
				s, err := Open([]string{path}, small)
				require.NoError(t, err)
				sums = append(sums, Fingerprint(s))
				require.NoError(t, s.Close())
			}
			require.Equal(t, sums[0], sums[1])
		})
	}
	_, err := Files(filepath.Join(folder, "missing"))
	require.ErrorContains(t, err, "missing: no such file")
	require.Equal(t, "a.npz", Split("a.npz:x_test"))
}
