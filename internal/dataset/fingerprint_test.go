package dataset

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFingerprint_DependsOnNamesLabelsAndPixels(t *testing.T) {
	fingerprint := func(names, labels int, pixels byte) string {
		t.Helper()
		files := map[string][]byte{}
		for i := range 3 {
			files[fmt.Sprintf("%d/%d.png", (i+labels)%3, names+i)] = grayPNG(t, byte(i)*pixels)
		}
		t.Chdir(write(t, files)) // the names are the same in every folder
		s, err := Open([]string{"."}, small)
		require.NoError(t, err)
		return Fingerprint(s)
	}
	want := fingerprint(0, 0, 1)
	require.Len(t, want, 64)
	require.Equal(t, want, fingerprint(0, 0, 1))
	require.NotEqual(t, want, fingerprint(1, 0, 1))
	require.NotEqual(t, want, fingerprint(0, 1, 1))
	require.NotEqual(t, want, fingerprint(0, 0, 2))
}

func TestFingerprint_ReadsTheFirstAndTheLastImage(t *testing.T) {
	folder := t.TempDir()
	fingerprint := func(changed, n int) string {
		t.Helper()
		values := make([]byte, 40*4)
		if changed >= 0 {
			values[changed*4] = 1
		}
		writeFile(t, filepath.Join(folder, "x.idx3"), idxBytes([]int{40, 2, 2}, values...))
		s, err := Open([]string{filepath.Join(folder, "x.idx3")}, small)
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		limited, _ := Limit(s, n)
		return Fingerprint(limited)
	}
	want := fingerprint(-1, 40)
	require.NotEqual(t, want, fingerprint(0, 40))
	require.NotEqual(t, want, fingerprint(39, 40))
	require.NotEqual(t, want, fingerprint(-1, 39))
	require.Equal(t, fingerprint(-1, 10), fingerprint(10, 10), "an image that is not there")
	seen := map[int]bool{}
	for i := range samples {
		seen[sampled(i, 1<<31-1)] = true
	}
	require.Len(t, seen, samples)
	require.True(t, seen[1<<31-2])
}
