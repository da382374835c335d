package npy

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Write writes an array with the same bytes as numpy.save: format version 1.0, little
// endian, C order.
func Write(w io.Writer, a *Array) error {
	switch d := a.Data.(type) {
	case []float32:
		return writeData(w, "<f4", a.Shape, d)
	case []float64:
		return writeData(w, "<f8", a.Shape, d)
	case []int8:
		return writeData(w, "|i1", a.Shape, d)
	case []int16:
		return writeData(w, "<i2", a.Shape, d)
	case []int32:
		return writeData(w, "<i4", a.Shape, d)
	case []int64:
		return writeData(w, "<i8", a.Shape, d)
	case []uint8:
		return writeData(w, "|u1", a.Shape, d)
	case []uint16:
		return writeData(w, "<u2", a.Shape, d)
	case []uint32:
		return writeData(w, "<u4", a.Shape, d)
	case []uint64:
		return writeData(w, "<u8", a.Shape, d)
	case []bool:
		return writeData(w, "|b1", a.Shape, d)
	case []Half:
		return writeData(w, "<f2", a.Shape, d)
	case []string:
		return writeTexts(w, a.Shape, d)
	}
	return fmt.Errorf("an array with elements of type %s cannot be written", elementType(a.Data))
}

// WriteArchive writes an .npz file, as numpy.savez does.
func WriteArchive(w io.Writer, names []string, arrays []*Array) error {
	z, used := zip.NewWriter(w), map[string]bool{}
	for i, name := range names {
		if used[name] {
			return fmt.Errorf("two arrays are named %q", name)
		}
		used[name] = true
		f, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store, Modified: epoch})
		if err == nil {
			err = Write(f, arrays[i])
		}
		if err != nil {
			return fmt.Errorf("array %s: %w", name, err)
		}
	}
	return z.Close()
}

// epoch is the date of all files in an archive: the first one of the ZIP format.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// part is the number of elements that are encoded at a time.
const part = 1 << 14

func writeData[T number | bool | Half](w io.Writer, descr string, shape []int, data []T) error {
	err := writeHeader(w, descr, shape, len(data))
	if err != nil {
		return err
	}
	var buf []byte
	for len(data) > 0 {
		k := min(part, len(data))
		if buf, err = binary.Append(buf[:0], binary.LittleEndian, data[:k]); err != nil {
			return err
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		data = data[k:]
	}
	return nil
}

// writeHeader writes the header of an array with n elements.
func writeHeader(w io.Writer, descr string, shape []int, n int) error {
	want, err := count(shape)
	if err != nil {
		return err
	}
	if n != want {
		return fmt.Errorf("shape %v has %d elements, the data has %d", shape, want, n)
	}
	_, err = w.Write(appendHeader(nil, descr, shape))
	return err
}

// appendHeader appends the header. maxRank bounds the number of dimensions, so that the
// header stays below the 64 KiB of format version 1.0.
func appendHeader(b []byte, descr string, shape []int) []byte {
	text := make([]string, len(shape))
	for i, d := range shape {
		text[i] = strconv.Itoa(d)
	}
	tuple := strings.Join(text, ", ")
	if len(shape) == 1 {
		tuple += ","
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, tuple)
	if len(shape) > 0 {
		// NumPy leaves room to replace the first dimension by any 64-bit number, so that
		// data can be appended to the file.
		const digits = 21
		dict += strings.Repeat(" ", digits-len(text[0]))
	}
	const align, prefix, newline = 64, len(magic) + 4, 1
	length := len(dict) + newline
	dict += strings.Repeat(" ", align-(prefix+length)%align)
	b = append(b, magic...)
	b = append(b, 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(dict)+newline))
	b = append(b, dict...)
	return append(b, '\n')
}
