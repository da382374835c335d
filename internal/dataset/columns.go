package dataset

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// columns are the columns of a table of images.
type columns struct {
	count int  // number of columns
	label int  // the column of the label, -1 if there is none
	skip  int  // a column with the number of the image, -1 if there is none
	edge  bool // the label is in the first or the last column, which the values must tell
}

// imageColumns finds the columns by the first row, which may be a header. Without one,
// a table with one column more than an image has pixels has the label in the first or
// the last column.
func imageColumns(row []string, opt Options) (c columns, header bool, err error) {
	c = columns{count: len(row), label: -1, skip: -1}
	switch {
	case isCounted(row):
		header = true // pandas names the columns of an array so
	case slices.ContainsFunc(row, func(f string) bool { return !isNumber(f) }):
		last := map[string]string{} // the last column of each series
		before := ""                // the series of the last column
		for i, name := range row {
			switch {
			case isLabelName(name):
				if c.label >= 0 {
					return c, true, fmt.Errorf("the columns %s and %s may both be the label: remove one of them", row[c.label], name)
				}
				c.label = i
			case isKeyName(name) && c.skip < 0:
				c.skip = i
			case !strings.ContainsFunc(name, unicode.IsDigit):
				return c, true, fmt.Errorf("the column %q is neither a pixel (such as pixel0) nor a label (such as label): remove or rename it", name)
			default:
				s := series(name)
				if other, ok := last[s]; ok && (s != before || natural(other, name) > 0) {
					return c, true, fmt.Errorf("the columns of the pixels are in an unknown order, such as %s after %s: sort them channel by channel, row by row", name, row[i-1])
				}
				last[s], before = name, s
			}
		}
		return c, true, nil
	}
	if _, ok := unflatten(c.count, opt.Size); ok && opt.Size.len() != c.count-1 {
		return c, header, nil
	}
	if _, ok := unflatten(c.count-1, opt.Size); !ok {
		return c, header, fmt.Errorf("the first line has %d values, which are no image: want the pixels of one image per line, and possibly a label", c.count)
	}
	c.edge = true
	return c, header, nil
}

// isCounted reports whether a row has the numbers of the columns, from 0 or from 1.
func isCounted(row []string) bool {
	for i, field := range row {
		if n := number(field); n < 0 || n != number(row[0])+i || i == 0 && n > 1 {
			return false
		}
	}
	return true
}

// series returns the name of a column of pixels without numbers: pixel of pixel12.
func series(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, name)
}

// pixels appends the pixels of a row.
func (c columns) pixels(values []float32, row []string) ([]float32, error) {
	for i, field := range row {
		if i == c.label || i == c.skip {
			continue
		}
		v, err := strconv.ParseFloat(field, 32)
		if err != nil {
			return nil, fmt.Errorf("the value %q in column %d is not a number", field, i+1)
		}
		values = append(values, float32(v))
	}
	return values, nil
}

// labelsOf returns the label of a row, -1 if it is not a number. If the label can be at
// either edge of the row, it returns both values.
func (c columns) labelsOf(row []string) []int {
	if c.edge {
		return []int{number(row[0]), number(row[len(row)-1])}
	}
	return []int{number(row[c.label])}
}

// number returns the value of a label, -1 if the text is no label.
func number(text string) int {
	if n := wholeNumbers([]string{text}); n != nil {
		return n[0]
	}
	return -1
}

// finish returns the images and labels of a table.
func (c columns) finish(path string, opt Options, values []float32, numbers []int) (part, labels, error) {
	if len(values) == 0 {
		return nil, labels{}, errors.New("the table has no row of pixels")
	}
	if c.edge {
		column, one, err := edge(numbers, opt.NumClasses)
		if err != nil {
			return nil, labels{}, err
		}
		numbers = one
		values = without(values, c.count, column*(c.count-1))
		c.count--
	} else {
		for _, i := range []int{c.label, c.skip} {
			if i >= 0 {
				c.count--
			}
		}
	}
	if i := slices.Index(numbers, -1); i >= 0 {
		return nil, labels{}, fmt.Errorf("the label of image %d is not a number of at least 0", i)
	}
	shape, err := arrange([]int{len(values) / c.count, c.count}, opt)
	if err != nil {
		return nil, labels{}, err
	}
	p := &array{file: path, shape: shape, opt: opt, read: floatsAt(values), done: func() error { return nil }}
	most, err := largest(values, shape.size)
	if err != nil {
		return nil, labels{}, err
	}
	p.white(most)
	return p, labels{numbers: numbers}, nil
}

// edge decides whether the labels are in the first (0) or the last (1) column, given both
// columns alternately, and returns them. The corner of a picture hardly varies.
func edge(both []int, numClasses int) (column int, numbers []int, err error) {
	var candidate [2][]int
	var distinct [2]int
	for column := range 2 {
		seen := map[int]bool{}
		for i := column; i < len(both); i += 2 {
			candidate[column] = append(candidate[column], both[i])
			seen[both[i]] = true
		}
		highest := slices.Max(candidate[column])
		if !seen[-1] && highest < math.MaxUint8 && (numClasses == 0 || highest < numClasses) {
			distinct[column] = len(seen)
		}
	}
	switch {
	case distinct[0] == 1 && distinct[1] == 1 && len(both) == 2 && (both[0] == 0) != (both[1] == 0): // one image, whose corner is black
		column = slices.IndexFunc(both, func(v int) bool { return v != 0 })
		return column, candidate[column], nil
	case distinct[0] > 1 && distinct[1] > 1 || distinct[0] == distinct[1] && distinct[0] < 2:
		return 0, nil, errors.New("the table may have its labels in the first or in the last column: add a header line that names the column label")
	case distinct[1] > distinct[0]:
		return 1, candidate[1], nil
	}
	return 0, candidate[0], nil
}

// without removes a column from rows of count values.
func without(values []float32, count, column int) []float32 {
	out := values[:0]
	for row := range slices.Chunk(values, count) {
		out = append(out, row[:column]...)
		out = append(out, row[column+1:]...)
	}
	return out
}

// isLabelName reports whether a name of a column or array indicates labels.
func isLabelName(name string) bool { return slices.Contains(labelNames, plain(name)) }

// labelNames are the names of columns of labels, from the most specific one.
var labelNames = []string{
	"label", "labels", "class", "classes", "classid", "classidx", "classindex", "classlabel", "target", "targets", "y", "category", "categoryid", "digit",
	"truth", "groundtruth", "classname", "labelname", "species",
}

// isKeyName reports whether a name of a column indicates the file or the number of an
// image. The first column that pandas writes has no name.
func isKeyName(name string) bool {
	switch plain(name) {
	case "", "file", "filename", "filenames", "files", "filepath", "path", "paths", "image", "images", "imagename", "imagepath", "imagefile", "imageid",
		"img", "imgname", "imgpath", "imgid", "picture", "name", "id", "idx", "index", "number", "no", "nr", "row", "unnamed0":
		return true
	}
	return false
}

// isIDName reports whether a word in the name of an array indicates the numbers of images.
func isIDName(word string) bool {
	return slices.Contains([]string{"id", "ids", "idx", "index", "indices", "indexes"}, word)
}

// plain returns the letters and digits of a name, in lower case.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}
