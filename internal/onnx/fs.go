package onnx

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// ReadFS reads the model in a file of a file system, and its external data from other
// files of the same folder or below it. Errors name the file.
func ReadFS(fsys fs.FS, name string) (*onnxpb.ModelProto, error) {
	f, err := fsys.Open(name)
	if err != nil {
		if _, ok := err.(*fs.PathError); !ok { //nolint:errorlint // it must be the outermost error
			err = &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(f, maxSize+1)); err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	if b.Len() > maxSize {
		return nil, fmt.Errorf("%s: %w: the file has more than %d bytes", name, ErrFormat, maxSize)
	}
	m, err := Unmarshal(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	tensors := External(m)
	if len(tensors) == 0 {
		return m, nil
	}
	folder, err := fs.Sub(fsys, path.Dir(name))
	if err == nil {
		err = ReadExternal(tensors, folder)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}
