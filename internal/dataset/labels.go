package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spike-by-spike/sbs/internal/npy"
)

// readLabels reads a file with the labels of n images. Errors name the path.
func readLabels(path string, n int) (labels, error) {
	// The file is opened twice, to detect its format and to read it. A pipe would lose
	// its first bytes.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return labels{}, fmt.Errorf("%s is not a regular file: write the labels to one", path)
	}
	k, err := detect(path)
	if err != nil {
		return labels{}, err
	}
	var l labels
	switch k {
	case idxLabels:
		l.numbers, err = idxNumbers(path)
	case npyArray:
		l.numbers, err = npyNumbers(path, n)
	case unknown:
		l, err = textLabels(path)
	default:
		err = errors.New("the file holds images, not labels")
	}
	count := l.len()
	if large, ok := errors.AsType[*npy.SizeError](err); ok {
		count, err = large.Count, nil
	}
	if err != nil {
		return labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	if count != n {
		return labels{}, fmt.Errorf("%s has %d labels, but there are %d images", path, count, n)
	}
	return l, nil
}

func idxNumbers(path string) ([]int, error) {
	f, err := openIDXFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.close() }() // only read: nothing can be lost
	content := make([]byte, f.shape[0])
	if _, err := f.data.ReadAt(content, f.start); err != nil {
		return nil, err
	}
	numbers := make([]int, len(content))
	for i, v := range content {
		numbers[i] = int(v)
	}
	return numbers, nil
}

func npyNumbers(path string, n int) ([]int, error) {
	a, err := readNPY(path, npy.AtMost(n))
	if err != nil {
		return nil, err
	}
	numbers, err := a.Ints()
	if err != nil {
		return nil, err
	}
	for i, v := range numbers {
		if v < 0 {
			return nil, fmt.Errorf("label %d is %d, want at least 0", i, v)
		}
	}
	return numbers, nil
}

// readNPY reads an .npy file if accept returns nil for its header.
func readNPY(path string, accept func(npy.Header) error) (*npy.Array, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	return npy.ReadOpen(f, accept)
}

// textLabels reads a text file with one label per line. The labels are numbers if all
// lines are numbers, and otherwise names.
func textLabels(path string) (labels, error) {
	content, err := readAll(path)
	if err != nil {
		return labels{}, err
	}
	if !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
		return labels{}, errors.New("the file is not an IDX file, an .npy file or a text file of labels")
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(content), "\ufeff"))
	if text == "" {
		return labels{}, errors.New("the file is empty, want a number or the name of a class in each line")
	}
	var l labels
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			return labels{}, fmt.Errorf("line %d is empty, want a number or the name of a class", len(l.names)+1)
		}
		l.names = append(l.names, line)
	}
	if numbers := allNumbers(l.names); numbers != nil {
		return labels{numbers: numbers}, checkSpelling(l.names, numbers)
	}
	return l, nil
}

// checkSpelling refuses lines that write one number in two ways, such as 1 and 01:
// they may be meant as two classes.
func checkSpelling(lines []string, numbers []int) error {
	first := map[int]int{} // number -> its first line
	for i, n := range numbers {
		k, ok := first[n]
		if !ok {
			first[n] = i
		} else if lines[k] != lines[i] {
			return fmt.Errorf("lines %d and %d are both class %d, but one says %s and the other %s: write them alike",
				k+1, i+1, n, lines[k], lines[i])
		}
	}
	return nil
}

// allNumbers returns the names as numbers, or nil unless each is a decimal number that can
// be a label.
func allNumbers(names []string) []int {
	numbers := make([]int, len(names))
	for i, name := range names {
		v, err := strconv.ParseUint(name, 10, 31)
		if err != nil {
			return nil
		}
		numbers[i] = int(v)
	}
	return numbers
}

// classes maps the names of classes to labels.
type classes struct {
	label    map[string]int
	names    []string // in the order of the labels; nil if the names are numbers
	invented bool     // the labels are the positions of the names in natural order
}

// numberClasses assigns labels to names, as documented in Options.
func numberClasses(names []string, opt Options) (classes, error) {
	names = slices.Compact(slices.SortedFunc(slices.Values(names), natural))
	c := classes{label: make(map[string]int, len(names))}
	if numbers := allNumbers(names); numbers != nil {
		for i, name := range names {
			// Natural order puts 01 beside 1.
			if i > 0 && numbers[i] == numbers[i-1] {
				return c, fmt.Errorf("the class folders %s and %s are both class %d: rename one of them", names[i-1], name, numbers[i])
			}
			c.label[name] = numbers[i]
		}
		return c, nil
	}
	var unknown, numeric []string
	for _, name := range names {
		if i := slices.Index(opt.Classes, name); i >= 0 {
			c.label[name] = i
		} else {
			unknown = append(unknown, name)
			if allNumbers([]string{name}) != nil {
				numeric = append(numeric, name)
			}
		}
	}
	const advice = "name the class folders by the numbers of the classes, or name a file with the number of each image's class with --labels FILE"
	switch {
	case len(unknown) == 0:
		c.names = slices.Clone(opt.Classes)
		return c, nil
	case opt.Classes != nil:
		return c, fmt.Errorf("the network does not have these classes: %s (its classes: %s); %s", list(unknown), list(opt.Classes), advice)
	case len(numeric) > 0:
		// The positions in natural order would differ from the numbers.
		return c, fmt.Errorf("some classes are numbers (%s) and others are not: %s", list(numeric), list(names))
	case opt.NumClasses != 0 && opt.NumClasses != len(names):
		return c, fmt.Errorf("the images have %d classes (%s), but the network has %d classes without names; %s",
			len(names), list(names), opt.NumClasses, advice)
	}
	c.names, c.invented = names, true
	for i, name := range names {
		c.label[name] = i
	}
	return c, nil
}
