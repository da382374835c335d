package npy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/minifloat"
)

const unknownSize = -1

// chunk is the number of bytes that are read at a time. They stay in the processor's cache
// until they are decoded.
const chunk = 1 << 17

// Read reads one array, after which r must end. It allocates at most a small multiple of
// the bytes in r, whatever the header claims.
func Read(r io.Reader) (*Array, error) {
	size := int64(unknownSize)
	switch b := r.(type) {
	case *bytes.Reader:
		size = int64(b.Len())
	case *bytes.Buffer:
		size = int64(b.Len())
	}
	return read(bufio.NewReader(r), size, AtMost(MaxElements))
}

// read reads one array from r, which has size bytes or unknownSize.
func read(r *bufio.Reader, size int64, accept func(Header) error) (*Array, error) {
	h, length, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	n, err := count(h.shape)
	if err != nil {
		return nil, fmt.Errorf("bad header: %w", err)
	}
	if err := accept(Header{Shape: h.shape, Count: n, Type: h.kind}); err != nil {
		return nil, err
	}
	d := source{r: r, big: h.big, n: n, fit: min(n, chunk)}
	if h.fortran {
		d.fortran = h.shape
	}
	c, err := codecOf(h.kind)
	if err != nil {
		return nil, err
	}
	if size != unknownSize {
		have, want := size-int64(length), int64(n)*int64(c.size)
		if have != want {
			return nil, fmt.Errorf("%d bytes follow the header, but an array of type %s and shape %v has %d: %w",
				have, h.kind, h.shape, want, sizeError(have < want))
		}
		d.fit = n
	}
	data, err := c.read(&d)
	if err != nil {
		return nil, err
	}
	// Reading to the end also makes gzip check the checksum.
	if _, err := io.ReadFull(r, make([]byte, 1)); err == nil {
		return nil, fmt.Errorf("the file has more than the %d elements of shape %v: %w", n, h.shape, errTrailing)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &Array{Shape: h.shape, Data: data}, nil
}

var errTrailing = errors.New("unexpected data at the end")

func sizeError(short bool) error {
	if short {
		return io.ErrUnexpectedEOF
	}
	return errTrailing
}

// source describes the elements that are read.
type source struct {
	r       io.Reader
	big     bool  // big endian
	n       int   // number of elements
	fit     int   // number of elements to allocate before the first is read
	fortran []int // the shape if the file is in Fortran order, else nil
}

type element interface{ number | bool | string }

// codec reads the elements of one dtype.
type codec struct {
	size int // bytes of one element in the file
	read func(s *source) (any, error)
}

func reader[T element](size int, decode func(dst []T, src []byte)) codec {
	return codec{size: size, read: func(s *source) (any, error) {
		data, err := readData(s, size, size, decode)
		if err != nil {
			return nil, err
		}
		return inOrder(s, data), nil
	}}
}

// inOrder returns elements in C order.
func inOrder[T element](s *source, data []T) []T {
	if len(s.fortran) > 1 {
		return fromFortran(data, s.fortran)
	}
	return data
}

var errUnknownType = errors.New("unknown dtype")

// codecOf returns the codec of a kind and size of elements.
func codecOf(kind string) (codec, error) {
	if c, ok := codecs[kind]; ok {
		return c, nil
	}
	return textCodec(kind)
}

var codecs = map[string]codec{
	"b1": reader(1, func(dst []bool, src []byte) {
		for i := range dst {
			dst[i] = src[i] != 0
		}
	}),
	"i1": reader(1, func(dst []int8, src []byte) {
		for i := range dst {
			dst[i] = int8(src[i])
		}
	}),
	"u1": reader(1, func(dst []uint8, src []byte) { copy(dst, src) }),
	"i2": reader(2, decode2[int16]),
	"u2": reader(2, decode2[uint16]),
	"i4": reader(4, decode4[int32]),
	"u4": reader(4, decode4[uint32]),
	"i8": reader(8, decode8[int64]),
	"u8": reader(8, decode8[uint64]),
	"f2": reader(2, func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = float32(minifloat.DecodeFloat16(binary.LittleEndian.Uint16(src[2*i : 2*i+2])))
		}
	}),
	"f4": reader(4, func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i : 4*i+4]))
		}
	}),
	"f8": reader(8, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i : 8*i+8]))
		}
	}),
}

func decode2[T int16 | uint16](dst []T, src []byte) {
	for i := range dst {
		dst[i] = T(binary.LittleEndian.Uint16(src[2*i : 2*i+2]))
	}
}

func decode4[T int32 | uint32](dst []T, src []byte) {
	for i := range dst {
		dst[i] = T(binary.LittleEndian.Uint32(src[4*i : 4*i+4]))
	}
}

func decode8[T int64 | uint64](dst []T, src []byte) {
	for i := range dst {
		dst[i] = T(binary.LittleEndian.Uint64(src[8*i : 8*i+8]))
	}
}

// readData reads the elements in the order of the file. The slice grows with the data that
// is read. An element has size bytes, of which unit bytes each are swapped in a file of the
// other byte order.
func readData[T element](s *source, size, unit int, decode func(dst []T, src []byte)) ([]T, error) {
	data := make([]T, 0, s.fit)
	buf := make([]byte, min(s.n, max(1, chunk/size))*size)
	for len(data) < s.n {
		had, k := len(data), min(len(buf)/size, s.n-len(data))
		b := buf[:k*size]
		if n, err := io.ReadFull(s.r, b); err != nil {
			return nil, short(err, fmt.Sprintf("the file ends after %d of its %d elements", had+n/size, s.n))
		}
		if s.big {
			swap(b, unit)
		}
		if had+k > cap(data) {
			data = append(make([]T, 0, min(s.n, 2*(had+k))), data...)
		}
		data = data[:had+k]
		decode(data[had:], b)
	}
	return data, nil
}

// swap reverses the bytes of every element.
func swap(b []byte, size int) {
	for ; len(b) > 0; b = b[size:] {
		slices.Reverse(b[:size])
	}
}

// fromFortran reorders elements from Fortran order, in which the first index varies
// fastest, to C order.
func fromFortran[T element](data []T, shape []int) []T {
	stride := make([]int, len(shape))
	step := 1
	for i, d := range shape {
		stride[i] = step
		step *= d
	}
	index := make([]int, len(shape))
	out := make([]T, len(data))
	at := 0
	for i := range out {
		out[i] = data[at]
		for d := len(shape) - 1; d >= 0; d-- {
			index[d]++
			at += stride[d]
			if index[d] < shape[d] {
				break
			}
			at -= stride[d] * shape[d]
			index[d] = 0
		}
	}
	return out
}
