// Package atomicfile writes files all or nothing.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Write writes data to the file at path. Whatever happens, the file holds either
// what it held before or all of data: data goes to a temporary file in the same
// folder, reaches the disk, and only then takes the name.
func Write(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode(path))
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncDir(dir)
	return nil
}

// mode returns the permissions of the file that will be replaced, or those that
// a new file commonly gets.
func mode(path string) os.FileMode {
	if info, err := os.Stat(path); err == nil {
		return info.Mode().Perm()
	}
	return 0o644
}

// syncDir makes the new name reach the disk where the system can do that. The
// file is complete without it, under the one name or the other.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
