package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxText bounds the bytes of one string in a file, to which all strings of an array are
// padded.
const maxText = 1 << 24

// textCodec returns the codec of strings: U10 has 10 code points of 4 bytes, and S10 has 10
// bytes. NUL fills the rest of a string.
func textCodec(kind string) (codec, error) {
	if kind == "" || !strings.Contains("USa", kind[:1]) {
		return codec{}, errUnknownType
	}
	unit, decode := 1, decodeBytes
	if kind[0] == 'U' {
		unit, decode = 4, decodeCodePoints
	}
	length, err := strconv.ParseUint(kind[1:], 10, 31)
	if err != nil {
		return codec{}, errUnknownType
	}
	if length > maxText/uint64(unit) {
		return codec{}, fmt.Errorf("the strings are padded to %d characters, at most %d are read", length, maxText/unit)
	}
	size := int(length) * unit
	return codec{size: size, read: func(s *source) (any, error) {
		if size == 0 {
			return emptyTexts(s.n)
		}
		var problem error
		read := 0
		data, err := readData(s, size, unit, func(dst []string, src []byte) {
			for i := range dst {
				text, ok := decode(src[i*size : (i+1)*size])
				if !ok && problem == nil {
					problem = fmt.Errorf("string %d contains a number that is no Unicode code point", read+i)
				}
				dst[i] = text
			}
			read += len(dst)
		})
		if err == nil {
			err = problem
		}
		if err != nil {
			return nil, err
		}
		return inOrder(s, data), nil
	}}, nil
}

// emptyTexts returns n strings that take no bytes in the file, which does not bound n.
func emptyTexts(n int) (any, error) {
	if n > chunk {
		return nil, fmt.Errorf("the array has %d strings of length 0, at most %d are read", n, chunk)
	}
	return make([]string, n), nil
}

func decodeBytes(b []byte) (string, bool) {
	return strings.TrimRight(string(b), "\x00"), true
}

func decodeCodePoints(b []byte) (string, bool) {
	for len(b) > 0 && binary.LittleEndian.Uint32(b[len(b)-4:]) == 0 {
		b = b[:len(b)-4]
	}
	var text []byte
	for ; len(b) > 0; b = b[4:] {
		c := binary.LittleEndian.Uint32(b)
		if c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
			return "", false
		}
		text = utf8.AppendRune(text, rune(c))
	}
	return string(text), true
}

// writeTexts writes strings as numpy.save does: as code points or, if a string is not UTF-8,
// as bytes.
func writeTexts(w io.Writer, shape []int, data []string) error {
	valid, bytes, codePoints := true, 1, 1
	for i, s := range data {
		if strings.HasSuffix(s, "\x00") {
			return fmt.Errorf("string %d ends with NUL, which .npy files cannot hold", i)
		}
		valid = valid && utf8.ValidString(s)
		bytes, codePoints = max(bytes, len(s)), max(codePoints, utf8.RuneCountInString(s))
	}
	kind, unit, length := "|S", 1, bytes
	if valid {
		kind, unit, length = "<U", 4, codePoints
	}
	if length > maxText/unit || len(data) > MaxElements/length {
		return fmt.Errorf("%d strings, all padded to the longest one with %d characters, are too much for a .npy file", len(data), length)
	}
	if err := writeHeader(w, kind+strconv.Itoa(length), shape, len(data)); err != nil {
		return err
	}
	buf := make([]byte, length*unit)
	for _, s := range data {
		clear(buf)
		if valid {
			at := 0
			for _, c := range s {
				binary.LittleEndian.PutUint32(buf[at:], uint32(c))
				at += 4
			}
		} else {
			copy(buf, s)
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}
