package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// table reads the rows of a text file: fields separated by commas, semicolons, tabs or
// spaces.
type table struct {
	next func() (fields []string, err error) // io.EOF after the last row
	line int                                 // number of the row that was read last, from 1
}

// read returns the next row, which is valid until the next call.
func (t *table) read() ([]string, error) {
	t.line++
	return t.next()
}

// newTable returns the rows of r, separated as its first row is.
func newTable(r *bufio.Reader) *table {
	head, _ := r.Peek(headLength)
	if bytes.HasPrefix(head, []byte("\ufeff")) {
		_, _ = r.Discard(len("\ufeff")) // what Peek returned can be discarded
		head = head[len("\ufeff"):]
	}
	comma := separator(head)
	if comma == ' ' {
		return &table{next: fieldsOf(r)}
	}
	c := csv.NewReader(r)
	c.Comma, c.FieldsPerRecord, c.LazyQuotes, c.TrimLeadingSpace, c.ReuseRecord = comma, -1, true, comma != '\t', true
	t := &table{}
	t.next = func() ([]string, error) {
		row, err := c.Read()
		if err == nil {
			t.line, _ = c.FieldPos(0) // empty lines are skipped
			for i := range row {
				row[i] = strings.TrimSpace(row[i])
			}
		}
		return row, err
	}
	return t
}

// headLength is the number of bytes at the start of a text that decide how its fields are
// separated.
const headLength = 4096

// separator returns the character that separates the fields of the first line.
func separator(head []byte) rune {
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	for _, c := range ",;\t" {
		if bytes.ContainsRune(line, c) {
			return c
		}
	}
	return ' '
}

func fieldsOf(r *bufio.Reader) func() ([]string, error) {
	return func() ([]string, error) {
		for {
			line, err := r.ReadString('\n')
			if fields := strings.Fields(line); len(fields) > 0 {
				return fields, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
}

// minColumns is the least number of columns of a table of images. Tables of labels have
// fewer.
const minColumns = 50

// isImageTable reports whether a file begins with a row of many fields.
func isImageTable(head []byte) bool {
	line, _, whole := bytes.Cut(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n"), []byte("\n"))
	if bytes.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) || r == unicode.ReplacementChar }) {
		return false
	}
	n := len(bytes.Fields(line))
	if c := separator(head); c != ' ' {
		n = bytes.Count(line, []byte(string(c))) + 1
	}
	first, _, _ := bytes.Cut(bytes.TrimLeft(line, "\""), []byte(string(separator(head))))
	// A text of one long paragraph has many words, too.
	return n >= minColumns && (whole || len(head) >= headLength) && (separator(head) != ' ' || isNumber(string(first)))
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 32)
	return err == nil
}

// openTable opens a text file of images, one per row: the values of the pixels, and
// possibly a label and the number of the image. Errors name the path.
func openTable(path string, opt Options) (part, labels, error) {
	p, l, err := readTable(path, opt)
	if err != nil {
		return nil, labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	return p, l, nil
}

func readTable(path string, opt Options) (part, labels, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, labels{}, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	r, err := uncompressed(f)
	if err != nil {
		return nil, labels{}, err
	}
	t := newTable(r)
	var c columns
	var numbers []int
	var values []float32
	for {
		row, err := t.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, labels{}, err
		}
		if c.count == 0 {
			var header bool
			if c, header, err = imageColumns(row, opt); err != nil {
				return nil, labels{}, err
			}
			if header {
				continue
			}
		}
		if len(row) != c.count {
			return nil, labels{}, fmt.Errorf("line %d has %d fields, but the lines before have %d: the file may be truncated", t.line, len(row), c.count)
		}
		if values, err = c.pixels(values, row); err != nil {
			return nil, labels{}, fmt.Errorf("line %d: %w", t.line, err)
		}
		if c.edge || c.label >= 0 {
			numbers = append(numbers, c.labelsOf(row)...)
		}
		if len(values) > maxCompressed {
			return nil, labels{}, fmt.Errorf("the file has more than %d values: save them as an .npy file", maxCompressed)
		}
	}
	return c.finish(path, opt, values, numbers)
}

// uncompressed returns the content of a file, decompressed if it is compressed with gzip.
func uncompressed(f io.Reader) (*bufio.Reader, error) {
	r := bufio.NewReaderSize(f, 1<<16)
	if !isGzip(r) {
		return r, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(z, 1<<16), nil
}
