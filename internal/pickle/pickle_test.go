package pickle

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t testing.TB, protocol int) []byte {
	content, err := os.ReadFile(fmt.Sprintf("testdata/protocol%d.pkl", protocol))
	require.NoError(t, err)
	return content
}

func TestDecode_ReadsAllProtocols(t *testing.T) {
	for protocol := range 6 {
		t.Run(fmt.Sprint(protocol), func(t *testing.T) {
			value, err := Decode(read(t, protocol))
			require.NoError(t, err)
			dict := value.(map[string]any)
			require.Equal(t, &[]any{3, 5}, dict["labels"])
			require.Equal(t, "aé€\\u\n", dict["text"])
			require.Equal(t, "\x00\xff", dict["bytes"])
			require.Equal(t, "", dict["empty"])
			require.Equal(t, strings.Repeat("x", 300), dict["long"])
			require.Equal(t, &[]any{0, 255, 65535, -1, integer(1 << 40), integer(-(1 << 40)), 0.5, true, false, nil}, dict["numbers"])
			data := dict["data"].(*Object)
			elements, _ := data.State.([]any)
			if protocol == 5 {
				require.Equal(t, "numpy.core.numeric _frombuffer", data.Class)
				elements = data.Args
			} else {
				require.Equal(t, "numpy.core.multiarray _reconstruct", data.Class)
			}
			require.Contains(t, elements, any("\x00\x01\n'\\\x80\xc8\xff"))
			require.Contains(t, elements, any([]any{2, 4}))
			first := dict["scalars"].([]any)[0].(*Object)
			require.Equal(t, "numpy.core.multiarray scalar", first.Class)
			require.Equal(t, "\x03\x00\x00\x00\x00\x00\x00\x00", first.Args[1])
		})
	}
}

func TestDecode_ReadsPython2(t *testing.T) {
	tests := []struct {
		name, content string
		want          any
	}{
		{"escapes", `S'\x00\n\r\t\\\'"\xff'` + "\n.", "\x00\n\r\t\\'\"\xff"},
		{"double quotes", `S"it's"` + "\n.", "it's"},
		{"protocol 0", "(dp0\nS'labels'\np1\n(lp2\nI3\naL5L\nasS'x'\nF0.25\ns.", map[string]any{"labels": &[]any{3, 5}, "x": 0.25}},
		{"protocol 1", "}q\x00(U\x06labelsq\x01]q\x02(K\x03K\x05eu.", map[string]any{"labels": &[]any{3, 5}}},
		{"old class", "(icollections\nOrderedDict\n.", &Object{Class: "collections OrderedDict", Args: []any{}}},
		{"bool", "I01\n.", true},
		{"bytearray", "c__builtin__\nbytearray\n(Va\xff\nS'latin-1'\ntR.", "a\xff"},
		{"encoded otherwise", "c_codecs\nencode\n(Va\nS'utf-8'\ntR.", &Object{Class: "_codecs encode", Args: []any{"a", "utf-8"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			value, err := Decode([]byte(test.content))
			require.NoError(t, err)
			require.Equal(t, test.want, value)
		})
	}
}

func TestDecode_RefusesInvalidPickles(t *testing.T) {
	tests := []struct{ name, content, err string }{
		{"no end", "\x80\x02K\x01", "its last byte, a period, is missing"},
		{"short string", "\x80\x02T\x64\x00\x00\x00abc", "truncated: at least 97 bytes are missing"},
		{"claims", "\x80\x02T\xff\xff\xff\xffabc.", "truncated: at least 4294967291 bytes are missing"},
		{"claims 8 bytes", "\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\xffabc.", "the pickle is damaged: it has a length of more than a terabyte"},
		{"short frame", "\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00K\x01.", "truncated: at least 13 bytes are missing"},
		{"short line", "I12", "ends within a line"},
		{"protocol", "\x80\x06K\x01.", "protocol 6, want 0 to 5"},
		{"opcode", "\x80\x02\xf0.", "unknown opcode 0xf0"},
		{"empty stack", "\x80\x02.", "takes more values from its stack than it has"},
		{"no mark", "\x80\x02K\x01t.", "takes more values"},
		{"mark only", "(o.", "takes more values"},
		{"memo", "\x80\x02h\x01.", "uses value 1 before"},
		{"call", "\x80\x02K\x01)R.", "calls a value that is not a function"},
		{"arguments", "cos\nsystem\nK\x01R.", "arguments that are not a tuple"},
		{"state of a number", "\x80\x02K\x01)b.", "the state of a value that is not an object"},
		{"append", "\x80\x02K\x01K\x01a.", "appends to a value that is not a list"},
		{"key", "\x80\x02}K\x01K\x01s.", "keys that are not strings"},
		{"odd", "\x80\x02}(K\x01u.", "key without a value"},
		{"function", "K\x01K\x02\x93.", "names a function by values that are not strings"},
		{"buffer", "\x97.", "buffers outside of the file"},
		{"persistent", "K\x01Q.", "data outside of it, as PyTorch files do"},
		{"integer", "Ix\n.", "bad integer"},
		{"long integer", "\x8a\x09123456789.", "integer of 9 bytes"},
		{"float", "Fx\n.", "bad number"},
		{"quotes", "Sabc\n.", "without quotes"},
		{"escape", "S'\\q'\n.", "bad escape sequence"},
		{"short escape", "S'\\x1'\n.", "bad escape sequence"},
		{"backslash", "S'\\'\n.", "ends with a backslash"},
		{"unicode escape", "V\\u12\n.", "bad escape sequence"},
		{"many", "\x80\x02" + strings.Repeat("K\x01", maxValues+1) + ".", "more than 2097152 values"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode([]byte(test.content))
			require.ErrorContains(t, err, test.err)
		})
	}
}

// TestDecode_NoticesTruncation checks every prefix of a file.
func TestDecode_NoticesTruncation(t *testing.T) {
	for protocol := range 6 {
		content := read(t, protocol)
		for n := range content {
			_, err := Decode(content[:n])
			require.Error(t, err, "protocol %d, %d bytes", protocol, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for protocol := range 6 {
		f.Add(read(f, protocol))
	}
	f.Fuzz(func(_ *testing.T, content []byte) {
		_, _ = Decode(content)
	})
}

func TestDecode_BoundsMemory(t *testing.T) {
	text := strings.Repeat("a", 1000)
	one := "\x80\x02(c_codecs\nencode\nq\x00X\xe8\x03\x00\x00" + text + "X\x06\x00\x00\x00latin1\x86q\x010"
	value, err := Decode([]byte(one + "h\x00h\x01Rt."))
	require.NoError(t, err)
	require.Contains(t, value, any(text))
	_, err = Decode([]byte(one + strings.Repeat("h\x00h\x01R", 100) + "t."))
	require.ErrorContains(t, err, "encodes the same text many times")
}
