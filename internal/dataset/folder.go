package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/imagefile"
)

// listing lists the paths in a folder, in natural order.
type listing struct {
	pictures, files, folders []string

	broken []string // broken links, except those with names of pictures
}

// readFolder lists a folder. It omits hidden entries, and entries that are neither files
// nor folders. Broken links are listed, so that they can be reported as missing. Errors
// name the path.
func readFolder(folder string) (listing, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return listing{}, fmt.Errorf("%s: %w", folder, withoutPath(err))
	}
	var l listing
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "__MACOSX" { // the latter is an extra of ZIP archives made on a Mac
			continue
		}
		path, mode := filepath.Join(folder, e.Name()), e.Type()
		if mode&os.ModeSymlink != 0 {
			if info, err := os.Stat(path); err == nil {
				mode = info.Mode()
			}
		}
		broken := mode&os.ModeSymlink != 0
		switch {
		case (mode.IsRegular() || broken) && imagefile.HasExtension(path):
			l.pictures = append(l.pictures, path)
		case broken:
			l.broken = append(l.broken, path)
		case mode.IsDir():
			l.folders = append(l.folders, path)
		case mode.IsRegular():
			l.files = append(l.files, path)
		}
	}
	for _, names := range [][]string{l.pictures, l.files, l.folders} {
		slices.SortFunc(names, natural)
	}
	return l, nil
}

// openFolder opens a folder of images, of class folders, of files of images or of the
// folders of a training and a test set, or a folder in which one of these is up to three
// levels down. Errors name the path.
func openFolder(folder string, opt Options) (part, labels, error) {
	return openWithin(folder, opt, 3)
}

// openWithin is openFolder for data up to depth levels down.
func openWithin(folder string, opt Options, depth int) (part, labels, error) {
	top, err := readFolder(folder)
	if err != nil {
		return nil, labels{}, err
	}
	parts, err := partsOf(top)
	if err != nil {
		return nil, labels{}, err
	}
	if len(parts) > 0 {
		chosen, err := choose(folder, parts, opt.Subset)
		if err != nil {
			return nil, labels{}, err
		}
		if opt.Subset == Test {
			opt.Subset = All // the name of the folder is enough
		}
		return openWithin(chosen, opt, depth)
	}
	if below, err := within(folder, top, depth); err != nil {
		return nil, labels{}, err
	} else if below != "" {
		return openWithin(below, opt, depth-1)
	}
	paths, skipped := top.pictures, top.files
	var l labels
	var unread error // about images that would be ignored; matters only if others are read
	for _, class := range top.folders {
		sub, err := readFolder(class)
		if err != nil {
			return nil, labels{}, err
		}
		if unread == nil {
			unread = leftOut(folder, class, sub)
		}
		skipped = append(skipped, sub.files...)
		if len(sub.pictures) == 0 {
			continue
		}
		if len(top.pictures) > 0 {
			return nil, labels{}, fmt.Errorf("%s contains both images and folders of images: name one of them", folder)
		}
		paths = append(paths, sub.pictures...)
		l.names = append(l.names, slices.Repeat([]string{filepath.Base(class)}, len(sub.pictures))...)
	}
	if len(l.names) > 0 && len(top.broken) > 0 && unread == nil { // may have been a class folder
		unread = fmt.Errorf("%s is a broken link: %w", top.broken[0], fs.ErrNotExist)
	}
	if len(paths) > 0 {
		if unread != nil {
			return nil, labels{}, unread
		}
		if opt.Subset == Test {
			return nil, labels{}, missing(folder, Test)
		}
		l.folders = len(l.names) > 0
		opt.warnSkipped(folder, skipped)
		p, err := openPictures(paths, opt)
		return p, l, err
	}
	return openFiles(folder, top.files, skipped, opt)
}

// partsOf returns the folders of a training, test and validation set, if the folder has no
// pictures in it or in other folders in it.
func partsOf(top listing) ([]string, error) {
	var parts []string
	for _, sub := range top.folders {
		if role(sub) != otherSet {
			parts = append(parts, sub)
			continue
		}
		in, err := readFolder(sub)
		if err != nil {
			return nil, err
		}
		if len(in.pictures) > 0 {
			return nil, nil // class folders, one of which is named train, for example
		}
	}
	if len(top.pictures) > 0 {
		return nil, nil
	}
	return parts, nil
}

