package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
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
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n") // Excel for Mac can end lines with \r
	switch {
	case text == "":
		return labels{}, errors.New("the file is empty, want a number or the name of a class in each line")
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "[{"), strings.HasPrefix(text, "<"): // JSON, XML
		return labels{}, describe(path, labelFormats)
	}
	rows, err := labelRows(text, images)
	if err != nil {
		return labels{}, err
	}
	if len(rows[0].fields) == 1 {
		return listedLabels(rows, images.len())
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
// a line that begins with the name of a file of a picture, and the header above such lines, has
// two fields, and a line in a text of numbers has a field per number.
func spacedRows(text string) ([]labelRow, error) {
	var rows []labelRow
	numbers := !slices.ContainsFunc(strings.Fields(text), func(f string) bool { return !isNumber(f) })
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		if line = strings.TrimSpace(line); line == "" {
			return nil, fmt.Errorf("line %d is empty, want a number or the name of a class", number)
		}
		fields := []string{unquoted(line)}
		words := strings.Fields(line)
		if file, label, ok := cutFile(line); ok {
			fields = []string{file, label}
		} else if numbers || number == 1 && len(words) == 2 && plain(words[0]) != "" && isKeyName(words[0]) && isLabelName(words[1]) {
			fields = words
		}
		if len(rows) > 0 && len(fields) != len(rows[0].fields) {
			return nil, fmt.Errorf("line %d is %q, but line 1 is %q: want the same fields in each line", number, line, strings.Join(rows[0].fields, " "))
		}
		rows = append(rows, labelRow{number, fields})
	}
	return rows, nil
}

// unquoted removes the quotes around a field.
func unquoted(field string) string {
	if inner, ok := strings.CutPrefix(field, `"`); ok {
		if inner, ok = strings.CutSuffix(inner, `"`); ok && !strings.Contains(inner, `"`) {
			return inner
		}
	}
	return field
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

// listedLabels returns the labels of n images from a file with one label per line. The first
// line may be the header of a column.
func listedLabels(rows []labelRow, n int) (labels, error) {
	var l labels
	for _, r := range rows {
		l.names = append(l.names, r.fields[0])
	}
	if len(l.names) > 1 && isLabelName(l.names[0]) && (wholeNumbers(l.names[1:]) != nil || len(l.names) == n+1) {
		l.names, rows = l.names[1:], rows[1:]
	}
	if numbers := wholeNumbers(l.names); numbers != nil {
		return labels{numbers: numbers}, checkSpelling(l.names, numbers)
	}
	return l, checkNames(l.names, func(i int) int { return rows[i].line })
}

// checkNames refuses labels that are numbers but no labels, such as -1 and nan, among numbers.
// lineOf returns the line of a label.
func checkNames(names []string, lineOf func(i int) int) error {
	i := slices.IndexFunc(names, func(name string) bool { return isNumber(name) && number(name) < 0 })
	if i >= 0 && slices.ContainsFunc(names, func(name string) bool { return number(name) >= 0 }) {
		return fmt.Errorf("line %d: the label is %s, want whole numbers of at least 0", lineOf(i), names[i])
	}
	return nil
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
		case r.fields[label] == "":
			return labels{}, fmt.Errorf("line %d: the label of %s is missing", r.line, r.fields[key])
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
	return labels{names: values}, checkNames(values, func(i int) int { return lines[i] })
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
	first  int // the number of the first image, if numbers are used; else -1

	// The last elements of the paths, from one element to all of them: as they are, in lower
	// case, and in lower case without the extension.
	exact, folded, stems map[string]int
}

// Results of finder.image.
const (
	notFound  = -1
	ambiguous = -2
)

func newFinder(images named) *finder {
	f := &finder{images: images, first: -1, exact: map[string]int{}, folded: map[string]int{}, stems: map[string]int{}}
	add := func(m map[string]int, p string, i int) {
		for end := range ends(p) {
			if _, ok := m[end]; ok {
				m[end] = ambiguous
			} else {
				m[end] = i
			}
		}
	}
	for i := range images.len() {
		p := norm.NFC.String(filepath.ToSlash(images.name(i))) // macOS decomposes letters such as é
		lower := strings.ToLower(p)
		add(f.exact, p, i)
		add(f.folded, lower, i)
		add(f.stems, strings.TrimSuffix(lower, path.Ext(lower)), i)
	}
	return f
}

// ends yields a path with slashes and its ends without the first folders, longest first.
func ends(p string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			if !yield(p) {
				return
			}
			_, rest, ok := strings.Cut(p, "/")
			if !ok {
				return
			}
			p = rest
		}
	}
}

// image returns the image that a field names, notFound or ambiguous. Folders matter as far as
// both have the same: photos of other computers have other folders.
func (f *finder) image(field string) int {
	if f.first >= 0 {
		n := number(field) - f.first
		if n < 0 || n >= f.images.len() {
			return notFound
		}
		return n
	}
	i, _ := f.named(field)
	return i
}

// named returns the image with a name, and whether the name has the extension.
func (f *finder) named(field string) (image int, whole bool) {
	field = norm.NFC.String(strings.TrimPrefix(strings.ReplaceAll(field, "\\", "/"), "./"))
	for end := range ends(field) {
		if end == "" {
			continue
		}
		if i, ok := f.exact[end]; ok {
			return i, true
		}
		if i, ok := f.folded[strings.ToLower(end)]; ok {
			return i, true
		}
		if i, ok := f.stems[strings.ToLower(end)]; ok {
			return i, false
		}
	}
	return notFound, false
}

// header reports whether the first row names the columns.
func (f *finder) header(row []string, rest []labelRow) bool {
	finds := func(fields []string) bool {
		return slices.ContainsFunc(fields, func(s string) bool { return f.image(s) != notFound })
	}
	switch {
	case row[0] == "" && len(rest) > 0 && rest[0].fields[0] != "": // the index of pandas
		return true
	case finds(row):
		return false
	case len(rest) > 0 && finds(rest[0].fields) && slices.ContainsFunc(row, func(s string) bool { return s != "" && isKeyName(s) }):
		return true
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
	whole := map[int]bool{} // the column has names with extensions
	most := 1
	for _, c := range candidates {
		// Labels can be the names of images, too: 7 of 7.png. They repeat, or lack the extension.
		found := map[int]bool{}
		for _, r := range rows {
			i, isWhole := f.named(r.fields[c])
			if i != notFound {
				found[i] = true
			}
			whole[c] = whole[c] || isWhole
		}
		if n := len(found); n > most {
			columns, most = nil, n
		}
		if len(found) == most {
			columns = append(columns, c)
		}
	}
	if with := slices.DeleteFunc(slices.Clone(columns), func(c int) bool { return !whole[c] }); len(with) > 0 {
		columns = with
	}
	if len(columns) == 1 {
		return columns[0], nil
	}
	columns = slices.DeleteFunc(candidates, func(c int) bool { return f.numbered(rows, c) < 0 })
	if i := slices.IndexFunc(columns, func(c int) bool { return names != nil && names[c] == "" }); i >= 0 { // the index of pandas
		columns = columns[i : i+1]
	}
	if len(columns) != 1 {
		return 0, fmt.Errorf("no column has the names of the %d images (such as %s) or their numbers, from 0 or from 1; line %d is: %s",
			f.images.len(), path.Base(filepath.ToSlash(f.images.name(0))), rows[0].line, strings.Join(rows[0].fields, ", "))
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
