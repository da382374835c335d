package cli

import (
	"bytes"
	"encoding/json"
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

// ReadManifest reads the JSON file that describes a folder of results into m. format points to the version of the format
// in m, and known is the only one that the program knows. kind is what the file describes, such as a sweep.
func ReadManifest(path, kind string, most int64, m any, format *int, known int) error {
	data, err := ReadFile(path, kind, most)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return fmt.Errorf("%s does not describe a %s: %w", path, kind, err)
	}
	if *format != known {
		return fmt.Errorf("%s has the format %d, but this version of the program knows the format %d only", path, *format, known)
	}
	return nil
}
