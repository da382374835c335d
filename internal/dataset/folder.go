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
		if strings.HasPrefix(e.Name(), ".") {
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
		case (mode.IsRegular() || broken) && isPictureName(path):
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

// openFolder opens a folder of images, of class folders, of files of images or
// of the folders train and test. Errors name the path.
func openFolder(folder string, opt Options) (part, labels, error) {
	top, err := readFolder(folder)
	if err != nil {
		return nil, labels{}, err
	}
	if len(top.pictures) == 0 && len(top.folders) > 0 && !slices.ContainsFunc(top.folders, isOther) {
		chosen, err := choose(folder, top.folders, opt.Subset)
		if err != nil {
			return nil, labels{}, err
		}
		if opt.Subset == Test {
			opt.Subset = All // the name of the folder is enough
		}
		return openFolder(chosen, opt)
	}
	paths := top.pictures
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
		p, err := openPictures(paths, opt)
		return p, l, err
	}
	return openFiles(folder, top.files, opt)
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
			case !hidden && !e.IsDir() && isPictureName(path):
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
// files of a folder.
func openFiles(folder string, files []string, opt Options) (part, labels, error) {
	kinds := map[string]kind{}
	var found []string
	var broken error
	for _, file := range files {
		k, err := detect(file)
		if err != nil {
			broken = err // matters only if no file is found
			continue
		}
		pattern := k == npyArray && strings.HasSuffix(strings.TrimSuffix(file, ".gz"), "PatternStorage.npy")
		if k == idxImages || k == cifar || k == pickledCIFAR || pattern {
			kinds[file] = k
			found = append(found, file)
		}
	}
	found = slices.DeleteFunc(found, func(file string) bool {
		plain, ok := strings.CutSuffix(file, ".gz")
		return ok && slices.Contains(found, plain)
	})
	if len(found) == 0 && broken != nil {
		return nil, labels{}, broken
	}
	if len(found) == 0 {
		return nil, labels{}, fmt.Errorf("%s contains no images: %s", folder, accepted)
	}
	if opt.Subset == Training {
		batches := slices.DeleteFunc(slices.Clone(found), func(file string) bool {
			return kinds[file] != cifar && kinds[file] != pickledCIFAR || isTestSet(file)
		})
		if len(batches) > 1 {
			return openBatches(batches, kinds, opt)
		}
	}
	chosen, err := choose(folder, found, opt.Subset)
	if err != nil {
		return nil, labels{}, err
	}
	return openFile(chosen, kinds[chosen], opt)
}

// openBatches opens batches of CIFAR-10, which must be of one version.
func openBatches(files []string, kinds map[string]kind, opt Options) (part, labels, error) {
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

func isPictureName(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp":
		return true
	}
	return false
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
