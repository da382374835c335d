// Package npy reads and writes NumPy's .npy files.
//
// It reads format versions 1.0, 2.0 and 3.0, both byte orders and both memory orders. The
// elements must be real numbers, bools or strings (dtypes U and S). Arrays of Python objects
// are refused because reading them would run code from the file; complex numbers are not
// supported.
package npy

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io/fs"
	"math"
	"strings"
)

// MaxElements bounds the number of elements of one array. It keeps every index
// in 31 bits and every byte count far from overflow.
const MaxElements = math.MaxInt32

// maxRank is NumPy's own limit.
const maxRank = 64

// Array is a dense array.
type Array struct {
	// Shape holds the sizes of the dimensions, outermost first; empty for a
	// scalar, which has one element.
	Shape []int

	// Data holds the elements in C order (the last index runs fastest). It is
	// one of []float32, []float64, []int8, []int16, []int32, []int64, []uint8,
	// []uint16, []uint32, []uint64, []bool and []string. Float16 is read as
	// []float32, and written from []Half.
	Data any
}

// Half is the bits of a float16 number.
type Half uint16

// SizeError is the error about an array whose header claims more elements than the caller
// accepts. No element has been read.
type SizeError struct {
	Shape       []int // as claimed
	Count       int   // elements of that shape
	MaxElements int
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("the array of shape %v has %d elements, at most %d are read", e.Shape, e.Count, e.MaxElements)
}

// Header describes the array in a file.
type Header struct {
	Shape      []int
	Count      int    // number of elements of that shape
	Type       string // NumPy's code of the element type, such as "u1", "f8" or "U10"
	Compressed bool   // the file is compressed with gzip
}

// CheckNumeric returns an error for an array of strings.
func (h Header) CheckNumeric() error {
	if _, err := textCodec(h.Type); err != nil {
		return nil // also bools
	}
	return fmt.Errorf("dtype %q means strings, want numbers (save the array as float32, or as integers)", h.Type)
}

// AtMost returns a function for ReadOpen that accepts arrays of up to maxElements
// elements. Its error is a SizeError.
func AtMost(maxElements int) func(Header) error {
	return func(h Header) error {
		if h.Count > maxElements {
			return &SizeError{Shape: h.Shape, Count: h.Count, MaxElements: maxElements}
		}
		return nil
	}
}

// ReadFile reads a file with one array of at most maxElements elements. A file of any
// name may be compressed with gzip; ReadFile decompresses only as much as the array
// needs. Errors name the file and wrap the cause, a SizeError if the array has more
// elements.
func ReadFile(fsys fs.FS, name string, maxElements int) (*Array, error) {
	a, err := openAndRead(fsys, name, maxElements)
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // only the outermost error
		err = e.Err // without its file name
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return a, nil
}

func openAndRead(fsys fs.FS, name string, maxElements int) (*Array, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	return ReadOpen(f, AtMost(maxElements))
}

// ReadOpen reads an open file like ReadFile. It passes the header to accept before it
// reads the first element; an error of accept is returned unchanged. Errors do not name
// the file. The caller closes the file.
func ReadOpen(f fs.File, accept func(Header) error) (*Array, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := int64(unknownSize)
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	r := bufio.NewReader(f)
	if magic, err := r.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return read(r, size, accept)
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	return read(bufio.NewReader(z), unknownSize, func(h Header) error {
		h.Compressed = true
		return accept(h)
	})
}

// Float32s returns the elements as float32. It returns the array's own slice if that has
// this type, and otherwise rounds the elements; float64 values beyond the range of
// float32 become infinite. Bools are an error.
func (a *Array) Float32s() ([]float32, error) {
	switch d := a.Data.(type) {
	case []float32:
		return d, nil
	case []float64:
		return convert[float32](d), nil
	case []int8:
		return convert[float32](d), nil
	case []int16:
		return convert[float32](d), nil
	case []int32:
		return convert[float32](d), nil
	case []int64:
		return convert[float32](d), nil
	case []uint8:
		return convert[float32](d), nil
	case []uint16:
		return convert[float32](d), nil
	case []uint32:
		return convert[float32](d), nil
	case []uint64:
		return convert[float32](d), nil
	}
	return nil, fmt.Errorf("the array has elements of type %s, want numbers", elementType(a.Data))
}

// Ints returns the elements of an array of integers. Other element types and values
// outside the range of int are an error.
func (a *Array) Ints() ([]int, error) {
	switch d := a.Data.(type) {
	case []int8:
		return convert[int](d), nil
	case []int16:
		return convert[int](d), nil
	case []int32:
		return convert[int](d), nil
	case []int64:
		return convert[int](d), nil
	case []uint8:
		return convert[int](d), nil
	case []uint16:
		return convert[int](d), nil
	case []uint32:
		return convert[int](d), nil
	case []uint64:
		for i, v := range d {
			if v > math.MaxInt {
				return nil, fmt.Errorf("element %d is %d, want at most %d", i, v, math.MaxInt)
			}
		}
		return convert[int](d), nil
	}
	return nil, fmt.Errorf("the array has elements of type %s, want integers", elementType(a.Data))
}

type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

func convert[To float32 | int, From number](from []From) []To {
	to := make([]To, len(from))
	for i, v := range from {
		to[i] = To(v)
	}
	return to
}

// elementType returns the element type of an Array's data for an error. NumPy's names of
// the types are the same as in Go.
func elementType(data any) string {
	if data == nil {
		return "none"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", data), "[]")
}

// count returns the number of elements of a shape, or an error if no Array can have the
// shape.
func count(shape []int) (int, error) {
	if len(shape) > maxRank {
		return 0, fmt.Errorf("%d dimensions are more than NumPy's limit of %d", len(shape), maxRank)
	}
	n, zero := 1, false
	for _, d := range shape {
		switch {
		case d < 0:
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		case d == 0:
			zero = true
		case d > MaxElements/n:
			return 0, fmt.Errorf("shape %v has more than %d elements", shape, MaxElements)
		default:
			n *= d
		}
	}
	if zero {
		return 0, nil
	}
	return n, nil
}
