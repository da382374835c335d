package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/npy"
)

// splitMember splits the path of an array in an .npz file, such as mnist.npz:x_test, into
// the path of the file and the name of the array, which is "" for any other path.
func splitMember(path string) (file, member string) {
	const separator = ".npz:"
	i := strings.LastIndex(path, separator)
	if i < 0 {
		return path, ""
	}
	if _, err := os.Stat(path); err == nil {
		return path, "" // a file with such a name
	}
	return path[:i+len(separator)-1], path[i+len(separator):]
}

// arrays are the named arrays of an .npz file, or the .npy files of a folder.
type arrays interface {
	Names() []string
	Header(name string) (npy.Header, error)
	Reader(name string) npy.Reader

	path(name string) string // of an array, to show and to give on the command line
	close() error
}

// archive is an open .npz file.
type archive struct {
	*npy.Archive

	file *os.File
}

func (a *archive) path(name string) string { return a.file.Name() + ":" + name }
func (a *archive) close() error            { return a.file.Close() }

// maxMembers bounds the number of arrays of an .npz file, whose headers are all read.
const maxMembers = 1000

func openArchive(path string) (*archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	a, err := npy.OpenArchive(f, info.Size())
	if err == nil && len(a.Names()) > maxMembers {
		err = fmt.Errorf("the .npz file has %d arrays, want at most %d", len(a.Names()), maxMembers)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &archive{a, f}, nil
}

// npyFolder is the .npy files of a folder, such as x_train.npy and y_train.npy.
type npyFolder []string // paths

func (f npyFolder) Names() []string         { return f }
func (f npyFolder) path(name string) string { return name }
func (f npyFolder) close() error            { return nil }

func (f npyFolder) Header(name string) (npy.Header, error) {
	return npy.HeaderOf(readerOf(name))
}

func (f npyFolder) Reader(name string) npy.Reader { return readerOf(name) }

// openNPZ opens the images of an .npz file and, unless the options name a file of labels,
// their labels. Errors name the path.
func openNPZ(path, member string, opt Options) (part, labels, error) {
	a, err := openArchive(path)
	if err != nil {
		return nil, labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	return openArrays(path, a, member, opt)
}

// openArrays opens the images of one of several arrays, closes the arrays, and reads the
// labels of the images unless the options name a file of labels. Errors name the path.
func openArrays(path string, a arrays, member string, opt Options) (part, labels, error) {
	p, l, err := readArrays(a, member, opt)
	if err = errors.Join(err, a.close()); err != nil {
		return nil, labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	return p, l, nil
}

func readArrays(a arrays, member string, opt Options) (p part, l labels, err error) {
	if member == "" {
		if member, err = imagesOf(a, opt); err != nil {
			return nil, labels{}, err
		}
	}
	p, err = newPattern(a.path(member), opt, a.Reader(member))
	if err != nil || opt.Labels != "" {
		return p, labels{}, err
	}
	name, err := labelsOf(a, member, p.len())
	if err != nil || name == "" {
		return p, labels{}, err
	}
	l.numbers, err = labelNumbers(p.len(), a.Reader(name))
	return p, l, err
}

// imagesOf returns the name of the array with the images of the Subset.
func imagesOf(a arrays, opt Options) (string, error) {
	var names, rows []string
	var why error
	for _, name := range a.Names() {
		h, err := a.Header(name)
		if err == nil {
			if err = h.CheckNumeric(); err != nil {
				err = fmt.Errorf("array %s: %w", filepath.Base(name), err)
			}
		}
		if err != nil { // names of classes, for example
			why = err
			continue
		}
		shape, err := arrange(h.Shape, opt)
		if err != nil {
			if len(h.Shape) > 2 {
				why = fmt.Errorf("array %s: %w", name, err)
			}
			continue
		}
		if len(h.Shape) > 2 {
			names = append(names, name)
		} else if shape.n > 1 || shape.size == opt.Size {
			rows = append(rows, name)
		}
	}
	if len(names) == 0 {
		names = rows // can also be labels, one row of zeros and a one per image
	}
	if len(names) == 0 {
		if why != nil {
			return "", why
		}
		return "", fmt.Errorf("none of the arrays (%s) contains images: images have %s", listArrays(a, a.Names()), imageShapes)
	}
	if len(names) == 1 && opt.Subset == All {
		return names[0], nil
	}
	chosen := subset(names, opt.Subset)
	switch {
	case len(chosen) == 1:
		return chosen[0], nil
	case len(chosen) == 0 && opt.Subset == Test:
		return "", &subsetError{"no array of images has a name of a test set, such as x_test: name the test images"}
	case len(chosen) == 0 && opt.Subset == Training:
		return "", &subsetError{"no array of images has a name of a training set, such as x_train: name the training images"}
	}
	return "", fmt.Errorf("several arrays may contain the images (%s): name one, as in %s", listArrays(a, names), filepath.Base(a.path(names[0])))
}

// labelsOf returns the name of the array with the labels of n images, "" if there is none. An
// array of numbers of images (ids) is none.
func labelsOf(a arrays, images string, n int) (string, error) {
	var names []string
	var why error // about an array that is named as the labels
	for _, name := range a.Names() {
		if name == images || role(name) != role(images) || slices.ContainsFunc(words(name), isIDName) {
			continue
		}
		h, err := a.Header(name)
		if err == nil {
			err = checkLabels(h, n)
		}
		if err == nil {
			names = append(names, name)
		} else if w := words(name); !slices.Contains(w, "names") && slices.ContainsFunc(w, func(w string) bool { return slices.Contains(surelyLabels, w) }) {
			why = err
			if _, ok := errors.AsType[*countError](err); ok {
				why = fmt.Errorf("array %s %w", filepath.Base(name), err)
			} else if h.CheckNumeric() != nil {
				why = fmt.Errorf("array %s: %w", filepath.Base(name), err)
			}
		}
	}
	if len(names) == 0 {
		return "", why
	}
	if len(names) > 1 {
		named := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return !slices.ContainsFunc(words(name), isLabelName)
		})
		if len(named) == 1 {
			return named[0], nil
		}
		return "", fmt.Errorf("several arrays may contain the labels (%s): name one, as in --labels %s", listArrays(a, names), filepath.Base(a.path(names[0])))
	}
	return strings.Join(names, ""), nil
}

// surelyLabels are words in the names of arrays that contain the label of each image. An array
// of classes can also be a list of them.
var surelyLabels = []string{"y", "label", "labels", "target", "targets"}

// listArrays lists arrays with their shapes.
func listArrays(a arrays, names []string) string {
	var s []string
	for _, name := range names {
		h, err := a.Header(name)
		if err != nil {
			continue
		}
		s = append(s, fmt.Sprintf("%s %v", filepath.Base(name), h.Shape))
	}
	return list(s)
}

// npzLabels reads the labels of n images from an array of an .npz file, or from the only
// one that can be the labels.
func npzLabels(path, member string, n int) (numbers []int, err error) {
	a, err := openArchive(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	if member == "" {
		names := slices.DeleteFunc(slices.Clone(a.Names()), func(name string) bool {
			h, err := a.Header(name)
			return err != nil || checkLabels(h, n) != nil
		})
		if len(names) != 1 {
			return nil, fmt.Errorf("name the array that contains the labels of the %d images, as in %s:y_test; the arrays: %s",
				n, filepath.Base(path), listArrays(a, a.Names()))
		}
		member = names[0]
	}
	return labelNumbers(n, a.Reader(member))
}
