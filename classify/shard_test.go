package classify_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
)

// The results of an image depend on its number: a shard whose images had numbers from 0 would
// have other results, because of the noise.
func TestShard_KeepsTheNumbersOfTheImages(t *testing.T) {
	for _, limit := range []int{30, 7} {
		for _, batch := range []int{1, 4, 128} {
			c := open(t, shipped(t), classify.Noise("gaussian=0.3"), classify.BatchSize(batch))
			files, err := c.OpenFiles([]string{folder}, "")
			require.NoError(t, err)
			defer func() { require.NoError(t, files.Close()) }()
			files.Limit(limit)
			var want []classify.FileResult
			for r, err := range c.All(t.Context(), files, 0) {
				require.NoError(t, err)
				want = append(want, r)
			}
			require.Len(t, want, limit)
			whole := files.Fingerprint()
			for _, n := range []int{1, 2, 4, 11, 31} {
				t.Run(fmt.Sprint(limit, batch, n), func(t *testing.T) {
					var got []classify.FileResult
					for i := range n {
						first, err := files.Shard(i+1, n)
						require.NoError(t, err)
						require.Equal(t, len(got), first)
						require.Contains(t, []int{limit / n, limit/n + 1}, files.Len())
						require.Equal(t, whole, files.Fingerprint())
						before := len(got)
						for r, err := range c.All(t.Context(), files, 0) {
							require.NoError(t, err)
							got = append(got, r)
						}
						require.Equal(t, files.Len(), len(got)-before)
					}
					require.Equal(t, want, got)
				})
			}
		}
	}
}

func TestShard_RefusesNumbersThatDoNotExist(t *testing.T) {
	c := open(t, shipped(t))
	files, err := c.OpenFiles([]string{folder}, "")
	require.NoError(t, err)
	defer func() { require.NoError(t, files.Close()) }()
	for _, s := range [][2]int{{0, 3}, {4, 3}, {-1, 3}, {1, 0}, {0, 0}, {1, -1}} {
		_, err := files.Shard(s[0], s[1])
		require.ErrorContains(t, err, fmt.Sprintf("there is no shard %d of %d", s[0], s[1]))
		require.Equal(t, 30, files.Len())
	}
	var none *classify.Files
	_, err = none.Shard(1, 1)
	require.ErrorContains(t, err, "use OpenFiles")
	require.Empty(t, none.Fingerprint())
	_, err = files.Shard(2, 3)
	require.NoError(t, err)
	n := 0
	for _, err := range c.All(t.Context(), files, 4) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 4, n, "the limit of All counts the images of the shard")
	require.False(t, files.Limit(30))
	require.Equal(t, 30, files.Len())
}

func TestRename_ChangesNamesErrorsAndTheFingerprint(t *testing.T) {
	c := open(t, shipped(t))
	images := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(images, "broken.png"), []byte("\x89PNG\r\n\x1a\n"), 0o600))
	fingerprint := map[string]bool{}
	for _, shown := range []string{"", "shown"} {
		f, err := c.OpenFiles([]string{images}, "")
		require.NoError(t, err)
		want := images
		if shown != "" {
			want = shown
			f.Rename(func(text string) string { return strings.ReplaceAll(text, images, shown) })
		}
		for r, err := range c.All(t.Context(), f, 0) {
			require.NoError(t, err)
			require.Equal(t, filepath.Join(want, "broken.png"), r.File)
			require.ErrorContains(t, r.Err, filepath.Join(want, "broken.png")+": ")
			require.NotNil(t, errors.Unwrap(r.Err))
		}
		fingerprint[f.Fingerprint()] = true
		require.NoError(t, f.Close())
	}
	require.Len(t, fingerprint, 2)
	(*classify.Files)(nil).Rename(nil)
}
