package rest

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/ops"
)

// fromJSON decodes the data of an input, which is valid JSON: a flat list of all elements in
// row-major order, or lists that are nested like the shape.
func fromJSON(name, datatype string, shape []int64, data []byte) (inference.Input, error) {
	d, sizes, count, err := inference.Type(name, datatype, shape)
	if err != nil {
		return inference.Input{}, err
	}
	if inference.OnlyRaw(d) {
		return inference.Input{}, inference.Errorf(inference.Invalid, "input %q: JSON has no %s: send a binary tensor (parameter %s)", name, datatype, binarySize)
	}
	in := inference.Input{Name: name, Tensor: inference.Tensor{Shape: sizes}}
	l := list{name: name, shape: sizes, count: count, rest: data}
	var elements any
	switch d {
	case 0:
		in.Strings, err = parse(&l, "a string", func(s []byte) ([]byte, bool) {
			var text string
			if s[0] != '"' || json.Unmarshal(s, &text) != nil {
				return nil, false
			}
			return []byte(text), true
		})
		return in, err
	case ops.Bool:
		elements, err = parse(&l, "true or false", func(s []byte) (bool, bool) { return string(s) == "true", string(s) == "true" || string(s) == "false" })
	case ops.Float32:
		elements, err = parse(&l, "a number that FP32 can hold", func(s []byte) (float32, bool) {
			v, err := strconv.ParseFloat(string(s), 32)
			return float32(v), err == nil
		})
	case ops.Float64:
		elements, err = parse(&l, "a number that FP64 can hold", func(s []byte) (float64, bool) {
			v, err := strconv.ParseFloat(string(s), 64)
			return v, err == nil
		})
	case ops.Uint8:
		elements, err = parse(&l, "a whole number from 0 to 255", unsigned[uint8](8))
	case ops.Uint16:
		elements, err = parse(&l, "a whole number from 0 to 65535", unsigned[uint16](16))
	case ops.Uint32:
		elements, err = parse(&l, "a whole number from 0 to 4294967295", unsigned[uint32](32))
	case ops.Uint64:
		elements, err = parse(&l, "a whole number from 0 to 18446744073709551615", unsigned[uint64](64))
	case ops.Int8:
		elements, err = parse(&l, "a whole number from -128 to 127", signed[int8](8))
	case ops.Int16:
		elements, err = parse(&l, "a whole number from -32768 to 32767", signed[int16](16))
	case ops.Int32:
		elements, err = parse(&l, "a whole number from -2147483648 to 2147483647", signed[int32](32))
	default:
		elements, err = parse(&l, "a whole number from -9223372036854775808 to 9223372036854775807", signed[int64](64))
	}
	if err == nil {
		in.Values, err = ops.FromSlice(sizes, elements)
	}
	return in, err
}

func unsigned[T uint8 | uint16 | uint32 | uint64](bits int) func([]byte) (T, bool) {
	return func(s []byte) (T, bool) {
		v, err := strconv.ParseUint(string(s), 10, bits)
		return T(v), err == nil
	}
}

func signed[T int8 | int16 | int32 | int64](bits int) func([]byte) (T, bool) {
	return func(s []byte) (T, bool) {
		v, err := strconv.ParseInt(string(s), 10, bits)
		return T(v), err == nil
	}
}

// list is a list of elements in JSON, flat or nested.
type list struct {
	name  string
	shape []int
	count int
	rest  []byte // not read yet
}

// parse returns the elements of a list. element decodes one of them, and want describes it.
func parse[T any](l *list, want string, element func([]byte) (T, bool)) ([]T, error) {
	out := make([]T, 0, min(l.count, len(l.rest)/2+1)) // an element takes two bytes at least
	children := make([]int, 0, len(l.shape)+1)         // of the lists that are open
	nested := false
	for {
		l.space()
		switch c := l.next(); c {
		case '[':
			if len(children) == max(len(l.shape), 1) {
				return nil, inference.Errorf(inference.Invalid, "input %q: the data is nested deeper than the %d dimensions of the shape", l.name, len(l.shape))
			}
			if len(children) > 0 {
				if !nested && len(out) > 0 {
					return nil, l.mixed()
				}
				nested = true
				children[len(children)-1]++
			}
			children = append(children, 0)
			l.rest = l.rest[1:]
			continue
		case ']':
		case '{':
			return nil, inference.Errorf(inference.Invalid, "input %q: element %d is an object, want %s", l.name, len(out), want)
		default:
			if len(children) == 0 {
				return nil, inference.Errorf(inference.Invalid, "input %q: the data is not a list", l.name)
			}
			if nested && len(children) != len(l.shape) {
				return nil, l.mixed()
			}
			token := l.token()
			v, ok := element(token)
			if !ok {
				return nil, inference.Errorf(inference.Invalid, "input %q: element %d is %s, want %s", l.name, len(out), short(token), want)
			}
			if out = append(out, v); len(out) > l.count {
				return nil, inference.Errorf(inference.Invalid, "input %q: the shape %v has %d elements, but the data has more", l.name, l.shape, l.count)
			}
			children[len(children)-1]++
		}
		// After an element, or after a list whose end is next.
		for l.space(); l.next() == ']'; l.space() {
			depth := len(children)
			if nested && children[depth-1] != l.shape[depth-1] {
				return nil, inference.Errorf(inference.Invalid, "input %q: a list of the data has %d entries, but dimension %d of the shape %v is %d", l.name, children[depth-1], depth-1, l.shape, l.shape[depth-1])
			}
			l.rest, children = l.rest[1:], children[:depth-1]
			if depth == 1 {
				if len(out) != l.count {
					return nil, inference.Errorf(inference.Invalid, "input %q: the shape %v has %d elements, but the data has %d", l.name, l.shape, l.count, len(out))
				}
				return out, nil
			}
		}
		if l.next() == ',' {
			l.rest = l.rest[1:]
		}
	}
}

func (l *list) mixed() error {
	return inference.Errorf(inference.Invalid, "input %q: the data is neither flat nor nested like the shape %v", l.name, l.shape)
}

// space skips white space.
func (l *list) space() {
	for len(l.rest) > 0 && (l.rest[0] == ' ' || l.rest[0] == '\n' || l.rest[0] == '\r' || l.rest[0] == '\t') {
		l.rest = l.rest[1:]
	}
}

// next returns the next byte, without reading it. The data ends only after its last list.
func (l *list) next() byte {
	if len(l.rest) == 0 {
		return '"' // not a list
	}
	return l.rest[0]
}

// token reads a string, a number, or a word.
func (l *list) token() []byte {
	end := 0
	if l.next() == '"' {
		for end = 1; end < len(l.rest) && l.rest[end] != '"'; end++ {
			if l.rest[end] == '\\' {
				end++
			}
		}
		end++
	} else {
		for end < len(l.rest) && !ends(l.rest[end]) {
			end++
		}
	}
	end = min(end, len(l.rest))
	token := l.rest[:end]
	l.rest = l.rest[end:]
	return token
}

// ends reports whether a byte ends a number or a word.
func ends(c byte) bool {
	return c == ',' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t'
}

// short returns the start of a token for a message.
func short(token []byte) string {
	const most = 40
	if len(token) <= most {
		return string(token)
	}
	return string(bytes.ToValidUTF8(token[:most], nil)) + "..."
}
