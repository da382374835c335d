package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPictureWarnings_CountAndName(t *testing.T) {
	require.Empty(t, PictureWarnings("auto", 0, 5, nil))
	require.Empty(t, PictureWarnings("yes", 5, 5, nil), "the user knows")
	inverted := func(n, total int) string { return PictureWarnings("auto", n, total, nil)[0] }
	require.Contains(t, inverted(1, 1), "the image was inverted")
	require.Contains(t, inverted(1, 3), "1 of 3 images was inverted")
	require.Contains(t, inverted(2, 3), "--invert no")

	blank := func(names ...string) string { return PictureWarnings("auto", 0, 9, names)[0] }
	require.Contains(t, blank("a.png"), "a.png is blank: all its pixels")
	require.Contains(t, blank("a", "b"), "a and b are blank")
	require.Contains(t, blank("a", "b", "c"), "a, b and c are blank")
	names := []string{"a", "b", "c", "d", "e"}
	require.Contains(t, blank(names...), "a, b, c and 2 more are blank")
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, names)
}
