package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/spike-by-spike/sbs/internal/imagefile"
)

// named is a sequence of images with names.
type named interface {
	len() int
	name(i int) string
}

// textLabels reads the labels of images from a text file. With one field per line, line i
// is the label of image i. With more, the fields of a line are the file or the number of
// an image and its label.
func textLabels(path string, images named) (labels, error) {
	f, err := os.Open(path)
	if err != nil {
		return labels{}, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	r, err := uncompressed(f)
	if err != nil {
		return labels{}, err
	}
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return labels{}, err
	case len(content) > maxFile:
		return labels{}, fmt.Errorf("the file has more than %d bytes", maxFile)
	case !utf8.Valid(content) || strings.Contains(string(content), "\x00"):
		return labels{}, errors.New("the file is not a text")
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(content), "\ufeff"))
	if text == "" {
		return labels{}, errors.New("the file is empty, want a number or the name of a class in each line")
	}
	rows, err := labelRows(text, images)
	if err != nil {
		return labels{}, err
	}
	if len(rows[0].fields) == 1 {
		return listedLabels(rows)
	}
	return tableLabels(rows, images)
}

// labelRow is a line of a file of labels.
type labelRow struct {
	line   int
	fields []string
}

// labelRows splits a text into its lines and their fields.
func labelRows(text string, images named) ([]labelRow, error) {
	if !strings.ContainsAny(text, "\n") && images.len() > 1 {
		if one := listInOneLine(text); len(one) == images.len() {
			return one, nil
		}
	}
	if head := text[:min(len(text), headLength)]; separator([]byte(head)) == ' ' {
		return spacedRows(text)
	}
	var rows []labelRow
	t := newTable(bufio.NewReader(strings.NewReader(text)))
	for {
		fields, err := t.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 && len(fields) != len(rows[0].fields) {
			return nil, fmt.Errorf("line %d has %d fields, but line %d has %d", t.line, len(fields), rows[0].line, len(rows[0].fields))
		}
		rows = append(rows, labelRow{t.line, slices.Clone(fields)})
	}
	if len(rows) == 0 {
		return nil, errors.New("the file has no labels")
	}
	return rows, nil
}

// listInOneLine splits labels in one line, such as [7, 2, 1] or 7 2 1.
func listInOneLine(text string) []labelRow {
	var rows []labelRow
	for _, f := range strings.FieldsFunc(strings.Trim(text, "[]()"), func(r rune) bool { return strings.ContainsRune(",; \t", r) }) {
		rows = append(rows, labelRow{1, []string{f}})
	}
	return rows
}

// spacedRows splits a text without commas. The name of a class may contain spaces, so only
// a line that begins with the name of a file of a picture has two fields.
func spacedRows(text string) ([]labelRow, error) {
	var rows []labelRow
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		if line = strings.TrimSpace(line); line == "" {
			return nil, fmt.Errorf("line %d is empty, want a number or the name of a class", number)
		}
		fields := []string{line}
		if file, label, ok := cutFile(line); ok {
			fields = []string{file, label}
		}
		if len(rows) > 0 && len(fields) != len(rows[0].fields) {
			return nil, fmt.Errorf("line %d is %q, but line 1 is %q: want the same fields in each line", number, line, strings.Join(rows[0].fields, " "))
		}
		rows = append(rows, labelRow{number, fields})
	}
	return rows, nil
}

// cutFile splits "file.png 7" into the file and the label.
func cutFile(line string) (file, label string, ok bool) {
	for i, r := range line {
		if (r == ' ' || r == '\t') && imagefile.HasExtension(line[:i]) {
			return line[:i], strings.TrimSpace(line[i:]), true
		}
	}
	return "", "", false
}

// listedLabels returns the labels of a file with one label per line. The first line may be
// the header of a column.
func listedLabels(rows []labelRow) (labels, error) {
	var l labels
	for _, r := range rows {
		l.names = append(l.names, r.fields[0])
	}
	if len(l.names) > 1 && isLabelName(l.names[0]) && wholeNumbers(l.names[1:]) != nil {
		l.names = l.names[1:]
	}
	if numbers := wholeNumbers(l.names); numbers != nil {
		return labels{numbers: numbers}, checkSpelling(l.names, numbers)
	}
	return l, nil
}

// tableLabels returns the labels of a file that names the images.
func tableLabels(rows []labelRow, images named) (labels, error) {
	find := newFinder(images)
	header := find.header(rows[0].fields, rows[1:])
	var names []string
	if header {
		names, rows = rows[0].fields, rows[1:]
	}
	if len(rows) == 0 {
		return labels{}, errors.New("the file has a header, but no labels")
	}
	key, err := find.keyColumn(rows, names)
	if err != nil {
		return labels{}, err
	}
	label, err := labelColumn(len(rows[0].fields), key, names)
	if err != nil {
		return labels{}, err
	}
	values := make([]string, images.len())
	lines := make([]int, images.len())
	for _, r := range rows {
		i := find.image(r.fields[key])
		switch {
		case i == ambiguous:
			return labels{}, fmt.Errorf("line %d: several images have the name %s: write it with its folder", r.line, r.fields[key])
		case i < 0:
			continue // an image that is not among those that were opened
		case lines[i] != 0 && values[i] != r.fields[label]:
			return labels{}, fmt.Errorf("lines %d and %d give %s two labels, %s and %s", lines[i], r.line, r.fields[key], values[i], r.fields[label])
		}
		values[i], lines[i] = r.fields[label], r.line
	}
	if err := allLabeled(lines, images); err != nil {
		return labels{}, err
	}
	if numbers := wholeNumbers(values); numbers != nil {
		return labels{numbers: numbers}, nil
	}
	return labels{names: values}, nil
}

