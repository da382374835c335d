package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spike-by-spike/sbs/internal/lock"
)

// CheckFolder returns an error if the path of the folder of --output is a file.
func CheckFolder(path string) error {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return fmt.Errorf("--output %s is a file: give a folder", path)
	}
	return nil
}

// LockFolder locks a folder, which it creates if necessary, for a process that writes something, such as
// a sweep, to it. It prints a warning to stderr if the file system has no locks.
func LockFolder(folder, what string, stderr io.Writer) (*lock.Lock, error) {
	l, err := lock.Folder(folder)
	if errors.Is(err, lock.ErrUnsupported) {
		PrintWarnings(stderr, fmt.Sprintf("%v: make sure that no other %s writes to the same folder", err, what))
		err = nil
	}
	return l, err
}

// ReadFile reads a file of at most most bytes. kind is what has such files, such as a sweep.
func ReadFile(path, kind string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > most:
		return nil, fmt.Errorf("%s has %d bytes, more than the limit of %d: it is no file of a %s", path, info.Size(), most, kind)
	}
	return os.ReadFile(path)
}
