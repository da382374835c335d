package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// idxFile is an IDX file, the format of MNIST, whose elements are bytes.
type idxFile struct {
	shape []int // at least one dimension
	data  io.ReaderAt
	start int64 // offset of the elements in data
	close func() error
}

func openIDX(path string, opt Options) (part, error) {
	f, err := openIDXFile(path)
	if err != nil {
		return nil, err
	}
	shape, err := arrange(f.shape, opt)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return &array{
		file: path, shape: shape, opt: opt, max: math.MaxUint8,
		read: bytesAt(f.data, f.start, int64(shape.size.len())),
		done: f.close,
	}, nil
}

func openIDXFile(path string) (*idxFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f, err := newIDX(file, info.Size())
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f.close = file.Close
	return f, nil
}

// newIDX reads the header of a file of size bytes and checks that the elements it claims
// exist. A compressed file is read into memory, up to the length that its header claims.
func newIDX(file io.ReaderAt, size int64) (*idxFile, error) {
	r := bufio.NewReader(io.NewSectionReader(file, 0, size))
	if !isGzip(r) {
		shape, start, length, err := idxHeader(r)
		if err != nil {
			return nil, err
		}
		if start+length != size {
			return nil, fmt.Errorf("the header claims shape %v, %d bytes, but %d bytes follow", shape, length, size-start)
		}
		return &idxFile{shape: shape, data: file, start: start}, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	shape, _, length, err := idxHeader(z)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(z, length+1))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	switch n := int64(len(content)); {
	case n > length:
		return nil, fmt.Errorf("the header claims shape %v, %d bytes, but more follow", shape, length)
	case n < length || err != nil:
		return nil, fmt.Errorf("the header claims shape %v, %d bytes, but %d bytes follow: %w", shape, length, n, io.ErrUnexpectedEOF)
	}
	return &idxFile{shape: shape, data: bytes.NewReader(content)}, nil
}

// idxHeader reads a header. It returns the shape, the number of bytes of the header, and
// the number of bytes of the elements.
func idxHeader(r io.Reader) (shape []int, start, length int64, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, 0, fmt.Errorf("the file ends within its header: %w", err)
	}
	if head[0] != 0 || head[1] != 0 {
		return nil, 0, 0, fmt.Errorf("not an IDX file: it begins with % x", head)
	}
	if head[2] != 8 {
		return nil, 0, 0, fmt.Errorf("the elements of the IDX file have type 0x%02x, want bytes (0x08)", head[2])
	}
	if head[3] < 1 || head[3] > 4 {
		return nil, 0, 0, fmt.Errorf("the IDX file has %d dimensions, want 1 to 4", head[3])
	}
	length = 1
	dims := make([]byte, 4*int(head[3]))
	if _, err := io.ReadFull(r, dims); err != nil {
		return nil, 0, 0, fmt.Errorf("the file ends within its header: %w", err)
	}
	for ; len(dims) > 0; dims = dims[4:] {
		d := int64(binary.BigEndian.Uint32(dims))
		if d == 0 {
			return nil, 0, 0, errors.New("the IDX file is empty: a dimension is 0")
		}
		if d > math.MaxInt32/length {
			return nil, 0, 0, errors.New("the header claims more than 2 GiB")
		}
		length *= d
		shape = append(shape, int(d))
	}
	return shape, int64(4 + 4*len(shape)), length, nil
}
