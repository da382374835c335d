package atomicfile

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errInUse = errors.New("in use")

func TestRetry_WaitsForFilesThatAreInUse(t *testing.T) {
	other := errors.New("another error")
	for _, c := range []struct {
		results []error // of the first attempts; the last one repeats
		tries   int
		waited  time.Duration
		want    error
	}{
		{[]error{nil}, 1, 0, nil},
		{[]error{other}, 1, 0, other},
		{[]error{errInUse, errInUse, nil}, 3, 3 * time.Millisecond, nil},
		{[]error{errInUse, other}, 2, time.Millisecond, other},
		{[]error{errInUse}, 11, 1023 * time.Millisecond, errInUse},
	} {
		tries, waited := 0, time.Duration(0)
		err := retry(func() error {
			tries++
			return c.results[min(tries, len(c.results))-1]
		}, func(err error) bool { return errors.Is(err, errInUse) }, func(d time.Duration) { waited += d })
		require.Equal(t, c.want, err)
		require.Equal(t, c.tries, tries)
		require.Equal(t, c.waited, waited)
	}
}

func TestRename_ReportsWhatOsReports(t *testing.T) {
	folder := t.TempDir()
	err := Rename(filepath.Join(folder, "a"), filepath.Join(folder, "b"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, Write(filepath.Join(folder, "a"), []byte("new")))
	require.NoError(t, Write(filepath.Join(folder, "b"), []byte("old")))
	require.NoError(t, Rename(filepath.Join(folder, "a"), filepath.Join(folder, "b")))
	require.NoFileExists(t, filepath.Join(folder, "a"))
}

// TestLinked has the targets that links have on Windows, too.
func TestLinked_LeadsToTheTarget(t *testing.T) {
	unix := func(at, target string) string {
		return linked(at, target, func(string) string { return "" }, func(c uint8) bool { return c == '/' })
	}
	windows := func(at, target string) string {
		volume := func(path string) string {
			switch {
			case len(path) >= 2 && path[1] == ':':
				return path[:2]
			case strings.HasPrefix(path, `\\server\share`):
				return `\\server\share`
			}
			return ""
		}
		return linked(at, target, volume, func(c uint8) bool { return c == '/' || c == '\\' })
	}
	for _, c := range []struct {
		join             func(at, target string) string
		at, target, want string
	}{
		{unix, "model.onnx", "other.onnx", "other.onnx"},
		{unix, "a/b/model.onnx", "../other.onnx", "a/b/../other.onnx"},
		{unix, "a/model.onnx", "/c/other.onnx", "/c/other.onnx"},
		{unix, `a/b\model.onnx`, "other.onnx", "a/other.onnx"},
		{unix, "a/model.onnx", "D:other.onnx", "a/D:other.onnx"},
		{windows, `a\model.onnx`, "other.onnx", `a\other.onnx`},
		{windows, `C:\a/model.onnx`, `..\other.onnx`, `C:\a/..\other.onnx`},
		{windows, `C:model.onnx`, `other.onnx`, `C:other.onnx`},
		{windows, `C:\a\model.onnx`, `\b\other.onnx`, `C:\b\other.onnx`},
		{windows, `C:\a\model.onnx`, `D:\b\other.onnx`, `D:\b\other.onnx`},
		{windows, `C:\a\model.onnx`, `D:other.onnx`, `D:other.onnx`},
		{windows, `\\server\share\model.onnx`, `\other.onnx`, `\\server\share\other.onnx`},
		{windows, `C:\model.onnx`, `\\server\share\other.onnx`, `\\server\share\other.onnx`},
	} {
		require.Equal(t, c.want, c.join(c.at, c.target), "%s -> %s", c.at, c.target)
	}
}
