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

// Write writes data to the file at path atomically, with a File.
func Write(path string, data []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.Commit()
}

// File is a file that is being written. At every time, even after a crash, the file at its
// path has either its old content or all of the new content: until Commit, the content is in
// a temporary file in the same folder.
type File struct {
	target    string // the end of the chain of symbolic links at the path
	temporary *os.File
	perm      os.FileMode
	replaces  bool // there is a file at path
}

// Create starts to write the file at path. The caller must call Commit or Discard.
//
// An existing file keeps its permissions; a new file gets 0666 less the umask. If path
// is a symbolic link, the file at the end of the link is replaced or created.
// Create returns an error if path is not a regular file, for example a folder, a
// device or a pipe. All errors name the file instead of the temporary file.
func Create(path string) (*File, error) {
	if path == "" {
		return nil, errors.New("the path of the file to write is empty")
	}
	f := &File{perm: 0o666} // the system subtracts the umask
	if old, err := os.Stat(path); err == nil {
		if !old.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file", path)
		}
		f.perm, f.replaces = old.Mode().Perm(), true // set at once, because data may be secret
	}
	var err error
	if f.target, err = follow(path); err != nil {
		return nil, err
	}
	dir, _ := filepath.Split(f.target)
	// The temporary name does not contain the name of the file, which may have the
	// maximum length.
	f.temporary, err = os.OpenFile(dir+"."+rand.Text()+".tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.perm)
	if err != nil {
		return nil, about(f.target, err)
	}
	return f, nil
}

// Write implements io.Writer.
func (f *File) Write(b []byte) (int, error) {
	n, err := f.temporary.Write(b)
	return n, about(f.target, err)
}

// Commit flushes the content to the disk and renames the temporary file to the path of the
// file. After an error, the temporary file is removed.
func (f *File) Commit() error {
	var err error
	if f.replaces {
		err = f.temporary.Chmod(f.perm) // independent of the umask
	}
	if err == nil {
		err = f.temporary.Sync()
	}
	if err != nil {
		return errors.Join(about(f.target, err), f.Discard())
	}
	if err = f.temporary.Close(); err == nil {
		err = Rename(f.temporary.Name(), f.target)
	}
	if err != nil {
		return errors.Join(about(f.target, err), os.Remove(f.temporary.Name()))
	}
	dir, _ := filepath.Split(f.target)
	syncDir(cmp.Or(dir, "."))
	return nil
}

// Discard removes the temporary file. The file at the path stays as it is.
func (f *File) Discard() error {
	return errors.Join(f.temporary.Close(), os.Remove(f.temporary.Name()))
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
		at = linked(at, target, filepath.VolumeName, os.IsPathSeparator)
	}
	return "", fmt.Errorf("%s is a circle or a chain of more than %d symbolic links: give the path of the file itself", path, maxLinks)
}

// linked returns the path to which the link at a path with a target leads. volume returns the
// drive or share at the beginning of a path of Windows.
func linked(at, target string, volume func(string) string, isSeparator func(uint8) bool) string {
	switch {
	case volume(target) != "":
		return target
	case isSeparator(target[0]):
		return volume(at) + target
	}
	dir := len(at)
	for dir > len(volume(at)) && !isSeparator(at[dir-1]) {
		dir--
	}
	return at[:dir] + target
}

// syncDir flushes the new name to the disk, if the system supports this. Errors are
// ignored: even without the flush, the file is complete under the old or the new name.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
