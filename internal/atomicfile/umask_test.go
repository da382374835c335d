//go:build unix

package atomicfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrite_AppliesTheUmaskToNewFilesOnly(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	mode := func(name string) os.FileMode {
		require.NoError(t, Write(filepath.Join(dir, name), nil))
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	require.Equal(t, os.FileMode(0o600), mode("closed"))
	syscall.Umask(0o002)
	require.Equal(t, os.FileMode(0o664), mode("open"))

	// An existing file keeps its permissions.
	require.NoError(t, os.Chmod(filepath.Join(dir, "open"), 0o646))
	syscall.Umask(0o077)
	require.Equal(t, os.FileMode(0o646), mode("open"))
}

func TestWrite_KeepsThePermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, Write(path, nil))
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, Write(path, nil))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
