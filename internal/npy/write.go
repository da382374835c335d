package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	}
	return fmt.Errorf("an array with elements of type %s cannot be written", elementType(a.Data))
}

func writeData[T element](w io.Writer, descr string, shape []int, data []T) error {
	n, err := count(shape)
	if err != nil {
		return err
	}
	if n != len(data) {
		return fmt.Errorf("shape %v has %d elements, the data has %d", shape, n, len(data))
	}
	if _, err := w.Write(appendHeader(nil, descr, shape)); err != nil {
		return err
	}
	const part = 1 << 14 // elements encoded at a time
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
