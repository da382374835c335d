package npy

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Archive is an .npz file, which contains named arrays (numpy.savez). It is safe for
// concurrent use.
type Archive struct {
	names []string
	files map[string]*zip.File // by name
}

// OpenArchive lists the arrays of an .npz file of the given size.
func OpenArchive(r io.ReaderAt, size int64) (*Archive, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("not an .npz file, or an incomplete one: %w", err)
	}
	a := &Archive{files: map[string]*zip.File{}}
	for _, f := range z.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok {
			continue
		}
		if a.files[name] != nil {
			return nil, fmt.Errorf("the archive has two arrays with the name %s", name)
		}
		a.names, a.files[name] = append(a.names, name), f
	}
	if len(a.files) == 0 {
		return nil, errors.New("the ZIP archive contains no .npy files (arrays of numpy.savez): extract it")
	}
	return a, nil
}

// Names returns the names of the arrays, in the order of the file.
func (a *Archive) Names() []string { return a.names }

// Header returns the description of an array.
func (a *Archive) Header(name string) (Header, error) {
	return HeaderOf(a.Reader(name))
}

// Reader reads one array as ReadOpen does.
type Reader func(accept func(Header) error) (*Array, error)

// Reader returns a function that reads an array as Read does.
func (a *Archive) Reader(name string) Reader {
	return func(accept func(Header) error) (*Array, error) { return a.Read(name, accept) }
}

// HeaderOf returns the header that a Reader passes to accept. No element is read.
func HeaderOf(read Reader) (h Header, err error) {
	_, err = read(func(header Header) error {
		h = header
		return errHeader
	})
	if errors.Is(err, errHeader) {
		err = nil
	}
	return h, err
}

var errHeader = errors.New("only the header is needed")

// Read reads an array as ReadOpen reads a file. Errors name the array.
func (a *Archive) Read(name string, accept func(Header) error) (*Array, error) {
	f := a.files[name]
	if f == nil {
		return nil, fmt.Errorf("the archive has no array %s, only %s", name, strings.Join(a.names, ", "))
	}
	r, err := f.Open()
	if err == nil {
		var array *Array
		array, err = read(bufio.NewReader(r), unknownSize, func(h Header) error {
			h.Compressed = true // its size cannot be trusted
			return accept(h)
		})
		if err = errors.Join(err, r.Close()); err == nil {
			return array, nil
		}
	}
	return nil, fmt.Errorf("array %s: %w", name, err)
}
