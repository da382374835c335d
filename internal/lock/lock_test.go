package lock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// variable is the environment variable with the folder that the test program locks until its
// standard input ends, instead of running the tests.
const variable = "SBS_LOCK_TEST_FOLDER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(variable); folder != "" {
		_, err := Folder(folder)
		fmt.Println("locked:", err == nil)
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// hold locks a folder in another process, and returns the process.
func hold(t *testing.T, folder string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+folder)
	_, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "locked: true\n", line)
	return cmd
}

// TestFolder_IsFreeAfterItsProcessIsKilled kills the process that holds the lock.
func TestFolder_IsFreeAfterItsProcessIsKilled(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "folder")
	other := hold(t, folder)
	_, err := Folder(folder)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, fmt.Sprintf("%s is in use by process %d", folder, other.Process.Pid))

	require.NoError(t, other.Process.Kill())
	_ = other.Wait() // returns the signal
	l, err := Folder(folder)
	require.NoError(t, err)
	require.NoError(t, l.Release())
}

func TestFolder_IsLockedOnceInAProcess(t *testing.T) {
	folder := t.TempDir()
	l, err := Folder(folder)
	require.NoError(t, err)
	_, err = Folder(folder)
	require.ErrorContains(t, err, fmt.Sprintf("in use by process %d", os.Getpid()))
	other, err := Folder(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, errors.Join(l.Release(), l.Release(), other.Release()))
	again, err := Folder(folder)
	require.NoError(t, err)
	require.NoError(t, again.Release())
	require.NoError(t, (*Lock)(nil).Release())
}

// TestFolder_NamesNoProcessThatIsUnknown uses files of a lock without the name of a process.
func TestFolder_NamesNoProcessThatIsUnknown(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a locked file cannot be replaced on Windows")
	}
	folder := t.TempDir()
	l, err := Folder(folder)
	require.NoError(t, err)
	for _, content := range []string{"", " ", "\n\n", " text without a process\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, File), []byte(content), 0o600))
		_, err = Folder(folder)
		require.ErrorContains(t, err, "is in use by another process")
	}
	require.NoError(t, l.Release())
}

func TestFolder_ReportsAFileInItsPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Folder(file)
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrLocked)
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, File), 0o755))
	_, err = Folder(folder)
	require.ErrorContains(t, err, filepath.Join(folder, File))
}
