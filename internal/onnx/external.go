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
	w := &externalWalk{}
	w.graph(m.GetGraph())
	for _, f := range m.GetFunctions() {
		w.attributes(f.GetAttributeProto())
		w.nodes(f.GetNode())
	}
	return w.found
}

type externalWalk struct{ found []*onnxpb.TensorProto }

func (w *externalWalk) graph(g *onnxpb.GraphProto) {
	w.tensors(g.GetInitializer())
	w.nodes(g.GetNode())
}

func (w *externalWalk) nodes(nodes []*onnxpb.NodeProto) {
	for _, n := range nodes {
		w.attributes(n.GetAttribute())
	}
}

func (w *externalWalk) attributes(attrs []*onnxpb.AttributeProto) {
	for _, a := range attrs {
		w.tensors(a.GetTensors())
		w.tensors([]*onnxpb.TensorProto{a.GetT()})
		w.graph(a.GetG())
		for _, g := range a.GetGraphs() {
			w.graph(g)
		}
	}
}

func (w *externalWalk) tensors(tensors []*onnxpb.TensorProto) {
	for _, t := range tensors {
		if t.GetDataLocation() == onnxpb.TensorProto_EXTERNAL {
			w.found = append(w.found, t)
		}
	}
}

// ReadExternal reads the data of tensors that External returned into the tensors. fsys is
// the folder of the model. ReadExternal allocates no more memory than the files have
// bytes: tensors that share data are refused once they exceed that.
func ReadExternal(ctx context.Context, tensors []*onnxpb.TensorProto, fsys fs.FS) error {
	sizes := map[string]int64{}
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
		if err == nil && p.length > files-taken {
			err = fmt.Errorf("%w: the tensors need more than the %d bytes of their files", ErrFormat, files)
		}
		if err == nil {
			taken += p.length
			t.RawData, err = p.read(ctx, fsys)
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
			if n, err := strconv.ParseInt(e.GetValue(), 10, 64); err != nil || n != size {
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
