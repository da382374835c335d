// Package sniff names the content of a file by its first bytes, for errors that say what
// was given instead of the expected file.
package sniff

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Length is the number of bytes at the start of a file that Describe uses. Fewer suffice
// for most formats.
const Length = 4096

// ReadHead returns the first Length bytes of a file, or all of them if it has fewer.
func ReadHead(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	head := make([]byte, Length)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

// Error returns the error that a file is not what a reader expects, such as "an .npy
// file". It says what the file is instead, judged by its first bytes, and what to do.
func Error(want string, head []byte) error {
	return fmt.Errorf("want %s, but this is %s", want, Describe(head))
}

// Describe says what a file is whose first bytes are head, as in "an HTML page: ...". For
// an unknown format it quotes the bytes.
func Describe(head []byte) string {
	if what := Known(head); what != "" {
		return what
	}
	return fmt.Sprintf("an unknown format (it begins with %s)", quote(head))
}

// Known is Describe, except that it returns "" for an unknown format.
func Known(head []byte) string {
	if len(head) == 0 {
		return "an empty file"
	}
	for _, s := range signatures {
		if s.matches(head) {
			return s.what
		}
	}
	if format := Picture(head, ""); format != "" {
		return fmt.Sprintf("a file in the format %s: save a picture as PNG with another program", format)
	}
	switch {
	case IsZIP(head):
		return zipped(head)
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return compressed(head)
	case len(bytes.Trim(head, "\x00")) == 0:
		return "a file of zero bytes, such as an interrupted copy or download leaves: copy it again"
	case isSafetensors(head):
		return "a safetensors file: save each array with numpy.save, or the model as ONNX"
	case IsPickle(head):
		return pickled(head)
	case IsONNX(head):
		return "an ONNX model"
	}
	return text(head)
}

// signature is a format with fixed bytes at a fixed place. '?' matches any byte.
type signature struct {
	at    int
	magic string
	what  string
}

func (s signature) matches(head []byte) bool {
	if len(head) < s.at+len(s.magic) {
		return false
	}
	for i := range len(s.magic) {
		if c := s.magic[i]; c != '?' && c != head[s.at+i] {
			return false
		}
	}
	return true
}

var signatures = []signature{
	{0, "version https://git-lfs", "a Git LFS pointer instead of the file itself: run \"git lfs pull\" in its repository"},
	{0, "\x93NUMPY", "an .npy file (NumPy array)"},
	{0, "\x89PNG\r\n\x1a\n", "a PNG picture"},
	{0, "\xff\xd8\xff", "a JPEG picture"},
	{0, "GIF8", "a GIF picture"},
	{0, "BM????\x00\x00\x00\x00", "a BMP picture"},
	{0, "II*\x00", "a TIFF picture"},
	{0, "MM\x00*", "a TIFF picture"},
	{0, "RIFF????WEBP", "a WebP picture"},
	{0, "\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras, h5py and MATLAB write: save each array with numpy.save"},
	{0, "MATLAB 5.0 MAT-file", "a MATLAB file: load it with scipy.io.loadmat and save each array with numpy.save"},
	{4, "TFL3", "a TensorFlow Lite model: convert it to ONNX with tf2onnx"},
	{0, "PAR1", "a Parquet file: save its columns as .npy files or as CSV"},
	{0, "ARROW1", "an Arrow file: save its columns as .npy files or as CSV"},
	{0, "SQLite format 3\x00", "an SQLite database"},
	{0, "BZh", "a file compressed with bzip2: decompress it"},
	{0, "\xfd7zXZ\x00", "a file compressed with xz: decompress it"},
	{0, "\x28\xb5\x2f\xfd", "a file compressed with zstd: decompress it"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7z archive: extract it"},
	{0, "Rar!\x1a\x07", "a RAR archive: extract it"},
	{0, "\x7fELF", "a program (ELF)"},
	{0, "MZ\x90\x00", "a program (Windows)"},
	{257, "ustar", "a tar archive: extract it"},
}

// IsZIP reports whether a file that begins with head is a ZIP archive.
func IsZIP(head []byte) bool { return bytes.HasPrefix(head, []byte("PK\x03\x04")) }

// IsNPZ reports whether a file that begins with head is an .npz archive of arrays.
func IsNPZ(head []byte) bool {
	return IsZIP(head) && strings.HasSuffix(firstInZIP(head), ".npy")
}

// firstInZIP returns the name of the first file in a ZIP archive.
func firstInZIP(head []byte) string {
	if len(head) < 30 {
		return ""
	}
	n := int(head[26]) | int(head[27])<<8
	return string(head[30:min(len(head), 30+n)])
}

// zipped describes a ZIP archive by the name of its first file.
func zipped(head []byte) string {
	name := firstInZIP(head)
	switch {
	case IsNPZ(head):
		return "an .npz archive of NumPy arrays: extract it (each array is an .npy file), or save the array with numpy.save"
	case strings.HasSuffix(name, "/data.pkl") || strings.Contains(name, "/.format_version") || strings.Contains(name, "/.data/"):
		return "a PyTorch file (torch.save): " + fromTorch
	case strings.HasPrefix(name, "[Content_Types].xml"), strings.HasPrefix(name, "_rels/"):
		return "an Office document: save a table as CSV"
	case name == "mimetype":
		return "an OpenDocument file: save a table as CSV"
	}
	return "a ZIP archive: extract it"
}

// fromTorch says how to get at the values of a PyTorch file. Reading the file itself
// would run code.
const fromTorch = "load it in Python, and save each array with numpy.save(name, tensor.cpu().numpy())"

// compressed describes a gzip file by the start of its content.
func compressed(head []byte) string {
	z, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return "a damaged gzip file: " + err.Error()
	}
	start := make([]byte, Length)
	n, _ := io.ReadFull(z, start) // head is only the start of the file
	if n == 0 {
		return "a file compressed with gzip"
	}
	if bytes.HasPrefix(start[:n], []byte("\x1f\x8b")) {
		return "a file compressed with gzip twice: decompress it once"
	}
	if what := Known(start[:n]); what != "" {
		if !strings.Contains(what, ": ") {
			what += ": decompress it"
		}
		return "a file compressed with gzip, which contains " + what
	}
	return "a file compressed with gzip"
}

// isSafetensors reports whether a length and a JSON header follow each other.
func isSafetensors(head []byte) bool {
	return len(head) > 9 && head[8] == '{' && (head[9] == '"' || head[9] == '}') && bytes.Equal(head[4:8], make([]byte, 4))
}

// IsPickle recognizes protocols 2 to 5 by their first opcode, and protocols 0 and 1 by the
// start of a list, dictionary, tuple or object.
func IsPickle(head []byte) bool {
	if len(head) > 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 {
		return true
	}
	for _, start := range []string{"(dp0\n", "(dp1\n", "(lp0\n", "(lp1\n", "(dq\x00", "}q\x00", "}q\x01", "]q\x00", "]q\x01", "cnumpy", "cnumpy.core", "c__builtin__", "ccopy_reg\n", "ctorch"} {
		if bytes.HasPrefix(head, []byte(start)) {
			return true
		}
	}
	return false
}

func pickled(head []byte) string {
	// The magic number of torch.save before version 1.6.
	if bytes.Contains(head[:min(len(head), 32)], []byte("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")) || bytes.Contains(head, []byte("torch")) {
		return "a PyTorch file (torch.save): " + fromTorch
	}
	return "a Python pickle: load it in Python, and save each array with numpy.save"
}

// IsONNX recognizes the first two fields of a ModelProto: ir_version and the name of the
// producer, or the next field.
func IsONNX(head []byte) bool {
	return len(head) > 4 && head[0] == 0x08 && head[1] > 0 && head[1] < 32 && (head[2] == 0x12 || head[2] == 0x3a || head[2] == 0x42)
}

// IsText reports whether a file that begins with head is a text in UTF-8, other than an
// HTML page or a Git LFS pointer.
func IsText(head []byte) bool {
	s, ok := content(head)
	return ok && s != "" && !isHTML(s) && !signatures[0].matches(head)
}

// content returns a text without the space around it, and reports whether the bytes are
// a text in UTF-8.
func content(head []byte) (string, bool) {
	s := strings.TrimPrefix(string(head), "\ufeff")
	// The last character may be cut off.
	for range utf8.UTFMax - 1 {
		if utf8.ValidString(s) {
			break
		}
		s = s[:len(s)-1]
	}
	ok := utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) })
	return strings.TrimSpace(s), ok
}

