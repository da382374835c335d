package imagefile

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"io"
	"iter"
	"strings"
)

// exifPrefix precedes the EXIF data in a JPEG file, and in some files of other formats.
const exifPrefix = "Exif\x00\x00"

// exifOfTIFF returns a TIFF file, which has the structure of EXIF data itself.
func exifOfTIFF(content []byte) []byte { return content }

// exifOfJPEG returns the EXIF data of a JPEG file.
func exifOfJPEG(content []byte) []byte {
	for marker, data := range segments(content) {
		if rest, ok := bytes.CutPrefix(data, []byte(exifPrefix)); ok && marker == markerAPP1 {
			return rest
		}
	}
	return nil
}

// exifOfPNG returns the EXIF data of a PNG file: the chunk eXIf or, as ImageMagick wrote it
// before there was one, hexadecimal digits in a text.
func exifOfPNG(content []byte) []byte {
	var old []byte
	found := false // only one text is decoded, however many there are
	for kind, data := range pngChunks(content) {
		switch kind {
		case "eXIf":
			return bytes.TrimPrefix(data, []byte(exifPrefix))
		case "tEXt", "zTXt":
			name, text, _ := bytes.Cut(data, []byte{0})
			if !found && (string(name) == "Raw profile type exif" || string(name) == "Raw profile type APP1") {
				old, found = rawProfile(text, kind == "zTXt"), true
			}
		}
	}
	return old
}

// rawProfile decodes a profile in a text of a PNG file: a name, the number of bytes and the bytes
// as hexadecimal digits, on separate lines. A compressed text begins with the method, 0 for zlib.
func rawProfile(text []byte, compressed bool) []byte {
	if compressed {
		z, err := zlib.NewReader(bytes.NewReader(text[min(1, len(text)):]))
		if err != nil {
			return nil
		}
		const most = 1 << 18 // EXIF data has at most 64 kB
		if text, err = io.ReadAll(io.LimitReader(z, most)); err != nil {
			return nil
		}
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 3 {
		return nil
	}
	data, err := hex.DecodeString(strings.Join(strings.Fields(strings.Join(lines[2:], "")), ""))
	if err != nil {
		return nil
	}
	return bytes.TrimPrefix(data, []byte(exifPrefix))
}

// exifOfWebP returns the EXIF data of a WebP file.
func exifOfWebP(content []byte) []byte {
	for kind, data := range webpChunks(content) {
		if kind == "EXIF" {
			return bytes.TrimPrefix(data, []byte(exifPrefix))
		}
	}
	return nil
}

// pngChunks yields the kinds and the data of the chunks of a PNG file, up to the first that
// is damaged.
func pngChunks(content []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		const signature, head, sum = 8, 8, 4
		rest := content[min(signature, len(content)):]
		for len(rest) >= head {
			n := int64(binary.BigEndian.Uint32(rest))
			if n > int64(len(rest)-head) || !yield(string(rest[4:head]), rest[head:head+n]) {
				return
			}
			rest = rest[min(head+n+sum, int64(len(rest))):]
		}
	}
}

// webpChunks yields the kinds and the data of the chunks of a WebP file, up to the first that
// is damaged.
func webpChunks(content []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		const signature, head = 12, 8
		rest := content[min(signature, len(content)):]
		for len(rest) >= head {
			n := int64(binary.LittleEndian.Uint32(rest[4:]))
			if n > int64(len(rest)-head) || !yield(string(rest[:4]), rest[head:head+n]) {
				return
			}
			rest = rest[min(head+n+n%2, int64(len(rest))):] // chunks are padded to an even size
		}
	}
}

// isGrayPNG reports whether a PNG file is stored as gray, with or without transparency.
func isGrayPNG(content []byte) bool {
	const colorType, gray, grayAlpha = 25, 0, 4
	return matches(content, formats[0].magic+"????IHDR") && len(content) > colorType && (content[colorType] == gray || content[colorType] == grayAlpha)
}
