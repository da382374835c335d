package onnx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// ReadModel reads the model in a file, together with its external data, which must be in
// files in the same folder or below it. Errors name the file.
//
// ReadModel refuses anything but a regular file, because reading a device or a pipe may never
// end. It returns the error of ctx soon after ctx is done.
func ReadModel(ctx context.Context, path string) (*onnxpb.ModelProto, error) {
	m, _, err := readModel(ctx, path)
	return m, err
}

// ReadFile is ReadModel, and also returns the encoding of the model with all its data.
func ReadFile(ctx context.Context, path string) (*onnxpb.ModelProto, []byte, error) {
	m, data, err := readModel(ctx, path)
	if err == nil && data == nil {
		data, err = Marshal(m)
	}
	return m, data, err
}

// readModel returns a model and its encoding, which is nil if the model has external data.
func readModel(ctx context.Context, path string) (*onnxpb.ModelProto, []byte, error) {
	data, err := readAll(ctx, path, MaxFile)
	if err != nil {
		return nil, nil, err // names the path, unless it is the error of ctx
	}
	m, external, err := whole(ctx, data, filepath.Dir(path))
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case err != nil:
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	case external:
		return m, nil, nil
	}
	return m, data, nil
}

// whole decodes a model whose external data, if it has any, is in a folder.
func whole(ctx context.Context, data []byte, folder string) (m *onnxpb.ModelProto, external bool, err error) {
	if len(data) > MaxFile {
		return nil, false, fmt.Errorf("%w: an ONNX file cannot have more than %d bytes", ErrFormat, MaxFile)
	}
	if m, err = Unmarshal(ctx, data); err != nil {
		return nil, false, err
	}
	tensors := External(m)
	if len(tensors) == 0 {
		return m, false, nil
	}
	root, err := os.OpenRoot(folder) // links cannot lead out of the folder
	if err != nil {
		return nil, false, err
	}
	defer root.Close() //nolint:errcheck // only read
	return m, true, ReadExternal(ctx, tensors, root.FS())
}

// readAll reads a regular file. It stops after most+1 bytes.
func readAll(ctx context.Context, path string, most int64) ([]byte, error) {
	info, err := os.Stat(path) // opening a pipe waits for its other end
	if err == nil {
		err = checkRegular(path, info)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	return readFrom(ctx, f, min(info.Size(), most), most)
}

// checkRegular returns a *fs.PathError that says what a path names, unless it is a regular
// file.
func checkRegular(path string, info fs.FileInfo) error {
	var what string
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "a folder"
	case mode&fs.ModeNamedPipe != 0:
		what = "a pipe"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	default:
		what = "a special file"
	}
	return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("it is %s, not an ONNX file", what)}
}

// readAtOnce is the number of bytes that are read or computed with between two checks of the
// context.
const readAtOnce = 4 << 20

// readFrom reads r to its end, but at most most+1 bytes. size is the number of bytes that are
// expected.
func readFrom(ctx context.Context, r io.Reader, size, most int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(size) + bytes.MinRead)
	for int64(b.Len()) <= most {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := b.ReadFrom(io.LimitReader(r, min(readAtOnce, most+1-int64(b.Len()))))
		if n == 0 || err != nil {
			return b.Bytes(), err
		}
	}
	return b.Bytes(), nil
}
