package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrite_ReplacesAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, Write(path, []byte("one")))
	require.NoError(t, Write(path, []byte("two")))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "two", string(b))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
}

func TestWrite_LeavesNoTemporaryFileAfterAnError(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing", "file")
	err := Write(missing, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, missing)

	// A folder cannot be replaced by a file.
	path := filepath.Join(dir, "folder")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "content"), 0o700))
	require.Error(t, Write(path, []byte("x")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
	require.DirExists(t, filepath.Join(path, "content"))
}

func TestWrite_ReplacesTheTargetOfASymbolicLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(target, []byte("one"), 0o600))
	if err := os.Symlink(target, link); err != nil {
		t.Skip("the system does not support symbolic links:", err)
	}
	require.NoError(t, Write(link, []byte("two")))
	b, err := os.ReadFile(target)
	require.NoError(t, err)
	require.Equal(t, "two", string(b))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
}

// TestWrite_CreatesTheTargetOfSymbolicLinks checks that Write creates the missing file
// at the end of a chain of links, and does not replace the links.
func TestWrite_CreatesTheTargetOfSymbolicLinks(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "far", "away"), 0o755))
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skip("the system does not support symbolic links:", err)
		}
	}
	link(filepath.Join("far", "away"), "folder")
	link(filepath.Join(dir, "folder", "second"), "first")
	link(filepath.Join("..", "file"), filepath.Join("folder", "second")) // far/file, not file
	require.NoError(t, Write(filepath.Join(dir, "first"), []byte("one")))
	require.NoError(t, Write(filepath.Join(dir, "first"), []byte("two")))
	b, err := os.ReadFile(filepath.Join(dir, "far", "file"))
	require.NoError(t, err)
	require.Equal(t, "two", string(b))
	for _, name := range []string{"first", "folder/second"} {
		info, err := os.Lstat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NotZero(t, info.Mode()&os.ModeSymlink)
	}

	t.Chdir(dir)
	require.NoError(t, os.Symlink("made", "plain"))
	require.NoError(t, Write("plain", []byte("x")))
	require.FileExists(t, "made")

	link("b", "a")
	link("a", "b")
	require.ErrorContains(t, Write(filepath.Join(dir, "a"), nil), "is a circle or a chain of more than 40 symbolic links: give the path of the file itself")
}

// TestWrite_AcceptsAFileNameOfMaximumLength checks that the name of the temporary file
// is not longer than the name of the file.
func TestWrite_AcceptsAFileNameOfMaximumLength(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Skip("the system does not support file names of 255 bytes:", err)
	}
	require.NoError(t, Write(path, []byte("x")))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "x", string(b))
}

// TestWrite_ErrorsNameTheFile provokes errors after the temporary file exists.
func TestWrite_ErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	path := strings.Repeat("n", 5000) // longer than any system allows
	for _, path := range []string{path, filepath.Join(dir, path)} {
		err := Write(path, []byte("x"))
		var e *fs.PathError
		require.ErrorAs(t, err, &e)
		require.Equal(t, path, e.Path)
		require.NotContains(t, err.Error(), ".tmp")
	}
	require.EqualError(t, Write("", []byte("x")), "the path of the file to write is empty")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "no temporary file is left")
}

func TestWrite_RefusesADevice(t *testing.T) {
	require.ErrorContains(t, Write(os.DevNull, []byte("x")), "is not a regular file")
}

func TestFile_AppearsWithItsWholeContent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, old := range []string{"", "old"} {
		if old != "" {
			require.NoError(t, os.WriteFile(path, []byte(old), 0o600))
		}
		f, err := Create(path)
		require.NoError(t, err)
		for _, text := range []string{"one, ", "two"} {
			_, err = f.Write([]byte(text))
			require.NoError(t, err)
			b, err := os.ReadFile(path)
			require.Equal(t, old, string(b), "before Commit")
			require.Equal(t, old == "", err != nil)
		}
		require.NoError(t, f.Commit())
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "one, two", string(b))
	}
	f, err := Create(path)
	require.NoError(t, err)
	_, err = f.Write([]byte("three"))
	require.NoError(t, err)
	require.NoError(t, f.Discard())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "one, two", string(b), "after Discard")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
}
