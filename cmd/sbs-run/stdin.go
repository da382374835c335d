package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// standardInput is the argument that stands for the standard input.
const standardInput = "-"

// maxInput bounds the bytes of the standard input, the largest size of an ONNX file.
const maxInput = 1<<31 - 1

// spooled is the standard input in a temporary file, because the formats of images and
// models are read from any place of a file.
type spooled struct {
	folder string
}

// spool replaces the argument - by the path of a file with the standard input.
func spool(in io.Reader, args []string) (s *spooled, replaced []string, err error) {
	at := slices.Index(args, standardInput)
	if at < 0 {
		return nil, args, nil
	}
	folder, err := os.MkdirTemp("", "sbs-run-")
	if err != nil {
		return nil, nil, err
	}
	s = &spooled{folder}
	replaced = slices.Clone(args)
	replaced[at] = filepath.Join(folder, standardInput)
	if err := write(replaced[at], in); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("the standard input: %w", err), s.remove())
	}
	return s, replaced, nil
}

func write(path string, in io.Reader) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, io.LimitReader(in, maxInput+1))
	switch {
	case err != nil:
		return err
	case n == 0:
		return errors.New("there is no data")
	case n > maxInput:
		return fmt.Errorf("there are more than %d bytes", maxInput)
	}
	return nil
}

func (s *spooled) remove() error {
	if s == nil {
		return nil
	}
	return os.RemoveAll(s.folder)
}

// name replaces the path of the temporary file in a text by the argument.
func (s *spooled) name(text string) string {
	if s == nil {
		return text
	}
	path := filepath.Join(s.folder, standardInput)
	return strings.ReplaceAll(strings.ReplaceAll(text, path, standardInput), filepath.ToSlash(path), standardInput)
}

// error replaces the path of the temporary file in an error by the argument.
func (s *spooled) error(err error) error {
	if s == nil || err == nil {
		return err
	}
	return &inputError{err, s}
}

type inputError struct {
	err error
	s   *spooled
}

func (e *inputError) Error() string { return e.s.name(e.err.Error()) }
func (e *inputError) Unwrap() error { return e.err }
