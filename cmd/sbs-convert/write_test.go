package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// mustConvert converts the weights and returns the model.
func mustConvert(t *testing.T, path string, flags ...string) []byte {
	t.Helper()
	_, _, err := command(t, append([]string{weights, path}, flags...)...)
	require.NoError(t, err)
	return read(t, path)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func TestConvert_KeepsAModelWithTheSameContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	want := mustConvert(t, path)
	require.NoError(t, os.Chmod(path, 0o444))
	before, err := os.Stat(path)
	require.NoError(t, err)
	for _, flags := range [][]string{nil, {"--force"}} {
		out, errOut, err := command(t, append([]string{weights, path}, flags...)...)
		require.NoError(t, err)
		require.Empty(t, errOut)
		require.Contains(t, out, "unchanged: "+filepath.ToSlash(path)+" (")
		require.NotContains(t, out, "wrote")
		require.Equal(t, want, read(t, path))
		after, err := os.Stat(path)
		require.NoError(t, err)
		require.True(t, os.SameFile(before, after), "the file was not replaced by a new one")
		require.Equal(t, before.ModTime(), after.ModTime())
	}
}

func TestConvert_ReplacesOtherContentOnlyWithForce(t *testing.T) {
	for _, c := range []struct {
		name  string
		other func(model []byte) []byte
	}{
		{"shorter", func([]byte) []byte { return []byte("another file") }},
		{"empty", func([]byte) []byte { return nil }},
		{"of the same size", func(model []byte) []byte { model[len(model)/2]++; return model }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "model.onnx")
			want := mustConvert(t, filepath.Join(t.TempDir(), "model.onnx"))
			other := c.other(append([]byte(nil), want...))
			require.NoError(t, os.WriteFile(path, other, 0o600))
			perm := os.FileMode(0o640)
			if runtime.GOOS != "windows" { // there, a read-only file cannot be replaced
				perm = 0o444
			}
			require.NoError(t, os.Chmod(path, perm))
			before, err := os.Stat(path)
			require.NoError(t, err)
			out, _, err := command(t, weights, path)
			require.EqualError(t, err, "the model could not be written: "+path+
				" already exists with different content: choose another name, or replace the file with --force")
			require.Empty(t, out)
			require.Equal(t, string(other), string(read(t, path)))

			out, _, err = command(t, weights, path, "--force")
			require.NoError(t, err)
			require.Contains(t, out, "wrote "+filepath.ToSlash(path)+" (")
			require.Equal(t, want, read(t, path))
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, before.Mode(), info.Mode(), "the permissions are kept")
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 1, "no temporary file is left")
		})
	}
}

func TestConvert_FollowsSymbolicLinks(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "link.onnx")
	if err := os.Symlink("model.onnx", link); err != nil {
		t.Skip("symbolic links are not available:", err)
	}
	want := mustConvert(t, link)
	require.Equal(t, want, read(t, path), "a link to a file that did not exist")
	_, _, err := command(t, weights, link, "--spikes", "7")
	require.ErrorContains(t, err, link+" already exists with different content")
	require.Equal(t, want, read(t, path))
	require.NotEqual(t, want, mustConvert(t, link, "--spikes", "7", "--force"))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
}

func TestConvert_RefusesAFolderAsModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "content"), 0o700))
	for _, flags := range [][]string{nil, {"--force"}} {
		_, _, err := command(t, append([]string{weights, path}, flags...)...)
		require.ErrorContains(t, err, "are both folders; one argument must be the model file")
		require.DirExists(t, filepath.Join(path, "content"))
	}
	_, err := writeModel(path, nil, true)
	require.EqualError(t, err, path+" is a folder: name a file, such as "+filepath.Join(path, "model.onnx"))
}

func TestConvert_RefusesADeviceAsModel(t *testing.T) {
	if _, err := os.Stat(os.DevNull); err != nil {
		t.Skip("there is no null device:", err)
	}
	for _, force := range []bool{false, true} {
		_, err := writeModel(os.DevNull, []byte("model"), force)
		require.ErrorContains(t, err, "is not a regular file")
	}
}
