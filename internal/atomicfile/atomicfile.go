// Package atomicfile writes files all or nothing.
package atomicfile

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write writes data to the file at path. Whatever happens, the file holds either
// what it held before or all of data: data goes to a temporary file in the same
// folder, reaches the disk, and only then takes the name. Where path is a
// symbolic link, the file it leads to is written, whether it is there or not. What
// is not a regular file, a device or a pipe, is refused. A file keeps its
// permissions, and a new one has those of any new file.
func Write(path string, data []byte) (err error) {
	old, statErr := os.Stat(path)
	perm := os.FileMode(0o666) // of which the system takes the umask
	if statErr == nil {
		if !old.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", path)
		}
		perm = old.Mode().Perm() // from the start: data may be secret
	}
	if path, err = follow(path); err != nil {
		return err
	}
	dir, _ := filepath.Split(path)
	// Its name is its own, as path's may be as long as the system lets it.
	temporary := dir + "." + rand.Text() + ".tmp"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		pe.Path = path // which is what people know
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	_, err = f.Write(data)
	if err == nil && statErr == nil {
		err = f.Chmod(perm) // whatever the umask is
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(temporary, path); err != nil {
		return err
	}
	syncDir(cmp.Or(dir, "."))
	return nil
}

// maxLinks bounds a chain of symbolic links, which may be a circle. Linux follows
// as many.
const maxLinks = 40

// follow returns where the symbolic links at path lead. It leaves the folders of
// a path to the system: to remove a ".." after one that is a link would be wrong.
func follow(path string) (string, error) {
	at := path
	for range maxLinks + 1 {
		target, err := os.Readlink(at)
		if err != nil {
			return at, nil // not a link
		}
		if !filepath.IsAbs(target) && !os.IsPathSeparator(target[0]) {
			dir, _ := filepath.Split(at)
			target = dir + target
		}
		at = target
	}
	return "", fmt.Errorf("%s leads through more than %d symbolic links, or in a circle: name the file itself", path, maxLinks)
}

// syncDir makes the new name reach the disk where the system can do that. The
// file is complete without it, under the one name or the other.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