func allLabeled(lines []int, images named) error {
	var without []string
	for i, line := range lines {
		if line == 0 {
			without = append(without, path.Base(filepath.ToSlash(images.name(i))))
		}
	}
	if len(without) > 0 {
		return fmt.Errorf("%d of %d images have no label: %s", len(without), len(lines), list(without))
	}
	return nil
}

// labelColumn returns the column of the labels: the one that the header names so, or the
// only one besides the key.
func labelColumn(n, key int, names []string) (int, error) {
	for _, want := range labelNames {
		for i, name := range names {
			if i != key && plain(name) == want {
				return i, nil
			}
		}
	}
	if n == 2 {
		return 1 - key, nil
	}
	if names != nil {
		return 0, fmt.Errorf("none of the columns %s is called label", list(names))
	}
	return 0, fmt.Errorf("the lines have %d fields: add a header line that names the columns of the file and of the label", n)
}

// finder finds images by their names or numbers.
type finder struct {
	images named
	paths  []string       // of the images, with slashes
	bases  map[string]int // last element, in lower case -> image
	stems  map[string]int // the same without the extension
	first  int            // the number of the first image, if numbers are used; else -1
}

// Results of finder.image.
const (
	notFound  = -1
	ambiguous = -2
)

func newFinder(images named) *finder {
	f := &finder{images: images, bases: map[string]int{}, stems: map[string]int{}, first: -1}
	add := func(m map[string]int, name string, i int) {
		if _, ok := m[name]; ok {
			i = ambiguous
		}
		m[name] = i
	}
	for i := range images.len() {
		p := norm.NFC.String(filepath.ToSlash(images.name(i))) // macOS decomposes letters such as é
		base := strings.ToLower(path.Base(p))
		f.paths = append(f.paths, p)
		add(f.bases, base, i)
		add(f.stems, strings.TrimSuffix(base, path.Ext(base)), i)
	}
	return f
}

// image returns the image that a field names, notFound or ambiguous.
func (f *finder) image(field string) int {
	if f.first >= 0 {
		n := number(field) - f.first
		if n < 0 || n >= len(f.paths) {
			return notFound
		}
		return n
	}
	field = norm.NFC.String(strings.TrimPrefix(strings.ReplaceAll(field, "\\", "/"), "./"))
	base := strings.ToLower(path.Base(field))
	i, ok := f.bases[base]
	if !ok {
		i, ok = f.stems[base]
	}
	switch {
	case !ok:
		return notFound
	case i != ambiguous:
		return i
	}
	// The folders decide.
	i = ambiguous
	for k, p := range f.paths {
		if p == field || strings.HasSuffix(p, "/"+field) {
			if i != ambiguous {
				return ambiguous
			}
			i = k
		}
	}
	return i
}

// header reports whether the first row names the columns.
func (f *finder) header(row []string, rest []labelRow) bool {
	finds := func(fields []string) bool {
		return slices.ContainsFunc(fields, func(s string) bool { return f.image(s) != notFound })
	}
	if finds(row) {
		return false
	}
	if slices.ContainsFunc(row, isLabelName) || !slices.ContainsFunc(row, isNumber) && slices.ContainsFunc(row, isKeyName) {
		return true
	}
	return !slices.ContainsFunc(row, isNumber) && len(rest) > 0 &&
		(finds(rest[0].fields) || slices.ContainsFunc(rest[0].fields, isNumber))
}

// keyColumn returns the column that identifies the images: by name, or otherwise by number.
func (f *finder) keyColumn(rows []labelRow, names []string) (int, error) {
	var candidates []int
	for c := range rows[0].fields {
		if names == nil || !isLabelName(names[c]) {
			candidates = append(candidates, c)
		}
	}
	var columns []int
	most := 1
	for _, c := range candidates {
		// Labels can be the names of images, too: 7 of 7.png. They repeat.
		found := map[int]bool{}
		for _, r := range rows {
			if i := f.image(r.fields[c]); i != notFound {
				found[i] = true
			}
		}
		if n := len(found); n > most {
			columns, most = nil, n
		}
		if len(found) == most {
			columns = append(columns, c)
		}
	}
	if len(columns) == 1 {
		return columns[0], nil
	}
	columns = slices.DeleteFunc(candidates, func(c int) bool { return f.numbered(rows, c) < 0 })
	if len(columns) != 1 {
		return 0, fmt.Errorf("no column has the names of the %d images (such as %s) or their numbers, from 0 or from 1; line %d is: %s",
			f.images.len(), path.Base(f.paths[0]), rows[0].line, strings.Join(rows[0].fields, ", "))
	}
	f.first = f.numbered(rows, columns[0])
	return columns[0], nil
}

// numbered returns 0 or 1 if a column has all numbers of images once, from 0 or from 1,
// and otherwise -1.
func (f *finder) numbered(rows []labelRow, column int) int {
	seen := map[int]bool{}
	least := -1
	for _, r := range rows {
		n := number(r.fields[column])
		if n < 0 || seen[n] {
			return -1
		}
		seen[n] = true
		if least < 0 || n < least {
			least = n
		}
	}
	if least > 1 || len(rows) != f.images.len() || !seen[least+len(rows)-1] {
		return -1
	}
	return least
}
