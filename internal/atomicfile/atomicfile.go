// Package atomicfile writes files atomically.
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

// Write writes data to the file at path atomically: at every time, even after a
// crash, the file has either its old content or all of data. Write creates a
// temporary file in the same folder, flushes it to the disk and renames it to path.
// If Write fails, it removes the temporary file.
//
// An existing file keeps its permissions; a new file gets 0666 less the umask. If path
// is a symbolic link, Write replaces or creates the file at the end of the link.
// Write returns an error if path is not a regular file, for example a folder, a
// device or a pipe. Its errors name path instead of the temporary file.
func Write(path string, data []byte) (err error) {
	if path == "" {
		return errors.New("the path of the file to write is empty")
	}
	old, statErr := os.Stat(path)
	perm := os.FileMode(0o666) // the system subtracts the umask
	if statErr == nil {
		if !old.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", path)
		}
		perm = old.Mode().Perm() // set at once, because data may be secret
	}
	if path, err = follow(path); err != nil {
		return err
	}
	dir, _ := filepath.Split(path)
	// The temporary name does not contain the name of the file, which may have the
	// maximum length.
	temporary := dir + "." + rand.Text() + ".tmp"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return about(path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(about(path, err), os.Remove(temporary))
		}
	}()
	_, err = f.Write(data)
	if err == nil && statErr == nil {
		err = f.Chmod(perm) // independent of the umask
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

// about makes an error of the file system one about path.
func about(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	return err
}

// maxLinks is the largest number of symbolic links that are followed, as on Linux.
const maxLinks = 40

// follow returns the end of the chain of symbolic links at path. It does not clean
// the path: removing ".." after a folder that is a symbolic link would change its
// meaning.
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
	return "", fmt.Errorf("%s is a circle or a chain of more than %d symbolic links: give the path of the file itself", path, maxLinks)
}

// syncDir flushes the new name to the disk, if the system supports this. Errors are
// ignored: even without the flush, the file is complete under the old or the new name.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
