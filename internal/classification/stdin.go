package classification

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spike-by-spike/sbs/internal/cli"
)

// standardInput is the argument that stands for the standard input.
const standardInput = "-"

// maxInput bounds the bytes of the standard input, the largest size of an ONNX file.
const maxInput = 1<<31 - 1

// spool replaces the argument - by the path of a temporary file with the standard input, because
// the formats of images and models are read from any place of a file. The names show - instead.
func spool(in io.Reader, args []string) (replaced []string, names cli.Names, remove func() error, err error) {
	at := slices.Index(args, standardInput)
	if at < 0 {
		return args, cli.Names{}, func() error { return nil }, nil
	}
	folder, err := os.MkdirTemp("", "sbs-run-")
	if err != nil {
		return nil, cli.Names{}, nil, err
	}
	remove = func() error { return os.RemoveAll(folder) }
	replaced = slices.Clone(args)
	replaced[at] = filepath.Join(folder, standardInput)
	if err := write(replaced[at], in); err != nil {
		return nil, cli.Names{}, nil, errors.Join(fmt.Errorf("the standard input: %w", err), remove())
	}
	return replaced, cli.NewNames(cli.Name{Path: replaced[at], Shown: standardInput}), remove, nil
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