// isOldText reports whether bytes are a text with 8 bits per character, such as Windows-1252:
// mostly ASCII, without control characters.
func isOldText(head []byte) bool {
	high := 0
	for _, c := range head {
		switch {
		case c >= 0x80:
			high++
		case c < ' ' && !unicode.IsSpace(rune(c)), c == 0x7f:
			return false
		}
	}
	return high*4 < len(head)
}

func isHTML(text string) bool {
	lower := strings.ToLower(text[:min(len(text), 512)])
	return strings.HasPrefix(lower, "<!doctype html") || strings.HasPrefix(lower, "<html") ||
		strings.HasPrefix(lower, "<") && (strings.Contains(lower, "<head") || strings.Contains(lower, "<body"))
}

// text describes a text, "" if the bytes are none.
func text(head []byte) string {
	for _, bom := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(head, []byte(bom)) {
			return "a text in UTF-16: save it as UTF-8"
		}
	}
	s, ok := content(head)
	if !ok {
		if isOldText(head) {
			return fmt.Sprintf("a text that is not in UTF-8 (%s): save it as UTF-8", quote(head))
		}
		return ""
	}
	lower := strings.ToLower(s[:min(len(s), 512)])
	switch {
	case s == "":
		return "a file of white space"
	case isHTML(s):
		return "an HTML page, such as a download returns that needs a login or has failed: download the file again"
	case strings.HasPrefix(lower, "<?xml") && strings.Contains(lower, "<error"):
		return "an XML error message, such as a failed download leaves: download the file again"
	case strings.HasPrefix(lower, "<?xml"):
		return "an XML document"
	case s[0] == '{' || s[0] == '[' && strings.ContainsAny(s, "{\""):
		return fmt.Sprintf("a JSON text (%s)", quote([]byte(s)))
	}
	return fmt.Sprintf("a text (%s)", quote([]byte(s)))
}

// quote quotes the start of a file.
func quote(head []byte) string {
	line, _, _ := bytes.Cut(head[:min(len(head), 40)], []byte("\n"))
	if s := string(bytes.TrimRight(line, "\r")); utf8.ValidString(s) && s != "" && len(head) > len(line) {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q", head[:min(len(head), 16)])
}
