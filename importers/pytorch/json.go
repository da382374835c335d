package pytorch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tailscale/hujson"

	"github.com/spike-by-spike/sbs/internal/sniff"
)

// parseJSON parses JSON with comments and trailing commas, in UTF-8 or UTF-16. The values
// NaN, Infinity and -Infinity, which Python's json module writes, are read as strings, so
// that they matter only where a number is needed.
func parseJSON(data []byte) (hujson.Value, []byte, error) {
	data, err := toUTF8(data)
	if err != nil {
		return hujson.Value{}, nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return hujson.Value{}, nil, sniff.Error("a JSON text", data)
	}
	data = quoteNumbers(data)
	// A line comment must end with a newline, even at the end of the file.
	data = append(data, '\n')
	// Parse keeps slices of its argument.
	v, err := hujson.Parse(bytes.Clone(data))
	if err != nil {
		return hujson.Value{}, nil, explain(data, err)
	}
	return v, data, nil
}

// toUTF8 decodes UTF-16, with or without a byte order mark, and removes the mark of UTF-8.
func toUTF8(data []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), len(data) > 3 && data[0] != 0 && data[1] == 0 && data[3] == 0:
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")), len(data) > 3 && data[0] == 0 && data[1] != 0 && data[2] == 0:
		order = binary.BigEndian
	}
	if order == nil {
		if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
			return nil, sniff.Error("a JSON text", data[:min(len(data), sniff.Length)])
		}
		return append([]byte(nil), bytes.TrimPrefix(data, []byte("\ufeff"))...), nil
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return []byte(strings.TrimPrefix(string(utf16.Decode(units)), "\ufeff")), nil
}

// jsonToken matches what quoteNumbers must not change, or must change.
var jsonToken = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|//[^\n]*|/\*(?s:.*?)\*/|-?\b(?:NaN|Infinity)\b`)

// quoteNumbers encloses NaN, Infinity and -Infinity in quotes, outside of strings and
// comments.
func quoteNumbers(data []byte) []byte {
	if !bytes.Contains(data, []byte("NaN")) && !bytes.Contains(data, []byte("Infinity")) {
		return data
	}
	return jsonToken.ReplaceAllFunc(data, func(token []byte) []byte {
		if token[0] == '"' || token[0] == '/' {
			return token
		}
		return fmt.Appendf(nil, "%q", token)
	})
}

// jsonKey matches a key before its value.
var jsonKey = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"\s*:\s*$`)

// explain returns the error of the JSON parser with the key whose value it is about, and
// what to write for mistakes that people make.
func explain(data []byte, err error) error {
	text := strings.TrimPrefix(err.Error(), "hujson: ")
	text = strings.ReplaceAll(text, "unexpected EOF", "unexpected end of the file")
	var line, column int
	if _, scanErr := fmt.Sscanf(text, "line %d, column %d:", &line, &column); scanErr != nil {
		return fmt.Errorf("not valid JSON: %s", text)
	}
	rest := data
	for range line - 1 {
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	rest = rest[min(column-1, len(rest)):]
	if m := jsonKey.FindSubmatch(data[:len(data)-len(rest)]); m != nil {
		text = strings.Replace(text, ": ", fmt.Sprintf(", key %q: ", m[1]), 1)
	}
	advice := ""
	switch word := string(rest[:min(len(rest), 6)]); {
	case strings.Contains(text, "expecting ','"):
		advice = "; a comma is missing before it"
	case strings.HasPrefix(word, `"`):
		value, _, _ := bytes.Cut(rest, []byte("\n"))
		if bytes.ContainsRune(value, '\\') {
			advice = `; write a backslash of a path as \\ or as /`
		} else {
			advice = "; the text must end with a quote in the same line"
		}
	case strings.HasPrefix(word, "'"):
		advice = `; write double quotes "..."`
	case strings.HasPrefix(word, "True"), strings.HasPrefix(word, "False"), strings.HasPrefix(word, "None"):
		advice = "; JSON has true, false and null"
	case line == 1 && column == 1:
		return sniff.Error("a JSON text", data[:min(len(data), sniff.Length)])
	}
	return fmt.Errorf("not valid JSON: %s%s", text, advice)
}
