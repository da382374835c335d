package onnx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// External returns the tensors of a model whose data is in other files (external data).
func External(m *onnxpb.ModelProto) []*onnxpb.TensorProto {
	var found []*onnxpb.TensorProto
	eachTensor(m, func(t *onnxpb.TensorProto) {
		if t.GetDataLocation() == onnxpb.TensorProto_EXTERNAL {
			found = append(found, t)
		}
	})
	return found
}

// Tensors that share the bytes of a file, such as weights that are used twice, may take this many
// times the bytes of the files, or any number up to smallData. Without a bound, a small file could
// fill the memory.
const (
	maxShared = 4
	smallData = 64 << 20
)

// ReadExternal reads the data of tensors that External returned into the tensors. fsys is
// the folder of the model. Tensors with the same bytes of a file share them in memory.
func ReadExternal(ctx context.Context, tensors []*onnxpb.TensorProto, fsys fs.FS) error {
	sizes, parts := map[string]int64{}, map[place][]byte{}
	var files, taken int64
	for _, t := range tensors {
		p, err := placeOf(t)
		if err == nil {
			if _, known := sizes[p.file]; !known {
				sizes[p.file], err = regularSize(fsys, p.file)
				files += sizes[p.file]
			}
		}
		if err == nil {
			err = p.check(sizes[p.file])
		}
		if most := max(maxShared*files, smallData); err == nil && p.length > most-taken {
			err = fmt.Errorf("%w: the tensors need more than %d bytes, but their files have only %d", ErrFormat, most, files)
		}
		if err == nil {
			taken += p.length
			data, known := parts[p]
			if !known {
				data, err = p.read(ctx, fsys)
				parts[p] = data
			}
			t.RawData = data
		}
		if err != nil {
			return fmt.Errorf("tensor %q: external data: %w", t.GetName(), err)
		}
		t.DataLocation, t.ExternalData = onnxpb.TensorProto_DEFAULT, nil
	}
	return nil
}

// place is the location of a tensor's data.
type place struct {
	file           string
	offset, length int64
}

func placeOf(t *onnxpb.TensorProto) (place, error) {
	size, err := rawSize(t)
	if err != nil {
		return place{}, err
	}
	p := place{length: size}
	for _, e := range t.GetExternalData() {
		switch e.GetKey() {
		case "location":
			p.file = path.Clean(e.GetValue())
			if e.GetValue() == "" || !fs.ValidPath(p.file) {
				return p, fmt.Errorf("%w: the file %q is not below the model's folder", ErrFormat, e.GetValue())
			}
		case "offset":
			if p.offset, err = strconv.ParseInt(e.GetValue(), 10, 64); err != nil || p.offset < 0 {
				return p, fmt.Errorf("%w: the offset is %q, want a number of at least 0", ErrFormat, e.GetValue())
			}
		case "length":
			if n, err := strconv.ParseInt(e.GetValue(), 10, 64); err != nil || n != size && n != 0 {
				return p, fmt.Errorf("%w: the length is %q, but shape %v needs %d bytes", ErrFormat, e.GetValue(), t.GetDims(), size)
			}
		}
	}
	if p.file == "" {
		return p, fmt.Errorf("%w: the file is not named", ErrFormat)
	}
	return p, nil
}

func regularSize(fsys fs.FS, name string) (int64, error) {
	s, err := fs.Stat(fsys, name)
	if err != nil {
		return 0, err
	}
	if !s.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", name)
	}
	return s.Size(), nil
}

func (p place) check(size int64) error {
	if p.offset > size || p.length > size-p.offset {
		return fmt.Errorf("%w: %s has %d bytes, the tensor needs %d from byte %d on (is the file complete?)", ErrFormat, p.file, size, p.length, p.offset)
	}
	if p.length != int64(int(p.length)) {
		return fmt.Errorf("%d bytes are too many for this computer", p.length)
	}
	return nil
}

func (p place) read(ctx context.Context, fsys fs.FS) (data []byte, err error) {
	f, err := fsys.Open(p.file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	at, ok := f.(io.ReaderAt)
	if !ok {
		return nil, fmt.Errorf("%s does not support random access", p.file)
	}
	data = make([]byte, p.length)
	section := io.NewSectionReader(at, p.offset, p.length)
	for part := data; len(part) > 0 && err == nil; {
		n := min(len(part), readAtOnce)
		if _, err = io.ReadFull(section, part[:n]); err == nil {
			err = ctx.Err()
		}
		part = part[n:]
	}
	return data, err
}
