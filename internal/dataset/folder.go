package dataset

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// listing is what a folder holds, in natural order.
type listing struct {
	pictures, files, folders []string
}

// readFolder lists a folder without hidden entries and what is neither a file
// nor a folder. Errors name the path.
func readFolder(folder string) (listing, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return listing{}, fmt.Errorf("%s: %w", folder, withoutPath(err))
	}
	var l listing
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path, mode := filepath.Join(folder, e.Name()), e.Type()
		if mode&os.ModeSymlink != 0 {
			if info, err := os.Stat(path); err == nil {
				mode = info.Mode()
			}
		}
		switch {
		case mode.IsDir():
			l.folders = append(l.folders, path)
		// A link to nowhere is listed, so that the image is reported as missing.
		case (mode.IsRegular() || mode&os.ModeSymlink != 0) && isPictureName(path):
			l.pictures = append(l.pictures, path)
		case mode.IsRegular():
			l.files = append(l.files, path)
		}
	}
	for _, names := range [][]string{l.pictures, l.files, l.folders} {
		slices.SortFunc(names, natural)
	}
	return l, nil
}

// openFolder opens a folder of images, of class folders, or of one file of
// images. Errors name the path.
func openFolder(folder string, opt Options) (part, labels, error) {
	top, err := readFolder(folder)
	if err != nil {
		return nil, labels{}, err
	}
	p := &pictures{paths: top.pictures, opt: opt}
	var l labels
	for _, class := range top.folders {
		sub, err := readFolder(class)
		if err != nil {
			return nil, labels{}, err
		}
		if len(sub.pictures) == 0 {
			continue
		}
		if len(top.pictures) > 0 {
			return nil, labels{}, fmt.Errorf("%s holds both images and folders of images: name one of them", folder)
		}
		p.paths = append(p.paths, sub.pictures...)
		l.names = append(l.names, slices.Repeat([]string{filepath.Base(class)}, len(sub.pictures))...)
	}
	if len(p.paths) > 0 {
		return p, l, nil
	}
	file, k, err := imageFile(folder, top.files)
	if err != nil {
		return nil, labels{}, err
	}
	return openFile(file, k, opt)
}

// imageFile finds the one file of images among the files of a folder. When
// there are several, it is the one that is named as a test set.
func imageFile(folder string, files []string) (string, kind, error) {
	kinds := map[string]kind{}
	var found []string
	var broken error
	for _, file := range files {
		k, err := detect(file)
		if err != nil {
			broken = err // it matters if there is nothing else
			continue
		}
		pattern := k == npyArray && strings.HasSuffix(strings.TrimSuffix(file, ".gz"), "PatternStorage.npy")
		if k == idxImages || k == cifar || pattern {
			kinds[file] = k
			found = append(found, file)
		}
	}
	found = slices.DeleteFunc(found, func(file string) bool {
		plain, ok := strings.CutSuffix(file, ".gz")
		return ok && slices.Contains(found, plain)
	})
	if len(found) == 0 && broken != nil {
		return "", unknown, broken
	}
	if len(found) == 0 {
		return "", unknown, fmt.Errorf("%s holds no images: %s", folder, accepted)
	}
	chosen := found
	if len(chosen) > 1 {
		chosen = slices.DeleteFunc(slices.Clone(found), func(file string) bool { return !isTestSet(file) })
	}
	if len(chosen) != 1 {
		return "", unknown, fmt.Errorf("%s holds several files of images, name one of them: %s", folder, list(found))
	}
	return chosen[0], kinds[chosen[0]], nil
}

// isTestSet reports whether a word of a file's name is t10k or begins with
// test: t10k-images-idx3-ubyte, test_batch.bin, TestPatternStorage.npy.
func isTestSet(file string) bool {
	words := strings.FieldsFunc(strings.ToLower(filepath.Base(file)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return slices.ContainsFunc(words, func(w string) bool { return w == "t10k" || strings.HasPrefix(w, "test") })
}

func isPictureName(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp":
		return true
	}
	return false
}

// natural compares names so that numbers in them stand in the order of their
// values. Different names never compare as equal.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		m, n := digits(x), digits(y)
		if m == 0 || n == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		v, w := strings.TrimLeft(x[:m], "0"), strings.TrimLeft(y[:n], "0")
		if c := cmp.Or(cmp.Compare(len(v), len(w)), cmp.Compare(v, w)); c != 0 {
			return c
		}
		x, y = x[m:], y[n:]
	}
	return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
}

// digits returns the number of digits that s begins with.
func digits(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}

// list joins names for an error.
func list(names []string) string {
	const most = 10
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
