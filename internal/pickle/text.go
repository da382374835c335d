package pickle

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parse decodes the argument of an opcode of protocol 0.
func parse(op byte, line string) (any, error) {
	switch op {
	case opInt:
		if line == "00" || line == "01" {
			return line == "01", nil
		}
		return parseInteger(line)
	case opLong:
		return parseInteger(strings.TrimSuffix(line, "L"))
	case opFloat:
		f, err := strconv.ParseFloat(line, 64)
		if err != nil {
			return nil, fmt.Errorf("the pickle has the bad number %.20q", line)
		}
		return f, nil
	case opString:
		return unquote(line)
	default:
		return unescape(line)
	}
}

func parseInteger(text string) (any, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the pickle has the bad integer %.20q", text)
	}
	return integer(n), nil
}

// decimal takes a line with the number of a stored value.
func (m *machine) decimal() (uint64, error) {
	line, err := m.line()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(line, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("the pickle has the bad number %.20q of a value", line)
	}
	return n, nil
}

// unquote decodes a string as Python 2's repr writes it.
func unquote(line string) (string, error) {
	if len(line) < 2 || line[0] != line[len(line)-1] || line[0] != '\'' && line[0] != '"' {
		return "", fmt.Errorf("the pickle has a string without quotes, %.20q", line)
	}
	s := line[1 : len(line)-1]
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i++; i == len(s) {
			return "", fmt.Errorf("the pickle has a string that ends with a backslash")
		}
		switch c := s[i]; c {
		case 'x':
			if i+2 >= len(s) {
				return "", badEscape(s[i-1:])
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", badEscape(s[i-1:])
			}
			out = append(out, byte(v))
			i += 2
		case 'n', 'r', 't', 'a', 'b', 'f', 'v', '\\', '\'', '"':
			out = append(out, escaped[c])
		default:
			return "", badEscape(s[i-1:])
		}
	}
	return string(out), nil
}

var escaped = map[byte]byte{
	'n': '\n', 'r': '\r', 't': '\t', 'a': '\a', 'b': '\b', 'f': '\f', 'v': '\v', '\\': '\\', '\'': '\'', '"': '"',
}

func badEscape(s string) error {
	return fmt.Errorf("the pickle has a string with the bad escape sequence %.10q", s)
}

// unescape decodes Python's encoding raw-unicode-escape: bytes are characters of Latin-1,
// and only \uXXXX and \UXXXXXXXX are escape sequences.
func unescape(line string) (string, error) {
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		digits := 0
		if line[i] == '\\' && i+1 < len(line) {
			digits = map[byte]int{'u': 4, 'U': 8}[line[i+1]]
		}
		if digits == 0 {
			out = utf8.AppendRune(out, rune(line[i]))
			continue
		}
		if i+2+digits > len(line) {
			return "", badEscape(line[i:])
		}
		v, err := strconv.ParseUint(line[i+2:i+2+digits], 16, 31)
		if err != nil {
			return "", badEscape(line[i:])
		}
		out = utf8.AppendRune(out, rune(v))
		i += 1 + digits
	}
	return string(out), nil
}
