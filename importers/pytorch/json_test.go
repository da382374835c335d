package pytorch

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

func utf16Bytes(order binary.AppendByteOrder, text string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func TestParse_ReadsWhatPeopleWrite(t *testing.T) {
	const text = `{"a": "ä", "network_structure": {}}`
	for name, data := range map[string][]byte{
		"UTF-8":             []byte(text),
		"UTF-8 with a mark": []byte("\ufeff" + text),
		"UTF-16":            utf16Bytes(binary.LittleEndian, "\ufeff"+text),
		"UTF-16 big endian": utf16Bytes(binary.BigEndian, "\ufeff"+text),
		"no mark":           utf16Bytes(binary.LittleEndian, text),
		"no mark, big":      utf16Bytes(binary.BigEndian, text),
		"NaN":               []byte(`{"a": "ä", "x": NaN, "y": [Infinity, -Infinity], "network_structure": {}} // NaN "`),
		"comment":           []byte("{\"a\": \"ä\", /* NaN \" */ \"b\": \"NaN \\\" Infinity\", \"network_structure\": {},}"),
	} {
		t.Run(name, func(t *testing.T) {
			d, err := parse("n.json", data)
			require.NoError(t, err)
			require.True(t, d.describesNetwork())
			values, err := d.plain()
			require.NoError(t, err)
			require.Equal(t, "ä", values["a"])
			if name == "comment" {
				require.Equal(t, `NaN " Infinity`, values["b"])
			}
		})
	}
}

func TestParse_ExplainsMistakes(t *testing.T) {
	for data, want := range map[string]string{
		"{\n\"data_path\": \"C:\\Users\\me\"}": `not valid JSON: line 2, column 14, key "data_path": invalid literal: "C:\Users\me"; write a backslash of a path as \\ or as /`,
		"{'a': 1}":                             `not valid JSON: line 1, column 2: invalid character '\'' at start of value; write double quotes`,
		`{"a": 1 "b": 2}`:                      `invalid character '"' after object value (expecting ',' or '}'); a comma is missing before it`,
		`{"a": True}`:                          `line 1, column 7, key "a": invalid literal: True; JSON has true, false and null`,
		"{\"a\": \"b\nc\"}":                    `key "a": invalid literal: "b` + "\nc\"; the text must end with a quote in the same line",
		"{\"a\": 1":                            "unexpected end of the file",
		"<!doctype html><html>":                "want a JSON text, but this is an HTML page",
		"":                                     "want a JSON text, but this is an empty file",
		"\x80\x04\x95\xff\xff":                 "want a JSON text, but this is a Python pickle",
		"version https://git-lfs.github.com/spec/v1\n": "want a JSON text, but this is a Git LFS pointer",
		"[1]": "n.json: want an object, found a list",
	} {
		_, err := parse("n.json", []byte(data))
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "n.json: ")
	}
}

func TestParse_NamesTheKeyOfNaN(t *testing.T) {
	d, err := parse("n.json", []byte("{\n\"x\": NaN}"))
	require.NoError(t, err)
	_, err = number(d, "x", d.root.Members[0].Value)
	require.EqualError(t, err, `n.json:2: x: want a number, found the string "NaN"`)
	d, err = parse("n.json", []byte("{\n\"path\": \"C:\\new\"}"))
	require.NoError(t, err)
	_, err = text(d, "path", d.root.Members[0].Value)
	require.EqualError(t, err, `n.json:2: path: "C:\new" contains a control character; write a backslash of a path as \\ or as /`)
}
