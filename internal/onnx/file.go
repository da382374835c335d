package onnx

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// ReadFile reads the model in a file, and what it keeps in other files of the same
// folder or below it (ONNX's external data). The bytes are those of the model with
// all of it in one piece. Errors name the file.
func ReadFile(path string) (*onnxpb.ModelProto, []byte, error) {
	data, err := readAll(path, maxSize)
	if err != nil {
		return nil, nil, err // of the operating system, which names the path
	}
	m, data, err := whole(data, filepath.Dir(path))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, data, nil
}

// whole decodes a model whose other files are in a folder.
func whole(data []byte, folder string) (*onnxpb.ModelProto, []byte, error) {
	if len(data) > maxSize {
		return nil, nil, fmt.Errorf("onnx: %w: more than %d bytes, which no file of this format has", ErrFormat, maxSize)
	}
	m, err := Unmarshal(data)
	if err != nil {
		return nil, nil, err
	}
	tensors := External(m)
	if len(tensors) == 0 {
		return m, data, nil
	}
	root, err := os.OpenRoot(folder) // no link leads out of it
	if err != nil {
		return nil, nil, err
	}
	defer root.Close() //nolint:errcheck // only read
	if err := ReadExternal(tensors, root.FS()); err != nil {
		return nil, nil, err
	}
	data, err = Marshal(m)
	return m, data, err
}

// readAll reads a file of at most so many bytes, and one byte more of a larger one: it
// may be a device without end.
func readAll(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if info.Mode().IsRegular() {
		b.Grow(int(min(info.Size(), most)) + bytes.MinRead)
	}
	_, err = b.ReadFrom(io.LimitReader(f, most+1))
	return b.Bytes(), err
}
