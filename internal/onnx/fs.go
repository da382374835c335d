package onnx

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// ReadFS reads the model in a file of a file system, and its external data from other
// files of the same folder or below it. Errors name the file. See ReadFile about ctx.
func ReadFS(ctx context.Context, fsys fs.FS, name string) (*onnxpb.ModelProto, error) {
	// Opening a named pipe would wait for a writer.
	info, err := fs.Stat(fsys, name)
	if err == nil {
		err = checkRegular(name, info)
	}
	var f fs.File
	if err == nil {
		f, err = fsys.Open(name)
	}
	if err != nil {
		if _, ok := err.(*fs.PathError); !ok { //nolint:errorlint // it must be the outermost error
			err = &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	data, err := readFrom(ctx, f, min(info.Size(), MaxFile), MaxFile)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	case len(data) > MaxFile:
		return nil, fmt.Errorf("%s: %w: the file has more than %d bytes", name, ErrFormat, MaxFile)
	}
	m, err := Unmarshal(ctx, data)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	tensors := External(m)
	if len(tensors) == 0 {
		return m, nil
	}
	folder, err := fs.Sub(fsys, path.Dir(name))
	if err == nil {
		err = ReadExternal(ctx, tensors, folder)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}
