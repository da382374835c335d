// Package lock keeps two processes from working in the same folder at the same time.
package lock

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
)

// File is the name of the file that is locked. It stays in the folder: if it were removed,
// another process could hold a lock on the removed file.
const File = "lock"

// ErrLocked is wrapped by the error about a folder that is locked.
var ErrLocked = errors.New("in use")

// ErrUnsupported is wrapped by the error about a folder on a file system without locks.
var ErrUnsupported = errors.New("the file system does not support locks")

// Lock is a locked folder. The operating system removes the lock when the process ends,
// however it ends.
type Lock struct{ file *flock.Flock }

// Folder locks a folder, and creates it if it does not exist. If the folder is locked
// already, by another process or by this one, the error wraps ErrLocked and names the
// process.
func Folder(path string) (*Lock, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	name := filepath.Join(path, File)
	l := &Lock{flock.New(name, flock.SetPermissions(0o666))}
	switch locked, err := l.file.TryLock(); {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
		return nil, fmt.Errorf("%s: %w", path, ErrUnsupported)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot lock the file: %w", name, err)
	case !locked:
		return nil, fmt.Errorf("%s is %w by %s: wait until it ends or stop it", path, ErrLocked, holder(name))
	}
	if err := sign(name); err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}

// Release unlocks the folder. It has no effect if l is nil.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.file.Unlock()
}

// signature is the position in the file of the name of the process. On Windows, no other
// process can read the first byte, which is locked.
const signature = 1

// nameLength is the length of the name of the process, with blanks at the end. Every name
// replaces the one before completely.
const nameLength = 120

// sign writes the name of this process to the file.
func sign(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("process %d", os.Getpid())
	if host, err := os.Hostname(); err == nil {
		name += " on " + host
	}
	name = name[:min(len(name), nameLength)]
	_, err = f.WriteAt(fmt.Appendf(nil, "%-*s\n", nameLength, name), signature)
	return errors.Join(err, f.Close())
}

// holder returns the name of the process that has locked the file.
func holder(file string) string {
	const unknown = "another process"
	f, err := os.Open(file)
	if err != nil {
		return unknown
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	name := make([]byte, nameLength)
	n, _ := f.ReadAt(name, signature) // a process that has just taken the lock has no name yet
	line, _, _ := bytes.Cut(name[:n], []byte("\n"))
	if text := strings.TrimSpace(string(line)); strings.HasPrefix(text, "process ") {
		return text
	}
	return unknown
}