// within returns the only folder in a folder that contains data, "" if the folder contains
// data itself, or none of its folders do.
func within(folder string, top listing, depth int) (string, error) {
	if depth == 0 || len(top.pictures) > 0 {
		return "", nil
	}
	for _, file := range top.files {
		if isData(file) {
			return "", nil
		}
	}
	var found []string
	for _, sub := range top.folders {
		in, err := readFolder(sub)
		if err != nil {
			return "", err
		}
		if len(in.pictures) > 0 {
			return "", nil // class folders
		}
		has, err := hasData(in, depth)
		if err != nil {
			return "", err
		}
		if has {
			found = append(found, sub)
		}
	}
	if len(found) > 1 {
		return "", fmt.Errorf("%s contains several folders with images, name one of them: %s", folder, list(found))
	}
	return strings.Join(found, ""), nil
}

// hasData reports whether a folder contains files of images, or folders of pictures, up to
// depth-1 levels down.
func hasData(in listing, depth int) (bool, error) {
	for _, file := range in.files {
		if isData(file) {
			return true, nil
		}
	}
	for _, sub := range in.folders {
		below, err := readFolder(sub)
		if err != nil {
			return false, err
		}
		if len(below.pictures) > 0 {
			return true, nil
		}
		// The folder of a part of a data set does not count, but links can make a folder contain itself.
		if depth > 1 || depth == 1 && role(sub) != otherSet {
			if has, err := hasData(below, depth-1); has || err != nil {
				return has, err
			}
		}
	}
	return false, nil
}

// isData reports whether a file in a folder suffices to read the data from that folder.
func isData(path string) bool {
	k, err := detect(path)
	return err == nil && (k.hasImages(path) || k == npyArray && (role(path) != otherSet || slices.ContainsFunc(words(path), isImagesName)))
}

// isImagesName reports whether a word in the name of an array indicates images. Weights are
// arrays, too.
func isImagesName(word string) bool {
	return slices.Contains([]string{"x", "data", "image", "images", "img", "imgs", "pixels"}, word)
}

// hasImages reports whether a file among others in a folder is opened as images.
func (k kind) hasImages(path string) bool {
	switch k {
	case idxImages, cifar, npzArchive, imageTable:
		return true
	case npyArray:
		return strings.HasSuffix(strings.TrimSuffix(path, ".gz"), "PatternStorage.npy")
	case pickledCIFAR:
		return isBatchName(path)
	}
	return false
}

