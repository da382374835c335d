package dataset

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpen_NamesSkippedFiles(t *testing.T) {
	heic := []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
	files := map[string][]byte{
		"1.png": grayPNG(t, 1), "notes.txt": []byte("a text"), "z.heic": heic, "y": []byte("%PDF-1.4\n"), "x.tga": {0, 0, 2, 0},
		".DS_Store": {1}, "Thumbs.db": {1}, "scan": grayPNG(t, 2),
	}
	folder := write(t, files)
	s, err := Open([]string{folder}, small)
	require.NoError(t, err)
	require.Equal(t, 1, s.Len())
	require.Equal(t, []string{
		fmt.Sprintf("5 files in %s were skipped: scan (a picture without the extension of one), x.tga (TGA), y (PDF), z.heic (HEIC), notes.txt", folder),
	}, s.Warnings())
	opt := small
	opt.Labels = filepath.Join(folder, "notes.txt")
	s, err = Open([]string{folder}, opt)
	require.NoError(t, err)
	require.NotContains(t, s.Warnings()[0], "notes.txt", "the file of the labels is used")

	// In class folders, and in a folder beside them.
	folder = write(t, map[string][]byte{"a/1.png": grayPNG(t, 1), "a/2.heif": heic, "b/3.png": grayPNG(t, 1), "c/4.HEIC": heic})
	s, err = Open([]string{folder}, small)
	require.NoError(t, err)
	require.Equal(t, []string{fmt.Sprintf("2 files in %s were skipped: %s (HEIC), %s (HEIC)", folder, filepath.Join("a", "2.heif"), filepath.Join("c", "4.HEIC"))}, s.Warnings())

	many := map[string][]byte{"1.png": grayPNG(t, 1)}
	for i := range 14 {
		many[fmt.Sprintf("%d.csv", i)] = nil
	}
	s, err = Open([]string{write(t, many)}, small)
	require.NoError(t, err)
	require.Contains(t, s.Warnings()[0], "14 files in ")
	require.Contains(t, s.Warnings()[0], "8.csv, 9.csv and 4 more")

	s, err = Open([]string{write(t, map[string][]byte{"1.png": grayPNG(t, 1), "2.png": heic})}, small)
	require.NoError(t, err)
	require.Empty(t, s.Warnings())
	require.ErrorContains(t, s.At(1).Err, "the format of the file is HEIC, which cannot be read: save it as PNG")
}

func TestOpen_NamesPicturesThatCannotBeRead(t *testing.T) {
	heic := []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
	folder := write(t, map[string][]byte{"a/1.heic": heic, "b/2.heic": heic, "b/notes.txt": nil})
	_, err := Open([]string{folder}, small)
	require.ErrorContains(t, err, "contains no images that can be read (but "+filepath.Join("a", "1.heic")+" (HEIC), "+filepath.Join("b", "2.heic")+" (HEIC); save such pictures as PNG")
	_, err = Open([]string{filepath.Join(folder, "a", "1.heic")}, small)
	require.ErrorContains(t, err, "1.heic is HEIC, which cannot be read: save it as PNG")
	_, err = Open([]string{filepath.Join(folder, "b")}, small)
	require.ErrorContains(t, err, "contains no images that can be read (but 2.heic (HEIC)")
}
