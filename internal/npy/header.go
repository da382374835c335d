package npy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/sniff"
)

const magic = "\x93NUMPY"

// maxHeader bounds the bytes of a header. NumPy reads headers of up to 10000 bytes; 64
// dimensions and the padding need less than 2000.
const maxHeader = 1 << 16

// header is the decoded Python dictionary at the start of a file.
type header struct {
	kind    string // kind and size of the elements, such as "f4" or "U10"
	big     bool   // big endian
	fortran bool   // the first index varies fastest
	shape   []int
}

// readHeader returns the header and its length in bytes, including the magic string.
func readHeader(r *bufio.Reader) (*header, int, error) {
	head, err := r.Peek(sniff.Length)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, 0, err
	}
	switch {
	case len(head) == 0:
		return nil, 0, fmt.Errorf("the file is empty: %w", io.ErrUnexpectedEOF)
	case len(head) < len(magic) && strings.HasPrefix(magic, string(head)):
		return nil, 0, fmt.Errorf("the file ends within its header: %w", io.ErrUnexpectedEOF)
	case !bytes.HasPrefix(head, []byte(magic)):
		return nil, 0, sniff.Error("an .npy file", head)
	}
	var fixed [len(magic) + 2]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return nil, 0, short(err, "the file ends within its header")
	}
	major, minor := fixed[len(magic)], fixed[len(magic)+1]
	if major < 1 || major > 3 || minor != 0 {
		return nil, 0, fmt.Errorf(".npy format version %d.%d is not supported, want 1.0, 2.0 or 3.0", major, minor)
	}
	var length [4]byte
	used := length[:]
	if major == 1 {
		used = length[:2]
	}
	if _, err := io.ReadFull(r, used); err != nil {
		return nil, 0, short(err, "the file ends within its header")
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > maxHeader {
		return nil, 0, fmt.Errorf("the header claims %d bytes, want at most %d", n, maxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, 0, short(err, "the file ends within its header")
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return nil, 0, fmt.Errorf("bad header: %w", err)
	}
	return h, len(fixed) + len(used) + len(text), nil
}

// short replaces the error of an io.ReadFull that reached the end of the file.
func short(err error, what string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %w", what, io.ErrUnexpectedEOF)
	}
	return err
}

// parseHeader parses the dictionary. Its keys may be in any order.
func parseHeader(text string) (*header, error) {
	p := parser{text: text}
	h := &header{}
	seen := map[string]bool{}
	if err := p.expect('{'); err != nil {
		return nil, err
	}
	for !p.accept('}') {
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, fmt.Errorf("key %q occurs twice", key)
		}
		seen[key] = true
		if err := p.expect(':'); err != nil {
			return nil, err
		}
		if err := p.value(h, key); err != nil {
			return nil, err
		}
		if p.accept('}') {
			break
		}
		if err := p.expect(','); err != nil {
			return nil, err
		}
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return nil, fmt.Errorf("key %q is missing", key)
		}
	}
	if p.peek() != 0 || p.pos != len(text) {
		return nil, p.fail("the end of the header")
	}
	return h, nil
}

// parser parses the few kinds of Python literals that a header contains.
type parser struct {
	text string
	pos  int
}

// value parses the value of a key into h.
func (p *parser) value(h *header, key string) (err error) {
	switch key {
	case "descr":
		if p.peek() == '[' {
			return errors.New("structured arrays are not supported, want one of plain numbers")
		}
		var descr string
		if descr, err = p.str(); err == nil {
			h.kind, h.big, err = parseDescr(descr)
		}
	case "fortran_order":
		h.fortran, err = p.boolean()
	case "shape":
		h.shape, err = p.tuple()
	default:
		err = fmt.Errorf("unknown key %q", key)
	}
	return err
}

// peek skips white space and returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n\f", p.text[p.pos]) >= 0 {
		p.pos++
	}
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

func (p *parser) accept(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.pos++
	return true
}

func (p *parser) expect(c byte) error {
	if !p.accept(c) {
		return p.fail(strconv.QuoteRune(rune(c)))
	}
	return nil
}

func (p *parser) fail(want string) error {
	rest := p.text[p.pos:]
	if rest == "" {
		return fmt.Errorf("the header ends where %s should be", want)
	}
	return fmt.Errorf("%q at byte %d, want %s", rest[:min(len(rest), 16)], p.pos, want)
}

// str parses a string. Escapes are an error, because no supported header needs them.
func (p *parser) str() (string, error) {
	quote := p.peek()
	if quote != '\'' && quote != '"' {
		return "", p.fail("a string")
	}
	s, _, ok := strings.Cut(p.text[p.pos+1:], string(quote))
	if !ok || strings.ContainsAny(s, "\\\n") {
		return "", p.fail("a string")
	}
	p.pos += len(s) + 2
	return s, nil
}

func (p *parser) boolean() (bool, error) {
	p.peek()
	word := p.word()
	if word != "True" && word != "False" {
		return false, p.fail("True or False")
	}
	p.pos += len(word)
	return word == "True", nil
}

// word returns the letters and digits that follow, without advancing.
func (p *parser) word() string {
	end := p.pos
	for end < len(p.text) {
		c := p.text[end]
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			break
		}
		end++
	}
	return p.text[p.pos:end]
}

// tuple parses the shape: (), (3,), (3, 4) or (3, 4,). Numbers may have the suffix L,
// which Python 2 wrote after some of them.
func (p *parser) tuple() ([]int, error) {
	if err := p.expect('('); err != nil {
		return nil, err
	}
	shape := []int{}
	for comma := true; !p.accept(')'); {
		if !comma {
			return nil, p.fail("',' or ')'")
		}
		p.peek()
		word := p.word()
		d, err := strconv.Atoi(strings.TrimSuffix(word, "L"))
		if errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("dimension %s is too large", word)
		}
		if err != nil {
			return nil, p.fail("a dimension, a number of at least 0")
		}
		p.pos += len(word)
		shape = append(shape, d)
		comma = p.accept(',')
		if len(shape) == 1 && !comma {
			return nil, p.fail("',' after the only element of a tuple")
		}
	}
	return shape, nil
}

// parseDescr splits a dtype such as "<f4" into its kind and byte order. The native orders
// '=' and '|' mean little endian, because computers that write .npy files with them are
// little endian.
func parseDescr(descr string) (kind string, big bool, err error) {
	kind = strings.TrimLeft(descr, "<>=|")
	if len(descr)-len(kind) > 1 {
		return "", false, fmt.Errorf("dtype %q has two byte orders", descr)
	}
	if _, err := codecOf(kind); err == nil {
		return kind, descr[0] == '>', nil
	} else if !errors.Is(err, errUnknownType) {
		return "", false, fmt.Errorf("dtype %q: %w", descr, err)
	}
	problem := "is unknown"
	switch kind[:min(1, len(kind))] {
	case "O", "T":
		return "", false, fmt.Errorf("dtype %q means pickled Python objects, which are not supported (save the array as float32 or as integers, and strings with a.astype('U'))", descr)
	case "V":
		problem = "means raw bytes, as of bfloat16 and float8, which are not supported"
	case "c":
		problem = "means complex numbers, which are not supported"
	case "M", "m":
		problem = "means dates, which are not supported"
	}
	return "", false, fmt.Errorf("dtype %q %s (save the array as float32, or as integers)", descr, problem)
}