// leftOut returns an error if a class folder has images that would be ignored, so that
// the class would be missing or incomplete. A folder without images is not a class.
func leftOut(folder, class string, in listing) error {
	if len(in.pictures) == 0 { // a folder with images may contain any other files
		for _, file := range in.files {
			if k, err := detect(file); err == nil && k == picture {
				return fmt.Errorf("%s contains images without the extension of an image, such as %s: rename them to .png, .jpg and so on",
					class, filepath.Base(file))
			}
		}
	}
	for _, sub := range in.folders {
		// With the separator, WalkDir follows a folder that is a link.
		err := filepath.WalkDir(sub+string(filepath.Separator), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return fmt.Errorf("%s: %w", path, withoutPath(err))
			}
			switch hidden := strings.HasPrefix(e.Name(), "."); {
			case hidden && e.IsDir():
				return fs.SkipDir
			case !hidden && !e.IsDir() && imagefile.HasExtension(path):
				return fmt.Errorf("%s is in a folder below a class folder: want one folder per class in %s, with the images directly in it, here in %s",
					path, folder, class)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openFiles opens the file of images, or the batches of CIFAR-10, among the
// files of a folder. all are the files of the folder and of the folders in it, for errors.
func openFiles(folder string, files, all []string, opt Options) (part, labels, error) {
	kinds := map[string]kind{}
	var found, others []string // others are .npy files
	var broken error
	for _, file := range files {
		k, err := detect(file)
		if (err != nil || !k.hasImages(file)) && isNamedAsImages(file) && opt.Subset.includes(role(file)) {
			if err == nil {
				err = fmt.Errorf("%s: %w", file, describe(file, "images"))
			}
			return nil, labels{}, err // other files would be read in its place, or without it
		}
		if err != nil {
			broken = err // matters only if no file is found
			continue
		}
		switch {
		case k.hasImages(file):
			kinds[file] = k
			found = append(found, file)
		case k == npyArray && len(others) < maxMembers:
			others = append(others, file)
		}
	}
	found = slices.DeleteFunc(found, func(file string) bool {
		plain, ok := strings.CutSuffix(file, ".gz")
		return ok && slices.Contains(found, plain)
	})
	if len(found) == 0 && broken != nil {
		return nil, labels{}, broken
	}
	if len(found) == 0 && slices.ContainsFunc(others, isData) {
		return openArrays(folder, npyFolder(others), "", opt)
	}
	if len(found) == 0 {
		if formats := unreadable(folder, all); formats != "" {
			return nil, labels{}, fmt.Errorf("%s contains no images%s: want %s", folder, formats, accepted)
		}
		return nil, labels{}, noImages(folder, files)
	}
	if opt.Subset == Training {
		batches := slices.DeleteFunc(slices.Clone(found), func(file string) bool {
			return kinds[file] != cifar && kinds[file] != pickledCIFAR || role(file) == testSet
		})
		if len(batches) > 1 {
			return openBatches(batches, kinds, opt)
		}
	}
	if len(found) == 1 && kinds[found[0]] == npzArchive {
		return openNPZ(found[0], "", opt) // contains all parts of the data set
	}
	if chosen := subset(found, opt.Subset); len(chosen) > 1 {
		return openSame(folder, chosen, kinds, opt)
	}
	chosen, err := choose(folder, found, opt.Subset)
	if err != nil {
		return nil, labels{}, err
	}
	return openFile(chosen, kinds[chosen], opt)
}

// isNamedAsImages reports whether a file has a usual name of a file of images.
func isNamedAsImages(path string) bool {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	ext := filepath.Ext(name)
	return isBatchName(name) && (ext == "" || ext == ".bin") || strings.HasSuffix(name, "PatternStorage.npy") ||
		strings.HasSuffix(name, "-images-idx3-ubyte") || strings.HasSuffix(name, "-images.idx3-ubyte")
}

// openSame opens one of several files with the same images in different formats, such as
// PyTorch-SbS's convert.py leaves in a folder.
func openSame(folder string, files []string, kinds map[string]kind, opt Options) (part, labels, error) {
	for i, file := range files {
		if slices.ContainsFunc(files[:i], func(other string) bool { return kinds[other] == kinds[file] }) {
			return nil, labels{}, several(folder, files)
		}
	}
	first, l, err := openFile(files[0], kinds[files[0]], opt)
	if err != nil {
		return nil, labels{}, err
	}
	for _, file := range files[1:] {
		other, _, err := openFile(file, kinds[file], opt)
		same := false
		if err == nil {
			same, err = sameImages(first, other)
			err = errors.Join(err, other.close())
		}
		if err == nil && !same {
			err = several(folder, files)
		}
		if err != nil {
			return nil, labels{}, errors.Join(err, first.close())
		}
	}
	return first, l, nil
}

// sameImages compares the number of images and some of them.
func sameImages(a, b part) (bool, error) {
	n := a.len()
	if n != b.len() || a.size() != b.size() {
		return false, nil
	}
	for _, i := range []int{0, n / 3, n / 2, n - 1} {
		x, err := a.pixels(i)
		if err != nil {
			return false, err
		}
		y, err := b.pixels(i)
		if err != nil {
			return false, err
		}
		if !slices.Equal(x, y) {
			return false, nil
		}
	}
	return true, nil
}

// noImages returns the error about a folder of files that are no images. It says what the
// first of them is.
func noImages(folder string, files []string) error {
	if len(files) == 0 {
		return fmt.Errorf("%s contains no images: want %s", folder, accepted)
	}
	return fmt.Errorf("%s contains no images; %s: %w", folder, filepath.Base(files[0]), describe(files[0], accepted))
}

// openBatches opens batches of CIFAR-10, which must be of one version.
func openBatches(files []string, kinds map[string]kind, opt Options) (part, labels, error) {
	if len(files) < cifarBatches {
		opt.warn(fmt.Sprintf("%s has only %d of the %d training batches of CIFAR-10", filepath.Dir(files[0]), len(files), cifarBatches))
	}
	all, l := &joined{}, labels{classes: cifarNames()}
	for _, file := range files {
		if kinds[file] != kinds[files[0]] {
			return nil, labels{}, errors.Join(fmt.Errorf("%s and %s belong to two versions of CIFAR-10 with the same images: remove one version",
				files[0], file), all.close())
		}
		p, batch, err := openFile(file, kinds[file], opt)
		if err != nil {
			return nil, labels{}, errors.Join(err, all.close())
		}
		all.add(p)
		l.numbers = append(l.numbers, batch.numbers...)
	}
	return all, l, nil
}

// natural compares names in natural order, in which numbers in the names are ordered by
// value. Different names never compare as equal.
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
