package dataset

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/spike-by-spike/sbs/internal/npy"
)

// readLabels reads a file with the labels of images. Errors name the path.
func readLabels(path string, images named) (labels, error) {
	path, member := splitMember(path)
	// The file is opened twice, to detect its format and to read it. A pipe would lose
	// its first bytes.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return labels{}, fmt.Errorf("%s is not a regular file: write the labels to one", path)
	}
	k, err := detect(path)
	if err != nil {
		return labels{}, err
	}
	n := images.len()
	var l labels
	switch k {
	case idxLabels:
		l.numbers, err = idxNumbers(path)
	case npyArray:
		l.numbers, err = labelNumbers(n, readerOf(path))
	case npzArchive:
		l.numbers, err = npzLabels(path, member, n)
	case plainText, imageTable:
		l, err = textLabels(path, images)
	case unknown, pickledCIFAR:
		err = describe(path, labelFormats)
	default:
		err = errors.New("the file contains images, not labels")
	}
	if err == nil && l.len() != n {
		err = &countError{l.len(), n}
	}
	if wrong, ok := errors.AsType[*countError](err); ok {
		return labels{}, fmt.Errorf("%s %w", path, wrong)
	}
	if err != nil {
		return labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	return l, nil
}

const labelFormats = "an IDX file, an .npy or .npz file, or a text file of labels"

// countError is the error about a file with a wrong number of labels. It continues the
// path.
type countError struct{ labels, images int }

func (e *countError) Error() string {
	return fmt.Sprintf("has %d labels, but there are %d images", e.labels, e.images)
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

// labelNumbers reads the labels of n images from an array: one integer per image, also
// stored as a floating-point number, or a row per image with a one at the label.
func labelNumbers(n int, read npy.Reader) ([]int, error) {
	a, err := read(func(h npy.Header) error { return checkLabels(h, n) })
	if err != nil {
		return nil, err
	}
	var numbers []int
	switch data := a.Data.(type) {
	case []bool:
		for _, v := range data {
			number := 0
			if v {
				number = 1
			}
			numbers = append(numbers, number)
		}
	case []float32, []float64:
		values, err := a.Float32s()
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			if v != float32(int(v)) || v < 0 || v >= 1<<24 {
				return nil, fmt.Errorf("label %d is %v, want whole numbers of at least 0", i, v)
			}
			numbers = append(numbers, int(v))
		}
	default:
		if numbers, err = a.Ints(); err != nil {
			return nil, err
		}
	}
	if len(numbers) > n {
		return oneHot(numbers, n)
	}
	for i, v := range numbers {
		if v < 0 {
			return nil, fmt.Errorf("label %d is %d, want at least 0", i, v)
		}
	}
	return numbers, nil
}

// maxOneHot bounds the classes of labels that are stored as rows with a one at the label.
const maxOneHot = 1 << 12

// checkLabels returns an error if an array cannot contain the labels of n images.
func checkLabels(h npy.Header, n int) error {
	if err := h.CheckNumeric(); err != nil {
		return err
	}
	if len(h.Shape) == 2 && h.Shape[0] == n && h.Shape[1] > 1 { // one-hot
		if h.Shape[1] > maxOneHot {
			return fmt.Errorf("the array has shape %v, want one label per image", h.Shape)
		}
		return nil
	}
	if h.Count != n {
		return &countError{h.Count, n}
	}
	return nil
}

// oneHot returns the positions of the ones in n rows.
func oneHot(values []int, n int) ([]int, error) {
	var numbers []int
	for row := range slices.Chunk(values, len(values)/n) {
		label := slices.Index(row, 1)
		if label < 0 || slices.ContainsFunc(row, func(v int) bool { return v != 0 && v != 1 }) || slices.Contains(row[label+1:], 1) {
			return nil, fmt.Errorf("label %d is a row of %d values, want a single 1 among zeros", len(numbers), len(row))
		}
		numbers = append(numbers, label)
	}
	return numbers, nil
}

// readerOf returns the Reader of an .npy file.
func readerOf(path string) npy.Reader {
	return func(accept func(npy.Header) error) (*npy.Array, error) { return readNPY(path, accept) }
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

// checkSpelling refuses lines that write one number in two ways, such as 1 and 01:
// they may be meant as two classes.
func checkSpelling(lines []string, numbers []int) error {
	first := map[int]int{} // number -> its first line
	for i, n := range numbers {
		k, ok := first[n]
		if !ok {
			first[n] = i
		} else if lines[k] != lines[i] && !isFloat(lines[k]) && !isFloat(lines[i]) {
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

// wholeNumbers returns labels as numbers, or nil unless each is a decimal number that can
// be a label. Numbers such as 7.000e+00, which numpy.savetxt writes, are allowed.
func wholeNumbers(labels []string) []int {
	numbers := make([]int, len(labels))
	for i, label := range labels {
		if v, err := strconv.ParseUint(label, 10, 31); err == nil {
			numbers[i] = int(v)
			continue
		}
		v, err := strconv.ParseFloat(label, 64)
		if err != nil || !isFloat(label) || v < 0 || v > math.MaxInt32 || v != math.Trunc(v) {
			return nil
		}
		numbers[i] = int(v)
	}
	return numbers
}

// isFloat reports whether a number is written with a period or an exponent.
func isFloat(label string) bool {
	return strings.ContainsAny(label, ".eE") && strings.Trim(label, "0123456789.eE+-") == ""
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
		if i := classNamed(name, opt.Classes); i >= 0 {
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
	folded := map[string]string{}
	for _, name := range names {
		if other, ok := folded[fold(name)]; ok {
			return c, fmt.Errorf("the classes %s and %s differ only in case, spaces or punctuation: spell them alike", other, name)
		}
		folded[fold(name)] = name
	}
	c.names, c.invented = names, true
	for i, name := range names {
		c.label[name] = i
	}
	return c, nil
}

// classNamed returns the class with a name, -1 if there is none. Case, spaces, underscores,
// hyphens and slashes do not matter unless they distinguish classes.
func classNamed(name string, classes []string) int {
	if i := slices.Index(classes, name); i >= 0 {
		return i
	}
	found := -1
	for i, c := range classes {
		if fold(c) == fold(name) {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// fold returns a name of a class without what names of folders often change. A name without
// letters is a number: -1 is not class 1.
func fold(name string) string {
	if !strings.ContainsFunc(name, unicode.IsLetter) {
		return name
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune("_-/\\", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFC.String(name)) // macOS decomposes letters such as é
}
