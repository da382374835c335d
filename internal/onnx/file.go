package onnx

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// ReadFile reads the model in a file, together with its external data, which must be in
// files in the same folder or below it. It returns the decoded model and its encoding as
// a single file. Errors name the file.
func ReadFile(path string) (*onnxpb.ModelProto, []byte, error) {
	data, err := readAll(path, maxSize)
	if err != nil {
		return nil, nil, err // from the operating system, names the path
	}
	m, data, err := whole(data, filepath.Dir(path))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, data, nil
}

// whole decodes a model whose external data is in a folder.
func whole(data []byte, folder string) (*onnxpb.ModelProto, []byte, error) {
	if len(data) > maxSize {
		return nil, nil, fmt.Errorf("%w: an ONNX file cannot have more than %d bytes", ErrFormat, maxSize)
	}
	m, err := Unmarshal(data)
	if err != nil {
		return nil, nil, err
	}
	tensors := External(m)
	if len(tensors) == 0 {
		return m, data, nil
	}
	root, err := os.OpenRoot(folder) // links cannot lead out of the folder
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

// readAll reads a file. It stops after most+1 bytes, because the file may be an endless
// device.
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
