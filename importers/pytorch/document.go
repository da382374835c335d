package pytorch

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/tailscale/hujson"
)

// document is a parsed configuration file.
type document struct {
	name  string
	sum   []byte       // SHA-256 of the file
	value hujson.Value // the whole document
	root  *hujson.Object
	lines []int // offset of the end of each line
}

const (
	maxConfig = 1 << 20 // bytes of one configuration file
	// maxBrackets bounds how deep the parser recurses. It is far more than a network
	// needs: a layer has six or seven.
	maxBrackets = 50_000
)

// parse reads JSON with comments and trailing commas.
func parse(name string, data []byte) (*document, error) {
	if len(data) > maxConfig {
		return nil, fmt.Errorf("%s: %d bytes are too many for a configuration (at most %d)", name, len(data), maxConfig)
	}
	if n := bytes.Count(data, []byte("[")) + bytes.Count(data, []byte("{")); n > maxBrackets {
		return nil, fmt.Errorf("%s: %d brackets are too many for a configuration (at most %d)", name, n, maxBrackets)
	}
	sum := sha256.Sum256(data)
	v, data, err := parseJSON(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	root, ok := v.Value.(*hujson.Object)
	if !ok {
		return nil, fmt.Errorf("%s: want an object, found %s", name, describe(v))
	}
	d := &document{name: name, sum: sum[:], value: v, root: root}
	for i, b := range data {
		if b == '\n' {
			d.lines = append(d.lines, i)
		}
	}
	return d, nil
}

// describesNetwork reports whether the document has a network_structure object.
func (d *document) describesNetwork() bool {
	return slices.ContainsFunc(d.root.Members, func(m hujson.ObjectMember) bool {
		_, ok := m.Value.Value.(*hujson.Object)
		return ok && nameOfMember(m) == "network_structure"
	})
}

// plain returns the document as encoding/json represents it, without comments. Numbers
// keep their digits.
func (d *document) plain() (map[string]any, error) {
	v := d.value.Clone()
	v.Standardize()
	r := json.NewDecoder(bytes.NewReader(v.Pack()))
	r.UseNumber()
	values := map[string]any{}
	if err := r.Decode(&values); err != nil {
		return nil, fmt.Errorf("%s: not valid JSON: %w", d.name, err)
	}
	return values, nil
}

// at returns the file and line of a value.
func (d *document) at(v hujson.Value) string {
	line, _ := slices.BinarySearch(d.lines, v.StartOffset)
	return fmt.Sprintf("%s:%d", d.name, line+1)
}

func wrong(d *document, key string, v hujson.Value, want string) error {
	return fmt.Errorf("%s: %s: want %s, found %s", d.at(v), key, want, describe(v))
}

func kindOf(v hujson.Value) hujson.Kind {
	if v.Value == nil {
		return 0
	}
	return v.Value.Kind()
}

func text(d *document, key string, v hujson.Value) (string, error) {
	if kindOf(v) != '"' {
		return "", wrong(d, key, v, "a string")
	}
	s := v.Value.(hujson.Literal).String()
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		// "C:\new" without doubled backslashes has the character \n.
		return "", fmt.Errorf("%s: %s: %q contains a control character; write a backslash of a path as \\\\ or as /", d.at(v), key, s)
	}
	return s, nil
}

func boolean(d *document, key string, v hujson.Value) (bool, error) {
	if k := kindOf(v); k != 't' && k != 'f' {
		return false, wrong(d, key, v, "true or false")
	}
	return v.Value.(hujson.Literal).Bool(), nil
}

func number(d *document, key string, v hujson.Value) (float64, error) {
	var f float64
	if kindOf(v) != '0' || json.Unmarshal(v.Value.(hujson.Literal), &f) != nil {
		return 0, wrong(d, key, v, "a number")
	}
	return f, nil
}

func integer(d *document, key string, v hujson.Value) (int, error) {
	f, err := number(d, key, v)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return 0, wrong(d, key, v, "a whole number")
	}
	return int(f), nil
}

// pair decodes an entry of a list for all layers: two numbers, or an empty list for a
// layer that needs none.
func pair(d *document, key string, v hujson.Value) ([]int, error) {
	p, err := list(d, key, v, "two whole numbers", integer)
	if err == nil && len(p) != 0 && len(p) != 2 {
		return nil, fmt.Errorf("%s: %s: want two whole numbers or none, found %d", d.at(v), key, len(p))
	}
	return p, err
}

func list[T any](d *document, key string, v hujson.Value, of string, item func(*document, string, hujson.Value) (T, error)) ([]T, error) {
	a, ok := v.Value.(*hujson.Array)
	if !ok {
		return nil, wrong(d, key, v, "a list of "+of)
	}
	out := make([]T, len(a.Elements))
	for i, e := range a.Elements {
		var err error
		if out[i], err = item(d, fmt.Sprintf("%s[%d]", key, i), e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// describe describes a value for an error.
func describe(v hujson.Value) string {
	switch k := kindOf(v); k {
	case '{':
		return "an object"
	case '[':
		return "a list"
	default:
		s := fmt.Sprint(v.Value)
		if l, ok := v.Value.(hujson.Literal); ok {
			s = string(l)
		}
		if len(s) > 40 {
			s = s[:40] + "..."
		}
		switch k {
		case '"':
			return "the string " + s
		case '0':
			return "the number " + s
		}
		return s
	}
}

func nameOfMember(m hujson.ObjectMember) string {
	l, _ := m.Name.Value.(hujson.Literal)
	return l.String()
}
